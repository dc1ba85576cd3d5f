"""Runs an example each way that it is written, and draws the runs below each other: `compare.py video`.

Uses the installed command as anyone would. What is given behind the name goes to every run: `compare.py etl --param
database=sqlite`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.path.dirname(os.path.abspath(sys.executable))
#: The stages need `python3`, and this is to be it; a clone has the command in .venv.
PATH = os.pathsep.join([BIN, os.environ.get("PATH", os.defpath), os.path.join(HERE, "..", ".venv", "bin")])

SEQUENTIAL, PARALLEL = ("one by one", ["stagebook.yaml", "--sequential"]), ("side by side", ["stagebook.yaml"])
THREE_WAYS = [SEQUENTIAL, ("stage by stage", ["stages.yaml"]), ("assembly line", ["stagebook.yaml"])]
#: What makes an example's material, so that no run pays for it; the ways to run it; words for each of them.
EXAMPLES = {
    "video": (["--only", "record"], THREE_WAYS, []),
    "etl": (["--only", "sources"], THREE_WAYS, []),
    "deploy": ([], [SEQUENTIAL, PARALLEL], ["--no-wait", "--force"]),
    "documents": ([], [SEQUENTIAL, PARALLEL], ["--until", "reviews", "--force"]),
    "services": ([], [SEQUENTIAL, PARALLEL], ["--param", "base=nothing"]),
}
WAITS = 3  #: the exit status of a run that waits for a person


def stagebook(*words: str, quiet: bool = False) -> subprocess.CompletedProcess[str]:
    command = shutil.which("stagebook", path=PATH)
    if command is None:
        sys.exit("the command `stagebook` is not here; `make setup` makes it")
    out = subprocess.PIPE if quiet else None
    done = subprocess.run([command, *words], env={**os.environ, "PATH": PATH}, stdout=out, text=True, check=False)
    if done.returncode not in (0, WAITS):
        sys.exit(done.returncode)
    return done


def main(name: str, more: list[str]) -> None:
    prepare, ways, words = EXAMPLES[name]
    folder = os.path.join(HERE, name)
    state = os.path.join(folder, ".stagebook")
    if prepare:
        stagebook("run", os.path.join(folder, "stagebook.yaml"), *prepare, *more, "--quiet")
    runs = []
    for way, (file, *mode) in ways:
        said = " ".join(["stagebook run", os.path.relpath(os.path.join(folder, file)), *mode, *words, *more])
        print(f"{way}: {said}", file=sys.stderr, flush=True)
        done = stagebook("run", os.path.join(folder, file), *mode, *words, *more, "--json", "--quiet", quiet=True)
        document = json.loads(done.stdout)
        runs.append(document["run"])
        for stage in document["stages"] if done.returncode == WAITS else []:
            if stage["waiting"] == "gate":  # all else is done: say yes, to see what comes after it
                stagebook("approve", document["run"], stage["stage"], "--dir", state, "--quiet", quiet=True)
    print(file=sys.stderr, flush=True)
    stagebook("timeline", *runs, "--dir", state)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in EXAMPLES:
        sys.exit(f"usage: compare.py {'|'.join(EXAMPLES)} [OPTION OF RUN…]")
    main(sys.argv[1], sys.argv[2:])
