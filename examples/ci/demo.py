"""Runs examples/ci one stage after another, then in parallel, and says which is better here: `make demo`.

Uses the installed command as anyone would, and decides from the two JSON documents alone. Then it asks `plan` what to
do, and `experiment` whether that is true of two of the suites.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
FILE = os.path.join(HERE, "stagebook.yaml")
STATE = os.path.join(HERE, ".stagebook")
BIN = os.path.dirname(os.path.abspath(sys.executable))
SUITES = ("unit", "integration", "end-to-end")
#: What is tried in pairs: two suites, so that it takes a minute and not three.
PART = ("unit", "end-to-end")
PAIRS = 10

#: Differences smaller than this share of a run are not told from chance by one run of each.
NOISE = 0.05


def command(*words: str) -> list[str]:
    return [os.path.join(BIN, "stagebook"), *words]


def environment() -> dict[str, str]:
    """Ours; the stages call `python3`, and that is to be the one that runs this."""
    return {**os.environ, "PATH": BIN + os.pathsep + os.environ.get("PATH", os.defpath)}


def is_progress(line: str) -> bool:
    """Whether a plain line of a run says how a stage ended, as in `12:00:00 unit: success, 2 s`."""
    time_of_day, _, said = line.partition(" ")
    return time_of_day.count(":") == 2 and not any(word in said for word in (": started", ": waits for", ": run "))


def ran(*words: str) -> dict[str, Any]:
    """The document of a run; meanwhile one line a stage goes to standard error. Ends this program if the run fails."""
    with tempfile.TemporaryFile("w+") as answer:
        run = subprocess.Popen(
            command("run", FILE, "--force", "--json", *words),
            env=environment(), stdout=answer, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert run.stderr is not None
        said = []
        for line in run.stderr:
            said.append(line)
            if is_progress(line):
                print(line, end="", file=sys.stderr, flush=True)
        if run.wait():
            print("".join(said), file=sys.stderr)
            sys.exit(run.returncode)
        answer.seek(0)
        document: dict[str, Any] = json.load(answer)
    return document


def timeline(document: dict[str, Any]) -> str:
    words = command("timeline", document["run"], "--dir", STATE)
    return subprocess.run(words, env=environment(), stdout=subprocess.PIPE, text=True, check=True).stdout


def walls(document: dict[str, Any]) -> dict[str, float]:
    """Seconds that each stage worked."""
    return {stage["stage"]: stage["wall_s"] or 0.0 for stage in document["stages"]}


def totals(name: str, document: dict[str, Any]) -> str:
    stages = walls(document)
    longest = max(SUITES, key=lambda suite: stages[suite])
    whole, work = document["wall_s"], sum(stages.values())
    return (
        f"{name:<11} {whole:6.2f} s = {whole / work:4.0%} of the sum of its stages ({work:.2f} s), "
        f"{whole / stages[longest]:.1f} × its longest suite ({longest}, {stages[longest]:.2f} s)"
    )


def bound(document: dict[str, Any]) -> str:
    """What the parallel run could not beat, as its document says, with the figures that show it."""
    name = document["bound_by"]
    if name == "critical path":
        seconds = walls(document)
        chiefly = [stage for stage in document["critical_path"] if seconds[stage] > document["critical_path_s"] / 5]
        return f"bound by the critical path ({document['critical_path_s']:.1f} s, chiefly {', '.join(chiefly)})"
    if name is None:
        return "bound by nothing that stands out"
    waited = document["waiting_by"].get(name, 0.0)
    return f"bound by {name.replace(':', ' ', 1)} (all stages together waited {waited:.1f} s for it)"


def verdict(one_by_one: dict[str, Any], parallel: dict[str, Any]) -> str:
    """The one sentence: faster by how much, bound by what, is it worth it."""
    before, after = one_by_one["wall_s"], parallel["wall_s"]
    saved, took = before - after, f"{after:.1f} s instead of {before:.1f} s"
    why = bound(parallel)
    slower = sum(walls(parallel).values()) / sum(walls(one_by_one).values()) - 1
    price = f", although side by side the stages themselves took {slower:.0%} longer" if slower > NOISE else ""
    if after > before * (1 + NOISE):
        return f"Parallel is slower here, by {-saved:.1f} s ({took}), {why}: not worth it."
    if saved < before * NOISE:
        return f"Parallel is as fast as one by one here ({took}), {why}: not worth it."
    return f"Parallel is {before / after:.2f} × as fast here, {saved:.1f} s less ({took}), {why}{price}: worth it."


def said(why: str, *words: str) -> None:
    """What a command says, below itself. Ends this program if it fails."""
    shown = " ".join("examples/ci/stagebook.yaml" if word == FILE else word for word in words)
    print(f"\n{why}: stagebook {shown}", flush=True)
    done = subprocess.run(command(*words), env=environment(), check=False)
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    began = time.monotonic()
    documents = {}
    for name, words in (("one by one", ["--sequential"]), ("parallel", [])):
        print(" ".join([f"{name}: stagebook run examples/ci/stagebook.yaml --force", *words]), flush=True)
        documents[name] = ran(*words)
        print("\n" + timeline(documents[name]), flush=True)
    print(f"both took {time.monotonic() - began:.0f} s together, with start-up\n")
    for name, document in documents.items():
        print(totals(name, document))
    print()
    print(verdict(documents["one by one"], documents["parallel"]))
    said("what to do", "plan", FILE)
    words = ["--part", ",".join(PART), "--pairs", str(PAIRS), "--seed", "1"]
    said(f"is it so? at most {PAIRS} pairs of real runs, fewer if they tell", "experiment", FILE, *words)


if __name__ == "__main__":
    main()
