"""`stagebook run`: reads the pipeline, makes the plan, starts or resumes the run, shows it, exits as it ended."""

from __future__ import annotations

import os
import sys
import time

from stagebook.cli import foreign, imported
from stagebook.cli import place as places
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import SURROUNDINGS, InputError, Problem, SurroundingsError
from stagebook.record import durations, state
from stagebook.record.story import Story
from stagebook.scheduler.plan import Choice, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, Iterable, Iterator

    from stagebook.condition.facts import Facts
    from stagebook.engine import resume
    from stagebook.notify.beginning import Beside

_COMPARED_S = 0.5

EXAMPLE = """\
stagebook run stagebook.yaml -j 4
stagebook run --sequential --only unit --json
stagebook run --resume last
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help="default: stagebook.yaml, found upward from here")
    how = parser.add_argument_group("how it runs")
    how.add_argument("-j", "--jobs", metavar="N", help="stages at once; default: the usable cores, at least 2")
    how.add_argument("--sequential", action="store_true", help="one at a time, in file order where needs allow")
    how.add_argument("--policy", choices=("strict", "lenient", "fail-fast"), help="what a failure does to the rest")
    how.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="set a parameter")
    how.add_argument("--base", metavar="REV", help="what `changed` counts from; default: the default branch")
    how.add_argument("--force", action="store_true", help="nothing is up to date")
    how.add_argument(
        "--watch", action="store_true", help="run, then again what a change of files concerns, until Ctrl-C"
    )
    how.add_argument("--dry-run", action="store_true", help="say what would run, in which order, and start nothing")
    which = parser.add_argument_group("which stages")
    for option, text in (
        ("--only", "exactly these; their needs are taken as done"),
        ("--from", "these and all that need them"),
        ("--until", "these and all that they need"),
        ("--skip", "not these"),
    ):
        which.add_argument(option, action="append", default=[], metavar="STAGE", help=text)
    which.add_argument("--failed-of", metavar="RUN", help="what did not succeed in that run, and all that needs it")
    which.add_argument("--dead-of", metavar="RUN", help="of items only those that failed for good in that run")
    again = parser.add_argument_group("going on with a run")
    again.add_argument("--resume", nargs="?", const="", metavar="RUN", help="default: the latest that can go on")
    for option, text in (
        ("--again", "run this stage, which asks, again"),
        ("--done", "take this stage, which asks, as done"),
    ):
        again.add_argument(option, action="append", default=[], metavar="STAGE", help=text)
    again.add_argument("--accept-changes", action="store_true", help="run changed stages and their dependents again")
    shown = parser.add_argument_group("what is shown")
    shown.add_argument(
        "--output", choices=("group", "interleave", "fail-only"), help="which output of stages; default: fail-only"
    )
    shown.add_argument("--junit", metavar="FILE", help="write the stages as JUnit XML, however the run ends")
    parser.add_argument("--no-wait", action="store_true", help="exit 3 instead of waiting for a person")
    parser.add_argument("--yes", action="store_true", help="trust an imported file")
    foreign.add_arguments(parser)
    imported.add_arguments(parser)


def execute(args: argparse.Namespace) -> int:
    from stagebook.cli import pipelines

    if args.resume is None:
        _refuse_words_of_resume(args)
    if args.watch:
        from stagebook.cli import watch

        return watch.execute(args)
    if args.resume and args.file is None and os.path.isfile(args.resume):
        args.file, args.resume = args.resume, ""  # `run --resume FILE`: no run has the name of a file
    if args.resume and args.file is None:  # which file it is of stands in its journal
        from stagebook.record import runs

        place = state.locate(None, None, os.getcwd(), args.settings.dir, os.environ)
        named = os.path.basename(runs.resolve(place, args.resume))
        _refuse_choices(args, named)
        return _resume(args, place, named)
    file = pipelines.find(args.file, args.command)
    place = places.state_directory(args, file)
    if args.resume is not None:
        run = _to_resume(args, place, file)
        if run is not None:
            return _resume(args, place, run)
        if args.again or args.done:
            raise InputError(f"no run of {file} can go on, so `{(args.again + args.done)[0]}` waits for no answer")
    return _begin(args, file, place)


def _begin(args: argparse.Namespace, file: str, place: str) -> int:
    """A new run of a file, or what one would do."""
    from stagebook.cli import pipelines
    from stagebook.formats.native import read

    if not args.dry_run:
        state.make(place)
    cache = os.path.join(place, "cache")
    loaded = imported.load_plain(args, file, cache if os.path.isdir(place) else None)
    _refuse_unbuilt(loaded.pipeline)
    pipelines.refuse_bad_conditions(loaded.pipeline)
    _tell_problems(args, loaded.pipeline)
    choice = imported.chosen(args, loaded.pipeline, _choice(args, loaded.pipeline, place, cache))
    if args.failed_of is not None:
        from stagebook.cli import made

        loaded, choice = made.begun_with(loaded, choice, place, args.failed_of)
    choice, facts = govern(loaded.pipeline, choice)
    from stagebook.scheduler.build import build

    plan = build(loaded.pipeline, choice)
    if loaded.pipeline.local:
        unknown = imported.refuse_unplayable(loaded.pipeline, plan, facts)
        if unknown and not args.quiet:
            _tell(args, unknown)
    if args.dry_run:
        from stagebook.cli import rehearsal

        return rehearsal.show(args, loaded.pipeline, plan, choice, facts)
    if loaded.pipeline.secrets and not args.quiet:
        _tell_unset(args, loaded.pipeline, plan)
    from stagebook.cli import trust
    from stagebook.engine import launch

    trust.require(args, loaded.pipeline)
    plain = loaded.plain.decode("ascii")
    pipeline = loaded.pipeline
    _begin_exports(args)
    with Show(args, cache, plan) as show:
        try:
            ways = launch.with_secrets(show.ways(facts), pipeline, plan, choice)
            if pipeline.secrets:
                read.keep(loaded, cache)
            del loaded
            result = launch.start(pipeline, plain, choice, plan, place, ways, show.watch)
        except InputError:
            if pipeline.secrets:  # of which one stands in the file
                from stagebook.formats.native import cache as plans

                plans.forget(cache, pipeline.digest, pipeline.file)
            raise
        return show.finish(result)


#: What makes the choice of a run, by the names of options: a run that goes on has made its own.
_CHOICES = (
    "jobs", "sequential", "policy", "param", "force", "only", "from", "until", "skip", "failed_of", "dead_of",
    "event", "ref", "var", "input", "include", *imported.OPTIONS,
)  # fmt: skip


def _given(args: argparse.Namespace, names: tuple[str, ...]) -> list[str]:
    return ["--" + name.replace("_", "-") for name in names if args.__dict__[name]]


def _refuse_words_of_resume(args: argparse.Namespace) -> None:
    """What is said of a run that is gone on with means nothing to a new one."""
    said = _given(args, ("again", "done", "accept_changes"))
    if said:
        from stagebook.cli.words import usage_error

        goes = "goes" if len(said) == 1 else "go"
        raise usage_error(f"{' and '.join(said)} {goes} with --resume", "stagebook run --help shows what is possible")


def _refuse_choices(args: argparse.Namespace, run: str) -> None:
    if given := ", ".join(_given(args, _CHOICES)):
        from stagebook.cli.words import usage_error

        raise usage_error(f"{given}: run {run} keeps the choice it began with; leave it out, or leave out --resume")


def _resume(args: argparse.Namespace, place: str, run: str) -> int:
    from stagebook.record import runs

    directory = state.run_directory(place, run)
    summary = runs.summarise(directory)
    if summary is not None and summary["state"] == "ended" and not runs.can_go_on(summary):
        return _show_again(args, runs.document(directory))
    from stagebook.engine import resume

    cache = os.path.join(place, "cache")
    change = None
    if summary is not None:
        if summary["state"] != "running" and not summary.get("measured"):
            runs.refuse_other_rules(directory)
        pipeline, change = _change(state.journal_path(directory), summary["file"], cache, args.accept_changes)
        if not args.dry_run:
            from stagebook.cli import trust

            trust.require(args, pipeline)
    asked = resume.Asked(tuple(args.again), tuple(args.done))
    if args.dry_run:
        from stagebook.cli import rehearsal

        return rehearsal.show_resume(args, run, resume.foresee(place, run, asked, change))
    _begin_exports(args)
    with Show(args, cache, None, is_replanned=change is not None) as show:
        return show.finish(resume.resume(place, run, show.ways(), show.watch, asked, change))


def _begin_exports(args: argparse.Namespace) -> None:
    """What cannot be written is said before anything runs."""
    if args.junit is not None:
        from stagebook.cli import junit

        junit.begin(args.junit)


def _send_spans(args: argparse.Namespace, story: Story) -> None:
    setting = args.settings.otlp_endpoint
    if setting is None and not any(name.startswith("OTEL_EXPORTER_OTLP_") for name in os.environ):
        return
    from stagebook.cli import output, telemetry

    where = telemetry.endpoint(setting, os.environ)
    if where is not None:
        output.flush()  # what there is to read need not wait for a collector
        why = telemetry.send(story.document(), where, story.traceparent)
        if why is not None:
            output.say([f"warning: {why}"], sys.stderr)


def _write_junit(path: str, document: dict[str, Any], code: int) -> int:
    """The run is over and stays what it is, whatever becomes of a file that tells of it. The exit status: `code`, or
    that the surroundings failed where that is all that did."""
    from stagebook.cli import junit, output, show

    try:
        junit.write(path, document, show.log_paths(document))
    except SurroundingsError as error:
        again = f"the record is whole: stagebook timeline {document['run']} --format junit"
        output.say([f"warning: {error}; {again}"], sys.stderr)
        return code or SURROUNDINGS
    return code


def _change(journal: str, file: str, cache: str, is_accepted: bool) -> tuple[Pipeline, resume.Change | None]:
    """What is to run, and what has changed in it since the run began. The journal holds the plan, so to go on by
    another one must be a decision: InputError where it was not taken."""
    from stagebook.engine import resume
    from stagebook.model import changes, joining
    from stagebook.record import reader, retelling

    before = retelling.retell(reader.read(journal), journal)
    loaded = imported.again(before.pipeline, cache)
    if (loaded.pipeline.digest, loaded.pipeline.files) == (before.pipeline.digest, before.pipeline.files):
        return before.pipeline, None
    then = joining.as_read(before.pipeline)
    stages = changes.changed_stages(then, loaded.pipeline)
    named = stages + changes.changed_settings(then, loaded.pipeline)
    if not named:
        return before.pipeline, None
    if not is_accepted:
        raise InputError(
            f"{file} has changed since run {before.run} began: {', '.join(named)}; "
            "put it back, or --accept-changes to run what changed, and all that needs it, again"
        )
    _refuse_unbuilt(loaded.pipeline)
    return loaded.pipeline, resume.Change(loaded.pipeline, loaded.plain.decode("ascii"), tuple(stages))


def _show_again(args: argparse.Namespace, document: dict[str, Any]) -> int:
    """A run that is over is not run again: it is told as it was, and its exit code with it."""
    from stagebook.cli import output
    from stagebook.engine import launch
    from stagebook.report import summary
    from stagebook.scheduler.vocabulary import RunEnded

    code = launch.exit_code(RunEnded(document["outcome"], document["reason"]))
    if args.junit is not None:
        _begin_exports(args)
        code = _write_junit(args.junit, document, code)
    if args.json:
        output.say_json(document)
    elif not args.quiet:
        output.say(summary.render(document, output.style_for(sys.stdout, args)))
    return code


def _to_resume(args: argparse.Namespace, state_directory: str, file: str) -> str | None:
    """The id of the run to go on with; None: there is none, so begin one. One that nobody named is told."""
    from stagebook.record import runs

    if args.resume:
        run = os.path.basename(runs.resolve(state_directory, args.resume))
        _refuse_choices(args, run)
        return run
    found = runs.latest_to_resume(state_directory, file)
    if found is None:
        return None
    summary, newer = found
    _refuse_choices(args, summary["run"])
    if newer or not args.quiet:
        from stagebook.cli import output, place
        from stagebook.report import listing

        short = place.short_ids(state_directory)(summary["run"])
        output.say([listing.goes_on(summary, newer, short, output.style_for(sys.stderr, args))], sys.stderr)
    return str(summary["run"])


def _refuse_unbuilt(pipeline: Pipeline) -> None:
    if pipeline.unbuilt:
        problems = [problem._replace(level="error") for problem in pipeline.unbuilt]
        raise InputError(f"{pipeline.file}: {len(problems)} keys are not built yet, nothing was run", problems)


def _tell_problems(args: argparse.Namespace, pipeline: Pipeline) -> None:
    """What `lint` and `map` find and what does not keep the pipeline from running."""
    if pipeline.problems and not args.quiet:
        _tell(args, pipeline.problems)


def _tell(args: argparse.Namespace, found: Iterable[Problem]) -> None:
    from stagebook.cli import output, trouble
    from stagebook.report import problems

    found = [trouble.near(problem) for problem in found]
    found = found if args.verbose else problems.folded(found)
    output.say(problems.render(found, output.style_for(sys.stderr, args), trouble.source_line), sys.stderr)
    sys.stderr.flush()


def _tell_unset(args: argparse.Namespace, pipeline: Pipeline, plan: Plan) -> None:
    """Secrets that are not there and that no stage of this run is given, or it were an error; and variables that should
    say whom to tell."""
    from stagebook.engine import secrets

    selected = [stage for stage, planned in zip(pipeline.stages, plan.stages) if planned.skip is None]
    given = {name for stage in selected for name in stage.secrets}
    lines = {secret.name: secret.line for secret in pipeline.secrets}
    told = {one.variable for one in pipeline.notify}
    said = "secret {} is not set; no stage that runs is given it"
    said_of_told = "{} is not set, so whom it stands for is told nothing"
    _tell(args, [
        Problem(pipeline.file, lines[name], 0, "secret", "note", (said_of_told if name in told else said).format(name))
        for name in secrets.unset(pipeline) if name not in given
    ])  # fmt: skip


def _choice(args: argparse.Namespace, pipeline: Pipeline, place: str, cache: str) -> Choice:
    from stagebook.observe import cores

    starts = tuple(args.__dict__["from"])
    if args.failed_of is not None:
        from stagebook.cli.failed import failed_of

        starts += failed_of(place, args.failed_of)
    if args.jobs is not None and args.sequential:
        raise InputError("--sequential is one job; leave out -j, or leave out --sequential")
    return Choice(
        cores=cores.usable(),
        jobs=None if args.sequential else args.settings.jobs,
        sequential=args.sequential,
        policy=args.settings.policy,
        only=tuple(args.only),
        from_=starts,
        until=tuple(args.until),
        skip=tuple(args.skip),
        params=_params(args.param, pipeline),
        durations_ms=tuple(durations.load(cache, pipeline.file).items()),
        seed=int.from_bytes(os.urandom(4), "big"),
        base=args.base,
        force=args.force,
        dead_of=_dead_of(place, args.dead_of),
        memory_bytes=cores.memory_bytes() if any(stage.resources.memory_bytes for stage in pipeline.stages) else 0,
    )


def govern(pipeline: Pipeline, choice: Choice) -> tuple[Choice, Facts | None]:
    """What the surroundings say of a choice: the provider's cap, the day, and the policy that holds here. And the facts
    that conditions are judged by, where there are any."""
    if pipeline.limits.provider is not None:
        from stagebook.plan import providers

        choice = choice._replace(cap=providers.cap_of(pipeline))
    choice = choice._replace(today=time.strftime("%Y-%m-%d"))
    from stagebook.condition import has_conditions

    if not has_conditions(pipeline) and not pipeline.policies:
        if choice.base is not None:
            raise InputError("--base is for stages with `changed` or `when`, and this pipeline has none")
        return choice, None
    from stagebook.condition import facts, policy

    found = facts.gather(
        pipeline.folder, dict(choice.params), os.environ, choice.base, facts.wanted(pipeline)
    )  # fmt: skip
    if choice.policy is None and pipeline.policies:
        chosen = policy.choose(pipeline, found) or (pipeline.policy, "no rule holds, so the default")
        choice = choice._replace(policy=chosen[0], policy_because=chosen[1])
    return choice, found


def _dead_of(place: str, wanted: str | None) -> str:
    """The run's id."""
    if wanted is None:
        return ""
    from stagebook.record import runs

    return os.path.basename(runs.resolve(place, wanted))


