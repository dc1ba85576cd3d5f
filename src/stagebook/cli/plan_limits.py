"""`stagebook plan --limits`: what runs have used in the last days, against every cap. Starts and writes nothing."""

from __future__ import annotations

import sys
import time

from stagebook.cli import foreign, output, pipelines, place, trouble
from stagebook.cli.words import usage_error
from stagebook.formats.load import FOREIGN
from stagebook.model.problem import FAILED, OK
from stagebook.observe import cores
from stagebook.plan import limits, providers, recorded
from stagebook.report import limits as report
from stagebook.report import problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Callable

DAYS_MAX = 366
#: Reading is silent for so long, then says how far it is, that often.
QUIET_S = 1.0


def execute(args: Namespace) -> int:
    """0; 1 under `--check` if a line was crossed; InputError for wrong words, a wrong file or an unknown provider."""
    if not 1 <= args.days <= DAYS_MAX:
        raise usage_error(f"--days {args.days} is not from 1 to {DAYS_MAX}")
    file = pipelines.find(args.file, args.command)
    pipeline = foreign.load(args, file, place.cache_directory(args, file))
    name = args.provider or pipeline.limits.provider or (pipeline.format if pipeline.format in FOREIGN else None)
    pipeline = pipeline._replace(limits=pipeline.limits._replace(provider=name))
    provider = providers.of(pipeline)
    doubt = providers.problem(pipeline)
    if doubt is not None and not args.quiet:
        output.say(problems.render([trouble.near(doubt)], output.style_for(sys.stderr, args)), sys.stderr)
    asked = limits.Asked(time.time_ns() // 1000, args.days, cores.usable())
    tell = None if args.quiet else _progress()
    found = recorded.read(place.state_directory(args, file), pipeline.file, asked.since_us, asked.now_us, tell)
    document = limits.document(pipeline, found, provider, asked)
    if args.json:
        output.say_json(document)
    else:
        output.say(report.render(document, output.style_for(sys.stdout, args)))
    return FAILED if args.check and limits.crossed(document) else OK


def _progress() -> Callable[[int, int], None]:
    """Says on standard error how many journals are read, where that takes longer than one would wait in silence."""
    next_s = time.monotonic() + QUIET_S

    def tell(done: int, total: int) -> None:
        nonlocal next_s
        if time.monotonic() >= next_s:
            next_s = time.monotonic() + QUIET_S
            output.say([f"read {done} of {total} journals"], sys.stderr)

    return tell
