"""What is recommended: the simplest plan that is good enough, in words, and never what must stay."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.plan.planned import CORES, planned, read, texts

from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import InputError
from stagebook.plan import advise, known, orders, suites, sweep
from stagebook.plan.contention import Calibration
from stagebook.plan.forecast import typical
from stagebook.plan.profile import Profile, StageProfile
from stagebook.scheduler.plan import Choice


def listed(*stages: str, head: str = "") -> Pipeline:
    return read("version: 1\n" + head + "stages:\n" + "".join(f"  - {each}\n" for each in stages))


def sort(name: str, seconds: int, **more: str) -> str:
    keys = {"run": f"sort -o {name}.out {name}.in", "inputs": f"[{name}.in]", "outputs": f"[{name}.out]", **more}
    return f"{name}: {{{', '.join(f'{key}: {value}' for key, value in keys.items())}, duration: {seconds}s}}"


# The simplest ----------------------------------------------------------------------------------------------------


@st.composite
def small(draw: Any) -> Pipeline:
    count = draw(st.integers(2, 5))
    lines = []
    for at in range(count):
        seconds = draw(st.integers(1, 60))
        name = f"s{at}"
        kind = draw(st.sampled_from(["declared", "declared", "reads", "bare", "strict", "deploy"]))
        if kind == "declared" or (kind == "reads" and not at):
            lines.append(sort(name, seconds))
        elif kind == "reads":
            lines.append(
                sort(name, seconds, run=f"sort -o {name}.out s{at - 1}.out {name}.in",
                     inputs=f"[{name}.in, s{at - 1}.out]")
            )  # fmt: skip
        elif kind == "strict":
            lines.append(sort(name, seconds, ordering="{strict: so it must be}"))
        elif kind == "deploy":
            lines.append(f"deploy-{name}: {{run: ./deploy.sh, duration: {seconds}s}}")
        else:
            lines.append(f"{name}: {{run: tool {name}, duration: {seconds}s}}")
    text = "\n".join(lines)
    for at in range(1, count):  # nobody reads what nobody makes
        if f"s{at - 1}.out\n" not in text and f"[s{at - 1}.out]" not in text:
            lines[at] = lines[at].replace(f"s{at - 1}.out ", "").replace(f", s{at - 1}.out", "")
    sla = draw(st.sampled_from(["", "", f"sla: {draw(st.integers(1, 200))}s\n"]))
    return listed(*lines, head=sla)


def enough(end_s: float, best_s: float, pipeline: Pipeline) -> bool:
    if pipeline.sla_ms is not None:
        return end_s <= pipeline.sla_ms / 1000
    return end_s <= best_s * 1.05


def by_hand(pipeline: Pipeline) -> list[tuple[int, int, float]]:
    """All options: how many needs change, jobs, seconds."""
    basis = known.known(pipeline, None, CORES, count=1).basis
    units = [unit for unit in orders.freed(pipeline) if unit.evidence == "declared"]
    needs = orders.needs_of(pipeline)
    found = []
    for count in range(len(units) + 1):
        for some in combinations(units, count):
            pairs = [(of, unit.stage) for unit in some for of in unit.of]
            made = orders.changed(pipeline, orders.loosened(needs, pairs))
            changed = sum(len(set(one.needs) ^ set(two.needs)) for one, two in zip(pipeline.stages, made.stages))
            for jobs in range(1, len(needs) + 1):
                choice = Choice(CORES, jobs, jobs == 1 and not count, params=())
                found.append((changed, jobs, typical(made, choice, basis).end_s))
    return found


@given(small())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_r097_no_simpler_plan_is_good_enough(pipeline: Pipeline) -> None:
    advised = planned(pipeline)
    options = by_hand(pipeline)
    best_s = min(end_s for *_, end_s in options)
    good = sorted(option for option in options if enough(option[2], best_s, pipeline))
    made = advised.pipeline.stages
    changed = sum(len(set(one.needs) ^ set(two.needs)) for one, two in zip(pipeline.stages, made))
    if not good:
        assert advised.met is False
        assert advised.forecast.makespan_s <= best_s * 1.05
        return
    assert advised.met in (None, True)
    assert (changed, advised.found.jobs) == good[0][:2]


@given(small())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_starts_earlier_no_longer_waits_for_what_is_named_and_all_edits_are_told(pipeline: Pipeline) -> None:
    advised = planned(pipeline)
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    before = orders._before(orders.needs_of(advised.pipeline))
    gone, new = set(), set()
    for change in advised.found.changes:
        if change.kind == "parallel" and not change.question and change.stages:
            for named in change.stages[1:]:
                assert not before[at[change.stages[0]]] >> at[named] & 1, change.change
            assert not set(change.edges) & gone and not set(change.instead) & new
            gone |= set(change.edges)
            new |= set(change.instead)
    made = {stage.id: set(stage.needs) for stage in advised.pipeline.stages}
    was = {stage.id: set(stage.needs) for stage in pipeline.stages}
    assert gone == {(need, id) for id in was for need in was[id] - made[id]}
    assert new == {(need, id) for id in was for need in made[id] - was[id]}


def test_what_is_needed_through_another_stage_is_not_said_to_be_needless() -> None:
    """As in the nightly load: report reads what load makes of what clean made."""
    both = "inputs: [{0}], outputs: [{1}], duration: 4s"
    pipeline = listed(
        *[
            f"{name}: {{run: sort -o {made} {read.replace(',', '')}, {both.format(read, made)}}}"
            for name, read, made in [
                ("extract-a", "a", "a.csv"), ("extract-b", "b", "b.csv"), ("clean-a", "a.csv", "a.clean"),
                ("clean-b", "b.csv", "b.clean"), ("load", "a.clean, b.clean", "db"), ("report", "db", "text"),
            ]
        ]
    )  # fmt: skip
    said = texts(planned(pipeline))
    assert "start extract-b earlier" in said and "start clean-b earlier: it needs nothing of clean-a" in said
    assert "start report" not in said and "start load" not in said


@given(small())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_must_stay_is_neither_proposed_nor_asked(pipeline: Pipeline) -> None:
    ids = [stage.id for stage in pipeline.stages]
    may = {(ids[of], ids[each.stage]) for each in orders.freed(pipeline) for of in each.of}
    for second, stage in enumerate(pipeline.stages):
        for first in range(second):
            if (ids[first], stage.id) not in may and orders.why_kept(pipeline, first, second, {}) is not None:
                with pytest.raises(InputError, match="is not possible"):
                    planned(pipeline, accepted=[(ids[first], stage.id)])
                break
    advised = planned(pipeline, accepted=may)
    kept = {stage.id for stage in pipeline.stages if orders.is_kept(stage) is not None}
    for change in advised.found.changes:
        assert change.evidence
        for pair in change.edges:
            assert not kept & set(pair)
    before = {stage.id: set(stage.needs) for stage in pipeline.stages}
    for stage in advised.pipeline.stages:
        if stage.id in kept:
            assert before[stage.id] <= set(stage.needs)


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("x", '"sh -c \'kubectl apply -f x\'"'), ("x", "'npx knex migrate:latest'"), ("x", "psql -f schema.sql"),
        ("x", "ssh host restart"), ("x", "scp a host:b"), ("x", "'rsync -a a host:b'"), ("x", "dbmate up"),
        ("x", "vercel --prod"), ("ship", "tool x"), ("charge", "tool x"),
    ],
)  # fmt: skip
def test_what_may_act_outside_is_neither_asked_about_nor_given_up_on_a_word(name: str, run: str) -> None:
    pipeline = listed("a: {run: tool a, duration: 60s}", f"{name}: {{run: {run}, duration: 60s}}")
    assert planned(pipeline).found.changes == ()
    with pytest.raises(InputError, match="may act outside"):
        planned(pipeline, accepted=[("a", name)])


def test_a_stage_right_behind_a_gate_keeps_its_place() -> None:
    pipeline = listed("a: {run: tool a, duration: 60s}", "ask: {gate: {prompt: 'go?'}, needs: []}",
                      "x: {run: tool x, duration: 60s, needs: [a, ask]}")  # fmt: skip
    with pytest.raises(InputError, match="behind gate ask"):
        planned(pipeline, accepted=[("a", "x")])


# Words -----------------------------------------------------------------------------------------------------------


def test_r095_a_stage_that_needs_nothing_of_the_one_before_starts_earlier() -> None:
    advised = planned(listed(sort("w", 192), sort("z", 200)))
    [change] = advised.found.changes
    assert change.change == "start z earlier: it needs nothing of w"
    assert change.why == "saves ~3 m 12 s in the simulated run"
    assert change.confidence == 0.5, "no run stands behind it"
    assert advised.found.reasons[0] == "run 2 jobs: ~3 m 20 s instead of ~6 m 32 s one by one"


def test_r097_small_stages_stay_as_they_are() -> None:
    advised = planned(listed(sort("small", 1), sort("big", 300), sort("tiny", 1)))
    assert (advised.found.mode, advised.found.jobs, advised.found.changes) == ("sequential", 1, ())
    assert "stay sequential" in advised.found.reasons[0]


def test_r097_four_jobs_where_eight_gain_little() -> None:
    """Four long ones, and as many short ones beside them."""
    stages = [f"a{at}: {{run: tool {at}, duration: 100s, needs: []}}" for at in range(4)]
    stages += [f"b{at}: {{run: tool b{at}, duration: 4s, needs: []}}" for at in range(4)]
    advised = planned(listed(*stages))
    assert (advised.found.jobs, advised.pipeline.limits.jobs) == (4, None)
    assert any("8 jobs save 4 % more" in reason for reason in advised.found.reasons), advised.found.reasons
    assert advised.jobs is None, "what the file comes to by itself does as well"


def test_more_jobs_that_take_longer_are_not_recommended() -> None:
    """Two cores, and each stage takes more CPU time in company."""
    pipeline = listed(*[f"a{at}: {{run: tool {at}, duration: 10s, needs: []}}" for at in range(4)])
    each = StageProfile("", "history", (10.0,) * 9, tuple(range(9)), cores=1.0)
    profile = Profile(tuple([each._replace(stage=stage.id) for stage in pipeline.stages]), "history", 9)
    taught = Calibration({stage.id: 0.6 for stage in pipeline.stages}, 1.0, None, 2, 3, 0.05)
    found = known.known_by(pipeline, profile, taught, 2, count=20)
    choice = Choice(2, params=())
    swept = sweep.sweep(pipeline, choice, found.basis, [1, 2, 4], workers=1)
    advised = advise.advise(pipeline, choice, found, swept)
    assert advised.found.jobs == 2
    assert advised.found.reasons[1].startswith("4 jobs save nothing more: the machine's cores")


PAYMENTS = [
    "validate: {run: pay validate, duration: 4s}",
    "apply: {run: pay apply, duration: 5s, ordering: {strict: only what is covered may be moved}}",
    "confirm: {run: pay confirm, duration: 3s, retry-safe: false}",
]


def test_r096_payments_stay_sequential_though_side_by_side_they_would_be_done_sooner() -> None:
    advised = planned(listed(*PAYMENTS))
    assert (advised.found.mode, advised.found.changes) == ("sequential", ())
    assert advised.found.reasons[0] == "stay sequential: ~12 s one by one, nothing would be faster"
    assert "side by side the stages would take ~5 s, and be wrong" in advised.found.reasons[1]
    assert [change.kind for change in advised.found.kept] == ["sequential", "sequential"]
    assert "only what is covered may be moved" in advised.found.kept[0].why


def test_a_pipeline_within_its_sla_is_told_to_change_nothing() -> None:
    advised = planned(listed(sort("a", 20), sort("b", 20), head="sla: 5m\n"))
    assert advised.found.reasons[0] == "one by one takes ~40 s, within the SLA of 5 m 00 s: change nothing"
    assert (advised.found.changes, advised.met, advised.jobs) == ((), True, None)


def test_the_jobs_that_a_file_says_are_no_change() -> None:
    advised = planned(listed(sort("a", 20), sort("b", 20), head="sla: 5m\nlimits: {jobs: 3}\n"))
    assert (advised.found.jobs, advised.jobs) == (3, None)
    assert "change nothing" in advised.found.reasons[0]


def test_an_sla_that_nothing_meets_is_said_with_the_best_there_is() -> None:
    advised = planned(listed(sort("a", 60), sort("b", 60), head="sla: 50s\n"))
    assert advised.met is False
    assert advised.found.reasons[0].startswith("no plan keeps the SLA of 50 s: the best takes ~1 m")


def test_an_sla_takes_as_few_changes_as_meet_it() -> None:
    advised = planned(listed(*[sort(name, 60) for name in "abcd"], head="sla: 3m\n"))
    freed = [change for change in advised.found.changes if change.kind == "parallel"]
    assert len(freed) == 1
    assert advised.met is True
    assert advised.found.jobs == 2


def test_a_condition_on_a_stage_is_a_reason_to_wait_for_it() -> None:
    second = sort("b", 60, when="""'stages["a"].outcome == "success"'""")
    with pytest.raises(InputError, match="the file gives a reason"):
        planned(listed(sort("a", 60), second), accepted=[("a", "b")])
    assert planned(listed(sort("a", 60), second)).found.changes == ()


def test_outputs_that_two_stages_may_both_write_get_a_lock() -> None:
    text = """version: 1
