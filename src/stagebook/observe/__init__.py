"""What a stage did: usage of processes and groups. Starts and ends nothing."""
