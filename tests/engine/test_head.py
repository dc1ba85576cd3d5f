"""Which commit a work tree stands at, read from git's files: what git itself says, in every form that they come in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from stagebook.engine.head import Head, head


class Tree:
    """A git work tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        command = ["git", "-C", str(self.folder), "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self) -> str:
        self.git("commit", "-q", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


def test_before_the_first_commit_and_after_it(tree: Tree) -> None:
    assert head(str(tree.folder)) == Head(None, "main")
    sha = tree.commit()
    assert head(str(tree.folder)) == Head(sha, "main")
    below = tree.folder / "a" / "b"
    below.mkdir(parents=True)
    assert head(str(below)) == Head(sha, "main")


def test_refs_that_are_packed(tree: Tree) -> None:
    tree.commit()
    tree.git("branch", "other/mainline")
    sha = tree.commit()
    tree.git("pack-refs", "--all")
    assert not (tree.folder / ".git" / "refs" / "heads" / "main").exists()
    assert head(str(tree.folder)) == Head(sha, "main")


def test_no_branch_is_checked_out(tree: Tree) -> None:
    first = tree.commit()
    tree.commit()
    tree.git("checkout", "-q", "--detach", first)
    assert head(str(tree.folder)) == Head(first, None)


def test_a_work_tree_beside_the_first_one(tree: Tree, tmp_path: Path) -> None:
    sha = tree.commit()
    tree.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    assert head(str(tmp_path / "side")) == Head(sha, "side")
    tree.git("pack-refs", "--all")
    assert head(str(tmp_path / "side")) == Head(sha, "side")


def test_a_branch_may_be_called_anything(tree: Tree) -> None:
    sha = tree.commit()
    tree.git("checkout", "-q", "-b", "größe/ü")
    assert head(str(tree.folder)) == Head(sha, "größe/ü")


def test_without_git_nothing_is_known(tmp_path: Path) -> None:
    assert head(str(tmp_path)) in (Head(), head(str(tmp_path.parent)))


@pytest.mark.parametrize(
    "text", ["", "ref: ../../../etc/passwd", "ref: refs/heads/.invalid", "garbage", "ref:", "\0" * 9000]
)
def test_what_is_not_as_expected_is_unknown(text: str, tree: Tree) -> None:
    tree.commit()
    (tree.folder / ".git" / "HEAD").write_text(text)
    assert head(str(tree.folder)) == Head()


def test_what_never_answers_is_not_waited_for(tree: Tree) -> None:
    path = tree.folder / ".git" / "HEAD"
    path.unlink()
    os.mkfifo(path)
    assert head(str(tree.folder)) == Head()
    path.unlink()
    assert head(str(tree.folder)) == Head()


def test_refs_that_name_each_other_come_to_an_end(tree: Tree) -> None:
    tree.commit()
    (tree.folder / ".git" / "refs" / "heads" / "main").write_text("ref: refs/heads/other\n")
    (tree.folder / ".git" / "refs" / "heads" / "other").write_text("ref: refs/heads/main\n")
    assert head(str(tree.folder)) == Head(None, "main")


def test_a_git_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /nowhere/at/all\n")
    assert head(str(tmp_path)) == Head()
    (tmp_path / ".git").write_text("nothing")
    assert head(str(tmp_path)) == Head()
