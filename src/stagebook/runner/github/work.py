"""One job while its steps run: what they share, what each leaves for those after it. Runs nothing itself.

Tables that several steps may read at once are never changed, but made anew.
"""

from __future__ import annotations

import os

from stagebook.formats.github.expression import (
    UNKNOWN,
    ExpressionError,
    condition,
    evaluate,
    fill,
    has_status,
    to_bool,
    to_text,
)
from stagebook.model.value import NamedTuple
from stagebook.runner import shell
from stagebook.runner.github import contexts
from stagebook.runner.github.commands import Masks
from stagebook.runner.github.files import Effects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

    from stagebook.runner.here import Here

SUCCESS, FAILURE, CANCELLED, SKIPPED = "success", "failure", "cancelled", "skipped"


class Wrong(Exception):
    """Why a step cannot be done as its file has it."""


class Done(NamedTuple):
    """How a step ended. `outcome` is before `continue-on-error`, `conclusion` after it. `code`: the exit status."""

    outcome: str
    conclusion: str
    effects: Effects
    code: int = 0


class Post(NamedTuple):
    """What is left to do when all steps are over, the last first."""

    title: str
    do: Callable[[], None]


class Work:
    """What all steps of a job share, those inside actions too."""

    def __init__(self, here: Here, stop: shell.Stop) -> None:
        self.here = here
        self.stop = stop
        self.temp = os.path.join(here.place, "_temp")
        self.files = os.path.join(here.place, "files")
        wanted = here.spec.get("secrets")
        secrets = (
            {name: here.secrets[held] for name, held in wanted.items() if held in here.secrets}
            if wanted is not None
            else dict(here.secrets)
        )
        self.masks = Masks(list(here.secrets.values()))
        self.base = contexts.base(here, secrets, self.temp)
        self.env: dict[str, str] = {}  #: of the workflow and the job, and what steps have put into GITHUB_ENV
        self.path: tuple[str, ...] = ()  #: entries before PATH, the first to be looked at first
        self.prefix: tuple[str, ...] = ()  #: goes before each command, in place of the job's image
        self.image_env: dict[str, str] = {}
        self.services: dict[str, Any] = {}
        self.posts: list[Post] = []
        self.summary = ""
        self.left_out: list[str] = []  #: what has no equivalent here, for the record
        self.count = 0  #: of files made so far, for their names
        self.states: dict[str, dict[str, str]] = {}

    @property
    def workspace(self) -> str:
        return self.here.workspace

    def number(self) -> int:
        self.count += 1
        return self.count

    def apply(self, effects: Effects) -> None:
        """What a step that is over has changed for those after it."""
        if effects.env:
            self.env = {**self.env, **effects.env}
        for entry in effects.path:
            self.path = (entry, *(each for each in self.path if each != entry))
        self.summary += effects.summary

    def process_env(self, own: Mapping[str, str], found: Mapping[str, Any]) -> dict[str, str]:
        """The environment of a step's process. `own`: all variables of the step, the job's included."""
        env = {**self.here.env, **self.image_env, **contexts.variables(found), **own}
        if self.path:
            env["PATH"] = os.pathsep.join((*self.path, *([env["PATH"]] if env.get("PATH") else [])))
        return env


class Scope:
    """A list of steps and what they see: those of the job, or those of one action inside it."""

    def __init__(
        self, work: Work, inputs: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.work = work
        self.inputs = inputs  #: None: the job's
        self.env = dict(env or {})  #: of the steps around it
        self.steps: dict[str, Any] = {}
        self.status = SUCCESS
        self.code = 0  #: the exit status of the first step that failed
        self.blame = ""  #: that step, in words
        self.is_buried = False  #: others have spoken since
        self.action_path = ""
        self.file = work.here.spec.get("file") or os.path.basename(work.here.pipeline.file)
        self.defaults: Mapping[str, Any] = {}
        self.trail: tuple[str, ...] = ()  #: actions around
        self.stop: shell.Stop = work.stop
        self.prefix = ""  #: before each line in the log

    # What expressions see

    def contexts(self, env: Mapping[str, str] | None = None) -> dict[str, Any]:
        """`env`: all variables, where a step's own are known already."""
        found = dict(self.work.base)
        if self.inputs is not None:
            found["inputs"] = self.inputs
        if self.action_path:
            found["github"] = {**found["github"], "action_path": self.action_path}
        status = CANCELLED if self.stop.is_asked else self.status
        found["env"] = {**self.work.env, **self.env} if env is None else dict(env)
        found["job"] = {"status": status, "container": {}, "services": self.work.services}
        found["steps"] = self.steps
        return found

    @property
    def is_well(self) -> bool:
        return self.status == SUCCESS and not self.stop.is_asked

    @property
    def functions(self) -> dict[str, Callable[..., Any]]:
        is_cancelled = self.stop.is_asked
        return {
            "success": lambda *_: self.is_well,
            "failure": lambda *_: not is_cancelled and self.status == FAILURE,
            "cancelled": lambda *_: is_cancelled,
            "always": lambda *_: True,
            "hashfiles": lambda *globs: contexts.hash_files(self.work.workspace, [to_text(each) for each in globs]),
        }

    def filled(self, value: Any, found: Mapping[str, Any], what: str) -> Any:
        """A value of the file with its expressions evaluated, at any depth. Raises Wrong."""
        if isinstance(value, dict):
            return {name: self.filled(each, found, f"{what}.{name}") for name, each in value.items()}
        if isinstance(value, list):
            return [self.filled(each, found, what) for each in value]
        if not isinstance(value, str):
            return value
        try:
            made = fill(value, found, self.functions)
        except ExpressionError as error:
            raise Wrong(f"{what}: {error}") from None
        return "" if made is UNKNOWN else made

    def text(self, value: Any, found: Mapping[str, Any], what: str) -> str:
        return to_text(self.filled(value, found, what))

    def texts(self, table: Any, found: Mapping[str, Any], what: str) -> dict[str, str]:
        """A table of variables. One that is an expression as a whole gives the table."""
        made = self.filled(table, found, what)
        if made is None or made == "":
            return {}
        if not isinstance(made, dict):
            raise Wrong(f"{what}: a mapping is expected")
        return {name: to_text(value) for name, value in made.items()}

    def holds(self, step: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
        """Whether the `if` of a step does; without a status function only while all is well. Raises Wrong."""
        said = step.get("if")
        functions = self.functions
        if said is None or said == "":
            return self.is_well
        try:
            tree = condition(to_text(said))
            if not has_status(tree) and not self.is_well:
                return False
            value = evaluate(tree, found, functions)
        except ExpressionError as error:
            raise Wrong(f"if: {error}") from None
        return value is not UNKNOWN and to_bool(value)

    def took(self, step: Mapping[str, Any], done: Done) -> None:
        """A step is over: later ones see how it went."""
        if step.get("id"):
            entry = {"outputs": done.effects.outputs, "outcome": done.outcome, "conclusion": done.conclusion}
            self.steps = {**self.steps, str(step["id"]): entry}
        if done.conclusion in (FAILURE, CANCELLED):
            self.failed(done.code)

    def failed(self, code: int) -> None:
        if self.status == SUCCESS:
            self.status = FAILURE
            self.code = code or 1
