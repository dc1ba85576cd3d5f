"""One run at two jobs, to learn what no sequential run can tell: whether stages that wait, wait for the same thing.

It is an ordinary `stagebook run --force`, a child with a record like any other, so all that the stages do is really
done. What must not happen twice is refused, by the line it stands on. Whoever calls says beforehand what will run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from stagebook.graph.acting import may_outside
from stagebook.model.problem import InputError, Problem
from stagebook.model.value import NamedTuple
from stagebook.plan.contention import demand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Collection, Iterator, Sequence

    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.profile import Profile

JOBS = 2
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NAMED = 6


class Probed(NamedTuple):
    """How it went: the exit code of `run` and what it said in JSON: of the run, or the errors why there is none. None:
    nothing."""

    exit: int
    document: dict[str, Any] | None


def sentence(pipeline: Pipeline, only: Sequence[str] = ()) -> str:
    """What a probe will do, to be said before it does it."""
    names = list(only) if only else [stage.id for stage in pipeline.stages]
    named = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    needs = "; what they need is taken as done" if only else ""
    stages = "1 stage" if len(names) == 1 else f"{len(names)} stages"
    return f"the probe really runs {stages}, {JOBS} at once and whether up to date or not{needs}: {named}"


def require_safe(pipeline: Pipeline, profile: Profile, only: Sequence[str] = (), agreed: bool = False) -> None:
    """Raises InputError, with each stage that must not run for a probe at its line.

    `agreed`: the user takes upon himself those of which only name or command say that they may act outside.
    What says `retry-safe: false`, and gates, no word allows.
    """
    known = {stage.id for stage in pipeline.stages}
    unknown = [name for name in only if name not in known]
    if unknown:
        raise InputError(f"no stage is called {unknown[0]}")
    problems = list(_problems(pipeline, frozenset(only) or known, agreed))
    if not problems:
        return
    refused = {stage.id for stage in pipeline.stages for each in problems if each.line == stage.line}
    offered = waiting(pipeline, profile, refused)
    if len(offered) > 1:
        words = " ".join(f"--only {_quoted(name)}" for name in offered)
        offer = f"; what waits and may run: stagebook plan --probe {words}"
    else:
        offer = "; name those that may: stagebook plan --probe --only A --only B"
    raise InputError(f"nothing was run: a probe really runs its stages, and {len(problems)} must not{offer}", problems)


def waiting(pipeline: Pipeline, profile: Profile, without: Collection[str] = ()) -> list[str]:
    """The stages that mostly wait, for neither a core nor the disk: those that a probe is for."""
    found = []
    for stage, known in zip(pipeline.stages, profile.stages):
        if known.source == "history" and demand(known).waiting and stage.id not in without:
            found.append(stage.id)
    return found


def words(file: str, state: str | None = None, only: Sequence[str] = (), params: Sequence[str] = ()) -> list[str]:
    """The command line of the run. `state` is the state directory, where that was named; `params` are `NAME=VALUE`."""
    said = [sys.executable, "-P", "-m", "stagebook", "run", f"-j{JOBS}", "--force", "--no-wait", "--json", "--quiet"]
    if state is not None:
        said.append(f"--dir={state}")
    return [*said, *[f"--param={each}" for each in params], *[f"--only={name}" for name in only], "--", file]


def make(argv: Sequence[str]) -> Probed:
    """Make the run that `words` says. Signals reach it, and it stops its stages; its exit says so. What it says of
    trouble goes to our standard error."""
    child = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, process_group=0, env=_environment()
    )
    before = {number: signal.signal(number, lambda told, frame: child.send_signal(told)) for number in _FORWARDED}
    try:
        said, _ = child.communicate()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    try:
        document = json.loads(said)
    except ValueError:
        document = None
    return Probed(child.returncode if child.returncode >= 0 else 128 - child.returncode, document)


def _environment() -> dict[str, str]:
    """Ours, but for what would make it part of a run that we are a stage of."""
    return {name: value for name, value in os.environ.items() if name not in ("STAGEBOOK_RUN", "STAGEBOOK_STAGE")}


def _problems(pipeline: Pipeline, picked: Collection[str], agreed: bool) -> Iterator[Problem]:
    outside = may_outside(pipeline)
    for stage in pipeline.stages:
        if stage.id not in picked:
            continue
        if stage.kind == "gate":
            why = f"`{stage.id}` is a gate: a probe cannot decide for a person"
        elif not stage.retry_safe:
            why = f"`{stage.id}` is `retry-safe: false`: it must not run for a probe"
        elif stage.id in outside and not agreed:
            why = (
                f"`{stage.id}` may act outside ({outside[stage.id]}): leave it out by --only with those that may run, "
                "or say --yes if it may run for a probe"
            )
        else:
            continue
        yield Problem(pipeline.file, stage.line, stage.col, "probe", "error", why)


def _quoted(text: str) -> str:
    from shlex import quote

    return quote(text)
