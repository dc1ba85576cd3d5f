"""Who asks, and from where: the account of this process, its host and terminal; and numbers that are used once.

A name is as good as the account it comes from: it is what the system says of the process, never a variable.
"""

from __future__ import annotations

import os

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Origin(NamedTuple):
    """`by` is the login name; `plain`, what a record keeps: `via`, `uid`, `host` and `tty`."""

    by: str
    plain: dict[str, Any]


def here(via: str = "command") -> Origin:
    """`via` is `command`, `terminal` or `link`."""
    return Origin(account(), {"via": via, "uid": os.getuid(), "host": os.uname().nodename, "tty": _terminal()})


def account() -> str:
    """The login name of this process's real user; `uid N` where it has none."""
    import pwd

    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def nonce() -> str:
    """128 random bits in hex."""
    return os.urandom(16).hex()


def _terminal() -> str | None:
    for fd in (0, 2, 1):
        try:
            return os.ttyname(fd)
        except OSError:
            continue
    return None
