"""A pipeline and a choice become a plan: capacities, selection, ranks, the critical set, seeds."""

from __future__ import annotations

from typing import Any

import pytest

from stagebook.model.pipeline import Limits, Matrix, Param, Pipeline, Resources, Retry, Stage, Timeouts
from stagebook.model.pipeline import Pool as NamedPool
from stagebook.model.problem import InputError
from stagebook.scheduler.build import _chance, _next_chance, build, critical_planned, jobs, jobs_because, mode
from stagebook.scheduler.machine import Machine
from stagebook.scheduler.plan import Cap, Choice, Plan, Pool

ONE = ((0, 1),)


def stage(id: str, *needs: str, **more: Any) -> Stage:
    fields: dict[str, Any] = {"name": id, "line": 7, "col": 3, "kind": "run", "command": "true", **more}
    return Stage(id=id, needs=needs, **fields)


def pipeline(*stages: Stage, **more: Any) -> Pipeline:
    return Pipeline("p", "/x/stagebook.yaml", "native", "d", stages, **more)


def plan(*stages: Stage, choice: Choice | None = None, **more: Any) -> Plan:
    return build(pipeline(*stages, **more), choice or Choice(cores=4))


def problems(*stages: Stage, choice: Choice | None = None, **more: Any) -> list[str]:
    """What is refused, as `LINE:COL CODE: MESSAGE`."""
    with pytest.raises(InputError) as caught:
        plan(*stages, choice=choice, **more)
    found = caught.value.problems
    assert all(problem.file == "/x/stagebook.yaml" and problem.level == "error" for problem in found)
    assert str(caught.value) == found[0].message
    return [f"{problem.line}:{problem.col} {problem.code}: {problem.message}" for problem in found]


def order(made: Plan) -> list[str]:
    return [planned.id for planned in sorted(made.stages, key=lambda planned: planned.rank)]


# ------------------------------------------------------------------ capacity


@pytest.mark.parametrize(
    ("choice", "limit", "expected"),
    [
        (Choice(cores=4), None, 4),
        (Choice(cores=1), None, 2),
        (Choice(cores=4), 8, 8),
        (Choice(cores=4), 1, 1),
        (Choice(cores=4, jobs=3), 8, 3),
        (Choice(cores=4, jobs=3, sequential=True), 8, 1),
    ],
)
def test_jobs_are_chosen_then_limited_then_the_cores(choice: Choice, limit: int | None, expected: int) -> None:
    made = plan(stage("a"), choice=choice, limits=Limits(jobs=limit))
    assert made.pools == (Pool("slot", expected),) and jobs(made) == expected


def test_every_scarcity_becomes_a_pool_of_whole_units_in_one_order() -> None:
    made = plan(
        stage("a", resources=Resources(1500, 1 << 30, {"db": 2}), locks={"table": "exclusive"}),
        stage("b", locks={"table": "shared"}),
        stage("c"),
        limits=Limits(2, 3000, 4 << 30),
        pools={"unused": NamedPool(1), "db": NamedPool(3)},
    )
    assert made.pools == (
        Pool("slot", 2), Pool("cpu", 3000), Pool("memory", 4 << 30), Pool("pool:db", 3), Pool("lock:table", 2),
    )  # fmt: skip
    demands = [made.demands[planned.demand] for planned in made.stages]
    assert demands == [((0, 1), (1, 1500), (2, 1 << 30), (3, 2), (4, 2)), ((0, 1), (4, 1)), ONE]


def test_what_is_not_limited_or_asked_for_with_nothing_takes_no_units() -> None:
    made = plan(
        stage("a", resources=Resources(memory_bytes=1, pools={"db": 1})), stage("b"),
        stage("c", resources=Resources(pools={"db": 0})), pools={"db": NamedPool(1)},
    )  # fmt: skip
    assert [made.demands[planned.demand] for planned in made.stages] == [((0, 1), (1, 1)), ONE, ONE]


def test_equal_demands_are_one() -> None:
    made = plan(*(stage(f"s{i}", resources=Resources(cpu_milli=1000 * (1 + i % 2))) for i in range(9)))
    assert len(made.demands) == 2


def test_without_a_limit_memory_is_not_counted_and_cpu_is_that_of_the_machine() -> None:
    made = plan(stage("a", resources=Resources(9000, 1 << 40)), choice=Choice(cores=4))
    assert made.pools == (Pool("slot", 4), Pool("cpu", 4000))
    assert made.demands == (((0, 1), (1, 4000)),)


