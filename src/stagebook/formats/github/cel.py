"""An `if:` of a job as a native condition, in CEL. Only what means the same is translated: all or nothing."""

from __future__ import annotations

import json
import re

from stagebook.formats.github.expression import ExpressionError, Node, to_text
from stagebook.formats.github.expression import condition as parsed
from stagebook.formats.github.shellcond import given, words_of
from stagebook.formats.github.shelltext import TAG, path_of
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

_PARAM = re.compile(r"\bparams(?:\.([A-Za-z_][A-Za-z0-9_]*)|\[\"([^\"\\]*)\"\])")
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
    """`text` empty: it always holds once the needs are done as `join` says. `params`: those that it speaks of.
    `wants_success`: the needs must all have gone well, whatever else is said."""

    text: str
    params: Mapping[str, str | None]
    wants_success: bool = False


class _No(Exception):
    """It has no words here."""


def translated(
    text: str,
    needs: Mapping[str, Any],
    of_needs: Sequence[str],
    ids: Mapping[str, str],
    inputs: Mapping[str, str] | None = None,
) -> Condition | None:
    """`needs` are those of the job's spec, `of_needs` the native ids of all stages before it. `inputs`: of a called
    workflow, as terms of a condition; None: they are parameters."""
    try:
        tree = parsed(text)
        found = _Translation(needs, of_needs, ids, inputs)
        conjuncts = _conjuncts(tree)
        parts = [found.truth(part) for part in conjuncts]
    except (ExpressionError, _No, ValueError):
        return None
    text = " && ".join(part for part in parts if part)
    params = {**found.params, **dict.fromkeys(match[1] or match[2] for match in _PARAM.finditer(text))}
    return Condition(text, params, any(part.kind == "call" and part.value == "success" for part in conjuncts))


def term(tree: Node, inputs: Mapping[str, str] | None) -> str:
    """A value of the caller that neither parameters nor needs have a part in; empty where it has no words."""
    made = _Translation({}, (), {}, inputs)
    try:
        return made.text(tree)
    except (_No, ValueError):
        pass
    try:
        found = f'({made.truth(tree) or "true"} ? "true" : "false")'
    except (_No, ValueError):
        return ""
    return found


def _conjuncts(tree: Node) -> list[Node]:
    if tree.kind == "binary" and tree.value == "&&":
        return [part for below in tree.below for part in _conjuncts(below)]
    return [tree]


