"""`stagebook plan`: what a pipeline would take under other job counts, and what to do. Starts nothing but a probe that
is asked for; writes nothing but what `--apply` is asked to. Its words are in `plan_words`, `--limits` in
`plan_limits`."""

from __future__ import annotations

import os
import sys

from stagebook.cli import foreign, output, pipelines, place, plan_words
from stagebook.cli.words import usage_error
from stagebook.model.problem import FAILED, OK, InputError, Problem, SurroundingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Callable, Mapping, TypeVar

    from stagebook.history.samples import Samples
    from stagebook.history.store import Voice
    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.arrivals import Party
    from stagebook.plan.forecast import Forecast
    from stagebook.plan.known import Known
    from stagebook.plan.streams import StreamKnown
    from stagebook.plan.suites import Suite
    from stagebook.plan.sweep import Sweep
    from stagebook.plan.whatif import Asked
    from stagebook.scheduler.plan import Choice

    Answer = TypeVar("Answer")

EXAMPLE = """
stagebook plan
stagebook plan --jobs 1,2,4,8
stagebook plan --change unit=0.5x --without docs
stagebook plan --scale service=50
stagebook plan --arrivals 30/h --shared runners=4 --with other.yaml
stagebook plan --accept lint->unit --apply
stagebook plan --limits --days 14 --check
stagebook plan --diff HEAD --max-slower 10%"""

OWN = ("jobs",)  #: a list here, and not the setting of that name
FORMATS = ("text", "json", "html")
SUITES_OF = 20  #: of so many runs at most the times of tests are looked at


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="default: the nearest stagebook.yaml upward, else the CI file"
    )
    parser.add_argument("--jobs", metavar="N,N…", help="the job counts to simulate; default: 1, 2, 4 … while of use")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the simulated runs; default: 0")
    parser.add_argument("--policy", choices=("strict", "lenient", "fail-fast"), help="as of `run`")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="set a parameter")
    for option, text in (
        ("--only", "of these alone; with --probe: run these alone, and plan all"),
        ("--from", "of these and all that need them"),
        ("--until", "of these and all that they need"),
        ("--skip", "not of these"),
    ):
        parser.add_argument(option, action="append", default=[], metavar="STAGE", help=text)
    parser.add_argument(
        "--probe", action="store_true", help="first run it once, 2 at once: what no sequential run can tell"
    )
    parser.add_argument("--yes", action="store_true", help="a probe may run what looks as if it acted outside")
    parser.add_argument("--optimise", metavar="SECONDS", help="comes with a later version")
    parser.add_argument(
        "--format", default="text", metavar="FORMAT", help="text (default), json or html; of --diff markdown"
    )
    parser.add_argument("-o", "--out", metavar="FILE", help="write to FILE instead of standard output")
    what = parser.add_argument_group("what if (a name is a stage, a matrix or a group)")
    what.add_argument(
        "--change", action="append", default=[], metavar="STAGE=TIME", help="it took so long: 3m, or 0.5x as long"
    )
    what.add_argument("--without", action="append", default=[], metavar="STAGE", help="it were gone")
    what.add_argument("--scale", action="append", default=[], metavar="NAME=N", help="there were N of it")
    load = parser.add_argument_group("many runs")
    load.add_argument(
        "--arrivals", action="append", default=[], metavar="RATE",
        help="so many runs come, by chance: 30/h, 2/m; given again: of the first --with, and so on",
    )  # fmt: skip
    load.add_argument("--shared", metavar="runners=N", help="runners that all runs share, each a machine of its own")
    load.add_argument(
        "--with", action="append", default=[], metavar="OTHER", help="runs of this file share them as well"
    )
    done = parser.add_argument_group("what to do about it")
    done.add_argument("--apply", action="store_true", help="write what is recommended into FILE, by small edits")
    done.add_argument(
        "--accept", action="append", default=[], metavar="A→B",
        help="vouch that B needs nothing of A, though nothing in the file says so; A->B does as well",
    )  # fmt: skip
    done.add_argument("--limits", action="store_true", help="use on record against each cap, and jobs to recommend")
    done.add_argument("--provider", metavar="NAME", help="whose cap on jobs at once holds, such as github-team")
    done.add_argument("--days", type=int, default=7, metavar="N", help="with --limits, days back; default: 7")
    done.add_argument(
        "--check", action="store_true",
        help="exit 1 if the sla is not met as the file stands; with --limits, if use went above the line of a cap",
    )  # fmt: skip
    changed = parser.add_argument_group("what a change of the file comes to")
    changed.add_argument("--diff", metavar="BASE", help="against a git revision or another file: edges, longest chain")
    changed.add_argument("--max-slower", metavar="TIME", help="with --diff, exit 1 if it is slower by more: 60s, 10%%")
    foreign.add_arguments(parser)


