"""How a gate of a run stands, out of its journal: what was asked, who has voted, and whether it is still open.

A question is a line `gate.asked`, a vote that counts a line `gate.vote` with `accepted`, the decision `gate.answered`.
A gate that is asked anew has no votes; that an approval is void says `gate.void`. Writes no line and judges nothing.
"""

from __future__ import annotations

import re
import time

from stagebook.approval.judge import Now, Question, Vote
from stagebook.model.problem import InputError
from stagebook.model.value import NamedTuple
from stagebook.record import reader
from stagebook.record.clock import epoch_us
from stagebook.record.reasons import warned
from stagebook.record.retelling import retell
from stagebook.record.state import journal_path, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Container, Iterable, Sequence

    from stagebook.approval.judge import Row
    from stagebook.model.pipeline import Gate
    from stagebook.record.story import Story

_FAILED = re.compile(r"\((?:failure|error|timeout)\)")


class Room(NamedTuple):
    """Where nothing may have come since somebody was asked: `whole` are globs of which all files were shown. What
    matches `others`, or is one of `paths`, may be another stage's; what matches `remade` was made anew since, by what
    goes on by the answer."""

    whole: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    paths: frozenset[str] = frozenset()
    remade: tuple[str, ...] = ()

    def come(self, paths: Iterable[str], shown: Container[str]) -> list[str]:
        """Those of these files that have come since."""
        from stagebook.model.globs import Globs

        others = Globs(self.others)
        return [path for path in paths if path not in shown and path not in self.paths and others.first([path]) is None]


class Standing(NamedTuple):
    """`question` None: it was not asked yet. `votes` are those that count. `folder` is that of the pipeline file.
    `warnings` are rows of `stage` and `warning`: what did not go quite well before it."""

    gate: Gate
    question: Question | None
    votes: list[Vote]
    now: Now
    folder: str
    warnings: list[dict[str, str]]


def none_yet(run: str, gate: str) -> Question:
    """Stands for the question of a gate that has not asked, to be judged as such."""
    return Question(run, gate, "", "")


def question_of(record: dict[str, Any], started_by: str | None) -> Question:
    """What a line `gate.asked` asks."""
    expires = record.get("expires")
    return Question(
        record["run"], record["stage"], record["nonce"], record["digest"],
        _rows(record.get("artifacts")), epoch_us(record["at"]), None if expires is None else epoch_us(expires),
        started_by, tuple(record.get("green", ())), _rows(record.get("inputs")),
    )  # fmt: skip


def _rows(plain: Iterable[Iterable[Any]] | None) -> tuple[Row, ...]:
    return tuple((str(path), int(size), str(digest)) for path, size, digest in plain or ())


def vote_of(record: dict[str, Any], question: Question) -> Vote:
    """The vote of a line `gate.vote`."""
    from stagebook.approval.judge import bound

    vote = bound(question, record["by"], record["approved"], record.get("comment"), record.get("from") or {})
    return vote._replace(at_us=epoch_us(record["at"]))


