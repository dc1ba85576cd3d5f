"""Files that stages read and make: paths, hashes, the store, what is up to date. Starts nothing."""
