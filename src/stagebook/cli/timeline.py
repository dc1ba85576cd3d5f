"""`stagebook timeline RUN`: what ran when, what waited for what; for people and for other programs. Of several runs, on
one time scale."""

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
stagebook timeline last --format html
stagebook timeline last --format svg -o timeline.svg
stagebook timeline 01M8AFCP 01M8AFDC
stagebook timeline last --format markdown >> "$GITHUB_STEP_SUMMARY\""""

EXPORTS = ("svg", "perfetto", "mermaid", "markdown", "csv", "junit", "otlp")
FORMATS = ("text", "html", *EXPORTS, "json")
PAGE = "report.html"
BESIDE = ("text", "html", "svg", "json")  #: what several runs can be shown in
PAGE_BESIDE = "side-by-side.html"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, its beginning, or last")
    parser.add_argument("others", nargs="*", metavar="RUN", help="more runs, below it on the same time scale")
    parser.add_argument("--format", default="text", metavar="FORMAT", help=f"one of {', '.join(FORMATS)}")
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE",
        help="write to FILE, - is standard output; html goes into the run's folder unless told otherwise",
    )


def execute(args: Namespace) -> int:
    _check(args)
    if args.others:
        return _beside(args)
    directory = place.run_directory(args, args.run)
    document = runs.document(directory)
    if args.format == "html":
        _page(args, directory, document)
        return 0
    if args.format in EXPORTS:
        _write(args, _export(args.format, directory, document))
        return 0
    if args.json or args.format == "json":
        import json

        lines = [json.dumps(document)]
    else:
        style = output.style_for(sys.stdout, args)
        lines = [*summary.picture(document, style), "", *summary.totals(document, style)]
    _say(args, lines)
    return 0


def _say(args: Namespace, lines: list[str]) -> None:
    if args.out not in (None, "-"):
        output.write_file(args.out, "\n".join(lines) + "\n")
    else:
        output.say(lines)


def _beside(args: Namespace) -> int:
    """Several runs on one time scale."""
    directories = [place.run_directory(args, run) for run in (args.run, *args.others)]
    documents = [runs.document(directory) for directory in directories]
    shorten = place.short_ids(place.state_directory(args))
    shorts = [shorten(document["run"]) for document in documents]
    if args.json or args.format == "json":
        import json

        from stagebook.report import beside

        told = [one._asdict() for one in beside.compared(documents, shorts)]
        _say(args, [json.dumps({"compared": told, "runs": documents})])
    elif args.format == "text":
        from stagebook.report import beside

        _say(args, beside.render(documents, shorts, output.style_for(sys.stdout, args)))
    elif args.format == "svg":
        from stagebook.report.export import beside as picture

        _write(args, picture.render(documents, shorts))
    else:
        from stagebook.report.page import beside as page

        _keep(args, os.path.join(directories[0], PAGE_BESIDE), page.render(documents, shorts))
    return 0


def _check(args: Namespace) -> None:
    if args.format not in FORMATS:
        near = nearest(args.format, list(FORMATS))
        meant = f", did you mean '{near}'?" if near else f", one of {', '.join(FORMATS)}"
        raise usage_error(f"unknown format '{args.format}'{meant}")
    if args.others and args.format not in BESIDE:
        raise usage_error(
            f"several runs side by side are one of {', '.join(BESIDE)}; --format {args.format} has one run"
        )
    if args.json and args.format in ("html", *EXPORTS):
        raise usage_error(f"--json prints one JSON document, --format {args.format} prints another; choose one")


def _page(args: Namespace, directory: str, document: dict[str, Any]) -> None:
    """The page of a run, by default into its folder, for its owner only: it quotes logs."""
    import time

    from stagebook.cli.quotes import quotes
    from stagebook.report.page import render

    short = place.short_ids(place.state_directory(args))(document["run"])
    far = place.from_here(args, os.getcwd(), document["file"], place.state_directory(args))
    parts = render.render(
        {**document, "from_here": far},
        _now_us(document),
        as_of_us=time.time_ns() // 1000,
        short=short,
        logs=quotes(document),
    )
    _keep(args, os.path.join(directory, PAGE), parts)


def _keep(args: Namespace, path: str, parts: list[str]) -> None:
    """A page, written to `path` unless told otherwise, for its owner only."""
    if args.out is not None:
        _write(args, parts)
        return
    try:
        _replace(path, "".join(parts).encode())
    except OSError as error:
        raise SurroundingsError(f"cannot write {path}: {error.strerror}; -o FILE writes elsewhere") from None
    output.say([path])


def _replace(path: str, data: bytes) -> None:
    """In one move, so that whoever has the page open never sees half of it."""
    draft = f"{path}.{os.getpid()}"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(data)
        os.rename(draft, path)
    except OSError:
        os.unlink(draft)
        raise


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
    if args.out in (None, "-"):
        sys.stdout.flush()
        for part in parts:
            sys.stdout.buffer.write(part.encode(encoding, escape))
        return
    try:
        with open(args.out, "w", encoding=encoding, errors=escape, newline="") as file:
            file.writelines(parts)
    except OSError as error:
        raise SurroundingsError(f"cannot write {args.out}: {error.strerror}") from None
