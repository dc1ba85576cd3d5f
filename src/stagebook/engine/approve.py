"""Votes at a gate from outside the engine: by the engine that holds the run, or where there is none by a line in its
journal, under the run's lock. The next engine takes up what that decides (`resume`). Leads no run itself.
"""

from __future__ import annotations

import json
import os
import select
from time import time_ns

from stagebook.approval import asked, audit, people
from stagebook.approval.judge import Question, Refusal, Vote, judge, tally
from stagebook.engine.asking import News, ask
from stagebook.engine.gates import vote_plain, vote_tail
from stagebook.model.problem import FAILED, SURROUNDINGS, WRONG_INPUT, InputError, StagebookError
from stagebook.model.value import NamedTuple
from stagebook.record import lock, reader, replay, retelling, state
from stagebook.record.line import quote
from stagebook.record.writer import Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stagebook.approval.asked import Standing
    from stagebook.model.pipeline import Pipeline


class Answer(NamedTuple):
    """What became of a vote. `decision` None: more are needed. `held`: an engine holds the run and goes on with it, or
    has done so."""

    refusal: Refusal | None
    decision: bool | None
    held: bool


def answer(directory: str, gate: str, vote: Vote) -> Answer:
    """Give a vote; when this returns it is on record, as what was refused is, in the journal or in the audit chain.

    Raises InputError for a gate that is not there, SurroundingsError for an engine that does not answer.
    """
    standing = asked.standing(directory, gate)
    refusal = _judged(standing, vote, directory, gate)
    if refusal is not None:
        return _refused(directory, gate, vote, refusal)
    ballot = os.urandom(8).hex()
    request: dict[str, object] = {
        "ask": "gate", "stage": gate, "ballot": ballot, "digest": standing.now.digest,
        "vote": vote_plain(vote),
    }  # fmt: skip
    if len(json.dumps(request)) >= select.PIPE_BUF:
        raise InputError("the comment is too long; about 2 000 letters are kept")

    def heard(record: dict[str, Any]) -> Answer | None:
        is_it = record["event"] == "gate.vote" and record.get("ballot") == ballot
        return _heard(record) if is_it else None

    def alone(news: News) -> Answer:
        late = _heard_late(news, ballot)
        return _record(directory, gate, vote, ballot) if late is None else late._replace(held=_is_led(directory))

    return ask(directory, request, heard, alone)


def _judged(standing: Standing, vote: Vote, directory: str, gate: str) -> Refusal | None:
    question = standing.question or Question(os.path.basename(directory), gate, "", "")
    return judge(
        standing.gate, people.read(standing.gate, standing.folder), question, standing.votes, vote, standing.now
    )  # fmt: skip


def _refused(directory: str, gate: str, vote: Vote, refusal: Refusal) -> Answer:
    run = os.path.basename(directory)
    audit.append(_state_of(directory), audit.of_vote(run, gate, vote, refusal))
    return Answer(refusal, None, lock.holder(directory) is not None)


def _heard(record: dict[str, Any]) -> Answer:
    if not record["accepted"]:
        exit = {"failed": FAILED, "audit": SURROUNDINGS}.get(record["code"], WRONG_INPUT)
        return Answer(Refusal(record["code"], record["reason"], exit), None, True)
    return Answer(None, record["approved"] if record["decides"] else None, True)


def _heard_late(news: News, ballot: str) -> Answer | None:
    """The engine may have heard it and ended."""
    for record in news.read():
        if record["event"] == "gate.vote" and record.get("ballot") == ballot:
            return _heard(record)
    return None


def _is_led(directory: str) -> bool:
    """Whether the engine that heard the answer has done what followed: the run is over, or waits for a person again."""
    machine = replay.replay(reader.load(state.journal_path(directory))).machine
    return machine.is_over or machine.waits_for_person


def _record(directory: str, gate: str, vote: Vote, ballot: str) -> Answer:
    """Judge it again and add it to a journal that no engine holds; only for who holds the run's lock."""
    standing = asked.standing(directory, gate, artifacts=False)
    refusal = _judged(standing, vote, directory, gate)
    if refusal is not None:
        return _refused(directory, gate, vote, refusal)._replace(held=False)
    decision = tally(standing.gate, [*standing.votes, vote])
    path = state.journal_path(directory)
    recording = reader.load(path)
    vote = _masked(vote, retelling.retell(recording.records, path).pipeline)
    entry = audit.of_vote(os.path.basename(directory), gate, vote, None, decision is not None, vote.comment)
    hash_ = audit.append(_state_of(directory), entry)
    reader.repair(path, recording)
    position = recording.position
    writer = Writer(path, os.path.basename(directory), time_ns() // 1000 - position.us, position)
    try:
        tail = vote_tail(vote, ballot, None, decision is not None, hash_)
        writer.add("gate.vote", position.us, quote(gate), None, tail)
        writer.close(position.us)
    finally:
        writer.abandon()
    return Answer(None, decision, False)


def _masked(vote: Vote, pipeline: Pipeline) -> Vote:
    """Without values of secrets in its comment; without it where these cannot be told."""
    if not vote.comment or not pipeline.secrets:
        return vote
    from stagebook.engine import secrets

    try:
        mask = secrets.read(pipeline, (), ()).mask
    except StagebookError:
        return vote._replace(comment=None)
    return vote._replace(comment=mask.text(vote.comment)) if mask else vote


def _state_of(directory: str) -> str:
    return os.path.dirname(os.path.dirname(directory))
