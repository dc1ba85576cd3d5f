"""`plan --apply` through the command: what it writes, what it leaves, what becomes of the file when things go wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable

import pytest
from tests.door.place import Place, outcomes
from tests.plan.past import DAY_US, Did, Past
from tests.plan.planted import NEEDLESS, PLANTED, UNSOUND, Planted, text_of

from stagebook.formats.native.read import load

LIST = """# Two sorts, one after the other.
version: 1
stages:
  - first:                       # the slow one
      run: sort one.in > one.out
      inputs: [one.in]
      outputs: [one.out]
      duration: 4s
  - second:
      run: 'sort two.in > two.out'   # quotes stay
      inputs: [two.in]
      outputs: [two.out]
      duration: 4s
"""
LAX = """version: 1
stages:
  - lint: {run: test -e one.in, duration: 4s}
  - unit: {run: test -e two.in, duration: 4s}
"""


def given(place: Place, text: str = LIST) -> Path:
    (place.folder / "one.in").write_text("b\na\n")
    (place.folder / "two.in").write_text("d\nc\n")
    return place.write(text)


def test_r095_what_is_declared_is_applied_once_and_comments_stay(place: Place) -> None:
    file = given(place)
    done = place.run("plan", "--apply", "--json")
    assert done.code == 0, done
    applied = done.json["applied"]
    assert applied["edits"] == ["second no longer needs first"]
    assert "+      needs: []\n" in applied["diff"]
    after = file.read_text()
    assert after == LIST.replace("# quotes stay\n", "# quotes stay\n      needs: []\n")
    again = place.run("plan", "--apply", "--json")
    assert again.json["applied"]["edits"] == []
    assert file.read_text() == after
    assert place.run("lint", "--strict").code == 0
    assert place.run("run").code == 0
    assert (place.folder / "two.out").read_text() == "c\nd\n"


def test_every_recommendation_has_evidence_and_none_is_applied_without_it(place: Place) -> None:
    file = given(place, LAX)
    found = place.run("plan", "--apply", "--json").json
    assert found["applied"]["edits"] == []
    assert file.read_text() == LAX
    [change] = found["recommendation"]["changes"]
    assert (change["question"], change["evidence"][0]["source"]) == (True, "none")
    assert found["recommendation"]["mode"] == "sequential"
    accepted = place.run("plan", "--accept", "lint→unit", "--apply", "--json").json
    assert accepted["applied"]["edits"] == ["unit no longer needs lint"]
    assert "accepted by a person" in accepted["recommendation"]["changes"][0]["evidence"][0]["text"]
    assert "needs: []" in file.read_text()


def test_the_check_that_a_question_names_can_be_run(place: Place) -> None:
    """In a fresh copy a stage that lives on what another has left behind fails."""
    text = LAX.replace("lint: {run: test -e one.in", "make it: {run: 'echo 1 > made'").replace(
        "test -e two.in", "cat made"
    )
    given(place, text)
    for command in ("git init -q .", "git add .", "git -c user.name=a -c user.email=a@b commit -qm a"):
        subprocess.run(command.split(), cwd=place.folder, env=place.env, check=True)
    assert place.run("run").code == 0
    [change] = place.run("plan", "--json").json["recommendation"]["changes"]
    path = f"{Path(place.command).parent}:{place.env['PATH']}"
    for check, code in ((change["check"], 1), (change["check"].replace(" --skip 'make it'", ""), 0)):
        ended = subprocess.run(
            ["sh", "-c", check], cwd=place.folder, env={**place.env, "PATH": path}, capture_output=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert ended.returncode == code, ended


@pytest.mark.parametrize(
    ("stage", "why"),
    [
        ("deploy: {run: ./deploy.sh}", "deploy"),
        ("sync: {run: sort two.in > two.out, retry-safe: false}", "retry-safe: false"),
        ("sync: {run: sort two.in > two.out, ordering: {strict: first things first}}", "first things first"),
    ],
)
def test_an_edge_into_what_cannot_be_taken_back_is_no_question_and_cannot_be_accepted(
    place: Place, stage: str, why: str
) -> None:
    text = LAX.replace("unit: {run: test -e two.in", stage.removesuffix("}"))
    file = given(place, text)
    name = stage.partition(":")[0]
    refused = place.run("plan", "--accept", f"lint->{name}", "--apply")
    assert refused.code == 2
    assert "is not possible" in refused.err
    assert why in refused.err
    assert file.read_text() == text
    found = place.run("plan", "--apply", "--json").json
    assert found["recommendation"]["changes"] == []
    assert why in json.dumps(found["recommendation"]["kept"])
    assert file.read_text() == text


def test_where_no_duration_is_known_nothing_is_recommended(place: Place) -> None:
    text = "sla: 5m\n" + LAX.replace(", duration: 4s", "")
    file = given(place, text)
    found = place.run("plan", "--apply", "--json").json
    assert found["recommendation"]["reasons"][0].startswith("insufficient data: nothing is known of how long stages")
    assert found["recommendation"]["changes"] == []
    assert (found["sla"]["met"], found["sla"]["met_as_is"]) == (None, None)
    assert file.read_text() == text
    said = place.run("plan")
    assert (said.code, place.run("plan", "--check").code) == (0, 1)
    assert "nothing is known of how long stages take" in " ".join(said.out.split())
    assert "within the SLA" not in said.out
    given(place, LAX.replace("two.in, duration: 4s", "two.in"))
    [_, *more] = place.run("plan", "--json").json["recommendation"]["reasons"]
    assert "insufficient data: nothing is known of how long 1 of 2 stages takes" in more


def test_a_question_names_its_own_stages_and_its_file(place: Place) -> None:
    (place.folder / "sub").mkdir()
    given(place, "version: 1\nstages: {}\n")
    text = "version: 1\nstages:\n" + "".join(f"  - {name}: {{run: 'true', duration: 4s}}\n" for name in "bcd")
    (place.folder / "sub" / "stagebook.yaml").write_text(text)
    changes = place.run("plan", "sub/stagebook.yaml", "--json").json["recommendation"]["changes"]
    [change] = [each for each in changes if each["change"] == "does d need anything of c?"]
    assert "neither c nor d declares" in change["evidence"][0]["text"]
    assert "stagebook run stagebook.yaml --until d" in change["check"]


def test_comments_within_needs_stay_where_all_of_them_go(place: Place) -> None:
    needs = "    needs:  # why\n      # of old\n      - first  # slow\n"
    text = LIST.replace("  - first:", "  first:").replace(
        "  - second:\n", "  second:\n" + needs.replace("    ", "      ", 1)
    )
    file = given(place, text)
    assert place.run("plan", "--apply").code == 0
    assert "      needs: []  # slow\n      # why\n      # of old\n      run:" in file.read_text()


HOSTILE = """version: 1
stages:
  - "a: 'b' # {c}":
      run: sort one.in > one.out
      inputs: [one.in]
      outputs: [one.out]
      duration: 4s
  - "no": {run: sort two.in > two.out, inputs: [two.in], outputs: [two.out], duration: 4s}
  - "→ ünï, [x": {run: "cat one.out two.out > three.out", inputs: [one.out, two.out], outputs: [three.out]}
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_hostile_names_and_line_ends_survive(place: Place, end: str) -> None:
    file = given(place)
    data = HOSTILE.replace("[x", "x").replace("\n", end).encode()
    file.write_bytes(data)
    found = place.run("plan", "--apply", "--json").json
    assert found["applied"]["edits"] == ["no no longer needs a: 'b' # {c}"]
    after = file.read_bytes()
    assert after.count(b"\r\n") == (after.count(b"\n") if end == "\r\n" else 0)
    assert b"duration: 4s, needs: []}" in after
    assert place.run("run").code == 0


