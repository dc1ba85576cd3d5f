"""Tells the tools inside a stage how many cores it reserves: counts in variables, and a jobserver for GNU make.

A jobserver is a FIFO with a token for each core but one; make, and who else speaks its protocol, takes a token before
each further job. It belongs to one attempt, so tokens that a dead make never gave back are missed by nobody. The engine
holds it open until the attempt's process is gone. Knows nothing of how a process is started.
"""

from __future__ import annotations

import os
import re
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

#: Set where they are not set already. Each is a bound for what would else take every core of the machine; variables
#: that make something parallel which was not (`CTEST_PARALLEL_LEVEL`) are left alone.
COUNTS = (
    b"OMP_NUM_THREADS",  # OpenMP, BLAS, NumExpr; and what `nproc` prints
    b"CMAKE_BUILD_PARALLEL_LEVEL",
    b"CARGO_BUILD_JOBS",
    b"RAYON_NUM_THREADS",
    b"GOMAXPROCS",
    b"PYTHON_CPU_COUNT",  # from Python 3.13 on
    b"PYTEST_XDIST_AUTO_NUM_WORKERS",
)

TOKENS_MAX = 4096  #: what a FIFO takes at least without anybody reading

#: In the program file of every GNU make that knows a FIFO (4.4 and later), as the name of an option; an older one
#: refuses to work when it is handed one.
KNOWS_FIFO = b"jobserver-style"

#: Paths that mean the same to make, to the make below it, and to whoever else reads MAKEFLAGS.
_PLAIN_PATH = re.compile(rb"[A-Za-z0-9_./+,@%=:~-]+")

_known: dict[tuple[bytes, int, int], bool] = {}  #: make's program file, its time and size: whether it knows a FIFO

_MAKES = ("make", "gmake")
_BARE = re.compile(r"-[BbdeikLmnpqrRsStvw]*j|--jobs")  #: make's option without its number, maybe behind others
_BARE_IN_TEXT = re.compile(rf"\bg?make\b.*(?<!\S)(?:{_BARE.pattern})(?![^\s;|&)])", re.DOTALL)
_SHELLS = (("/bin/sh", "-e", "-c"), ("bash", "-e", "-o", "pipefail", "-c"))

#: `make` and `gmake` for a shell, with a bare -j left out: `bounded` in POSIX words. On one line, so that the shell's
#: messages keep the user's line numbers.
_FUNCTIONS = (
    "_stagebook_make() { _stagebook_p=$1; shift; _stagebook_n=$#;"
    " while [ $_stagebook_n -gt 0 ]; do _stagebook_a=$1; shift; _stagebook_n=$((_stagebook_n - 1));"
    ' case $_stagebook_a in -j|--jobs) ;; -*[!BbdeikLmnpqrRsStvwj]*) set -- "$@" "$_stagebook_a"; continue;;'
    ' -*j) ;; *) set -- "$@" "$_stagebook_a"; continue;; esac;'
    ' if [ $_stagebook_n -gt 0 ]; then case $1 in [0-9]*) set -- "$@" "$_stagebook_a"; continue;; esac; fi;'
    ' case $_stagebook_a in -j|--jobs) ;; *) set -- "$@" "${_stagebook_a%j}";; esac; done;'
    ' command "$_stagebook_p" "$@"; };'
    ' make() { _stagebook_make make "$@"; }; gmake() { _stagebook_make gmake "$@"; }; '
)


