"""Which votes count at a gate, and what they come to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.approval.judge import Now, Question, Row, Vote, approvals, bound, judge, seal, tally
from stagebook.approval.people import People
from stagebook.model.pipeline import Gate

ROWS: tuple[Row, ...] = (("dist/app.tar", 12, "ab" * 32), ("notes.md", 3, "cd" * 32))
QUESTION = Question("01RUN", "ship", "11" * 16, "digest", ROWS, 1_000, 5_000, "ann", ("build", "test"))
OPEN = Now(2_000, digest="digest")
LISTED = People(frozenset(["ann", "bob", "cyd"]))
GATE = Gate(approvers=("ops",), quorum=2, timeout_ms=4)


def vote(by: str = "bob", approved: bool = True, **changes: Any) -> Vote:
    return bound(QUESTION, by, approved, None, {})._replace(**changes)


def code(
    given: Vote, now: Now = OPEN, gate: Gate = GATE, people: People = LISTED, votes: tuple[Vote, ...] = (),
    question: Question = QUESTION,
) -> str | None:  # fmt: skip
    refusal = judge(gate, people, question, votes, given, now)
    return None if refusal is None else refusal.code


def test_a_listed_person_counts_and_an_unlisted_one_does_not() -> None:
    assert code(vote()) is None
    assert code(vote("eve")) == "not-listed"
    assert code(vote("Bob")) == "not-listed", "names are taken as written"
    assert code(vote("eve"), people=People()) is None, "nobody is listed: who may write may decide"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"nonce": "22" * 16}, "other-question"),
        ({"digest": "another"}, "other-question"),
        ({"artifacts": seal(ROWS[:1])}, "other-question"),
    ],
    ids=["nonce", "file", "artifacts"],
)
@pytest.mark.parametrize("approved", [True, False])
def test_g24_a_vote_is_bound_to_what_was_shown(changes: dict[str, Any], expected: str, approved: bool) -> None:
    assert code(vote(approved=approved, **changes)) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (OPEN._replace(state="over", why="success"), "over"),
        (OPEN._replace(state="decided", why="approved by cyd"), "decided"),
        (OPEN._replace(state="not-asked"), "not-asked"),
        (OPEN._replace(state="failed", why="needs build (failed)"), "failed"),
        (OPEN._replace(at_us=5_000), "expired"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("approved", [True, False])
def test_g24_only_an_open_question_is_answered(now: Now, expected: str, approved: bool) -> None:
    assert code(vote(approved=approved), now) == expected


def test_r020_after_a_failed_need_the_refusal_names_it_and_exits_1() -> None:
    refusal = judge(GATE, LISTED, QUESTION, (), vote(), OPEN._replace(state="failed", why="needs build (failed)"))
    assert refusal is not None
    assert (refusal.text, refusal.exit) == ("needs build (failed)", 1)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (OPEN._replace(digest="edited"), "edited"),
        (OPEN._replace(digest=None), "edited"),
        (OPEN._replace(changed=("notes.md",)), "artifacts"),
    ],
)
def test_g24_what_was_edited_can_be_rejected_and_not_approved(now: Now, expected: str) -> None:
    assert code(vote(), now) == expected
    assert code(vote(approved=False), now) is None


def test_g24_own_change() -> None:
    strict = GATE._replace(self_approval=False)
    assert code(vote("ann")) is None
    assert code(vote("ann"), gate=strict) == "self"
    assert code(vote("ann", approved=False), gate=strict) is None, "it may be stopped by who began it"
    assert code(vote("bob"), gate=strict) is None
    unknown = QUESTION._replace(started_by=None)
    assert code(vote("bob"), gate=strict, question=unknown) == "self", "it cannot be told whose run it is"


def test_nobody_counts_where_the_list_cannot_be_trusted() -> None:
    refusal = judge(GATE, People(frozenset(), "approvers.yaml: is missing"), QUESTION, (), vote(), OPEN)
    assert refusal is not None
    assert (refusal.code, refusal.text) == ("no-approvers", "approvers.yaml: is missing")


def test_one_person_approves_once_and_may_still_reject() -> None:
    before = (vote("bob"),)
    assert code(vote("bob"), votes=before) == "voted"
    assert code(vote("bob", approved=False), votes=before) is None
    assert tally(GATE, [*before, vote("bob", approved=False)]) is False


def test_r019_a_quorum_of_different_people_approves_and_one_rejection_rejects() -> None:
    assert tally(GATE, []) is None
    assert tally(GATE, [vote("ann")]) is None
    assert tally(GATE, [vote("ann"), vote("ann")]) is None, "the same person twice is one"
    assert tally(GATE, [vote("ann"), vote("bob")]) is True
    assert tally(GATE, [vote("ann"), vote("bob", approved=False)]) is False


_PEOPLE = st.sampled_from("abcde")
_VOTES = st.lists(st.tuples(_PEOPLE, st.booleans()), max_size=12)


@given(_VOTES, st.integers(1, 4), st.booleans())
def test_in_whichever_order_people_vote_the_quorum_is_of_distinct_listed_people(
    wanted: list[tuple[str, bool]], quorum: int, may_own: bool
) -> None:
    gate = Gate(approvers=("a", "b", "c", "d"), quorum=quorum, self_approval=may_own)
    people = People(frozenset(gate.approvers))
    question = QUESTION._replace(started_by="a")
    counted: list[Vote] = []
    for by, approved in wanted:
        if tally(gate, counted) is not None:
            break
        given_vote = bound(question, by, approved, None, {})
        if judge(gate, people, question, counted, given_vote, OPEN) is None:
            counted.append(given_vote)
    decision = tally(gate, counted)
    yes = {each.by for each in counted if each.approved}
    assert yes <= set(gate.approvers) - (set() if may_own else {"a"})
    assert len(counted) <= len(yes) + 1, "no vote counts twice"
    if decision is True:
        assert len(yes) == quorum
        assert all(each.approved for each in counted)
    elif decision is False:
        assert not counted[-1].approved
    else:
        assert len(approvals(counted)) < quorum


_ROWS = st.lists(
    st.tuples(st.text(max_size=8), st.integers(0, 99), st.text("0123456789abcdef", max_size=6)), max_size=5
)


@given(_ROWS, _ROWS)
def test_seals_are_equal_just_where_the_rows_are(one: list[Row], other: list[Row]) -> None:
    assert (seal(one) == seal(other)) == (sorted(one) == sorted(other))
    assert seal(reversed(one)) == seal(one)