def test_a_file_that_cannot_be_written_is_left_and_said(place: Place) -> None:
    file = given(place)
    place.folder.chmod(0o555)
    try:
        done = place.run("plan", "--apply")
        if os.geteuid() == 0:  # whom no mode stops
            return
        assert done.code == 4
        assert "nothing was changed" in done.err
        assert file.read_text() == LIST
    finally:
        place.folder.chmod(0o755)


def test_the_mode_and_the_link_of_a_file_stay(place: Place) -> None:
    file = given(place)
    real = place.folder / "real.yaml"
    file.rename(real)
    real.chmod(0o640)
    file.symlink_to("real.yaml")
    assert place.run("plan", "--apply").code == 0
    assert file.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert "needs: []" in real.read_text()


MATRIX = """version: 1
stages:
  - prepare: {run: sort one.in > one.out, inputs: [one.in], outputs: [one.out], duration: 4s}
  - unit:
      run: sort two.in > $MATRIX_N.out
      matrix: {n: [x, y]}
      inputs: [two.in]
      outputs: [$MATRIX_N.out]
      duration: 4s
"""


def test_all_cells_of_a_matrix_are_freed_by_one_edit(place: Place) -> None:
    file = given(place, MATRIX)
    found = place.run("plan", "--apply", "--json").json
    cells = {"unit[n=x] no longer needs prepare", "unit[n=y] no longer needs prepare"}
    assert cells <= set(found["applied"]["edits"])
    assert file.read_text().count("needs: []") == 1
    assert set(outcomes_of(place).values()) == {"success"}


