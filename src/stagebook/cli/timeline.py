"""`stagebook timeline RUN`: what ran when, what waited for what; for people and for other programs."""

from __future__ import annotations

import os
import sys

from stagebook.cli import output, place
from stagebook.cli.words import nearest, usage_error
from stagebook.model.problem import SurroundingsError
from stagebook.record import runs
from stagebook.report import summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Iterable

EXAMPLE = """
stagebook timeline last
stagebook timeline last --ascii > timeline.txt
stagebook timeline last --format svg -o timeline.svg
stagebook timeline last --format markdown >> "$GITHUB_STEP_SUMMARY\""""

EXPORTS = ("svg", "perfetto", "mermaid", "markdown", "csv", "junit", "otlp")
FORMATS = ("text", *EXPORTS, "json")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, its beginning, or last")
    parser.add_argument("--format", default="text", metavar="FORMAT", help=f"one of {', '.join(FORMATS)}")
    parser.add_argument("-o", "--out", metavar="FILE", help="write to FILE instead of standard output")


def execute(args: Namespace) -> int:
    _check(args)
    directory = place.run_directory(args, args.run)
    document = runs.document(directory)
    if args.format in EXPORTS:
        _write(args, _export(args.format, directory, document))
        return 0
    if args.json or args.format == "json":
        import json

        lines = [json.dumps(document)]
    else:
        style = output.style_for(sys.stdout, args)
        lines = [*summary.picture(document, style), "", *summary.totals(document, style)]
    if args.out is not None:
        output.write_file(args.out, "\n".join(lines) + "\n")
    else:
        output.say(lines)
    return 0


def _check(args: Namespace) -> None:
    if args.format == "html":
        raise usage_error(f"timeline --format html comes in a later version; {', '.join(FORMATS)} are here")
    if args.format not in FORMATS:
        near = nearest(args.format, list(FORMATS))
        meant = f", did you mean '{near}'?" if near else f", one of {', '.join(FORMATS)}"
        raise usage_error(f"unknown format '{args.format}'{meant}")
    if args.json and args.format in EXPORTS:
        raise usage_error(f"--json prints one JSON document, --format {args.format} prints another; choose one")


def _export(format: str, directory: str, document: dict[str, Any]) -> Iterable[str]:
    module = __import__(f"stagebook.report.export.{format}", fromlist=("render",))
    more: dict[str, Any] = {}
    if format == "perfetto":
        from stagebook.record import growth

        more["growth"] = growth.read(os.path.join(directory, "logs"))
    if format == "otlp":
        from stagebook.record import trace

        more["span_of"] = trace.span
    if format == "junit":
        from stagebook.cli import junit, show

        more["tail"] = junit.tail(show.log_paths(document))
    text: Iterable[str] = module.render(document, _now_us(document), **more)
    return text


def _now_us(document: dict[str, Any]) -> int | None:
    """How far a run that goes on has come, on its own clock, which stood still while no engine held it."""
    if document.get("state") != "running":
        return None
    import time

    from stagebook.report.rows import instants

    read = instants()
    last = max(
        [(attempt["started"], attempt["from_s"]) for stage in document["stages"] for attempt in stage["attempts"]],
        default=(document["started"], 0.0),
    )
    return max(0, time.time_ns() // 1000 - read(last[0]) + round(last[1] * 1e6))


def _write(args: Namespace, parts: Iterable[str]) -> None:
    """As UTF-8, whatever the locale: that is what these formats are in. `--ascii` leaves escapes of the rest."""
    escape = "xmlcharrefreplace" if args.format in ("svg", "junit") else "backslashreplace"
    encoding = "ascii" if args.ascii else "utf-8"
    if args.out is None:
        sys.stdout.flush()
        for part in parts:
            sys.stdout.buffer.write(part.encode(encoding, escape))
        return
    try:
        with open(args.out, "w", encoding=encoding, errors=escape, newline="") as file:
            file.writelines(parts)
    except OSError as error:
        raise SurroundingsError(f"cannot write {args.out}: {error.strerror}") from None
