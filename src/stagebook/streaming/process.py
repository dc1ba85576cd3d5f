"""A process of a step as the thread sees that hands it values. `child` is what runs in it.

Processes are spawned, not forked: the program has threads, and a fork would take their locks along. So the function has
to be importable, and a script that starts some has to be guarded by `if __name__ == "__main__"`.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import threading

from stagebook.streaming import child
from stagebook.streaming.block import unpacked
from stagebook.streaming.shape import Step, StreamError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from typing import Any

    from stagebook.streaming.block import Errors


END_S = 0.5  #: so long one may take to end when there is nothing left to do
TRIES = 3  #: so often one is begun that is killed before it is ready
GUARD = "a script whose stream has `processes` starts it below `if __name__ == '__main__':`"

#: `multiprocessing` waits for all children whenever it starts one, and none may be waited for twice.
_family = threading.Lock()


class Process:
    """`tried` by one thread, `kill` by any."""

    def __init__(self, step: Step, stops: bool) -> None:
        self._step = step
        self._stops = stops
        self._is_over = False
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def tried(self, values: list[Any] | bytes, count: int) -> tuple[list[Any] | bytes, Errors]:
        """As `work.tried`; values and results may be pickled. Raises StreamError where no process can be had."""
        pipe = self.begin()
        try:
            data = values if isinstance(values, bytes) else pickle.dumps(values, pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            said = f"it cannot be sent to a process: {type(error).__name__}: {error}"
            return self._one_by_one(values, count, TypeError(said))
        try:
            pipe.send_bytes(data)
            told, results = pipe.recv_bytes(), pipe.recv_bytes()
        except (EOFError, OSError):
            return self._one_by_one(values, count, ChildProcessError(f"its process {_how(self._ended())}"))
        if not told:
            return results, {}
        errors = {place: _error(*rest) for place, *rest in pickle.loads(told)}
        if child.UNREADABLE in errors:
            return self._one_by_one(values, count, errors[child.UNREADABLE])
        return unpacked(results), errors

    def _one_by_one(self, values: list[Any] | bytes, count: int, error: BaseException) -> tuple[list[Any], Errors]:
        """Something went wrong with all of them: which one is at fault?"""
        if count == 1 or self._is_over:
            return [None], {0: error}
        results: list[Any] = []
        errors: Errors = {}
        for place, value in enumerate(unpacked(values)):
            given, trouble = self.tried([value], 1)
            results += unpacked(given) or [None]
            if trouble:
                errors[place] = trouble[0]
                if self._stops:
                    break
        return results, errors

    def begin(self) -> Connection:
        """The pipe to the process that runs, or to a new one. Raises StreamError."""
        return self._pipe or self._began()

    def _began(self) -> Connection:
        for _ in range(TRIES):
            pipe = self._start()
            try:
                said = pipe.recv_bytes().decode()
            except (EOFError, OSError):
                code = self._ended()
                said = f"it {_how(code)} before it was ready"
                if code < 0 and not self._is_over:
                    continue
                said += f"; {GUARD}"
            if said:
                break
            return pipe
        self._ended()
        raise StreamError(f"step `{self._step.name}`: its process cannot run the function: {said}", self._step.name)

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, pickle.dumps(self._step.function), self._step.batch, self._stops)
        process = context.Process(target=child.main, args=arguments, daemon=True, name=f"stream {self._step.name}")
        try:
            with _family:
                process.start()
        except Exception as error:
            raise StreamError(f"step `{self._step.name}`: no process for it: {error}", self._step.name) from error
        finally:
            theirs.close()
        self._process, self._pipe = process, ours
        if self._is_over:
            process.kill()
        return ours

    def _ended(self) -> int:
        """Its exit code, below 0 for a signal; the next value gets another process."""
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if pipe is not None:
            pipe.close()
        if process is None:
            return 0
        with _family:
            process.join(END_S)  # without its pipe it ends by itself, and may have something to write
            if process.exitcode is None:
                process.kill()
                process.join()
            code = process.exitcode or 0
            try:
                process.close()
            except ValueError:
                pass  # somebody else has waited for it, and has not said so yet
        return code

    def kill(self) -> None:
        """It is to end now, and no other is to come."""
        self._is_over = True
        process = self._process
        if process is not None:
            try:
                process.kill()
            except ValueError:
                pass  # it is closed already

    def end(self) -> None:
        self._ended()


def _how(code: int) -> str:
    if code >= 0:
        return f"ended (exit {code})"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _error(packed: bytes | None, said: str, where: str) -> BaseException:
    error: BaseException
    try:
        error = RuntimeError(said) if packed is None else pickle.loads(packed)
    except Exception:
        error = RuntimeError(said)
    error.add_note(f"in a process of the step:\n{where}")
    return error
