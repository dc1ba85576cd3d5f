"""An engine and its keeper with a stage that holds a lease: a program, started by `test_lease`.

    python lease_pair.py DIRECTORY RUN NAME COMMAND…

Prints the pids of engine and stage when the stage has its lease, then waits for the end of its keeper.
"""

from __future__ import annotations

import os
import sys

from stagebook.engine import keeper
from stagebook.engine.lease import Leases, Want


def main(directory: str, run: str, name: str, command: list[str]) -> None:
    keeper.keep()
    leases = Leases(run, directory)
    leases.want(0, "deploy", [Want(name, 1, 1)])
    assert leases.take(0) is None
    environment = {**os.environ, "STAGEBOOK_RUN": run, "STAGEBOOK_STAGE": "deploy"}
    stage = os.posix_spawnp(command[0], command, environment, setsid=True)
    print(os.getpid(), stage, flush=True)
    assert keeper.channel is not None
    os.read(keeper.channel, 1)
    keeper.die_with_keeper()


if __name__ == "__main__":
    main(*sys.argv[1:4], sys.argv[4:])  # type: ignore[arg-type]
