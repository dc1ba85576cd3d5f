"""`stagebook gc`: makes room in the state directory, within the limits of the settings; old runs only when asked."""

from __future__ import annotations

import os
import sys

from stagebook.cli import output, place
from stagebook.cli.words import usage_error
from stagebook.model import quantity
from stagebook.model.problem import SurroundingsError
from stagebook.report import cache as report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLE = """
stagebook gc --dry-run
stagebook gc --cache-limit 2GiB --runs-older-than 90d"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    parser.add_argument(
        "--cache-limit", metavar="SIZE", help="keep at most so much of outputs; default: the setting, 10GiB"
    )
    parser.add_argument(
        "--cache-age", metavar="DURATION", help="and nothing unused for longer than this; default: the setting, 30d"
    )
    parser.add_argument(
        "--runs-older-than", metavar="DURATION",
        help="also remove whole runs that ended longer ago, such as 90d; one that has files set aside stays",
    )  # fmt: skip
    parser.add_argument(
        "--set-aside-older-than", metavar="DURATION", default="30d",
        help="remove what was set aside of attempts without success longer ago than this; default: 30d",
    )  # fmt: skip


def execute(args: Namespace) -> int:
    from stagebook.artifact import state, sweep
    from stagebook.artifact.store import Store
    from stagebook.isolate import workspace
    from stagebook.runner.caches import Caches

    limit = quantity.size_bytes(args.settings.cache_limit)
    age_s = quantity.duration_ms(args.settings.cache_age) / 1000
    runs_age_s = None if args.runs_older_than is None else _duration_s("--runs-older-than", args.runs_older_than)
    aside_age_s = _duration_s("--set-aside-older-than", args.set_aside_older_than)
    where = place.state_directory(args)
    folder = os.path.join(where, "cache")
    store = Store(folder)
    over = [] if runs_age_s is None else sweep.over(where, runs_age_s)
    aside = sweep.aside(where, aside_age_s)
    runs = [left for left in over if not sweep.has_aside(where, left.run)]
    workspaces = workspace.leftovers(where)
    workspaces_bytes = sum(workspace.size_bytes(workspace.directory(where, run)) for run in workspaces)
    try:
        collected = store.collect(limit, age_s, args.dry_run, state.named(folder).keys())
    except OSError as error:
        raise SurroundingsError(f"cannot remove {error.filename}: {error.strerror}") from None
    caches = Caches(where)
    unused = caches.unused(age_s)
    if not args.dry_run:
        if unused:
            caches.forget(unused)
        runs = [left for left in runs if sweep.remove(where, left)]
        aside = [left for left in aside if sweep.remove(where, left)]
        sweep.finish(where)
        workspace.sweep(where)
    document = {
        "dry_run": args.dry_run,
        "objects": [{"digest": entry.digest, "size_bytes": entry.size} for entry in collected.objects],
        "objects_bytes": sum(entry.size for entry in collected.objects),
        "temporaries": [path for path, _ in collected.temporaries],
        "temporaries_bytes": sum(size for _, size in collected.temporaries),
        "set_aside": list(dict.fromkeys(left.run for left in aside)),
        "set_aside_bytes": sum(left.size for left in aside),
        "runs_kept": [left.run for left in over if left not in runs and sweep.has_aside(where, left.run)],
        "workspaces": workspaces,
        "workspaces_bytes": workspaces_bytes,
        "job_caches": sorted(unused),
        "job_caches_bytes": sum(unused.values()),
        "runs": [left.run for left in runs],
        "runs_bytes": sum(left.size for left in runs),
        "kept_bytes": collected.kept_bytes,
        "limit_bytes": limit,
    }
    if args.json:
        output.say_json(document)
    elif not args.quiet:
        output.say(report.collected(document, output.style_for(sys.stdout, args)))
    return 0


def _duration_s(option: str, text: str) -> float:
    try:
        return quantity.duration_ms(text) / 1000
    except ValueError as error:
        raise usage_error(f"{option}: {error}") from None
