"""Asks git, and nothing else does: one question a process, with a limit on time and on what it may say.

Nothing of a repository is run for it: no hooks, no file system monitor, no pager, no external diff, no filter. Nothing
is written, no lock is taken, nobody is asked for a password, nothing is fetched. A repository that git does not trust
stays so.
"""

from __future__ import annotations

import os
import select
import signal
from time import monotonic, sleep

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

TIMEOUT_S = 5.0
ERROR_MAX = 8192

_OPTIONS = (
    "--no-pager", "--no-optional-locks", "--literal-pathspecs",
    "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false",
    "-c", "log.showSignature=false", "-c", "submodule.recurse=false",
)  # fmt: skip
_SET = {
    "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_PAGER": "cat", "GIT_ASKPASS": "true",
    "SSH_ASKPASS": "true", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none",
}  # fmt: skip
#: Set by git for its hooks, they would point away from the repository that the pipeline lies in.
_UNSET = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_EXTERNAL_DIFF", "LANGUAGE",
)  # fmt: skip


class Silent(Exception):
    """Why git says nothing: it is not installed, took too long, or could not be started."""


class Answer(NamedTuple):
    """`is_cut`: there was more to read than asked for, and git was ended."""

    code: int
    out: bytes
    error: str
    is_cut: bool = False

    @property
    def line(self) -> str:
        return self.out.decode("utf-8", "replace").strip()


class Git:
    """Git as seen from one folder."""

    def __init__(self, folder: str, environ: Mapping[str, str]) -> None:
        self._folder = folder
        kept = {name: value for name, value in environ.items() if name not in _UNSET and "GIT_TRACE" not in name}
        self._environ = {**kept, **_SET}
        self._options: tuple[str, ...] = _OPTIONS

    def without_filters(self) -> Git:
        """The same, for questions that read files of the work tree: the filters that are configured run no program.

        A file is then compared as it lies there, so one that a filter would have made equal counts as different.
        No command of git leaves filters out by itself: where times are too close to tell, each of them reads the file.
        Raises Silent.
        """
        said = self.ask("config", "-z", "--name-only", "--get-regexp", r"^filter\..")
        if said.is_cut or said.code not in (0, 1):
            raise Silent("git: the filters that it has cannot be told")
        keys = [key for key in os.fsdecode(said.out).split("\0") if key.count(".") > 1]
        blank = Git(self._folder, {**self._environ, "STAGEBOOK_NOTHING": "", "STAGEBOOK_NO": "false"})
        for driver in dict.fromkeys(key.rpartition(".")[0] for key in keys):  # its name may have a `=`, so no `-c`
            blank._options += (
                f"--config-env={driver}.clean=STAGEBOOK_NOTHING", f"--config-env={driver}.process=STAGEBOOK_NOTHING",
                f"--config-env={driver}.required=STAGEBOOK_NO",
            )  # fmt: skip
        return blank

    def ask(self, *words: str, most: int = 1 << 20) -> Answer:
        """The answer to `git WORDS`, of which at most `most` bytes are read. Raises Silent."""
        program = _find(self._environ.get("PATH", os.defpath))
        out, their_out = os.pipe2(os.O_CLOEXEC)
        error, their_error = os.pipe2(os.O_CLOEXEC)
        try:
            pid = self._spawn(program, words, their_out, their_error)
        except BaseException:
            os.close(out)
            os.close(error)
            raise
        finally:
            os.close(their_out)
            os.close(their_error)
        deadline = monotonic() + TIMEOUT_S
        code = None
        try:
            said, is_cut = _gather({out: most, error: ERROR_MAX}, out, deadline)
            if not is_cut:
                code = _ended(pid, deadline)
        finally:
            os.close(out)
            os.close(error)
            if code is None:
                _kill(pid)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return Answer(0 if is_cut else code, said[out], said[error].decode("utf-8", "replace").strip(), is_cut)

    def _spawn(self, program: str, words: tuple[str, ...], out: int, error: int) -> int:
        argv = ("git", "-C", self._folder, *self._options, *words)
        actions = (
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, out, 1),
            (os.POSIX_SPAWN_DUP2, error, 2),
        )
        try:
            return os.posix_spawn(
                program, argv, self._environ, file_actions=actions, setpgroup=0, setsigdef=[signal.SIGPIPE]
            )
        except (OSError, ValueError) as trouble:
            raise Silent(f"git cannot be started: {getattr(trouble, 'strerror', None) or trouble}") from None


def _find(path: str) -> str:
    for folder in path.split(os.pathsep):
        program = os.path.join(folder or ".", "git")
        if os.access(program, os.X_OK) and not os.path.isdir(program):
            return program
    raise Silent("git is not installed")


def _gather(pipes: dict[int, int], first: int, deadline: float) -> tuple[dict[int, bytes], bool]:
    """What comes out of the pipes until they end, each up to its limit; whether `first` had more. Raises Silent."""
    said = {pipe: bytearray() for pipe in pipes}
    poll = select.poll()
    for pipe in pipes:
        poll.register(pipe, select.POLLIN)
    left = len(pipes)
    while left:
        rest = deadline - monotonic()
        if rest <= 0:
            raise _too_long()
        for pipe, _ in poll.poll(rest * 1000):
            data = os.read(pipe, 1 << 16)
            if not data:
                poll.unregister(pipe)
                left -= 1
                continue
            room = pipes[pipe] - len(said[pipe])
            said[pipe] += data[:room]
            if len(data) > room and pipe == first:
                return {each: bytes(text) for each, text in said.items()}, True
    return {each: bytes(text) for each, text in said.items()}, False


def _ended(pid: int, deadline: float) -> int:
    """The exit status of a process that says no more, which is not to say that it ends. Raises Silent."""
    pause_s = 0.0001
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if monotonic() >= deadline:
            raise _too_long()
        sleep(pause_s)
        pause_s = min(2 * pause_s, 0.01)


def _too_long() -> Silent:
    return Silent(f"git took longer than {TIMEOUT_S:g} s")


def _kill(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
