"""A server with room for three at once, and runs of its clients: `python3 herd.py without.yaml stagebook.yaml`."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

room = threading.Semaphore(3)


def answer(client: socket.socket) -> None:
    with client:
        if not room.acquire(blocking=False):
            client.sendall(b"full\n")
            return
        time.sleep(0.2)  # its work
        room.release()
        client.sendall(b"served\n")


def serve(listener: socket.socket) -> None:
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0), backlog=64)
threading.Thread(target=serve, args=(listener,), daemon=True).start()
environment = {**os.environ, "PORT": str(listener.getsockname()[1])}
for file in sys.argv[1:]:
    words = ["stagebook", "run", file, "--quiet", "--json"]
    run = json.loads(subprocess.run(words, env=environment, stdout=subprocess.PIPE, check=True).stdout)
    sent_away = sum(len(stage["attempts"]) - 1 for stage in run["stages"])
    print(f"{file:<15} {len(run['stages'])} served, {sent_away:2} times sent away, {run['wall_s']:.1f} s")
