"""One map of all workflows that an event starts: `map --event push --ref main` where there are several."""

from __future__ import annotations

from stagebook import condition
from stagebook.cli import traps
from stagebook.formats import load
from stagebook.model.problem import InputError
from stagebook.report import map as mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any, Callable, TypeAlias

    from stagebook.formats.github.event import Together
    from stagebook.graph.findings import Finding
    from stagebook.model.pipeline import Pipeline

    Times: TypeAlias = "tuple[dict[str, int], dict[str, list[float | None]]]"
    NotRun: TypeAlias = Callable[[Pipeline, dict[str, int]], list[str]]


def documents(
    args: Namespace, loaded: list[Pipeline], times: Callable[[Pipeline], Times], not_run: NotRun
) -> tuple[list[Pipeline], list[dict[str, Any]]]:
    """Of the workflows of GitHub one map, of each other file its own. InputError where the event starts nothing, and
    with `--diff`, which compares file by file."""
    if args.diff is not None:
        raise InputError("--diff compares one file with what it was; name the file, or leave out --event")
    workflows = [each for each in loaded if each.format == "github"]
    others = [each for each in loaded if each.format != "github"]
    event = args.event.rpartition("/")[2].removesuffix(".json")
    found = load.together(workflows, event, args.ref) if workflows else None
    if found is None and not others:
        where = "" if args.ref is None else f" to {args.ref}"
        raise InputError(f"no workflow of these starts on {event}{where}: {', '.join(each.file for each in loaded)}")
    made = [] if found is None else [_document(found, times, not_run)]
    of_others = []
    for each in others:
        took, steps = times(each)
        asked, caps = condition.asked(each), traps.caps(each)
        of_others.append(mapping.document(each, took, asked, caps, traps.of_source(each), steps, not_run(each, took)))
    return ([found.pipeline] if found is not None else []) + others, made + of_others


def _document(found: Together, times: Callable[[Pipeline], Times], not_run: NotRun) -> dict[str, Any]:
    took: dict[str, int] = {}
    steps: dict[str, list[float | None]] = {}
    more: list[Finding] = []
    out: list[str] = []
    for each in found.workflows:
        known, of_steps = times(each.pipeline)
        took |= {f"{each.short}.{stage}": ms for stage, ms in known.items()}
        steps |= {f"{each.short}.{stage}": some for stage, some in of_steps.items()}
        out += [f"{each.short}.{stage}" for stage in not_run(each.pipeline, known)]
        more += [_renamed(finding, each.short) for finding in traps.of_source(each.pipeline)]
    caps = traps.caps(found.pipeline)
    document = mapping.document(found.pipeline, took, condition.asked(found.pipeline), caps, more, steps, out)
    for stage in document["stages"]:
        stage["file"] = found.files[stage["stage"]]
    for finding in document["findings"]:
        if finding["file"] is None and finding["stages"]:
            finding["file"] = found.files.get(finding["stages"][0])
    document["not_started"] = [
        {"workflow": each.short, "file": each.pipeline.file, "events": sorted(each.triggers)} for each in found.others
    ]
    return document


def _renamed(finding: Finding, workflow: str) -> Finding:
    return finding._replace(stages=tuple(f"{workflow}.{stage}" for stage in finding.stages))
