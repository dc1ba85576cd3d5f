"""Gates in a run that an engine holds: asks, hears votes, says when they have decided, and whether what was approved is
still so when something is to begin by it. Who may is `approval.judge`, which files count is `bound`.

What is asked is a line of the journal, and durable before anybody can answer. A vote is in the audit chain, then in the
journal, before it counts. How long people take is told by the wall clock: it goes on where no engine lives.
"""

from __future__ import annotations

import os
from functools import partial
from time import time_ns

from stagebook.approval import audit, origin, people
from stagebook.approval.asked import around, changed_of, digest_now, room_of
from stagebook.approval.judge import Now, Question, Refusal, Vote, approvals, judge, tally, unchanged
from stagebook.approval.judge import bound as vote_on
from stagebook.engine import bound
from stagebook.engine.bound import Approved, Shown, Want
from stagebook.engine.hasher import Failed, Hasher, Told, done_here
from stagebook.model.problem import SURROUNDINGS, SurroundingsError
from stagebook.record.clock import epoch_us, stamp
from stagebook.record.gates import Asked, Ballot
from stagebook.record.line import members
from stagebook.record.publication import LISTED_MAX
from stagebook.scheduler.machine import NOBODY_DECIDED
from stagebook.scheduler.vocabulary import GateAnswered, GateReopened, TimerFired

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Protocol, Sequence

    from stagebook.approval.asked import Around, Room
    from stagebook.engine.account import Account
    from stagebook.engine.attempt import Attempt
    from stagebook.engine.attempts import Finished
    from stagebook.engine.clock import Clock
    from stagebook.engine.wakeup import Wakeup
    from stagebook.model.pipeline import Pipeline
    from stagebook.record.publication import Row
    from stagebook.record.story import Story
    from stagebook.scheduler.machine import Machine
    from stagebook.scheduler.vocabulary import Ended, Event, Kill, SetTimer
else:
    Protocol = object

READ_MAX = 4 << 20  #: bytes of artifacts that are read in the engine's own loop


CHANGED_MAX = 20  #: so many files are named where an approval is void


class Ear(Protocol):
    """Who is told. Any of these may be called before the question returns."""

    def happened(self, event: Event, name: str, us: int, stage: int | None = None, tail: str = "") -> None: ...
    def holds(self, stage: int, gates: list[str]) -> None: ...
    def reading(self, stage: int, told: Told | None) -> None: ...


