"""Gates in a run that an engine holds: asks, hears votes, and says when they have decided. Who may is `approval.judge`.

What is asked is a line of the journal, and durable before anybody can answer. A vote is in the audit chain, then in the
journal, before it counts. How long people take is told by the wall clock: it goes on where no engine lives.
"""

from __future__ import annotations

import os
from time import time_ns

from stagebook.approval import audit, origin, people
from stagebook.approval.asked import changed_of, digest_now
from stagebook.approval.judge import Now, Question, Refusal, Vote, approvals, bound, judge, tally
from stagebook.model.problem import SURROUNDINGS, SurroundingsError
from stagebook.record.clock import epoch_us, stamp
from stagebook.record.gates import Asked, Ballot
from stagebook.record.line import members
from stagebook.record.publication import LISTED_MAX
from stagebook.scheduler.machine import NOBODY_DECIDED
from stagebook.scheduler.vocabulary import GateAnswered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stagebook.engine.account import Account
    from stagebook.model.pipeline import Pipeline
    from stagebook.record.publication import Row
    from stagebook.record.story import Story
    from stagebook.scheduler.machine import Machine
    from stagebook.scheduler.vocabulary import Ended, SetTimer

READ_MAX = 4 << 20  #: bytes of artifacts that are read in the engine's own loop


