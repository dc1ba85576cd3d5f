"""When messages are sent: on a clock of the test's, whatever services do."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stagebook.notify.allowance import Shared
from stagebook.notify.deliver import LIMIT, NEVER_S, TRIES, WAITS_S, Deliveries, Delivery, line
from stagebook.notify.message import Message
from stagebook.record import notices

TARGETS = ["a", "b", "c"]


class Free:
    """An allowance that counts, and gives so many."""

    def __init__(self, limit: int = 1000) -> None:
        self.left = dict.fromkeys(TARGETS, limit)
        self.more = dict.fromkeys(TARGETS, 1)

    def take(self, target: str) -> bool:
        self.left[target] -= 1
        return self.left[target] >= 0

    def take_more(self, target: str) -> bool:
        self.more[target] -= 1
        return self.more[target] >= 0


def message(title: str) -> Message:
    return Message(title, "", {"event": "failure"})


def make(limit: int = 1000) -> tuple[Deliveries, list[dict[str, Any]]]:
    said: list[dict[str, Any]] = []
    deliveries = Deliveries(
        Free(limit), lambda one: said.append(line(one, "now")), lambda titles: message(f"{len(titles)} more")
    )
    return deliveries, said


def test_a_message_is_tried_again_with_growing_waits_and_then_given_up() -> None:
    deliveries, said = make()
    deliveries.add("failure", ("unit",), "a", message("x"))
    now = 0.0
    tried = []
    while not deliveries.is_done:
        one = deliveries.begin(now, 4)
        assert one is not None
        assert deliveries.begin(now, 4) is None
        tried.append(now)
        deliveries.ended(one, "refused", now + 1.0)
        now = deliveries.due_s
    assert [later - before for before, later in pairwise(tried)] == [1.0 + wait for wait in WAITS_S]
    assert len(tried) == TRIES
    assert [one["state"] for one in said] == ["waiting"] * TRIES + ["failed"]
    assert (said[-1]["attempts"], said[-1]["error"]) == (TRIES, "refused")
    assert deliveries.due_s == NEVER_S


@given(
    st.lists(st.sampled_from(TARGETS), min_size=1, max_size=40),
    st.lists(st.booleans(), max_size=200),
    st.integers(0, 10),
    st.integers(1, 4),
)
def test_each_is_told_in_order_and_ends_in_a_known_way(
    targets: list[str], answers: list[bool], limit: int, at_once: int
) -> None:
    deliveries, said = make(limit)
    for number, target in enumerate(targets):
        deliveries.add("failure", (str(number),), target, message(str(number)))
    deliveries.close()
    now = 0.0
    begun: dict[str, list[str]] = {}
    under_way: list[Delivery] = []
    luck = iter(answers)
    for _ in range(10_000):
        while (one := deliveries.begin(now, at_once)) is not None:
            assert one.target not in [other.target for other in under_way]
            under_way.append(one)
            begun.setdefault(one.target, []).append(one.message.title)
        assert len(under_way) <= at_once
        if under_way:
            deliveries.ended(under_way.pop(0), None if next(luck, True) else "no", now)
        elif deliveries.is_done:
            break
        else:
            assert deliveries.due_s < NEVER_S
            now = max(now, deliveries.due_s)
    else:
        raise AssertionError("it never ends")
    for target, titles in begun.items():
        firsts = list(dict.fromkeys(titles))
        mine = [str(number) for number, other in enumerate(targets) if other == target]
        held = len(mine) - limit
        assert firsts == mine[:limit] + ([f"{held} more"] if held > 0 else [])
        assert all(titles.count(title) <= TRIES for title in firsts)
    last = {one["id"]: one["state"] for one in said}
    assert set(last.values()) <= {"delivered", "failed", "held"}
    assert sum(state == "held" for state in last.values()) == sum(
        max(0, targets.count(target) - limit) for target in TARGETS
    )


def test_what_is_given_up_is_said() -> None:
    deliveries, said = make()
    for title in "xy":
        deliveries.add("failure", (title,), "a", message(title))
    one = deliveries.begin(0.0, 1)
    assert one is not None
    deliveries.ended(one, "refused", 0.0)
    deliveries.give_up("no time")
    assert deliveries.is_done
    assert {each["id"]: (each["state"], each["error"]) for each in said} == {
        one.id: ("failed", "refused"), "failure:a:2": ("failed", "no time"),
    }  # fmt: skip


def test_twenty_an_hour_for_all_runs_together(tmp_path: Path) -> None:
    path = str(tmp_path / "notices.json")
    now = [1000.0]
    some = [Shared(path, {"ops": "json://h", "other": "json://i"}, lambda: now[0]) for _ in range(2)]
    assert [some[at % 2].take("ops") for at in range(LIMIT + 2)] == [True] * LIMIT + [False] * 2
    assert some[0].take("other")
    assert [some[0].take_more("ops"), some[1].take_more("ops")] == [True, False]
    now[0] += 3601
    assert some[0].take("ops") and some[0].take_more("ops")
    now[0] -= 9000  # a clock that was set back holds nobody up
    assert some[0].take("ops")
    assert "json" not in (tmp_path / "notices.json").read_text()
    (tmp_path / "notices.json").write_text("[1, {")
    assert some[0].take("ops")


def test_notices_stand_as_their_last_sound_line_says(tmp_path: Path) -> None:
    deliveries, said = make()
    deliveries.add("failure", ("unit",), "a", message("x"))
    deliveries.add("recovery", (), "b", message("y"))
    one = deliveries.begin(0.0, 1)
    assert one is not None
    deliveries.ended(one, "refused", 0.0)
    path = tmp_path / notices.NAME
    path.write_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in said) + b'{"id": 7}\n[]\n{"torn')
    told = notices.read(str(tmp_path))
    assert [(each["target"], each["state"], each["error"]) for each in told] == [
        ("a", "waiting", "refused"), ("b", "waiting", None),
    ]  # fmt: skip
    assert notices.warnings(told, "RUN") == [
        "a has not been told of failure of unit yet: refused; it is tried again",
        "1 message is on the way to b; stagebook show RUN says what became of it",
    ]
    since = notices.size(str(tmp_path))
    assert not notices.is_settled(str(tmp_path), 0)
    with open(path, "ab") as file:
        file.write(b'\n{"state": "settled"}\n')
    assert notices.is_settled(str(tmp_path), since) and notices.is_settled(str(tmp_path), 0)
    assert not notices.is_settled(str(tmp_path), since + 100)
    assert not notices.is_followed(str(tmp_path))
