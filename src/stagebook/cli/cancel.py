"""`stagebook cancel RUN [STAGE]`: stop a run or one stage of it; where no engine holds the run, lead it to its end."""

from __future__ import annotations

import os
import sys

from stagebook.cli import output, place
from stagebook.record import runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

EXAMPLE = """\
stagebook cancel last
stagebook cancel last integration
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, its beginning, or last")
    parser.add_argument("stage", nargs="?", metavar="STAGE", help="only this stage; the others go on")
    parser.add_argument(
        "--record-only", action="store_true", help="where no engine holds the run, do not go on with it"
    )


def execute(args: argparse.Namespace) -> int:
    """0 once the decision is on record; where the run goes on here, as `run` exits."""
    from stagebook.engine import cancel

    directory = runs.resolve(place.state_directory(args), args.run)  # to act below, somebody has to say so
    run = os.path.basename(directory)
    is_held = cancel.cancel(directory, args.stage)
    if not is_held and not args.record_only:
        return _go_on(args, directory)
    if args.json:
        by = "engine" if is_held else "record"
        output.say_json({**runs.document(directory), "cancel": {"stage": args.stage, "by": by}})
    elif not args.quiet:
        from stagebook.report.harmless import harmless

        what = f"run {run}" if args.stage is None else f"{harmless(args.stage)} of run {run}"
        if is_held:
            output.say([f"{what} is being cancelled"])
        else:
            output.say([f"{what} is cancelled on record; stagebook run --resume {run} leads the run to its end"])
    return 0


def _go_on(args: argparse.Namespace, directory: str) -> int:
    """Nobody leads this run, so we do: `always` stages run, and it ends."""
    from stagebook.engine.keeper import keep

    sys.stdout.flush()
    keep()
    from stagebook.cli.run import Show
    from stagebook.engine import resume

    state_directory = os.path.dirname(os.path.dirname(directory))
    with Show(args, os.path.join(state_directory, "cache"), None) as show:
        return show.finish(resume.resume(state_directory, os.path.basename(directory), show.ways(), show.watch))
