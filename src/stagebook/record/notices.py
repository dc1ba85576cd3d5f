"""What became of the messages about a run: `notices.jsonl` beside its journal, read and summed up. Sends nothing.

A line is one step of one message: `waiting` (to be sent, or tried again), `delivered`, `failed` (given up) or `held`
(its target has had too many in an hour). A line `settled` says that for now there is nothing left to send. It is no
part of the record: who deletes it loses what was told, and nothing else.
"""

from __future__ import annotations

import fcntl
import json
import os

from stagebook.record.state import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping, Sequence, TypeAlias

    Notice: TypeAlias = "Mapping[str, Any]"

NAME = "notices.jsonl"
WAITING, DELIVERED, FAILED, HELD, SETTLED = "waiting", "delivered", "failed", "held", "settled"
_BYTES_MAX = 16 << 20
_KINDS: dict[str, type | tuple[type, ...]] = {
    "id": str, "event": str, "stages": list, "target": str, "state": str, "attempts": int, "at": str,
    "error": (str, type(None)),
}  # fmt: skip
_WARNINGS_MAX = 5


def path(directory: str) -> str:
    """Where they are of the run that has this directory."""
    return os.path.join(directory, NAME)


def open_locked(directory: str) -> int:
    """The file, to be added to, locked if nobody else has it. Raises OSError."""
    fd = os.open(path(directory), os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pass  # the process beside the run before it went on has it, and ends soon
    return fd


def size(directory: str) -> int:
    """How much has been said so far, in bytes: what stands after it is news."""
    try:
        return os.stat(path(directory)).st_size
    except OSError:
        return 0


def read(directory: str) -> list[dict[str, Any]]:
    """The messages, in order, each as it stands by its last line. Lines that are not sound are passed over."""
    found: dict[str, dict[str, Any]] = {}
    for line in _lines(directory, 0):
        if all(isinstance(line.get(name), kind) for name, kind in _KINDS.items()):
            found[line["id"]] = {name: line[name] for name in _KINDS}
    return list(found.values())


def is_settled(directory: str, since: int) -> bool:
    """Whether, after the first `since` bytes, it is said that nothing is left to send."""
    return any(line.get("state") == SETTLED for line in _lines(directory, since))


def is_followed(directory: str) -> bool:
    """Whether the process beside the run lives, which has the file locked."""
    try:
        fd = os.open(path(directory), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def document(told: Sequence[Notice]) -> list[dict[str, Any]]:
    """As members of a run's document."""
    return [{name: value for name, value in one.items() if name != "id"} for one in told]


def warnings(told: Sequence[Notice], run: str) -> list[str]:
    """A sentence for each message that did not arrive, and one for those that are on their way."""
    lost = [one for one in told if one["state"] != DELIVERED]
    under_way = [one for one in lost if one["state"] == WAITING and not one["error"]]
    lost = [one for one in lost if one not in under_way]
    said = [_warning(one) for one in lost[:_WARNINGS_MAX]]
    if len(lost) > _WARNINGS_MAX:
        said.append(f"{len(lost) - _WARNINGS_MAX} more messages were not delivered: see notices.jsonl of the run")
    if under_way:
        whom = ", ".join(dict.fromkeys(str(one["target"]) for one in under_way))
        are, them = ("1 message is", "it") if len(under_way) == 1 else (f"{len(under_way)} messages are", "them")
        said.append(f"{are} on the way to {whom}; stagebook show {run} says what became of {them}")
    return said


def _warning(one: Notice) -> str:
    what = f"{one['event']} of {', '.join(map(str, one['stages'][:3]))}" if one["stages"] else one["event"]
    why = f": {one['error']}" if one["error"] else ""
    if one["state"] == HELD:
        return f"{one['target']} was not told of {what}{why}"
    if one["state"] == FAILED:
        tries = f" ({one['attempts']} tries)" if one["attempts"] > 1 else ""
        return f"{one['target']} could not be told of {what}{why}{tries}"
    return f"{one['target']} has not been told of {what} yet{why}; it is tried again"


def _lines(directory: str, since: int) -> Iterable[dict[str, Any]]:
    try:
        with open_regular(path(directory)) as file:
            file.seek(since)
            data = file.read(_BYTES_MAX)
    except OSError:
        return
    for line in data.split(b"\n")[:-1]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            yield found
