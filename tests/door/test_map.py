"""`stagebook map`: the requirements' own examples, every format, what differs from a revision."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
from tests.door.place import Document, Place
from tests.door.test_sarif import SCHEMA

EXAMPLES = Path(__file__).parents[2] / "examples"
EIGHT = """\
version: 1
stages:
  checkout: {run: git clone . work, duration: 10s}
  install: {run: make deps, needs: checkout, duration: 40s}
  lint: {run: ruff check, needs: install, duration: 30s}
  unit: {run: pytest tests/unit, needs: install, duration: 490s}
  build: {run: python -m build, needs: install, duration: 60s}
  integration: {run: pytest tests/integration, needs: build, duration: 3m}
  package: {run: make image, needs: [lint, unit, build], duration: 10m}
  deploy: {run: ./deploy.sh, needs: package, retry-safe: false, duration: 1m}
"""


def codes(document: Document) -> list[tuple[str, str, int]]:
    return [(each["code"], each["level"], each["line"]) for each in document["findings"]]


def git(place: Place, *words: str) -> None:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false", *words]
    subprocess.run(command, cwd=place.folder, check=True, stdout=subprocess.DEVNULL)


def test_r083_every_format_from_one_example_and_within_the_terminal(place: Place) -> None:
    names = [f"s{number}" for number in range(20)]
    place.pipeline({
        name: {"run": "true", "duration": "1s", "needs": names[max(0, at - 3):at][:2]} for at, name in enumerate(names)
    })  # fmt: skip
    for width in (40, 120):
        place.env["COLUMNS"] = str(width)
        for words in ((), ("-v",), ("--table",)):
            assert max(map(len, place.run("map", *words).out.splitlines())) < width
    assert place.run("map", "--format", "dot").out.startswith("digraph ")
    assert place.run("map", "--format", "mermaid").out.startswith("flowchart LR\n")
    assert place.run("map", "--json").json == place.run("map", "--format", "json").json
    place.run("map", "--format", "dot", "-o", "out/../map.dot")
    for word in ("dot", "mermaid", "sarif"):
        assert place.run("map", "--format", word, "-o", f"map.{word}").out == ""
        assert (place.folder / f"map.{word}").read_text() == place.run("map", "--format", word).out


def test_r083_what_differs_from_a_revision_is_marked(place: Place) -> None:
    place.write(EIGHT)
    git(place, "init", "-q")
    git(place, "add", "stagebook.yaml")
    git(place, "commit", "-qm", "first")
    assert "the same as in HEAD" in place.run("map", "--diff", "HEAD").out
    text = EIGHT.replace("  lint: {run: ruff check, needs: install, duration: 30s}\n", "").replace(
        "[lint, unit", "[unit"
    )
    place.write(
        text.replace("pytest tests/unit", "pytest -n2 tests/unit") + "  smoke: {run: ./smoke.sh, needs: deploy}\n"
    )
    git(place, "commit", "-qam", "second")
    diff = place.run("map", "--diff", "HEAD~1", "--json").json["diff"]
    assert (diff["base"], diff["stages"]["added"]) == ("HEAD~1", ["smoke"])
    assert [each["stage"] for each in diff["stages"]["removed"]] == ["lint"]
    assert diff["stages"]["changed"] == [{"stage": "unit", "what": ["command"]}]
    assert diff["edges"]["added"] == [{"from": "deploy", "to": "smoke"}]
    assert [(each["from"], each["to"]) for each in diff["edges"]["removed"]] == [
        ("install", "lint"),
        ("lint", "package"),
    ]
    said = place.run("map", "--diff", "HEAD~1").out
    for line in ("  + smoke", "  - lint", "  ~ unit: command", "  + deploy → smoke", "  - lint → package"):
        assert line in said.splitlines(), said
    assert "~ unit" in said.partition("against")[0]
    (place.folder / "old.yaml").write_text(EIGHT)
    of_file = place.run("map", "--diff", "old.yaml", "--json").json["diff"]
    assert {**of_file, "base": "HEAD~1"} == diff
    assert 'label="- lint' in place.run("map", "--diff", "HEAD~1", "--format", "dot").out
    assert "#45; lint" in place.run("map", "--diff", "HEAD~1", "--format", "mermaid").out


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("HEAD", "git knows no such revision, and there is no such file"),
        ("--output=x", "git knows no such revision"),
        ("nosuch", "git knows no such revision"),
    ],
)
def test_a_base_that_is_none_is_wrong_input(place: Place, base: str, said: str) -> None:
    place.write(EIGHT)
    done = place.run("map", f"--diff={base}")
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert not (place.folder / "x").exists()


def test_a_base_that_is_no_pipeline_says_so(place: Place) -> None:
    place.write("version: 1\nstage: {}\n")
    git(place, "init", "-q")
    git(place, "add", "stagebook.yaml")
    git(place, "commit", "-qm", "wrong")
    place.write(EIGHT)
    done = place.run("map", "--diff", "HEAD")
    assert done.code == 2
    assert "stagebook.yaml at that revision is no pipeline: " in done.err
    (place.folder / "sub").mkdir()
    (place.folder / "sub" / "stagebook.yaml").write_text(EIGHT)
    assert "has no stagebook.yaml" in place.run("map", "sub/stagebook.yaml", "--diff", "HEAD").err


def test_r084_what_may_run_together(place: Place) -> None:
    place.write(EIGHT)
    document = place.run("map", "--json").json
    assert document["width"] == 3
    assert document["sets"][0] == {"level": 2, "stages": ["lint", "unit", "build"]}
    said = place.run("map").out
    assert "at most 3 at once" in said
    assert "at once: lint ∥ unit ∥ build\n" in said


def test_r084_what_keeps_them_apart_all_the_same_is_said(place: Place) -> None:
    place.write(
        "pools: {db: 1}\n"
        "stages:\n  a: {run: x, locks: {l: exclusive}}\n"
        "  b: {run: y, locks: {l: shared}, resources: {pools: {db: 1}}}\n"
        "  c: {run: z, resources: {pools: {db: 1}}, locks: {other: exclusive}}\n"
        "  d: {run: w, matrix: {n: ['1', '2'], max-parallel: 1}}\n"
    )
    assert place.run("map", "--json").json["widest"]["but_for"] == ["lock l", "pool db", "matrix d"]
    assert "at once: a ∥ b ∥ c ∥ d ×2, as far as lock l, pool db and matrix d lets them" in place.run("map").out


@pytest.mark.parametrize("name", ["etl", "payments", "ci", "microservices"])
def test_r084_pictures_say_what_the_text_says(place: Place, name: str) -> None:
    file = str(EXAMPLES / name / "stagebook.yaml")
    most = f"at most {place.run('map', file, '--json').json['widest']['stages']} at once"
    for format in ("text", "svg", "html"):
        told = place.run("map", file, "--format", format).out.replace("\N{NO-BREAK SPACE}", " ")
        assert set(re.findall(r"at most \d+ at once", told, re.IGNORECASE)) <= {most, most.capitalize()}
        assert most in told, format


def test_r085_order_without_evidence(place: Place) -> None:
    place.write("stages:\n  test: {run: pytest, duration: 490s}\n  package: {run: make, duration: 10m, needs: test}\n")
    assert codes(place.run("map", "--json").json) == [("needless-order", "note", 3)]
    said = place.run("map").out
    assert "[1] needless   no evidence for test → package; would save 8 m 10 s: " in said
    assert "stagebook.yaml:3" in said
    place.write(
        "stages:\n  test: {run: pytest, duration: 490s, outputs: [report.xml]}\n"
        "  package: {run: make, duration: 10m, needs: test, inputs: [report.xml]}\n"
    )
    assert codes(place.run("map", "--json").json) == []


def test_r086_two_that_append_to_one_file(place: Place) -> None:
    place.write("stages:\n  a: date >> /tmp/x.db\n  b: date >> /tmp/x.db\n  c: wc /tmp/x.db\n  d: cat < /tmp/x.db\n")
    [found] = place.run("map", "--json").json["findings"]
    assert (found["code"], found["stages"], found["shared"]) == ("possible-coupling", ["a", "b"], "file /tmp/x.db")
    assert (found["line"], found["level"]) == (3, "warning")


def test_r087_a_deployment_before_a_test_has_ended(place: Place) -> None:
    place.write(EIGHT)
    document = place.run("map", "--json").json
    assert ("missing-guard", "error", 10) in codes(document)
    assert "deploy can start before integration ends" in place.run("map").out
    sarif = place.run("map", "--format", "sarif").json
    jsonschema.validate(sarif, SCHEMA)
    [result] = [each for each in sarif["runs"][0]["results"] if each["ruleId"] == "missing-guard"]
    assert result["level"] == "error"
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 10}
    place.write(EIGHT.replace("needs: package", "needs: [package, integration]"))
    assert "missing-guard" not in {code for code, _, _ in codes(place.run("map", "--json").json)}


def test_r005_what_stages_say_of_failure_order_and_mode(place: Place) -> None:
    place.write(
        "stages:\n"
        "  unit: {run: pytest, allow-failure: true}\n"
        "  docs: {run: make, locks: {site: exclusive}, retry: {attempts: 3}}\n"
        "  publish: {run: ./publish, needs: [unit, docs], retry-safe: false, ordering: {strict: docs before readers}}\n"
    )
    rows = [line.split("  ") for line in place.run("map", "--table", "-q").out.splitlines()]
    table = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert table == [
        ["stage", "on failure", "ordering", "mode"],
        ["unit", "allow-failure", "–", "parallel"],
        ["docs", "3 attempts", "–", "one at a time: lock site"],
        ["publish", "retry-safe: false", "docs before readers", "sequential"],
    ]
    assert place.run("lint", "--strict").code == 0
    place.write("stages:\n  publish: {run: ./publish, retry-safe: false}\n")
    assert place.run("lint").code == 0
    strict = place.run("lint", "--strict", "--json")
    assert strict.code == 1
    assert [(note["code"], note["line"], note["level"]) for note in strict.json["notes"]] == [
        ("ordering", 2, "warning")
    ]


def test_a_condition_gives_an_order_its_reason(place: Place) -> None:
    place.write(
        'stages:\n  unit: pytest\n  report: {run: make, needs: unit, when: \'stages["unit"].outcome == "success"\'}\n'
    )
    document = place.run("map", "--json").json
    assert document["edges"][0]["reasons"] == [{"kind": "value", "text": "its condition asks for it"}]
    assert document["findings"] == []


def test_steps_are_said_to_be_none(place: Place) -> None:
    place.write(EIGHT)
    done = place.run("map", "--steps", "-q")
    assert (done.code, done.err) == (0, "")
    done = place.run("map", "--steps")
    assert done.code == 0
    assert "no stage has steps" in done.err


def test_a_directory_is_mapped_in_text_and_json_alone(place: Place) -> None:
    place.write(EIGHT)
    assert [each["pipeline"] for each in place.run("map", ".", "--json").json["pipelines"]] == ["project"]
    assert place.run("map", ".").code == 0


def test_a_thousand_stages_are_readable_and_ten_thousand_quick(place: Place) -> None:
    def layered(count: int) -> str:
        lines = ["stages:"]
        for at in range(count):
            needs = f"[s{(at * 7) % max(1, at)}, s{at - 1 - at % 40}]" if at > 40 else "[]"
            lines.append(f"  s{at}: {{run: make s{at}, duration: {at % 90 + 1}s, needs: {needs}}}")
        return "\n".join(lines) + "\n"

    place.write(layered(1000))
    said = place.run("map").out.splitlines()
    assert len(said) < 200
    assert any("more ▸" in line for line in said)
    place.write(layered(10_000))
    document = place.run("map", "--json").json
    assert len(document["stages"]) == 10_000
    assert len(document["findings"]) < 1500


def test_numbers_of_findings_stand_at_their_stages(place: Place) -> None:
    place.write(EIGHT)
    document = place.run("map", "--json").json
    told = [each for each in document["findings"] if not each["minor"]]
    assert [each["number"] for each in told] == list(range(1, len(told) + 1))
    said = place.run("map").out
    for each in told:
        for stage in each["stages"]:
            row = next(line for line in said.splitlines() if f" {stage} [" in line)
            assert f"[{each['number']}]" in row
    assert json.dumps(document["notes"][-len(document["findings"]):]) == json.dumps(
        [{key: each[key] for key in ("code", "level", "line", "file", "message")} for each in document["findings"]]
    )  # fmt: skip
    assert Path(document["file"]).name == "stagebook.yaml"
