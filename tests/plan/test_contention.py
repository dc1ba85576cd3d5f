"""Fair shares of a machine among stages that run at once, as properties of any set of demands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from stagebook.plan import contention
from stagebook.plan.contention import Calibration, Capacity, Demand, Shares, capacity, demand, scarcest, speeds
from stagebook.plan.profile import StageProfile

shares = some.floats(0, 1).map(lambda share: round(share, 3))


@some.composite
def demanded(draw: some.DrawFn) -> Demand:
    cores = draw(some.one_of(shares, some.floats(1, 8)))
    disk = draw(shares) * (1 - min(1.0, cores))
    waiting = 1 - min(1.0, cores) - disk
    return Demand(cores, disk, waiting if waiting > 0.3 else 0.0, draw(some.floats(0, 2)))


demands = some.lists(demanded(), min_size=1, max_size=12)
capacities = some.builds(
    Capacity, some.floats(1, 16), some.floats(0.4, 4), some.one_of(some.none(), some.floats(1, 3)), some.booleans(),
    some.one_of(some.just(0.0), some.floats(0, 4)),
)  # fmt: skip
ROUGH = 1 + 1e-9
SETTLED = 1 + 2 * contention.SETTLED


@given(demands, capacities)
def test_no_resource_gives_more_than_it_has_and_nobody_stands_still(asked: list[Demand], machine: Capacity) -> None:
    found = speeds(asked, machine)
    assert len(found) == len(asked) and all(0 < speed <= 1 for speed in found)
    crowd = len(asked) > 1
    used = sum(each.cores * (1 + each.gamma * crowd) * speed for each, speed in zip(asked, found))
    assert used <= machine.cores * ROUGH
    assert sum(each.disk * speed for each, speed in zip(asked, found)) <= max(1.0, machine.disk) * ROUGH
    if machine.waiting is not None:
        assert sum(each.waiting * speed for each, speed in zip(asked, found)) <= machine.waiting * ROUGH


@given(demanded(), some.floats(1, 16))
def test_alone_a_stage_goes_at_full_speed_unless_it_wants_more_cores_than_there_are(one: Demand, cores: float) -> None:
    assert speeds([one], Capacity(cores)) == [pytest.approx(min(1.0, cores / one.cores if one.cores else 1.0))]


@given(demanded(), some.integers(1, 12), capacities)
def test_equal_demands_get_equal_speeds(one: Demand, count: int, machine: Capacity) -> None:
    found = speeds([one] * count, machine)
    assert found == pytest.approx([found[0]] * count)


@given(demands, capacities, some.randoms(use_true_random=False))
def test_the_order_of_stages_does_not_matter(asked: list[Demand], machine: Capacity, chance: object) -> None:
    order = list(range(len(asked)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    found = speeds(asked, machine)
    assert speeds([asked[at] for at in order], machine) == pytest.approx([found[at] for at in order])


@given(some.lists(some.tuples(some.floats(1, 4), some.floats(0, 1)), min_size=1, max_size=8), some.integers(2, 20))
def test_wider_stages_on_as_many_times_more_cores_are_the_same(asked: list[tuple[float, float]], factor: int) -> None:
    plain = [Demand(cores, gamma=gamma) for cores, gamma in asked]
    wide = [Demand(cores * factor, gamma=gamma) for cores, gamma in asked]
    assert speeds(wide, Capacity(2.0 * factor)) == pytest.approx(speeds(plain, Capacity(2.0)), rel=1e-6)


@given(some.lists(shares, min_size=1, max_size=8), shares, some.floats(1, 8))
def test_of_one_resource_more_company_never_makes_faster(asked: list[float], more: float, cores: float) -> None:
    before = speeds([Demand(share) for share in asked], Capacity(cores))
    after = speeds([Demand(share) for share in [*asked, more]], Capacity(cores))
    assert all(late <= early * SETTLED for early, late in zip(before, after))


def test_of_two_resources_more_company_can_make_faster() -> None:
    """The newcomers hold up one on the disk, who then leaves cores to the other: so it is with fair shares."""
    reader, worker, newcomer = Demand(0.5, 0.5), Demand(1.0), Demand(0.0, 1.0)
    before, after = (speeds([reader, worker, *[newcomer] * count], Capacity(1.0)) for count in (0, 3))
    assert after[0] < before[0] and after[1] > before[1]


busy = some.lists(some.floats(1, 8), min_size=2, max_size=12)


@given(busy, some.floats(1, 16), some.booleans())
def test_of_stages_that_do_nothing_but_compute_nobody_has_more_than_one_who_is_held_back(
    widths: list[float], cores: float, by_group: bool
) -> None:
    """Max-min fairness: whoever goes slower than it could has as much of the cores, by weight, as anybody."""
    found = speeds([Demand(width) for width in widths], Capacity(cores, by_group=by_group))
    had = [width * speed / (1 if by_group else width) for width, speed in zip(widths, found)]
    for speed, share in zip(found, had):
        assert speed > 1 - 1e-9 or share >= max(had) * (1 - 1e-6)
    assert sum(width * speed for width, speed in zip(widths, found)) >= min(cores, sum(widths)) * (1 - 1e-6)


@given(some.floats(0.05, 1), some.integers(2, 8), some.integers(1, 4))
def test_queues_of_stages_that_compute_and_wait_in_turn_are_near_what_is_exact(
    share: float, count: int, cores: int
) -> None:
    """Against the steady state of so many customers between a delay and a station with so many servers."""
    chances = [1.0]
    for there in range(count):
        arrive = (count - there) / (1 - share) if share < 1 else 1e9
        chances.append(chances[-1] * arrive * share / min(there + 1, cores))
    busy_cores = sum(min(there, cores) * chance for there, chance in enumerate(chances)) / sum(chances)
    exact = busy_cores / share / count
    assert speeds([Demand(share)] * count, Capacity(cores))[0] == pytest.approx(exact, rel=0.12)


@pytest.mark.parametrize(
    ("asked", "machine", "expected"),
    [
        ([Demand(1)] * 4, Capacity(2), [0.5] * 4),
        ([Demand(1)] * 4, Capacity(2, others=1), [0.4] * 4),  # a fifth that wants a core
        ([Demand(1)] * 2, Capacity(2, others=0.2), [1 / 1.1] * 2),
        ([Demand(1)], Capacity(2, others=3), [0.5]),
        ([Demand(4), Demand(1), Demand(1)], Capacity(2), [1 / 3] * 3),
        ([Demand(4), Demand(1), Demand(1)], Capacity(2, by_group=True), [1 / 6, 2 / 3, 2 / 3]),
        ([Demand(4), Demand(1)], Capacity(4, by_group=True), [3 / 4, 1.0]),
        ([Demand(4), Demand(1)], Capacity(2, by_group=True, others=1), [1 / 6, 2 / 3]),
        ([Demand(1, gamma=0.25)] * 2, Capacity(2), [0.8] * 2),
        ([Demand(1, gamma=0.25)] * 4, Capacity(2), [0.4] * 4),  # dearer time, and half a core each
        ([Demand(0.5, gamma=0.4)] * 2, Capacity(2), [1 / 1.2] * 2),
        ([Demand(0.1, waiting=0.9)] * 4, Capacity(2), [1.0] * 4),
        ([Demand(0.0, disk=1.0)] * 4, Capacity(2), [0.25] * 4),
        ([Demand(0.0, disk=1.0)] * 4, Capacity(2, disk=2.0), [0.5] * 4),
        ([Demand(0.0, disk=1.0)] * 3, Capacity(2, disk=0.5), [0.2] * 3),  # each further one costs twice its share
        ([Demand(0.0, disk=1.0)], Capacity(2, disk=0.5), [1.0]),
        ([Demand(0.0, waiting=1.0)] * 4, Capacity(2, waiting=1.0), [0.25] * 4),
        ([Demand(0.5, waiting=0.5)] * 2, Capacity(2, waiting=1.0), [0.764] * 2),
    ],
)
def test_what_shares_come_to(asked: list[Demand], machine: Capacity, expected: list[float]) -> None:
    assert speeds(asked, machine) == pytest.approx(expected, rel=3e-3)


@pytest.mark.parametrize(
    ("asked", "machine", "expected"),
    [
        ([Demand(1)] * 4, Capacity(2), "cores"),
        ([Demand(1)] * 2, Capacity(2), None),
        ([Demand(0.2, disk=0.8)] * 3, Capacity(2), "disk"),
        ([Demand(0.1, waiting=0.9)] * 3, Capacity(2, waiting=1.0), "waiting"),
        ([Demand(0.1, waiting=0.9)] * 3, Capacity(2), None),
        ([Demand(1)], Capacity(2, others=3), "cores"),
    ],
)
def test_what_is_scarcest_is_told(asked: list[Demand], machine: Capacity, expected: str | None) -> None:
    assert scarcest(asked, machine) == expected
    assert Shares(asked, machine).scarcest(range(len(asked))) == expected


def test_shares_are_those_of_the_stages_asked_for_and_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(demands: list[Demand], machine: Capacity) -> list[float]:
        asked.append(len(demands))
        return speeds(demands, machine)

    monkeypatch.setattr(contention, "speeds", counted)
    of = Shares([Demand(1), Demand(4), Demand(1)], Capacity(2, by_group=True))
    assert of((0, 1)) == pytest.approx([1.0, 0.25])
    assert of((0, 2)) == pytest.approx([1.0, 1.0])
    assert of((0, 1)) == pytest.approx([1.0, 0.25])
    assert asked == [2, 2]


def test_what_is_remembered_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contention, "REMEMBERED", 10)
    of = Shares([Demand(1)] * 40, Capacity(2))
    for stage in range(40):
        assert of((stage,)) == [1.0]
        assert len(of._known) <= 10


def test_what_a_stage_asks_for_is_in_its_profile_and_calibration() -> None:
    known = StageProfile("a", "history", (1.0,), cores=0.2, disk=0.3)
    assert demand(known) == Demand(0.2, 0.3, pytest.approx(0.5))
    assert demand(known, Calibration({"a": 0.4, "b": 9.0}, 1.0, None, 2, 1)).gamma == 0.4
    assert demand(known._replace(disk=0.6)).waiting == 0.0, "so little waiting is nothing to share"
    assert demand(known._replace(cores=3.0)) == Demand(3.0)
    assert demand(known._replace(cores=None, disk=None)) == Demand(1.0), "unknown: a core"


def test_others_count_by_what_they_wanted_where_that_is_known() -> None:
    taught = Calibration({}, 2.0, 1.3, 2, 1, by_group=True)
    assert capacity(4, 1.5, taught) == Capacity(4.0, 2.0, 1.3, True, 1.5)
    assert capacity(4, 1.5, taught._replace(others=3.0)).others == 3.0
    assert capacity(4, None, taught._replace(others=0.1)).others == 0.1
    assert capacity(2, None) == Capacity(2.0)


def test_of_stages_that_are_alike_only_the_number_of_each_kind_counts() -> None:
    demands = [Demand(1.0), Demand(0.5, waiting=0.5), Demand(2.0)] * 5
    shares = Shares(demands, Capacity(2.0))
    for running in ((0, 1, 2), (3, 7, 8), (0, 3, 4, 5, 14), (2,)):
        assert list(shares(running)) == pytest.approx(speeds([demands[at] for at in running], Capacity(2.0)))