def test_a_demand_over_capacity_is_refused_by_name_at_its_line() -> None:
    assert problems(
        stage("a", resources=Resources(pools={"db": 5})),
        stage("b", resources=Resources(cpu_milli=5000, memory_bytes=9), line=8, col=5),
        pools={"db": NamedPool(4)},
        limits=Limits(None, 4000, 8),
    ) == [
        "7:3 demand-over-capacity: stage `a` asks 5 of `pool:db`, which has 4",
        "8:5 demand-over-capacity: stage `b` asks 5 cores, the run has 4",
        "8:5 demand-over-capacity: stage `b` asks 9B of memory, the run has 8B",
    ]


def test_an_unknown_pool_is_refused_with_the_nearest() -> None:
    assert problems(stage("a", resources=Resources(pools={"datebase": 1})), pools={"database": NamedPool(1)}) == [
        "7:3 unknown-pool: stage `a` asks for unknown pool `datebase`, did you mean `database`?"
    ]


def test_max_parallel_of_a_matrix_is_a_pool_and_its_cells_fail_together() -> None:
    cells = tuple(f"t[v={value}]" for value in "123")
    stages = [stage(id, name="t", cell={"v": id[4]}) for id in cells]
    made = plan(*stages, stage("x"), matrices={"t": Matrix(cells, 2), "u": Matrix(("x",), 1)})
    assert made.pools == (Pool("slot", 4), Pool("matrix:t", 2))
    assert [made.demands[planned.demand] for planned in made.stages] == [((0, 1), (1, 1))] * 3 + [ONE]
    assert [planned.fail_fast_group for planned in made.stages] == [0, 0, 0, -1]
    made = plan(*stages, matrices={"t": Matrix(cells[:2])})
    assert [planned.fail_fast_group for planned in made.stages] == [0, 0, -1]
    made = plan(*stages, matrices={"t": Matrix(cells, 3, fail_fast=False)})
    assert made.pools == (Pool("slot", 4),) and made.stages[0].fail_fast_group == -1


def test_an_exclusive_lock_keeps_readers_out_and_readers_share() -> None:
    made = plan(*(stage(f"r{i}", locks={"l": "shared"}) for i in range(3)), stage("w", locks={"l": "exclusive"}))
    machine = Machine(made)
    assert made.demands == (((0, 1), (1, 1)), ((0, 1), (1, 4)))
    assert machine.plan.pools[1] == Pool("lock:l", 4)


# ------------------------------------------------------------------ what a stage brings along


def test_a_stage_keeps_its_marks_and_limits() -> None:
    made = plan(
        stage("a"),
        stage(
            "b", "a", join="any", always=True, allow_failure=True, retry_safe=False, critical=True,
            retry=Retry(3, 0, only=("timeout",)), timeouts=Timeouts(1, 2, 3),
        ),
        policy="fail-fast", timeout_ms=9,
    )  # fmt: skip
    planned = made.stages[1]
    assert planned == planned._replace(
        id="b", needs=(0,), join="any", always=True, allow_failure=True, retry_safe=False, critical=True, attempts=3,
        delays_ms=(), retry_only=("timeout",), attempt_timeout_ms=1, stage_timeout_ms=2, queue_timeout_ms=3, skip=None,
    )  # fmt: skip
    assert made.policy == "fail-fast" and made.timeout_ms == 9 and not made.in_order


def test_the_policy_chosen_wins_and_an_unknown_one_is_refused() -> None:
    assert plan(stage("a"), policy="strict", choice=Choice(2, policy="lenient")).policy == "lenient"
    assert problems(stage("a"), choice=Choice(2, policy="loose")) == [
        "0:0 policy: unknown policy `loose`, expected one of strict, lenient, fail-fast"
    ]


def test_fewer_than_one_job_is_refused() -> None:
    assert problems(stage("a"), choice=Choice(2, jobs=0)) == ["0:0 jobs: jobs must be at least 1, not 0"]


@pytest.mark.parametrize(
    ("retry", "delays"),
    [
        (Retry(1, 1000), ()),
        (Retry(3, 0), ()),
        (Retry(4, 1000, 2.0), (1000, 2000, 4000)),
        (Retry(5, 1000, 2.0, 3000), (1000, 2000, 3000)),
        (Retry(5, 1000), (1000,)),
        (Retry(10_000, 1000, 10.0), (*(1000 * 10**k for k in range(8)), 365 * 24 * 3600 * 1000)),
    ],
)
def test_delays_grow_by_the_factor_up_to_the_maximum(retry: Retry, delays: tuple[int, ...]) -> None:
    assert plan(stage("a", retry=retry)).stages[0].delays_ms == delays


