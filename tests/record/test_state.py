"""Files lie where the front door says, and every stage has a log name of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.model.problem import SurroundingsError
from stagebook.record import state

ANY_TEXT = st.text(st.characters(), min_size=1)


def test_beside_a_native_file(tmp_path: Path) -> None:
    file = tmp_path / "a" / "stagebook.yaml"
    assert state.locate(str(file), "native", "/", None, {}) == str(tmp_path / "a" / ".stagebook")
    assert state.locate("a/stagebook.yaml", None, str(tmp_path), None, {}) == str(tmp_path / "a" / ".stagebook")


def test_for_another_file_at_the_root_of_its_work_tree_else_here(tmp_path: Path) -> None:
    file = tmp_path / "repo" / ".github" / "workflows" / "ci.yml"
    file.parent.mkdir(parents=True)
    here = tmp_path / "here"
    here.mkdir()
    assert state.locate(str(file), "github", str(here), None, {}) == str(here / ".stagebook")
    (tmp_path / "repo" / ".git").mkdir()
    assert state.locate(str(file), "github", str(here), None, {}) == str(tmp_path / "repo" / ".stagebook")


def test_an_option_wins_over_the_variable_and_that_over_the_place(tmp_path: Path) -> None:
    environ = {"STAGEBOOK_DIR": "from-variable"}
    assert state.locate("f", "native", str(tmp_path), "x", environ) == str(tmp_path / "x")
    assert state.locate("f", "native", str(tmp_path), None, environ) == str(tmp_path / "from-variable")


def test_without_a_file_the_nearest_upward(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "a" / "stagebook.yaml").touch()
    assert state.locate(None, None, str(below), None, {}) == str(tmp_path / "a" / ".stagebook")
    (below / ".stagebook").mkdir()
    assert state.locate(None, None, str(below), None, {}) == str(below / ".stagebook")


def test_the_directory_keeps_itself_out_of_git(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    made = state.make_run(str(tmp_path / ".stagebook"), "R")
    Path(state.journal_path(made)).touch()
    status = subprocess.run(
        ["git", "-C", str(tmp_path), "status", "--porcelain", "--ignored"], check=True, capture_output=True, text=True
    )
    assert status.stdout == "!! .stagebook/\n"


def test_directories_are_for_their_owner_only_and_made_as_deep_as_need_be(tmp_path: Path) -> None:
    made = Path(state.make_run(str(tmp_path / "deep" / "er" / "s"), "R"))
    for directory in (made, made / "logs", made.parent, made.parent.parent):
        assert directory.stat().st_mode & 0o777 == 0o700
    assert state.make_run(str(tmp_path / "deep" / "er" / "s"), "R2")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SurroundingsError, match=r"cannot write .*/file/\.stagebook: Not a directory"):
        state.make_run(str(tmp_path / "file" / ".stagebook"), "R")


def test_a_read_only_file_system_is_named() -> None:
    with pytest.raises(SurroundingsError, match=r"cannot write /proc/self/\.stagebook: (No such file|Read-only|Perm)"):
        state.make_run("/proc/self/.stagebook", "R")


@given(ANY_TEXT, ANY_TEXT)
def test_log_names_differ_and_are_short_and_plain(one: str, other: str) -> None:
    names = [state.log_name(stage, 999_999) for stage in (one, other)]
    assert (names[0] == names[1]) == (one == other)
    for name in names:
        assert len(name) <= 120
        assert name.isascii()
        assert "/" not in name
        assert not name.startswith(".")


def test_log_names_of_long_ids_that_differ_only_at_the_end_differ() -> None:
    names = {state.log_name("x" * 500 + str(number), 1) for number in range(1000)}
    assert len(names) == 1000
    assert max(map(len, names)) <= 120


def test_no_stage_can_be_named_as_the_cut_name_of_another() -> None:
    stem = state.log_stem("x" * 500)
    assert state.log_stem(stem) != stem


def test_log_names_can_be_read() -> None:
    assert state.log_name("unit[python=3.11]", 2) == "unit%5Bpython=3.11%5D.2.log"
    assert state.log_name("..", 1) == "%2E..1.log"
    assert state.log_name("a/b c", 1) == "a%2Fb%20c.1.log"


def test_a_log_can_really_be_made_under_any_name(tmp_path: Path) -> None:
    for stage in ("\udc80", "a\0b", "ü" * 300, "growth", "-rf", "CON"):
        path = tmp_path / state.log_name(stage, 1)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        assert path.parent == tmp_path and path.is_file()
