"""A walk along a workflow's nodes and its schema at once: what is wrong with the shape is said, every key is counted,
and every text in which an expression may stand is collected. No meaning, no expression is read here."""

from __future__ import annotations

import re

from stagebook.formats.github import schema
from stagebook.formats.github.schema import Any, Either, List, Map, Names, Text
from stagebook.formats.native.nodes import is_nameable, shorten
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node, Source
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

    from stagebook.formats.github.schema import Shape

#: As YAML 1.2 reads scalars without quotes.
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
TRUE, FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
INSERT = re.compile(r"\$\{\{\s*insert\s*\}\}")
PROBLEMS_MAX = 500
NEAREST_MAX = 50  #: problems after which no likely word is looked for any more
_KINDS = {MAP: "a mapping", LIST: "a list", SCALAR: "text"}


class Spot(NamedTuple):
    """A text in which expressions may stand, or may not (`site` None). `key` is its place with the user's names left
    out. `condition`: it is an expression as a whole. `type` is what it has to become: text, bool, number, integer,
    map, list or any."""

    node: Node
    site: str | None
    key: str
    type: str
    condition: bool = False
    job: str | None = None
    step: int | None = None


class Key(NamedTuple):
    """A key of the file: the way to it, the same without the user's names, and where it stands."""

    path: str
    key: str
    node: Node