def execute(args: Namespace) -> int:
    """0; 1 under `--check` if the answer is no, or as the probe's run ended; InputError for wrong words, a wrong file
    or an unknown provider."""
    if args.max_slower is not None and args.diff is None:
        raise usage_error("--max-slower goes with --diff BASE")
    if args.diff is not None:
        from stagebook.cli import plan_diff

        return plan_diff.execute(args)
    if args.limits:
        from stagebook.cli import plan_limits

        return plan_limits.execute(args)
    format = _format(args)
    asked = plan_words.supposed(args)
    plan_words.check(args)
    file = pipelines.find(args.file, args.command)
    pipeline = foreign.load(args, file, place.cache_directory(args, file))
    pipelines.refuse_bad_conditions(pipeline)
    if args.check and pipeline.sla_ms is None:
        text = "--check asks whether the sla is met, and the file has none; add a line such as `sla: 15m`"
        raise InputError(text, [Problem(file, 0, 0, "sla", "error", text)])
    if args.apply and pipeline.format != "native":
        text = "--apply writes stagebook.yaml only; `stagebook patch` changes a file of a CI system"
        raise InputError(text, [Problem(file, 0, 0, "apply", "error", text)])
    _tell_unbuilt(args, pipeline)
    code = OK
    if args.probe:
        from stagebook.cli import plan_probe

        code = plan_probe.probe(args, pipeline, samples(args, pipeline))
    from stagebook.cli import plan_made
    from stagebook.cli.plan_voice import Patience

    with Patience(args):
        pipeline, made = plan_made.with_made(args, pipeline)
        told, met = _told(args, pipeline, asked)
    told["profile"]["assumed"] += made
    _say(args, format, told)
    return code or (FAILED if args.check and not met else OK)


def _told(args: Any, pipeline: Pipeline, asked: Asked | None) -> tuple[dict[str, Any], bool | None]:
    """The document, and whether the `sla` is met as the file stands."""
    from stagebook.plan import advise, document, known, reasons, sweep, workers
    from stagebook.scheduler import build, select

    jobs = plan_words.jobs(args.jobs)
    found, choice, unsaid, flows = _known(args, pipeline)
    if all(stage.skip is not None for stage in build.build(pipeline, choice).stages):
        raise select.refused(pipeline, "no stage is selected, so there is nothing to plan")
    if known.is_blank(pipeline, found):
        told = document.blank(pipeline, found, reasons.NOTHING_RECORDED.format(pipeline.format), known.unsaid(pipeline))
        return {**told, "together": _together(args, pipeline)}, None
    swept = sweep.sweep(pipeline, choice, found.basis, jobs)
    fitted = workers.rows(pipeline, choice, found, flows) if found.basis.items else []
    least_s = min(row.forecast.makespan_s for row in swept.rows)
    planned, after, wider = pipeline, None, []
    if wide := workers.best(fitted, least_s):
        planned, wider = wide.pipeline, workers.changes(pipeline, wide, least_s)
        after = sweep.sweep(planned, choice, found.basis, jobs or [each.jobs for each in fitted])
    accepted = plan_words.accepted(args.accept, pipeline)
    advised = advise.advise(planned, choice, found, after or swept, accepted, suites(args, pipeline), wider)
    if any(change.edges for change in advised.found.changes if not change.question):
        after = sweep.sweep(advised.pipeline, choice, found.basis, jobs)
        after = after if jobs else sweep.with_jobs(after, advised.pipeline, choice, found.basis, advised.found.jobs)
    elif not jobs:
        swept = sweep.with_jobs(swept, pipeline, choice, found.basis, advised.found.jobs)
    as_is = _as_is(args, pipeline, choice, found, swept)
    idle = known.idle(advised.pipeline, found, choice)
    told = document.document(pipeline, found, swept, advised, as_is=as_is, after=after, unsaid=unsaid, idle=idle)
    told["together"] = _together(args, pipeline)
    told["streams"] = _streams(args, pipeline, choice, flows)
    for stream in told["streams"]:
        stream["by_jobs"] = workers.plain(fitted, stream["stage"])
    told["what_if"] = None if asked is None else _what_if(args, pipeline, choice, found, asked, jobs, told)
    told["arrivals"] = _arrivals(args, pipeline, choice, found)
    if args.apply:
        from stagebook.cli import apply

        told["applied"] = apply.apply(pipeline, advised)
    sla_ms = pipeline.sla_ms
    return told, None if sla_ms is None or advised.met is None else as_is.p95_s * 1000 <= sla_ms