def cores(cpu_milli: int) -> int:
    """Whole cores of a reservation: rounded down, at least 1."""
    return max(1, cpu_milli // 1000)


def counts(count: int, env: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """The variables that tell a stage its number of cores; those that `env` has already are left out."""
    number = b"%d" % count
    found = {name: number for name in COUNTS if name not in env}
    found[b"STAGEBOOK_CPUS"] = number
    return found


class Jobserver:
    """A jobserver that is open. `words` is what MAKEFLAGS says of it, `passed` the descriptors that a stage's process
    must have under the same numbers."""

    def __init__(self, path: bytes, count: int, is_fifo_known: bool) -> None:
        """Raises OSError where there cannot be a FIFO."""
        self._path = path
        try:
            os.unlink(path)  # that of an engine that died
        except FileNotFoundError:
            pass
        os.mkfifo(path, 0o600)
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # also for writing, so that it neither blocks nor ends
        os.write(fd, b"+" * min(count - 1, TOKENS_MAX))
        self._held = [fd]
        self.passed: tuple[int, ...] = ()
        if not is_fifo_known:
            self._held.append(os.dup(fd))
            self.passed = tuple(self._held)
            self.words = b"--jobserver-auth=%d,%d" % self.passed
        elif _PLAIN_PATH.fullmatch(path):
            self.words = b"--jobserver-auth=fifo:" + path
        else:
            self.words = b"--jobserver-auth=fifo:/proc/%d/fd/%d" % (os.getpid(), fd)

    def close(self) -> None:
        for fd in self._held:
            os.close(fd)
        try:
            os.unlink(self._path)
        except OSError:
            pass


class Jobservers:
    """The jobservers of one run: each is closed once the process that it was opened for is gone."""

    def __init__(self, folder: bytes) -> None:
        self._folder = folder
        self._open: list[tuple[int, Jobserver]] = []  #: with the pid of the attempt

    def open(self, index: int, attempt: int, count: int, make: bytes | None) -> Jobserver | None:
        """A jobserver for one attempt of a stage, `make` being the program that the stage would find under that name.
        None where one core is reserved, or where the system has none to give."""
        self._close_ended()
        if count < 2:
            return None
        try:
            return Jobserver(b"%b/%d.%d.jobs" % (self._folder, index, attempt), count, _knows_fifo(make))
        except OSError:
            return None

    def keep(self, server: Jobserver, pid: int) -> None:
        """Hold it for as long as `pid`, a child of ours, is not reaped."""
        self._open.append((pid, server))

    def close(self) -> None:
        for _, server in self._open:
            server.close()
        self._open = []

    def _close_ended(self) -> None:
        for pid, server in self._open:
            if not _is_child(pid):
                server.close()
        self._open = [each for each in self._open if _is_child(each[0])]


def flags(given: bytes, count: int, server: Jobserver | None) -> bytes:
    """MAKEFLAGS for a stage with so many cores: what `given` says of jobs is replaced, all else in it stays."""
    options, dashes, variables = _split(given)
    words = _without_jobs(options)
    if count > 1:
        words.append(b"-j%d" % count)
    if server is not None:
        words.append(server.words)
    text = b" ".join(words)
    # The first word is a bundle of single letters unless it begins with a dash, or a blank stands before it.
    if text.startswith(b"-"):
        text = b" " + text
    return text + dashes + variables


def inherited_flags(given: bytes) -> bytes:
    """MAKEFLAGS that we were started with, for stages that reserve no cores: a jobserver that is out of reach for them
    is left out, as every make would complain of it."""
    if b"--jobserver-" not in given or any(_is_alive(word) for word in _split(given)[0]):
        return given
    return flags(given, 1, None)


def bounded(argv: tuple[str, ...]) -> tuple[str, ...]:
    """A command with no bare `-j` for make: "as many as there are" makes it leave its jobserver, and "as many as it
    reserves" is meant. Where a shell runs the command, the shell gets functions that see to it."""
    for shell in _SHELLS:
        if argv[:-1] == shell and _BARE_IN_TEXT.search(argv[-1]):
            return (*shell, _FUNCTIONS + argv[-1])
    if argv[0].rpartition("/")[2] not in _MAKES:
        return argv
    kept = [argv[0]]
    for at, word in enumerate(argv[1:], 1):
        is_numbered = at + 1 < len(argv) and argv[at + 1][:1].isdigit()
        if not _BARE.fullmatch(word) or is_numbered:
            kept.append(word)
        elif word not in ("-j", "--jobs"):
            kept.append(word[:-1])
    return tuple(kept)


def _split(given: bytes) -> tuple[list[bytes], bytes, bytes]:
    """The words of MAKEFLAGS before the variables, which stand behind ` -- `. Blanks within a word have a backslash."""
    options, dashes, variables = given.partition(b" -- ")
    return re.findall(rb"(?:\\.|\S)+", options), dashes, variables


def _without_jobs(words: list[bytes]) -> list[bytes]:
    kept: list[bytes] = []
    for at, word in enumerate(words):
        if re.fullmatch(rb"-j\d*|--jobs(=\d*)?|--jobserver-(auth|fds|style)=.*", word, re.DOTALL):
            continue
        if word.isdigit() and words[at - 1] in (b"-j", b"--jobs"):
            continue
        kept.append(re.sub(rb"j\d*$", b"", word) if at == 0 and word.isalnum() else word)
    return [word for word in kept if word]


def _is_alive(word: bytes) -> bool:
    """Whether a jobserver that we were handed can be used by our stages too."""
    _, is_auth, where = word.partition(b"--jobserver-auth=")
    if not is_auth:
        return False
    try:
        if where.startswith(b"fifo:"):
            os.close(os.open(where[5:], os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            return stat.S_ISFIFO(os.stat(where[5:]).st_mode)
        ends = [int(end) for end in where.split(b",")]
        # Descriptors of our own with the same number are closed in whatever we start.
        return all(stat.S_ISFIFO(os.fstat(end).st_mode) and os.get_inheritable(end) for end in ends)
    except (OSError, ValueError):
        return False


def _knows_fifo(make: bytes | None) -> bool:
    """Where there is no make, somebody else may speak the protocol, and those that do know a FIFO."""
    if make is None:
        return True
    try:
        status = os.stat(make)
        key = (make, status.st_mtime_ns, status.st_size)
        if key not in _known:
            with open(make, "rb") as file:
                _known[key] = KNOWS_FIFO in file.read()
        return _known[key]
    except OSError:
        return False


def _is_child(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
