"""The record of decisions at gates and of attempts that were refused: `audit.jsonl`, a chain in which every line holds
the hash of the one before it. Appends, reads, checks; what an entry means is its writer's business.

A line is compact JSON, `hash` last: BLAKE2b (256 bits) of the line's bytes before `,"hash"`, which hold `previous`.
Lines are written under a lock and synced, so that a crash can tear the last one only. Who appends next says so in an
entry of its own, `repaired`, and the chain goes on from the last whole line. All else that does not hold was changed by
somebody. That its end was cut off a chain cannot tell by itself: journals hold the hashes of their votes.

Whoever may write here may also write the chain anew, journals and all; what is kept elsewhere (`audit --json`) is what
shows that. Haber and Stornetta, "How to Time-Stamp a Digital Document", Journal of Cryptology 3 (1991).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time

from stagebook.model.problem import SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record import faults
from stagebook.record.clock import stamp

try:
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Iterable, Mapping

    from stagebook.approval.judge import Refusal, Vote

NAME = "audit.jsonl"
VERSION = 1
FIRST = "0" * 64  #: what the first line has as `previous`
LINE_MAX = 1 << 17  #: bytes; what is kept of texts is cut so that no line comes to it
TEXT_MAX = 1000  #: characters of one text
_ORIGIN_MAX, _NAME_MAX, _ORIGIN_TEXT_MAX = 10, 40, 200
PATIENCE_S = 5.0
_PAUSE_S = 0.002
_TEXTS = ("by", "run", "gate", "digest", "code", "reason", "comment")  #: members of an entry that may be left out
_SEAL = b',"hash":"'
_SEAL_LENGTH = len(_SEAL) + 64 + 2


class Entry(NamedTuple):
    """`what` is `approved`, `rejected`, `refused`, `answered` (by the gate's default), `void` (what was approved has
    changed since), `link` (one was made) or `repaired`. `comment` is free of secrets when it comes here: whoever has no
    mask leaves it out."""

    what: str
    by: str | None = None
    origin: Mapping[str, Any] = {}
    run: str | None = None
    gate: str | None = None
    digest: str | None = None  #: of the pipeline file that was shown
    code: str | None = None
    reason: str | None = None  #: why it was refused
    comment: str | None = None
    decides: bool = False
    more: Mapping[str, Any] = {}


class Fault(NamedTuple):
    """The first line that does not hold. `line` counts from 1, `offset` is its first byte's."""

    line: int
    offset: int
    why: str


class Chain(NamedTuple):
    """A file of entries as it was read. `entries` are those of the lines before the first fault; `torn_bytes` what a
    crash has left of a line after the last whole one."""

    path: str
    entries: list[dict[str, Any]]
    fault: Fault | None
    torn_bytes: int


class _Broken(ValueError):
    pass


def path_of(state: str) -> str:
    return os.path.join(state, NAME)


def of_vote(
    run: str, gate: str, vote: Vote, refusal: Refusal | None, decides: bool = False, comment: str | None = None
) -> Entry:
    """The entry for a vote that was judged; `comment` is its comment behind a mask."""
    if refusal is not None:
        return Entry("refused", vote.by, vote.origin, run, gate, vote.digest, refusal.code, refusal.text,
                     more={"asked": _word(vote.approved)})  # fmt: skip
    what = "approved" if vote.approved else "rejected"
    return Entry(what, vote.by, vote.origin, run, gate, vote.digest, comment=comment, decides=decides)


def _word(approved: bool) -> str:
    return "approve" if approved else "reject"


def append(state: str, entry: Entry) -> str:
    """Add one entry to the chain of a state directory; its hash, in hex, when it is on disk. A torn end is cut first,
    and said in an entry of its own. Raises SurroundingsError; then nothing was added."""
    path = path_of(state)
    fd = _opened(path)
    try:
        _lock(fd, path)
        number, previous, end, torn = _end(fd, path)
        lines = []
        if torn:
            os.ftruncate(fd, end)
            line, previous = _line(number + 1, previous, Entry("repaired", more={"cut_bytes": torn}))
            lines.append(line)
            number += 1
        line, hash_ = _line(number + 1, previous, entry)
        _put(fd, end, b"".join([*lines, line]))
        if not number:
            _sync_folder(state)
        return hash_
    except OSError as error:
        raise _failure(path, error) from error
    finally:
        os.close(fd)


def read(state: str) -> Chain:
    """The chain as it stands; empty where there is none. Raises SurroundingsError for a file that cannot be read."""
    path = path_of(state)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return Chain(path, [], None, 0)
    except OSError as error:
        raise _failure(path, error, "read") from error
    with open(fd, "rb") as file:
        try:
            _check_regular(fd, path)
            _lock(fd, path, fcntl.LOCK_SH)  # a line that is being written is not half a line
            return _scan(path, file)
        except OSError as error:
            raise _failure(path, error, "read") from error


def _scan(path: str, file: BinaryIO) -> Chain:
    entries: list[dict[str, Any]] = []
    previous, offset = FIRST, 0
    while data := file.readline(LINE_MAX + 1):
        if not data.endswith(b"\n") and len(data) <= LINE_MAX:
            return Chain(path, entries, None, len(data))
        try:
            entry = _decoded(data)
            if entry["previous"] != previous:
                raise _Broken("it does not follow the line before it: one was taken out, put in or changed")
            if entry["n"] != len(entries) + 1:
                raise _Broken(f"its number is {entry['n']}")
        except _Broken as why:
            return Chain(path, entries, Fault(len(entries) + 1, offset, str(why)), 0)
        entries.append(entry)
        previous = entry["hash"]
        offset += len(data)
    return Chain(path, entries, None, 0)


