"""An `if:` of a job as a native condition, in CEL. Only what means the same is translated: all or nothing."""

from __future__ import annotations

import json
import re

from stagebook.formats.github.expression import ExpressionError, Node
from stagebook.formats.github.expression import condition as parsed
from stagebook.formats.github.shelltext import path_of
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TEXTS = {
    ("github", "ref"): '("refs/heads/" + branch)',
    ("github", "ref_name"): "branch",
    ("github", "head_ref"): "branch",
    ("github", "event_name"): "event",
    ("github", "sha"): "commit.sha",
    ("github", "event", "head_commit", "message"): "commit.message",
}
_CALLS = {"contains": "contains", "startswith": "startsWith", "endswith": "endsWith"}
_RESULTS = {"success": "success", "failure": "failure", "cancelled": "cancellation", "skipped": "skip"}
_SIGNS = {"==": "==", "!=": "!="}


class Condition(NamedTuple):
    """`text` empty: it always holds once the needs are done as `join` says. `params`: those that it speaks of."""

    text: str
    params: Mapping[str, str | None]


class _No(Exception):
    """It has no words here."""


def translated(
    text: str, needs: Mapping[str, Any], of_needs: Sequence[str], ids: Mapping[str, str]
) -> Condition | None:  # fmt: skip
    """`needs` are those of the job's spec, `of_needs` the native ids of all stages that it needs."""
    try:
        tree = parsed(text)
        found = _Translation(needs, of_needs, ids)
        parts = [found.truth(part) for part in _conjuncts(tree)]
    except (ExpressionError, _No):
        return None
    return Condition(" && ".join(part for part in parts if part), found.params)


def _conjuncts(tree: Node) -> list[Node]:
    if tree.kind == "binary" and tree.value == "&&":
        return [part for below in tree.below for part in _conjuncts(below)]
    return [tree]


class _Translation:
    def __init__(self, needs: Mapping[str, Any], of_needs: Sequence[str], ids: Mapping[str, str]) -> None:
        self._needs, self._of_needs, self._ids = needs, of_needs, ids
        self.params: dict[str, str | None] = {}

    def truth(self, node: Node) -> str:
        """A part of a conjunction; empty where it says nothing that the needs do not."""
        if node.kind == "call" and node.value in ("success", "always"):
            return ""
        if node.kind == "not" and node.below[0].kind == "call" and node.below[0].value == "cancelled":
            return ""
        if node.kind == "call" and node.value == "failure":
            if not self._of_needs:
                raise _No
            return (
                "(" + " || ".join(f'{_outcome(id)} in ["failure", "timeout", "error"]' for id in self._of_needs) + ")"
            )
        return self._bool(node)

    def _bool(self, node: Node) -> str:
        if node.kind == "literal" and isinstance(node.value, bool):
            return "true" if node.value else "false"
        if node.kind == "not":
            return f"!({self._bool(node.below[0])})"
        if node.kind == "binary" and node.value in ("&&", "||"):
            return "(" + f" {node.value} ".join(self._bool(below) for below in node.below) + ")"
        if node.kind == "binary" and node.value in _SIGNS:
            return self._equal(node)
        if node.kind == "call" and node.value in _CALLS and len(node.below) == 2:
            return f"{self._text(node.below[0])}.{_CALLS[node.value]}({self._text(node.below[1])})"
        path = path_of(node)
        if path is not None and self._is_input(path):
            return f'{self._text(node)} == "true"'
        if path is not None:
            return f'{self._text(node)} != ""'
        raise _No

    def _equal(self, node: Node) -> str:
        left, right = node.below
        path = path_of(left)
        if path is not None and path[0] == "needs" and len(path) == 3 and path[2] == "result":
            if right.kind != "literal" or right.value not in _RESULTS:
                raise _No
            return f'{_outcome(self._one(path[1]))} {node.value} "{_RESULTS[right.value]}"'
        return f"{self._text(left)} {node.value} {self._text(right)}"

    def _text(self, node: Node) -> str:
        if node.kind == "literal":
            if isinstance(node.value, str):
                return _literal(node.value)
            if isinstance(node.value, bool):
                return '"true"' if node.value else '"false"'
            raise _No
        path = path_of(node)
        if path is None:
            raise _No
        if path in _TEXTS:
            return _TEXTS[path]
        name = path[-1]
        if self._is_input(path) and _NAME.fullmatch(name):
            self.params.setdefault(name, None)
            return f"params.{name}"
        if path[0] == "env" and len(path) == 2 and _NAME.fullmatch(name):
            return f"env.{name}"
        if path[0] == "needs" and len(path) == 4 and path[2] == "outputs" and _NAME.fullmatch(name):
            return f"stages[{_literal(self._one(path[1]))}].outputs.{name}"
        raise _No

    def _is_input(self, path: tuple[str, ...]) -> bool:
        return (path[0] == "inputs" and len(path) == 2) or (
            path[:3] == ("github", "event", "inputs") and len(path) == 4
        )

    def _one(self, need: str) -> str:
        """The one stage that a need is, as it is called here."""
        found = self._needs.get(need) or {}
        stages = found.get("stages", []) if isinstance(found, dict) else []
        if len(stages) != 1 or stages[0] not in self._ids:
            raise _No
        return self._ids[stages[0]]


def _outcome(id: str) -> str:
    return f"stages[{_literal(id)}].outcome"


def _literal(text: str) -> str:
    if not text.isprintable():
        raise _No
    return json.dumps(text, ensure_ascii=False)
