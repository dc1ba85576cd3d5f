"""What is kept of an experiment, in `.stagebook/experiments/ID/`: found, begun, appended to, read. Concludes nothing.

experiment.json   how it was set up, written once before the first run
pairs.jsonl       a line for each run that has ended, on disk before the next run begins; its lock is held meanwhile
report.md, report.html   for people, written anew by whoever asks

Whatever ends an experiment, all but the run that was under way is kept; a last line without an end is cut off.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os

from stagebook.model.problem import InputError, SurroundingsError
from stagebook.record import faults, state
from stagebook.study.arms import Arm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FOLDER = "experiments"
SET_UP = "experiment.json"
PAIRS = "pairs.jsonl"
VERSION = 1
_SET_UP: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("experiment", "pipeline", "file", "cwd", "cache", "began"), (str,)),
    **dict.fromkeys(("arms", "part", "skip"), (list,)), **dict.fromkeys(("digests", "machine"), (dict,)),
    **dict.fromkeys(("pairs", "seed", "warm_up"), (int,)), "confidence": (float,),
}  # fmt: skip
_MOST_S = 1e9  #: no figure of a run comes near it, and NaN is below nothing


def ids(state_directory: str) -> list[str]:
    """The experiments of a state directory, newest first."""
    folder = os.path.join(state_directory, FOLDER)
    try:
        return sorted((name for name in os.listdir(folder) if _is_one(os.path.join(folder, name))), reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SurroundingsError(f"cannot read {folder}: {error.strerror}") from None


def resolve(state_directory: str, text: str) -> str:
    """The directory of the experiment that `text` means: `last`, an id, or the beginning of one. Raises InputError."""
    known = ids(state_directory)
    if not known:
        raise InputError(f"there is no experiment in {state_directory} yet; begin one: stagebook experiment")
    if text == "last":
        return os.path.join(state_directory, FOLDER, known[0])
    fitting = [each for each in known if text and each.startswith(text.upper())]
    if len(fitting) == 1:
        return os.path.join(state_directory, FOLDER, fitting[0])
    said = f"is the beginning of {len(fitting)} experiments" if fitting else "is no experiment here"
    named = ", ".join(f"`{each}`" for each in (fitting or known)[:3])
    raise InputError(f"`{text}` {said}: {named}{', …' if len(fitting or known) > 3 else ''}")


def _is_one(directory: str) -> bool:
    return os.path.isfile(os.path.join(directory, SET_UP))


def begin(state_directory: str, experiment: str, set_up: dict[str, Any]) -> str:
    """Make the directory of a new experiment and put down how it is set up. Raises SurroundingsError."""
    directory = os.path.join(state_directory, FOLDER, experiment)
    state.make(state_directory)
    try:
        os.makedirs(directory, 0o700)
    except OSError as error:
        raise _cannot_write(directory, error) from None
    write(os.path.join(directory, SET_UP), json.dumps({"v": VERSION, **set_up}, indent=1) + "\n")
    return directory


def set_up_of(directory: str) -> dict[str, Any]:
    """Raises SurroundingsError where it is damaged, or of a later version."""
    path = os.path.join(directory, SET_UP)
    try:
        with state.open_regular(path) as file:
            set_up = json.loads(file.read())
        version = set_up["v"]
    except OSError as error:
        raise SurroundingsError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError):
        raise SurroundingsError(f"{path} is damaged: it is not what an experiment writes there") from None
    if version != VERSION:
        raise SurroundingsError(f"{path} is of version {version}, which this version of Stagebook does not read")
    if not _is_whole(set_up):
        raise SurroundingsError(f"{path} is damaged: it is not what an experiment writes there")
    found: dict[str, Any] = set_up
    return found


def _is_whole(set_up: Any) -> bool:
    if not all(type(set_up.get(name)) in kinds for name, kinds in _SET_UP.items()):
        return False
    arms = set_up["arms"]
    is_sound = set_up["pairs"] > 0 and set_up["seed"] >= 0 and set_up["warm_up"] >= 0 and 0 < set_up["confidence"] < 1
    return is_sound and len(arms) > 1 and all(type(arm) is dict and arm.keys() >= set(Arm._fields) for arm in arms)


def _is_sound(record: Any) -> bool:
    """Whether a record is as `experiment` keeps them."""
    if not isinstance(record, dict) or "kind" not in record:
        return False
    if record["kind"] == "broken off":
        return True
    wall_s = record.get("wall_s")
    return (
        all(type(record.get(name)) is str for name in ("kind", "arm", "run", "outcome"))
        and all(type(record.get(name)) is int and 0 <= record[name] < 1 << 31 for name in ("pair", "try", "place"))
        and all(_is_figure(record.get(name)) for name in ("cpu_s", "others_cores", "clock_jump_s"))
        and wall_s is not None
        and _is_figure(wall_s)
        and wall_s >= 0
    )


def _is_figure(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and -_MOST_S < value < _MOST_S)


def write(path: str, text: str) -> None:
    """In one move, durable before it is there; for its owner only. Raises SurroundingsError."""
    draft = f"{path}.{os.getpid()}"
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(text.encode("utf-8", "backslashreplace"))
                file.flush()
                os.fsync(file.fileno())
            os.rename(draft, path)
        except OSError:
            os.unlink(draft)
            raise
    except OSError as error:
        raise _cannot_write(path, error) from None


def read(directory: str) -> list[dict[str, Any]]:
    """All whole records, oldest first. Raises SurroundingsError for damage before the last line."""
    return _read(os.path.join(directory, PAIRS))[0]


def _read(path: str) -> tuple[list[dict[str, Any]], int]:
    """The records, and how many bytes they take."""
    try:
        with state.open_regular(path) as file:
            data = file.read()
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise SurroundingsError(f"cannot read {path}: {error.strerror}") from None
    records: list[dict[str, Any]] = []
    at = 0
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            record = json.loads(line)
            if not _is_sound(record):
                raise ValueError
        except ValueError:
            if at + len(line) + 1 == len(data):
                break  # the last line, of which the disk kept a part
            raise SurroundingsError(f"{path}:{number} is damaged; what is before it is left as it is") from None
        records.append(record)
        at += len(line) + 1
    return records, at


def goes_on(directory: str) -> bool:
    """Whether a process conducts the experiment now."""
    try:
        fd = os.open(os.path.join(directory, PAIRS), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


class Ledger:
    """The open `pairs.jsonl` of an experiment that goes on. Nobody else has it open to write."""

    __slots__ = ("records", "_fd", "_path")

    def __init__(self, directory: str) -> None:
        """Raises SurroundingsError where another one holds it."""
        self._path = os.path.join(directory, PAIRS)
        try:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _cannot_write(self._path, error) from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.records, whole = _read(self._path)
            if os.fstat(self._fd).st_size > whole:
                os.truncate(self._fd, whole)
        except BlockingIOError:
            self.close()
            raise SurroundingsError(
                f"experiment {os.path.basename(directory)} goes on already, in another process"
            ) from None
        except OSError as error:
            self.close()
            raise _cannot_write(self._path, error) from None
        except SurroundingsError:
            self.close()
            raise

    def append(self, record: dict[str, Any]) -> None:
        """Durable when this returns. Raises SurroundingsError, with what was written of it taken back."""
        data = json.dumps(record).encode("ascii") + b"\n"
        size = os.fstat(self._fd).st_size
        try:
            faults.hit("experiment.append")
            if os.write(self._fd, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._fd)
        except OSError as error:
            try:
                os.truncate(self._fd, size)
            except OSError:
                pass  # the next one to open it cuts it off
            raise _cannot_write(self._path, error) from None
        self.records.append(record)

    def close(self) -> None:
        os.close(self._fd)


def _cannot_write(path: str, error: OSError) -> SurroundingsError:
    return SurroundingsError(f"cannot write {path}: {os.strerror(error.errno or errno.EIO)}")
