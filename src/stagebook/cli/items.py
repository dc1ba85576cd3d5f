"""`stagebook items RUN STAGE`: what became of the items of a stage; which failed for good; these once more."""

from __future__ import annotations

import os
import sys

from stagebook.cli import output, place
from stagebook.model.problem import InputError
from stagebook.record import runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

EXAMPLE = """\
stagebook items last segments
stagebook items last segments --dead --json
stagebook items last segments --retry
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, its beginning, or last")
    parser.add_argument("stage", metavar="STAGE", help="a stage that works through items")
    parser.add_argument("--dead", action="store_true", help="only the items that failed for good, all of them")
    parser.add_argument("--retry", action="store_true", help="a new run, of nothing but these")


def execute(args: Namespace) -> int:
    """0 where the question was answered; with `--retry` as `run` exits. InputError for a stage without items."""
    directory = place.run_directory(args, args.run)
    document = runs.document(directory)
    stage = _stage(document, args.stage)
    listed = _dead(directory, stage, _root(document, directory, args.stage))
    if args.retry:
        return _retry(args, document, stage, listed)
    if args.json:
        told = {} if args.dead else {"items": stage["items"], "steps": stage["steps"]}
        output.say_json(
            {"run": document["run"], "stage": args.stage, "outcome": stage["outcome"], **told, "dead": listed}
        )
        return 0
    from stagebook.report import items

    for item in listed:
        if item["log"] is not None:
            item["log"] = min(item["log"], os.path.relpath(item["log"]), key=len)
    style = output.style_for(sys.stdout, args)
    short = place.short_ids(place.state_directory(args))(document["run"])
    output.say(items.listing(document, stage, listed, style, only_dead=args.dead, short=short))
    return 0


def _stage(document: dict[str, Any], wanted: str) -> dict[str, Any]:
    known: list[dict[str, Any]] = [stage for stage in document["stages"] if "items" in stage]
    for stage in known:
        if stage["stage"] == wanted:
            return stage
    if not known:
        raise InputError(f"no stage of run {document['run']} works through items")
    names = ", ".join(stage["stage"] for stage in known)
    raise InputError(f"`{wanted}` is no stage with items in run {document['run']}; there is {names}")


def _root(document: dict[str, Any], directory: str, stage: str) -> str:
    from stagebook.record.state import log_stem

    return os.path.join(directory, "items", log_stem(stage))


def _dead(directory: str, stage: dict[str, Any], folder: str) -> list[dict[str, Any]]:
    """The items that failed for good, in the order of their numbers, with what they are."""
    from stagebook.engine.items.kept import read_names
    from stagebook.engine.items.literal import plain
    from stagebook.record import reader
    from stagebook.record.items import dead
    from stagebook.record.state import item_log_name, journal_path, logs_directory

    found = dead(reader.read(journal_path(directory)), stage["stage"], len(stage["steps"]))
    names = {}
    if found:
        names = {number: value for number, value, _ in read_names(folder, min(found)) if number in found}
    made = []
    for number, failed in sorted(found.items()):
        step = stage["steps"][failed.step]["step"]
        log = os.path.join(logs_directory(directory), item_log_name(step, number))
        kept = os.path.join(folder, str(number))
        made.append({
            "item": number, "value": plain(names.get(number)), "step": step,
            "outcome": failed.outcome, "exit": failed.exit,
            "reason": failed.reason, "log": log if os.path.exists(log) else None,
            "directory": kept if os.path.isdir(kept) else None,
        })  # fmt: skip
    return made


def _retry(args: Namespace, document: dict[str, Any], stage: dict[str, Any], listed: list[dict[str, Any]]) -> int:
    if stage["outcome"] is None:
        raise InputError(f"`{stage['stage']}` of run {document['run']} is not over; go on with it: run --resume")
    if not listed:
        raise InputError(f"no item of `{stage['stage']}` failed for good in run {document['run']}")
    from stagebook.cli.main import main

    words = ["run", document["file"], "--only", stage["stage"], "--dead-of", document["run"]]
    words += ["--dir", place.state_directory(args)]
    words += [f"--{name}" for name in ("json", "quiet") if getattr(args, name, False)]
    sys.stdout.flush()
    return main(words)
