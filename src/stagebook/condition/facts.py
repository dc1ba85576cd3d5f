"""What conditions may know about the place of a run: parameters, environment, branch, event, commit, changed files.

Gathered once, before the run begins, and only what the pipeline asks for. Where git cannot say something it is empty,
and `note` says why. Evaluates nothing.
"""

from __future__ import annotations

import os

from stagebook.condition.git import Answer, Git, Silent
from stagebook.model.problem import InputError
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Mapping

    from stagebook.model.pipeline import Pipeline

#: Limits of what is read; beyond them the list or text is cut, and that is said.
FILES_MAX = 10_000
MESSAGE_MAX = 64 * 1024
LISTED_MAX = 64 * 2**20

#: What can be asked of git: `wanted` says which of these a pipeline speaks of.
BRANCH, COMMIT, FILES, CHANGED = "branch", "commit", "files", "changed"
EVERYTHING = frozenset((BRANCH, COMMIT, FILES, CHANGED))

_DEFAULT_BRANCHES = ("refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/remotes/origin/master",
                     "refs/heads/main", "refs/heads/master")  # fmt: skip


class Facts(NamedTuple):
    """Paths are relative to the pipeline's folder. `note` says why git said nothing, or what was cut."""

    params: Mapping[str, str] = {}
    env: Mapping[str, str] = {}
    branch: str = ""
    event: str = "manual"
    message: str = ""
    sha: str = ""
    files: tuple[str, ...] = ()
    note: str | None = None
    changed: tuple[str, ...] | None = None  #: changed since `base`; None: git cannot say, `unsaid` tells why
    base: str = ""  #: in words: a revision as the user would write it
    unsaid: str | None = None


def wanted(pipeline: Pipeline) -> frozenset[str]:
    """Which of BRANCH, COMMIT, FILES and CHANGED the conditions of a pipeline speak of."""
    from stagebook.condition.expression import compiler_of

    compiler = compiler_of(pipeline)
    found = {CHANGED} if any(stage.changed for stage in pipeline.stages) else set()
    compiled = [compiler.compile(stage.when) for stage in pipeline.stages if stage.when is not None]
    compiled += [compiler.compile(rule.when, is_early=True) for rule in pipeline.policies if rule.when is not None]
    for root, *rest in (atom for each in compiled for atom in each.atoms):
        if root == "branch" or (root == "commit" and rest[:1] in ([], ["branch"])):
            found.add(BRANCH)
        if root == "commit" and rest[:1] != ["branch"]:
            found.update((FILES, COMMIT) if not rest else (FILES,) if rest[0] == "files" else (COMMIT,))
    return frozenset(found)


def needs_git(pipeline: Pipeline) -> bool:
    return bool(wanted(pipeline))


def gather(
    folder: str,
    params: Mapping[str, str],
    environ: Mapping[str, str],
    base: str | None = None,
    want: Collection[str] = EVERYTHING,
) -> Facts:
    """Ask git and the environment. `folder` is that of the pipeline, `base` is `--base`.

    Raises InputError for a `--base` that the whole repository at hand does not know; all else is said in the facts.
    """
    facts = Facts(dict(params), dict(environ), event=_event(environ))
    if not want:
        return facts
    try:
        return _Asking(Git(folder, environ), facts, environ, base, want).answer()
    except Silent as why:
        branch = _branch_by_ci(environ) if BRANCH in want else ""
        return facts._replace(branch=branch, note=str(why), unsaid=str(why))


def _event(environ: Mapping[str, str]) -> str:
    for name in ("STAGEBOOK_EVENT", "GITHUB_EVENT_NAME", "CI_PIPELINE_SOURCE"):
        if environ.get(name):
            return environ[name]
    return "manual"


def _branch_by_ci(environ: Mapping[str, str]) -> str:
    """The branch as CI systems say it: of a pull request the branch that it comes from."""
    for name in ("GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH",
                 "CIRCLE_BRANCH", "CHANGE_BRANCH", "BRANCH_NAME"):  # fmt: skip
        if environ.get(name) and not (name == "GITHUB_REF_NAME" and environ.get("GITHUB_REF_TYPE") == "tag"):
            return environ[name]
    return ""