def _as_is(args: Any, pipeline: Pipeline, choice: Choice, found: Known, swept: Sweep) -> Forecast:
    """As `stagebook run` would run it, with no option that says otherwise."""
    from stagebook.plan.forecast import forecasts
    from stagebook.scheduler import build

    as_run = choice._replace(jobs=args.settings.jobs)
    count = build.jobs(build.build(pipeline, as_run))
    for row in swept.rows:
        if row.forecast.jobs == count:
            return row.forecast
    return forecasts(pipeline, [as_run], found.basis, runs=swept.sequential.draws)[0]


def _what_if(
    args: Any, pipeline: Pipeline, choice: Choice, found: Known, asked: Asked, jobs: list[int], told: Mapping[str, Any]
) -> dict[str, Any]:
    from stagebook.plan import document, known, sweep, whatif

    supposed = whatif.suppose(pipeline, found.profile, asked)
    gamma = found.calibration.gamma
    more = {id: gamma[of] for id, of in supposed.of.items() if of in gamma}
    taught = found.calibration._replace(gamma=more)
    changed = known.known_by(supposed.pipeline, supposed.profile, taught, found.cores, seed=args.seed)
    verdicts = found.basis.verdicts
    if verdicts is not None:
        at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
        places = [at[supposed.of[stage.id]] for stage in supposed.pipeline.stages]
        by_id = verdicts
        changed = changed._replace(basis=changed.basis._replace(verdicts=lambda stage: by_id(places[stage])))
    if found.basis.items:
        changed = changed._replace(basis=changed.basis._replace(items=found.basis.items, alone=found.basis.alone))
    choice = choice._replace(durations_ms=changed.durations_ms(supposed.pipeline))
    swept = sweep.sweep(supposed.pipeline, choice, changed.basis, jobs)
    return document.what_if(supposed, changed, swept, told, known.idle(supposed.pipeline, changed, choice))


def _arrivals(args: Any, pipeline: Pipeline, choice: Choice, found: Known) -> dict[str, Any] | None:
    others = vars(args)["with"]
    if not args.arrivals and args.shared is None and not others:
        return None
    from stagebook.plan import arrivals
    from stagebook.scheduler import build

    rates = [plan_words.per_h(text) for text in args.arrivals]
    mine = choice._replace(jobs=args.settings.jobs)
    rates += rates[:1] * (1 + len(others) - len(rates)) if rates else []
    parties = [arrivals.Party(pipeline, mine, found, rates[0] if rates else None)]
    for number, name in enumerate(others, 1):
        parties.append(_party(args, name, rates[number] if rates else None))
    if args.shared is not None:
        runners = plan_words.runners(args.shared)
    else:
        runners = build.jobs(build.build(pipeline, mine))
    own = args.shared is not None or found.profile.own_machines
    return dict(arrivals.document(arrivals.traffic(parties, runners, own, args.seed)))


def _party(args: Any, name: str, per_h: float | None) -> Party:
    from stagebook.plan.arrivals import Party

    file = pipelines.find(name)
    other = foreign.load(args, file, place.cache_directory(args, file))
    pipelines.refuse_bad_conditions(other)
    found, choice, _, _ = _known(args, other, is_other=True)
    return Party(other, choice, found, per_h)


# What is known ----------------------------------------------------------------------------------------------------


