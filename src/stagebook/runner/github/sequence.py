"""Steps one after the other, and those that run beside them: `background`, `wait`, `wait-all`, `cancel`, `parallel`."""

from __future__ import annotations

import os
import signal
from time import monotonic_ns

from stagebook.formats.github.expression import to_bool, to_text
from stagebook.formats.native.nodes import shorten
from stagebook.runner import shell
from stagebook.runner.github import step as steps
from stagebook.runner.github.files import Effects
from stagebook.runner.github.work import CANCELLED, FAILURE, SKIPPED, SUCCESS, Done, Scope, Wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Thread
    from typing import Any, Mapping

TOGETHER_MAX = 10  #: steps that run at once in the background, as GitHub's runner has it
GRACE_S = 10.0  #: from asking a background step to end to killing it
_CONTROL = ("wait", "wait-all", "cancel", "parallel")


class Part(shell.Stop):
    """Ends what runs for one background step; and is asked to when the whole job is."""

    def __init__(self, whole: shell.Stop) -> None:
        self._whole = whole
        self.wake, self.grace_s = whole.wake, whole.grace_s
        self._is_asked = False
        self.groups: set[int] = _Both(whole.groups)

    @property
    def is_asked(self) -> bool:  # type: ignore[override]
        return self._is_asked or self._whole.is_asked

    @property
    def asked_s(self) -> float | None:  # type: ignore[override]
        """When the whole job was: who asks this alone sees to its end."""
        return self._whole.asked_s

    def ask(self, number: int) -> None:
        self._is_asked = True
        for group in list(self.groups):
            try:
                os.killpg(group, number)
            except (ProcessLookupError, PermissionError):
                pass


class _Both(set[int]):
    """What is in it is in another set too."""

    def __init__(self, other: set[int]) -> None:
        super().__init__()
        self._other = other

    def add(self, group: int) -> None:
        super().add(group)
        self._other.add(group)

    def discard(self, group: object) -> None:
        super().discard(group)
        self._other.discard(group)


class _Beside:
    """A step in the background."""

    def __init__(self, step: Mapping[str, Any], name: str, part: Part) -> None:
        self.step = step
        self.name = name
        self.part = part
        self.thread: Thread | None = None
        self.done: Done | None = None
        self.is_taken = False
        self.is_cancelled = False


