"""`stagebook approve RUN GATE` and `reject`: answer at a gate; where no engine holds the run, go on with it."""

from __future__ import annotations

import os
import sys

from stagebook.cli import output, place
from stagebook.model.problem import FAILED, InputError, StagebookError, SurroundingsError
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from stagebook.approval.asked import Standing
    from stagebook.approval.judge import Refusal
    from stagebook.engine.approve import Answer

EXAMPLE = """\
stagebook approve last ship --comment "looks good"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, its beginning, or last")
    parser.add_argument("gate", metavar="GATE", help="the gate's name")
    parser.add_argument("--comment", metavar="TEXT", help="why; it stands in the record")
    parser.add_argument(
        "--record-only", action="store_true", help="where no engine holds the run, do not go on with it"
    )
    parser.add_argument("--no-wait", action="store_true", help="exit 3 at a further gate instead of waiting there")
    parser.add_argument("--yes", action="store_true", help="on a terminal, do not show what it is about and ask")


def execute(args: argparse.Namespace) -> int:
    """0 once the answer is on record, 1 where it was not meant; where the run goes on here, as `run` exits."""
    return decide(args, True)


def decide(args: argparse.Namespace, approved: bool) -> int:
    """The same for both commands."""
    directory = waiting_run(args)
    from stagebook.approval import asked, judge, origin
    from stagebook.engine import approve

    here = origin.here()
    standing = asked.standing(directory, args.gate, artifacts=False)
    args.shown = _show(args, directory, standing) if standing.now.state == "open" else None
    if args.shown is not None and not _is_meant(args, approved):
        return FAILED
    question = standing.question or asked.none_yet(os.path.basename(directory), args.gate)
    answer = approve.answer(
        directory, args.gate, judge.bound(question, here.by, approved, args.comment, here.plain)
    )  # fmt: skip
    if answer.refusal is not None:
        return _refuse(args, answer.refusal)
    if answer.decision is not None and not answer.held and not args.record_only:
        return _go_on(args, directory)
    return _tell(args, directory, answer, approved)


def waiting_run(args: argparse.Namespace) -> str:
    """The directory of the run that is meant; where there is none here, and some below, of the one that waits at that
    gate, else of the one that has it."""
    from stagebook.record import runs

    below = place.runs_below(args, args.run)
    if len(below) > 1:
        stands = {path: _stands(directory, args.gate) for path, directory in below.items()}
        known = [path for path, state in stands.items() if state is not None]
        if not known:
            raise InputError(f"no run below has a gate `{args.gate}`{runs.elsewhere(place.state_directory(args))}")
        waiting = [path for path in known if stands[path] == "open"]
        place.one_of(args, waiting or known, f"runs with a gate `{args.gate}` lie")
    return place.run_directory(args, args.run)


def _stands(directory: str, gate: str) -> str | None:
    """How the gate of a run stands; None: it has none."""
    from stagebook.approval import asked

    try:
        return asked.standing(directory, gate, artifacts=False).now.state
    except StagebookError:
        return None


def _show(args: argparse.Namespace, directory: str, standing: Standing) -> dict[str, Any] | None:
    """What is decided about, before it is: told on standard error, and as a member of the JSON document."""
    if standing.question is None:
        return None
    from stagebook.approval.shown import shown

    document = shown(directory, standing.question, standing)
    if not (args.yes or args.json or args.quiet):
        from stagebook.report.shown import lines

        output.say(lines(document, output.style_for(sys.stderr, args), standing.now.at_us), sys.stderr)
        output.flush()
    return document


def _is_meant(args: argparse.Namespace, approved: bool) -> bool:
    """Asked on a terminal only. Somebody else's program has been told."""
    if args.yes or args.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    sys.stderr.write(f"\n{'approve' if approved else 'reject'}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    output.say(["nothing was decided"], sys.stderr)
    return False


def _refuse(args: argparse.Namespace, refusal: Refusal) -> int:
    text = f"refused: {refusal.text}"
    if args.json:
        error = {"file": None, "line": None, "col": None, "code": refusal.code, "level": "error", "message": text}
        output.say_json({"errors": [error]})
    else:
        output.say([harmless(text)], sys.stderr)
    return refusal.exit


def _tell(args: argparse.Namespace, directory: str, answer: Answer, approved: bool) -> int:
    from stagebook.record import runs

    document = runs.document(directory)
    stage = next(stage for stage in document["stages"] if stage["stage"] == args.gate)
    if args.json:
        vote = {"gate": args.gate, "approved": approved, "decision": _word(answer)}
        output.say_json({**document, "vote": vote, "shown": args.shown})
        return 0
    if args.quiet:
        return 0
    from stagebook.report import gate

    name, run = harmless(args.gate), place.short_ids(place.state_directory(args))(document["run"])
    if answer.decision is None:
        said = f"{name} has {gate.approvals(stage['gate'])}, and waits for more"
    else:
        said = f"{name} of run {run} is {_word(answer)}"
        if not answer.held:
            look = place.from_here(args, os.getcwd(), None, place.state_directory(args)).get("look", "")
            said += f"; stagebook run --resume {run}{look} goes on with the run"
    output.say([said])
    return 0


def _word(answer: Answer) -> str | None:
    return None if answer.decision is None else "approved" if answer.decision else "rejected"


def _go_on(args: argparse.Namespace, directory: str) -> int:
    """Nobody leads this run, so we do."""
    from stagebook.engine.keeper import keep

    sys.stdout.flush()
    keep()
    from stagebook.cli.run import Show
    from stagebook.engine import resume
    from stagebook.record import lock

    state_directory = os.path.dirname(os.path.dirname(directory))
    with Show(args, os.path.join(state_directory, "cache"), None) as show:
        try:
            result: Any = resume.resume(state_directory, os.path.basename(directory), show.ways(), show.watch)
        except SurroundingsError:
            if lock.holder(directory) is None:
                raise
            output.say([f"{harmless(args.gate)} is decided, and another engine has begun to go on with the run"])
            return 0
        return show.finish(result)
