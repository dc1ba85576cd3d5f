"""Asks the server once: 0 where it was served, 75 (come back later) where it was sent away."""

import os
import socket
import sys

with socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))) as server:
    sys.exit(0 if server.recv(9) == b"served\n" else 75)
