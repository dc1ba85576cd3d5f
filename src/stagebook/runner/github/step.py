"""One step from its `if` to how it ended. Which step comes when is for `sequence`, what actions do for `actions`."""

from __future__ import annotations

import os
from contextlib import suppress

from stagebook.formats.github.expression import to_bool, to_text
from stagebook.formats.github.expression.value import to_number
from stagebook.model.problem import SurroundingsError
from stagebook.runner import shell
from stagebook.runner.github import shells
from stagebook.runner.github.commands import Listener
from stagebook.runner.github.files import Effects, Files
from stagebook.runner.github.work import CANCELLED, FAILURE, SKIPPED, SUCCESS, Done, Scope, Wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    #: A step as its file has it.
    Step = Mapping[str, Any]

NAME_MAX = 120


class Running:
    """A step that is being done, for whatever does it: its contexts, its variables, whom it speaks to."""

    def __init__(self, scope: Scope, step: Step, found: dict[str, Any], effects: Effects) -> None:
        self.scope = scope
        self.work = scope.work
        self.step = step
        self.found = found  #: contexts
        self.effects = effects
        self.env: dict[str, str] = {**self.work.env, **scope.env}
        self.listener = Listener(self.work.masks, effects, {**self.work.here.env, **self.env}, scope.prefix)
        self.code = 0
        self.was_asked = scope.stop.is_asked  #: to end, before it was decided whether this step runs

    def say(self, text: str) -> None:
        self.listener.say(text)

    def prepare(self) -> None:
        """The step's own variables. Raises Wrong."""
        own = self.scope.texts(self.step.get("env"), self.found, "env")
        self.env = {**self.env, **own}
        self.found = {**self.found, "env": self.env}
        self.listener = Listener(
            self.work.masks, self.effects, {**self.work.here.env, **self.env}, self.scope.prefix
        )  # fmt: skip

    def text(self, key: str) -> str:
        return self.scope.text(self.step.get(key), self.found, key)

    @property
    def timeout_s(self) -> float | None:
        said = self.step.get("timeout-minutes")
        if said is None:
            return None
        minutes = to_number(self.scope.filled(said, self.found, "timeout-minutes"))
        return minutes * 60 if minutes > 0 else None


def name_of(scope: Scope, step: Step, found: Mapping[str, Any]) -> str:
    """As GitHub shows it."""
    said = step.get("name")
    if said:
        try:
            return _line(scope.text(said, found, "name"))
        except Wrong:
            return _line(to_text(said))
    if "uses" in step:
        return _line(f"Run {step['uses']}")
    try:
        lines = scope.text(step.get("run"), found, "run").strip().splitlines()
    except Wrong:
        lines = to_text(step.get("run")).strip().splitlines()
    return _line(f"Run {lines[0]}") if lines else "Run"


def place_of(scope: Scope, step: Step) -> str:
    return f"{scope.file}:{step.get('line', 0)}"


def play(scope: Scope, step: Step) -> Done:
    """Do a step, unless its `if` says otherwise, and say how it went. What it changes is left to the caller."""
    found = scope.contexts()
    running = Running(scope, step, found, Effects())
    name = name_of(scope, step, found)
    head = f"== {name} ({place_of(scope, step)})"
    try:
        if not scope.holds(step, found):
            if scope.is_well or step.get("if") not in (None, ""):
                why = f": if: {_line(to_text(step['if']))}" if step.get("if") not in (None, "") else ""
                running.say(f"{head}: skipped{why}")
            return Done(SKIPPED, SKIPPED, running.effects)
        running.say(head)
        running.prepare()
        outcome = _do(running)
    except (Wrong, SurroundingsError) as error:
        running.say(f"ERROR: {error}")
        outcome, running.code = FAILURE, 1
    return _ended(running, name, outcome)


def _do(running: Running) -> str:
    if "uses" in running.step:
        from stagebook.runner.github import actions

        return actions.use(running)
    if "run" in running.step:
        return script(running)
    raise Wrong("a step needs `run` or `uses`")


def _ended(running: Running, name: str, outcome: str) -> Done:
    if outcome not in (FAILURE, CANCELLED):
        return Done(outcome, outcome, running.effects)
    conclusion = outcome
    try:
        said = running.step.get("continue-on-error")
        if outcome == FAILURE and said is not None:
            allowed = running.scope.filled(said, running.found, "continue-on-error")
            if to_bool(allowed) and allowed != "false":
                conclusion = SUCCESS
    except Wrong as error:
        running.say(f"ERROR: {error}")
    place = place_of(running.scope, running.step)
    if outcome == CANCELLED:
        running.say(f'step "{name}" ({place}): stopped')
    elif conclusion == SUCCESS:
        running.say(f'warning: step "{name}" ({place}) failed with exit {running.code}, which its file allows')
    else:
        running.say(f'ERROR: step "{name}" ({place}) failed with exit {running.code}')
    return Done(outcome, conclusion, running.effects, running.code)


# Scripts


def script(running: Running) -> str:
    """A step with `run`. Raises Wrong, SurroundingsError."""
    scope, work = running.scope, running.work
    timeout_s = running.timeout_s
    text = scope.text(running.step.get("run"), running.found, "run")
    cwd = _directory(running)
    env = work.process_env(running.env, running.found)
    named = running.step.get("shell") or scope.defaults.get("shell")
    if not named and scope.action_path:
        raise Wrong("a step with `run` in an action needs `shell`")
    try:
        found = shells.shell(scope.text(named, running.found, "shell") or None, text, env.get("PATH"))
    except ValueError as error:
        raise Wrong(str(error)) from None
    number = work.number()
    path = shell.script_file(work.temp, f"{number}{found.ending}", found.text.replace("\r\n", "\n"))
    argv = (*work.prefix, *found.command(path))
    try:
        return command(running, argv, cwd, env, timeout_s, number)
    finally:
        with suppress(OSError):
            os.unlink(path)  # expressions may have put secrets into it


def command(
    running: Running, argv: tuple[str, ...], cwd: str, env: Mapping[str, str], timeout_s: float | None, number: int
) -> str:
    """Run a command of a step, with the files by which it speaks to the job. Raises SurroundingsError."""
    files = Files(running.work.files, str(number))
    ended = shell.run(
        argv, {**env, **files.env}, cwd, running.scope.stop, timeout_s=timeout_s, hear=running.listener.hear,
        heard=running.listener.heard, part=running.listener.part, was_asked=running.was_asked,
    )  # fmt: skip
    wrong = files.take(running.effects)
    files.remove()
    for each in wrong:
        running.say(f"ERROR: {each}")
    running.code = ended.code
    if ended.is_timeout:
        assert timeout_s is not None
        running.say(f"ERROR: it took more than {timeout_s / 60:g} minutes")
        return FAILURE
    if ended.is_stopped:
        return CANCELLED
    if wrong or running.listener.failed:
        running.code = running.code or 1
        return FAILURE
    return SUCCESS if ended.code == 0 else FAILURE


def _directory(running: Running) -> str:
    scope = running.scope
    said = running.step.get("working-directory") or scope.defaults.get("working-directory")
    below = scope.text(said, running.found, "working-directory")
    path = os.path.normpath(os.path.join(running.work.workspace, below)) if below else running.work.workspace
    if not os.path.isdir(path):
        raise Wrong(f"working-directory: {below} is not there (in the workspace; is a checkout missing before it?)")
    return path


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= NAME_MAX else line[: NAME_MAX - 1] + "…"