def _known(
    args: Any, pipeline: Pipeline, is_other: bool = False
) -> tuple[Known, Choice, list[str], Mapping[str, StreamKnown]]:
    """What is known of it, the choice to start from, what is to be said of both, and what is known of items."""
    from stagebook.cli import plan_items, run
    from stagebook.plan import known, streams

    choice, facts = run.govern(pipeline, _choice(pipeline) if is_other else _asked(args, pipeline))
    flows = plan_items.known(args, pipeline)
    past = samples(args, pipeline)
    choice, capped = _with_cap(args, pipeline, choice, None if past is None else past.recorded().system)
    found = known.known(
        pipeline, past, choice.cores, seed=args.seed,
        streams=streams.streams(pipeline, choice, flows) if flows else None,
    )  # fmt: skip
    unsaid = known.unsaid(pipeline) + capped + [flow.said for flow in flows.values() if flow.said]
    if facts is not None and any(stage.when is not None for stage in pipeline.stages):
        from stagebook.condition.court import Court

        court = Court(pipeline, facts)
        skipped: dict[int, str] = {}
        for index, (stage, profile) in enumerate(zip(pipeline.stages, found.profile.stages)):
            is_told = bool(args.param) and stage.when is not None and "params" in stage.when.text
            if stage.when is not None and not stage.changed and (is_told or not profile.ran):
                verdict = court.foresee(index)
                if verdict is not None and verdict.verdict == "skip":
                    skipped[index] = verdict.reason or "its condition does not hold"
        if skipped:
            verdicts = _Foreseen(skipped)
            found = found._replace(basis=found.basis._replace(verdicts=verdicts))
            unsaid += [f"{pipeline.stages[index].id} is taken not to run: {why}" for index, why in skipped.items()]
    return found, choice._replace(durations_ms=found.durations_ms(pipeline)), unsaid, flows


def _with_cap(args: Any, pipeline: Pipeline, choice: Choice, system: str | None) -> tuple[Choice, list[str]]:
    """Under the cap of the provider that the user names, else of that which has recorded the runs; and what is taken
    for granted with it."""
    from stagebook.plan import known

    is_here = system is None and known.has_jobs(pipeline)
    name = args.provider or (pipeline.format if system == "measured" or is_here else system)
    if name is None or (choice.cap is not None and args.provider is None):
        return choice, []
    from stagebook.plan import providers
    from stagebook.scheduler.plan import Cap

    table = providers.table(name, pipeline.folder)
    if table.jobs is None:
        said = f"no cap on jobs at once is known of {table.name}, so as many run as can; --provider names a table"
        return choice._replace(cap=Cap(table.name, max(1, len(pipeline.stages)), table.as_of)), [said]
    said = f"{table.jobs} jobs at once, the cap of {table.name} as of {table.as_of}; --provider names another"
    return choice._replace(cap=Cap(table.name, table.jobs, table.as_of)), [] if args.provider else [said]


class _Foreseen:
    """What conditions come to that can be told beforehand; all others are taken to hold."""

    def __init__(self, skipped: Mapping[int, str]) -> None:
        self._skipped = skipped

    def __call__(self, stage: int) -> tuple[str, str | None]:
        why = self._skipped.get(stage)
        return ("run", None) if why is None else ("skip", why)


def samples(args: Any, pipeline: Pipeline) -> Samples | None:
    """What the history holds of its latest runs; None where there is no history."""
    from stagebook.record import runs

    state = place.state_directory(args, pipeline.file)
    if not runs.ids(state) and not os.path.exists(os.path.join(state, "history.db")):
        return None
    from stagebook.cli.voice import voice
    from stagebook.history import samples

    return _past(state, lambda connection: samples.samples(connection, pipeline.file), voice(args))


def _together(args: Any, pipeline: Pipeline) -> list[dict[str, Any]]:
    """Pairs that overlapped in failed runs and seldom in others; none where there is no history."""
    state = place.state_directory(args, pipeline.file)
    if not os.path.isdir(state):
        return []
    from stagebook.history import together
    from stagebook.history.store import Voice

    return _past(state, lambda connection: together.of_file(connection, pipeline.file), Voice()) or []


