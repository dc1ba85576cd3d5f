"""`if` of a job to a condition of its stage, with what follows from the conditions of others. Judges nothing."""

from __future__ import annotations

from stagebook.formats.github.expression import ExpressionError, condition, has_status, truth
from stagebook.formats.github.values import place_of, value_of
from stagebook.model.pipeline import Condition
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
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
    if node is None or not (node.text or "").strip():
        return When()
    value = value_of(node)
    text = ("true" if value else "false") if isinstance(value, bool) else str(node.value)
    said, offset = text, len(text) - len(text.lstrip())
    if text.startswith("${{") and text.endswith("}}") and text.count("${{") == 1:
        said = text[3:-2]
        offset = 3 + len(said) - len(said.lstrip())
    try:
        tree = condition(said)
    except ExpressionError:
        return When()
    line, col = place_of(source, node, offset)
    made = Condition(said if "${{" in said else said.strip(), line, col, LANGUAGE)
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


def within(when: When, around: When, line: int) -> When:
    """The same for a job that is the first of a called workflow whose caller has a condition or needs: these are judged
    before its own (`call` in its spec), so that it has one in any case."""
    condition = when.condition or Condition("success()", line, 0, LANGUAGE)
    return When(condition, "done" if "done" in (when.join, around.join) else "all", when.always and around.always)