def outcomes_of(place: Place) -> dict[str, str]:
    assert place.run("run", "--force").code == 0
    return outcomes(place.show())


def test_what_no_small_edit_reaches_is_refused_with_its_line(place: Place) -> None:
    text = LIST.replace("- second:\n      run", "- second: &it\n      run") + "  - third: *it\n"
    file = given(place, text.replace("outputs: [two.out]", "outputs: []"))
    before = file.read_text()
    done = place.run("plan", "--apply")
    if done.code == 0:
        assert file.read_text() == before or place.run("lint").code == 0
    else:
        assert done.code == 2
        assert "stagebook.yaml:" in done.err
        assert file.read_text() == before


@pytest.mark.parametrize("call", ["write", "rename", "replace"])
def test_g01_a_kill_leaves_the_old_file_or_the_new_one(place: Place, call: str, tmp_path: Path) -> None:
    """The command is killed within the calls that write."""
    file = given(place)
    hook = tmp_path / "hook"
    hook.mkdir()
    name = {"write": "fsync", "rename": "replace"}.get(call, call)
    when = "before" if call in ("write", "rename") else "after"
    (hook / "sitecustomize.py").write_text(
        f"""
import os, signal
inner = os.{name}
def deadly(*args, **more):
    if {name!r} == "fsync" or str(args[-1]).endswith("stagebook.yaml"):
        if {when!r} == "after":
            inner(*args, **more)
        os.kill(os.getpid(), signal.SIGKILL)
    return inner(*args, **more)
os.{name} = deadly
"""
    )
    place.env["PYTHONPATH"] = str(hook)
    done = place.run("plan", "--apply")
    assert done.code == -signal.SIGKILL, done
    del place.env["PYTHONPATH"]
    assert file.read_text() in (LIST, LIST.replace("# quotes stay\n", "# quotes stay\n      needs: []\n"))
    assert (file.read_text() == LIST) == (call != "replace")
    assert place.run("plan", "--apply").code == 0
    assert "needs: []" in file.read_text()


def test_no_jobs_are_written_where_the_default_does_as_well(place: Place) -> None:
    file = given(place)
    found = place.run("plan", "--apply", "--json").json
    assert found["recommendation"]["jobs"] == 2
    assert "limits" not in file.read_text()


