"""Signed links that lead to one gate of one run, for one person, once, until they expire. Serves nothing.

A token is what itsdangerous makes of the link: JSON, a time and an HMAC (SHA-256) in the letters of an URL. Nothing of
it is secret but the token itself. The key lies in the state directory, readable by its owner alone; without it no token
of earlier holds. That a link counts once is the business of who serves it.
"""

from __future__ import annotations

import os
import stat
import time

from stagebook.approval.judge import Refusal
from stagebook.model.problem import FAILED, SurroundingsError
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KEY_NAME = "link.key"
LIFE_MAX_S = 30 * 86_400
TOKEN_MAX = 8192
_KEY_BYTES = 32
_SALT = "stagebook gate-link 1"


class Link(NamedTuple):
    """`person` decides, in whose name the vote counts; `expires` is seconds since 1970."""

    run: str
    gate: str
    nonce: str
    digest: str
    artifacts: str  #: a `seal`
    person: str
    id: str
    expires: int


def key(state: str) -> bytes:
    """The key of a state directory, made if there is none. Raises SurroundingsError for one that others may know."""
    path = os.path.join(state, KEY_NAME)
    try:
        if not os.path.lexists(path):
            _make(path)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            found = os.fstat(fd)
            data = os.read(fd, 1024)
        finally:
            os.close(fd)
    except OSError as error:
        raise SurroundingsError(f"cannot use {path}: {error.strerror}") from error
    is_ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    if not is_ours or len(data) != 2 * _KEY_BYTES:
        raise SurroundingsError(
            f"{path} is no key that only its owner can read; remove it, and links made with it no longer hold"
        )
    return data


def _make(path: str) -> None:
    """Whole or not at all: it gets its name when it is on disk, and never that of one that is there."""
    making = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
    fd = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            os.write(fd, os.urandom(_KEY_BYTES).hex().encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        try:
            os.link(making, path)
        except FileExistsError:
            pass  # another one was quicker, and its key is as good
    finally:
        os.unlink(making)


def token(link: Link, key: bytes) -> str:
    made = _serializer(key).dumps(list(link))
    return made if isinstance(made, str) else made.decode("ascii")


def check(text: str, key: bytes, expected: Link, now: float | None = None) -> Refusal | None:
    """Why a token does not lead to where `expected` does; None where it does. `now` is seconds since 1970."""
    from itsdangerous import BadData, SignatureExpired

    if len(text) > TOKEN_MAX:
        return Refusal("forged", f"the link has more than {TOKEN_MAX} characters, and so was not made here")
    try:
        found = _read(_serializer(key).loads(text, max_age=LIFE_MAX_S + 60))
    except SignatureExpired:
        return _expired()
    except (BadData, ValueError, TypeError):
        return Refusal("forged", "the link was not made here, or was altered on the way")
    if (now if now is not None else time.time()) >= found.expires:
        return _expired()
    if (found.run, found.gate) != (expected.run, expected.gate):
        return Refusal("other-run", f"the link leads to {found.gate} of run {found.run}, which is not served here")
    if found.person != expected.person:
        return Refusal("other-person", f"the link is for {found.person}, and this one for {expected.person}")
    if found != expected:
        return Refusal("other-link", f"the link is another one to {found.gate}, which is served no longer")
    return None


def _expired() -> Refusal:
    return Refusal("link-expired", "the link has expired; ask for a new one", FAILED)


def _read(value: Any) -> Link:
    """Raises ValueError, TypeError."""
    link = Link(*value)
    if type(link.expires) is not int or not all(type(text) is str for text in link[:-1]):
        raise ValueError("no link")
    return link


def _serializer(key: bytes) -> Any:
    from hashlib import sha256

    from itsdangerous import URLSafeTimedSerializer

    return URLSafeTimedSerializer(key, salt=_SALT, signer_kwargs={"digest_method": sha256, "key_derivation": "hmac"})
