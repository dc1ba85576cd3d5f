"""Functions that processes of a stream can import."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def more(value: int) -> int:
    return value + 1


def all_more(values: list[int]) -> list[int]:
    return [value + 1 for value in values]


def where(value: int) -> tuple[int, int]:
    return value, os.getpid()


def even_only(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd")
    return value


def closed(value: object) -> object:
    """A result that cannot leave a process, if it was asked for."""
    return (lambda: value) if value == "stay" else value


def _boom(home: int) -> Unreadable:
    if os.getpid() != home:
        raise RuntimeError("boom")
    return Unreadable(home)


class Unreadable:
    """Can be pickled, and read again in one process at most."""

    def __init__(self, home: int = 0) -> None:
        self.home = home

    def __reduce__(self) -> tuple[object, ...]:
        return _boom, (self.home,)


def unreadable(value: object) -> object:
    """A result that nobody can read, or nobody else, if it was asked for."""
    return {"nobody": Unreadable(), "nobody else": Unreadable(os.getpid())}.get(str(value), value)


def deadly(value: tuple[int, str]) -> int:
    """Kills its process once where a file says so, or always."""
    number, path = value
    if path == "always":
        os.kill(os.getpid(), signal.SIGKILL)
    if path:
        try:
            Path(path).unlink()
        except FileNotFoundError:
            return number
        os.kill(os.getpid(), signal.SIGKILL)
    return number


class Own(Exception):
    """Cannot be made again from what it says."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def own_error(value: int) -> int:
    raise Own(value, value)


def said(value: int) -> int:
    """Prints, into a buffer where it is no terminal."""
    print("did", value)
    return value