def _params(given: list[str], pipeline: Pipeline) -> tuple[tuple[str, str], ...]:
    values = {name: param.default for name, param in pipeline.params.items() if param.default is not None}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--param {text}: expected NAME=VALUE")
        values[name] = value
    return tuple(values.items())


class Show:
    """Everything between a run and the people who watch it: chooses the watcher, lends it keys, tells the end."""

    def __init__(
        self, args: argparse.Namespace, cache: str, plan: Plan | None, is_replanned: bool = False
    ) -> None:  # fmt: skip
        from stagebook.cli import output, place
        from stagebook.cli.excerpt import Excerpts
        from stagebook.report import watch

        self._args = args
        self._here = os.getcwd()  #: which the engine leaves
        self._cache = cache
        self._plan = plan
        self._is_replanned = is_replanned  #: the engine tells two stories: how the old plan stood, then the new one
        stream = sys.stderr if args.json else sys.stdout
        self._story: Story | None = None
        self._beside: Beside | None = None  #: who tells others of the run
        self._terminal: list[Any] | None = None
        excerpts = Excerpts(self._log)
        cpu = None
        if watch.is_live(stream):
            from stagebook.cli.pulse import Pulse

            cpu = Pulse()
        self._watcher = watch.choose(
            stream, output.style_for(stream, args), quiet=args.quiet, verbose=args.verbose,
            output=args.settings.output, tail=excerpts.tail, more=excerpts.more, cpu=cpu, keys=os.isatty(0),
            short=place.short_ids(os.path.dirname(cache)),
        )  # fmt: skip
        self._watcher.look = place.from_here(args, self._here, None, os.path.dirname(cache)).get("look", "")

    def ways(self, facts: Facts | None = None) -> Any:
        from stagebook.engine.launch import Ways

        settings = self._args.settings
        keys = 0 if self._terminal is not None else None
        return Ways(
            settings.accounting, settings.durability, keys, settings.admission, facts,
            cache_limit=settings.cache_limit, cache_age=settings.cache_age,
            waits=not getattr(self._args, "no_wait", False),
        )  # fmt: skip

    def watch(self, story: Story) -> Any:
        """The engine has a story to tell; the watcher hears of it from the beginning."""
        is_prelude = self._is_replanned and self._story is None
        self._story = story
        if story.pipeline.notify and self._beside is None:
            from stagebook.notify import beginning

            self._beside = beginning.beside(os.path.dirname(story.logs_directory or ""))
        if self._watcher.wants_keys:
            self._watcher.began(self._expecting(story))
        elif not is_prelude:
            self._watcher.began({
                "run": story.run, "pipeline": story.pipeline.name, "file": story.pipeline.file, "jobs": story.jobs,
                "jobs_because": story.jobs_because, "mode": story.mode, "policy": story.policy,
                "policy_because": story.policy_because, "total": len(story.ends),
                "critical_planned": story.critical, "critical_by": story.critical_by,
            })  # fmt: skip
        return self._watcher

    def _expecting(self, story: Story) -> dict[str, Any]:
        """The document with what is expected of each stage, and of the run as a whole, from what they took before."""
        from stagebook.cli import rehearsal

        known = durations.load(self._cache, story.pipeline.file)
        expected = [known.get(stage.id, stage.duration_ms) for stage in story.pipeline.stages]
        document = story.document()
        for stage, ms in zip(document["stages"], expected):
            stage["expected_s"] = None if ms is None else ms / 1000
        whole = None if self._plan is None else rehearsal.makespan_ms(self._plan, expected)
        return {**document, "expected_s": None if whole is None else whole / 1000}

    def finish(self, result: Any) -> int:
        from stagebook.cli import output, place
        from stagebook.engine import launch
        from stagebook.record import set_aside

        story: Story = result.story
        args = self._args
        told = [] if self._beside is None else self._beside.settle(story)
        directory = os.path.dirname(story.logs_directory or "")
        junit = getattr(args, "junit", None)  # a cancel that goes on with a run has none
        if args.json or junit is not None:
            from stagebook.record.holders import Holders

            held_by = Holders(result.machine).of if result.over is None else None
            document = story.document(result.machine.waiting, held_by)
            if getattr(args, "shown", None) is not None:  # what was approved just now
                document["shown"] = args.shown
        else:
            document = story.outline(result.machine.waiting)
        document |= set_aside.document(directory, [stage.id for stage in story.pipeline.stages])
        if told:
            document["notices"] = told
        took = dict(_durations(story, getattr(args, "dead_of", None) is not None))
        durations.update(self._cache, story.pipeline.file, took)
        far = place.from_here(args, self._here, story.pipeline.file, os.path.dirname(self._cache))
        if not args.quiet and not args.json:
            document["against"] = _against(document, directory, story)
        self._watcher.finished({**document, "from_here": far, "see": bool(far) and not args.settings.dir})
        self._watcher.flush()
        if args.json:
            output.say_json(document)
        code = launch.exit_code(result.over)
        if junit is not None:
            code = _write_junit(junit, document, code)
        if result.over is not None:
            _send_spans(args, story)
        return code

    def _log(self, stage: str, attempt: int) -> str | None:
        if self._story is None:
            return None
        name = state.item_log_name(stage, -attempt) if attempt < 0 else state.log_name(stage, attempt)
        return os.path.join(self._story.logs_directory or "", name)

    def __enter__(self) -> Show:
        if self._watcher.wants_keys and os.isatty(0):
            import termios

            self._terminal = termios.tcgetattr(0)
            quiet = termios.tcgetattr(0)
            quiet[3] &= ~(termios.ICANON | termios.ECHO)
            termios.tcsetattr(0, termios.TCSADRAIN, quiet)
        return self

    def __exit__(self, *trouble: object) -> None:
        if self._terminal is not None:
            import termios

            try:
                termios.tcsetattr(0, termios.TCSADRAIN, self._terminal)
            except termios.error:
                pass  # the terminal is gone


def _against(document: dict[str, Any], directory: str, story: Story) -> dict[str, Any] | None:
    """The run in the other mode that the end of this one names. Of what was over at once a ratio says nothing, nor
    where people had to be waited for."""
    if document["outcome"] != "success" or document["wall_s"] < _COMPARED_S or story.gates:
        return None
    from stagebook.cli import against

    try:
        return against.against(document, directory)
    except (SurroundingsError, OSError):
        return None  # a run ends as it ended, whatever can be read of others


def _durations(story: Story, is_of_dead: bool) -> Iterator[tuple[str, int]]:
    """What each stage that succeeded took, in milliseconds: its last attempt, for that is the work there is to do. Not
    of one whose items were all up to date, or of which only those were done that had failed before."""
    for index, (stage, end, attempts) in enumerate(zip(story.pipeline.stages, story.ends, story.attempts)):
        if index in story.items and (is_of_dead or not story.items[index].done):
            continue
        if end is not None and end.outcome == "success" and attempts and attempts[-1].finished_us is not None:
            yield stage.id, (attempts[-1].finished_us - attempts[-1].started_us) // 1000
