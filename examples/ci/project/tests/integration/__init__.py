"""What needs a database file."""
