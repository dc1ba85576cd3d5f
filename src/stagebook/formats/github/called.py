"""The inputs of a called workflow as its caller gives them, for a shell and for a condition. Who calls whom is read
elsewhere."""

from __future__ import annotations

import json

from stagebook.formats.github.expression import ExpressionError
from stagebook.formats.github.expression import condition as parsed
from stagebook.formats.github.shelltext import Uses, has_expression, in_shell, shell_literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

_DEEP = 20


def words(call: Any, params: dict[str, str | None], depth: int = 0) -> Callable[[str], str] | None:
    """What gives for a name its text within double quotes, and adds to `params` those that this speaks of; None for a
    workflow that nobody calls: there they are parameters. What only GitHub knows fails when it is reached."""
    if not isinstance(call, dict):
        return None
    given = _given(call)

    def word(name: str) -> str:
        text = _text(given.get(name))
        if not has_expression(text):
            return shell_literal(text)
        if depth > _DEEP:
            return "${STAGEBOOK_UNKNOWN:?calls too deep}"
        uses = Uses(words(call.get("call"), params, depth + 1))
        made = in_shell(text, uses)
        params.update(uses.params)
        return "${STAGEBOOK_UNKNOWN:?an output that the caller passes on}" if uses.outputs else made

    return word


def terms(call: Any, depth: int = 0) -> dict[str, str] | None:
    """Names to terms of a condition; an empty one has no words there. None: they are parameters."""
    if not isinstance(call, dict):
        return None
    return {name: _term(_text(value), call, depth) for name, value in _given(call).items()}


def _term(text: str, call: Mapping[str, Any], depth: int) -> str:
    if not has_expression(text):
        return json.dumps(text, ensure_ascii=False) if text.isprintable() else ""
    if not (text.startswith("${{") and text.endswith("}}")) or depth > _DEEP:
        return ""
    from stagebook.formats.github.cel import term

    try:
        return term(parsed(text), terms(call.get("call"), depth + 1))
    except ExpressionError:
        return ""


def _given(call: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller says, before what the called workflow takes where it says nothing."""
    declared = call.get("inputs") or {}
    found = {name: (each or {}).get("default", "") for name, each in declared.items()}
    return {**found, **(call.get("with") or {})}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