def test_jitter_comes_from_the_seed_stays_in_bounds_and_is_each_stages_own() -> None:
    retry = Retry(40, 1000, 1.0, None, 0.2)
    first = plan(stage("a", retry=retry), stage("b", retry=retry), choice=Choice(2, seed=5))
    again = plan(stage("x"), stage("b", retry=retry), stage("a", retry=retry), choice=Choice(2, seed=5))
    other = plan(stage("a", retry=retry), choice=Choice(2, seed=6))
    delays = first.stages[0].delays_ms
    assert len(delays) == 39 and all(800 <= delay <= 1200 for delay in delays)
    assert min(delays) < 880 and max(delays) > 1120
    assert delays == again.stages[2].delays_ms != first.stages[1].delays_ms
    assert delays != other.stages[0].delays_ms


def test_a_wait_may_be_jittered_down_to_nothing() -> None:
    delays = plan(stage("a", retry=Retry(12, 1, 1.0, None, 1.0))).stages[0].delays_ms
    assert delays == (1, 2, 2, 1, 1, 1, 2, 1, 1, 1, 0)


@pytest.mark.parametrize(
    ("id", "seed", "delays"),
    [
        ("build", 0, (12072539636, 16022951302, 27788855389, 19160968608)),
        ("build", 2**70 + 5, (21769937608, 26719227377, 15218335802, 17531639712)),
        ("build", 2**64 - 1, (8029067636, 21119503257, 26189845460, 10460011338)),
        ("build", -1, (8029067636, 21119503257, 26189845460, 10460011338)),
        ("t[os=ä,v=1]", 5, (19294455149, 8214199, 7520460897, 22769080987)),
    ],
)
def test_jitter_is_the_same_for_ever(id: str, seed: int, delays: tuple[int, ...]) -> None:
    """A run that is resumed, perhaps by a later Stagebook on another Python, makes its plan again."""
    retry = Retry(5, 15_000_000_000, 1.0, None, 1.0)
    assert plan(stage(id, retry=retry), choice=Choice(2, seed=seed)).stages[0].delays_ms == delays


def test_the_random_numbers_are_fnv_and_splitmix() -> None:
    """Against the published values of both."""
    assert _chance(0, "a") == 0xAF63DC4C8601EC8C
    assert _next_chance(1234567) == 6457827717110365317


def test_jitter_never_goes_over_the_maximum() -> None:
    delays = plan(stage("a", retry=Retry(40, 1000, 1.0, 1000, 0.5))).stages[0].delays_ms
    assert max(delays) == 1000 and min(delays) >= 500


# ------------------------------------------------------------------ order


def test_the_longest_remaining_path_goes_first_by_declared_durations() -> None:
    made = plan(stage("short", duration_ms=1), stage("long", duration_ms=5), stage("tail", "short", duration_ms=9))
    assert order(made) == ["short", "tail", "long"]


def test_known_durations_win_over_declared_ones() -> None:
    made = plan(
        stage("a", duration_ms=1), stage("b", duration_ms=9), choice=Choice(2, durations_ms=(("a", 50), ("gone", 3)))
    )
    assert order(made) == ["a", "b"]


def test_paths_are_counted_in_stages_where_nothing_is_known() -> None:
    assert order(plan(stage("a"), stage("b"), stage("c", "b"), stage("d", "c"))) == ["b", "c", "a", "d"]


def test_an_unknown_duration_is_the_median_of_the_known() -> None:
    made = plan(stage("a", duration_ms=1), stage("b"), stage("c", duration_ms=5), stage("d", duration_ms=9))
    assert order(made) == ["d", "b", "c", "a"]
    known = [stage(f"k{duration}", duration_ms=duration) for duration in (9, 1, 7, 3, 5)]
    assert order(plan(stage("unknown"), *known)) == ["k9", "k7", "unknown", "k5", "k3", "k1"]


def test_priority_comes_before_length() -> None:
    made = plan(
        stage("a", duration_ms=9), stage("b", duration_ms=1, priority=1), stage("c", duration_ms=2, priority=-1)
    )
    assert order(made) == ["b", "a", "c"]


