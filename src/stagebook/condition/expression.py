"""The conditions of a pipeline: each read once, with all that is wrong at its place in the file. Evaluates nothing.

Whoever has no condition imports nothing of this room: `has_conditions` of `stagebook.condition` says so beforehand.
"""

from __future__ import annotations

from stagebook.condition import cel, meaning
from stagebook.model.globs import refusal
from stagebook.model.pipeline import Condition, Pipeline, Stage
from stagebook.model.problem import Problem
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator


class Compiled(NamedTuple):
    """An expression ready to be judged, or with its `mistakes`, for which `tree` may be None."""

    tree: Any
    mistakes: tuple[cel.Mistake, ...]
    stages: tuple[tuple[str, int, int], ...] = ()  #: asked for, with line and column of the name in the text
    atoms: tuple[tuple[str, ...], ...] = ()  #: facts it speaks of, as paths: ("branch",), ("params", "channel") …

    def needs(self, root: str) -> bool:
        return any(atom[0] == root for atom in self.atoms)


_NOTHING = Compiled(None, ())


class Compiler:
    """Compiles the conditions of one pipeline; many stages may share a text, which is compiled once."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._params = {name: param.choices for name, param in pipeline.params.items()}
        self._secrets = secrets(pipeline)
        self._known: dict[tuple[str, bool], Compiled] = {}

    def compile(self, condition: Condition, is_early: bool = False) -> Compiled:
        """`is_early`: it is judged before the run begins. One in a CI system's own language has nothing for this room:
        its reader has checked it."""
        if condition.language != "cel":
            return _NOTHING
        key = (condition.text, is_early)
        made = self._known.get(key)
        if made is None:
            made = self._known[key] = self._compile(condition.text, is_early)
        return made

    def _compile(self, text: str, is_early: bool) -> Compiled:
        try:
            tree = cel.parse(text)
        except cel.Mistake as mistake:
            return Compiled(None, (mistake,))
        found = meaning.read(tree, meaning.Names(self._params, self._secrets, is_early))
        return Compiled(tree, *found)


_latest: tuple[Pipeline, Compiler] | None = None


def compiler_of(pipeline: Pipeline) -> Compiler:
    """The one compiler of a pipeline: what has been compiled to check it is there to judge it."""
    global _latest
    if _latest is None or _latest[0] is not pipeline:
        _latest = pipeline, Compiler(pipeline)
    return _latest[1]


def secrets(pipeline: Pipeline) -> frozenset[str]:
    """The names of declared secrets, which no condition may read."""
    return frozenset(secret.name for secret in pipeline.secrets)


def problems(pipeline: Pipeline) -> list[Problem]:
    """All that is wrong with conditions, rules of `policy` and globs of `changed`, in order of place."""
    compiler = compiler_of(pipeline)
    places = _Places(pipeline.file)
    order = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    found: set[Problem] = set()
    for condition, compiled in _rules(pipeline, compiler):
        found.update(places.problem(condition, mistake) for mistake in compiled.mistakes)
    for stage in pipeline.stages:
        for glob in stage.changed:
            why = refusal(glob)
            if why is not None:
                found.add(Problem(pipeline.file, stage.line, stage.col, "glob", "error", f"`changed`: {why}"))
        if stage.when is None:
            continue
        compiled = compiler.compile(stage.when)
        found.update(places.problem(stage.when, mistake) for mistake in compiled.mistakes)
        for name, line, col in compiled.stages:
            said = _unheard(pipeline, order, stage, name)
            if said is not None:
                found.add(places.problem(stage.when, cel.Mistake(line, col, said, "unknown-stage")))
    return sorted(found)


def _rules(pipeline: Pipeline, compiler: Compiler) -> Iterator[tuple[Condition, Compiled]]:
    for rule in pipeline.policies:
        if rule.when is not None:
            yield rule.when, compiler.compile(rule.when, is_early=True)


def _unheard(pipeline: Pipeline, order: dict[str, int], stage: Stage, name: str) -> str | None:
    """Why the outcome of stage `name` is not known when `stage` is judged; None where it is."""
    if name in stage.needs:
        return None
    if name == stage.id:
        return f"stage '{name[:60]}' asks for itself, before it has run"
    if name in pipeline.matrices:
        cell = pipeline.matrices[name].cells[0]
        return f"'{name[:60]}' is a matrix; name one of its cells, as in stages[\"{cell}\"]"
    if name in pipeline.groups:
        return f"'{name[:60]}' is a group; name one of its stages"
    if name not in order:
        return f"unknown stage '{name[:60]}'{meaning.nearest(name, order)}"
    if _waits_for(pipeline, order, order[stage.id], order[name]):
        return None
    return f"`{stage.id}` does not wait for '{name[:60]}', so its outcome would not be known; add it to `needs`"


def _waits_for(pipeline: Pipeline, order: dict[str, int], stage: int, other: int) -> bool:
    todo, seen = [stage], {stage}
    while todo:
        for need in pipeline.stages[todo.pop()].needs:
            index = order[need]
            if index == other:
                return True
            if index not in seen:
                seen.add(index)
                todo.append(index)
    return False


class _Places:
    """Where in the file a character of an expression stands. The file is read once, and only when something is wrong.

    Quotes, escapes, folding and indentation change where, but never the order of what is not white space; so the text
    is followed through the file character by character.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._lines: list[str] | None = None

    def problem(self, condition: Condition, mistake: cel.Mistake) -> Problem:
        line, col = self._find(condition, mistake.line, mistake.col)
        return Problem(self._file, line, col, mistake.code, "error", f"`when`: {mistake}")

    def _find(self, condition: Condition, line: int, col: int) -> tuple[int, int]:
        if self._lines is None:
            self._lines = _lines_of(self._file)
        lines = condition.text.split("\n")
        offset = sum(len(each) + 1 for each in lines[: line - 1]) + col - 1
        found = self._follow(condition, offset)
        if found is not None:
            return found
        return (condition.line, condition.col + col - 1) if line == 1 else (condition.line + line - 1, col)

    def _follow(self, condition: Condition, offset: int) -> tuple[int, int] | None:
        """The place of the character at `offset`; just behind the text where it ends before. None: not found."""
        assert self._lines is not None
        row, at, quote = condition.line - 1, condition.col - 1, ""
        if not 0 <= row < len(self._lines):
            return None
        if at > 0:
            quote = self._lines[row][at - 1 : at]
            if quote in ("|", ">"):
                row, at = row + 1, 0
        for number, wanted in enumerate(condition.text):
            if wanted.isspace():
                continue
            while row < len(self._lines) and not self._lines[row][at:].strip():
                row, at = row + 1, 0
            if row >= len(self._lines):
                return None
            text = self._lines[row]
            at += len(text[at:]) - len(text[at:].lstrip())
            if number >= offset:
                return row + 1, at + 1
            if quote == '"' and text[at] == "\\":
                at += {"x": 4, "u": 6, "U": 10}.get(text[at + 1 : at + 2], 2)
            elif text[at] == wanted:
                at += 2 if quote == wanted == "'" else 1
            else:
                return None
        return row + 1, at + 1


def _lines_of(file: str) -> list[str]:
    try:
        with open(file, encoding="utf-8-sig", errors="replace") as lines:
            return lines.read().split("\n")
    except OSError:
        return []
