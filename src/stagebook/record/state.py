"""Where a run's files are: `.stagebook/`, its `runs/RUN/`, the journal, the logs. Makes directories, reads nothing.

.stagebook/runs/RUN/journal.jsonl     the record
.stagebook/runs/RUN/lock              held by the engine
.stagebook/runs/RUN/experiment        whose run it is, where an experiment made it
.stagebook/runs/RUN/logs/NAME.1.log   what attempt 1 of a stage printed
.stagebook/runs/RUN/logs/growth       when which log grew
"""

from __future__ import annotations

import errno
import os
import stat

from stagebook.model.problem import SurroundingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Mapping

NAME = ".stagebook"
VARIABLE = "STAGEBOOK_DIR"
NATIVE_FILE = "stagebook.yaml"
OF_EXPERIMENT = "experiment"
EXPERIMENT_VARIABLE = "STAGEBOOK_EXPERIMENT"  #: by which an experiment tells a run whose it is
LOG_STEM_MAX = 120 - len(".999999.log")
#: Of a state directory, all that things are written into by their names.
_FOLDERS = (
    "runs",
    "cache",
    "cache/plans",
    "cache/objects",
    "cache/measured",
    "cache/items",
    "cache/ci",
    "cache/recorded",
    "workspaces",
    "experiments",
)
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=,+")


def locate(file: str | None, format: str | None, cwd: str, option: str | None, environ: Mapping[str, str]) -> str:
    """The state directory, absolute, there or not. `option` is `--dir`; it and STAGEBOOK_DIR name the directory itself.

    Beside a native file; for another file at the root of its git work tree, else in `cwd`. Without a file: the
    nearest one upward from `cwd` that is there, or would belong to a native file, or to CI files at the root of the
    work tree.
    """
    chosen = option or environ.get(VARIABLE)
    if chosen:
        return os.path.abspath(os.path.join(cwd, chosen))
    if file is None:
        return _nearest(os.path.abspath(cwd))
    folder = os.path.dirname(os.path.abspath(os.path.join(cwd, file)))
    if format in (None, "native"):
        return os.path.join(folder, NAME)
    return os.path.join(git_root(folder) or os.path.abspath(cwd), NAME)


def refuse_links(state: str) -> None:
    """Raises SurroundingsError where a folder of a state directory is a link, as a checkout may bring one: what is
    written there would lie elsewhere. The state directory itself may be one."""
    for name in _FOLDERS:
        path = os.path.join(state, name)
        if os.path.islink(path):
            raise SurroundingsError(f"{path} is a link, and what is kept there has to stay in {state}; remove the link")


def make(state: str) -> None:
    """Make the state directory with its own `.gitignore`, if it is not there. Raises SurroundingsError."""
    try:
        os.mkdir(state, 0o700)
    except FileExistsError:
        refuse_links(state)
        return
    except FileNotFoundError:
        _make_all(state)
    except OSError as error:
        raise _failure(state, error) from error
    path = os.path.join(state, ".gitignore")
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            os.write(fd, b"*\n")
        finally:
            os.close(fd)
    except OSError as error:
        raise _failure(path, error) from error


def make_run(state: str, run: str) -> str:
    """Make the directory of a new run, with `logs`, and the state directory if need be; its path.

    Raises SurroundingsError, so that a read-only place is told before any stage starts.
    """
    directory = run_directory(state, run)
    logs = logs_directory(directory)
    make(state)
    try:
        if not os.path.isdir(runs_directory(state)):
            os.makedirs(runs_directory(state), 0o700, exist_ok=True)
        os.mkdir(directory, 0o700)
        os.mkdir(logs, 0o700)
    except OSError as error:
        raise _failure(directory, error) from error
    return directory


