"""`if` of a job to a condition of its stage, with what follows from the conditions of others. Judges nothing."""

from __future__ import annotations

from stagebook.formats.github.expression import ExpressionError, condition, has_status, references, truth
from stagebook.formats.github.values import place_of, value_of
from stagebook.model.pipeline import Condition
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.formats.source.nodes import Node, Source

LANGUAGE = "github"
_ENDS = {
    "always": lambda *_: True,
    "cancelled": lambda *_: True,
    "success": lambda *_: False,
    "failure": lambda *_: False,
}


class When(NamedTuple):
    """A condition, what the needs must have done (`join`), and whether it holds in a run that was cancelled."""

    condition: Condition | None = None
    join: str = "all"
    always: bool = False

    @property
    def text(self) -> str:
        return self.condition.text if self.condition is not None else ""


def when_of(source: Source, body: Node) -> When:
    """What `if` says; nothing where there is none, or one that is no expression (which is said elsewhere)."""
    node = body.get("if")
    if node is None or node.text is None:
        return When()
    value = value_of(node)
    text = ("true" if value else "false") if isinstance(value, bool) else str(node.value)
    stripped = text.strip()
    offset = text.find(stripped)
    if stripped.startswith("${{") and stripped.endswith("}}") and stripped.count("${{") == 1:
        inner = stripped[3:-2]
        offset += 3 + len(inner) - len(inner.lstrip())
        stripped = inner.strip()
    try:
        tree = condition(stripped)
    except ExpressionError:
        return When()
    line, col = place_of(source, node, offset)
    made = Condition(stripped, line, col, LANGUAGE)
    if not has_status(tree):
        return When(made)
    return When(made, "done", truth(tree, {}, _ENDS) is not False)


def gated(when: When, line: int) -> When:
    """The same for a job of which a need may be skipped: that skips it too, unless it asks for the status itself."""
    if when.condition is None:
        return When(Condition("success()", line, 0, LANGUAGE))
    if when.join == "done" or "${{" in when.text:
        return when
    return when._replace(condition=when.condition._replace(text=f"success() && ({when.text})"))


def within(when: When, around: When, is_root: bool) -> When:
    """The same for a job of a called workflow whose caller has a condition. One that asks for the status itself, and
    is not the first in its workflow, cannot be told what the caller's needs did."""
    if around.condition is None or "${{" in around.text or "${{" in when.text:
        return when
    if when.condition is None:
        return around if is_root else when
    if not is_root and (around.join == "done" or when.join != "done"):
        return when
    joined = when.condition._replace(text=f"({around.text}) && ({when.text})")
    return When(joined, "done" if "done" in (when.join, around.join) else "all", when.always and around.always)


def settled(when: When, contexts: Mapping[str, Any]) -> When:
    """The same with inputs that are known written out, so that it can be judged where they are others."""
    if when.condition is None or "inputs" not in when.text:
        return when
    inputs = contexts.get("inputs")
    text = when.text
    try:
        found = references(condition(text))
    except ExpressionError:
        return when
    for each in reversed(found):
        path = each.path
        if len(path) == 2 and path[0].lower() == "inputs" and isinstance(inputs, dict) and path[1] in inputs:
            written = text[each.offset : each.offset + len(path[0]) + 1 + len(path[1])]
            if written == f"{path[0]}.{path[1]}":
                text = text[: each.offset] + literal(inputs[path[1]]) + text[each.offset + len(written) :]
    return when._replace(condition=when.condition._replace(text=text))


def literal(value: Any) -> str:
    """A scalar as the language writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value:g}"
    return "'" + str(value).replace("'", "''") + "'"
