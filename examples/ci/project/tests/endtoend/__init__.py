"""What needs a running server."""