class _Unsaid(Exception):
    """Why git cannot say which files have changed."""


class _Asking:
    """One round of questions, in the order in which later ones make sense."""

    def __init__(
        self, git: Git, facts: Facts, environ: Mapping[str, str], base: str | None, want: Collection[str]
    ) -> None:
        self._git = git
        self._facts = facts
        self._environ = environ
        self._base = base
        self._want = want
        self._notes: list[str] = []
        self._is_bare = self._is_shallow = False
        self._prefix: list[str] = []
        self._named = ""  #: the branch that HEAD is on; empty where it is on none

    def answer(self) -> Facts:
        """Raises Silent, InputError."""
        self._where()
        facts = self._facts
        self._named = self._git.ask("symbolic-ref", "--quiet", "--short", "HEAD").line
        if BRANCH in self._want:
            facts = facts._replace(branch=self._named or _branch_by_ci(self._environ))
        sha = self._commit_of("HEAD")
        if sha is None:
            is_named = self._git.ask("rev-parse", "--verify", "--quiet", "HEAD").code == 0
            damage = "the repository is damaged: it lacks the commit that HEAD names"
            why = f"git: {damage if is_named else 'there is no commit yet'}"
            return facts._replace(note=why, unsaid=why)
        facts = facts._replace(sha=sha)
        if COMMIT in self._want:
            facts = facts._replace(message=self._message())
        if FILES in self._want:
            facts = facts._replace(files=self._files_of_commit())
        if CHANGED in self._want:
            facts = self._changed(facts)
        return facts._replace(note="; ".join(self._notes) or None)

    def _where(self) -> None:
        """Is there a repository, and of what kind? Raises Silent where there is none that talks."""
        said = self._git.ask("rev-parse", "--is-bare-repository", "--is-inside-work-tree", "--is-shallow-repository")
        if said.code != 0:
            raise Silent(_refusal(said))
        bare, inside, shallow = [*said.line.split("\n"), "", "", ""][:3]
        self._is_bare = bare == "true" or inside != "true"
        self._is_shallow = shallow == "true"
        if not self._is_bare:
            prefix = self._git.ask("rev-parse", "--show-prefix").out.removesuffix(b"\n")
            self._prefix = [part for part in os.fsdecode(prefix).split("/") if part]

    def _commit_of(self, revision: str) -> str | None:
        said = self._git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
        return said.line if said.code == 0 and said.line else None

    def _message(self) -> str:
        said = self._git.ask("log", "-1", "--format=%B", "--encoding=UTF-8", "HEAD", most=MESSAGE_MAX)
        if said.is_cut:
            self._notes.append(f"the commit message is cut at {MESSAGE_MAX} bytes")
        return said.out.decode("utf-8", "replace").rstrip("\n")

    def _files_of_commit(self) -> tuple[str, ...]:
        """Files that HEAD changed against its first parent, or that changed since it left `--base`."""
        start: str | None
        if self._base is not None:
            try:
                start = self._since(self._base)
            except _Unsaid as why:
                self._notes.append(f"{why}, so commit.files is empty")
                return ()
        else:
            start = self._commit_of("HEAD^1")
        if start is None and self._is_shallow:
            self._notes.append("git: the clone is shallow and lacks the commit before, so commit.files is empty")
            return ()
        files, is_cut = self._listed("diff-tree", "-r", start or self._nothing(), "HEAD")
        if is_cut or len(files) > FILES_MAX:
            self._notes.append(f"commit.files is cut at {FILES_MAX} files")
        return tuple(files[:FILES_MAX])

    def _since(self, revision: str) -> str:
        """The commit at which HEAD left `revision`. Raises _Unsaid, InputError."""
        commit = self._commit_of(revision)
        if commit is None:
            if self._is_shallow:
                raise _Unsaid(f"git: the clone is shallow and lacks {revision}")
            raise InputError(f"--base {revision}: git knows no such revision here")
        said = self._git.ask("merge-base", commit, "HEAD")
        if said.code != 0 or not said.line:
            if self._is_shallow:
                raise _Unsaid(f"git: the clone is shallow and does not reach the commit at which it left {revision}")
            return commit  # no history in common: all that is different counts
        return said.line

    def _changed(self, facts: Facts) -> Facts:
        if self._is_bare:
            return facts._replace(unsaid="git: the repository is bare, so there are no files to compare")
        try:
            start, words = self._start()
            facts = facts._replace(base=words)
            self._git = self._git.without_filters()
            quiet = ("diff", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty")  # nothing is run for it
            against_tree, too_many = self._listed(*quiet, start)
            staged, more = self._listed(*quiet, "--cached", start)
            new, yet_more = self._untracked()
        except _Unsaid as why:
            return facts._replace(unsaid=str(why))
        if too_many or more or yet_more:
            return facts._replace(unsaid=f"git: the list of changed files is longer than {LISTED_MAX >> 20} MiB")
        return facts._replace(changed=tuple(dict.fromkeys(against_tree + staged + new)))

    def _start(self) -> tuple[str, str]:
        """The commit that changes count from, and what to call it."""
        if self._base is not None:
            return self._since(self._base), self._base
        default = self._default_branch()
        if default is not None:
            name = default.removeprefix("refs/heads/").removeprefix("refs/remotes/")
            start = self._since(default)
            is_on_it = (
                self._named == name.removeprefix("origin/") or not self._named and start == self._commit_of("HEAD")
            )
            if not is_on_it:
                return start, name
        before = self._commit_of("HEAD^1")
        if before is not None:
            return before, "HEAD~1"
        if self._is_shallow:
            raise _Unsaid("git: the clone is shallow and lacks the commit before; fetch more of it, or say --base")
        return self._nothing(), "the beginning"

    def _default_branch(self) -> str | None:
        said = self._git.ask("for-each-ref", "--format=%(refname) %(symref)", *_DEFAULT_BRANCHES)
        there = dict(line.partition(" ")[::2] for line in said.line.split("\n") if line)
        for name in _DEFAULT_BRANCHES:
            if name in there:
                return there[name].strip() or name
        return None

    def _nothing(self) -> str:
        """The tree without files."""
        return self._git.ask("hash-object", "-t", "tree", "/dev/null").line

    def _listed(self, command: str, *words: str) -> tuple[list[str], bool]:
        """The paths that a diff names, and whether there are more than can be read. Raises Silent."""
        return self._paths(self._git.ask(command, "--name-only", "-z", "--no-renames", *words, "--", most=LISTED_MAX))

    def _untracked(self) -> tuple[list[str], bool]:
        top = self._git.ask("rev-parse", "--show-cdup").line
        words = ("ls-files", "--others", "--exclude-standard", "-z", "--full-name")
        return self._paths(self._git.ask(*words, "--", *([top] if top else []), most=LISTED_MAX))

    def _paths(self, said: Answer) -> tuple[list[str], bool]:
        if said.code != 0:
            raise Silent(_refusal(said))
        names = os.fsdecode(said.out).split("\0")
        return [self._seen_from_here(name) for name in names[:-1]], said.is_cut

    def _seen_from_here(self, path: str) -> str:
        """A path from the top of the work tree as one from the pipeline's folder."""
        if not self._prefix:
            return path
        parts, same = path.split("/"), 0
        while same < len(self._prefix) and same < len(parts) - 1 and parts[same] == self._prefix[same]:
            same += 1
        return "/".join([".."] * (len(self._prefix) - same) + parts[same:])


def _refusal(said: Answer) -> str:
    """What git complained about, in one line."""
    if "not a git repository" in said.error:
        return "this is not a git repository"
    if "dubious ownership" in said.error:
        return (
            "git: the repository belongs to another user, so git does not read it (see safe.directory in git's manual)"
        )
    first = next((line for line in said.error.split("\n") if line), f"exit {said.code}")
    return f"git: {first.removeprefix('fatal: ')[:200]}"