class _Translation:
    def __init__(
        self,
        needs: Mapping[str, Any],
        of_needs: Sequence[str],
        ids: Mapping[str, str],
        inputs: Mapping[str, str] | None,
    ) -> None:
        self._needs, self._of_needs, self._ids, self._inputs = needs, of_needs, ids, inputs
        self.params: dict[str, str | None] = {}

    def truth(self, node: Node) -> str:
        """A part of a conjunction; empty where it says nothing that the needs do not."""
        if node.kind == "call" and node.value in ("success", "always"):
            return ""
        if node.kind == "not" and node.below[0].kind == "call" and node.below[0].value == "cancelled":
            return ""
        if node.kind == "call" and node.value == "failure":
            return self._failure()
        return self._bool(node)

    def _failure(self) -> str:
        if not self._of_needs:
            raise _No
        return "(" + " || ".join(f'{_outcome(id)} in ["failure", "timeout", "error"]' for id in self._of_needs) + ")"

    def _bool(self, node: Node) -> str:
        if node.kind == "call" and node.value in ("always", "cancelled"):
            return "true" if node.value == "always" else "false"
        if node.kind == "call" and node.value == "failure":
            return self._failure()
        if node.kind == "literal" and isinstance(node.value, bool):
            return "true" if node.value else "false"
        if node.kind == "not":
            return f"!({self._bool(node.below[0])})"
        if node.kind == "binary" and node.value in ("&&", "||"):
            return "(" + f" {node.value} ".join(self._bool(below) for below in node.below) + ")"
        if node.kind == "binary" and node.value in _SIGNS:
            return self._equal(node)
        if node.kind == "call" and node.value in _CALLS and len(node.below) == 2:
            return self._fits(node)
        path = path_of(node)
        if path is not None and (self._is_input(path) or path[0] == "github"):
            value = self.text(node)
            if value.startswith('"') and value == _literal(str(json.loads(value))):
                return "false" if json.loads(value) in ("", "false", "0") else "true"
            return f'!({value} in ["", "false", "0"])'
        if path is not None:
            return f'{self.text(node)} != ""'
        raise _No

    def _fits(self, node: Node) -> str:
        """`contains` and its like. A tag is what the user says it is: git does not tell it from a branch."""
        whole, part = node.below
        path, word = path_of(whole), part.value if part.kind == "literal" and isinstance(part.value, str) else None
        if path == ("github", "ref") and word is not None and node.value in ("startswith", "contains"):
            if word.rstrip("/") == "refs/tags":
                return f'{self._tag()} != ""'
            if word.startswith("refs/tags/") and node.value == "startswith":
                return f"{self._tag()}.startsWith({_literal(word[10:])})"
            if word.startswith("refs/heads/") and node.value == "startswith":
                return f"branch.startsWith({_literal(word[11:])})" if word[11:] else f'{self._tag()} == ""'
        if path == ("needs", "*", "result") and node.value == "contains" and word in _RESULTS:
            stages = [id for each in self._needs.values() for id in each.get("stages", [])]
            if stages and all(id in self._ids for id in stages):
                said = [f'{_outcome(self._ids[id])} == "{_RESULTS[str(word)]}"' for id in stages]
                return "(" + " || ".join(said).replace('== "failure"', 'in ["failure", "timeout", "error"]') + ")"
        words = words_of(whole) if node.value == "contains" else None
        if words is not None:
            return f"{self.text(part)} in [{', '.join(map(_literal, words))}]"
        return f"{self.text(whole)}.{_CALLS[str(node.value)]}({self.text(part)})"

    def _tag(self) -> str:
        self.params.setdefault(TAG, None)
        return f"params.{TAG}"

    def _of_ref(self, path: tuple[str, ...], sign: str, word: str) -> str | None:
        """`github.ref` against a branch or a tag."""
        if path == ("github", "ref") and word.startswith("refs/heads/"):
            return f"branch {sign} {_literal(word[11:])}"
        if path == ("github", "ref") and word.startswith("refs/tags/"):
            return f"{self._tag()} {sign} {_literal(word[10:])}"
        if path == ("github", "ref_type") and word in ("tag", "branch"):
            return f'{self._tag()} {"!=" if (word == "tag") == (sign == "==") else "=="} ""'
        return None

    def _equal(self, node: Node) -> str:
        left, right = node.below
        if left.kind == "literal":
            left, right = right, left
        path = path_of(left)
        if path is not None and path[0] == "needs" and len(path) == 3 and path[2] == "result":
            if right.kind != "literal" or right.value not in _RESULTS:
                raise _No
            return f'{_outcome(self._one(path[1]))} {node.value} "{_RESULTS[right.value]}"'
        if path is not None and isinstance(right.value, str) and right.kind == "literal":
            made = self._of_ref(path, str(node.value), right.value)
            if made is not None:
                return made
        if right.kind == "literal" and right.value is False:
            return f'{"" if node.value == "==" else "!"}({self.text(left)} in ["", "false", "0"])'
        return f"{self.text(left)} {node.value} {self.text(right)}"

    def text(self, node: Node) -> str:
        if node.kind == "literal":
            if isinstance(node.value, str):
                return _literal(node.value)
            if isinstance(node.value, bool):
                return '"true"' if node.value else '"false"'
            if isinstance(node.value, (int, float)):
                return _literal(to_text(node.value))
            raise _No
        path = path_of(node)
        if path is None or ("*" in path and path[0] != "github"):
            raise _No
        if path in _TEXTS:
            return _TEXTS[path]
        name = path[-1]
        if path[0] == "inputs" and len(path) == 2 and self._inputs is not None:
            if name not in self._inputs:
                return '""'
            if not self._inputs[name]:
                raise _No
            return self._inputs[name]
        if self._is_input(path):
            self.params.setdefault(name, None)
            return f"params.{name}" if _NAME.fullmatch(name) else f"params[{_literal(name)}]"
        if path[0] in ("env", "vars") and len(path) == 2 and _NAME.fullmatch(name):
            return f'("{name}" in env ? env.{name} : "")'
        if path[0] == "needs" and len(path) == 4 and path[2] == "outputs":
            return f"stages[{_literal(self._one(path[1]))}].outputs[{_literal(name)}]"
        if path[0] == "github" and len(path) > 1:
            return f"params.{given(path, self.params)}"
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