stages:
  a: {run: tool a, outputs: ["out/*.txt"], duration: 60s}
  b: {run: tool b, outputs: ["out/b*"], duration: 60s}
"""
    advised = planned(read(text))
    [change] = [each for each in advised.found.changes if each.kind == "pool"]
    assert change.change.startswith("keep a and b sequential: give both the lock out/")
    assert (change.question, change.evidence[0].source, len(change.locks)) == (False, "declared", 2)
    assert advised.forecast.makespan_s == 120


def test_a_pool_that_has_units_for_all_is_no_coupling() -> None:
    text = """version: 1
pools: {db: 2}
stages:
  service:
    run: tool
    matrix: {n: [a, b, c]}
    resources: {pools: {db: 1}}
    duration: 60s
"""
    assert planned(read(text)).found.changes == ()


def test_a_suite_is_split_where_each_part_pays_its_own_set_up() -> None:
    pipeline = listed("unit: {run: pytest -q, duration: 100s}", "pack: {run: tool, duration: 5s}")
    found = known.known(pipeline, None, CORES, count=5)
    choice = Choice(CORES, params=())
    swept = sweep.sweep(pipeline, choice, found.basis, workers=1)
    suite = suites.Suite("unit", (10.0,) * 9, 10.0, 7)
    advised = advise.advise(pipeline, choice, found, swept, (), [suite])
    [change] = [each for each in advised.found.changes if each.kind == "split"]
    assert change.change == "split the tests of unit in 9, each paying its own set-up of ~10 s"
    assert change.saves_s == pytest.approx(80)
    assert change.evidence[0] == ("history", 7, "9 tests take 1 m 30 s, all else in the stage 10 s")
    slow = suites.Suite("unit", (1.0,) * 9, 91.0, 7)
    advised = advise.advise(pipeline, choice, found, swept, (), [slow])
    assert all(each.kind != "split" for each in advised.found.changes)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30), st.integers(1, 8))
def test_tests_are_dealt_whole_and_within_the_bound_of_the_longest_first(tests: list[float], parts: int) -> None:
    loads = suites.dealt(tests, parts)
    assert sum(loads) == pytest.approx(sum(tests))
    assert loads[0] <= sum(tests) / parts + max(tests) + 1e-6


def test_all_that_is_said_is_one_line_each() -> None:
    advised = planned(listed(*PAYMENTS, sort("x", 50), sort("y", 60)))
    assert all("\n" not in line for line in advised.found.reasons)
    assert "None" not in texts(advised)
