"""`stagebook experiment`: a controlled comparison of ways to run a pipeline, and its report.

Words become a set-up here, and what could do harm when it is run many times is refused; how an experiment goes is
`study.experiment`.
"""

from __future__ import annotations

import os
import sys
import time

from stagebook.cli import output, pipelines, place
from stagebook.cli.words import usage_error
from stagebook.model.problem import FAILED, OK, InputError, Problem, SurroundingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Iterable

    from stagebook.model.pipeline import Pipeline, Stage
    from stagebook.plan.known import Known
    from stagebook.scheduler.plan import Choice, Plan
    from stagebook.study.arms import Arm
    from stagebook.study.experiment import Step
    from stagebook.study.proposal import Proposal

EXAMPLE = """
stagebook experiment --pairs 20 --seed 1
stagebook experiment --part unit,e2e
stagebook experiment --arm "two=-j 2" --arm "new=other.yaml -j 4"
stagebook experiment --resume
stagebook experiment report last"""

REPORT = "report"  #: in place of a FILE
PAIRS = 20
#: options of `run` that are the experiment's to give, or that make no sense in it
NOT_IN_ARMS = (
    "force", "watch", "dry_run", "failed_of", "resume", "again", "done", "accept_changes", "junit", "json", "quiet",
    "dir", "no_wait",
)  # fmt: skip


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help="default: the nearest stagebook.yaml; or `report`")
    parser.add_argument("id", nargs="?", metavar="ID", help="with `report`: which experiment; default: last")
    what = parser.add_argument_group("what is compared")
    what.add_argument(
        "--arm", action="append", default=[], metavar="NAME=OPTIONS",
        help="options of run, a FILE among them perhaps; default: sequential=--sequential and parallel=",
    )  # fmt: skip
    what.add_argument("--part", action="append", default=[], metavar="A,B", help="only these; needs are prepared once")
    what.add_argument("--skip", action="append", default=[], metavar="STAGE", help="leave it out of all runs")
    what.add_argument("--cache", choices=("cold", "warm"), default="cold", help="cold (default): nothing is up to date")
    what.add_argument(
        "--repeat", action="append", default=[], metavar="STAGE", help="may run many times, though it may act outside"
    )  # fmt: skip
    how = parser.add_argument_group("how")
    how.add_argument("--pairs", type=int, metavar="N", help=f"at most; default: {PAIRS}")
    how.add_argument("--seed", type=int, metavar="N", help="of the order of runs; default: chosen and told")
    how.add_argument(
        "--warm-up", type=int, default=1, metavar="N", help="runs of each arm that do not count; default: 1"
    )
    how.add_argument("--confidence", type=float, default=95, metavar="PERCENT", help="default: 95")
    how.add_argument("--resume", nargs="?", const="last", metavar="ID", help="go on with it; default: the last one")


def execute(args: Namespace) -> int:
    """0 whatever came out; 1 where an arm failed in all its runs; 128 + N where a signal ended it."""
    if args.file == REPORT and not os.path.exists(REPORT):
        return _show(args)
    if args.id is not None:
        raise usage_error(f"unexpected argument '{args.id}'", "stagebook experiment --help shows what is possible")
    _check(args)
    from stagebook.study import kept
    from stagebook.study.experiment import Experiment

    if args.resume is not None:
        directory = kept.resolve(place.state_directory(args, args.file), args.resume)
        _check_unchanged(kept.set_up_of(directory))
    else:
        directory = _begin(args)
    experiment = Experiment(directory, args.pairs if args.resume is not None else None)
    tell = Progress(args, experiment.set_up)
    document, signal = experiment.conduct(tell.tell)
    _answer(args, directory, document)
    if signal is not None and document["stopped"] == "interrupted":
        return 128 + signal
    return FAILED if document["fails_always"] else OK


