"""What a stage may touch: workspaces. Starts and decides nothing."""
