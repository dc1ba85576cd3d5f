"""The language of `rules:if` and `only:variables`: text to a tree, a tree and variables to a verdict. What the
variables are, and what follows from a verdict, is not said here.

Comparisons bind more than `&&`, which binds more than `||`. A variable alone holds if it has a value that is not
empty. Patterns are RE2, as GitLab's are, so none takes long.
"""

from __future__ import annotations

import re
from functools import lru_cache

from stagebook.formats.native.nodes import shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, TypeAlias

    Tree: TypeAlias = "tuple[Any, ...]"

LENGTH_MAX = 10_000
DEPTH_MAX = 60
_PATTERN_MEMORY = 1 << 20
_token = re.compile(
    r"""\s*(?:
    (?P<variable>\$\w+)
  | (?P<text>"(?:[^"])*"|'(?:[^'])*')
  | (?P<pattern>/(?:\\.|[^/\\\n])+/[ismU]*)
  | (?P<word>null\b|true\b|false\b)
  | (?P<mark>==|!=|=~|!~|&&|\|\||\(|\)|!)
  )""",
    re.VERBOSE,
)
_pattern_text = re.compile(r"\A/((?:\\.|[^\\])+)/([ismU]*)\Z", re.S)


class ExpressionError(Exception):
    """Its text says what is wrong."""


@lru_cache(maxsize=4096)
def parsed(text: str) -> Tree:
    """ExpressionError where the text is no expression."""
    if len(text) > LENGTH_MAX:
        raise ExpressionError(f"it has {len(text)} characters, the limit is {LENGTH_MAX}")
    tokens: list[tuple[str, str]] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _token.match(text, at)
        if found is None:
            rest = text[at:].strip()
            hint = "; a variable is $NAME here, without braces" if rest.startswith("${") else ""
            raise ExpressionError(f"'{shorten(rest)}' is no part of an expression{hint}")
        tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
        at = found.end()
    parser = _Parser(tokens)
    tree = parser.either(0)
    if parser.at < len(tokens):
        raise ExpressionError(f"'{shorten(parser.tokens[parser.at][1])}' stands where nothing can follow")
    return tree


def holds(text: str, variables: Mapping[str, str]) -> bool:
    """Whether it is true. ExpressionError as for `parsed`. Where a variable that should hold a pattern holds none, it
    is false as a whole."""
    tree = parsed(text)
    try:
        return _truth(_value(tree, variables))
    except ExpressionError:
        return False


def names(text: str) -> set[str]:
    """The variables that it speaks of; none of what is no expression."""
    return {name.strip("${}") for name in re.findall(r"\$(?:\w+|\{\w+\})", text)}


@lru_cache(maxsize=1024)
def pattern(text: str) -> Any:
    """What `/text/flags` matches with. ExpressionError where RE2 does not take it."""
    found = _pattern_text.match(text)
    if found is None:
        raise ExpressionError(f"'{shorten(text)}' is no pattern; one stands between slashes")
    import re2  # type: ignore[import-untyped,unused-ignore]

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PATTERN_MEMORY
    flags = "".join(sorted(set(found[2])))
    body = found[1].replace("\\/", "/")
    try:
        return re2.compile(f"(?{flags}){body}" if flags else body, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        why = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ExpressionError(f"pattern '{shorten(text)}': {shorten(why)}") from None


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.at = 0

    def mark(self, *words: str) -> str | None:
        """The next token, if it is one of these marks; it is taken then."""
        if self.at < len(self.tokens):
            kind, text = self.tokens[self.at]
            if kind == "mark" and text in words:
                self.at += 1
                return text
        return None

    def either(self, depth: int) -> Tree:
        parts = [self.both(depth)]
        while self.mark("||"):
            parts.append(self.both(depth))
        return parts[0] if len(parts) == 1 else ("or", parts)

    def both(self, depth: int) -> Tree:
        parts = [self.comparison(depth)]
        while self.mark("&&"):
            parts.append(self.comparison(depth))
        return parts[0] if len(parts) == 1 else ("and", parts)

    def comparison(self, depth: int) -> Tree:
        left = self.operand(depth)
        while word := self.mark("==", "!=", "=~", "!~"):
            right = self.operand(depth)
            is_text = right[0] == "value" and isinstance(right[1], str)
            if word in ("=~", "!~") and right[0] not in ("pattern", "variable") and not is_text:
                raise ExpressionError(f"right of {word} stands a pattern between slashes, or a variable that holds one")
            left = (word, left, right)
        return left

    def operand(self, depth: int) -> Tree:
        if depth > DEPTH_MAX:
            raise ExpressionError(f"nested deeper than {DEPTH_MAX} levels, the limit")
        if self.mark("!"):
            return ("not", self.operand(depth + 1))
        if self.mark("("):
            inner = self.either(depth + 1)
            if not self.mark(")"):
                raise ExpressionError("a '(' is not closed")
            return inner
        if self.at >= len(self.tokens):
            raise ExpressionError("it ends where a value is expected" if self.tokens else "it is empty")
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "mark":
            raise ExpressionError(f"'{text}' stands where a value is expected")
        if kind == "variable":
            return ("variable", text[1:])
        if kind == "pattern":
            pattern(text)
            return ("pattern", text)
        if kind == "word":
            return ("value", None if text == "null" else text)
        return ("value", text[1:-1])


def _truth(value: Any) -> bool:
    return value if isinstance(value, bool) else bool(value and str(value).strip())


def _value(tree: Tree, variables: Mapping[str, str]) -> Any:
    """Text, None or a bool."""
    kind = tree[0]
    if kind == "variable":
        return variables.get(tree[1])
    if kind in ("value", "pattern"):
        return tree[1]
    if kind == "or":
        return any(_truth(_value(part, variables)) for part in tree[1])
    if kind == "and":
        return all(_truth(_value(part, variables)) for part in tree[1])
    if kind == "not":
        return not _truth(_value(tree[1], variables))
    left, right = _value(tree[1], variables), _value(tree[2], variables)
    if kind in ("==", "!="):
        return (_said(left) == _said(right)) is (kind == "==")
    return _matches(left, right) is (kind == "=~")


def _said(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _matches(left: Any, right: str | None) -> bool:
    if not right:
        return False
    return pattern(right).search(str(left or "")) is not None
