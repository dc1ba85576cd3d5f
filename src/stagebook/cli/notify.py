"""`stagebook notify test`: a marked message to each whom a file names. `notify wait`: until all of a run is told."""

from __future__ import annotations

import os
import select
import sys
from time import monotonic

from stagebook.cli import output, pipelines, place
from stagebook.cli.words import nearest, usage_error
from stagebook.model.problem import FAILED, OK, InputError
from stagebook.record import notices
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from stagebook.model.pipeline import Notify
    from stagebook.notify.send import Sending

EXAMPLE = """
stagebook notify test
stagebook notify test stagebook.yaml --to ops
stagebook notify wait last"""

WAIT_S = 150.0  #: no message is tried for longer after its run
_LOOK_S = 0.05


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "action", metavar="test|wait", help="send a test message to each; wait until all of a run is told"
    )
    parser.add_argument("what", nargs="?", metavar="FILE|RUN", help="test: default stagebook.yaml; wait: default last")
    parser.add_argument("--to", metavar="NAME", help="test: only to this one")


def execute(args: Namespace) -> int:
    """0; 1 where a message did not arrive."""
    actions = {"test": _test, "wait": _wait}
    action = actions.get(args.action)
    if action is None:
        near = nearest(args.action, list(actions))
        raise usage_error(f"unknown argument '{args.action}'", f"did you mean '{near}'?" if near else "test or wait")
    return action(args)


def _test(args: Namespace) -> int:
    from stagebook.formats import load as read

    file = pipelines.find(args.what)
    pipeline = read.load(file, None)
    told = [one for one in pipeline.notify if args.to in (None, one.name)]
    if not told:
        names = [one.name for one in pipeline.notify]
        if not names:
            raise InputError(f"{file} has no `notify`, so nobody is told of anything")
        near = nearest(args.to, names)
        known = f"did you mean '{near}'?" if near else f"there are {', '.join(names)}"
        raise InputError(f"{file} tells nobody called '{args.to}'; {known}")
    from stagebook.engine import secrets
    from stagebook.notify import message, send, targets
    from stagebook.notify.follower import environment

    values = secrets.values_of(pipeline)
    folder = pipeline.folder
    results: dict[str, str | None] = {}
    sending: list[tuple[Notify, Sending]] = []
    for one in told:
        to = targets.destination(one, values, folder, environment())
        if not to.command and not to.address:
            results[one.name] = f"{one.variable} is not set"
            continue
        said = message.trial(pipeline.name, one.name, os.uname().nodename)
        sending.append((one, send.Sending(to, said)))
    while sending:
        select.select([each.fd for _, each in sending], (), (), _LOOK_S)
        for pair in list(sending):
            result = pair[1].result()
            if result is not None:
                sending.remove(pair)
                error = result[0]
                results[pair[0].name] = error and targets.mask_for(pair[0], values).text(error)
    rows = [{"target": one.name, "ok": results[one.name] is None, "error": results[one.name]} for one in told]
    _answer(args, {"file": file, "notices": rows}, [(row["target"], "told", row["error"]) for row in rows])
    return OK if all(row["ok"] for row in rows) else FAILED


def _wait(args: Namespace) -> int:
    if args.to is not None:
        raise usage_error("--to goes with `notify test`")
    directory = place.run_directory(args, args.what or "last")
    end_s = monotonic() + WAIT_S
    while monotonic() < end_s and notices.is_followed(directory):
        select.select((), (), (), _LOOK_S)
    told = notices.read(directory)
    rows: list[tuple[Any, str, Any]] = []
    for one in told:
        is_told = one["state"] == notices.DELIVERED
        rows.append((one["target"], f"told of {one['event']}", None if is_told else one["error"] or one["state"]))
    _answer(args, {"run": os.path.basename(directory), "notices": notices.document(told)}, rows)
    return OK if all(error is None for _, _, error in rows) else FAILED


def _answer(args: Namespace, document: dict[str, Any], rows: list[tuple[Any, str, Any]]) -> None:
    if args.json:
        output.say_json(document)
        return
    style = output.style_for(sys.stdout, args)
    lines = []
    for target, what, error in rows:
        if error is None and args.quiet:
            continue
        state = "success" if error is None else "failure"
        said = what if error is None else f"not {what}: {harmless(str(error))}"
        lines.append(f"{style.paint(style.glyph(state), state)} {style.plain(f'{harmless(str(target))}: {said}')}")
    output.say(lines)