def suites(args: Any, pipeline: Pipeline) -> list[Suite]:
    """The tests of its stages that are on record; none where there is no history."""
    state = place.state_directory(args, pipeline.file)
    if not os.path.isdir(state):
        return []
    from stagebook.history import suites as record
    from stagebook.history.store import Voice
    from stagebook.plan import suites

    return suites.suites(
        _past(state, lambda connection: record.of_stages(connection, pipeline.file, SUITES_OF), Voice()) or []
    )


def _streams(args: Any, pipeline: Pipeline, choice: Choice, flows: Mapping[str, StreamKnown]) -> list[dict[str, Any]]:
    """As `stagebook run` would run them, with no option that says otherwise."""
    from stagebook.plan import streams
    from stagebook.scheduler import build

    return streams.plain(build.build(pipeline, choice._replace(jobs=args.settings.jobs)), flows, choice.cores)


def _past(state: str, question: Callable[[Any], Answer], voice: Voice) -> Answer | None:
    """What the history says. Where its file cannot be written, a plan goes on with what the journals say; where not
    even that can be had, without, which is None. Either is said in one line."""
    from stagebook.history import store

    try:
        return store.ask(state, question, voice)
    except SurroundingsError as error:
        why = str(error)
    try:
        found = store.ask_without(state, question)
    except (SurroundingsError, OSError):
        voice.note(f"{why}; this plan is made without history")
        return None
    voice.note(f"{why}; the journals are read for this answer only")
    return found


def _asked(args: Any, pipeline: Pipeline) -> Choice:
    """What the options say beside the job counts. With a probe, `--only` is what is probed."""
    words = vars(args)
    choice = _choice(pipeline)
    params = dict(choice.params)
    for text in args.param:
        name, equals, value = text.partition("=")
        if not equals:
            raise usage_error(f"--param {text}: expected NAME=VALUE")
        params[name] = value
    return choice._replace(
        policy=args.settings.policy, params=tuple(params.items()), only=() if args.probe else tuple(args.only),
        from_=tuple(words["from"]), until=tuple(args.until), skip=tuple(args.skip),
    )  # fmt: skip


def _choice(pipeline: Pipeline) -> Choice:
    from stagebook.observe import cores
    from stagebook.plan import providers
    from stagebook.scheduler.plan import Choice

    params = tuple([(name, param.default) for name, param in pipeline.params.items() if param.default is not None])
    return Choice(
        cores=cores.usable(), params=params, cap=providers.cap_of(pipeline),
        memory_bytes=cores.memory_bytes() if any(stage.resources.memory_bytes for stage in pipeline.stages) else 0,
    )  # fmt: skip


def _tell_unbuilt(args: Any, pipeline: Pipeline) -> None:
    """What `run` would refuse for now is planned all the same."""
    if pipeline.unbuilt and not args.quiet:
        from stagebook.cli import trouble
        from stagebook.report import problems

        style = output.style_for(sys.stderr, args)
        output.say(problems.render([trouble.near(each) for each in pipeline.unbuilt], style), sys.stderr)


# What is said -----------------------------------------------------------------------------------------------------


def _format(args: Any) -> str:
    if args.format not in FORMATS:
        raise usage_error(f"unknown format '{args.format}', one of {', '.join(FORMATS)}")
    if args.json and args.format == "html":
        raise usage_error("--json and --format html are two documents; choose one")
    if args.optimise is not None:
        raise usage_error(
            "--optimise is not built yet: the proven optimum comes with a later version; without it `plan` simulates "
            "the order that `run` follows"
        )
    return "json" if args.json else str(args.format)


def _say(args: Any, format: str, told: dict[str, Any]) -> None:
    if format == "json":
        if args.out is None:
            output.say_json(told)
            return
        import json

        text = json.dumps(told) + "\n"
    elif format == "html":
        text = _page(told)
    else:
        from stagebook.report import plan as report

        style = output.style_for(sys.stdout, args)
        style.color = style.color and args.out is None
        text = "\n".join(report.render(told, style, is_open=args.verbose)) + "\n"
    if args.out is not None:
        output.write_file(args.out, text)
    else:
        output.say([text.rstrip("\n")])


def _page(told: dict[str, Any]) -> str:
    from stagebook.report.page import plan as page

    return page.render(told)
