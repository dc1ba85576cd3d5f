"""How much of each key of a workflow has a meaning here: a table by place in the file, and what does not fit into
one."""

from __future__ import annotations

import re

from stagebook.formats.github import words
from stagebook.formats.github.equivalents import EQUIVALENTS
from stagebook.model.job import Grade
from stagebook.model.problem import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Iterable

    from stagebook.formats.github.local import Files
    from stagebook.formats.github.shape import Key
    from stagebook.formats.source.nodes import Node

EXACT, APPROXIMATED, IGNORED, SERVER = "exact", "approximated", "ignored", "server"

#: The first pattern that fits a key decides; keys that none fits are exact.
_TABLE: tuple[tuple[str, str, str], ...] = (
    (r"name|jobs|jobs\.\*|env(\..*)?|defaults(\..*)?", EXACT, ""),
    (r"description", IGNORED, "for people"),
    (r"run-name", SERVER, "names a run in GitHub's list"),
    (r"on", EXACT, ""),
    (r"on\.(schedule|workflow_run|workflow_dispatch|workflow_call|push|pull_request)", EXACT, ""),
    (r"on\.schedule\..*|on\.schedule\[\].*", SERVER, "GitHub's clock starts it"),
    (r"on\.workflow_(dispatch|call)\..*description|on\..*deprecationMessage", IGNORED, "shown to people on GitHub"),
    (r"on\.workflow_(dispatch|call)\..*", EXACT, ""),
    (r"on\.image_version(\..*)?", SERVER, "an event of GitHub's images"),
    (r"on\.\*\.paths(-ignore)?(\[\])?", APPROXIMATED, "which files a push changed is asked of git, not of GitHub"),
    (r"on\.\*\.types(\[\])?", APPROXIMATED, "known where the event is given as a file"),
    (r"on\.\*.*", EXACT, ""),
    (r"(jobs\.\*\.)?permissions(\..*)?", SERVER, "rights of GitHub's token"),
    (r"concurrency(\..*)?", APPROXIMATED, "runs of this file here are not held back by those on GitHub"),
    (r"jobs\.\*\.concurrency(\.group)?", EXACT, ""),
    (r"jobs\.\*\.concurrency\.(cancel-in-progress|queue)", APPROXIMATED, "who waits here is not cancelled"),
    (r"jobs\.\*\.environment(\..*)?", SERVER, "its reviewers, rules and secrets are kept by GitHub"),
    (r"jobs\.\*\.runs-on(\..*)?", APPROXIMATED, "runs on this machine, whatever the label"),
    (r"jobs\.\*\.container(\..*)?", APPROXIMATED, "a container where an engine is here, else a command for its image"),
    (r"jobs\.\*\.services(\..*)?", APPROXIMATED, "a container where an engine is here, else a command for its image"),
    (r"jobs\.\*\.snapshot(\..*)?", SERVER, "makes an image of GitHub's machine"),
    (r"jobs\.\*\.cancel-timeout-minutes", APPROXIMATED, "a stage's grace is used"),
    (r"jobs\.\*\.uses", EXACT, ""),
    (r"jobs\.\*\.secrets(\..*)?", EXACT, ""),
)
_PATTERNS = tuple((re.compile(pattern), grade, text) for pattern, grade, text in _TABLE)
_STEP = re.compile(r"jobs\.[^.\[]+\.steps\[\d+\](?:\.parallel\[\d+\])?")
_OF_CALLS = ("jobs.*.uses", "jobs.*.with", "jobs.*.secrets")
_known: dict[str, tuple[str, str]] = {}


def grades_of(keys: Iterable[Key], root: Node, files: Files, open_jobs: Collection[str] = ()) -> tuple[Grade, ...]:
    """One for each key, in the order of the file. `open_jobs`: those with a matrix that is known only at run time."""
    made = []
    uses = _uses(root)
    waiting = tuple(f"jobs.{name}.strategy.matrix" for name in open_jobs)
    for path, key, node in keys:
        grade, text = _graded(key)
        if key.startswith("jobs.*.steps[].") and (key.endswith(".uses") or ".with" in key):
            found = _STEP.match(path)
            grade, text = _of_action(uses.get(found[0], "") if found else "", files)
        elif key.startswith(_OF_CALLS):
            grade, text = _of_call(_called(root, path.split(".")[1]), files)
        elif waiting and path.startswith(waiting):
            grade, text = APPROXIMATED, "known only when it runs: one stage here, cell after cell"
        made.append(Grade(path, key, node.line, grade, text))
    return tuple(made)


def _graded(key: str) -> tuple[str, str]:
    found = _known.get(key)
    if found is None:
        found = next(((grade, text) for pattern, grade, text in _PATTERNS if pattern.fullmatch(key)), (EXACT, ""))
        _known[key] = found
    return found


def _of_action(uses: str, files: Files) -> tuple[str, str]:
    if files.inside(uses) is not None:
        return EXACT, ""
    if words.action_name(uses) in EQUIVALENTS:
        return APPROXIMATED, "done here by an equivalent"
    return SERVER, "the code of this action is not here: its step is skipped or fails, as you choose"


def _of_call(uses: str, files: Files) -> tuple[str, str]:
    try:
        is_here = files.source(uses) is not None
    except InputError:
        is_here = False
    return (EXACT, "") if is_here else (SERVER, "the called workflow is not here")


def _uses(root: Node) -> dict[str, str]:
    """The way to each step to the action that it uses."""
    found = {}
    jobs = root.get("jobs")
    for name, _, body in jobs.items() if jobs is not None else ():
        for number, step in enumerate(body.get("steps") or ()):
            path = f"jobs.{name}.steps[{number}]"
            found[path] = (step.get("uses") or step).text or ""
            for inner_number, inner in enumerate(step.get("parallel") or ()):
                found[f"{path}.parallel[{inner_number}]"] = (inner.get("uses") or inner).text or ""
    return found


def _called(root: Node, job: str) -> str:
    jobs = root.get("jobs")
    body = jobs.get(job) if jobs is not None else None
    uses = body.get("uses") if body is not None else None
    return (uses.text if uses is not None else None) or ""
