"""G21: paths stay inside. What a stage leaves at its outputs may be a folder, a FIFO, a device, or a link."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.door.place import Place, by_stage, noted, outcomes, reasons


def made(place: Place, script: str, *outputs: str) -> tuple[str | None, str | None]:
    place.pipeline({"make": {"run": script, "outputs": list(outputs)}, "use": {"run": noted(), "needs": "make"}})
    done = place.run("run", "--json")
    assert done.code in (0, 1), done
    return outcomes(done.json)["make"], reasons(done.json)["make"]


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    path = tmp_path / "outside" / "canary"
    path.parent.mkdir()
    path.write_text("sings")
    return path


@pytest.mark.parametrize("declared", ["out", "o*"])
@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("mkfifo out", "is a FIFO"),
        ("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"out\")'", "is a socket"),
        ("ln -s $CANARY out", "is a link out of the pipeline's folder"),
        ("ln -s ../../outside/canary out", "is a link out of the pipeline's folder"),
        ("ln -s .. out", "is a link out of the pipeline's folder"),
    ],
)
def test_what_is_no_file_of_this_folder_is_no_artifact(
    place: Place, canary: Path, script: str, why: str, declared: str
) -> None:
    outcome, reason = made(place, script.replace("$CANARY", str(canary)), declared)
    assert outcome == "failure"
    assert (reason or "").startswith(f"integrity: out {why}"), reason
    assert canary.read_text() == "sings"
    assert not os.path.lexists(place.folder / "out"), "it is set aside"
    assert place.began() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make devices")
def test_a_device_is_no_artifact(place: Place) -> None:
    outcome, reason = made(place, "mknod out c 1 3", "out")
    assert (outcome, reason) == ("failure", "integrity: out is a device")


def test_a_folder_that_leads_out_is_not_entered(place: Place, canary: Path) -> None:
    outcome, reason = made(place, f"ln -sfn {canary.parent} out", "out/canary")
    assert outcome == "failure"
    assert "out/canary" in (reason or "")
    assert canary.read_text() == "sings"
    assert os.path.lexists(canary)


def test_a_folder_is_all_that_lies_in_it(place: Place) -> None:
    assert made(place, "mkdir -p out/in; echo a > out/in/a; echo b > out/b; ln -s b out/c", "out") == ("success", None)
    files = by_stage(place.show())["make"]["published"]["files"]
    assert [file["path"] for file in files] == ["out/b", "out/c", "out/in/a"]
    assert made(place, "rm -r out; mkdir out", "out") == ("failure", "integrity: out is an empty folder")


@pytest.mark.parametrize(
    "name",
    ["a b", "new\nline", "-rf", "'; touch canary; '", "$(touch canary)", "\udcff\udc80", "\x1b[31mred", "ä", "*"],
)
def test_odd_names_are_names(place: Place, name: str) -> None:
    script = f"import os; os.makedirs('out', exist_ok=True); open(os.fsencode('out/' + {name!r}), 'w')"
    make = {"cmd": ["python3", "-c", script], "outputs": ["out/*"]}
    place.pipeline({"make": make, "use": {"run": "ls out", "inputs": ["out/*"]}})
    done = place.run("run", "--json")
    assert done.code == 0, done
    said = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    assert by_stage(done.json)["make"]["published"]["files"][0]["path"] == f"out/{said}"
    for words in (["show", "last"], ["cache", "ls"]):
        document = place.run(*words, "--json").out
        assert f"out/{said}" in str(json.loads(document)).replace("\\\\", "\\") or not name.isprintable()
        json.dumps(json.loads(document), ensure_ascii=False).encode()  # no surrogate without its other half
    assert not (place.folder / "canary").exists()
    assert "\x1b" not in place.run("run").out
    assert "\x1b" not in place.run("why", "use").out
    path = os.fsencode(place.folder) + b"/out/" + os.fsencode(name)
    with open(path, "w") as file:
        file.write("x")
    done = place.run("run", "--json", "--only", "use")
    assert (reasons(done.json)["use"] or "").startswith(f"integrity: out/{said} changed after make published it")
    assert "\x1b" not in place.run("show", "last").out


def test_hard_links_to_what_lies_outside_are_set_aside_and_not_changed(place: Place, canary: Path) -> None:
    outcome, _ = made(place, f"ln {canary} out; exit 1", "out")
    assert outcome == "failure"
    assert canary.read_text() == "sings"


def test_a_link_that_replaces_a_folder_is_not_followed_when_outputs_are_set_aside(place: Place, canary: Path) -> None:
    place.write("x", "out/canary")
    outcome, _ = made(place, f"rm -r out; ln -s {canary.parent} out; exit 1", "out/**")
    assert outcome == "failure"
    assert canary.exists()
    outcome, _ = made(place, f"rm -f out; ln -s {canary.parent} out; exit 1", "out/canary")
    assert canary.exists()


def test_outputs_in_the_record_or_in_git_are_refused_or_never_found(place: Place) -> None:
    place.pipeline({"make": {"run": "true", "outputs": [".git/out"]}})
    assert place.run("run").code == 2
    outcome, reason = made(place, "mkdir -p .git; echo x > .git/out", "**/out")
    assert (outcome, reason) == ("failure", "integrity: **/out was not made")


def test_a_state_directory_on_another_file_system_takes_what_is_set_aside(place: Place, tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == place.folder.stat().st_dev:
        pytest.skip("no other file system here")
    state = other / f"stagebook-{os.getpid()}"
    try:
        place.pipeline({"make": {"run": "echo half > out; ln -s out link; exit 1", "outputs": ["out", "link"]}})
        done = place.run("run", "--json", "--dir", str(state))
        assert outcomes(done.json) == {"make": "failure"}
        aside = state / "runs" / done.json["run"] / "set-aside" / "make" / "1"
        assert (aside / "out").read_text() == "half\n"
        assert os.readlink(aside / "link") == "out"
        assert not (place.folder / "out").exists()
    finally:
        import shutil

        shutil.rmtree(state, ignore_errors=True)


LINKED = {"run": "mkdir -p real; echo good > real/v1; ln -sfn real/v1 cur", "inputs": ["src"], "outputs": ["cur"]}


def test_g21_a_link_is_what_it_leads_to(place: Place) -> None:
    place.write("x", "src")
    use = {"run": "cat cur > r", "needs": "evil", "inputs": ["cur"], "outputs": ["r"]}
    place.pipeline({"p": LINKED, "evil": {"run": "$EVIL", "needs": "p"}, "c": use})
    done = place.run("run", "--json", env={"EVIL": "cp /dev/null real/v1"})
    assert done.code == 1, done
    assert (reasons(done.json)["c"] or "").startswith("integrity: cur changed after p published it")
    place.pipeline({"p": LINKED, "c": {**use, "needs": "p"}})
    assert place.run("run").code == 0
    assert outcomes(place.run("run", "--json").json) == {"p": "skip", "c": "skip"}
    place.write("other", "real/v1")
    assert by_stage(place.run("run", "--json", "--until", "p").json)["p"]["because"] == "output changed: cur"
    (place.folder / "real/v1").unlink()
    assert by_stage(place.run("run", "--json", "--until", "p").json)["p"]["because"] == "output changed: cur"
    assert place.run("cache", "verify").code == 0


@pytest.mark.parametrize(
    ("make", "what"),
    [("ln -s nowhere out", "out is a link that leads nowhere"), ("mkdir out", "out is an empty folder")],
)
def test_g21_an_output_that_holds_nothing_is_named(place: Place, make: str, what: str) -> None:
    place.pipeline({"p": {"run": make, "outputs": ["out"]}})
    done = place.run("run", "--json")
    assert reasons(done.json)["p"] == f"integrity: {what}"


@pytest.mark.parametrize(
    ("make", "what"),
    [("ln -s ../outside.txt ext", "ext is a link out of the pipeline's folder, to ../outside.txt"),
     ("mkfifo ext", "ext is a FIFO")],
)  # fmt: skip
def test_g21_an_input_that_can_be_none_is_refused_by_its_name_and_passed_over_by_a_glob(
    place: Place, make: str, what: str
) -> None:
    (place.base / "outside.txt").write_text("x")
    place.write("x", "export")
    subprocess.run(make, shell=True, cwd=place.folder, check=True)
    place.pipeline({"c": {"run": noted(), "inputs": ["export", "ext"], "retry": {"attempts": 3}}})
    for _ in range(2):
        done = place.run("run", "--json")
        assert (done.code, reasons(done.json)["c"]) == (1, f"integrity: {what}")
    assert place.began() == []
    place.pipeline({"c": {"run": noted(), "inputs": ["ex*"]}})
    done = place.run("run", "--json")
    assert done.code == 0
    assert [text for text in done.json["warnings"] if "ext" in text] == [f"c: an input is passed over: {what}"]
    assert outcomes(place.run("run", "--json").json) == {"c": "skip"}


FOLDERS = ["runs", "cache", "cache/plans", "cache/objects", "cache/measured", "workspaces", "experiments"]


@pytest.mark.parametrize("name", FOLDERS)
def test_g21_no_folder_of_the_record_may_be_a_link(place: Place, name: str) -> None:
    place.pipeline({"a": {"run": noted(), "outputs": ["o"]}})
    out = place.folder / "out"
    out.mkdir()
    link = place.folder / ".stagebook" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(out)
    done = place.run("run")
    assert (done.code, done.err.count("\n")) == (4, 1), done
    assert f"{link} is a link" in done.err
    for words in (("map",), ("why", "a"), ("stats", "a"), ("run", "--dry-run"), ("history", "rebuild")):
        place.run(*words)
    assert list(out.iterdir()) == [] and place.ledger() == []


def test_the_record_itself_may_be_a_link(place: Place) -> None:
    place.pipeline({"a": noted()})
    out = place.folder / "out"
    out.mkdir()
    (place.folder / ".stagebook").symlink_to(out)
    assert place.run("run").code == 0
    assert (out / "runs").is_dir()
