"""Whether a vote at a gate counts, and what the votes that count amount to. Pure: facts come in, a verdict goes out.

A vote is bound to what its person was shown: run, gate, one-time number, digest of the pipeline file and hashes of
artifacts. One rejection rejects. A person's approval can be taken back by that person's rejection, which decides;
nothing else changes a vote. Rejecting is refused to fewer people than approving, for it starts nothing.
"""

from __future__ import annotations

from stagebook.model.problem import FAILED, WRONG_INPUT
from stagebook.model.value import NamedTuple

try:
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping, Sequence, TypeAlias

    from stagebook.approval.people import People
    from stagebook.model.pipeline import Gate

#: Path from the pipeline's folder on, size in bytes, BLAKE3: a row of `output.published`.
Row: TypeAlias = "tuple[str, int, str]"


class Question(NamedTuple):
    """What was asked. Times are microseconds since 1970; `expires_us` None: it never does."""

    run: str
    gate: str
    nonce: str  #: 128 random bits in hex, new each time it is asked
    digest: str  #: of the pipeline file as the run's plan has it
    artifacts: tuple[Row, ...] = ()
    asked_us: int = 0
    expires_us: int | None = None
    started_by: str | None = None
    green: tuple[str, ...] = ()  #: stages that had succeeded when it was asked
    inputs: tuple[Row, ...] = ()  #: what else stages read that go on by the answer

    def rows(self) -> tuple[Row, ...]:
        """All files that an answer is bound to."""
        return (*self.artifacts, *self.inputs)


class Vote(NamedTuple):
    """`nonce`, `digest` and `artifacts` (a `seal`) are those of the question that the person was shown."""

    by: str
    approved: bool
    comment: str | None
    at_us: int
    nonce: str
    digest: str
    artifacts: str
    origin: Mapping[str, Any] = {}  #: from where: `origin.Origin.plain`


class Now(NamedTuple):
    """How things stand when a vote is judged. `state` is `open`, `not-asked`, `decided`, `over` (the run is) or
    `failed` (a need of the gate did); `why` says by whom or which."""

    at_us: int
    state: str = "open"
    why: str = ""
    digest: str | None = None  #: of the pipeline file as it lies there now; None: it is gone
    changed: tuple[str, ...] = ()  #: artifacts that are no longer what was shown


class Refusal(NamedTuple):
    """`code` is a stable word, `text` a line for people, `exit` how a command ends that asked for it."""

    code: str
    text: str
    exit: int = WRONG_INPUT


def seal(artifacts: Iterable[Row]) -> str:
    """One hash over all rows, in hex, in whichever order they come. No two lists of rows share the text it is of: a
    row's parts have their lengths before them."""
    digest = blake2b(digest_size=16)
    for row in sorted((path, int(size), hash_) for path, size, hash_ in artifacts):
        for part in row:
            data = str(part).encode("utf-8", "surrogateescape")
            digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()


def bound(question: Question, by: str, approved: bool, comment: str | None, origin: Mapping[str, Any]) -> Vote:
    """A vote of somebody who was shown this question just now; `at_us` is filled in by who judges it."""
    return Vote(by, approved, comment, 0, question.nonce, question.digest, seal(question.rows()), origin)


def judge(
    gate: Gate, people: People, question: Question, votes: Sequence[Vote], vote: Vote, now: Now
) -> Refusal | None:
    """Why the vote does not count; None where it does. `votes` are those that counted at this question before."""
    refusal = _standing(question, now) or _binding(question, vote)
    if refusal is None and vote.approved:
        refusal = unchanged(question, now)
    return refusal or _person(gate, people, question, votes, vote)


def tally(gate: Gate, votes: Sequence[Vote]) -> bool | None:
    """What the votes that count come to: True approves, False rejects, None leaves it open."""
    if any(not vote.approved for vote in votes):
        return False
    return True if len(approvals(votes)) >= max(1, gate.quorum) else None


def approvals(votes: Sequence[Vote]) -> list[Vote]:
    """Those that approve now, one a person, in the order in which they came."""
    standing: dict[str, Vote] = {}
    for vote in votes:
        if not vote.approved:
            standing.pop(vote.by, None)
        else:
            standing.setdefault(vote.by, vote)
    return list(standing.values())


def _standing(question: Question, now: Now) -> Refusal | None:
    if now.state == "over":
        return Refusal("over", f"run {question.run} is over{_because(now)}")
    if now.state == "failed":
        return Refusal("failed", now.why, FAILED)
    if now.state == "decided":
        return Refusal("decided", f"{question.gate} is decided already{_because(now)}")
    if now.state == "not-asked":
        return Refusal("not-asked", f"{question.gate} does not ask yet{_because(now)}")
    if question.expires_us is not None and now.at_us >= question.expires_us:
        return Refusal("expired", f"the time to answer {question.gate} is over; its default answer holds")
    return None


def _because(now: Now) -> str:
    return f": {now.why}" if now.why else ""


def _binding(question: Question, vote: Vote) -> Refusal | None:
    if vote.nonce != question.nonce:
        return Refusal("other-question", f"{question.gate} was asked anew since this answer was made; look at it again")
    if vote.digest != question.digest or vote.artifacts != seal(question.rows()):
        return Refusal("other-question", f"the answer is to something else than {question.gate} asks; look at it again")
    return None


def unchanged(question: Question, now: Now) -> Refusal | None:
    """Why nobody, and no default, can approve what lies there now; None: it is what was shown."""
    if now.digest is None:
        return Refusal("edited", "the pipeline file is gone; put it back as the run has it, or begin a new run")
    if now.digest != question.digest:
        text = "the pipeline file was changed since the run began; put it back as it was, or begin a new run"
        return Refusal("edited", text)
    if now.changed:
        more = f" and {len(now.changed) - 1} more" if len(now.changed) > 1 else ""
        text = (
            f"{now.changed[0]}{more} is no longer what was shown; put it back (what is new, away), or begin a new run"
        )
        return Refusal("artifacts", text)
    return None


def _person(gate: Gate, people: People, question: Question, votes: Sequence[Vote], vote: Vote) -> Refusal | None:
    if people.trouble is not None:
        return Refusal("no-approvers", people.trouble)
    if not people.may(vote.by):
        listed = ", ".join(gate.approvers[:5]) + (", …" if len(gate.approvers) > 5 else "")
        return Refusal("not-listed", f"{vote.by} is no approver of {question.gate}; asked are {listed}")
    if vote.approved and not gate.self_approval:
        if question.started_by is None:
            text = "who started the run is not on record, and whoever did may not approve it"
            return Refusal("self", f"{text}; begin a new run")
        if vote.by == question.started_by:
            return Refusal("self", f"{vote.by} started the run, and {question.gate} takes no approval of its own run")
    if vote.approved and any(earlier.by == vote.by for earlier in votes):
        return Refusal("voted", f"{vote.by} has approved {question.gate} already; another person has to")
    return None
