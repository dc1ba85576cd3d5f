"""A pipeline that is run from a folder above its own: what is printed works as printed, and the record is found."""

from __future__ import annotations

import json
import shlex

import pytest
from tests.door.place import Place

STATE = "examples/ci/.stagebook"
FILE = "examples/ci/stagebook.yaml"
STAGES = {
    "make": {"run": "mkdir -p out; echo made > out/made.txt", "inputs": ["source.txt"], "outputs": ["out"]},
    "bad": "echo trouble; exit 1",
}


@pytest.fixture
def above(place: Place) -> Place:
    """A folder with a pipeline of its own, which never ran, and another two folders below it."""
    folder = place.folder / "examples" / "ci"
    folder.mkdir(parents=True)
    (folder / "source.txt").write_text("source\n")
    (folder / "stagebook.yaml").write_text(json.dumps({"version": 1, "stages": STAGES}))
    place.pipeline({"own": "true"})
    return place


def hints(said: str) -> dict[str, list[str]]:
    """The commands that a run prints, by the word before them."""
    found = {}
    for line in said.splitlines():
        word, _, command = line.strip().partition("stagebook ")
        if command and line.startswith(("  ", "see it")):
            found[word.strip()] = shlex.split(command)
    return found


def test_the_commands_that_a_run_prints_work_where_it_was_called(above: Place) -> None:
    done = above.run("run", FILE)
    assert done.code == 1
    said = hints(done.out)
    assert said["again"] == ["run", FILE, "--only", "bad"]
    assert said["log"][0] == "logs" and said["log"][2:] == ["bad", "--dir", STATE]
    assert done.out.splitlines()[-1] == f"see it: stagebook timeline last --dir {STATE}"
    assert "trouble" in above.run(*said["log"]).out
    assert above.run(*said["see it:"]).code == 0
    assert hints(above.run(*said["again"]).out)["again"] == said["again"]
    shown = above.run("show", "last", "--dir", STATE).out
    assert hints(shown)["log"][2:] == ["bad", "--dir", STATE]
    assert hints(shown)["again"] == said["again"]
    assert "see it" not in shown


def test_where_the_record_is_found_anyway_nothing_is_added(above: Place) -> None:
    for folder, words in (("examples/ci", ("run",)), ("examples/ci", ("run", "stagebook.yaml"))):
        said = above.run(*words, cwd=above.folder / folder).out
        assert hints(said)["again"] == ["run", "--only", "bad"]
        assert "--dir" not in said and "see it" not in said


def test_a_record_elsewhere_than_beside_the_file_is_named_too(above: Place) -> None:
    done = above.run("run", FILE, "--dir", "kept here")
    said = hints(done.out)
    assert said["again"] == ["run", FILE, "--only", "bad", "--dir", "kept here"]
    assert said["log"][2:] == ["bad", "--dir", "kept here"]
    assert "see it" not in done.out  # whoever says where it goes knows


def test_without_runs_those_below_are_named(above: Place) -> None:
    assert "runs lie in" not in above.run("timeline", "last").err
    above.run("run", FILE, "--quiet")
    for words in (
        "timeline last --format html", "logs last --merge", "show 01ABC", "stats bad", "why bad", "run --resume last",
    ):  # fmt: skip
        done = above.run(*words.split())
        assert done.code == 2
        assert f"; runs lie in {STATE}: add --dir {STATE}" in done.err, words
        if words != "run --resume last":
            assert "runs lie in" not in above.run(*words.split(), "--dir", STATE).err
    done = above.run("runs")
    assert (done.code, f"; runs lie in {STATE}: add --dir {STATE}" in done.out) == (0, True)
    above.run("run", "--quiet")
    assert "runs lie in" not in above.run("runs").out
    assert "runs lie in" not in above.run("show", "01ABC").err  # there are some here


def test_a_state_directory_tells_the_file(above: Place) -> None:
    above.run("run", FILE, "--quiet")
    told = above.run("why", "make", "--dir", STATE)
    assert (told.code, told.out.splitlines()[1].startswith("now: up to date")) == (0, True), told
    made = above.folder / "examples" / "ci" / "out" / "made.txt"
    made.unlink()
    assert above.run("cache", "restore", "make", "--dir", STATE).code == 0
    assert made.read_text() == "made\n"
    assert "no stage `nowhere`" in above.run("why", "nowhere", "--dir", STATE).err


def test_the_file_here_is_meant_where_the_state_directory_has_runs_of_it(above: Place) -> None:
    above.run("run", "--quiet", "--dir", STATE)
    above.run("run", FILE, "--quiet")
    assert "own, run" in above.run("why", "own", "--dir", STATE).out


def test_only_a_few_hundred_entries_are_looked_at(above: Place) -> None:
    above.run("run", FILE, "--quiet")
    (above.folder / "examples" / "loop").symlink_to(above.folder)
    for number in range(1000):
        (above.folder / "examples" / "ci" / f"{number}.txt").touch()
    assert f"runs lie in {STATE}: add" in above.run("show", "last").err
    deep = above.folder / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (deep / "stagebook.yaml").write_text('{"version": 1, "stages": {"own": "true"}}')
    above.run("run", "--quiet", cwd=deep)
    assert "a/b/c" not in above.run("show", "last").err  # deeper than is looked


def test_a_page_that_is_drawn_from_above_says_the_same_commands(above: Place) -> None:
    above.run("run", FILE, "--quiet")
    assert above.run("timeline", "last", "--format", "html", "--dir", STATE, "-o", "page.html").code == 0
    far = json.dumps({"look": f" --dir {STATE}", "file": f" {FILE}", "run": ""}, separators=(",", ":"))
    assert f'"from":{far}' in (above.folder / "page.html").read_text()


def test_a_folder_that_holds_a_state_directory_is_no_such_but_names_it(above: Place) -> None:
    above.run("run", FILE, "--quiet")
    for words in ("why make", "show last", "stats make"):
        assert f"; runs lie in {STATE}: add --dir {STATE}" in above.run(*words.split(), "--dir", "examples/ci").err
    (above.folder / "stagebook.yaml").unlink()
    assert f"; runs lie in {STATE}: add --dir {STATE}" in above.run("why", "make", "--dir", "examples/ci").err


def test_to_look_at_a_pipeline_makes_no_state_directory(above: Place) -> None:
    for words in ("why own", "map", "run --dry-run", "plan"):
        assert above.run(*words.split()).code == 0
        assert not (above.folder / ".stagebook").exists(), words
