"""An `if:` of a step as a test of a shell. What has no such meaning is refused as a whole, so that nobody runs what it
would have kept from running. What a value is to a shell is `shelltext`.
"""

from __future__ import annotations

import json
import re

from stagebook.formats.github.expression import ExpressionError, Node, has_status
from stagebook.formats.github.expression import condition as parsed
from stagebook.formats.github.shelltext import TAG, known_value, path_of, shell_literal
from stagebook.formats.native.check import env_name
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.formats.github.shelltext import Uses

FAILED = "stagebook_failed"  #: the variable that says in the text of a stage that a step before has failed
_STATUS = {
    "success": f'[ -z "${FAILED}" ]', "failure": f'[ -n "${FAILED}" ]', "always": "true", "cancelled": "false",
}  # fmt: skip
_PATTERNS = {"contains": "*{}*", "startswith": "{}*", "endswith": "*{}"}
#: Contexts whose values keep their types, so that `false` in them is false.
_TYPED = ("matrix", "inputs", "github")
_DEEP = 50
_ID = re.compile(r"[A-Za-z0-9_-]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Test(NamedTuple):
    """`text`: empty where it always holds. `asks`: it says itself what becomes of it after a failure. `steps`: ids of
    those whose outcome it speaks of."""

    text: str
    asks: bool
    steps: tuple[str, ...] = ()


class _No(Exception):
    """It has no words here."""


def tested(text: str, uses: Uses) -> Test | None:
    """None for what a shell cannot say."""
    try:
        tree = parsed(text)
        if tree.kind == "call" and tree.value == "success":
            return Test("", False)
        made = _Making(uses)
        return Test(made.truth(tree, 0), has_status(tree), tuple(dict.fromkeys(made.steps)))
    except (ExpressionError, _No, ValueError):
        return None


class _Making:
    def __init__(self, uses: Uses) -> None:
        self._uses = uses
        self.steps: list[str] = []

    def truth(self, node: Node, depth: int) -> str:
        if depth > _DEEP:
            raise _No
        if node.kind == "literal" and isinstance(node.value, bool):
            return "true" if node.value else "false"
        if node.kind == "not":
            return f"! {{ {self.truth(node.below[0], depth + 1)}; }}"
        if node.kind == "binary" and node.value in ("&&", "||"):
            return "{ " + f" {node.value} ".join(self.truth(each, depth + 1) for each in node.below) + "; }"
        if node.kind == "binary" and node.value in ("==", "!="):
            return self._equal(node)
        if node.kind == "call" and node.value in _STATUS:
            return _STATUS[str(node.value)]
        if node.kind == "call" and node.value in _PATTERNS and len(node.below) == 2:
            return self._fits(node)
        path = path_of(node)
        if path is None:
            raise _No
        value = self._text(node)
        if path[0] in _TYPED:
            return f'case "{value}" in ""|false|0) false ;; *) true ;; esac'
        return f'[ -n "{value}" ]'

    def _equal(self, node: Node) -> str:
        left, right = node.below
        if left.kind == "literal":
            left, right = right, left
        if right.kind == "literal" and right.value is False:
            made = f'case "{self._text(left)}" in ""|false|0) true ;; *) false ;; esac'
            return made if node.value == "==" else f"! {made}"
        sign = "=" if node.value == "==" else "!="
        return f'[ "{self._text(left)}" {sign} "{self._text(right)}" ]'

    def _fits(self, node: Node) -> str:
        whole, part = node.below
        words = words_of(whole)
        if words is not None and node.value == "contains":
            value = self._text(part)
            tests = [f'[ "{value}" = "{shell_literal(word)}" ]' for word in words]
            return "{ " + " || ".join(tests or ["false"]) + "; }"
        path, tag = path_of(whole), part.value
        if path == ("github", "ref") and part.kind == "literal" and str(tag).rstrip("/") == "refs/tags":
            self._uses.params.setdefault(TAG, None)
            return f'[ -n "${{PARAM_{env_name(TAG)}}}" ]'
        pattern = _PATTERNS[str(node.value)].format(f'"{self._text(part)}"')
        return f'case "{self._text(whole)}" in {pattern}) true ;; *) false ;; esac'

    def _text(self, node: Node) -> str:
        """For within double quotes."""
        if node.kind == "literal":
            if isinstance(node.value, str) and not node.value.isprintable():
                raise _No
            return shell_literal(node.value)
        path = path_of(node)
        if path is None:
            raise _No
        if path[0] == "steps" and len(path) == 3 and path[2] in ("outcome", "conclusion"):
            self.steps.append(path[1])
            return f"${{{outcome_of(path[1])}:-skipped}}"
        found = known_value(path, self._uses)
        if found is None and path[0] == "github" and len(path) > 1:
            return f"${{PARAM_{env_name(given(path, self._uses.params))}}}"
        if found is None:
            raise _No
        return found


def given(path: tuple[str, ...], params: dict[str, str | None]) -> str:
    """The parameter that says what only GitHub knows, and is empty unless somebody gives it. Raises ValueError."""
    name = "_".join(part for part in path if part != "*")
    if not _NAME.fullmatch(name):
        raise ValueError(name)
    params.setdefault(name, None)
    return name


def outcome_of(step: str) -> str:
    """The variable that says how a step has ended."""
    return (
        "stagebook_outcome_" + step.replace("_", "__").replace("-", "_0")
        if _ID.fullmatch(step)
        else "stagebook_outcome"
    )


def words_of(node: Node) -> list[str] | None:
    """`fromJSON('["a", "b"]')` as its words."""
    if node.kind != "call" or node.value != "fromjson" or len(node.below) != 1 or node.below[0].kind != "literal":
        return None
    try:
        found = json.loads(str(node.below[0].value))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or not all(isinstance(each, str) and each.isprintable() for each in found):
        return None
    return found