def missing(chain: Chain, hashes: Iterable[str]) -> list[str]:
    """Those of the hashes, as journals hold them, that no entry of the chain has."""
    known = {entry["hash"] for entry in chain.entries}
    return [each for each in hashes if each not in known]


def _line(number: int, previous: str, entry: Entry) -> tuple[bytes, str]:
    body: dict[str, Any] = {"v": VERSION, "n": number, "at": stamp(time.time_ns() // 1000), "what": entry.what}
    for name in _TEXTS:
        value = getattr(entry, name)
        if value is not None:
            body[name] = _short(value)
    if entry.decides:
        body["decides"] = True
    if entry.origin:
        origin = list(entry.origin.items())[:_ORIGIN_MAX]
        body["from"] = {str(name)[:_NAME_MAX]: _plain(value, _ORIGIN_TEXT_MAX) for name, value in origin}
    body.update({name: _plain(value) for name, value in entry.more.items()})
    body["previous"] = previous
    data = json.dumps(body, separators=(",", ":")).encode()[:-1]
    hash_ = _hash(data)
    return b'%b%b%b"}\n' % (data, _SEAL, hash_.encode()), hash_


def _plain(value: Any, most: int = TEXT_MAX) -> Any:
    return value if value is None or isinstance(value, (bool, int)) else _short(str(value), most)


def _short(text: str, most: int = TEXT_MAX) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _decoded(line: bytes) -> dict[str, Any]:
    """The entry of a line with its newline. Raises _Broken."""
    whole = line[:-1]
    body, end = whole[:-_SEAL_LENGTH], whole[-_SEAL_LENGTH:]
    if end != b'%b%b"}' % (_SEAL, _hash(body).encode()):
        raise _Broken("its hash is not that of its text: it was changed")
    try:
        entry = json.loads(whole)
        if entry["v"] != VERSION:
            raise _Broken(f"it is of version {entry['v']}; this Stagebook reads {VERSION}")
        is_sound = type(entry["n"]) is int and all(type(entry[name]) is str for name in ("at", "what", "previous"))
        is_sound = is_sound and all(type(entry.get(name, "")) is str for name in _TEXTS)
        if not is_sound or type(entry.get("from", {})) is not dict:
            raise ValueError
    except _Broken:
        raise
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _Broken("it is no entry") from None
    return dict(entry)


def _hash(body: bytes) -> str:
    return blake2b(body, digest_size=32).hexdigest()


def _opened(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(path, flags, 0o600)
    except OSError as error:
        raise _failure(path, error) from error
    try:
        _check_regular(fd, path)
        if stat.S_IMODE(os.fstat(fd).st_mode) != 0o600:
            os.fchmod(fd, 0o600)
    except OSError as error:
        os.close(fd)
        raise _failure(path, error) from error
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check_regular(fd: int, path: str) -> None:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise SurroundingsError(f"{path} is no regular file, as the record of decisions is; move it away")


def _lock(fd: int, path: str, kind: int = fcntl.LOCK_EX) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise SurroundingsError(f"{path} was held by another process for {PATIENCE_S:.0f} s") from None
            time.sleep(_PAUSE_S)


def _end(fd: int, path: str) -> tuple[int, str, int, int]:
    """Number and hash of the last whole line, where it ends, and how many bytes of a torn one follow. A line of which
    only the newline is missing is given that."""
    size = os.fstat(fd).st_size
    tail = os.pread(fd, 2 * LINE_MAX, max(0, size - 2 * LINE_MAX))
    whole, newline, torn = tail.rpartition(b"\n")
    if torn:
        try:
            entry = _decoded(torn + b"\n")
        except _Broken:
            pass
        else:
            os.write(fd, b"\n")
            return entry["n"], entry["hash"], size + 1, 0
    end = size - len(torn)
    if not newline:
        if torn and size > LINE_MAX:
            raise SurroundingsError(f"{path} does not end as a record of decisions does; `stagebook audit` says where")
        return 0, FIRST, end, len(torn)
    try:
        entry = _decoded(whole[whole.rfind(b"\n") + 1 :] + b"\n")
    except _Broken:
        # The end was changed, which is found where the chain is checked. It goes on all the same: to refuse would let
        # whoever changed it keep everybody from deciding, and what comes now is kept.
        last = whole[whole.rfind(b"\n") + 1 :]
        return _number(last), _hash(last), end, len(torn)
    return entry["n"], entry["hash"], end, len(torn)


def _number(line: bytes) -> int:
    """What a line that does not hold says of itself."""
    try:
        number = json.loads(line)["n"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
    return number if type(number) is int else 0


def _put(fd: int, end: int, data: bytes) -> None:
    """All of it, on disk, or nothing."""
    try:
        faults.hit("audit.append")
        done = 0
        while done < len(data):
            done += os.write(fd, memoryview(data)[done:])
        os.fsync(fd)
    except OSError:
        try:
            os.ftruncate(fd, end)
        except OSError:
            pass  # what is left of it is taken for torn
        raise


def _sync_folder(state: str) -> None:
    fd = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise
    finally:
        os.close(fd)


def _failure(path: str, error: OSError, verb: str = "write") -> SurroundingsError:
    if error.errno == errno.ELOOP:
        return SurroundingsError(f"{path} is a link, and decisions are recorded in no other place; remove the link")
    return SurroundingsError(f"cannot {verb} {path}: {error.strerror or os.strerror(error.errno or errno.EIO)}")