class Walk:
    """Along one file. `keys` are those that the file has, in its order."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.spots: list[Spot] = []
        self.keys: list[Key] = []
        self.job: str | None = None
        self.step: int | None = None
        self.said: set[tuple[int, int, str]] = set()

    # Saying -----------------------------------------------------------------------------------------------------------

    def problem(self, node: Node, code: str, message: str, level: str = "error") -> None:
        """Once for each place, however often an alias leads there."""
        place = (node.line, node.col, message)
        if place not in self.said and len(self.said) < PROBLEMS_MAX:
            self.said.add(place)
            self.source.problem(node, code, message, level)

    def expected(self, node: Node, label: str, what: str) -> None:
        found = "nothing" if node.is_null else _KINDS[node.kind]
        self.problem(node, "type", f"`{shorten(label)}` must be {what}, not {found}")

    # Walking ----------------------------------------------------------------------------------------------------------

    def walk(self, node: Node, shape: Shape, path: str, key: str, label: str, at: Node | None = None) -> None:
        """`at`: the key of the node, where there is one, or what else stands for it where something is missing."""
        kind = type(shape)
        if kind is Text:
            self.text(node, shape, key, label)  # type: ignore[arg-type]
        elif kind is Map:
            self.map(node, shape, path, key, label, at)  # type: ignore[arg-type]
        elif kind is Names:
            self.names(node, shape, path, key, label)  # type: ignore[arg-type]
        elif kind is List:
            self.list(node, shape, path, key, label)  # type: ignore[arg-type]
        elif kind is Either:
            self.either(node, shape, path, key, label, at)  # type: ignore[arg-type]
        elif kind is Any:
            self.any(node, shape.site, path, key)  # type: ignore[union-attr]

    def either(self, node: Node, shape: Either, path: str, key: str, label: str, at: Node | None) -> None:
        inner: Shape | None = {SCALAR: shape.text, LIST: shape.list, MAP: shape.map}[node.kind]
        if node.is_null:
            if not shape.null or not node.value:
                level = "warning" if shape.null else "error"
                self.problem(node, "empty", f"`{shorten(label)}` is empty; remove it, or say what it is", level)
        elif inner is None:
            forms = [("text", shape.text), ("a list", shape.list), ("a mapping", shape.map)]
            self.expected(node, label, " or ".join(text for text, form in forms if form is not None))
        else:
            self.walk(node, inner, path, key, label, at)

    def map(self, node: Node, shape: Map, path: str, key: str, label: str, at: Node | None) -> None:
        if not self.is_map(node, shape, key, label, at):
            return
        keys = shape.keys
        for name, name_node, value in node.items():
            inner = keys.get(name)
            below = f"{path}.{name}" if path else name
            self.keys.append(Key(below, f"{key}.{name}" if key else name, name_node))
            if inner is None:
                self.unknown(name_node, shape, keys)
            else:
                self.walk(value, inner, below, f"{key}.{name}" if key else name, name, name_node)
        if not node.value and not node.merged and not shape.may_be_empty and not shape.required:
            self.problem(node, "empty", f"`{shorten(label)}` is empty", "warning")
        for each in shape.required:
            if node.entry(each) is None:
                self.problem(at or node, "missing-key", f"`{shorten(label)}` needs `{each}`")

    def lacking(self, shape: Map | Names, label: str, at: Node | None) -> None:
        if at is None or not isinstance(shape, Map):
            return
        for each in shape.required:
            self.problem(at, "missing-key", f"`{shorten(label)}` needs `{each}`")

    def is_map(self, node: Node, shape: Map | Names, key: str, label: str, at: Node | None = None) -> bool:
        if node.kind == MAP:
            self.merges(node)
            return True
        if node.is_null:
            if not shape.may_be_empty:
                self.problem(node, "empty", f"`{shorten(label)}` is empty; remove it, or say what it has")
                self.lacking(shape, label, at)
        elif node.kind == SCALAR and shape.site is not None and "${{" in str(node.value):
            self.spot(node, shape.site, key, "map")
        else:
            self.expected(node, label, "a mapping")
            self.lacking(shape, label, at)
        return False

    def names(self, node: Node, shape: Names, path: str, key: str, label: str) -> None:
        if not self.is_map(node, shape, key, label):
            return
        folded: dict[str, Node] = {}
        for name, name_node, value in node.items():
            below, inner_key = f"{path}.{name}", f"{key}.*"
            inner = shape.known.get(name)
            if inner is not None:
                inner_key = f"{key}.{name}"
            self.keys.append(Key(below, inner_key, name_node))
            self.own_name(name_node, name, shape, key, folded)
            if not INSERT.fullmatch(name):
                self.walk(value, inner or shape.value, below, inner_key, name, name_node)
        if not node.value and not node.merged and not shape.may_be_empty:
            self.problem(node, "empty", f"`{shorten(label)}` is empty", "warning")

    def own_name(self, node: Node, name: str, shape: Names, key: str, folded: dict[str, Node]) -> None:
        if not is_nameable(name):
            self.problem(node, "name", f"'{shorten(name)}' holds control characters and can be no name")
        if not name:
            self.problem(node, "empty", f"a name in `{shape.name}` is empty")
        if "${{" in name and not INSERT.fullmatch(name):
            self.spot(node, shape.site, f"{key}.*", "text")
        before = folded.setdefault(name.lower(), node)
        if before is not node:
            said = f"`{shorten(name)}` is given twice, first on line {before.line}; capitals make no difference"
            self.problem(node, "duplicate-key", said)

    def list(self, node: Node, shape: List, path: str, key: str, label: str) -> None:
        if node.kind == SCALAR and not node.is_null:
            if shape.site is not None and "${{" in str(node.value):
                self.spot(node, shape.site, key, "list")
            elif shape.single:
                self.walk(node, shape.item, path, key, label)
            else:
                self.expected(node, label, "a list")
            return
        if node.kind != LIST and not node.is_null:
            self.expected(node, label, "a list")
            return
        if node.is_null or not node.value:
            if not shape.may_be_empty or node.is_null:
                level = "error" if node.is_null else "warning"
                self.problem(node, "empty", f"`{shorten(label)}` is empty", level)
            return
        for number, item in enumerate(node):
            self.walk(item, shape.item, f"{path}[{number}]", f"{key}[]", label)

    def any(self, node: Node, site: str | None, path: str, key: str) -> None:
        if node.kind == SCALAR:
            if site is not None and "${{" in str(node.value):
                self.spot(node, site, key, "any")
        elif node.kind == LIST:
            for number, each in enumerate(node):
                self.any(each, site, f"{path}[{number}]", f"{key}[]")
        else:
            self.merges(node)
            for name, name_node, value in node.items():
                self.keys.append(Key(f"{path}.{name}", f"{key}.*", name_node))
                self.any(value, site, f"{path}.{name}", f"{key}.*")

    def text(self, node: Node, shape: Text, key: str, label: str) -> None:
        if node.kind != SCALAR:
            self.expected(node, label, "text" if shape.type == "text" else f"a {_TYPE_WORDS[shape.type]}")
            return
        text = str(node.value)
        if not text.strip() or node.is_null:
            if not shape.may_be_empty:
                level = "warning" if shape.condition or (shape.is_hollow and not node.is_null) else "error"
                self.problem(node, "empty", f"`{shorten(label)}` is empty", level)
            return
        if shape.site is not None and (shape.condition or "${{" in text):
            self.spot(node, shape.site, key, shape.type, shape.condition)
            if "${{" in text or shape.condition:
                return
        elif shape.site is None and "${{" in text and not text.lstrip().startswith("#"):
            self.spot(node, None, key, shape.type)
            return
        if shape.allowed and text not in shape.allowed:
            self.problem(node, "value", f"`{shorten(label)}` must be {_one_of(shape.allowed)}, not '{shorten(text)}'")
        elif shape.type not in ("text", "labels"):
            self.typed(node, text, shape.type, label)

    def typed(self, node: Node, text: str, type_: str, label: str) -> None:
        said = f"'{shorten(text)}'"
        if type_ == "bool":
            if not node.plain or text not in (*TRUE, *FALSE):
                self.problem(node, "value", f"`{label}` must be true, false or an expression, not {said}")
            return
        if not node.plain or FLOAT.fullmatch(text) is None or (type_ == "integer" and not INTEGER.fullmatch(text)):
            if not (node.plain and INTEGER.fullmatch(text)):
                what = "a whole number" if type_ == "integer" else "a number"
                self.problem(node, "value", f"`{label}` must be {what} or an expression, not {said}")
                return
        value = number(text)
        if value is not None and value <= 0:
            self.problem(node, "value", f"`{label}` must be more than 0, not {said}", "warning")

    def spot(self, node: Node, site: str | None, key: str, type_: str, condition: bool = False) -> None:
        self.spots.append(Spot(node, site, key, type_, condition, self.job, self.step))

    def merges(self, node: Node) -> None:
        for each in node.merges:
            self.problem(each, "merge-key", "GitHub does not know the merge key `<<`; repeat what it would bring")

    def unknown(self, node: Node, shape: Map, keys: Iterable[str]) -> None:
        name = str(node.value)
        if shape.open:
            self.problem(node, "unknown-key", f"`{shorten(name)}` means nothing in `{shape.name}`", "note")
            return
        near = nearest(name, keys) if len(self.said) < NEAREST_MAX else ""
        level = "warning" if shape.lenient else "error"
        self.problem(node, "unknown-key", f"unknown key `{shorten(name)}` in `{shape.name}`{near}", level)


_TYPE_WORDS = {"labels": "text", "bool": "boolean", "number": "number", "integer": "whole number", "text": "text"}


def number(text: str) -> float | None:
    """The number that a scalar without quotes is; None where it is none."""
    if text.startswith(("0o", "0x")) and INTEGER.fullmatch(text):
        try:
            return float(int(text, 0))
        except OverflowError:
            return float("inf")
    if FLOAT.fullmatch(text) or INTEGER.fullmatch(text):
        return float(text.replace(".inf", "inf").replace(".nan", "nan").replace(".Inf", "inf").replace(".INF", "inf").replace(".NaN", "nan").replace(".NAN", "nan"))  # fmt: skip  # noqa: E501
    return None


def nearest(word: str, known: Iterable[str]) -> str:
    """`, did you mean `needs`?`, or what is known where that is little, or nothing."""
    from difflib import get_close_matches

    names = sorted(known)[:200]
    found = [each for each in names if each.lower() == word.lower()] or get_close_matches(word[:100], names, 1, 0.7)
    if found:
        return f", did you mean `{found[0]}`?"
    return f"; it has {', '.join(names)}" if len(names) <= 8 else ""


def _one_of(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def whole(source: Source, root: Node) -> Walk:
    """The walk along a workflow, jobs and steps included."""
    walk = Walk(source)
    walk.walk(root, schema.WORKFLOW, "", "", "workflow")
    jobs = root.get("jobs")
    if jobs is not None and jobs.kind == MAP and not jobs.value and not jobs.merged:
        walk.problem(jobs, "empty", "`jobs` has no job")
    for name, name_node, body in jobs.items() if jobs is not None else ():
        walk.job = name
        _job(walk, name, name_node, body)
    walk.job = None
    return walk


def _job(walk: Walk, name: str, name_node: Node, body: Node) -> None:
    path = f"jobs.{name}"
    if body.kind != MAP:
        walk.expected(body, name, "a mapping with `runs-on` and `steps`")
        return
    if body.entry("uses") is not None:
        walk.walk(body, schema.CALL, path, "jobs.*", name)
        return
    walk.walk(body, schema.JOB, path, "jobs.*", name)
    if body.entry("runs-on") is None:
        walk.problem(name_node, "missing-key", f"job `{shorten(name)}` needs `runs-on`")
    steps = body.get("steps")
    if steps is None or steps.is_null or (steps.kind == LIST and not steps.value):
        walk.problem(name_node, "missing-key", f"job `{shorten(name)}` needs `steps`, or `uses`")
    for number_, step in enumerate(steps if steps is not None else ()):
        walk.step = number_
        _step(walk, step, f"{path}.steps[{number_}]", in_parallel=False)
    walk.step = None


def _step(walk: Walk, step: Node, path: str, in_parallel: bool) -> None:
    key = "jobs.*.steps[]"
    if step.kind != MAP or not (step.value or step.merged):
        if step.kind == MAP or step.is_null:
            walk.problem(step, "empty", "this step is empty; a step has `run` or `uses`")
        else:
            walk.expected(step, "steps", "a mapping with `run` or `uses`")
        return
    kind = kind_of(step)
    if kind is None:
        walk.problem(step, "step", "this step has neither `run` nor `uses`")
        kind = "run" if step.entry("shell") or step.entry("working-directory") else "uses"
    if in_parallel and kind not in ("run", "uses"):
        walk.problem(step, "step", f"`{kind}` cannot stand inside `parallel`, whose steps have `run` or `uses`")
        return
    walk.walk(step, schema.STEPS[kind], path, key, "step")
    if kind == "parallel":
        inner = step.get("parallel")
        if inner is None or inner.kind != LIST or not inner.value:
            walk.problem(step, "empty", "`parallel` needs a list of steps")
        for number_, each in enumerate(inner if inner is not None else ()):
            if each.entry("background") is not None:
                walk.problem(each, "step", "`background` cannot stand inside `parallel`, where all steps run so")
            _step(walk, each, f"{path}.parallel[{number_}]", in_parallel=True)


def kind_of(step: Node) -> str | None:
    """`run`, `uses`, `wait`, …: by the key that is there; of several, which is wrong, by the last."""
    found = [name for name, _, _ in step.items() if name in schema.STEPS]
    return found[-1] if found else None
