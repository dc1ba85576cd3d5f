"""`stagebook why STAGE [RUN]`: what a run decided of a stage, and what would be decided now. Starts nothing."""

from __future__ import annotations

import os

from stagebook.cli import output, pipelines, place
from stagebook.model.problem import InputError, SurroundingsError
from stagebook.record import reader, retelling, runs, state
from stagebook.scheduler.select import suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Mapping

    from stagebook.engine.foresight import Outlook
    from stagebook.model.pipeline import Pipeline
    from stagebook.record.story import Story

EXAMPLE = """
stagebook why unit
stagebook why build last --json"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("stage", metavar="STAGE", help="its id")
    parser.add_argument("run", nargs="?", metavar="RUN", help="default: the latest one of the file that has the stage")


def execute(args: Namespace) -> int:
    """0 whatever the answer is."""
    story, params = _told(args)
    pipeline = _pipeline(args, story)
    index = {stage.id: index for index, stage in enumerate(pipeline.stages)}.get(args.stage)
    now = None if index is None else _now(args, pipeline, index, params)
    if index is None and story is None:
        known, where = [stage.id for stage in pipeline.stages], place.state_directory(args, pipeline.file)
        raise _unknown(f"{pipeline.file}: ", args.stage, runs.elsewhere(where), known)
    then = None if story is None else _then(story, args.stage)
    text = pipelines.hider(pipeline)
    if then is not None and then["reason"]:
        then["reason"] = text(then["reason"])
    if now is not None:
        now = now._replace(reasons=tuple(map(text, now.reasons)))
    if args.json:
        output.say_json({
            "stage": args.stage, "run": None if story is None else story.run, "then": then,
            "now": None if now is None else _plain(now),
        })  # fmt: skip
    else:
        short = place.short_ids(place.state_directory(args, pipeline.file))
        output.say(_lines(args.stage, pipeline, story, then, now, short, params))
    return 0


def _told(args: Namespace) -> tuple[Story | None, Mapping[str, str]]:
    """The story of the run that is meant, with its parameters; None: no run had the stage yet."""
    if args.run is not None:
        story, params = _story(place.run_directory(args, args.run))
        if all(stage.id != args.stage for stage in story.pipeline.stages):
            known = [stage.id for stage in story.pipeline.stages]
            raise _unknown("", args.stage, f" in run {story.run}", known)
        return story, params
    file = place.pipeline_file(args)
    where = place.state_directory(args, file)
    for run in runs.ids(where):
        directory = state.run_directory(where, run)
        summary = runs.summarise(directory)
        if summary is None or summary.get("file") != file or summary["state"] == "damaged":
            continue
        story, params = _story(directory)
        if any(stage.id == args.stage for stage in story.pipeline.stages):
            return story, params
    return None, {}


def _unknown(before: str, name: str, where: str, known: list[str]) -> InputError:
    """That there is no such stage: which cells there are where it is a matrix or a split, or what is near."""
    cells = [one for one in known if one.startswith(f"{name}[")]
    if cells:
        more = ", …" if len(cells) > 3 else ""
        return InputError(
            f"{before}stage `{name}` has {_count(len(cells), 'cell')}{where}: {', '.join(cells[:3])}{more}"
        )
    return InputError(f"{before}no stage `{name}`{where}{suggestion(name, known)}")


def _story(directory: str) -> tuple[Story, Mapping[str, str]]:
    path = state.journal_path(directory)
    recording = reader.load(path)
    story = retelling.retell(recording.records, path)
    return story, dict(retelling.header(recording.records[0], path).choice.get("params", ()))


def _pipeline(args: Namespace, story: Story | None) -> Pipeline:
    """As the file has it now; where it is gone, as it was in the run."""
    from stagebook.formats import load

    file = story.pipeline.file if story is not None else place.pipeline_file(args)
    if story is not None and not os.path.exists(file):
        return story.pipeline
    cache = place.cache_directory(args, file)
    if story is not None and story.pipeline.format in load.FOREIGN:
        from stagebook.cli import imported

        return imported.again(story.pipeline, cache).pipeline
    return load.load(file, cache)


def _now(args: Namespace, pipeline: Pipeline, index: int, then: Mapping[str, str]) -> Outlook:
    """With the parameters of then: whoever asks means what has changed beside what he said."""
    from stagebook.engine.foresight import Foresight

    params = {name: then.get(name, param.default or "") for name, param in pipeline.params.items()}
    cache = place.cache_directory(args, pipeline.file)
    return Foresight(pipeline, cache, params, versions=_versions(pipeline)).of(index)


def _versions(pipeline: Pipeline) -> Mapping[str, str] | None:
    """Of the tools that stages require; None where one is missing, which only a run refuses."""
    if not any(stage.requires for stage in pipeline.stages):
        return {}
    from stagebook.engine import requires

    try:
        return requires.check(pipeline)
    except SurroundingsError:
        return None


def _then(story: Story, name: str) -> dict[str, Any]:
    index = next(index for index, stage in enumerate(story.pipeline.stages) if stage.id == name)
    end = story.ends[index]
    outcome = end.outcome if end is not None else None
    verdict = "run" if story.attempts[index] else "skip" if outcome == "skip" else None
    reason = story.because.get(index) if verdict == "run" else end.reason if end is not None else None
    return {"verdict": verdict, "reason": reason, "outcome": outcome, "started": story.stamp(0)}


def _plain(now: Outlook) -> dict[str, Any]:
    last = None
    if now and now.last is not None:
        last = {
            "run": now.last.run, "attempt": now.last.attempt, "at": _began(now.last.run),
            "inputs": len(now.last.inputs), "outputs": len(now.last.outputs),
        }  # fmt: skip
    reasons = list(now.reasons) if now.verdict != "later" else [now.words]
    return {"verdict": now.verdict, "reasons": reasons, "up_to_date_with": last}


def _lines(
    name: str, pipeline: Pipeline, story: Story | None, then: dict[str, Any] | None, now: Outlook | None, short: Any,
    params: Mapping[str, str],
) -> list[str]:  # fmt: skip
    from stagebook.report.harmless import harmless

    said = []
    if story is not None and then is not None:
        words = {"run": "ran", "skip": "was skipped", None: "has not begun"}[then["verdict"]]
        why = then["reason"]
        refused = _refused(story, name)
        if refused is not None:
            words, why = "failed before it began", refused
        reason = f": {harmless(why)}" if why else ""
        said.append(f"{harmless(name)}, run {short(story.run)} of {_clock(then['started'])}: it {words}{reason}")
    else:
        said.append(f"{harmless(name)}: no run of {harmless(pipeline.file)} had it yet")
    if now is None:
        maker = next((each.made_by for each in story.pipeline.stages if each.id == name), None) if story else None
        if maker is not None:
            return [*said, f"now: {harmless(maker)} generated it, and may do so again when it runs"]
        return [*said, f"now: {harmless(pipeline.file)} has no such stage any more"]
    now_word = _now_word(pipeline, params)
    if now and now.last is not None:
        counts = f"{_count(len(now.last.inputs), 'input')}, {_count(len(now.last.outputs), 'output')}"
        when = _clock(_began(now.last.run))
        said.append(f"{now_word}: up to date with run {short(now.last.run)} of {when}: {counts}")
    elif now.verdict == "later":
        said.append(f"{now_word}: {harmless(now.words)}")
    elif now.is_for_good:
        said.append(f"{now_word}: it would run; never up to date: {now.words}")
    else:
        said.append(f"{now_word}: it would run")
        said += [f"  {harmless(reason)}" for reason in now.reasons]
    return said


def _refused(story: Story, name: str) -> str | None:
    """Why a stage of which no process was started failed: its inputs were not what they should be."""
    index = next(index for index, stage in enumerate(story.pipeline.stages) if stage.id == name)
    attempts = story.attempts[index]
    if not attempts or any(each.exit is not None or each.signal is not None for each in attempts):
        return None
    reason = attempts[-1].reason
    return reason if reason is not None and reason.startswith("integrity:") else None


def _now_word(pipeline: Pipeline, params: Mapping[str, str]) -> str:
    """`now`, with the parameters of then where they are not the defaults."""
    from stagebook.report.failure import quoted

    given = [
        f"--param {quoted(f'{name}={params[name]}')}"
        for name, param in pipeline.params.items()
        if name in params and params[name] != (param.default or "")
    ]
    return f"now, with {' '.join(given)} as then" if given else "now"


def _count(number: int, what: str) -> str:
    return f"no {what}s" if not number else f"{number} {what}{'s' if number != 1 else ''}"


def _clock(stamp: str) -> str:
    """`2026-02-02 02:40:01` of an ISO 8601 stamp."""
    return stamp[:19].replace("T", " ")


def _began(run: str) -> str:
    """When a run began, which its id tells: the first 48 bits of a ULID are milliseconds."""
    from stagebook.record.clock import stamp

    number = 0
    for character in run[:10]:
        number = number * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".find(character)
    return stamp(number * 1000)
