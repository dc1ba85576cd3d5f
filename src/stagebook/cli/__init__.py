"""One module a command: parses words, calls a function of a room, prints its report."""
