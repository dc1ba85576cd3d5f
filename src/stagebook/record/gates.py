"""What a record says of gates: questions, votes, and what the document tells of both. Decides nothing.

A question is the line `gate.asked`, a vote `gate.vote`; what decides a gate is `gate.answered`, or its time. Where what
was approved has changed since, `gate.void` takes the approval back, and a question follows.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.record.line import members, time_us
from stagebook.record.reasons import warned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping, TypeAlias

    from stagebook.record.publication import Row
    from stagebook.record.story import Story

Record: TypeAlias = "dict[str, Any]"


class Ballot(NamedTuple):
    """A vote that counted. `at` is the wall clock (ISO 8601), `origin` says from where it came."""

    by: str
    approved: bool
    comment: str | None
    at: str
    origin: Mapping[str, Any] = {}


class Asked(NamedTuple):
    """A question at a gate, with the votes that counted so far. `us` is the run's clock; `at` and `expires` are the
    wall clock (ISO 8601), for a person's time goes on where no engine lives. `ready_ms` tells one asking from the
    next. `inputs` are files that what goes on by the answer reads and no stage makes; None: they are not bound.
    `whole` are globs of outputs of which all files are shown: what matches them besides has come since."""

    us: int
    at: str
    expires: str | None
    nonce: str
    digest: str
    artifacts: tuple[Row, ...]
    green: tuple[str, ...]
    ready_ms: int
    ballots: tuple[Ballot, ...] = ()
    inputs: tuple[Row, ...] | None = ()
    whole: tuple[str, ...] = ()

    def rows(self) -> tuple[Row, ...]:
        """All files that an answer is bound to."""
        return (*self.artifacts, *(self.inputs or ()))

    def tail(self) -> str:
        """As members of its line."""
        return members(
            nonce=self.nonce, expires=self.expires, digest=self.digest, artifacts=self.artifacts, green=self.green,
            inputs=self.inputs, whole=self.whole, ready_ms=self.ready_ms,
        )  # fmt: skip

    def approvals(self) -> list[Ballot]:
        """Those that approve now, one a person."""
        standing: dict[str, Ballot] = {}
        for ballot in self.ballots:
            if ballot.approved:
                standing.setdefault(ballot.by, ballot)
            else:
                standing.pop(ballot.by, None)
        return list(standing.values())


def asked_of(record: Record) -> Asked:
    """From a line `gate.asked`."""
    inputs = record.get("inputs", ())
    return Asked(
        time_us(record), record["at"], record["expires"], record["nonce"], record["digest"],
        _rows(record["artifacts"]), tuple(record["green"]), record["ready_ms"],
        inputs=None if inputs is None else _rows(inputs), whole=tuple(record.get("whole", ())),
    )  # fmt: skip


def _rows(plain: Iterable[Iterable[Any]]) -> tuple[Row, ...]:
    return tuple([(path, size, digest) for path, size, digest in plain])


def vote_of(story: Story, stage: int, record: Record) -> None:
    """Tell the story a line `gate.vote`. One that was refused, or is about an earlier question, changes nothing."""
    asked = story.gates.get(stage)
    if asked is not None and record["accepted"] and record["nonce"] == asked.nonce:
        ballot = Ballot(record["by"], record["approved"], record.get("comment"), record["at"], record["from"])
        story.gates[stage] = asked._replace(ballots=(*asked.ballots, ballot))


def told(story: Story, stage: int) -> dict[str, dict[str, Any]]:
    """The member `gate` of a stage's document; nothing for what is no gate. `from_s` and `to_s` are on the run's own
    clock."""
    gate = story.pipeline.stages[stage].gate
    if gate is None:
        return {}
    asked, end = story.gates.get(stage), story.ends[stage]
    from_s = to_s = None
    if asked is not None:
        from_s = asked.us / 1e6
        to_s = end.us / 1e6 if end is not None else None
    return {
        "gate": {
            "prompt": gate.prompt,
            "needed": gate.quorum,
            "approvals": [
                {"by": each.by, "at": each.at, "comment": each.comment}
                for each in (asked.approvals() if asked is not None else ())
            ],
            "decision": decision(story, stage),
            "approvers": list(gate.approvers),
            "asked": asked.at if asked is not None else None,
            "expires": asked.expires if asked is not None else None,
            "default": gate.default if gate.timeout_ms is not None else None,
            "green": list(asked.green) if asked is not None else [],
            "warnings": warned(story, stage),
            "from_s": from_s,
            "to_s": to_s,
        }
    }


def decision(story: Story, stage: int) -> str | None:
    """`approved` or `rejected`, by persons or by default; None where a gate ended without, or has not ended."""
    end = story.ends[stage]
    if end is None:
        return None
    if end.outcome == "timeout":
        return "rejected" if (end.reason or "").startswith("nobody decided") else None
    return {"success": "approved", "failure": "rejected"}.get(end.outcome)