def _check(args: Namespace) -> None:
    for option, value, least in (("pairs", args.pairs, 1), ("warm-up", args.warm_up, 0), ("seed", args.seed, 0)):
        if value is not None and value < least:
            raise usage_error(f"--{option} must be at least {least}, not {value}")
    if not 50 <= args.confidence < 100:
        raise usage_error(f"--confidence is a percentage from 50 to below 100, not {args.confidence:g}")
    if args.resume is not None:
        given = [
            f"--{name}" for name in ("arm", "part", "skip", "repeat", "seed") if getattr(args, name) not in (None, [])
        ]
        if given:
            raise usage_error(f"{given[0]}: an experiment keeps the set-up it began with; leave it out, or begin anew")


# Setting up -----------------------------------------------------------------------------------------------------


def _begin(args: Namespace) -> str:
    """A new experiment, checked as far as can be before anything runs; its directory."""
    from stagebook.record.clock import new_run_id, stamp
    from stagebook.study import arms, kept

    file = pipelines.find(args.file, args.command)
    split = [arms.split(text) for text in args.arm or arms.DEFAULT]
    arms.check([name for name, _, _ in split])
    asked = [(each, _options(each[0], each[2])) for each in split]
    part = [stage.strip() for text in args.part for stage in text.split(",") if stage.strip()]
    known = Knowledge(args)
    proposal = None
    if not (part or args.arm or args.file or args.skip):
        proposal = known.proposal(file)
        part = [] if proposal is None else list(proposal.stages)
        if not args.quiet:
            _tell_proposal(args, proposal)
    files = dict.fromkeys(os.path.abspath(found.file or file) for _, found in asked)
    repeated = _repeated(args.repeat, [known.pipeline(each) for each in files])
    made: list[dict[str, Any]] = []
    runs: list[list[str]] = []
    for (name, options, words), found in asked:
        arm = arms.Arm(name, options, tuple(words), os.path.abspath(found.file or file), found.file is not None,
                       tuple(found.param))  # fmt: skip
        choice = _choice(args, known.pipeline(arm.file), arm, found, part)
        runs.append(_check_arm(known.pipeline(arm.file), arm, choice, part, repeated))
        lacks, adds = arms.apart(runs[0], runs[-1])
        predicted = known.predicted(arm.file, choice)
        made.append({**arm._asdict(), "predicted_s": predicted, "lacks": lacks, "adds": adds})
    identity = new_run_id()
    return kept.begin(place.state_directory(args, file), identity, {
        "experiment": identity,
        "pipeline": known.pipeline(file).name,
        "file": file,
        "digests": {arm["file"]: known.pipeline(arm["file"]).digest for arm in made},
        "cwd": os.getcwd(),
        "arms": made,
        "part": part,
        "proposed": None if proposal is None else proposal._asdict(),
        "skip": list(args.skip),
        "cache": args.cache,
        "pairs": args.pairs or PAIRS,
        "seed": args.seed if args.seed is not None else int.from_bytes(os.urandom(3), "big"),
        "warm_up": args.warm_up,
        "confidence": args.confidence / 100,
        "machine": _machine(),
        "began": stamp(time.time_ns() // 1000),
    })  # fmt: skip


class Knowledge:
    """What is known of the files of all arms, each looked into once."""

    def __init__(self, args: Namespace) -> None:
        self._args = args
        self._pipelines: dict[str, Pipeline] = {}
        self._known: dict[str, Known] = {}

    def pipeline(self, file: str) -> Pipeline:
        from stagebook.cli.foreign import load

        if file not in self._pipelines:
            self._pipelines[file] = load(self._args, file, place.cache_directory(self._args, file))
            pipelines.refuse_bad_conditions(self._pipelines[file])
        return self._pipelines[file]

    def _of(self, file: str) -> Known:
        from stagebook.cli.plan import samples
        from stagebook.observe import cores
        from stagebook.plan import known
        from stagebook.record import runs

        if file not in self._known:
            pipeline = self.pipeline(file)
            told = None
            try:
                if runs.ids(place.state_directory(self._args, file)):
                    told = samples(self._args, pipeline)
            except SurroundingsError:
                pass  # it is measured anyway; without a history nothing is predicted
            self._known[file] = known.known(pipeline, told, cores.usable())
        return self._known[file]

    def proposal(self, file: str) -> Proposal | None:
        """The part to try; None where nothing is known, or the whole is that part."""
        from stagebook.cli.plan import _choice
        from stagebook.study import proposal

        pipeline = self.pipeline(file)
        found = proposal.propose(pipeline, _choice(pipeline), self._of(file))
        return None if found is None or len(found.stages) == len(pipeline.stages) else found

    def predicted(self, file: str, choice: Choice) -> float | None:
        from stagebook.study import proposal

        known = self._of(file)
        choice = choice._replace(durations_ms=known.durations_ms(self.pipeline(file)))
        return proposal.predict(self.pipeline(file), choice, known)


def _tell_proposal(args: Namespace, proposal: Proposal | None) -> None:
    from stagebook.report import experiment as report

    style = output.style_for(sys.stderr, args)
    output.say([style.plain(report.proposal(None if proposal is None else proposal._asdict()))], sys.stderr)


def _options(name: str, words: list[str]) -> Any:
    """What the words of an arm ask of `run`. Raises InputError."""
    from stagebook.cli import arguments, run

    try:
        asked = arguments.parse("run", "run", run, words)
    except InputError as error:
        raise usage_error(f"--arm {name}: {error}") from None
    except SystemExit:
        raise usage_error(f"--arm {name}: --help is no way to run a pipeline") from None
    for option in NOT_IN_ARMS:
        if getattr(asked, option) not in (None, False, []):
            hint = "--cache cold does that for all arms" if option == "force" else "leave it out"
            raise usage_error(f"--arm {name}: --{option.replace('_', '-')} does not go with an experiment; {hint}")
    return asked


def _choice(args: Namespace, pipeline: Pipeline, arm: Arm, asked: Any, part: list[str]) -> Choice:
    """What the arm's `run` will choose, as far as its options say."""
    from stagebook.cli.run import _params
    from stagebook.observe import cores
    from stagebook.plan import providers
    from stagebook.scheduler.plan import Choice

    return Choice(
        cores=cores.usable(), jobs=asked.settings.jobs if not asked.sequential else None, sequential=asked.sequential,
        policy=asked.policy, only=(*asked.only, *part), from_=tuple(getattr(asked, "from")), until=tuple(asked.until),
        skip=(*asked.skip, *args.skip), params=_params(list(arm.params), pipeline), cap=providers.cap_of(pipeline),
        memory_bytes=cores.memory_bytes() if any(stage.resources.memory_bytes for stage in pipeline.stages) else 0,
    )  # fmt: skip


def _check_arm(pipeline: Pipeline, arm: Arm, choice: Choice, part: list[str], repeated: set[str]) -> list[str]:
    """Refuse what `run` would refuse, and stages that should not run many times, or even once for what needs them. The
    stages that the arm runs."""
    from stagebook.graph.acting import may_outside
    from stagebook.graph.intent import outside
    from stagebook.scheduler.build import build

    chosen = _chosen(pipeline, build(pipeline, choice))
    if not chosen:
        raise InputError(f"arm {arm.name}: nothing is left to run")
    needed: list[Stage] = []
    if part:  # these too, for `run --until` prepares what the part needs
        before = choice._replace(only=(), from_=(), until=tuple(part), skip=(*part, *choice.skip))
        needed = _chosen(pipeline, build(pipeline, before))
    surely, acting = outside(pipeline), may_outside(pipeline)
    problems = []
    for stage, often in [*((stage, "many times") for stage in chosen), *((stage, "once") for stage in needed)]:
        is_gate = stage.kind == "gate"
        if not is_gate and (stage.id not in acting or stage.id in repeated):
            continue
        acts = "acts" if stage.id in surely else "may act"
        why = "it asks a person each time" if is_gate else f"it {acts} outside ({acting[stage.id]})"
        ways = f"--skip '{stage.id}' leaves it out, --part A,B takes a part without it"
        if not is_gate:
            ways += f", --repeat '{stage.id}' says that it may"
        text = f"an experiment would run `{stage.id}` {often}, and {why}: {ways}"
        problems.append(Problem(pipeline.file, stage.line, stage.col, "acts-outside", "error", text))
    if problems:
        raise InputError(problems[0].message, problems)
    return [stage.id for stage in chosen]


def _chosen(pipeline: Pipeline, plan: Plan) -> list[Stage]:
    return [stage for stage, planned in zip(pipeline.stages, plan.stages) if planned.skip is None]


def _repeated(names: list[str], pipelines: Iterable[Pipeline]) -> set[str]:
    """What `--repeat` names, in any of the files. Raises InputError for what is in none of them."""
    from stagebook.scheduler import select

    found = set()
    for name in names:
        refused = None
        known = False
        for pipeline in pipelines:
            try:
                found |= {pipeline.stages[at].id for at in select.named(pipeline, "--repeat", name)}
                known = True
            except InputError as error:
                refused = refused or error
        if refused is not None and not known:
            raise refused
    return found


def _check_unchanged(set_up: dict[str, Any]) -> None:
    from stagebook.formats.load import load

    for file, digest in set_up["digests"].items():
        if load(file, None).digest != digest:
            raise InputError(
                f"{file} has changed since experiment {set_up['experiment']} began, so its pairs cannot be put "
                "together; put it back, or begin a new experiment"
            )


def _machine() -> dict[str, Any]:
    from stagebook.observe import cores

    system = os.uname()
    return {
        "host": system.nodename,
        "cores": cores.usable(),
        "memory_bytes": cores.memory_bytes() or None,
        "system": f"{system.sysname} {system.release}",
        "python": sys.version.split()[0],
    }


# Telling --------------------------------------------------------------------------------------------------------


class Progress:
    """A line for each pair, on standard error."""

    def __init__(self, args: Namespace, set_up: dict[str, Any]) -> None:
        self._is_quiet = args.quiet
        self._style = output.style_for(sys.stderr, args)
        self._set_up = set_up
        self._say(f"experiment {set_up['experiment']}, seed {set_up['seed']}, at most {set_up['pairs']} pairs")
        from stagebook.study import betting

        least = betting.least_pairs((1 - set_up["confidence"]) / (len(set_up["arms"]) - 1))
        if set_up["pairs"] < least:
            self._say(f"note: fewer than {least} pairs never show a difference at {100 * set_up['confidence']:.4g} %")

    def tell(self, step: Step) -> None:
        from stagebook.report import experiment as report

        if step.result is not None:
            self._say(report.pair(step.result))
        elif step.kind == "prepares":
            self._say(f"prepares what {', '.join(self._set_up['part'])} needs")
        else:
            self._say(f"warm-up {step.pair} of {self._set_up['warm_up']}, not counted")

    def _say(self, text: str) -> None:
        from stagebook.report.harmless import harmless

        if not self._is_quiet:
            output.say([self._style.plain(harmless(text))], sys.stderr)
            sys.stderr.flush()


def _answer(args: Namespace, directory: str, document: dict[str, Any]) -> None:
    """The report for people beside the record, and the answer of the command."""
    from stagebook.report import experiment as report
    from stagebook.report.export import experiment as markdown
    from stagebook.report.page import experiment as page
    from stagebook.report.verdict import verdict
    from stagebook.study import kept

    paths = {"report": "report.html", "markdown": "report.md", "data": kept.PAIRS}
    document = {**document, "verdict": verdict(document)}
    document.update({name: os.path.join(directory, file) for name, file in paths.items()})
    kept.write(document["report"], page.render(document))
    kept.write(document["markdown"], markdown.render(document))
    if args.json:
        output.say_json(document)
    elif not args.quiet:
        output.say(report.render(document, output.style_for(sys.stdout, args)))


def _show(args: Namespace) -> int:
    """The report of an experiment once more, of one that goes on as far as it has come."""
    from stagebook.study import kept, result

    directory = kept.resolve(place.state_directory(args), args.id or "last")
    set_up = kept.set_up_of(directory)
    document = result.document(set_up, kept.read(directory), is_interrupted=not kept.goes_on(directory))
    _answer(args, directory, document)
    return FAILED if document["fails_always"] else OK
