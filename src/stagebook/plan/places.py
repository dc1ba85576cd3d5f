"""What a stage names: the files that its command, its variables and the scripts that it runs speak of. So it can be
told whether what it declares is all of it, as far as that can be read.

Nothing is started. A command and a script of the shell are read word by word, a script in Python by its syntax tree.
What cannot be read so (a network, a daemon, another language, a tool that runs what a third file says) makes a stage
*open*: its declarations are then taken for a part of the truth. Where the line is, and why, is in
docs/explanation/orders.md. What follows from it for an order is in `orders`.
"""

from __future__ import annotations

import os
from posixpath import normpath

from stagebook.model.globs import Globs, Meeting, is_path
from stagebook.plan import scripts
from stagebook.plan.scripts import Said, looks_like_a_place
from stagebook.plan.shell import Shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Sequence

    from stagebook.model.pipeline import Pipeline, Stage

_KINDS = ("run", "cmd", "python")


class Account(Said):
    """What one stage says. `inputs` and `outputs` are its globs; `foreign` are places that only others declare which
    run the same script."""

    __slots__ = ("foreign", "inputs", "outputs")

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.inputs = stage.inputs
        self.outputs = tuple([output.path for output in stage.outputs])
        self.foreign: set[str] = set()


class Places:
    """The accounts of a pipeline's stages, read when they are asked for."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.folder = pipeline.folder
        self.stages = pipeline.stages
        self._accounts: dict[int, Account] = {}
        self._said: dict[int, Account] = {}
        self._words: dict[str, set[str]] | None = None
        self._links: dict[str, bool] = {}
        self._meeting = Meeting()
        self._texts: dict[str, str | None] = {}

    def account(self, index: int) -> Account:
        """`why_open` is why what the stage declares is not all, None where it is as far as can be read."""
        found = self._accounts.get(index)
        if found is None:
            found = self._accounts[index] = self._read(index)
            if found.why_open is None:
                found.why_open = self._undeclared(index, found)
        return found

    def meet(self, one: str, others: Iterable[str], is_loose: bool = True) -> str | None:
        """The first of the globs that may mean the same file as a place does; `is_loose`: in whatever folder."""
        for other in others:
            if any(self._same(form, other) for form in (_forms(one) if is_loose else [one])):
                return other
        return None

    def is_read(self, place: str, globs: Sequence[str]) -> bool:
        """Whether a script that names the place speaks of a file that these globs mean."""
        return any(self._same(form, glob) for form in _whole(place) for glob in globs)

    # What it says

    def _read(self, index: int) -> Account:
        if index in self._said:
            return self._said[index]
        stage = self.stages[index]
        found = self._said[index] = Account(stage)
        if stage.kind not in _KINDS:
            found.open(f"{stage.id} is no command")
        elif stage.secrets:
            found.open(f"{stage.id} is given secrets, so it speaks to something outside")
        else:
            self._command(stage, found)
            for name, value in stage.env.items():
                if "://" in value or (name.endswith("PORT") and value.isdigit()):
                    found.open(f"{name} is the address of something that others may use too")
                elif looks_like_a_place(value):
                    found.reads.add(normpath(value))
        return found

    def _command(self, stage: Stage, found: Account) -> None:
        shell = Shell(self.text, self.words, found, stage.dir or ".", _variables(stage))
        if stage.kind == "python":
            module = str(stage.command).partition(":")[0].replace(".", "/")
            shell.program(["python3", "-m", module.replace("/", ".")])
        elif isinstance(stage.command, str):
            shell.read(stage.command)
        else:
            shell.program(list(stage.command))

    def text(self, path: str) -> str | None:
        """What a script holds; None where it is not there. Empty where it is no text."""
        if path not in self._texts:
            self._texts[path] = _text(os.path.join(self.folder, path))
        return self._texts[path]

    def words(self, path: str) -> set[str]:
        """With which words any of the stages runs a script."""
        if self._words is None:
            self._words = {}
            for stage in self.stages:
                words = stage.command.split() if isinstance(stage.command, str) else stage.command
                for at, word in enumerate(words):
                    if word.endswith(".py"):
                        script = normpath(os.path.join(stage.dir or ".", word))
                        self._words.setdefault(script, set()).update(words[at + 1 :])
        return self._words.get(path, set())

    # Whether it is all

    def _undeclared(self, index: int, found: Account) -> str | None:
        stage = self.stages[index]
        for glob in (*found.inputs, *found.outputs):
            if self._leads_elsewhere(glob):
                return f"a part of {glob} is a link to somewhere else"
        shared = self._with_the_same_script(index, found)
        for place in sorted(found.writes):
            if not self._declares(place, found.outputs, found, True) and not self._lent(place, found, shared):
                if self._declares(place, found.inputs, found, True):
                    return f"{stage.id} changes {place}, which it does not declare as an output"
                return f"{stage.id} names {place}, which it does not declare"
        both = (*found.inputs, *found.outputs)
        for place in sorted(found.reads):
            if not self._declares(place, both, found, place in found.loose) and not self._lent(place, found, shared):
                return f"{stage.id} names {place}, which it does not declare"
        return None

    def _leads_elsewhere(self, glob: str) -> bool:
        """Whether another path means the same file, by a link that is there."""
        plain = glob if is_path(glob) else glob[: min(glob.find(mark) for mark in "*?[" if mark in glob)]
        if plain not in self._links:
            path = os.path.join(os.path.realpath(self.folder), normpath(plain)) if plain else self.folder
            self._links[plain] = bool(plain) and os.path.realpath(path) != normpath(path)
        return self._links[plain]

    def _declares(self, place: str, globs: Sequence[str], found: Account, is_folder_enough: bool) -> bool:
        forms = _forms(place) if place in found.loose else [place]
        for form in forms:
            if is_path(form):
                if Globs(globs).first([form]) is not None or f"{form}/**" in globs:
                    return True
            elif any(self._same(form, glob) for glob in globs):
                return True
            if is_folder_enough and (place in found.folders or place in found.loose):
                if any(_leads_through(glob, form) for glob in globs):
                    return True
        return False

    def _lent(self, place: str, found: Account, others: Sequence[int]) -> bool:
        """Whether it is named in a script that others run as well, for another part of it, and one of them declares
        it."""
        if place not in found.loose:
            return False
        for other in others:
            theirs = self._read(other)
            if self._declares(place, (*theirs.inputs, *theirs.outputs), found, True):
                found.foreign.add(place)
                return True
        return False

    def _with_the_same_script(self, index: int, found: Account) -> list[int]:
        if not found.scripts:
            return []
        return [
            other
            for other, stage in enumerate(self.stages)
            if other != index and stage.kind in _KINDS and found.scripts <= self._read(other).scripts
        ]

    def _same(self, one: str, other: str) -> bool:
        return Globs([other]).first([one]) is not None if is_path(one) else self._meeting.meet(one, other)


def _whole(place: str) -> list[str]:
    """A file of that name, in any folder: one that is called `grown` is not `grown.py`."""
    return [place, f"**/{place.lstrip('/')}"] if is_path(place) else _forms(place)


def _forms(place: str) -> list[str]:
    """What a text in a script may stand for: a file of that name in any folder, the end or the beginning of a name."""
    bare = place.lstrip("/")
    return [place, f"**/{bare}", f"**/*{bare}", f"**/{bare}.*", f"{bare}.*"]


def _leads_through(glob: str, folder: str) -> bool:
    """Whether a glob leads through a folder by name, wherever that folder is."""
    if not is_path(folder):
        folder = folder.rpartition("*")[2].lstrip("/")
        return bool(folder) and f"/{folder.rstrip('/')}/" in f"/{glob}"
    return glob.startswith(f"{folder.rstrip('/')}/") or folder == "."


def _variables(stage: Stage) -> dict[str, str]:
    cell = {f"MATRIX_{name.upper()}": value for name, value in (stage.cell or {}).items()}
    return {**stage.env, **cell, **dict.fromkeys(stage.env_from, "*")}


def _text(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            data = file.read(scripts.BYTES_MAX)
    except OSError:
        return None
    if b"\0" in data or len(data) == scripts.BYTES_MAX:
        return ""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return ""
