"""What git says in real repositories of every kind, and what is said where it does not."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Mapping

import pytest
from tests.condition.reading import pipeline

from stagebook.condition import facts as facts_of
from stagebook.condition import git as git_of
from stagebook.condition.facts import BRANCH, CHANGED, COMMIT, FILES, Facts, gather, needs_git, wanted
from stagebook.model.problem import InputError

CLEAN = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
AUTHOR = {f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Repository:
    """A git repository of a test's own."""

    def __init__(self, folder: Path, branch: str = "main") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch", branch)

    def git(self, *words: str, cwd: Path | None = None) -> str:
        return subprocess.run(
            ["git", *words], cwd=cwd or self.folder, env={**CLEAN, **AUTHOR}, check=True, capture_output=True, text=True
        ).stdout.strip()

    def write(self, name: str, text: str = "x\n") -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self, message: str, *names: str) -> str:
        for name in names:
            self.write(name, f"{message}\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def facts(self, base: str | None = None, under: str = "", environ: Mapping[str, str] | None = None) -> Facts:
        return gather(str(self.folder / under), {}, {**CLEAN, **(environ or {})}, base)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Three commits on main; the last changes `docs/a.md` and deletes `old`."""
    made = Repository(tmp_path / "work")
    made.commit("first", "src/x.py", "old")
    made.commit("second", "src/y.py")
    (made.folder / "old").unlink()
    made.commit("third\n\nwith more [skip tests]\n", "docs/a.md")
    return made


def test_branch_and_commit(repository: Repository) -> None:
    facts = repository.facts()
    assert (facts.branch, facts.event, facts.note) == ("main", "manual", None)
    assert facts.message == "third\n\nwith more [skip tests]"
    assert facts.sha == repository.git("rev-parse", "HEAD")
    assert sorted(facts.files) == ["docs/a.md", "old"]


def test_on_the_default_branch_changes_count_from_the_commit_before(repository: Repository) -> None:
    facts = repository.facts()
    assert (facts.base, facts.unsaid) == ("HEAD~1", None)
    assert facts.changed is not None and sorted(facts.changed) == ["docs/a.md", "old"]


def test_on_a_branch_they_count_from_where_it_left_the_default_branch(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "dev")
    repository.commit("mine", "a", "b")
    repository.commit("mine again", "a")
    repository.git("switch", "--quiet", "main")
    repository.commit("theirs", "theirs")
    repository.git("switch", "--quiet", "dev")
    facts = repository.facts()
    assert (facts.branch, facts.base) == ("dev", "main")
    assert facts.changed is not None and sorted(facts.changed) == ["a", "b"]
    assert facts.files == ("a",)
    assert sorted(repository.facts("main").files) == ["a", "b"]


def test_committed_staged_unstaged_and_new_files_count_but_not_ignored_ones(repository: Repository) -> None:
    repository.write(".gitignore", "ignored\n")
    repository.commit("ignore", ".gitignore")
    repository.write(".gitignore", "ignored\n")
    repository.write("staged")
    repository.git("add", "staged")
    repository.write("taken back")
    repository.git("add", "taken back")
    (repository.folder / "taken back").unlink()
    repository.write("src/x.py", "changed")
    for name in ("new/é \n.txt", "ignored"):
        repository.write(name)
    facts = repository.facts("HEAD")
    assert facts.changed is not None
    assert sorted(facts.changed) == [".gitignore", "new/é \n.txt", "src/x.py", "staged", "taken back"]


def test_a_rename_is_two_files(repository: Repository) -> None:
    repository.git("mv", "src/x.py", "lib.py")
    repository.commit("moved")
    assert sorted(repository.facts().files) == ["lib.py", "src/x.py"]


def test_paths_are_seen_from_the_pipelines_folder(repository: Repository) -> None:
    repository.write("docs/deep/new")
    facts = repository.facts("HEAD~2", under="docs")
    assert facts.changed is not None
    assert sorted(facts.changed) == ["../old", "../src/y.py", "a.md", "deep/new"]
    assert sorted(facts.files) == ["../old", "../src/y.py", "a.md"]


def test_a_merge_changes_what_it_brings_in(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "dev")
    repository.commit("mine", "mine")
    repository.git("switch", "--quiet", "main")
    repository.commit("theirs", "theirs")
    repository.git("merge", "--quiet", "--no-edit", "dev")
    assert repository.facts().files == ("mine",)


def test_everything_is_new_in_the_first_commit(tmp_path: Path) -> None:
    made = Repository(tmp_path / "work")
    made.commit("first", "a", "b")
    facts = made.facts()
    assert (facts.files, facts.changed, facts.base) == (("a", "b"), ("a", "b"), "the beginning")


def test_without_a_default_branch_the_commit_before_is_taken(tmp_path: Path) -> None:
    made = Repository(tmp_path / "work", "trunk")
    made.commit("first", "a")
    made.commit("second", "b")
    assert made.facts()[-3:] == (("b",), "HEAD~1", None)


def test_the_default_branch_of_a_clone_is_what_origin_says(repository: Repository, tmp_path: Path) -> None:
    repository.git("branch", "--move", "develop")
    repository.git("clone", "--quiet", str(repository.folder), str(tmp_path / "clone"))
    clone = Repository(tmp_path / "clone")
    clone.git("switch", "--quiet", "--create", "topic")
    clone.commit("mine", "mine")
    assert clone.facts()[-3:] == (("mine",), "origin/develop", None)


def test_before_the_first_commit(tmp_path: Path) -> None:
    facts = Repository(tmp_path / "work").facts()
    assert facts[2:] == ("main", "manual", "", "", (), "git: there is no commit yet", None, "", facts.note)


def test_a_repository_that_has_lost_its_objects(repository: Repository) -> None:
    for path in (repository.folder / ".git" / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    facts = repository.facts()
    assert facts.note == facts.unsaid == "git: the repository is damaged: it lacks the commit that HEAD names"
    assert (facts.branch, facts.changed) == ("main", None)


def test_outside_of_any_repository(tmp_path: Path) -> None:
    facts = gather(str(tmp_path), {}, CLEAN)
    assert (facts.branch, facts.sha, facts.files, facts.changed) == ("", "", (), None)
    assert facts.note == facts.unsaid == "this is not a git repository"


def test_without_git(tmp_path: Path) -> None:
    facts = gather(str(tmp_path), {}, {**CLEAN, "PATH": str(tmp_path), "CI_COMMIT_BRANCH": "dev"})
    assert (facts.note, facts.unsaid, facts.branch) == ("git is not installed", "git is not installed", "dev")


def test_a_bare_repository_has_commits_but_no_files_to_compare(repository: Repository, tmp_path: Path) -> None:
    repository.git("clone", "--quiet", "--bare", str(repository.folder), str(tmp_path / "bare"))
    facts = gather(str(tmp_path / "bare"), {}, CLEAN)
    assert (facts.branch, sorted(facts.files), facts.note) == ("main", ["docs/a.md", "old"], None)
    assert (facts.changed, facts.unsaid) == (None, "git: the repository is bare, so there are no files to compare")


def test_a_shallow_clone_says_what_it_lacks(repository: Repository, tmp_path: Path) -> None:
    repository.git("clone", "--quiet", "--depth", "1", f"file://{repository.folder}", str(tmp_path / "clone"))
    clone = Repository(tmp_path / "clone")
    facts = clone.facts()
    assert facts.message.startswith("third")
    assert (facts.files, facts.changed) == ((), None)
    assert facts.note == "git: the clone is shallow and lacks the commit before, so commit.files is empty"
    assert facts.unsaid == "git: the clone is shallow and lacks the commit before; fetch more of it, or say --base"
    first = repository.git("rev-parse", "HEAD~2")
    facts = clone.facts(first)
    assert facts.note == f"git: the clone is shallow and lacks {first}, so commit.files is empty"
    assert facts.unsaid == f"git: the clone is shallow and lacks {first}"


def test_a_shallow_clone_that_does_not_reach_the_fork(repository: Repository, tmp_path: Path) -> None:
    repository.git("switch", "--quiet", "--create", "dev")
    repository.commit("mine", "mine")
    repository.git("switch", "--quiet", "main")
    repository.commit("theirs", "theirs")
    where = ("--depth", "1", "--no-single-branch", "--branch", "dev", f"file://{repository.folder}")
    repository.git("clone", "--quiet", *where, str(tmp_path / "clone"))
    facts = Repository(tmp_path / "clone").facts("origin/main")
    assert facts.unsaid == "git: the clone is shallow and does not reach the commit at which it left origin/main"


@pytest.mark.parametrize("base", ["nowhere", "--output=/tmp/x", "-h", "HEAD~99", "main:docs", ""])
def test_a_base_that_git_does_not_know_is_the_users_mistake(repository: Repository, base: str) -> None:
    with pytest.raises(InputError, match=r"^--base .*: git knows no such revision here$"):
        repository.facts(base)


def test_a_repository_of_somebody_else_is_left_alone(repository: Repository) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    for path in (repository.folder, repository.folder / ".git"):
        os.chown(path, 65534, 65534)
    facts = repository.facts()
    assert facts.note is not None and facts.note == facts.unsaid
    assert facts.note.startswith("git: the repository belongs to another user, so git does not read it")
    assert (facts.branch, facts.changed) == ("", None)


@pytest.mark.parametrize(
    ("environ", "branch"),
    [
        ({}, ""),
        ({"GITHUB_REF_NAME": "dev", "GITHUB_REF_TYPE": "branch"}, "dev"),
        ({"GITHUB_REF_NAME": "5/merge", "GITHUB_HEAD_REF": "topic"}, "topic"),
        ({"GITHUB_REF_NAME": "v1", "GITHUB_REF_TYPE": "tag"}, ""),
        ({"CI_COMMIT_BRANCH": "dev"}, "dev"),
        ({"CIRCLE_BRANCH": "dev"}, "dev"),
        ({"BRANCH_NAME": "PR-7", "CHANGE_BRANCH": "topic"}, "topic"),
        ({"BRANCH_NAME": "dev"}, "dev"),
    ],
)
def test_a_detached_head_asks_the_ci_system(
    repository: Repository, environ: dict[str, str], branch: str
) -> None:  # fmt: skip
    assert repository.facts(environ=environ).branch == "main"
    repository.git("checkout", "--quiet", "--detach")
    facts = repository.facts(environ=environ)
    assert facts.branch == branch
    assert facts.base == "HEAD~1", "a commit of the default branch is compared with the one before"


@pytest.mark.parametrize(
    ("environ", "event"),
    [
        ({"STAGEBOOK_EVENT": "nightly", "GITHUB_EVENT_NAME": "push"}, "nightly"),
        ({"GITHUB_EVENT_NAME": "pull_request"}, "pull_request"),
        ({"CI_PIPELINE_SOURCE": "schedule"}, "schedule"),
        ({}, "manual"),
    ],
)
def test_the_event(tmp_path: Path, environ: dict[str, str], event: str) -> None:
    assert gather(str(tmp_path), {"a": "b"}, environ, want=()) == Facts({"a": "b"}, environ, event=event)


def test_nothing_of_a_repository_is_run(repository: Repository, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f'#!/bin/sh\ntouch "{ran}"\ncat\n')
    script.chmod(0o755)
    hooks = repository.folder / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-checkout", "post-index-change", "fsmonitor-watchman", "reference-transaction"):
        (hooks / hook).write_text(script.read_text())
        (hooks / hook).chmod(0o755)
    for name in ("core.fsmonitor", "core.pager", "diff.external", "diff.x.textconv", "diff.x.command", "core.editor"):
        repository.git("config", name, str(script))
    repository.write(".gitattributes", "* diff=x\n")
    repository.write("src/x.py", "other")
    index = (repository.folder / ".git" / "index").stat()
    facts = repository.facts("HEAD~1")
    assert facts.changed is not None and "src/x.py" in facts.changed
    assert not ran.exists()
    assert (repository.folder / ".git" / "index").stat().st_mtime_ns == index.st_mtime_ns, "the index is not written"


@pytest.mark.parametrize("driver", ["evil", "a=b.c"])
@pytest.mark.parametrize("kind", ["clean", "process"])
@pytest.mark.parametrize("is_racy", [False, True])
def test_no_filter_of_a_repository_is_run(
    repository: Repository, tmp_path: Path, driver: str, kind: str, is_racy: bool
) -> None:
    """Whether the file's time differs from that in the index, or is too close to the index's own to tell."""
    ran = tmp_path / "ran"
    repository.write(".git/info/attributes", f"*.py filter={driver}\n")
    repository.git("config", f"filter.{driver}.{kind}", f'touch "{ran}"; cat')
    repository.git("config", f"filter.{driver}.required", "true")
    later = time.time_ns() + 10**12
    index = repository.folder / ".git" / "index"
    if is_racy:
        stat = (repository.folder / "src/x.py").stat()
        os.utime(index, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    else:
        os.utime(repository.folder / "src/x.py", ns=(later, later))
    facts = repository.facts("HEAD")
    assert (facts.changed, facts.unsaid) == ((), None), "what is the same without its filter is no change"
    assert not ran.exists()
    repository.write("src/x.py", "other")
    assert repository.facts("HEAD").changed == ("src/x.py",)
    assert not ran.exists()


def test_nothing_of_a_submodule_is_run(repository: Repository, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    below = Repository(repository.folder / "below")
    below.commit("first", "a.txt")
    repository.git("add", "below")
    repository.commit("with a submodule")
    below.write(".git/info/attributes", "*.txt filter=evil diff=evil\n")
    for name in ("filter.evil.clean", "diff.evil.textconv", "diff.evil.command", "core.fsmonitor", "diff.external"):
        below.git("config", name, f'touch "{ran}"; cat')
    os.utime(below.folder / "a.txt", (1, 1))
    repository.git("config", "diff.submodule", "log")
    repository.git("config", "submodule.recurse", "true")
    assert repository.facts("HEAD").changed == ()
    assert not ran.exists()


def test_variables_of_a_hook_do_not_lead_to_another_repository(repository: Repository, tmp_path: Path) -> None:
    other = Repository(tmp_path / "other")
    other.commit("other", "other")
    environ = {"GIT_DIR": str(other.folder / ".git"), "GIT_INDEX_FILE": "/dev/null", "GIT_WORK_TREE": "/"}
    assert repository.facts(environ=environ) == repository.facts()._replace(env={**CLEAN, **environ})


def test_a_huge_commit_is_cut_and_that_is_said(tmp_path: Path) -> None:
    made = Repository(tmp_path / "work")
    made.commit("first", "a")
    folder = made.folder / "many"
    folder.mkdir()
    for number in range(facts_of.FILES_MAX + 500):
        (folder / f"{number}").touch()
    made.commit("x" * (facts_of.MESSAGE_MAX + 100))
    began = time.monotonic()
    facts = made.facts()
    assert time.monotonic() - began < 20
    assert len(facts.files) == facts_of.FILES_MAX
    assert len(facts.message) == facts_of.MESSAGE_MAX
    assert facts.note == "the commit message is cut at 65536 bytes; commit.files is cut at 10000 files"
    assert facts.changed is not None and len(facts.changed) == facts_of.FILES_MAX + 500


@pytest.mark.parametrize("before", ["", "exec >&- 2>&-"], ids=["silent", "closed"])
def test_a_git_that_does_not_answer_is_ended_in_time_and_asked_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:  # fmt: skip
    """The program starts a child, which may hold its output open; both have to go."""
    monkeypatch.setattr(git_of, "TIMEOUT_S", 0.3)
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n{before}\necho >> "{tmp_path}/asked"\nsleep 973\n')
    program.chmod(0o755)
    began = time.monotonic()
    facts = gather(str(tmp_path), {}, {"PATH": f"{program.parent}:{CLEAN['PATH']}"})
    assert time.monotonic() - began < 10
    assert facts.note == facts.unsaid == "git took longer than 0.3 s"
    assert (tmp_path / "asked").read_text() == "\n"
    left = subprocess.run(["pgrep", "-f", "sleep 973"], stdout=subprocess.PIPE, text=True, check=False).stdout
    assert left == ""


def test_a_git_that_says_too_much_is_ended(tmp_path: Path) -> None:
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\nexec yes\n")
    program.chmod(0o755)
    said = git_of.Git(str(tmp_path), {"PATH": f"{tmp_path}:{CLEAN['PATH']}"}).ask("log", most=1000)
    assert (len(said.out), said.is_cut, said.code) == (1000, True, 0)


def test_a_git_that_complains_is_quoted_in_one_line(tmp_path: Path) -> None:
    made = Repository(tmp_path / "work")
    (made.folder / ".git" / "config").write_text("[core\n")
    facts = made.facts()
    assert facts.note == "git: bad config line 1 in file .git/config"


@pytest.mark.parametrize(
    ("keys", "asked"),
    [
        ("", set()),
        ("when: params.p == env.X", set()),
        ("when: event == 'push'", set()),
        ("when: branch == 'x'", {BRANCH}),
        ("when: commit.branch == 'x'", {BRANCH}),
        ("when: commit.message == 'x'", {COMMIT}),
        ("when: commit.files.size() > 1", {FILES}),
        ("when: \"'sha' in commit\"", {BRANCH, COMMIT, FILES}),
        ("changed: x", {CHANGED}),
        ("when: nonsense &&", set()),
    ],
)
def test_git_is_asked_only_what_the_pipeline_speaks_of(keys: str, asked: set[str]) -> None:
    made = pipeline(f"params: {{p: {{default: x}}}}\nstages: {{a: {{run: x, {keys}}}}}\n")
    assert wanted(made) == asked
    assert needs_git(made) is bool(asked)


def test_rules_of_a_policy_ask_too() -> None:
    assert wanted(pipeline("policy: [{when: branch == 'x', use: strict}]\nstages: {a: x}\n")) == {BRANCH}
