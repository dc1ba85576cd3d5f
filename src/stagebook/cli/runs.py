"""`stagebook runs`: the runs on record, newest first; those that fit; how pipelines go."""

from __future__ import annotations

import os
import sys
import time
from itertools import islice

from stagebook.cli import output, place
from stagebook.cli.words import nearest, usage_error
from stagebook.model.outcome import OUTCOMES
from stagebook.record import runs
from stagebook.record.clock import stamp
from stagebook.record.state import journal_path, run_directory
from stagebook.report import listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Mapping

    from stagebook.history.queries import Found, Wanted

EXAMPLE = """
stagebook runs
stagebook runs --limit 5 --json
stagebook runs --pipeline release --outcome failure --since 7d
stagebook runs --stage unit --limit 10
stagebook runs --trend"""

TEXT_LIMIT = 20


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-n", "--limit", type=int, metavar="N",
        help="the newest N only; default: 20 as text, all as JSON; of a trend the last N, default: 30",
    )  # fmt: skip
    parser.add_argument("--pipeline", metavar="NAME", help="runs of this pipeline")
    parser.add_argument("--outcome", metavar="WORD", help=f"runs that ended so: {', '.join(OUTCOMES)}")
    parser.add_argument("--since", metavar="WHEN", help="runs that began since then: 7d (so long ago), or 2026-11-25")
    parser.add_argument("--until", metavar="WHEN", help="runs that began before then; of a date, before its end")
    parser.add_argument("--stage", metavar="STAGE", help="runs that had this stage, and how it did in each")
    parser.add_argument("--trend", action="store_true", help="how each pipeline goes, instead of its runs")


def execute(args: Namespace) -> int:
    if args.limit is not None and args.limit < 0:
        raise usage_error(f"--limit {args.limit} is below 0")
    state = place.state_directory(args)
    named = (args.pipeline, args.outcome, args.since, args.until, args.stage)
    if args.trend:
        return _trend(args, state)
    if any(word is not None for word in named):
        return _fitting(args, state)
    limit = args.limit if args.limit is not None else None if args.json else TEXT_LIMIT
    found = list(islice(runs.summaries(state), limit))
    if args.json:
        output.say_json({"runs": found})
    else:
        more = 0
        if limit is not None:
            older = [run for run in runs.ids(state) if not found or run < found[-1]["run"]]
            more = sum(os.path.exists(journal_path(run_directory(state, run))) for run in older)
        near = "" if found else runs.elsewhere(state)
        if near:
            output.say([f"no runs in {state} yet{near}"])
        else:
            output.say(listing.render(found, output.style_for(sys.stdout, args), place.short_ids(state), more))
    return 0


def _fitting(args: Namespace, state: str) -> int:
    """The history says which runs fit; what is told of each is what a list without filters tells."""
    from stagebook.cli.voice import voice
    from stagebook.history import queries, store

    wanted = _wanted(args)
    limit = args.limit if args.limit is not None else None if args.json else TEXT_LIMIT
    found: Found = store.ask(state, lambda connection: queries.find(connection, wanted, limit), voice(args))
    _check_names(wanted, found.pipelines, found.stages)
    told = [_told(state, row) for row in found.rows]
    if args.json:
        output.say_json({"runs": told})
        return 0
    style = output.style_for(sys.stdout, args)
    if not told and not found.total:
        output.say(["no run fits"])
        return 0
    short = place.shortener([*runs.ids(state), *(run["run"] for run in told)])
    output.say(listing.render(told, style, short, found.total - len(told), wanted.stage))
    return 0


def _trend(args: Namespace, state: str) -> int:
    from stagebook.cli.voice import voice
    from stagebook.history import figures, queries, store
    from stagebook.report import trend

    wanted = _wanted(args)
    if args.outcome is not None:
        raise usage_error("--trend is of all outcomes; leave --outcome out")
    lately = args.limit if args.limit is not None else queries.LATELY

    def question(connection: Any) -> tuple[list[dict[str, Any]], list[str], list[str]]:
        told = queries.trend(connection, wanted, lately)
        if told:
            return told, [], []
        names = queries.stage_names(connection) if wanted.stage is not None else []
        return [], queries.pipelines(connection), names

    told, pipelines, stages = store.ask(state, question, voice(args))
    _check_names(wanted, pipelines, stages)
    if args.json:
        output.say_json({"trend": told, "enough": figures.ENOUGH})
    else:
        output.say(trend.render(told, output.style_for(sys.stdout, args), figures.ENOUGH))
    return 0


def _wanted(args: Namespace) -> Wanted:
    from stagebook.cli.voice import moment_us
    from stagebook.history.queries import Wanted

    if args.outcome is not None and args.outcome not in OUTCOMES:
        near = nearest(args.outcome, list(OUTCOMES))
        meant = f", did you mean '{near}'?" if near else f", one of {', '.join(OUTCOMES)}"
        raise usage_error(f"unknown outcome '{args.outcome}'{meant}")
    now_us = time.time_ns() // 1000
    since_us = None if args.since is None else moment_us("--since", args.since, now_us)
    until_us = None if args.until is None else moment_us("--until", args.until, now_us, whole_day=True)
    return Wanted(args.pipeline, args.outcome, since_us, until_us, args.stage)


def _check_names(wanted: Wanted, pipelines: list[str], stages: list[str]) -> None:
    """Where nothing fits, whether that is because of a name that is on no record. Raises InputError."""
    if pipelines and wanted.pipeline is not None and wanted.pipeline not in pipelines:
        raise unknown("pipeline", wanted.pipeline, pipelines)
    if stages and wanted.stage is not None and wanted.stage not in stages:
        raise unknown("stage", wanted.stage, stages)


def unknown(kind: str, name: str, known: list[str]) -> Exception:
    """That a name is on no record, with what is near: the cells where it is that of a matrix."""
    cells = [one for one in known if one.startswith(f"{name}[")]
    if cells:
        more = ", …" if len(cells) > 3 else ""
        return usage_error(f"{kind} `{name}` has {len(cells)} cells on record: {', '.join(cells[:3])}{more}")
    near = nearest(name, known)
    return usage_error(f"no {kind} `{name}` is on record" + (f", did you mean `{near}`?" if near else ""))


def _told(state: str, row: Mapping[str, Any]) -> dict[str, Any]:
    summary = runs.summarise(run_directory(state, row["run"])) or _remembered(row)
    if row["damaged"] is not None:
        summary = summary | {"outcome": None, "state": "damaged", "warnings": [row["damaged"]]}
    if row.get("stage_stage") is None:
        return summary
    return summary | {
        "stage": {
            "stage": row["stage_stage"],
            "outcome": row["stage_outcome"],
            "reason": row["stage_reason"],
            "wall_s": _seconds(row["stage_wall_us"]),
            "wait_s": _seconds(row["stage_wait_us"]),
        }
    }


def _remembered(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the history knows of a run whose directory is gone."""
    names = ("pipeline", "outcome", "reason", "mode", "jobs", "policy", "file", "max_parallel")
    return runs.remembered(
        row["run"],
        **{name: row[name] for name in names},
        **{name: None if row[f"{name}_us"] is None else stamp(row[f"{name}_us"]) for name in ("started", "finished")},
        **{f"{name}_s": _seconds(row[f"{name}_us"]) for name in ("wall", "critical_path", "sum", "cpu")},
    )


def _seconds(us: int | None) -> float | None:
    return None if us is None else us / 1e6