class Gates:
    """The gates of one run. `ear` is set before anything is asked."""

    ear: Ear

    def __init__(
        self, pipeline: Pipeline, machine: Machine, story: Story, account: Account, directory: str, wakeup: Wakeup,
        clock: Clock,
    ) -> None:  # fmt: skip
        self.hasher = Hasher(wakeup, 2)
        self.hasher.heard = lambda key, told: self.ear.reading(key[1], told)
        self._then: dict[Any, Callable[[Any], None]] = {}
        self._has_asked = False
        self._clock = clock
        self._pipeline = pipeline
        self._machine = machine
        self._story = story
        self._account = account
        self._run = os.path.basename(directory)
        self._state = os.path.dirname(os.path.dirname(directory))
        self._folder = pipeline.folder
        self.refusal: Refusal | None = None  #: why the last vote does not count
        self._around: dict[int, tuple[Around, frozenset[int]]] = {}
        self._decided: dict[int, str] = {}  #: gates whose answer the machine has not heard of yet, and the answer

    def grew(self, pipeline: Pipeline) -> None:
        """The run has further stages."""
        self._pipeline = pipeline
        self._around.clear()

    # Work that is done here or by a child -------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        return self.hasher.is_busy

    def close(self) -> None:
        self.hasher.close()

    def take(self, attempt: Attempt, end: Finished) -> bool:
        return False

    def kill(self, decision: Kill) -> bool:
        return False

    def pump(self, fd: int) -> bool:
        """Take what a child says; False if the descriptor is of none."""
        finished = self.hasher.pump(fd)
        if finished is None:
            return False
        self._tell(finished)
        return True

    def _do(self, key: Any, is_much: bool, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """`then` gets what the work gave, or `Failed`. What was asked under the same key before is not told."""
        if self._then.pop(key, None) is not None:
            self._tell(self.hasher.stop(key))
        if is_much:
            self._then[key] = then
            self._tell(self.hasher.begin(key, work))
        else:
            then(done_here(work))

    def _tell(self, finished: Sequence[tuple[Any, Any]]) -> None:
        for key, answer in finished:
            self._then.pop(key)(answer)

    # Asking -------------------------------------------------------------------------------------------------------

    def ask(self, stage: int) -> None:
        """Put a question on record, unless it is the one that is open already: then an engine before this one asked."""
        ready_ms = self._machine.ready_at(stage)
        if self._machine.state(stage) != "gate" or ready_ms is None:
            return  # the same batch has decided it
        self._account.tell()  # what the story is about to be asked
        asked = self._story.gates.get(stage)
        if asked is not None and asked.ready_ms == ready_ms:
            self._account.gate(stage, asked)
            return
        published, want, whole = self._before(stage)
        behind = self._right_behind(stage)
        want = want._replace(
            read=tuple(dict.fromkeys([glob for i in behind for glob in self._pipeline.stages[i].inputs]))
        )
        is_much = bound.is_much(self._folder, want)
        self._do(("ask", stage), is_much, partial(bound.look, self._folder, want),
                 partial(self._put, stage, ready_ms, published, whole))  # fmt: skip

    def has_asked(self) -> bool:
        """Whether a question has been put since this was asked last: there may be nothing left to do but wait."""
        has_asked, self._has_asked = self._has_asked, False
        return has_asked

    def _put(
        self, stage: int, ready_ms: int, published: list[Row], whole: tuple[str, ...], found: Any
    ) -> None:  # fmt: skip
        """The question, now that it is known what it is about."""
        if self._machine.state(stage) != "gate" or self._machine.ready_at(stage) != ready_ms:
            return
        gate, name = self._pipeline.stages[stage].gate, self._pipeline.stages[stage].id
        assert gate is not None
        inputs: tuple[Row, ...] | None = None
        if isinstance(found, Failed):
            self._account.warn(f"{name}: {found}, so the answer is not bound to it")
            whole = ()
        else:
            published, inputs = [*published, *found[0]], found[1]
        inputs = self._listed(name, "what is read after it", inputs or ()) if inputs is not None else None
        artifacts = self._listed(name, "what stages before it have made", published)
        if artifacts is None:
            artifacts, whole = (), ()
        at_us = time_ns() // 1000
        expires = None if gate.timeout_ms is None else stamp(at_us + gate.timeout_ms * 1000)
        green = tuple([
            each.id for index, each in enumerate(self._pipeline.stages)
            if each.gate is None and self._machine.state(index) == "success"
        ])  # fmt: skip
        us = self._clock.us()
        asked = Asked(
            us, stamp(at_us), expires, origin.nonce(), self._pipeline.digest, artifacts, green, ready_ms, (), inputs,
            whole,
        )  # fmt: skip
        self._has_asked = True
        self._account.asked(stage, us, asked)
        self._account.sync(us)
        self._account.gate(stage, asked)

    def _listed(self, name: str, what: str, rows: Sequence[Row]) -> tuple[Row, ...] | None:
        """A file each, once; None of more than a person could look at, or may."""
        why = f"that makes more than {LISTED_MAX} files" if len(rows) > LISTED_MAX else None
        if any(self._account.hidden(path) != path for path, _, _ in rows):
            why = "the name of a file holds a secret"  # and stands in no record
        if why is not None:
            self._account.warn(f"{name}: {what} is not bound to the answer, as {why}")
            return None
        return tuple({row[0]: row for row in rows}.values())

    def _before(self, stage: int) -> tuple[list[Row], Want, tuple[str, ...]]:
        """What all stages before it have published, but for a stage with more files than a person could look at; where
        to find what those made that did not run now; and the outputs of all these."""
        before, found = {stage}, [stage]
        while found:
            more = set(self._story.needs[found.pop()]) - before
            before |= more
            found += more
        rows: list[Row] = []
        made: list[str] = []
        whole: list[str] = []
        for index in sorted(before):
            planned = self._pipeline.stages[index]
            globs = [output.path for output in planned.outputs]
            files = self._story.published.get(index)
            if files is None:
                made += globs
                whole += globs
            elif isinstance(files, int) or len(rows) + len(files) > LISTED_MAX:
                why = f"is not bound to the answer, as that makes more than {LISTED_MAX} files"
                self._account.warn(f"{self._pipeline.stages[stage].id}: what {planned.id} published {why}")
            else:
                rows += [(path, size, digest) for path, size, digest in files]
                whole += globs
        return rows, Want(tuple(made), (), self._all_made()), tuple(dict.fromkeys(whole))

    def _all_made(self) -> tuple[str, ...]:
        return tuple([output.path for stage in self._pipeline.stages for output in stage.outputs])

    def _right_behind(self, gate: int) -> list[int]:
        """The stages that go on by the answer, with nothing that runs in between for sure."""
        stages = self._machine.plan.stages
        followers: dict[int, list[int]] = {}
        for index, planned in enumerate(stages):
            for need in planned.needs:
                followers.setdefault(need, []).append(index)
        seen: set[int] = set()
        left = followers.get(gate, [])[:]
        found = []
        while left:
            index = left.pop()
            if index in seen:
                continue
            seen.add(index)
            if stages[index].bound:
                found.append(index)
            if stages[index].judged or stages[index].skip is not None:
                left += followers.get(index, ())
        return found

    # What was approved is still so --------------------------------------------------------------------------------

    def check(self, stage: int) -> None:
        """A stage is about to start: see whether what was approved before it lies there still."""
        self._account.tell()
        want = Want((), self._pipeline.stages[stage].inputs, self._all_made())
        asked = self._approved_before(stage)
        shown = [
            Shown(gate, each.artifacts, each.inputs, stage in self._known_around(gate)[1], self._room(gate))
            for gate, each in asked.items()
        ]
        rows = [row for each in asked.values() for row in each.artifacts]
        whole = tuple([glob for each in asked.values() for glob in each.whole])
        is_much = bool(shown) and bound.is_much(self._folder, want._replace(made=whole), rows)
        self._do(("check", stage), is_much, partial(bound.changes, self._folder, shown, want),
                 partial(self._checked, stage, list(asked)))  # fmt: skip

    def _known_around(self, gate: int) -> tuple[Around, frozenset[int]]:
        """Which stages stand around a gate, and which right behind it: found once, for thousands may go on by it."""
        if gate not in self._around:
            self._around[gate] = around(self._story, gate), frozenset(self._right_behind(gate))
        return self._around[gate]

    def _room(self, gate: int) -> Room:
        return room_of(self._story, gate, self._known_around(gate)[0])

    def approved(self, stage: int) -> list[Approved]:
        """What was approved before a stage that begins now, to be looked at file by file."""
        gates = self._approved_before(stage) if self._machine.plan.stages[stage].bound else {}
        return [
            Approved(self._folder, self._pipeline.stages[gate].id, asked.rows(), self._room(gate))
            for gate, asked in gates.items()
        ]

    def _approved_before(self, stage: int) -> dict[int, Asked]:
        """The gates whose answers let it go on, itself or what it needs: the next ones above it."""
        stages, found = self._machine.plan.stages, {}
        left, seen = list(stages[stage].needs), set()
        while left:
            need = left.pop()
            if need in seen:
                continue
            seen.add(need)
            asked = self._story.gates.get(need)
            if stages[need].gate is not None and self._machine.state(need) == "success" and asked is not None:
                found[need] = asked
            elif stages[need].gate is None or self._machine.state(need) == "skip":
                left += () if stages[need].always or stages[need].join == "done" else stages[need].needs
        return found

    def _checked(self, stage: int, gates: list[int], found: Any) -> None:
        if self._machine.state(stage) != "leasing":
            return  # nobody wants to know any more
        if isinstance(found, Failed):
            found = {gate: (str(found),) for gate in gates}
        if not found:
            self.ear.holds(stage, [self._pipeline.stages[gate].id for gate in gates])
        for gate, changed in found.items():
            self._take_back(stage, gate, changed)

    def _take_back(self, stage: int, gate: int, changed: Sequence[str]) -> None:
        """An approval is void: in the audit chain, then in the journal."""
        name, asked = self._pipeline.stages[gate].id, self._story.gates[gate]
        by = ", ".join(each.by for each in asked.approvals()) or "the default"
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        text = self._account.hidden(f"the approval of {by} is void: {changed[0]}{more} is no longer what was shown")
        said = audit.Entry("void", None, {}, self._run, name, asked.digest, "artifacts", text)
        hash_ = self._append(said)
        files = [self._account.hidden(path) for path in changed[:CHANGED_MAX]]
        tail = {"for": self._pipeline.stages[stage].id, "changed": files, "reason": text, "audit": hash_}
        us = self._clock.us()
        self.ear.happened(GateReopened(us // 1000, gate), "gate.void", us, gate, members(**tail))
        self._account.void(gate, us, f"{name}: {text}; it is asked anew")

    def by_default(self, timer: str) -> bool:
        """Nobody has decided in time. True: the default is to approve, so it is seen first whether there still is what
        was shown, and `ear` hears what came of it."""
        stage = int(timer.split(":")[1])
        gate = self._pipeline.stages[stage].gate
        if gate is None or gate.default != "approve" or not self._machine.is_due(timer):
            return False
        self._account.tell()
        asked = self._story.gates.get(stage)
        rows = asked.rows() if asked is not None else ()
        look = partial(_as_it_is, self._pipeline.file, rows, self._room(stage))
        self._do(("default", stage), bound.is_much(self._folder, Want(), rows), look,
                 partial(self._seen_by_default, stage, timer))  # fmt: skip
        return True

    def _seen_by_default(self, stage: int, timer: str, found: Any) -> None:
        if not self._machine.is_due(timer):
            return
        us = self._clock.us()
        asked, name = self._story.gates.get(stage), self._pipeline.stages[stage].id
        question = _question_of(self._run, name, asked, self._story.started_by)
        digest, changed = (question.digest, (str(found),)) if isinstance(found, Failed) else found
        refusal = unchanged(question, Now(0, digest=digest, changed=changed))
        if asked is None:
            refusal = Refusal("not-asked", "what it is about was not read yet")
        if refusal is None:
            self.ear.happened(TimerFired(us // 1000, timer), "timer.fired", us, tail=members(timer=timer))
            return
        said = audit.Entry("refused", None, {}, self._run, name, question.digest, refusal.code, refusal.text,
                           more={"asked": "approve"})  # fmt: skip
        self._append(said)
        reason = f"{NOBODY_DECIDED}: approve is refused, {refusal.text}"
        answer = GateAnswered(us // 1000, stage, False, reason)
        self.ear.happened(answer, "gate.answered", us, stage, members(approved=False, reason=reason))

    def _append(self, entry: audit.Entry) -> str | None:
        try:
            return audit.append(self._state, entry)
        except SurroundingsError as error:
            self._account.warn(str(error))
            return None

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
        rows = asked.rows() if asked is not None else ()
        self.refusal = None
        if sum(size for _, size, _ in rows) > READ_MAX:
            name = self._pipeline.stages[stage].id
            text = f"what was published is too large to be read again here; say stagebook approve {self._run} {name}"
            self.refusal = Refusal("artifacts", text)
            return None
        here = origin.here("terminal")
        question = _question_of(self._run, self._pipeline.stages[stage].id, asked, None)
        vote = vote_on(question, here.by, approved, comment, here.plain)
        return {
            "vote": vote_plain(vote), "ballot": os.urandom(8).hex(), "digest": digest_now(self._pipeline.file),
            "changed": changed_of(self._folder, rows, self._room(stage)),
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
            self._append(said)


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
    return vote_on(question, ballot.by, ballot.approved, ballot.comment, ballot.origin)


def _question_of(run: str, gate: str, asked: Asked | None, started_by: str | None) -> Question:
    if asked is None:
        return Question(run, gate, "", "")
    return Question(
        run, gate, asked.nonce, asked.digest, asked.artifacts, epoch_us(asked.at),
        None if asked.expires is None else epoch_us(asked.expires), started_by, asked.green,
        asked.inputs or (),
    )  # fmt: skip


def _as_it_is(file: str, rows: Sequence[Row], room: Room) -> tuple[str | None, tuple[str, ...]]:
    """The digest of the pipeline file, and the files that are no longer what was shown."""
    return digest_now(file), changed_of(os.path.dirname(file), rows, room)
