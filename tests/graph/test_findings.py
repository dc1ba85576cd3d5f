"""Reasons of edges, and what is found: order without one, coupling without order, missing guards."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.graph.findings import Finding, acts_outside, edges, findings, is_test, judge, outside
from stagebook.model.pipeline import Matrix, Output, OutputOf, Pipeline, Pool, Resources, Split, Stage


def stage(name: str, *needs: str, **more: Any) -> Stage:
    line = more.pop("line", 1)
    if "outputs" in more:
        more["outputs"] = tuple(map(Output, more["outputs"]))
    return Stage(
        name, name.split("[")[0], line, 3, more.pop("kind", "run"), more.pop("run", "work"), needs,
        cell={"n": name} if "[" in name else None, **more,
    )  # fmt: skip


def pipeline(*stages: Stage, **more: Any) -> Pipeline:
    return Pipeline("p", "/p/stagebook.yaml", "native", "0", stages, **more)


def kinds(made: Pipeline, asked: Any = None) -> dict[tuple[str, str], list[str]]:
    return {(edge.need, edge.stage): [reason.kind for reason in edge.reasons] for edge in edges(made, asked or {})}


def found(made: Pipeline, code: str, took: list[float] | None = None) -> list[Finding]:
    """`took` in seconds."""
    ms = None if took is None else [1000 * each for each in took]
    return [each for each in findings(made, {}, ms) if each.code == code]


# Reasons


@pytest.mark.parametrize(
    ("need", "late", "kind"),
    [
        ({}, {"via": {"a": "x.txt"}}, "artifact"),
        ({}, {"env_from": {"V": OutputOf("a", "version")}}, "value"),
        ({}, {"cmd_from": {"1": OutputOf("a", "version")}}, "value"),
        ({"kind": "service"}, {}, "service"),
        ({"locks": {"db": "exclusive"}}, {"locks": {"db": "shared"}}, "lock"),
        ({}, {"ordering": "a before b"}, "stated"),
        ({"kind": "gate"}, {"always": True}, "gate"),
        ({}, {"kind": "gate"}, "gate"),
        ({"retry_safe": False}, {}, "outside"),
        ({}, {"retry_safe": False}, "outside"),
        ({"run": "pytest"}, {"retry_safe": False}, "guard"),
        ({}, {"always": True}, "always"),
        (
            {"kind": "split", "split": Split("s", "list", 2)},
            {"kind": "split", "split": Split("s", "1", 2)},
            "split",
        ),
    ],
)
def test_what_gives_an_edge_a_reason(need: dict[str, Any], late: dict[str, Any], kind: str) -> None:
    made = pipeline(stage("a", **need), stage("b", "a", **late))
    assert kind in kinds(made)["a", "b"]
    assert found(made, "needless-order") == []


def test_nothing_declared_is_no_reason() -> None:
    made = pipeline(stage("a", locks={"db": "shared"}), stage("b", "a", locks={"db": "shared"}))
    assert kinds(made) == {("a", "b"): []}


def test_a_pool_is_a_reason_only_if_both_do_not_fit() -> None:
    both = [
        stage("a", resources=Resources(pools={"db": 1})),
        stage("b", "a", resources=Resources(pools={"db": 1})),
    ]
    assert kinds(pipeline(*both, pools={"db": Pool(1)}))["a", "b"] == ["pool"]
    assert kinds(pipeline(*both, pools={"db": Pool(2)}))["a", "b"] == []


def test_a_condition_is_a_reason_for_every_edge_that_leads_to_what_it_asks_for() -> None:
    made = pipeline(stage("a"), stage("b", "a"), stage("x"), stage("c", "b", "x"))
    reasons = kinds(made, {"c": ("a",)})
    assert (reasons["b", "c"], reasons["x", "c"], reasons["a", "b"]) == (["value"], [], [])


# Needless order


def test_r085_order_without_evidence_is_told_with_what_it_costs() -> None:
    made = pipeline(
        stage("test", run="pytest"),
        stage("package", "test", line=7, need_lines=(8,)),
    )
    [one] = found(made, "needless-order", [490, 600])
    assert (one.message, one.saves_ms, one.line) == ("no evidence for test → package", 490_000, 8)
    assert (one.evidence, one.level, one.stages) == ("none", "note", ("test", "package"))


def test_declared_files_that_do_not_meet_are_evidence() -> None:
    made = pipeline(stage("a", outputs=("a.txt",)), stage("b", "a", inputs=("b.txt",)))
    [one] = found(made, "needless-order", [60, 60])
    assert (one.evidence, one.level) == ("declared", "warning")


def test_a_stage_inherits_what_its_need_needed() -> None:
    """So what is saved is not more than what the others leave."""
    made = pipeline(
        stage("a", via={}), stage("b", "a", via={"a": "x"}), stage("c", "b"), stage("d", "a", via={"a": "x"})
    )
    [one] = found(made, "needless-order", [10, 20, 5, 22])
    assert (one.stages, one.saves_ms) == (("b", "c"), 3000)


def test_a_test_that_guards_what_follows_is_not_lost() -> None:
    made = pipeline(
        stage("unit", run="pytest"),
        stage("package", "unit"),
        stage("deploy", "package", retry_safe=False),
        stage("again", "deploy", retry_safe=False),
    )
    [one] = found(made, "needless-order", [50, 30, 10, 10])
    assert one.instead == (("unit", "deploy"),)
    assert one.saves_ms == 30_000, "deploy still waits for unit"
    direct = pipeline(*made.stages[:2], stage("deploy", "package", "unit", retry_safe=False))
    [one] = found(direct, "needless-order", [50, 30, 10])
    assert one.instead == ()


def test_the_cells_of_a_matrix_are_one_finding_and_save_together() -> None:
    made = pipeline(
        stage("unit[1]"),
        stage("unit[2]"),
        stage("merge", "unit[1]", "unit[2]"),
        matrices={"unit": Matrix(("unit[1]", "unit[2]"))},
    )
    [one] = found(made, "needless-order", [40, 30, 20])
    assert (one.message, one.saves_ms) == ("no evidence for unit ×2 → merge", 20_000)
    assert one.edges == (("unit[1]", "merge"), ("unit[2]", "merge"))


def test_what_sets_up_the_place_is_no_needless_order() -> None:
    made = [stage("git-checkout"), stage("npm install", "git-checkout"), stage("a", "npm install")]
    assert found(pipeline(*made), "needless-order") == []
    later = [stage("build"), stage("install", "build"), stage("a", "install")]
    assert [each.stages for each in found(pipeline(*later), "needless-order")] == [
        ("build", "install"),
        ("install", "a"),
    ]


def test_an_implied_need_is_another_thing() -> None:
    made = pipeline(stage("checkout"), stage("b", "checkout"), stage("c", "checkout", "b", need_lines=(4, 5)))
    [one] = found(made, "implied-need")
    assert (one.stages, one.level, one.line, one.minor) == (("checkout", "c"), "note", 4, True)
    assert [edge.implied for edge in edges(made)] == [False, True, False]


def test_what_saves_next_to_nothing_is_minor() -> None:
    made = pipeline(stage("a"), stage("b", "a"))
    told = [found(made, "needless-order", took)[0].minor for took in ([9, 0.09], [9, 0.11], [99, 0.11], [2, 2])]
    assert told == [True, False, True, False]


# Missing guards


def test_r087_a_deployment_that_does_not_wait_for_every_test() -> None:
    made = pipeline(
        stage("unit", run="pytest"),
        stage("integration", run="pytest"),
        stage("deploy", "unit", line=9),
    )
    [one] = found(made, "missing-guard", [10, 30, 5])
    assert (one.message, one.level, one.line) == ("deploy can start before integration ends", "error", 9)
    assert (one.stages, one.costs_ms) == (("deploy", "integration"), 5000)


def test_tests_of_what_was_deployed_do_not_guard_it_but_the_next_deployment() -> None:
    made = pipeline(
        stage("unit"),
        stage("deploy-staging", "unit"),
        stage("smoke", "deploy-staging"),
        stage("deploy", "deploy-staging"),
        stage("deploy-other", "unit"),
    )
    assert [each.stages for each in found(made, "missing-guard")] == [("deploy", "smoke")]


def test_a_gate_beside_a_deployment_is_luck() -> None:
    made = pipeline(stage("ask", kind="gate"), stage("deploy"), stage("publish", "ask"))
    assert [each.message for each in found(made, "missing-guard")] == ["deploy can start before ask is answered"]


def test_a_test_that_may_fail_guards_nothing_and_is_not_missed() -> None:
    assert found(pipeline(stage("lint", allow_failure=True), stage("deploy")), "missing-guard") == []


def test_whoever_starts_after_any_of_its_needs_waits_for_none_of_them() -> None:
    made = pipeline(stage("unit"), stage("e2e"), stage("deploy", "unit", "e2e", join="any"))
    [one] = found(made, "missing-guard")
    assert one.stages == ("deploy", "unit", "e2e")


def test_many_tests_are_counted() -> None:
    tests = [stage(f"test {number}") for number in range(300)]
    [one] = found(pipeline(*tests, stage("deploy")), "missing-guard")
    assert one.message == "deploy can start before test 0, test 1, test 2, test 3, test 4 and 295 more end"
    assert len(one.stages) == 51


# Coupling


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ({"outputs": ("dist/*.whl",)}, {"outputs": ("dist/a.*",)}, "output dist/*.whl"),
        ({"outputs": ("dist",)}, {"outputs": ("dist/a.whl",)}, "output dist"),
        ({"run": "date >> /tmp/x.db"}, {"run": "make | tee -a /tmp/x.db"}, "file /tmp/x.db"),
        ({"run": "echo > out.log", "dir": "w"}, {"run": "echo > w/out.log"}, "file w/out.log"),
        ({"run": "sqlite3 shop.db 'insert'"}, {"run": "sqlite3 -batch shop.db .dump"}, "file shop.db"),
        ({"run": "serve --port 8080"}, {"run": "curl localhost:8080/x"}, "port 8080"),
        ({"env": {"PORT": "8080"}}, {"run": "curl 127.0.0.1:8080"}, "port 8080"),
        (
            {"env": {"URL": "postgresql://u:pass@db:5432/shop"}},
            {"env": {"DB": "postgres+psycopg://v:p?w@db:5432/shop?a=b"}},
            "database postgres://db:5432/shop",
        ),
        ({"run": "npm ci"}, {"run": "cd . && npm install"}, "node_modules in ."),
        ({"run": "git checkout main"}, {"run": "make"}, "working tree ."),
    ],
)
def test_what_two_stages_without_an_order_share(one: dict[str, Any], other: dict[str, Any], shared: str) -> None:
    made = pipeline(stage("a", line=3, **one), stage("b", line=8, **other))
    [seen] = found(made, "possible-coupling")
    assert (seen.shared, seen.stages, seen.level, seen.line) == (shared, ("a", "b"), "warning", 8)
    assert "a" in seen.message
    assert "b" in seen.message
    assert "pass" not in repr(seen), "no password is ever said"
    assert "p?w" not in repr(seen)
    assert found(pipeline(stage("a", **one), stage("b", "a", **other)), "possible-coupling") == []
    locked = [stage("a", locks={"l": "exclusive"}, **one), stage("b", locks={"l": "exclusive"}, **other)]
    assert found(pipeline(*locked), "possible-coupling") == []


@pytest.mark.parametrize(
    "run",
    [
        "cat out.log", "grep x < /tmp/x.db", "make 2>&1", "make > /dev/null", "make > out-$N.log",
        'make > "out-$N.log"',
        "make >> $STAGEBOOK_OUTPUT", "test 3 -gt 2", "python3 -c 'print(1 > 0)'", "git clone . work", "git status",
        "npm test", "curl https://example.com:443/x",
    ],
)  # fmt: skip
def test_what_only_reads_or_differs_is_not_coupled(run: str) -> None:
    assert found(pipeline(stage("a", run=run), stage("b", run=run)), "possible-coupling") == []


def test_a_workspace_of_its_own_is_not_shared() -> None:
    copy = {"more": {"isolate": {"workspace": "copy"}}}
    both = [stage("a", run="npm ci > out.log", **copy), stage("b", run="npm ci > out.log", **copy)]
    assert found(pipeline(*both), "possible-coupling") == []


def test_a_pool_that_lets_several_in_is_a_note() -> None:
    both = [stage(name, resources=Resources(pools={"db": 1})) for name in ("a", "b")]
    [one] = found(pipeline(*both, pools={"db": Pool(4)}), "possible-coupling")
    assert (one.level, one.minor, one.shared) == ("note", True, "pool db")
    assert found(pipeline(*both, pools={"db": Pool(1)}), "possible-coupling") == []


def test_what_all_are_given_says_nothing_of_who_uses_it() -> None:
    assert found(pipeline(*(stage(name, env={"PORT": "80"}) for name in "abc")), "possible-coupling") == []


def test_thousands_that_share_one_thing_are_one_finding() -> None:
    made = pipeline(*(stage(f"s{number}", run="date > x.log") for number in range(3000)))
    [one] = found(made, "possible-coupling")
    assert len(one.stages) == 3000
    assert one.message.startswith("s0, s1, s2, s3, s4 and 2995 more: all write file x.log")
    chain = [stage("s0", run="date > x.log")]
    chain += [stage(f"s{number}", f"s{number - 1}", run="date > x.log") for number in range(1, 3000)]
    assert found(pipeline(*chain), "possible-coupling") == []


# What stages are for


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("unit", {}), ("e2e", {}), ("End-to-End", {}), ("api_tests", {}), ("lint", {}), ("x", {"run": "pytest -q"}),
        ("x", {"run": "cd web && npm test"}), ("x", {"run": ".venv/bin/mypy"}), ("x", {"run": ("go", "test", "./...")}),
        ("x", {"group": "tests"}), ("x", {"kind": "split"}), ("x", {"run": "make -C lib check"}),
    ],
)  # fmt: skip
def test_what_is_taken_for_a_test(name: str, more: dict[str, Any]) -> None:
    assert is_test(stage(name, **more))
    assert acts_outside(stage(name, **more)) is None


@pytest.mark.parametrize(
    ("name", "more", "why"),
    [
        ("deploy", {}, "its name: deploy"),
        ("x", {"retry_safe": False}, "retry-safe: false"),
        ("unit", {"retry_safe": False}, "retry-safe: false"),
        ("db-migrate", {}, "its name: migrate"),
        ("x", {"run": "python3 tools/deploy.py --now"}, "its command: deploy.py"),
        ("x", {"run": "make publish"}, "its command: publish"),
        ("x", {"run": "kubectl --token=abc -n shop apply -f x"}, "its command: kubectl apply"),
        ("x", {"run": "git push origin"}, "its command: git push"),
    ],
)
def test_what_is_taken_to_act_outside(name: str, more: dict[str, Any], why: str) -> None:
    assert acts_outside(stage(name, **more)) == why
    assert not is_test(stage(name, **more))


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("checkout", "git clone"), ("build", "cargo build --release"), ("verify-deployment", "x"), ("undeployed", "x"),
        ("docs", "cat docs/release_notes.md"), ("x", "pip install pytest mypy"), ("latest", "x"), ("x", "echo contest"),
    ],
)  # fmt: skip
def test_what_is_neither(name: str, run: str) -> None:
    assert not is_test(stage(name, run=run))
    assert acts_outside(stage(name, run=run)) is None


def test_what_is_right_behind_a_gate_acts_outside() -> None:
    made = pipeline(
        stage("ask", kind="gate"), stage("go", "ask"), stage("check", "ask"), stage("tidy", "ask", always=True)
    )
    assert outside(made) == {"go": "behind gate ask"}


# Whatever the pipeline


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    count = draw(st.integers(1, 8))
    stages = []
    for index in range(count):
        needs = sorted(draw(st.sets(st.integers(0, index - 1), max_size=3))) if index else []
        more: dict[str, Any] = {}
        if needs and draw(st.booleans()):
            more["via"] = {f"s{needs[0]}": "x"}
        if draw(st.booleans()):
            more["run"] = draw(st.sampled_from(["pytest", "date > x.log", "git push", "npm ci", "./deploy.sh"]))
        if draw(st.integers(0, 4)) == 0:
            more["locks"] = {"l": draw(st.sampled_from(["shared", "exclusive"]))}
        if draw(st.integers(0, 5)) == 0:
            more["retry_safe"] = False
        stages.append(stage(f"s{index}", *(f"s{need}" for need in needs), **more))
    return pipeline(*stages)


@given(pipelines(), st.data())
def test_findings_do_not_depend_on_the_order_of_stages(made: Pipeline, data: st.DataObject) -> None:
    took = {stage.id: 1000.0 * data.draw(st.integers(1, 9)) for stage in made.stages}
    shuffled = made._replace(stages=tuple(data.draw(st.permutations(made.stages))))

    def told(one: Pipeline) -> set[Any]:
        # with times, the critical path may be one of several of the same length, and only edges of it are worth a word
        return {
            (each.code, each.shared, frozenset(each.stages), each.level if each.code != "needless-order" else "")
            for each in findings(one, {}, [took[stage.id] for stage in one.stages])
        }

    assert told(made) == told(shuffled)
    assert sorted(edges(made)) == sorted(edges(shuffled))


@given(pipelines(), st.data())
def test_leaving_out_a_needless_edge_takes_no_file_from_anybody_and_no_test_from_what_acts_outside(
    made: Pipeline, data: st.DataObject
) -> None:
    took = [1000.0 * data.draw(st.integers(1, 9)) for _ in made.stages]
    judged = judge(made, {}, took)
    for each in judged.findings:
        if each.code not in ("needless-order", "implied-need") or each.minor and each.code == "needless-order":
            continue
        [(need, late)] = each.edges
        stages = []
        needs_of = {stage.id: stage.needs for stage in made.stages}
        for one in made.stages:
            needs = one.needs
            if one.id == late:
                needs = tuple(dict.fromkeys([*(x for x in needs if x != need), *needs_of[need]]))
            needs = tuple(dict.fromkeys([*needs, *(test for test, stage in each.instead if stage == one.id)]))
            stages.append(one._replace(needs=needs))
        after = made._replace(stages=tuple(stages))
        assert all(maker in one.needs for one in stages for maker in one.via)
        assert unguarded(judge(after, {}, None).findings) <= unguarded(judged.findings)


def unguarded(all_findings: list[Finding]) -> set[tuple[str, str]]:
    return {(each.stages[0], test) for each in all_findings if each.code == "missing-guard" for test in each.stages[1:]}