def standing(directory: str, gate: str, artifacts: bool = True) -> Standing:
    """How the gate of the run of this directory stands. Without `artifacts` they are not read again, which takes time.

    Raises InputError where there is no such gate, SurroundingsError for a journal that cannot be read.
    """
    path = journal_path(directory)
    records = reader.load(path).records
    story = retell(records, path)
    index = _index(story, gate)
    asked = story.pipeline.stages[index].gate
    assert asked is not None, "a stage of the kind gate has one"
    question, votes, answer = _told(records, gate)
    state, why = _state(story, index, question, answer)
    pipeline = story.pipeline
    folder = pipeline.folder
    changed: tuple[str, ...] = ()
    if artifacts and question is not None and state == "open":
        changed = changed_of(folder, question.rows(), room_of(story, index))
    now = Now(time.time_ns() // 1000, state, why, digest_now(pipeline.file), changed)
    return Standing(asked, question, votes, now, folder, warned(story, index))


def _index(story: Story, gate: str) -> int:
    stages = story.pipeline.stages
    for index, stage in enumerate(stages):
        if stage.id == gate and stage.kind == "gate":
            return index
    gates = [stage.id for stage in stages if stage.kind == "gate"]
    what = "is no gate" if any(stage.id == gate for stage in stages) else "is no stage"
    known = f"its gates are {', '.join(f'`{each}`' for each in gates[:5])}" if gates else "it has no gate"
    raise InputError(f"`{gate}` {what} of run {story.run}; {known}")


def _told(records: Iterable[dict[str, Any]], gate: str) -> tuple[Question | None, list[Vote], dict[str, Any] | None]:
    """The latest question, the votes that count at it, and its answer."""
    question: Question | None = None
    votes: list[Vote] = []
    answer: dict[str, Any] | None = None
    started_by: str | None = None
    for record in records:
        event = record["event"]
        if event == "run.started":
            started_by = record.get("by")
        elif record.get("stage") != gate:
            continue
        elif event == "gate.asked":
            question, votes, answer = question_of(record, started_by), [], None
        elif event == "gate.vote" and question is not None and record.get("accepted"):
            votes.append(vote_of(record, question))
            if record.get("decides"):  # where no engine holds the run, the answer comes with the next one
                said = "approved" if record["approved"] else "rejected"
                answer = {"approved": record["approved"], "reason": f"{said} by {record['by']}"}
        elif event == "gate.answered" and "approved" in record:
            answer = record
        elif event == "gate.void":
            question, votes, answer = None, [], None
    return question, votes, answer


def _state(story: Story, index: int, question: Question | None, answer: dict[str, Any] | None) -> tuple[str, str]:
    end = story.ends[index]
    if end is not None and end.outcome == "skip" and _FAILED.search(end.reason or ""):
        return "failed", _FAILED.sub("(failed)", end.reason or "")
    if answer is not None:
        said = "approved" if answer["approved"] else "rejected"
        return "decided", answer.get("reason") or said
    if end is not None:
        return "decided", end.reason or end.outcome
    if story.outcome is not None:
        return "over", story.reason or story.outcome
    if question is None:
        needs = [story.pipeline.stages[need].id for need in story.needs[index] if story.ends[need] is None]
        return "not-asked", f"it needs {', '.join(needs[:5])}" if needs else ""
    return "open", ""


def digest_now(file: str) -> str | None:
    """The digest of the pipeline file as it lies there now; None: it is not there."""
    from stagebook.formats.native.cache import digest

    try:
        with open_regular(file) as handle:
            return digest(handle.read())
    except OSError:
        return None


class Around(NamedTuple):
    """The stages that have outputs, in file order, and whether they stand before the gate or behind it."""

    makers: tuple[int, ...]
    before: frozenset[int]
    behind: frozenset[int]


def around(story: Story, gate: int) -> Around:
    """What follows from the plan alone."""
    makers = [index for index, stage in enumerate(story.pipeline.stages) if stage.outputs]
    before, behind = _reached(story.needs, gate), _reached(_followers(story.needs), gate)
    return Around(tuple(makers), frozenset(before), frozenset(behind))


def room_of(story: Story, gate: int, known: Around | None = None) -> Room:
    """Where nothing may have come since the gate has asked. `known` is what `around` gives, if it is known."""
    asked = story.gates.get(gate)
    if asked is None:
        return Room()
    makers, before, behind = known or around(story, gate)
    others: list[str] = []
    remade: list[str] = []
    paths: set[str] = set()
    for index in makers:
        globs = [output.path for output in story.pipeline.stages[index].outputs]
        if index in before and globs[0] in asked.whole:
            continue
        files = story.published.get(index)
        if isinstance(files, list):
            paths.update(path for path, _, _ in files)
        if not isinstance(files, list) or story.ends[index] is None:
            if story.attempts[index] or story.ends[index] is not None or index in before:
                others += globs
        if index in behind and story.attempts[index]:
            remade += globs
    return Room(asked.whole, tuple(others), frozenset(paths), tuple(remade))


def _followers(needs: Sequence[Sequence[int]]) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in needs]
    for index, each in enumerate(needs):
        for need in each:
            found[need].append(index)
    return found


def _reached(ways: Sequence[Sequence[int]], start: int) -> set[int]:
    found: set[int] = set()
    left = [start]
    while left:
        more = set(ways[left.pop()]) - found
        found |= more
        left += more
    return found


def changed_of(root: str, rows: Sequence[Row], room: Room = Room()) -> tuple[str, ...]:
    """Which of the files below this folder are no longer what their rows say, then which have come since."""
    if not rows and not room.whole:
        return ()
    from stagebook.artifact.digest import hash_files
    from stagebook.artifact.paths import Unsound
    from stagebook.model.globs import Globs

    changed = []
    remade = Globs(room.remade)
    for path, size, digest in rows:
        if remade.first([path]) is not None:
            continue
        try:
            found = hash_files(root, [path])[0]
            is_same = (found.size, found.digest) == (size, digest)
        except (Unsound, OSError):
            is_same = False
        if not is_same:
            changed.append(path)
    return (*changed, *_come(root, rows, room))


def _come(root: str, rows: Sequence[Row], room: Room) -> list[str]:
    """Files that lie where all were shown, and were not."""
    from stagebook.artifact.paths import Unsound, found

    try:
        there = found(root, room.whole, []) if room.whole else []
    except (Unsound, OSError) as error:
        return [str(error)]
    return room.come(there, {path for path, _, _ in rows})
