"""Order: one by one, side by side, and nothing before what it needs."""

from __future__ import annotations

from itertools import combinations

from tests.door.place import Place, by_stage, noted, outcomes


def test_r009_sequential_is_the_same_order_every_time_and_nothing_overlaps(place: Place) -> None:
    # File order where needs allow: `late` stands first and needs the last.
    place.pipeline({
        "late": {"run": noted(), "needs": "first"},
        "b": noted("sleep 0.02"),
        "a": noted("sleep 0.02"),
        "c": {"run": noted(), "needs": ["a"], "priority": 9},
        "first": noted(),
    })  # fmt: skip
    for _ in range(2):
        assert place.run("run", "--sequential").code == 0
    began = place.began()
    assert began[:5] == began[5:] == ["b", "a", "c", "first", "late"]
    assert place.overlaps() == set()
    for run in place.run_ids():
        assert [record["stage"] for record in place.events("stage.started", run)] == began[:5]
        assert place.show(run)["mode"] == "sequential"
        assert place.show(run)["max_parallel"] == 1


def test_r010_stages_without_a_path_between_them_overlap_up_to_jobs(place: Place) -> None:
    suites = ("unit", "integration", "end-to-end")
    place.pipeline({name: noted("sleep 0.4") for name in suites})
    three = place.run("run", "-j", "3", "--json").json
    assert place.overlaps() == {frozenset(pair) for pair in combinations(suites, 2)}
    assert (three["mode"], three["jobs"], three["max_parallel"]) == ("parallel", 3, 3)
    place.ledger_path.write_text("")
    one = place.run("run", "-j", "1", "--json").json
    assert place.overlaps() == set()
    assert one["wall_s"] >= 1.2
    assert three["wall_s"] < 0.75 * one["wall_s"]


def test_r010_never_more_at_once_than_jobs(place: Place) -> None:
    place.pipeline({f"s{i}": noted("sleep 0.05") for i in range(12)}, limits={"jobs": 4})
    document = place.run("run", "--json").json
    running = most = 0
    for line in place.ledger():
        running += 1 if line.word == "begin" else -1
        most = max(most, running)
    assert 2 <= most <= 4
    assert document["max_parallel"] <= 4


def test_r011_a_join_starts_after_all_its_branches(place: Place) -> None:
    place.pipeline({
        "lint": noted("sleep 0.02"), "unit": noted("sleep 0.15"),
        "integration": {"run": noted(), "needs": ["lint", "unit"]},
    })  # fmt: skip
    stages = by_stage(place.run("run", "-j", "4", "--json").json)
    assert place.began()[-1] == "integration"
    assert place.overlaps() == {frozenset(("lint", "unit"))}
    assert stages["integration"]["started"] >= max(stages["lint"]["finished"], stages["unit"]["finished"])


def test_r011_a_failed_branch_skips_the_join_and_says_which(place: Place) -> None:
    place.pipeline({
        "lint": noted(), "unit": noted("exit 2"),
        "integration": {"run": noted(), "needs": ["lint", "unit"]},
        "release": {"run": noted(), "needs": "integration"},
    })  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 1
    stages = by_stage(done.json)
    assert (stages["integration"]["outcome"], stages["integration"]["reason"]) == ("skip", "needs unit (failure)")
    assert (stages["release"]["outcome"], stages["release"]["reason"]) == ("skip", "needs integration (skip)")
    assert sorted(place.began()) == ["lint", "unit"]


def test_r011_join_any_starts_after_the_first_success_and_join_done_after_any_end(place: Place) -> None:
    place.pipeline({
        "slow": noted('while [ ! -e "$BASE/go" ]; do sleep 0.01; done'),
        "quick": noted(),
        "broken": "exit 1",
        "any": {"run": noted('touch "$BASE/go"'), "needs": ["slow", "quick", "broken"], "join": "any"},
        "done": {"run": noted(), "needs": ["slow", "broken"], "join": "done"},
        "none": {"run": noted(), "needs": ["broken"], "join": "any"},
    })  # fmt: skip
    done = place.run("run", "-j", "4", "--json")
    assert done.code == 1
    assert outcomes(done.json) == {
        "slow": "success", "quick": "success", "broken": "failure", "any": "success", "done": "success", "none": "skip",
    }  # fmt: skip
    lines = [(line.stage, line.word) for line in place.ledger()]
    assert lines.index(("any", "begin")) < lines.index(("slow", "end")) < lines.index(("done", "begin"))


def test_r024_a_shared_need_runs_once_and_every_dependent_waits_for_its_end(place: Place) -> None:
    place.pipeline({
        "setup": noted("sleep 0.1"),
        **{name: {"run": noted(), "needs": "setup"} for name in ("a", "b", "c")},
    })  # fmt: skip
    assert place.run("run", "-j", "4").code == 0
    lines = [(line.stage, line.word) for line in place.ledger()]
    assert lines.count(("setup", "begin")) == 1
    assert lines[:2] == [("setup", "begin"), ("setup", "end")]
    assert len(place.events("stage.started")) == 4


def test_r021_groups_mix_sequence_and_parallel_nested(place: Place) -> None:
    place.pipeline([
        {"setup": noted()},
        {"checks": {"parallel": [
            {"spell": noted("sleep 0.1")},
            {"chain": {"sequence": [{"one": noted("sleep 0.03")}, {"two": noted("sleep 0.03")}]}},
        ]}},
        {"last": noted()},
    ])  # fmt: skip
    assert place.run("run", "-j", "4").code == 0
    began = place.began()
    assert began[0] == "setup"
    assert began[-1] == "last"
    assert began.index("one") < began.index("two")
    assert place.overlaps() <= {frozenset(("spell", "one")), frozenset(("spell", "two"))}
    assert frozenset(("spell", "one")) in place.overlaps()


def test_r021_a_named_group_is_needed_as_a_whole(place: Place) -> None:
    place.pipeline({
        "checks": {"parallel": [{"spell": noted("sleep 0.1")}, {"links": noted()}]},
        "free": noted(),
        "after": {"run": noted(), "needs": "checks"},
    })  # fmt: skip
    assert place.run("run", "-j", "4").code == 0
    lines = [(line.stage, line.word) for line in place.ledger()]
    assert lines.index(("after", "begin")) > max(lines.index(("spell", "end")), lines.index(("links", "end")))
    assert [entry["stage"] for entry in place.run("map", "--json").json["stages"]] == [
        "spell",
        "links",
        "free",
        "after",
    ]


def test_a_list_is_a_sequence_and_an_own_need_replaces_the_one_before(place: Place) -> None:
    meet = "touch $BASE/{}; while ! [ -e $BASE/{} ]; do sleep 0.01; done"
    place.pipeline([
        {"a": noted(meet.format("a", "free"))}, {"b": noted()},
        {"free": {"run": noted(meet.format("free", "a")), "needs": []}}, {"d": noted()},
    ])  # fmt: skip
    edges = {(edge["from"], edge["to"]) for edge in place.run("map", "--json").json["edges"]}
    assert edges == {("a", "b"), ("free", "d")}
    assert place.run("run", "-j", "2").code == 0
    assert frozenset(("a", "free")) in place.overlaps()
    began = place.began()
    assert began.index("a") < began.index("b")
    assert began.index("free") < began.index("d")
