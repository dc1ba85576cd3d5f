"""`stagebook history rebuild, prune, export`: the index of all runs, made anew, cut down, or given to others."""

from __future__ import annotations

import os
import sys
import time

from stagebook.cli import output, place
from stagebook.cli.words import nearest, usage_error
from stagebook.model.problem import SurroundingsError
from stagebook.model.quantity import duration_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Iterable

    from stagebook.history.prune import Left, Old

EXAMPLE = """
stagebook history rebuild
stagebook history prune --older-than 90d --keep 100 --dry-run
stagebook history export --table attempts --format csv -o attempts.csv
stagebook history export --table stages --format parquet -o stages.parquet"""

ACTIONS = ("rebuild", "prune", "export")
_NAMED = 10  #: damaged journals and reports that are named
FORMATS = ("csv", "json", "parquet")
TABLES = ("runs", "stages", "attempts", "tests")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("action", metavar="ACTION", help=f"one of {', '.join(ACTIONS)}")
    parser.add_argument("--older-than", metavar="AGE", help="prune: runs that began longer ago, such as 90d")
    parser.add_argument("--keep", type=int, default=0, metavar="N", help="prune: but never the last N of a pipeline")
    parser.add_argument("--dry-run", action="store_true", help="prune: say what would go, and take nothing away")
    parser.add_argument("--format", default="csv", metavar="FORMAT", help=f"export: {', '.join(FORMATS)}; default: csv")
    parser.add_argument("--table", default="runs", metavar="TABLE", help=f"export: {', '.join(TABLES)}; default: runs")
    parser.add_argument("-o", "--out", metavar="FILE", help="export: write to FILE instead of standard output")


def execute(args: Namespace) -> int:
    """0; InputError for wrong words, SurroundingsError for what cannot be written."""
    _one_of("action", args.action, ACTIONS)
    state = place.state_directory(args)
    if args.action == "rebuild":
        return _rebuild(args, state)
    if args.action == "prune":
        return _prune(args, state)
    return _export(args, state)


def _one_of(what: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        near = nearest(word, list(known))
        meant = f", did you mean '{near}'?" if near else f", one of {', '.join(known)}"
        raise usage_error(f"unknown {what} '{word}'{meant}")


def _rebuild(args: Namespace, state: str) -> int:
    from stagebook.cli.voice import voice
    from stagebook.history import durations, store

    if not os.path.isdir(state):
        raise SurroundingsError(f"there is no {state}, so no history to make")
    began = time.monotonic()
    reports: list[str] = []
    says = voice(args)
    count, damaged = store.rebuild(state, store.Voice(says.note, says.progress, reports.append))
    files = store.ask(state, lambda connection: durations.renew(connection, os.path.join(state, "cache")), says)
    path = os.path.join(state, store.NAME)
    if args.json:
        output.say_json({
            "path": path, "runs": count, "seconds": round(time.monotonic() - began, 3), "files": files,
            "damaged": damaged, "unread": reports,
        })  # fmt: skip
    elif not args.quiet:
        from stagebook.report.durations import plural, span
        from stagebook.report.harmless import harmless

        lines = [f"{path} made anew from {plural(count, 'run')} in {span(time.monotonic() - began)}"]
        if damaged:
            named = ", ".join(damaged[:_NAMED]) + (", …" if len(damaged) > _NAMED else "")
            lines.append(f"{plural(len(damaged), 'journal')} damaged, left out of all figures: {named}")
        if reports:
            lines.append(f"{plural(len(reports), 'JUnit report')} not read to the end:")
            lines += [f"  {harmless(text)}" for text in reports[:_NAMED]]
            lines += ["  …"] if len(reports) > _NAMED else []
        output.say(lines)
    return 0


def _prune(args: Namespace, state: str) -> int:
    from stagebook.cli.voice import voice
    from stagebook.history import prune, store

    if args.older_than is None:
        raise usage_error("history prune needs --older-than, such as --older-than 90d")
    try:
        age_ms = duration_ms(args.older_than)
    except ValueError as error:
        raise usage_error(f"--older-than: {error}") from None
    if args.keep < 0:
        raise usage_error(f"--keep {args.keep} is below 0")
    before_us = time.time_ns() // 1000 - age_ms * 1000

    def question(connection: Any) -> tuple[list[Old], list[Left]]:
        old, left = prune.choose(connection, state, before_us, args.keep)
        if not args.dry_run:
            left = left + prune.remove(connection, state, old, _told(args))
        return old, left

    old, left = store.ask(state, question, voice(args), is_change=not args.dry_run)
    stayed = {one.run for one in left}
    gone = [one for one in old if one.run not in stayed]
    if args.json:
        output.say_json({
            "dry_run": args.dry_run,
            "removed": [{"run": one.run, "pipeline": one.pipeline, "directory": one.is_there} for one in gone],
            "left": [one._asdict() for one in left],
        })  # fmt: skip
    else:
        _say_pruned(args, gone, left)
    return SurroundingsError.exit if any("cannot remove" in one.why for one in left) else 0


def _told(args: Namespace) -> Any:
    from stagebook.cli.voice import progress

    return (lambda done, total: None) if args.quiet else progress("removed", "runs")


def _say_pruned(args: Namespace, gone: list[Old], left: list[Left]) -> None:
    from stagebook.report.durations import plural
    from stagebook.report.harmless import harmless

    style = output.style_for(sys.stdout, args)
    lines = [f"{one.run} stays: {harmless(one.why)}" for one in left]
    if args.dry_run:
        lines += [f"{one.run} {harmless(one.pipeline or '')}".rstrip() for one in gone]
    if not args.quiet:
        verb = "would go" if args.dry_run else "removed"
        lines.append(f"{plural(len(gone), 'run')} {verb}")
    output.say([style.plain(line) for line in lines])


# Export -----------------------------------------------------------------------------------------------------------


def _export(args: Namespace, state: str) -> int:
    from stagebook.cli.voice import voice
    from stagebook.history import export, store

    _one_of("format", args.format, FORMATS)
    _one_of("table", args.table, TABLES)
    if args.json and args.format not in ("json", "csv"):
        raise usage_error(f"--json prints one JSON document, --format {args.format} prints another; choose one")
    if args.format == "parquet" and args.out is None:
        raise usage_error("--format parquet is for files; name one with -o FILE")

    times = 0

    def question(connection: Any) -> None:
        nonlocal times
        times += 1
        if times > 1 and args.out is None:  # what was given out before the damage was found cannot be taken back
            raise SurroundingsError("the history was damaged and is made anew; export it again")
        if args.format == "parquet":
            export.write_parquet(connection, args.table, args.out)
            return
        from stagebook.report.export import table

        names = [column.name for column in export.columns(args.table)]
        rows = export.rows(connection, args.table)
        if args.json or args.format == "json":
            _write(args, table.render_json(args.table, names, rows))
        else:
            _write(args, table.render_csv(names, rows))

    try:
        store.ask(state, question, voice(args))
    except OSError as error:
        if args.out is None or error.filename not in (args.out, None):
            raise
        raise SurroundingsError(f"cannot write {args.out}: {error.strerror or error}") from None
    return 0


def _write(args: Namespace, parts: Iterable[str]) -> None:
    """As UTF-8, whatever the locale."""
    if args.out is None:
        sys.stdout.flush()
        for part in parts:
            sys.stdout.buffer.write(part.encode("utf-8", "backslashreplace"))
        return
    try:
        with open(args.out, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.writelines(parts)
    except OSError as error:
        raise SurroundingsError(f"cannot write {args.out}: {error.strerror}") from None
