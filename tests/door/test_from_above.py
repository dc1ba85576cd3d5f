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
        "show 01ABC", "stats bad", "why bad", "run --resume last", "cancel last",
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
    assert above.run("show", "last").err == f"in {STATE}\n"
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


# An answer at a gate -------------------------------------------------------------------------------------------------


def gated(above: Place, folder: str, name: str = "ship") -> str:
    """Below, with a run that waits at a gate; its state directory."""
    path = above.folder / folder
    path.mkdir(parents=True, exist_ok=True)
    stages = {name: {"gate": {"prompt": "Ship it?"}}, "after": {"run": "touch after", "needs": name}}
    (path / "stagebook.yaml").write_text(json.dumps({"version": 1, "stages": stages}))
    done = above.run("run", f"{folder}/stagebook.yaml", "--no-wait")
    assert done.code == 3, done.said
    return f"{folder}/.stagebook"


def test_the_one_run_below_that_waits_is_answered_from_above(above: Place) -> None:
    state = gated(above, "examples/deploy")
    done = above.run("approve", "last", "ship")
    assert (done.code, done.err.splitlines()[0]) == (0, f"in {state}"), done.said
    assert (above.folder / "examples/deploy/after").exists()
    again = above.run("approve", "last", "ship")
    assert again.code == 2 and again.err.splitlines()[0] == f"in {state}"
    assert again.err.splitlines()[1].startswith("refused: ship is decided already: approved by ")
    assert above.run("audit", "--verify").err == f"in {state}\n"


def test_what_a_run_says_of_its_gate_works_as_printed(above: Place) -> None:
    state = gated(above, "examples/deploy")
    above.run("run", "--quiet")
    done = above.run("run", "examples/deploy/stagebook.yaml", "--no-wait")
    said = [line for line in done.out.splitlines() if "stagebook approve" in line]
    assert len(said) == 2 and all(f"ship --dir {state}" in line for line in said), done.out
    assert above.run("approve", "last", "ship").code == 2, "there are runs here"
    words = shlex.split(said[1].partition("stagebook ")[2])
    kept = above.run(*words, "--record-only")
    assert kept.code == 0 and f"stagebook run --resume {words[1]} --dir {state} goes on" in kept.out
    assert above.run(*shlex.split(kept.out.partition("; stagebook ")[2].partition(" goes on")[0])).code == 0


def test_of_several_below_only_the_one_that_waits_there_is_answered(above: Place) -> None:
    above.run("run", FILE, "--quiet")
    state = gated(above, "examples/deploy")
    done = above.run("reject", "last", "ship", "--record-only")
    assert (done.code, f"in {state}\n" in done.err) == (0, True), done.said
    one, two = gated(above, "examples/deploy"), gated(above, "examples/other")
    done = above.run("approve", "last", "ship")
    assert (done.code, done.out) == (2, "")
    assert "there is no run in" in done.err and one in done.err and two in done.err
    assert above.run("cancel", "last").code == 2, "nothing is ended that nobody has named"
    other = gated(above, "examples/third", "sign")
    assert f"in {other}\n" in above.run("approve", "last", "sign").err


def test_a_second_answer_is_refused_as_one_where_the_gate_was_decided(above: Place) -> None:
    above.run("run", FILE, "--quiet")
    state = gated(above, "examples/deploy")
    gated(above, "examples/other", "sign")
    assert above.run("approve", "last", "ship").code == 0
    for words in ("approve last ship", "reject last ship", "gate-link last ship"):
        done = above.run(*words.split())
        assert (done.code, f"in {state}\n" in done.err) == (2, True), done.said
        assert "refused: ship is decided already: approved by " in done.err, done.said
    done = above.run("approve", "last", "nowhere")
    assert done.code == 2 and "no run below has a gate `nowhere`" in done.err, done.said
    two = gated(above, "examples/two")
    assert f"in {two}\n" in above.run("reject", "last", "ship").err, "the one that waits goes first"
    done = above.run("reject", "last", "ship")
    assert (done.code, state in done.err, two in done.err, STATE in done.err) == (2, True, True, False), done.said


def test_the_record_of_decisions_is_looked_for_below(above: Place) -> None:
    assert above.run("audit").out == "nothing was decided or refused yet\n"
    above.run("run", FILE, "--quiet")
    state = gated(above, "examples/deploy")
    assert above.run("audit").out == "nothing was decided or refused yet\n"
    above.run("approve", "last", "ship", "--record-only")
    for words in ("audit", "audit --verify", "audit --run last"):
        done = above.run(*words.split())
        assert (done.code, done.err) == (0, f"in {state}\n"), done.said
        assert "1 approved" in done.out
    other = gated(above, "examples/other")
    above.run("reject", "last", "ship", "--dir", other, "--record-only")
    for words in ("audit", "audit --run last"):
        done = above.run(*words.split())
        assert (done.code, done.out) == (2, ""), done.said
        assert state in done.err and other in done.err and STATE not in done.err, done.said
    assert above.run("audit", "--dir", state).code == 0
    above.run("run", "--quiet")
    assert above.run("audit").out == "nothing was decided or refused yet\n", "there are runs here"


def test_what_only_reads_reads_the_one_place_below(above: Place) -> None:
    above.run("run", FILE, "--quiet")
    for words in ("timeline last", "show last", "logs last bad"):
        done = above.run(*words.split())
        assert (done.code, done.err) == (0, f"in {STATE}\n"), words
    assert above.run("show", "last", "--json").json["outcome"] == "failure"
    gated(above, "examples/deploy")
    assert above.run("show", "last").code == 2
