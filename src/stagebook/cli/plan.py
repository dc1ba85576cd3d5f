"""`stagebook plan`: what a pipeline would take under other job counts, and what to do. Starts nothing but a probe that
is asked for; writes nothing but what `--apply` is asked to. `--limits` is in `plan_limits`."""

from __future__ import annotations

import os
import sys

from stagebook.cli import output, pipelines, place
from stagebook.cli.words import usage_error
from stagebook.formats.native.read import load
from stagebook.model.problem import FAILED, OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from stagebook.history.samples import Samples
    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.suites import Suite
    from stagebook.scheduler.plan import Choice

EXAMPLE = """
stagebook plan
stagebook plan --jobs 1,2,4,8
stagebook plan --accept lint->unit --apply
stagebook plan --limits --days 14 --check"""

JOBS_MAX = 100_000
SUITES_OF = 20  #: of so many runs at most the times of tests are looked at


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help="default: the nearest stagebook.yaml upward")
    parser.add_argument("--jobs", metavar="N,N…", help="the job counts to simulate; default: 1, 2, 4 … while of use")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the simulated runs; default: 0")
    parser.add_argument("--apply", action="store_true", help="write what is recommended into FILE, by small edits")
    parser.add_argument(
        "--accept", action="append", default=[], metavar="A→B",
        help="vouch that B needs nothing of A, though nothing in the file says so; A->B does as well",
    )  # fmt: skip
    parser.add_argument("--limits", action="store_true", help="use on record against each cap, and jobs to recommend")
    parser.add_argument("--days", type=int, default=7, metavar="N", help="with --limits, days back; default: 7")
    parser.add_argument(
        "--check", action="store_true",
        help="exit 1 if the sla is not met as the file stands; with --limits, if use went above the line of a cap",
    )  # fmt: skip


def execute(args: Namespace) -> int:
    """0; 1 under `--check`; InputError for wrong words, a wrong file or an unknown provider."""
    if args.limits:
        from stagebook.cli import plan_limits

        return plan_limits.execute(args)
    from stagebook.plan import advise, document, known, sweep
    from stagebook.report import plan as report

    jobs = _jobs(args.jobs)
    file = pipelines.find(args.file)
    pipeline = load(file, place.cache_directory(args, file))
    pipelines.refuse_bad_conditions(pipeline)
    choice = _choice(pipeline)
    found = known.known(pipeline, samples(args, pipeline), choice.cores, seed=args.seed)
    choice = choice._replace(durations_ms=found.durations_ms(pipeline))
    swept = sweep.sweep(pipeline, choice, found.basis, jobs)
    advised = advise.advise(pipeline, choice, found, swept, _accepted(args.accept, pipeline), suites(args, pipeline))
    told = document.document(pipeline, found, swept, advised)
    if args.apply:
        from stagebook.cli import apply

        told["applied"] = apply.apply(pipeline, advised)
    if args.json:
        output.say_json(told)
    else:
        output.say(report.render(told, output.style_for(sys.stdout, args)))
    return FAILED if args.check and advised.met is False else OK


def samples(args: Any, pipeline: Pipeline) -> Samples | None:
    """What the history holds of its latest runs; None where there is no history."""
    state = place.state_directory(args, pipeline.file)
    if not os.path.isdir(state):
        return None
    from stagebook.cli.voice import voice
    from stagebook.history import samples, store

    return store.ask(state, lambda connection: samples.samples(connection, pipeline.file), voice(args))


def suites(args: Any, pipeline: Pipeline) -> list[Suite]:
    """The tests of its stages that are on record; none where there is no history."""
    state = place.state_directory(args, pipeline.file)
    if not os.path.isdir(state):
        return []
    from stagebook.cli.voice import voice
    from stagebook.history import store
    from stagebook.history import suites as record
    from stagebook.plan import suites

    return suites.suites(
        store.ask(state, lambda connection: record.of_stages(connection, pipeline.file, SUITES_OF), voice(args))
    )


def _jobs(text: str | None) -> list[int]:
    if text is None:
        return []
    counts = text.split(",")
    if not all(each.isascii() and each.isdigit() and 0 < int(each) <= JOBS_MAX for each in counts):
        raise usage_error(f"--jobs '{text}' is not a list of numbers from 1 to {JOBS_MAX}, such as 1,2,4,8")
    return [int(each) for each in counts]


def _accepted(words: list[str], pipeline: Pipeline) -> set[tuple[str, str]]:
    """The needs, directly or over others, that a person says are none."""
    ids = {stage.id for stage in pipeline.stages}
    found = set()
    for text in words:
        first, arrow, second = text.partition("→") if "→" in text else text.partition("->")
        pair = first.strip(), second.strip()
        if not arrow or not all(pair):
            raise usage_error(f"--accept '{text}' is not two stages with an arrow between them, such as lint->unit")
        for name in pair:
            if name not in ids:
                raise usage_error(f"--accept '{text}': {pipeline.file} has no stage `{name}`")
        found.add(pair)
    return found


def _choice(pipeline: Pipeline) -> Choice:
    from stagebook.observe import cores
    from stagebook.plan import providers
    from stagebook.scheduler.plan import Choice

    params = tuple((name, param.default or "") for name, param in pipeline.params.items())
    return Choice(
        cores=cores.usable(), params=params, cap=providers.cap_of(pipeline),
        memory_bytes=cores.memory_bytes() if any(stage.resources.memory_bytes for stage in pipeline.stages) else 0,
    )  # fmt: skip