def open_regular(path: str) -> BinaryIO:
    """Open a file to read it. Raises OSError, also for what is no regular file: a FIFO would never come to an end."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    return open(fd, "rb")


def runs_directory(state: str) -> str:
    return os.path.join(state, "runs")


def run_directory(state: str, run: str) -> str:
    return os.path.join(state, "runs", run)


def journal_path(directory: str) -> str:
    """The journal of the run that has this directory."""
    return os.path.join(directory, "journal.jsonl")


def logs_directory(directory: str) -> str:
    return os.path.join(directory, "logs")


def log_stem(stage: str) -> str:
    """What the names of a stage's logs begin with: the id percent-encoded, cut, different for different ids.

    `STEM.ATTEMPT.log` has at most 120 bytes.
    """
    if _PLAIN.issuperset(stage) and len(stage) <= LOG_STEM_MAX:
        return stage
    raw = stage.encode("utf-8", "surrogatepass")
    encoded = "".join([_encoded(byte, at) for at, byte in enumerate(raw)])
    if len(encoded) <= LOG_STEM_MAX:
        return encoded
    # `%%` stands in no encoded name, so a cut name can only be equal to another cut one.
    from hashlib import blake2b

    mark = "%%" + blake2b(raw, digest_size=8).hexdigest()
    return encoded[: LOG_STEM_MAX - len(mark)] + mark


def log_name(stage: str, attempt: int) -> str:
    """The file name of an attempt's log."""
    return f"{log_stem(stage)}.{attempt}.log"


def item_log_name(step: str, item: int) -> str:
    """The file name of what an item printed that went wrong in a step. There is no file where it printed nothing."""
    return f"{log_stem(step)}.item-{item}.log"


def workspaces_directory(state: str) -> str:
    """Where, by run, the copies of folders are that shards work in."""
    return os.path.join(state, "workspaces")


def unable_path(output: str) -> str:
    """Where the process of a job says why it could not do it, beside its `STAGEBOOK_OUTPUT` file."""
    return f"{output}.unable"


def warning_path(output: str) -> str:
    """Where the process of a job says what is to be known of it although it went well."""
    return f"{output}.warning"


def reports_directory(directory: str) -> str:
    """Where copies of the JUnit reports of the run are that has this directory."""
    return os.path.join(directory, "reports")


def report_name(stage: str, attempt: int, number: int = 1) -> str:
    """The file name of the copy of an attempt's JUnit report; of several each has a number."""
    more = f"~{number}" if number > 1 else ""
    return f"{log_stem(stage)}.{attempt}{more}.xml"


def reported_attempts(directory: str, stage: str) -> list[int]:
    """The attempts of a stage of which a report was kept in the directory of a run, in order."""
    try:
        names = os.listdir(reports_directory(directory))
    except FileNotFoundError:
        return []
    parts = (name.removeprefix(f"{log_stem(stage)}.").removesuffix(".xml") for name in names)
    return sorted({int(part) for part in parts if part.isascii() and part.isdigit()})


def first_report(name: str) -> str:
    """The name of the first report of the attempt that has this one: no name of a stage has a `~` there."""
    return f"{name.removesuffix('.xml').partition('~')[0]}.xml"


def _encoded(byte: int, at: int) -> str:
    letter = chr(byte)
    return letter if letter in _PLAIN or (letter == "." and at > 0) else f"%{byte:02X}"


def _nearest(folder: str) -> str:
    at = folder
    while True:
        if os.path.isdir(os.path.join(at, NAME)) or os.path.isfile(os.path.join(at, NATIVE_FILE)):
            return os.path.join(at, NAME)
        if os.path.exists(os.path.join(at, ".git")) and _has_workflows(at):
            return os.path.join(at, NAME)
        above = os.path.dirname(at)
        if above == at:
            return os.path.join(git_root(folder) or folder, NAME)
        at = above


def _has_workflows(folder: str) -> bool:
    from stagebook.formats import detect

    return detect.is_in(folder)


def git_root(folder: str) -> str | None:
    """The root of the work tree that an absolute folder is in."""
    while True:
        if os.path.exists(os.path.join(folder, ".git")):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _make_all(state: str) -> None:
    try:
        os.makedirs(os.path.dirname(state), exist_ok=True)
        os.mkdir(state, 0o700)
    except OSError as error:
        raise _failure(state, error) from error


def _failure(path: str, error: OSError) -> SurroundingsError:
    return SurroundingsError(f"cannot write {path}: {os.strerror(error.errno or errno.EIO)}")