class Gates:
    """The gates of one run. `started_by` is who began it, None where that is not on record."""

    def __init__(
        self, pipeline: Pipeline, machine: Machine, story: Story, account: Account, directory: str
    ) -> None:  # fmt: skip
        self._pipeline = pipeline
        self._machine = machine
        self._story = story
        self._account = account
        self._run = os.path.basename(directory)
        self._state = os.path.dirname(os.path.dirname(directory))
        self._folder = os.path.dirname(pipeline.file)
        self.refusal: Refusal | None = None  #: why the last vote does not count
        self._decided: dict[int, str] = {}  #: gates whose answer the machine has not heard of yet, and the answer

    def grew(self, pipeline: Pipeline) -> None:
        """The run has further stages."""
        self._pipeline = pipeline

    # Asking -------------------------------------------------------------------------------------------------------

    def ask(self, stage: int, us: int) -> None:
        """Put a question on record, unless it is the one that is open already: then an engine before this one asked."""
        ready_ms = self._machine.ready_at(stage)
        if self._machine.state(stage) != "gate" or ready_ms is None:
            return  # the same batch has decided it
        self._account.tell()  # what the story is about to be asked
        asked = self._story.gates.get(stage)
        if asked is None or asked.ready_ms != ready_ms:
            asked = self._question(stage, us, ready_ms)
            self._account.asked(stage, us, asked)
        self._account.gate(stage, asked)

    def _question(self, stage: int, us: int, ready_ms: int) -> Asked:
        gate = self._pipeline.stages[stage].gate
        assert gate is not None
        at_us = time_ns() // 1000
        expires = None if gate.timeout_ms is None else stamp(at_us + gate.timeout_ms * 1000)
        green = tuple([
            each.id for index, each in enumerate(self._pipeline.stages)
            if each.gate is None and self._machine.state(index) == "success"
        ])  # fmt: skip
        return Asked(
            us, stamp(at_us), expires, origin.nonce(), self._pipeline.digest, self._artifacts(stage), green, ready_ms
        )  # fmt: skip

    def _artifacts(self, stage: int) -> tuple[Row, ...]:
        """What all stages before it have published, but for a stage with more files than a person could look at."""
        before, found = {stage}, [stage]
        while found:
            more = set(self._story.needs[found.pop()]) - before
            before |= more
            found += more
        rows: list[Row] = []
        for index in sorted(before):
            files = self._story.published.get(index, [])
            if isinstance(files, int) or len(rows) + len(files) > LISTED_MAX:
                name = self._pipeline.stages[index].id
                why = f"what {name} published is not bound to the answer, as that makes more than {LISTED_MAX} files"
                self._account.warn(f"{self._pipeline.stages[stage].id}: {why}")
            else:
                rows += [(path, size, digest) for path, size, digest in files]
        return tuple(rows)

    # Votes --------------------------------------------------------------------------------------------------------

    def hear(self, stage: int, request: dict[str, Any], us: int) -> GateAnswered | None:
        """A vote that somebody sent; what it decides, if anything. Everything odd is not heard."""
        try:
            given, ballot = request["vote"], str(request["ballot"])
            vote = Vote(
                str(given["by"]), given["approved"] is True, given["comment"], time_ns() // 1000, str(given["nonce"]),
                str(given["digest"]), str(given["artifacts"]), dict(given["from"]),
            )  # fmt: skip
            changed = tuple(map(str, request.get("changed", ())))
            now = Now(vote.at_us, *self._standing(stage), request.get("digest"), changed)
        except (KeyError, TypeError, ValueError):
            return None
        asked = self._story.gates.get(stage)
        gate = self._pipeline.stages[stage].gate
        if gate is None:
            return None
        question = _question_of(self._run, self._pipeline.stages[stage].id, asked, self._story.started_by)
        votes = [vote_of(question, ballot) for ballot in asked.ballots] if asked is not None else []
        who = people.read(gate, self._folder)
        refusal = judge(gate, who, question, votes, vote, now)
        approved = tally(gate, [*votes, vote]) if refusal is None else None
        vote = vote._replace(comment=self._account.hidden(vote.comment) if vote.comment else None)
        is_noted = self._note(stage, vote, ballot, refusal, approved is not None, us)
        if approved is None or not is_noted:
            return None
        self._decided[stage] = reason_of([*votes, vote], approved)
        return GateAnswered(us // 1000, stage, approved, self._decided[stage])

    def typed(self, stage: int, approved: bool, comment: str | None) -> dict[str, Any] | None:
        """The vote of whoever sits at the run's terminal, as `hear` takes it. None where artifacts are too many bytes
        to be read again here, which would hold up the run; `refusal` says so."""
        asked = self._story.gates.get(stage)
        artifacts = asked.artifacts if asked is not None else ()
        self.refusal = None
        if sum(size for _, size, _ in artifacts) > READ_MAX:
            name = self._pipeline.stages[stage].id
            text = f"what was published is too large to be read again here; say stagebook approve {self._run} {name}"
            self.refusal = Refusal("artifacts", text)
            return None
        here = origin.here("terminal")
        question = _question_of(self._run, self._pipeline.stages[stage].id, asked, None)
        vote = bound(question, here.by, approved, comment, here.plain)
        return {
            "vote": vote_plain(vote), "ballot": os.urandom(8).hex(), "digest": digest_now(self._pipeline.file),
            "changed": changed_of(self._pipeline, artifacts),
        }  # fmt: skip

    def _standing(self, stage: int) -> tuple[str, str]:
        machine = self._machine
        state = machine.state(stage)
        if state == "gate":
            said = self._decided.get(stage)
            return ("open", "") if said is None else ("decided", said)
        cause = machine.cause(stage)
        if state == "skip" and cause is not None:
            return "failed", f"needs {self._pipeline.stages[cause].id} (failed)"
        return ("not-asked", "") if state in ("waiting", "judging") else ("decided", state)

    def _note(
        self, stage: int, vote: Vote, ballot: str, refusal: Refusal | None, decides: bool, us: int
    ) -> bool:  # fmt: skip
        """Whether it counts: what cannot be recorded does not."""
        entry = audit.of_vote(self._run, self._pipeline.stages[stage].id, vote, refusal, decides, vote.comment)
        hash_ = None
        try:
            hash_ = audit.append(self._state, entry)
        except SurroundingsError as error:
            refusal = refusal or Refusal("audit", str(error), SURROUNDINGS)
        self.refusal = refusal
        self._account.line("gate.vote", us, stage, None, vote_tail(vote, ballot, refusal, decides, hash_))
        asked = self._story.gates.get(stage)
        if refusal is None and asked is not None:
            kept = Ballot(vote.by, vote.approved, vote.comment, stamp(vote.at_us), vote.origin)
            asked = asked._replace(ballots=(*asked.ballots, kept))
            self._story.asked(stage, asked)
            if not decides:
                self._account.gate(stage, asked)
        return refusal is None

    # Ends ---------------------------------------------------------------------------------------------------------

    def ended(self, end: Ended) -> None:
        """A gate that nobody decided in time is in the chain of decisions, too."""
        self._decided.pop(end.stage, None)
        if (end.reason or "").startswith(NOBODY_DECIDED):
            said = audit.Entry(
                "answered", None, {}, self._run, self._pipeline.stages[end.stage].id, self._pipeline.digest,
                reason=end.reason, decides=True,
            )  # fmt: skip
            try:
                audit.append(self._state, said)
            except SurroundingsError as error:
                self._account.warn(str(error))


def decided(pipeline: Pipeline, machine: Machine, story: Story) -> list[GateAnswered]:
    """Of a run that no engine holds: open gates that the votes on record have decided, as events at time 0."""
    found = []
    for stage, asked in sorted(story.gates.items()):
        gate = pipeline.stages[stage].gate
        if gate is None or machine.state(stage) != "gate" or machine.ready_at(stage) != asked.ready_ms:
            continue
        question = _question_of(story.run, pipeline.stages[stage].id, asked, None)
        votes = [vote_of(question, ballot) for ballot in asked.ballots]
        approved = tally(gate, votes)
        if approved is not None:
            found.append(GateAnswered(0, stage, approved, reason_of(votes, approved)))
    return found


def left_ms(timers: list[SetTimer], story: Story, now_ms: int) -> list[SetTimer]:
    """Timers of a run that is gone on with, those of gates set to what is left of them on the wall clock."""
    wall_us = time_ns() // 1000
    found = []
    for timer in timers:
        kind, _, rest = timer.timer.partition(":")
        asked = story.gates.get(int(rest.partition(":")[0])) if kind == "gate" else None
        if asked is not None and asked.expires is not None:
            timer = timer._replace(at=now_ms + max(0, (epoch_us(asked.expires) - wall_us) // 1000))
        found.append(timer)
    return found


def reason_of(votes: list[Vote], approved: bool) -> str:
    """Who decided, and what they said: `approved by ann, bob`, `rejected by ann: too early`."""
    if not approved:
        last = next(vote for vote in reversed(votes) if not vote.approved)
        return f"rejected by {last.by}" + (f": {last.comment}" if last.comment else "")
    standing = approvals(votes)
    said = [vote.comment for vote in standing if vote.comment]
    return f"approved by {', '.join(vote.by for vote in standing)}" + (f": {said[-1]}" if said else "")


def vote_tail(vote: Vote, ballot: str, refusal: Refusal | None, decides: bool, hash_: str | None) -> str:
    """A vote as members of its line."""
    return members(
        ballot=ballot, by=vote.by, approved=vote.approved, comment=vote.comment, accepted=refusal is None,
        code=refusal.code if refusal is not None else None, reason=refusal.text if refusal is not None else None,
        **{"from": dict(vote.origin)}, nonce=vote.nonce, decides=decides, audit=hash_,
    )  # fmt: skip


def vote_plain(vote: Vote) -> dict[str, Any]:
    """A vote as members of a request."""
    return {
        "by": vote.by, "approved": vote.approved, "comment": vote.comment, "nonce": vote.nonce,
        "digest": vote.digest, "artifacts": vote.artifacts, "from": dict(vote.origin),
    }  # fmt: skip


def vote_of(question: Question, ballot: Ballot) -> Vote:
    """A vote on record, as what it was bound to."""
    return bound(question, ballot.by, ballot.approved, ballot.comment, ballot.origin)


def _question_of(run: str, gate: str, asked: Asked | None, started_by: str | None) -> Question:
    if asked is None:
        return Question(run, gate, "", "")
    return Question(
        run, gate, asked.nonce, asked.digest, asked.artifacts, epoch_us(asked.at),
        None if asked.expires is None else epoch_us(asked.expires), started_by, asked.green,
    )  # fmt: skip