class Sequence:
    """The steps of a scope, as they are done."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._beside: dict[str, _Beside] = {}
        self._slots: Any = None
        self._ended = SUCCESS  #: the outcome of the step before
        #: Of each step its name as the file has it, how it ended, and when it began and ended, by the monotonic clock.
        self.times: list[tuple[str, str, int, int]] = []

    def play(self, all_steps: list[Any]) -> None:
        """All of them. How it went is the scope's `status` then."""
        for step in all_steps:
            if isinstance(step, dict):
                began_ns = monotonic_ns()
                self._one(step)
                self.times.append((raw_name(step), self._ended, began_ns, monotonic_ns()))
        self._drain()

    def _one(self, step: Mapping[str, Any]) -> None:
        self._ended = SUCCESS
        control = next((key for key in _CONTROL if key in step), None)
        if control is not None:
            self._control(control, step)
        elif step.get("background") is True:
            self._start(step, str(step.get("id") or f"line {step.get('line', len(self._beside))}"))
        else:
            was_well = self.scope.status == SUCCESS
            done = steps.play(self.scope, step)
            self.scope.work.apply(done.effects)
            self.scope.took(step, done)
            self._ended = done.outcome
            if was_well and self.scope.status != SUCCESS:
                found = self.scope.contexts()
                name, place = steps.name_of(self.scope, step, found), steps.place_of(self.scope, step)
                self.scope.blame = f'step "{name}" ({place})'
            elif not was_well and done.outcome != SKIPPED:
                self.scope.is_buried = True

    # Steps that speak of others

    def _control(self, control: str, step: Mapping[str, Any]) -> None:
        found = self.scope.contexts()
        running = steps.Running(self.scope, step, found, Effects())
        names = {"wait": "Wait", "wait-all": "Wait for all", "cancel": "Cancel", "parallel": "Parallel"}
        name = to_text(step.get("name")) or names[control]
        try:
            if not self.scope.holds(step, found):
                self.scope.took(step, Done(SKIPPED, SKIPPED, running.effects))
                return
            asked = [to_text(each) for each in _listed(step.get(control))]
            if control == "parallel":
                asked = self._group(step)
            elif control == "wait-all":
                asked = [id for id, each in self._beside.items() if not each.is_taken]
            running.say(f"== {name}: {', '.join(asked) or 'nothing runs'} ({steps.place_of(self.scope, step)})")
            unknown = [each for each in asked if self._find(each) is None]
            if unknown:
                raise Wrong(f"no step before it runs in the background under the id {unknown[0]!r}")
        except Wrong as error:
            running.say(f"ERROR: {error}")
            self.scope.took(step, Done(FAILURE, FAILURE, running.effects, 1))
            return
        self._finish(step, [each for id in asked if (each := self._find(id)) is not None], control)

    def _finish(self, step: Mapping[str, Any], found: list[_Beside], control: str) -> None:
        code = 0
        for each in found:
            if control == "cancel":
                self._cancel(each)
            else:
                self._wait(each)
            done = self._take(each)
            if control != "cancel" and done.conclusion in (FAILURE, CANCELLED):
                code = code or done.code or 1
        outcome = FAILURE if code else SUCCESS
        conclusion = SUCCESS if to_bool(step.get("continue-on-error")) else outcome
        self.scope.took(step, Done(outcome, conclusion, Effects(), code))

    def _group(self, step: Mapping[str, Any]) -> list[str]:
        """Start all steps of a `parallel`; their ids."""
        started = []
        for number, each in enumerate(_listed(step.get("parallel"))):
            if isinstance(each, dict):
                id = str(each.get("id") or f"line {each.get('line') or (step.get('line', 0), number)}")
                started.append(self._start(each, id))
        return started

    def _find(self, id: str) -> _Beside | None:
        for name, each in self._beside.items():
            if name.lower() == id.lower():
                return each
        return None

    # In the background

    def _start(self, step: Mapping[str, Any], id: str) -> str:
        """What it goes by from now on: several without an `id` may stand in one line."""
        from threading import BoundedSemaphore, Thread

        if self._slots is None:
            self._slots = BoundedSemaphore(TOGETHER_MAX)
        outer = self.scope
        name = steps.name_of(outer, step, outer.contexts())
        part = Part(outer.stop)
        inner = Scope(outer.work, outer.inputs, outer.env)
        inner.steps, inner.status, inner.code = outer.steps, outer.status, outer.code
        inner.action_path, inner.file, inner.defaults, inner.trail = (
            outer.action_path, outer.file, outer.defaults, outer.trail,
        )  # fmt: skip
        inner.stop, inner.prefix = part, f"{outer.prefix}[{name}] "
        beside = _Beside(step, name, part)

        def do() -> None:
            with self._slots:
                try:
                    beside.done = steps.play(inner, step)
                except Exception as error:  # a thread must not end without a word
                    steps.Running(inner, step, inner.contexts(), Effects()).say(f"ERROR: {error}")

        beside.thread = Thread(target=do, daemon=True)
        beside.thread.start()
        key, count = id, 1
        while key in self._beside:
            count += 1
            key = f"{id} ({count})"
        self._beside[key] = beside
        return key

    def _wait(self, beside: _Beside, until_s: float | None = None) -> None:
        assert beside.thread is not None
        beside.thread.join(until_s)

    def _cancel(self, beside: _Beside) -> None:
        """Ask it to end, and see to it that it does."""
        assert beside.thread is not None
        if not beside.thread.is_alive():
            return
        beside.is_cancelled = True
        beside.part.ask(signal.SIGTERM)
        self._wait(beside, GRACE_S)
        if beside.thread.is_alive():
            beside.part.ask(signal.SIGKILL)
            self._wait(beside)

    def _take(self, beside: _Beside) -> Done:
        """What it has changed holds from now on."""
        done = beside.done or Done(FAILURE, FAILURE, Effects(), 1)
        if not beside.is_taken:
            beside.is_taken = True
            self.scope.work.apply(done.effects)
            failing = done.conclusion == FAILURE or (done.conclusion == CANCELLED and not beside.is_cancelled)
            counts = done if failing else done._replace(conclusion=SUCCESS if beside.is_cancelled else done.conclusion)
            self.scope.took(beside.step, counts)
        return done

    def _drain(self) -> None:
        """Wait for those that nobody has waited for."""
        for beside in self._beside.values():
            if not beside.is_taken:
                if beside.thread is not None and beside.thread.is_alive():
                    steps.Running(self.scope, beside.step, self.scope.contexts(), Effects()).say(
                        f"waiting for the background step {beside.name}, which no step has waited for or cancelled"
                    )
                self._wait(beside)
                self._take(beside)


def raw_name(step: Mapping[str, Any]) -> str:
    """As the map calls a step: by its text in the file, whatever that evaluates to."""
    if step.get("name"):
        return " ".join(to_text(step["name"]).split())
    if "uses" in step:
        return f"Run {shorten(to_text(step['uses']))}"
    lines = to_text(step.get("run")).strip().splitlines()
    return f"Run {shorten(lines[0] if lines else '')}"


def _listed(value: Any) -> list[Any]:
    if value is None or isinstance(value, bool):
        return []
    return value if isinstance(value, list) else [value]
