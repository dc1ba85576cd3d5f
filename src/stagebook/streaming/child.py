"""What a process of a step does: it gets lists of values by a pipe, and gives their results and errors back. It ends
with the pipe. `process` is the other end.
"""

from __future__ import annotations

import pickle
import signal
import traceback

from stagebook.streaming.work import parts_of, tried

TYPE_CHECKING = False
if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from typing import Any

    from stagebook.streaming.block import Errors

    #: Place, the exception pickled (None: it cannot be), what it says, where it was raised.
    Told = tuple[int, bytes | None, str, str]

#: Said instead of errors where the values could not be read.
UNREADABLE = -1


def main(pipe: Connection, function: bytes, batch: int, stops: bool) -> None:
    """Ctrl-C goes to all processes of a terminal; the one that made this one ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    try:
        called = pickle.loads(function)
    except Exception as error:
        pipe.send_bytes(f"{type(error).__name__}: {error}".encode())
        return
    pipe.send_bytes(b"")
    try:
        while True:
            _answer(pipe, called, batch, stops)
    except (EOFError, OSError):
        pass


def _answer(pipe: Connection, function: Any, batch: int, stops: bool) -> None:
    data = pipe.recv_bytes()
    try:
        values = pickle.loads(data)
    except Exception as error:
        pipe.send_bytes(pickle.dumps([_told(UNREADABLE, error)]))
        pipe.send_bytes(b"")
        return
    results, errors = tried(function, batch, parts_of(values, batch), stops)
    try:
        packed = _packed(results)
    except Exception:
        packed = _without_unpicklable(results, errors)
    pipe.send_bytes(pickle.dumps([_told(place, error) for place, error in errors.items()]) if errors else b"")
    pipe.send_bytes(packed)


def _packed(results: Any) -> bytes:
    """It is read here as well: where it would be read next, nobody could tell which of the values is at fault."""
    packed = pickle.dumps(results, pickle.HIGHEST_PROTOCOL)
    pickle.loads(packed)
    return packed


def _without_unpicklable(results: list[Any], errors: Errors) -> bytes:
    for place, result in enumerate(results):
        try:
            _packed(result)
        except Exception as error:
            results[place] = None
            said = f"its result cannot be sent back from a process: {type(error).__name__}: {error}"
            errors[place] = TypeError(said)
    return pickle.dumps(results, pickle.HIGHEST_PROTOCOL)


def _told(place: int, error: BaseException) -> Told:
    try:
        packed = pickle.dumps(error)
        pickle.loads(packed)
    except Exception:
        packed = None
    where = "".join(traceback.format_exception(error))
    return place, packed, f"{type(error).__name__}: {error}", where
