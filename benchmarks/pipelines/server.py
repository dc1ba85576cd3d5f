"""What stages ask: `server.py LATENCY RATE`, two sockets in the current directory. Each answer of the first takes 25 ms
however many ask; the second gives one answer in 25 ms to all of them together."""

from __future__ import annotations

import socket
import sys
import time
from heapq import heappop, heappush

TAKES_S = 0.025


def serve(latency: str, rate: str) -> None:
    """One thread: connections wait in a heap for when they are answered."""
    import select

    ears = {}
    for name in (latency, rate):
        ear = socket.socket(socket.AF_UNIX)
        ear.bind(name)
        ear.listen(64)
        ears[ear.fileno()] = ear, name == rate
    poll = select.poll()
    for number in ears:
        poll.register(number, select.POLLIN)
    due: list[tuple[float, int, socket.socket]] = []
    free_s, count = 0.0, 0
    print("ready", flush=True)
    while True:
        wait_ms = max(0.0, due[0][0] - time.monotonic()) * 1000 if due else None
        for number, _ in poll.poll(wait_ms):
            ear, is_serial = ears[number]
            asker, _ = ear.accept()
            now = time.monotonic()
            at_s = now + TAKES_S
            if is_serial:
                at_s = free_s = max(now, free_s) + TAKES_S
            count += 1
            heappush(due, (at_s, count, asker))
        while due and due[0][0] <= time.monotonic():
            _, _, asker = heappop(due)
            try:
                asker.send(b"x")
            except OSError:
                pass  # it has gone
            asker.close()


if __name__ == "__main__":
    serve(*sys.argv[1:])
