"""`stagebook patch`: the recommended change of a CI system's file as a unified diff, or written into it. What is
recommended: `plan.patching`; how it is written: `formats.patch`."""

from __future__ import annotations

import os
import sys

from stagebook.cli import foreign, output, pipelines, place, traps, trouble
from stagebook.cli.words import usage_error
from stagebook.model.problem import OK, InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from stagebook.formats.patch import Patched
    from stagebook.formats.request import Request
    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.patching import Asked, Known, Proposal

EXAMPLE = """
stagebook patch ci.yml
stagebook patch ci.yml --accept 'lint→test' --write
stagebook patch ci.yml --change timeout --timeout 30m
stagebook patch ci.yml --set test.split=3 | git apply"""

_KINDS = "needs order timeout fail-fast max-parallel concurrency interruptible split".split()
_SETTINGS = "timeout=30m, fail-fast=false, max-parallel=4, concurrency=GROUP, interruptible=true, split=3"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a file of GitHub Actions or GitLab CI")
    parser.add_argument("--write", action="store_true", help="write it into FILE instead of printing a diff")
    parser.add_argument("--diff", action="store_true", help="print a diff that `git apply` takes; the default")
    what = parser.add_argument_group("which changes")
    for option, metavar, text in (
        ("--change", "KIND", f"of this kind alone: {', '.join(_KINDS)}"),
        ("--accept", "A→B", "vouch that B needs nothing of A; A->B does as well"),
        ("--add", "A→B", "let B wait for A"),
        ("--set", "JOB.KEY=VALUE", f"one of {_SETTINGS}"),
    ):
        what.add_argument(option, action="append", default=[], metavar=metavar, help=text)
    what.add_argument(
        "--only", action="append", default=[], type=int, metavar="N", help="this one, by the number it is shown with"
    )
    for option, metavar, text in (
        ("--timeout", "TIME", "for jobs that have none and of which no run is on record"),
        ("--setup", "TIME", "what a job does before its tests; each part of it would repeat that"),
        ("--provider", "NAME", "whose cap and rounding count, such as github-team"),
    ):
        what.add_argument(option, metavar=metavar, help=text)
    what.add_argument("--rename-ok", action="store_true", help="jobs may get other names, be they required checks")
    foreign.add_arguments(parser)


def execute(args: Namespace) -> int:
    """0, also where there is nothing to change. InputError for a file that cannot be read or is native, for wrong
    words, for a change that is asked for and that no small edit makes, and with `--write` for a file that has changed
    meanwhile."""
    from stagebook.formats import load, patch
    from stagebook.formats.native.read import bytes_of
    from stagebook.plan import patching

    if args.write and args.diff:
        raise usage_error("--write and --diff are two ways; choose one")
    file = pipelines.find(args.file, "patch")
    data = bytes_of(args.file, file)
    request = foreign.request(args)
    pipeline = foreign.load(args, file, None)
    if pipeline.format not in load.FOREIGN:
        raise InputError(f"{args.file} is a native file: `stagebook plan --apply` writes what is recommended into it")
    asked = _asked(args)
    known = _known(args, pipeline)._replace(sayers=patch.sayers(data, file, request, pipeline.format))
    found = patching.proposals(pipeline, traps.all_of(pipeline), known, asked)
    chosen = _chosen(args, found)
    made, by_hand = _made(args, data, file, request, pipeline, found, chosen)
    document = _document(pipeline, found, chosen, made, by_hand, data)
    document["longest_s"] = patching.longest_s(pipeline, known)
    if made is not None:
        done = [found[at] for at in chosen if at not in by_hand]
        document["longest_after_s"] = patching.longest_after_s(pipeline, made.after, known, done)
    if args.write and made is not None and made.data != data:
        from stagebook.cli.apply import replace

        replace(file, data, made.data)
        document["written"] = True
    _say(args, document)
    return OK


def _asked(args: Any) -> Asked:
    from stagebook.model.quantity import duration_ms
    from stagebook.plan import patching

    for kind in args.change:
        if kind not in _KINDS:
            raise usage_error(f"--change {kind}: no such kind; one of {', '.join(_KINDS)}")
    settings = []
    for text in args.set:
        left, equals, value = text.partition("=")
        job, dot, key = left.rpartition(".")
        if not equals or not dot or not job:
            raise usage_error(f"--set {text}: expected JOB.KEY=VALUE, such as test.timeout=30m")
        settings.append((job, key, value))
    setup_s = None
    if args.setup is not None:
        try:
            setup_s = duration_ms(args.setup) / 1000
        except ValueError as error:
            raise usage_error(f"--setup {args.setup}: {error}") from None
    return patching.Asked(
        tuple(_pairs(args.accept, "--accept")), tuple(_pairs(args.add, "--add")), tuple(settings),
        None if args.timeout is None else patching.minutes_of(args.timeout), setup_s, tuple(args.change),
    )  # fmt: skip


def _pairs(texts: list[str], option: str) -> list[tuple[str, str]]:
    found = []
    for text in texts:
        first, arrow, second = text.partition("→") if "→" in text else text.partition("->")
        if not arrow or not first.strip() or not second.strip():
            raise usage_error(f"{option} '{text}' is not two jobs with an arrow between them, such as lint->test")
        found.append((first.strip(), second.strip()))
    return found