def test_a_path_counts_from_the_middle_of_its_first_stage() -> None:
    """`m` starts the longer path, but `n` leaves more after its middle: halfway between latest start and finish."""
    made = plan(stage("m", duration_ms=10), stage("n", duration_ms=2), stage("after", "n", duration_ms=5))
    assert order(made) == ["n", "m", "after"]
    made = plan(stage("n", duration_ms=2), stage("m", duration_ms=14), stage("after", "n", duration_ms=5))
    assert order(made) == ["m", "n", "after"]


def test_what_claims_much_goes_first_like_one_with_a_longer_path() -> None:
    """The whole of a pool weighs as much as a path of one mean stage, half of it half as much; slots do not count."""
    whole, half = Resources(pools={"db": 4}), Resources(pools={"db": 2})
    made = plan(
        stage("some", duration_ms=10), stage("half", duration_ms=8, resources=half),
        stage("whole", duration_ms=6, resources=whole), pools={"db": NamedPool(4)},
    )  # fmt: skip
    assert order(made) == ["whole", "half", "some"]
    made = plan(stage("some", duration_ms=30), stage("whole", resources=whole), pools={"db": NamedPool(4)})
    assert order(made) == ["whole", "some"]
    made = plan(
        stage("whole", duration_ms=2, resources=whole), stage("some", duration_ms=2), stage("long", duration_ms=90),
        pools={"db": NamedPool(4)},
    )  # fmt: skip
    assert order(made) == ["long", "whole", "some"]
    made = plan(stage("some"), stage("whole", resources=whole), pools={"db": NamedPool(4)})
    assert order(made) == ["some", "whole"], "nothing is known: in the order of the file"


def test_priority_comes_first_also_among_stages_of_several_pools() -> None:
    both = Resources(1000, 1)
    made = plan(
        stage("n", duration_ms=2, resources=both), stage("m", duration_ms=1, resources=both, priority=1),
        stage("after", "n", duration_ms=5), limits=Limits(2, 4000, 8),
    )  # fmt: skip
    assert order(made) == ["m", "n", "after"]


def test_sequential_is_topological_and_otherwise_in_file_order() -> None:
    made = plan(stage("c", "a"), stage("b", priority=9), stage("a"), stage("d"), choice=Choice(4, sequential=True))
    assert order(made) == ["b", "a", "c", "d"] and made.in_order and mode(made) == "sequential"
    assert mode(plan(stage("a"), choice=Choice(4, jobs=1))) == "parallel"


def test_ranks_are_the_places_from_0() -> None:
    made = plan(*(stage(f"s{i}", duration_ms=i % 3) for i in range(20)))
    assert sorted(planned.rank for planned in made.stages) == list(range(20))


def test_a_cycle_and_an_unknown_need_are_refused() -> None:
    assert problems(stage("ok"), stage("a", "b", line=8), stage("b", "a")) == [
        "8:3 cycle: the needs of stage `a` form a cycle or wait for one"
    ]
    assert problems(stage("a", "a")) == ["7:3 cycle: the needs of stage `a` form a cycle or wait for one"]
    assert problems(stage("a", "x"), stage("b", "a"), stage("c", "y", line=9)) == [
        "7:3 unknown-need: stage `a` needs unknown stage `x`",
        "9:3 unknown-need: stage `c` needs unknown stage `y`",
    ]


# ------------------------------------------------------------------ the critical set


def test_critical_are_those_without_slack_by_durations() -> None:
    stages = [
        stage("a", duration_ms=1),
        stage("b", "a", duration_ms=9),
        stage("c", "a", duration_ms=8),
        stage("d", "b", "c"),
    ]
    assert critical_planned(plan(*stages)) == ("a", "b", "d")


def test_critical_are_those_on_the_longest_chains_where_nothing_is_known() -> None:
    assert critical_planned(plan(stage("a"), stage("b", "a"), stage("c", "a"), stage("d"))) == ("a", "b", "c")


def test_marked_stages_are_the_critical_set_with_gates_and_what_must_not_run_twice() -> None:
    stages = [stage("a", critical=True), stage("b", "a"), stage("g", kind="gate"), stage("deploy", retry_safe=False)]
    assert critical_planned(plan(*stages)) == ("a", "g", "deploy")


