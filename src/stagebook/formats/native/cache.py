"""Parsed pipelines, kept by what their file held. Never trusted blindly: whatever is odd is as good as not there.

An entry is `plans/KEY.json`: one line with a hash of the rest, then the pipeline as plain JSON. KEY depends on the
file's bytes, its absolute path (places and the pipeline's name come from it) and on the version of Stagebook.
"""

from __future__ import annotations

import json
import os

from stagebook import __version__
from stagebook.model import plain
from stagebook.model.pipeline import Pipeline

try:
    from _blake2 import blake2b  # hashlib would load OpenSSL, which costs more than the rest of a cached read
except ImportError:  # an interpreter without the extension under that name
    from hashlib import blake2b

#: Raised whenever the meaning of a file or the plain form changes.
FORMAT = 14
ENTRIES_MAX = 64
_BYTES_MAX = 256 * 2**20


def digest(data: bytes) -> str:
    """Hash of a file's bytes: 32 hexadecimal digits."""
    return blake2b(data, digest_size=16).hexdigest()


def encode(pipeline: Pipeline) -> bytes:
    """Compact JSON in ASCII, without a line end."""
    return json.dumps(plain.to_plain(pipeline), separators=(",", ":")).encode("ascii")


def _entry(cache_dir: str, content: str, file: str) -> str:
    key = blake2b(f"{FORMAT}\0{__version__}\0{content}\0{file}".encode("utf-8", "surrogateescape"), digest_size=16)
    return os.path.join(cache_dir, "plans", key.hexdigest() + ".json")


def fetch(cache_dir: str, content: str, file: str) -> tuple[Pipeline, bytes] | None:
    """What is kept for a file with the digest `content`, with its plain JSON; None where there is nothing sound."""
    try:
        descriptor = os.open(_entry(cache_dir, content, file), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as handle:
            if os.fstat(descriptor).st_size > _BYTES_MAX:
                return None
            head, _, body = handle.read().partition(b"\n")
        if head != digest(body).encode("ascii"):
            return None
        pipeline = plain.from_plain(json.loads(body))
        if pipeline.digest != content or pipeline.file != file:
            return None
        return pipeline, body
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, MemoryError):
        return None


def store(cache_dir: str, content: str, file: str, body: bytes) -> None:
    """Keeps an entry: whole or not at all. Where nothing can be written the next run parses again, no more."""
    path = _entry(cache_dir, content, file)
    folder = os.path.dirname(path)
    draft = f"{path}.{os.getpid()}.tmp"
    try:
        if not os.path.isdir(os.path.dirname(cache_dir)) or os.path.islink(cache_dir):
            return  # to look at a pipeline makes no state directory
        os.makedirs(cache_dir, 0o700, exist_ok=True)  # of what one call makes, only the last is for its owner alone
        os.makedirs(folder, 0o700, exist_ok=True)
        if os.path.islink(folder):  # a checkout may bring one that leads to the user's own files
            return
        # Exclusive, so that no link that stands there already is followed.
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as handle:
            handle.write(digest(body).encode("ascii") + b"\n" + body)
        os.replace(draft, path)
        _prune(folder)
    except OSError:
        try:
            os.unlink(draft)
        except OSError:
            pass


def forget(cache_dir: str, content: str, file: str) -> None:
    """Let go of what is kept for a file with the digest `content`."""
    try:
        os.unlink(_entry(cache_dir, content, file))
    except OSError:
        pass


def _prune(folder: str) -> None:
    """Lets the oldest entries go, and drafts that a killed run left. What does not look like ours stays."""
    names = [name for name in os.listdir(folder) if name[:32].isalnum() and name[32:].startswith(".json")]
    if len(names) <= ENTRIES_MAX:
        return
    aged = []
    for name in names:
        path = os.path.join(folder, name)
        try:
            aged.append((os.stat(path).st_mtime, path))
        except OSError:
            continue
    for _, path in sorted(aged)[: len(aged) - ENTRIES_MAX]:
        try:
            os.unlink(path)
        except OSError:
            continue
