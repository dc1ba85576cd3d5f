"""A stage without success takes nothing that it did not make: files of the user stay, and nothing is lost."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from tests.door import waiting
from tests.door.place import Place, by_stage, noted

#: Makes two files, and then does what is asked for.
LEAVES = "echo made > omade; mkdir -p data/more; echo made > data/more/made; {}"
USER = {"old.txt": "of the user", "data/db": "the only copy"}


def git(place: Place, *words: str) -> str:
    names = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    return subprocess.run(["git", *names, *words], cwd=place.folder, capture_output=True, check=True).stdout.decode()


def tree(place: Place, stage: dict[str, object]) -> None:
    """A git tree with files of the user that the globs of the stage match."""
    for path, text in USER.items():
        place.write(text, path)
    place.pipeline({"a": {"outputs": ["o*", "data/**"], **stage}})
    git(place, "init", "-q")
    git(place, "add", "old.txt", "data", "stagebook.yaml")
    git(place, "commit", "-qm", "all of it")


def aside(place: Place) -> list[str]:
    return sorted({path.name for path in place.runs_folder.glob("*/set-aside/a/*/**/*") if path.is_file()})


@pytest.mark.parametrize("how", ["exit 1", "INT", "TERM", "timeout", "kill -9"])
def test_what_a_stage_did_not_make_stays_however_it_ends(place: Place, how: str) -> None:
    waits = "" if how == "kill -9" else noted("sleep 963")
    ends = {"exit 1": "exit 1", "kill -9": noted('[ "$STAGEBOOK_ATTEMPT" != 1 ] || sleep 963; exit 1')}.get(how, waits)
    tree(place, {"run": LEAVES.format(ends), **({"timeout": "1s"} if how == "timeout" else {}), "grace": "1s"})
    command = place.start("run")
    if how in ("INT", "TERM", "kill -9"):
        place.wait_for("a")
        if how == "kill -9":
            command.kill("engine")
            assert place.run("run", "--resume").code == 1
        else:
            command.send(getattr(signal, f"SIG{how}"))
    if how != "kill -9":
        assert command.wait().code != 0
    assert git(place, "status", "--short", "--", "old.txt", "data") == ""
    assert not (place.folder / "omade").exists()
    assert aside(place) == ["made", "omade"]
    assert place.run("gc", "--runs-older-than", "0s", "--cache-age", "0s").code == 0
    assert aside(place) == ["made", "omade"]


def test_a_file_that_was_there_and_was_changed_stays_and_no_dependent_takes_it(place: Place) -> None:
    place.env["T"] = "tok5f2c8e1dABC"
    stage = {"run": 'echo "$T" > data/db; rm old.txt; exit 1', "secrets": ["T"]}
    clean = {"run": noted("cat data/db"), "inputs": ["data/db"], "always": True, "needs": "a"}
    place.write(USER["old.txt"], "old.txt")
    place.write(USER["data/db"], "data/db")
    place.pipeline({"a": {"outputs": ["o*", "data/**"], **stage}, "clean": clean}, secrets=["T"])
    done = place.run("run", "--json")
    assert by_stage(done.json)["clean"]["reason"] == "integrity: data/db is not whole: a did not publish it"
    assert (place.folder / "data/db").read_text() == "tok5f2c8e1dABC\n", "it is the user's, and not masked"
    [copy] = done.json["set_aside"]
    assert (copy["path"], Path(copy["at"]).read_text()) == ("data/db", "***\n")
    assert any("removed old.txt" in text for text in done.json["warnings"]), done.json["warnings"]


def test_published_outputs_come_back_before_the_next_attempt_and_after_the_last(place: Place) -> None:
    script = "set -e; test ! -e go || grep -q good out; echo good > out; test ! -e go || { echo bad > out; exit 1; }"
    place.pipeline({"a": {"run": script, "outputs": ["out"], "retry": {"attempts": 3}}})
    assert place.run("run").code == 0
    place.write("", "go")
    done = place.run("run", "--json", "--force")
    assert [attempt["reason"] for attempt in by_stage(done.json)["a"]["attempts"]] == ["exit 1"] * 3
    assert (place.folder / "out").read_text() == "good\n"
    assert [Path(each["at"]).read_text() for each in done.json["set_aside"]] == ["bad\n"] * 3


def test_what_comes_to_lie_there_after_a_run_is_not_taken_by_the_next(place: Place) -> None:
    place.pipeline({"a": {"run": noted("sleep 963"), "outputs": ["o*"]}})
    command = place.start("run")
    place.wait_for("a")
    command.kill("engine")
    for path in place.runs_folder.glob("*/found/*"):
        path.unlink()
    place.write("mine", "omine")
    place.pipeline({"a": {"run": "exit 1", "outputs": ["o*"]}})
    assert place.run("run").code == 1
    assert (place.folder / "omine").read_text() == "mine"
    assert aside(place) == []


def test_links_pipes_and_files_of_other_names_are_left_as_they_are(place: Place) -> None:
    outside = place.base / "outside"
    outside.write_text("canary")
    (place.folder / "olink").symlink_to(outside)
    (place.folder / "ohard").hardlink_to(outside)
    subprocess.run(["mkfifo", "opipe"], cwd=place.folder, check=True)
    outside.chmod(0o644)
    (place.base / "more").write_text("canary")
    script = f"ln {place.base / 'more'} omore; ln -s {outside} osoft; exit 1"
    place.pipeline({"a": {"run": script, "outputs": ["o*"]}})
    assert place.run("run", within_s=waiting.PATIENCE_S).code == 1
    assert sorted(path.name for path in place.folder.glob("o*")) == ["ohard", "olink", "opipe"]
    assert (outside.read_text(), outside.stat().st_mode & 0o777) == ("canary", 0o644)
    assert sorted(each["path"] for each in place.run("show", "last", "--json").json["set_aside"]) == ["omore", "osoft"]