def test_what_is_not_selected_is_not_critical_and_weighs_nothing() -> None:
    stages = [stage("a", duration_ms=99), stage("b", "a", duration_ms=1), stage("c", duration_ms=5)]
    made = plan(*stages, choice=Choice(2, skip=("a",)))
    assert critical_planned(made) == ("c",)
    assert order(made)[0] == "c"
    stages = [stage("a"), stage("b", "a", duration_ms=5), stage("c", duration_ms=5)]
    assert critical_planned(plan(*stages, choice=Choice(2, skip=("a",)))) == ("b", "c")


@pytest.mark.parametrize(
    ("stages", "known", "by"),
    [
        ([stage("a", duration_ms=1), stage("b", critical=True)], (("a", 1),), "marked"),
        ([stage("a", duration_ms=1), stage("b")], (("b", 1),), "known durations"),
        ([stage("a"), stage("b")], (("a", 1), ("b", 1)), "known durations"),
        ([stage("a", duration_ms=1), stage("b")], (("gone", 1),), "declared durations"),
        ([stage("a", duration_ms=1)], (), "declared durations"),
        ([stage("a"), stage("b")], (("gone", 1),), "number of stages"),
    ],
)
def test_a_plan_tells_what_chose_the_critical_stages(stages: list[Stage], known: Any, by: str) -> None:
    assert plan(*stages, choice=Choice(2, durations_ms=known)).critical_by == by


# ------------------------------------------------------------------ selection

GRAPH = (stage("a"), stage("b", "a"), stage("c", "b"), stage("d", "a"), stage("e", "c", "d"))


@pytest.mark.parametrize(
    ("choice", "selected"),
    [
        (Choice(2), "abcde"),
        (Choice(2, only=("b", "d")), "bd"),
        (Choice(2, from_=("b",)), "bce"),
        (Choice(2, until=("c",)), "abc"),
        (Choice(2, skip=("d",)), "abce"),
        (Choice(2, from_=("b",), until=("c",)), "bc"),
        (Choice(2, from_=("d",), only=("a",)), "ade"),
        (Choice(2, from_=("b", "d"), skip=("e",)), "bcd"),
        (Choice(2, only=("b",), skip=("b",)), ""),
        (Choice(2, only=("g",)), "cd"),
    ],
)
def test_what_runs(choice: Choice, selected: str) -> None:
    made = plan(*GRAPH, choice=choice, groups={"g": ("c", "d")})
    assert "".join(planned.id for planned in made.stages if planned.skip is None) == selected
    assert {planned.skip for planned in made.stages} <= {None, "not selected"}


@pytest.mark.parametrize(
    ("name", "selected"),
    [("t", 4), ("t[os=linux,py=3]", 1), ("t[py=3, os=linux]", 1), ("t[py=3,os=linux]", 1)],
)
def test_a_matrix_and_its_cells_are_picked_by_name(name: str, selected: int) -> None:
    cells = [
        stage(f"t[py={py},os={os}]", name="t", cell={"py": py, "os": os})
        for py in ("2", "3")
        for os in ("linux", "mac")
    ]
    made = plan(*cells, stage("x"), choice=Choice(2, only=(name,)))
    picked = [planned.id for planned in made.stages if planned.skip is None]
    assert len(picked) == selected and (selected > 1 or picked == ["t[py=3,os=linux]"])


def test_a_cell_is_picked_by_its_whole_name_whatever_is_in_its_values() -> None:
    cells = [stage(f"t[py={py},os=a[b,cc=d]", name="t", cell={"py": py, "os": "a[b", "cc": "d"}) for py in "23"]
    made = plan(*cells, choice=Choice(2, only=("t[os=a[b,py=3,cc=d]",)))
    assert [planned.skip for planned in made.stages] == ["not selected", None]
    assert problems(*cells, choice=Choice(2, only=("t[os=a[b,py=3,cc=dd", "t[cc=d,os=a[b,py=33]"))) == [
        "0:0 unknown-stage: --only: no stage `t[os=a[b,py=3,cc=dd`, did you mean `t[py=3,os=a[b,cc=d]`?",
        "0:0 unknown-stage: --only: no stage `t[cc=d,os=a[b,py=33]`, did you mean `t[cc=d,os=a[b,py=3]`?",
    ]


