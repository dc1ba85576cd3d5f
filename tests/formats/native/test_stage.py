"""What each key of a stage and of the file becomes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.formats.native.reading import read, refused, stage

from stagebook.formats.native import cache
from stagebook.formats.native.read import parse
from stagebook.model.pipeline import (
    Condition,
    Gate,
    Limits,
    OutputOf,
    Param,
    PolicyRule,
    Pool,
    Quarantine,
    Rate,
    Resources,
    Retry,
    Timeouts,
)

HERE = Path(__file__).parent


def test_text_is_short_for_run() -> None:
    short, long = read("stages: {a: make all, b: {run: make all}}").stages
    assert (short.kind, short.command) == (long.kind, long.command) == ("run", "make all")


@pytest.mark.parametrize("word", ["true", "false", "5", "3.10", "yes"])
def test_a_command_is_text_as_written(word: str) -> None:
    assert stage(f"stages: {{a: {word}}}").command == word


def test_the_three_kinds_of_command() -> None:
    assert stage("stages: {a: {run: 'x | y'}}").command == "x | y"
    assert stage("stages: {a: {cmd: [printf, '%s', 5, true, '']}}").command == ("printf", "%s", "5", "true", "")
    assert stage("stages: {a: {python: 'work.jobs:main'}}").command == "work.jobs:main"
    assert [stage(f"stages: {{a: {{{text}}}}}").kind for text in ("run: x", "cmd: [x]", "python: 'x:y'")] == [
        "run",
        "cmd",
        "python",
    ]


def test_a_stage_that_says_everything() -> None:
    text = (HERE / "ok" / "mapping.yaml").read_text()
    unit = next(each for each in read(text).stages if each.id == "unit[python=3.13]")
    assert unit.command == "pytest -q\n"
    assert unit.cell == {"python": "3.13"}
    assert unit.resources == Resources(2000, 2**30, {"db": 1})
    assert unit.locks == {"orders-table": "exclusive", "fixtures": "shared"}
    assert unit.retry == Retry(3, 2000, 2.0, 30_000, 0.2, ("timeout", "exit 75"))
    assert unit.timeouts == Timeouts(600_000, 1_800_000, 3_600_000)
    assert (unit.grace_ms, unit.duration_ms, unit.log_limit_bytes) == (5000, 180_000, 10 * 2**20)
    assert unit.env == {"LANG": "C", "A": "b", "NUMBER": "5", "FLAG": "true"}
    assert (unit.dir, unit.shell, unit.join, unit.critical) == ("work", "bash", "any", True)
    assert unit.ordering == "validate before apply"
    assert (unit.allow_failure, unit.retry_safe, unit.always) == (False, True, False)
    assert unit.more == {}


def test_a_stage_that_says_nothing() -> None:
    made = stage("stages: {a: x}")
    assert (made.timeouts, made.retry, made.resources) == (Timeouts(), Retry(), Resources())
    assert (made.grace_ms, made.shell, made.join, made.retry_safe) == (10_000, "auto", "all", True)
    assert (made.cell, made.group, made.env, made.needs) == (None, None, {}, ())


def test_a_file_that_says_everything() -> None:
    pipeline = read((HERE / "ok" / "mapping.yaml").read_text())
    assert pipeline.params == {"channel": Param("beta", ("beta", "stable"))}
    assert pipeline.limits == Limits(8, 4000, 8 * 2**30)
    assert pipeline.pools == {"db": Pool(4), "api": Pool(2)}
    assert (pipeline.policy, pipeline.timeout_ms, pipeline.sla_ms) == ("lenient", 7_200_000, 900_000)
    assert pipeline.env == {"PYTHONUNBUFFERED": "1"}
    assert pipeline.more == {"billing": {"model": "per-minute-job", "price": 0.006, "currency": "USD"}}
    assert pipeline.format == "native"
    assert pipeline.unbuilt == ()


def test_defaults_stand_below_what_a_stage_says() -> None:
    made = read(
        "defaults: {timeout: 30m, retry: {attempts: 2, backoff: 1s}, env: {A: a, B: b}, shell: bash}\n"
        "stages: {a: x, b: {run: x, timeout: {stage: 1h}, retry: {attempts: 5}, env: {B: c}}}"
    ).stages
    assert [each.timeouts for each in made] == [Timeouts(1_800_000), Timeouts(None, 3_600_000)]
    assert [each.retry for each in made] == [Retry(2, 1000), Retry(5)]
    assert [each.env for each in made] == [{"A": "a", "B": "b"}, {"A": "a", "B": "c"}]
    assert {each.shell for each in made} == {"bash"}


def test_the_default_retry_is_not_for_what_must_not_run_twice() -> None:
    text = "defaults: {retry: {attempts: 2}}\nstages: {a: {run: x, retry-safe: false}, b: x}"
    assert [each.retry.attempts for each in read(text).stages] == [1, 2]
    text = "defaults: {retry-safe: false, retry: {attempts: 2}}\nstages: {a: x, b: {run: x, retry-safe: true}}"
    assert [each.retry.attempts for each in read(text).stages] == [1, 2]


def test_a_default_that_forbids_retries_is_held_against_a_stage() -> None:
    said = refused("defaults: {retry-safe: false}\nstages: {a: {run: x, retry: {attempts: 2}}}")
    assert [(each.code, each.line) for each in said] == [("retry-safe", 2)]


def test_anchors_and_merges_give_values_once_written() -> None:
    base, other = read((HERE / "ok" / "anchors.yaml").read_text()).stages
    assert base.env == other.env == {"A": "b", "C": "d"}
    assert (other.command, other.timeouts.attempt_ms, other.needs) == ("make other", 300_000, ("base",))


def test_what_is_not_built_is_kept_and_named() -> None:
    pipeline, problems = parse((HERE / "said" / "door.yaml").read_bytes(), "/work/release/stagebook.yaml")
    assert pipeline is not None
    by_id = {each.id: each for each in pipeline.stages}
    assert by_id["deploy"].secrets == ("API_TOKEN",) and by_id["unit[python=3.13]"].secrets == ()
    assert [secret.name for secret in pipeline.secrets] == ["API_TOKEN", "SLACK_URL"]  # where a message goes is one too
    when = by_id["deploy"].when
    assert when is not None and when.text.startswith("params.channel")
    assert (when.line, when.col) == (46, 96)
    assert by_id["approve"].kind == "gate"
    assert by_id["approve"].gate == Gate("Ship it?", ("ops",), None, 1, 172_800_000)
    assert by_id["unit[python=3.13]"].env_from == {"VERSION": OutputOf("build", "version")}
    assert by_id["unit[python=3.13]"].needs == ("checkout", "build")
    assert by_id["unit[python=3.13]"].changed == ("src/**",)
    assert pipeline.limits[3:] == (0.8, 200, 0.0, Rate(10, 1000), None)
    assert pipeline.pools["api"] == Pool(4, Rate(5, 1000), True)
    assert list(problems) == list(pipeline.unbuilt)
    note = next(each for each in pipeline.unbuilt if "`service` of stage" in each.message)
    assert note.message == "`service` of stage `db` is checked but not built yet; `run` refuses it"
    assert (note.level, note.code) == ("note", "not-built")


def test_limits_pools_locks_and_policies_by_place() -> None:
    made = read(
        "limits: {stagger: {gap: 200ms, jitter: 50%}, starts: 3/m, share: 80%, provider: github-free}\n"
        "pools: {local: {size: 4, machine: true}, link: {size: 2, in: local, rate: 5/s}}\n"
        "policy: [{when: \"branch == 'main'\", use: fail-fast}, {use: lenient}]\n"
        "stages:\n"
        "  a: {run: x, locks: {t: shared, u: {machine: true}, v: {mode: shared, machine: true}}, changed: src/**}\n"
        "  b: {run: x, locks: {t: exclusive}, quarantine: {owner: ops, until: 2027-01-31}}\n"
    )
    assert made.limits == Limits(None, None, None, 0.8, 200, 0.5, Rate(3, 60_000), "github-free")
    assert made.pools == {"local": Pool(4, None, True), "link": Pool(2, Rate(5, 1000), False, "local")}
    assert made.policies == (PolicyRule("fail-fast", Condition("branch == 'main'", 3, 18)), PolicyRule("lenient"))
    assert made.policy == "strict"
    assert made.machine_locks == ("u", "v")
    assert made.stages[0].locks == {"t": "shared", "u": "exclusive", "v": "shared"}
    assert made.stages[0].changed == ("src/**",)
    assert made.stages[1].quarantine == Quarantine("ops", "2027-01-31")


def test_a_condition_knows_where_its_first_character_stands() -> None:
    made = read(
        "stages:\n  a: {run: x, when: branch == 'x'}\n  b:\n    run: x\n    when: |\n      branch\n      == 'x'\n"
    )
    assert made.stages[0].when == Condition("branch == 'x'", 2, 21)
    assert made.stages[1].when == Condition("branch\n== 'x'\n", 6, 1)


def test_who_is_given_an_output_waits_for_its_stage() -> None:
    made = read(
        "stages:\n"
        "  a: x\n"
        "  b: {run: x, env: {W: w, V: {from: stages.a.outputs.v}}}\n"
        "  c: {cmd: [echo, {from: 'stages[\"d\"].outputs.w'}], needs: b}\n"
        "  d: x\n"
    )
    _, b, c, _ = made.stages
    assert (b.needs, b.env, b.env_from) == (("a",), {"W": "w"}, {"V": OutputOf("a", "v")})
    assert (c.needs, c.need_lines) == (("b", "d"), (4, 4))
    assert (c.command, c.cmd_from) == (("echo", ""), {"1": OutputOf("d", "w")})


def test_an_output_that_nobody_can_give_is_refused_at_its_place() -> None:
    said = refused("stages:\n  build: {run: x, matrix: {os: [a, b]}}\n  d: {run: x, env: {V: {from: build.v}}}\n")
    assert [(each.line, each.col, each.code) for each in said] == [(3, 31, "value")]
    said = refused(
        "stages:\n"
        "  build: {run: x, matrix: {os: [a, b]}}\n"
        "  b: {run: x, env: {V: {from: stages.biuld.outputs.v}}}\n"
        "  c: {run: x, env: {V: {from: stages.build.outputs.v}}}\n"
    )
    assert [(each.line, each.code, each.message) for each in said] == [
        (3, "unknown-stage", "from: unknown stage 'biuld', did you mean 'build'?"),
        (4, "matrix", "from: `build` is a matrix, name a cell as `build[os=a]`"),
    ]
    said = refused("stages:\n  a: {run: x, env: {V: {from: stages.b.outputs.v}}}\n  b: {run: x, needs: a}\n")
    assert [each.code for each in said] == ["cycle"]


def test_many_mistakes_are_told_up_to_a_number() -> None:
    said = refused("stages:\n" + "".join(f"  s{index}: {{run: x, neds: y}}\n" for index in range(1000)))
    assert len(said) == 201
    assert said[0].message == "unknown key 'neds', did you mean 'needs'?"
    assert said[-1].message == "800 more errors are not shown"


def test_the_number_of_the_cache_format_moves_with_what_is_kept() -> None:
    """Where a file comes to mean something else, or is kept in another form: raise `cache.FORMAT`, then mend this."""
    kept = hashlib.sha256(str(cache.FORMAT).encode())
    for folder in ("ok", "said"):
        for path in sorted((HERE / folder).glob("*.yaml")):
            pipeline, _ = parse(path.read_bytes(), "/work/project/stagebook.yaml")
            assert pipeline is not None
            kept.update(cache.encode(pipeline))
    assert kept.hexdigest()[:16] == "8c33dbcd1b1f982d"
