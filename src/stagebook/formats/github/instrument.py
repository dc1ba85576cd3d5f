"""A workflow file in which each job's commands are measured, by small edits of its text: one line a job, and a step at
its end that keeps the record as an artifact. What is done with records is not known here.
"""

from __future__ import annotations

from stagebook.formats.source.edits import Edits
from stagebook.formats.source.nodes import LIST, MAP, Node, Source
from stagebook.model.problem import InputError
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

    from stagebook.formats.source.words import Value

MEASURE = "pipx run stagebook measure"  #: hosted runners have pipx, so nothing has to be installed before
RECORDS = ".stagebook/runs/*/journal.jsonl"
_UPLOAD = "actions/upload-artifact@v4"


class Instrumented(NamedTuple):
    """`left`: jobs that are not measured, and why, as sentences."""

    data: bytes
    jobs: tuple[str, ...]
    left: tuple[str, ...]


def instrumented(source: Source) -> Instrumented:
    """A job in which no small edit does it is left as it is."""
    edits = Edits(source)
    root = source.documents[0] if source.documents else None
    jobs = root.get("jobs") if root is not None else None
    todo: dict[str, Node] = {}
    left: list[str] = []
    for name, key, job in jobs.items() if jobs is not None else ():
        why = _why_not(job) or ("it is an alias" if edits.is_alias(key, job) else None)
        if why is not None:
            left.append(f"{name}: {why}")
        else:
            todo[name] = job
    try:
        data = _made(source, todo)
    except InputError:
        for name in list(todo):
            try:
                _made(source, {name: todo[name]})
            except InputError as error:
                left.append(f"{name}: {error}")
                del todo[name]
        data = _made(source, todo)
    return Instrumented(data, tuple(todo), tuple(left))


def _made(source: Source, jobs: Mapping[str, Node]) -> bytes:
    edits = Edits(source)
    for name, job in jobs.items():
        _measure(edits, name, job)
    return edits.made() if jobs else source.text.encode("utf-8")


def _why_not(job: Node) -> str | None:
    steps = job.get("steps")
    if job.kind != MAP or steps is None or steps.kind != LIST or not list(steps):
        return "it has no steps"
    runs = [step for step in steps if step.get("run") is not None]
    if not runs:
        return "none of its steps is a command"
    if job.get("defaults") is not None:
        return "it has `defaults` of its own; put the command before its `shell`"
    runner = job.get("runs-on")
    if runner is not None and any("windows" in text for text in runner.texts):
        return "it runs on Windows"
    if all(step.get("shell") is not None for step in runs):
        return "each of its steps has a `shell` of its own"
    return None


def _measure(edits: Edits, name: str, job: Node) -> None:
    strategy = job.get("strategy")
    has_cells = strategy is not None and strategy.get("matrix") is not None
    shown = f"{name} (${{{{ join(matrix.*, ', ') }}}})" if has_cells else name
    shell = f'{MEASURE} --name "{shown}" -- bash -e {{0}}'
    edits.add_entry(job, "defaults", {"run": {"shell": shell}}, ("runs-on",))
    steps = job.get("steps")
    assert steps is not None
    upload: Value = {
        "if": "always()",
        "uses": _UPLOAD,
        "with": {
            "name": f"stagebook-{name}" + ("-${{ strategy.job-index }}" if has_cells else ""),
            "path": RECORDS,
            "include-hidden-files": True,
        },
    }
    edits.add_items(steps, [upload])
