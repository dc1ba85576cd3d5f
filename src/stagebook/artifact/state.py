"""What is known of each stage's last success: one append-only file a pipeline file. Judges nothing, hashes nothing.

`.stagebook/cache/stages-HASH.jsonl` holds a record a line, each with a checksum: `begun` before an attempt starts, from
when on what lies at the stage's outputs is nobody's word, and `done` after a success, with all it was made of. Each is
one write to the end of the file, so that runs side by side do not mix, and begins with a line end, so that one that was
torn takes no other with it. What is damaged is passed over: a stage then runs once more than it had to.

Nothing is synced. After a kill all of it is there; after a power cut what is missing makes stages run again, and no
stamp is believed on another boot.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
from json.encoder import encode_basestring_ascii
from zlib import crc32

from stagebook.artifact.digest import File, Moment, Stamp
from stagebook.model.value import NamedTuple
from stagebook.record import faults

try:
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

_plain = json.JSONDecoder()
_HEAD = b'{"v":1,"stage":'
_KIND = b',"kind":"'
_DONE = _KIND + b'done",'
_BEGUN = _KIND + b'begun",'
_SEAL = b',"crc":"'
_FILES = b'"inputs":['  #: in no text, where quotes are escaped
_SEAL_LENGTH = len(_SEAL) + 8 + 2
#: Grown to so many bytes, and to so many times what still counts, the file is written anew.
_GROWN_BYTES = 2**18
_GROWN_TIMES = 2
_PATIENCE_S = 0.5
_FRESH_S = 0.02  #: so many stages are asked for one after another that to look at the file each time would cost


class Last(NamedTuple):
    """The last success of a stage, None where there was none, and whether an attempt has begun since and not `ended`
    as one. `parts` is the key it succeeded with, in the words of `key`."""

    ended: bool
    run: str = ""
    attempt: int = 0
    parts: Mapping[str, Any] | None = None
    inputs: tuple[File, ...] = ()
    outputs: tuple[File, ...] = ()
    program: File | None = None

    @property
    def known(self) -> dict[str, File]:
        """All files of it by path, for `hash_files`."""
        return {file.path: file for file in (*self.inputs, *self.outputs)}


def path_of(cache: str, pipeline_file: str) -> str:
    name = blake2b(os.fsencode(os.path.abspath(pipeline_file)), digest_size=8).hexdigest()
    return os.path.join(cache, f"stages-{name}.jsonl")


class State:
    """Of one pipeline file. What another run adds is seen as soon as it is asked for."""

    def __init__(self, cache: str, pipeline_file: str) -> None:
        self._file = _Lines(path_of(cache, pipeline_file))
        self._read: dict[str, tuple[Any, Any, Last]] = {}

    def record(self, stage: str, mark: bytes) -> dict[str, Any] | None:
        """The record of a success after which nothing has begun, as it stands in the file, if it has the mark in its
        parts; without these, and what is before them. Thousands of stages are asked for it, at a fourth of the price.
        """
        self._file.catch_up()
        name = _quoted(stage)
        done = self._file.done.get(name)
        if done is None or name in self._file.begun:
            return None
        at = done.rfind(_FILES)
        if mark not in done[:at]:
            return None
        found: dict[str, Any] = _plain.raw_decode("{" + done[at:].decode("ascii"))[0]
        return found

    def last(self, stage: str) -> Last | None:
        """None where no attempt of it is known."""
        self._file.catch_up()
        name = _quoted(stage)
        done, begun = self._file.done.get(name), self._file.begun.get(name)
        if done is None and begun is None:
            return None
        known = self._read.get(stage)
        if known is None or known[0] is not done or known[1] is not begun:
            known = self._read[stage] = done, begun, _last(done, begun)
        return known[2]

    def torn(self, stage: str) -> tuple[str, int] | None:
        """Run and number of the attempt that began last, where it has not ended well, or not yet."""
        self._file.catch_up()
        begun = self._file.begun.get(_quoted(stage))
        if begun is None:
            return None
        record = json.loads(begun)
        return record["run"], record["attempt"]

    def begun(self, stage: str, run: str, attempt: int) -> str | None:
        """An attempt of a stage is about to start; a sentence to warn with where that could not be written."""
        return self._file.append(stage, "begun", {"run": run, "attempt": attempt})

    def done(
        self,
        stage: str,
        run: str,
        attempt: int,
        parts: Mapping[str, Any],
        inputs: Sequence[File],
        outputs: Sequence[File],
        program: File | None = None,
    ) -> str | None:
        """An attempt has succeeded, and its outputs are published; a sentence to warn with as in `begun`.

        Said again with files that were looked at once more, it spares the next run to read those that were too new.
        """
        moments: dict[Moment, int] = {}
        body = {
            "run": run,
            "attempt": attempt,
            "parts": {name: part for name, part in parts.items() if name not in ("inputs", "outputs")},
            "inputs": [_flat(file, moments) for file in inputs],
            "outputs": [_flat(file, moments) for file in outputs],
            "program": None if program is None else _flat(program, moments),
            "moments": list(moments),
        }
        return self._file.append(stage, "done", body)

    def close(self) -> None:
        self._file.close()


def named(cache: str) -> dict[str, tuple[str, str]]:
    """Digests of all outputs that the last success of a stage names: stage and path."""
    found: dict[str, tuple[str, str]] = {}
    try:
        names = sorted(os.listdir(cache))
    except OSError:
        return found
    for name in names:
        if name.startswith("stages-") and name.endswith(".jsonl"):
            lines = _Lines(os.path.join(cache, name))
            lines.catch_up()
            for line in lines.done.values():
                record = json.loads(line)
                for path, _, digest, *_ in record["outputs"]:
                    found[digest] = record["stage"], path
            lines.close()
    return found


class _Lines:
    """The file: the last line of each kind and stage, and how one is added."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.done: dict[bytes, bytes] = {}
        self.begun: dict[bytes, bytes] = {}  #: only where no `done` has followed
        #: to read by. It stays open as long as `_at`, `done` and `begun` are of that very file: no other can have its
        #: number meanwhile.
        self._fd: int | None = None
        self._pen: int | None = None
        self._at = 0
        self._fresh_until = 0.0

    def close(self) -> None:
        for fd in (self._fd, self._pen):
            if fd is not None:
                os.close(fd)
        self._fd = self._pen = None

    def catch_up(self) -> None:
        """Read what has been added since, by whomever; what others add may be seen a moment later."""
        now = time.monotonic()
        if now < self._fresh_until:
            return
        self._fresh_until = now + _FRESH_S
        try:
            status = os.stat(self.path)
        except OSError:
            return
        is_same = self._fd is not None and os.path.samestat(status, os.fstat(self._fd))
        if not is_same or status.st_size < self._at:
            self._at = 0
            self.done.clear()
            self.begun.clear()
        if status.st_size <= self._at:
            return
        try:
            if not is_same:
                if self._fd is not None:
                    os.close(self._fd)
                    self._fd = None
                self._fd = self._open(os.O_RDONLY)
            assert self._fd is not None
            data = _read_from(self._fd, self._at, status.st_size)
        except OSError:
            return
        end = data.rfind(b"\n") + 1  # behind it another one is still writing, or was killed
        self._at += end
        for line in data[:end].split(b"\n"):
            self._take(line)
        live = sum(map(len, self.done.values())) + sum(map(len, self.begun.values()))
        if self._at > max(_GROWN_BYTES, _GROWN_TIMES * live):
            self._compact()

    def append(self, stage: str, kind: str, body: Mapping[str, Any]) -> str | None:
        text = json.dumps(body, separators=(",", ":"))
        whole = b'%b%b%b%b",%b' % (_HEAD, _quoted(stage), _KIND, kind.encode(), text[1:-1].encode())
        line = b'\n%b%b%08x"}\n' % (whole, _SEAL, crc32(whole))
        self._fresh_until = 0.0
        try:
            faults.hit("cache.write")
            fd = self._locked()
            try:
                written = os.write(fd, line)
            finally:
                _unlock(fd)
            if written != len(line):
                raise OSError(errno.ENOSPC, "")
        except OSError as error:
            return f"what is up to date is not kept in {self.path}: {os.strerror(error.errno or errno.EIO)}"
        return None

    def _take(self, line: bytes) -> None:
        """A line counts if it is whole. Only the attempt that began last is ended by its success: another one that
        goes on beside it, of another run, may still spoil what that made."""
        if not line.startswith(_HEAD):
            return
        body, seal = line[:-_SEAL_LENGTH], line[-_SEAL_LENGTH:]
        if seal != b'%b%08x"}' % (_SEAL, crc32(body)):
            return
        at = body.find(_KIND)
        stage = body[len(_HEAD) : at]
        if body.startswith(_DONE, at):
            self.done[stage] = line
            begun = self.begun.get(stage)
            if begun is not None and body.startswith(begun[at + len(_BEGUN) : -_SEAL_LENGTH] + b",", at + len(_DONE)):
                del self.begun[stage]
        elif body.startswith(_BEGUN, at):
            self.begun[stage] = line

    def _open(self, flags: int) -> int:
        """Raises OSError."""
        fd = os.open(self.path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "")
        return fd

    def _locked(self) -> int:
        """A descriptor at whose end one may write: of the file that has the name now, shared with other writers.

        Whoever holds the lock writes the file anew, which takes an instant. If he was stopped in it, a line that is
        written meanwhile may be lost, and a stage runs once more.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            if self._pen is None:
                self._pen = self._opened_to_append()
            try:
                fcntl.flock(self._pen, fcntl.LOCK_SH | fcntl.LOCK_NB)
                if os.path.samestat(os.stat(self.path), os.fstat(self._pen)):
                    return self._pen
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return self._pen
                time.sleep(0.001)
                continue
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
                    return self._pen  # a file system without locks: then nobody writes the file anew either
                raise
            os.close(self._pen)
            self._pen = None

    def _opened_to_append(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        try:
            return self._open(flags)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
            return self._open(flags)

    def _compact(self) -> None:
        """Write what still counts to a new file and put it in the place of this one, if nobody writes."""
        draft = f"{self.path}.{os.getpid()}.tmp"
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            assert self._fd is not None
            status = os.fstat(fd)
            is_known = os.path.samestat(status, os.fstat(self._fd)) and status.st_size == self._at
            if not is_known or not os.path.samestat(os.stat(self.path), status):
                return
            lines = [*self.done.values(), *self.begun.values()]
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(b"".join(b"\n%b\n" % line for line in lines))
            os.rename(draft, self.path)
        except OSError:
            try:
                os.unlink(draft)
            except OSError:
                pass
        finally:
            os.close(fd)


def _unlock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_UN)
    except OSError:
        pass


def _read_from(fd: int, start: int, end: int) -> bytes:
    parts = []
    while start < end:
        part = os.pread(fd, end - start, start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def _quoted(stage: str) -> bytes:
    return encode_basestring_ascii(stage).encode()


def _flat(file: File, moments: dict[Moment, int]) -> list[Any]:
    at = None if file.at is None else moments.setdefault(file.at, len(moments))
    return [file.path, file.size, file.digest, file.mode, at, *file.stamp]


def _file(flat: Sequence[Any], moments: Sequence[Moment]) -> File:
    path, size, digest, mode, at, *stamp = flat
    return File(path, size, digest, Stamp(*stamp), mode, None if at is None else moments[at])


def _last(done: bytes | None, begun: bytes | None) -> Last:
    if done is None:
        return Last(False)
    record = _plain.decode(done.decode("ascii"))
    moments = [Moment(*moment) for moment in record["moments"]]
    inputs = tuple(_file(flat, moments) for flat in record["inputs"])
    outputs = tuple(_file(flat, moments) for flat in record["outputs"])
    program = None if record["program"] is None else _file(record["program"], moments)
    parts = {
        **record["parts"],
        "inputs": {file.path: file.word for file in inputs},
        "outputs": {file.path: file.word for file in outputs},
    }
    return Last(begun is None, record["run"], record["attempt"], parts, inputs, outputs, program)
