"""Who is listed, out of files that may be anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.approval.people import People, groups_of, read
from stagebook.model.pipeline import Gate
from stagebook.model.problem import InputError

GATE = Gate(approvers=("ops", "zoe"), approvers_file="approvers.yaml")


def listed(folder: Path, text: str, mode: int = 0o644) -> People:
    path = folder / "approvers.yaml"
    path.write_text(text)
    path.chmod(mode)
    return read(GATE, str(folder))


def test_names_without_a_file_are_names_and_no_names_are_everybody(tmp_path: Path) -> None:
    assert read(Gate(approvers=("ann", "bob")), str(tmp_path)) == People(frozenset(["ann", "bob"]))
    assert read(Gate(), str(tmp_path)).may("anybody")


def test_groups_are_their_members_and_what_is_no_group_is_a_name(tmp_path: Path) -> None:
    people = listed(tmp_path, "ops: [ann, bob]\ndev: [eve]\n")
    assert people == People(frozenset(["ann", "bob", "zoe"]))
    assert people.may("ann")
    assert not people.may("ops"), "a group is nobody"


def test_who_has_left_the_list_counts_no_longer(tmp_path: Path) -> None:
    assert listed(tmp_path, "ops: [ann, bob]\n").may("bob")
    assert not listed(tmp_path, "ops: [ann]\n").may("bob")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("ops: [ann\n", 2, "not valid YAML"),
        ("- ann\n- bob\n", 1, "groups are a mapping"),
        ("dev: [eve]\nops: ann\n", 2, "`ops` must be a list of names"),
        ("ops: [ann, {bob: 1}]\n", 1, "`ops` must hold names"),
        ("ops: [ann]\nops: [eve]\n", 2, "given twice"),
        ("ops:\n  - ann\n  - dev\ndev: [eve]\n", 3, "`dev` in `ops` is a group itself"),
        ("ops: [!!python/name:os.system x]\n", 1, "tag"),
        ("ops: ['a\\nb', \"c\\nd\"]\n", 1, "must hold names"),
        ("", 1, "holds no"),
    ],
)
def test_a_damaged_list_lists_nobody_and_says_file_line_and_why(
    text: str, line: int, said: str, tmp_path: Path
) -> None:
    people = listed(tmp_path, text)
    assert people.trouble is not None
    assert people.trouble.startswith(f"nobody can approve: {tmp_path}/approvers.yaml:{line}: ")
    assert said in people.trouble
    assert not people.may("ann")
    assert not people.may("zoe"), "not even who is named in the pipeline"


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_list_that_others_may_write_lists_nobody(mode: int, tmp_path: Path) -> None:
    people = listed(tmp_path, "ops: [ann]\n", mode)
    assert not people.may("ann")
    assert people.trouble is not None
    assert "can be written by others; chmod go-w" in people.trouble


def test_a_list_that_is_gone_a_link_a_folder_or_a_pipe_lists_nobody(tmp_path: Path) -> None:
    path = tmp_path / "approvers.yaml"
    for make, said in (
        (lambda: None, "cannot be read: No such file"),
        (lambda: (tmp_path / "real").write_text("ops: [ann]\n") and path.symlink_to("real"), "is a link"),
        (path.mkdir, "is no regular file"),
        (lambda: os.mkfifo(path), "is no regular file"),
    ):
        make()
        people = read(GATE, str(tmp_path))
        assert not people.may("ann")
        assert said in str(people.trouble)
        if path.is_symlink() or path.exists():
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_empty_groups_say_so(tmp_path: Path) -> None:
    (tmp_path / "approvers.yaml").write_text("ops: []\n")
    people = read(Gate(approvers=("ops",), approvers_file="approvers.yaml"), str(tmp_path))
    assert "has no members" in str(people.trouble)


@given(st.binary(max_size=200) | st.text("ab:[]{},- \n'\"&*!<", max_size=60).map(str.encode))
def test_bytes_of_any_kind_are_groups_or_an_error_with_a_place(data: bytes) -> None:
    try:
        groups = groups_of(data, "approvers.yaml")
    except InputError as error:
        places = [problem.file for problem in error.problems]
        groups = {} if set(places) == {"approvers.yaml"} else {"": ("",)}
    assert all(isinstance(name, str) and name for names in groups.values() for name in names)