def test_r097_jobs_are_written_where_runs_were_measured_as_a_change_with_a_number(place: Place) -> None:
    text = "limits: {jobs: 1}\n" + LAX.replace("- lint:", "lint:").replace("- unit:", "unit:")
    file = given(place, text)
    runs = Past(place.folder)
    for day in range(1, 6):
        both = Did("lint", 0, 4, cpu_s=0.1), Did("unit", 4, 8, cpu_s=0.1)
        runs.run(load(str(file), None), time.time_ns() // 1000 - day * DAY_US, *both, jobs=1)
    done = place.run("plan", "--apply")
    assert "\n1  set limits.jobs to 2 (it is 1) " in done.out and "limits.jobs is 2" in done.out, done
    assert "evidence history: durations and use are of 5 runs" in done.out
    assert file.read_text() == text.replace("jobs: 1", "jobs: 2")


def test_without_a_run_jobs_are_a_question_and_nothing_is_written(place: Place) -> None:
    text = "limits: {jobs: 1}\n" + LAX.replace("- lint:", "lint:").replace("- unit:", "unit:")
    file = given(place, text)
    found = place.run("plan", "--apply", "--json").json
    assert found["applied"]["edits"] == [] and file.read_text() == text
    [change] = found["recommendation"]["changes"]
    assert (change["question"], change["evidence"][0]["source"], change["check"]) == (
        True, "none", "stagebook plan --probe",
    )  # fmt: skip


def test_all_that_is_applied_is_told_with_a_number_and_nothing_else_is(place: Place) -> None:
    """A list in which one needs the first, another nothing: to free one in the middle, later ones are told more."""
    names = [("a", "x"), ("b", "y"), ("c", "z"), ("d", "a.out"), ("e", "b.out"), ("f", "d.out e.out c.out")]
    stages = ""
    for name, reads in names:
        files = reads.split()
        if files[0] in "xyz":
            (place.folder / reads).write_text(name)
        keys = f"inputs: [{', '.join(files)}], outputs: [{name}.out], duration: 4s, resources: {{cpu: 0.01}}"
        stages += f"  - {name}: {{run: sort -o {name}.out {reads}, {keys}}}\n"
    given(place, f"version: 1\nstages:\n{stages}")
    found = place.run("plan", "--apply", "--json").json
    edits = set()
    for change in found["recommendation"]["changes"]:
        if change["question"]:
            continue
        edits |= {f"{stage} no longer needs {need}" for need, stage in change["without"]}
        edits |= {f"{stage} needs {need}" for need, stage in change["with"]}
    assert edits == set(found["applied"]["edits"]) and any("needs" in edit and "longer" not in edit for edit in edits)


# Twenty and more at once ------------------------------------------------------------------------------------------


def all_in_one(place: Place, plants: list[Planted]) -> Path:
    stages = {}
    for number, plant in enumerate(plants):
        folder = place.folder / f"p{number:02}"
        folder.mkdir()
        made = plant.write(folder, folder.name)
        for stage in made.values():  # so that cores are not what binds
            stage["resources"] = {"cpu": 0.01}
        stages |= made
    return place.write(text_of(stages))


def left(place: Place) -> dict[str, bytes]:
    return {
        str(path.relative_to(place.folder)): path.read_bytes()
        for path in sorted(place.folder.rglob("*"))
        if path.is_file() and not {".git", ".stagebook", "__pycache__", "stagebook.yaml"} & set(path.parts)
    }


def test_the_run_after_an_apply_ends_as_before_with_the_same_files(new_place: Callable[[], Place]) -> None:
    plants = [plant for plant in PLANTED if plant.name not in UNSOUND]
    plants += [plant._replace(duration="4m" if len(plant.stages) == 2 else "2m") for plant in NEEDLESS]
    before, after = new_place(), new_place()
    for each in (before, after):
        all_in_one(each, plants)
        each.env["HOME"] = str(each.folder.parent)
        each.env["PYTHONDONTWRITEBYTECODE"] = "1"
    found = after.run("plan", "--apply", "--json").json
    edits = found["applied"]["edits"]
    assert len([edit for edit in edits if " no longer needs " in edit]) >= len(NEEDLESS) - 1, edits
    names = {plant.name for plant in NEEDLESS}
    for edit in edits:
        stage, is_freed, _ = edit.partition(" no longer needs ")
        if not is_freed:
            continue
        assert any(stage.startswith(f"{name}-") for name in names), edit
    for each, words in ((before, ["--sequential"]), (after, [])):
        done = each.run("run", *words)
        assert done.code == 0, done
    assert outcomes(before.show()) == outcomes(after.show())
    assert left(before) == left(after)


GROUP = """version: 1
stages:
  - checks:
      parallel:
        - x: {run: sort one.in > one.out, inputs: [one.in], outputs: [one.out], duration: 9s}
        - y: {run: sort two.in > two.out, inputs: [two.in], outputs: [two.out], duration: 9s}
  - last: {run: wc -l two.in, inputs: [two.in], duration: 9s}
"""


def test_a_stage_is_freed_of_a_group(place: Place) -> None:
    file = given(place, GROUP)
    found = place.run("plan", "--apply", "--json").json
    assert {"last no longer needs x", "last no longer needs y"} <= set(found["applied"]["edits"])
    assert file.read_text().count("needs: []") == 1
    assert set(outcomes_of(place).values()) == {"success"}


def test_r095_a_suite_on_record_is_told_to_be_split(place: Place) -> None:
    cases = "".join(f'<testcase classname="shop" name="t{number}" time="1.5"/>' for number in range(8))
    report = f"<testsuite>{cases}</testsuite>"
    given(place, "version: 1\nstages:\n  unit: {run: 'sleep 0.3; cp all.xml report.xml', outputs: [report.xml]}\n")
    (place.folder / "all.xml").write_text(report)
    for _ in range(2):
        assert place.run("run").code == 0
    found = place.run("plan", "--apply", "--json").json
    [change] = found["recommendation"]["changes"]
    assert (change["kind"], change["stages"]) == ("split", ["unit"])
    assert change["change"].startswith("split the tests of unit in ")
    assert change["evidence"] == [
        {"source": "history", "n": 2, "text": "8 tests take 12 s, all else in the stage 0 ms"}
    ]
    assert "insufficient data (2 runs, need 5)" in found["recommendation"]["reasons"]
    assert found["applied"]["edits"] == []
