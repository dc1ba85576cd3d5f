"""A crowd of processes on one pool, some of which are killed with -9: a program, started by `test_lease`.

    python lease_crowd.py DIRECTORY SEED PROCESSES SECONDS

Whether more is held than there is, is told by locks that know nothing of leases: there is a file for each unit, and
who has a lease must find as many of them free as it has units. They are of the kind that the kernel gives up first
when a process is killed: those of `lockf` as files are closed, those of `flock` after that, the last opened first.
Whoever was there before is told by the order of lines in a ledger, by no clock. Prints what it found, one line each,
then `done` and some figures.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import sys
import time

from stagebook.engine.lease import Leases, Want

SIZE = 2


class Ledger:
    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def note(self, *words: object) -> None:
        os.write(self._fd, (" ".join(map(str, words)) + "\n").encode())

    def lines(self) -> list[list[str]]:
        with open(self._path) as file:
            return [line.split() for line in file]


def hold(chance: random.Random, units: int, slots: list[int], ledger: Ledger, who: str) -> None:
    """Work with so many units, and look whether they are really there."""
    got = []
    for slot in slots:
        if len(got) == units:
            break
        try:
            fcntl.lockf(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
            got.append(slot)
        except OSError:
            pass
    ledger.note("begin", who)
    if len(got) < units:
        ledger.note("over-use", who, units, len(got))
    time.sleep(chance.random() * 0.004)
    for slot in got:
        fcntl.lockf(slot, fcntl.LOCK_UN)


def member(directory: str, seed: int, number: int, is_large: bool) -> None:
    """Want, take, work, give back, for ever."""
    chance = random.Random(seed)
    slots = [os.open(f"{directory}.slot{i}", os.O_RDWR | os.O_CREAT) for i in range(SIZE)]
    ledger = Ledger(f"{directory}.ledger")
    leases = Leases(f"run{number}", directory)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    turn = 0
    while not stopped:
        turn += 1
        who = f"{number}.{turn}"
        units = SIZE if is_large else 1
        ledger.note("comes", who, units)
        leases.want(turn, f"stage{turn}", [Want("pool:staging", units, SIZE)])
        ledger.note("stands", who)
        while leases.take(turn) is not None and not stopped:
            while not leases.freed() and not stopped:
                time.sleep(0.002)
        if not stopped:
            hold(chance, units, slots, ledger, who)
            ledger.note("end", who)
        leases.give_back(turn)
    leases.close()


def born(directory: str, seed: int, number: int, is_large: bool) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            member(directory, seed, number, is_large)
            code = 0
        finally:
            os._exit(code)
    return pid


def check(lines: list[list[str]]) -> list[str]:
    """Over-use, and everybody who was let in before others who had stood there when it came, and lived on.

    Between being let in and saying so others may come by, but no more than there is room for.
    """
    found = [" ".join(line) for line in lines if line[0] == "over-use"]
    began = {line[1] for line in lines if line[0] == "begin"}
    standing: dict[str, None] = {}
    ahead: dict[str, set[str]] = {}
    units: dict[str, int] = {}
    for word, who, *more in lines:
        if word == "comes":
            units[who] = int(more[0])
            ahead[who] = {other for other in standing if other in began}
        elif word == "stands":
            standing[who] = None
        elif word == "begin":
            standing.pop(who, None)
            passed = ahead[who] & standing.keys()
            if passed and units[who] + sum(units[other] for other in passed) > SIZE:
                found.append(f"{who} began before {sorted(passed)}")
    return found


def main(directory: str, seed: int, processes: int, seconds: float) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # whoever is born hears it when it is ready to
    chance = random.Random(seed)
    living: dict[int, bool] = {}
    count = kills = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        while len(living) < processes:
            count += 1
            is_large = True not in living.values()
            living[born(directory, seed * 1000 + count, count, is_large)] = is_large
        time.sleep(chance.random() * 0.06)
        victim = chance.choice(sorted(living))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        kills += 1
        del living[victim]
    ledger = Ledger(f"{directory}.ledger")
    # Whatever was killed, in whatever moment: those who are left go on.
    before, patience = len(ledger.lines()), time.monotonic() + 20
    while living and not any(line[0] == "begin" for line in ledger.lines()[before:]):
        if time.monotonic() > patience:
            print("nobody goes on")
            break
        time.sleep(0.005)
    for pid in living:
        os.kill(pid, signal.SIGTERM)
    for pid in living:
        if os.waitpid(pid, 0)[1] != 0:
            print(f"{pid} did not end well")
    lines = ledger.lines()
    for trouble in check(lines):
        print(trouble)
    last = Leases("last", directory)
    last.want(0, "last", [Want("pool:staging", SIZE, SIZE)])
    if (refusal := last.take(0)) is not None:
        print("left behind:", refusal)
    last.close()
    if (left := os.listdir(directory)) != ["lock"]:
        print("left behind:", left)
    print("done", kills, "killed,", sum(line[0] == "begin" for line in lines), "holds")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