def _known(args: Any, pipeline: Pipeline) -> Known:
    """What runs on record say of its jobs, and what its provider allows."""
    from stagebook.cli import plan as planning
    from stagebook.plan import patching, profile, providers, splitting
    from stagebook.record import recorded_times

    took: dict[str, float] = {}
    most: dict[str, float] = {}
    samples = planning.samples(args, pipeline)
    runs = 0
    if samples is not None:
        found = profile.build(pipeline, samples)
        for stage in found.stages:
            if stage.source == "history":
                took[stage.stage], most[stage.stage] = stage.median_s, max(stage.walls_s)
                runs = max(runs, stage.runs)
    table = providers.table(args.provider or pipeline.format, os.getcwd())
    named = pipeline._replace(limits=pipeline.limits._replace(provider=args.provider))
    caps = traps.caps(named) if args.provider else []
    setup: dict[str, float] = {}
    if took:
        told = recorded_times.times(place.state_directory(args, pipeline.file), pipeline.file).steps
        for each in pipeline.stages:
            found_s = splitting.setup_s(each.job.steps, told.get(each.id, {})) if each.job is not None else None
            setup |= {each.id: found_s} if found_s is not None else {}
    return patching.Known(took, most, runs, table.rounding, tuple(caps), setup_s=setup)


def _chosen(args: Any, found: list[Proposal]) -> list[int]:
    """Places of those that are to be in the patch."""
    for number in args.only:
        if not 1 <= number <= len(found):
            raise usage_error(f"--only {number}: there are {len(found)} changes")
        ask = found[number - 1].ask
        if ask and not (ask == "--rename-ok" and args.rename_ok):
            raise usage_error(f"--only {number}: nothing on record speaks for it; say {ask} if you do")
    if args.only:
        return [number - 1 for number in dict.fromkeys(args.only)]
    return [
        at for at, each in enumerate(found) if not each.ask or (each.ask == "--rename-ok" and args.rename_ok)
    ]  # fmt: skip


def _made(
    args: Any, data: bytes, file: str, request: Request, pipeline: Pipeline, found: list[Proposal], chosen: list[int]
) -> tuple[Patched | None, dict[int, str]]:
    """The file with all of them; where that cannot be, with those that can, and why the others cannot."""
    from stagebook.formats import patch
    from stagebook.formats.native import cache

    def patched(places: list[int]) -> Patched:
        changes = [found[at].change for at in places]
        return patch.patched(data, file, changes, request, pipeline.format, args.rename_ok, before)

    before = pipeline if cache.digest(data) == pipeline.digest else None
    made: Patched | None = None
    good: list[int] = []
    by_hand: dict[int, str] = {}
    lots = [chosen] if chosen else []
    while lots:
        lot = lots.pop()
        try:
            made = patched([*good, *lot])
            good += lot
        except InputError as refused:
            if len(lot) > 1:
                lots += [lot[len(lot) // 2 :], lot[: len(lot) // 2]]
                continue
            if _is_asked(args, found[lot[0]]):
                raise
            by_hand[lot[0]] = str(refused)
    for at, each in enumerate(found):  # what is only offered is tried as well: nobody shall be asked in vain
        if at not in chosen and each.kind in ("needs", "order"):
            try:
                patched([at])
            except InputError as refused:
                by_hand[at] = str(refused)
    return made, by_hand


def _is_asked(args: Any, proposal: Proposal) -> bool:
    return bool(args.only) or proposal.evidence.source == "accepted"


def _document(
    pipeline: Pipeline, found: list[Proposal], chosen: list[int], made: Patched | None,
    by_hand: dict[int, str], data: bytes,
) -> dict[str, Any]:  # fmt: skip
    from stagebook.formats.changes import NeedsOnly
    from stagebook.formats.native.patch import diff

    done = {each.job: each for each in made.changes if isinstance(each, NeedsOnly)} if made is not None else {}
    changes = []
    for at, each in enumerate(found):
        is_order = isinstance(each.change, NeedsOnly) and at in chosen
        change = done.get(each.change.job, each.change) if is_order else each.change
        changes.append({
            "number": at + 1, "kind": each.kind, "job": each.change.job, "change": str(change),
            "line": each.line, "why": each.why, "saves_s": each.saves_s, "costs_s": each.costs_s,
            "price": each.price or None,
            "evidence": {"source": each.evidence.source, "n": each.evidence.n, "text": each.evidence.text},
            "in_patch": at in chosen and at not in by_hand, "ask": each.ask or None,
            "by_hand": by_hand.get(at),
        })  # fmt: skip
    text = diff(data, made.data, name_in_git(pipeline.file)) if made is not None else ""
    return {
        "file": pipeline.file,
        "format": pipeline.format,
        "changes": changes,
        "diff": text,
        "written": False,
        "longest_s": None,
        "longest_after_s": None,
    }


def name_in_git(file: str) -> str:
    """As git has it: from the root of the work tree on."""
    from stagebook.record.state import git_root

    folder = os.path.dirname(os.path.realpath(file))
    root = git_root(folder) or folder
    return os.path.relpath(os.path.realpath(file), root)


def _say(args: Any, document: dict[str, Any]) -> None:
    if args.json:
        output.say_json(document)
        return
    from stagebook.report import patch as report

    if document["changes"] and not args.quiet:
        style = output.style_for(sys.stderr, args)
        output.say(report.render(document, style), sys.stderr)
    if document["written"]:
        count = sum(each["in_patch"] for each in document["changes"])
        near = trouble.near_path(document["file"])
        output.say([f"{near}: {count} change{'s' if count != 1 else ''} written"])
    elif document["diff"]:
        sys.stdout.write(document["diff"])
    elif not args.quiet:  # what goes to `git apply` is a diff or empty
        said = ["nothing to change" if not document["changes"] else "nothing to change without a word of yours"]
        output.say(said, sys.stderr)