def test_unknown_names_are_refused_all_at_once_with_the_nearest() -> None:
    choice = Choice(2, only=("buidl",), from_=("t[py=9]",), until=("zzzzzz",), skip=("unti",))
    assert problems(stage("build"), stage("unit"), choice=choice) == [
        "0:0 unknown-stage: --only: no stage `buidl`, did you mean `build`?",
        "0:0 unknown-stage: --from: no stage `t[py=9]`",
        "0:0 unknown-stage: --until: no stage `zzzzzz`",
        "0:0 unknown-stage: --skip: no stage `unti`, did you mean `unit`?",
    ]


def test_parameters_are_checked() -> None:
    params = {"channel": Param("beta", ("beta", "stable")), "to": Param(None)}
    assert problems(stage("a"), params=params, choice=Choice(2, params=(("chanel", "x"), ("channel", "gold")))) == [
        "0:0 parameter: unknown parameter `chanel`, did you mean `channel`?",
        "0:0 parameter: parameter `channel` cannot be `gold`, expected one of beta, stable",
        "0:0 parameter: parameter `to` needs a value: --param to=VALUE",
    ]
    choice = Choice(2, params=(("channel", "beta"), ("to", "x"), ("zzzzzz", "x")))
    assert problems(stage("a"), params=params, choice=choice) == ["0:0 parameter: unknown parameter `zzzzzz`"]
    plan(stage("a"), params=params, choice=Choice(2, params=(("to", ""), ("channel", "stable"))))


# ------------------------------------------------------------------ the same again


def test_the_same_pipeline_and_choice_make_the_same_plan() -> None:
    stages = [
        stage(f"s{i}", *(f"s{j}" for j in range(max(0, i - 2), i)), retry=Retry(3, 10, 2.0, None, 0.5))
        for i in range(50)
    ]
    choice = Choice(4, seed=3, durations_ms=tuple((f"s{i}", i * 7 % 13) for i in range(50)))
    assert plan(*stages, choice=choice) == plan(*stages, choice=choice)


def test_an_empty_pipeline_makes_an_empty_plan() -> None:
    made = plan()
    assert made.stages == () and made.demands == (ONE,)


def test_ten_thousand_stages_in_a_chain_are_planned_without_recursion() -> None:
    stages = [stage(f"s{i}", *([f"s{i + 1}"] if i < 9999 else [])) for i in range(10_000)]
    made = plan(*stages)
    assert made.stages[9999].rank == 0 and made.stages[0].rank == 9999
    assert len(critical_planned(made)) == 10_000


@pytest.mark.parametrize(
    ("limits", "choice", "expected"),
    [
        (Limits(), Choice(cores=4), (4, None)),
        (Limits(jobs=6), Choice(cores=4), (6, None)),
        (Limits(share=0.5), Choice(cores=5), (2, "50 % of 5 cores")),
        (Limits(jobs=6, share=0.5), Choice(cores=4), (3, "50 % of 6")),
        (Limits(share=0.5), Choice(cores=4, jobs=3), (3, "asked for; 2 would be 50 % of 4 cores")),
        (Limits(share=0.5), Choice(cores=4, sequential=True), (1, None)),
        (Limits(jobs=6), Choice(cores=4, jobs=3), (3, None)),
        (Limits(provider="p"), Choice(4, cap=Cap("p", 20, "d")), (16, "80 % of 20, the cap of p as of d")),
        (
            Limits(provider="p"),
            Choice(4, jobs=18, cap=Cap("p", 20, "d")),
            (18, "asked for; 16 would be 80 % of 20, the cap of p as of d"),
        ),
        (Limits(provider="p", jobs=10), Choice(4, cap=Cap("p", 20, "d")), (8, "80 % of 10")),
    ],
)
def test_the_number_of_jobs_says_where_it_comes_from(
    limits: Limits, choice: Choice, expected: tuple[int, str | None]
) -> None:
    made = pipeline(stage("a"), limits=limits)
    assert (jobs(build(made, choice)), jobs_because(made, choice)) == expected


def test_a_demand_over_a_share_or_an_outer_pool_says_so() -> None:
    assert problems(
        stage("a", resources=Resources(memory_bytes=900 << 20)),
        stage("b", resources=Resources(pools={"c": 3})),
        pools={"c": NamedPool(5, inside="d"), "d": NamedPool(2)},
        limits=Limits(memory_bytes=1 << 30, share=0.8),
    ) == [
        "7:3 demand-over-capacity: stage `a` asks 900MiB of memory, the run has 819.2MiB, 80 % of `limits`",
        "7:3 demand-over-capacity: stage `b` asks 3 of `pool:d`, which has 2, through `c`, which is in it",
    ]
