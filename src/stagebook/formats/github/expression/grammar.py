"""Text to a tree: tokens, precedence, limits. Every node has the offset at which it begins. Evaluates nothing."""

from __future__ import annotations

import re

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Collection, Iterator, Mapping, NoReturn

LENGTH_MAX = 21_000
DEPTH_MAX = 50
PARENTHESES_MAX = 100

#: The contexts of the vendor's reference.
CONTEXTS = frozenset("github env vars job jobs steps runner secrets strategy matrix needs inputs".split())
STATUS = frozenset(("success", "failure", "always", "cancelled"))
#: Names in lower case to the fewest and most arguments.
FUNCTIONS: Mapping[str, tuple[int, int]] = {
    "contains": (2, 2),
    "startswith": (2, 2),
    "endswith": (2, 2),
    "format": (1, 255),
    "join": (1, 2),
    "tojson": (1, 1),
    "fromjson": (1, 1),
    "case": (3, 255),
    "hashfiles": (1, 255),
    "success": (0, 255),
    "failure": (0, 255),
    "always": (0, 0),
    "cancelled": (0, 0),
}

LITERAL, NAME, INDEX, CALL, NOT, BINARY, STAR = "literal", "name", "index", "call", "not", "binary", "star"
_PRECEDENCE = {"||": 1, "&&": 2, "==": 3, "!=": 3, "<": 4, "<=": 4, ">": 4, ">=": 4}
_KEYWORDS: Mapping[str, Any] = {
    "true": True, "false": False, "null": None, "nan": float("nan"), "infinity": float("inf"),
}  # fmt: skip
_word = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_decimal = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_blank = re.compile(r"\s*")
#: Where a word, or a number, ends.
_word_end = re.compile(r"[\s(),\[\].!<>=&|*]|$")
_number_end = re.compile(r"[\s(),\[\]!<>=&|*]|$")
_QUOTED = re.compile(r"'(?:[^']|'')*'")


class ExpressionError(Exception):
    """What is wrong with an expression. `kind`: `lexing`, `parsing` or `evaluation`. `offset`: from the beginning of
    the text, in characters; None where no place is to blame."""

    def __init__(self, message: str, offset: int | None = None, kind: str = "parsing") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.kind = kind


class Node(NamedTuple):
    """`kind` and `value`: `literal` and a value; `name` of a context; `index` with the object and the key below it (a
    `star` as key: all of them); `call` of a function, in lower case, with its arguments; `not`; `binary` and the
    operator, where `&&` and `||` have two or more parts below."""

    kind: str
    value: Any
    offset: int
    below: tuple[Node, ...] = ()
    depth: int = 1


class _Token(NamedTuple):
    kind: str  #: a symbol itself, or `literal`, `word`, `end`
    text: str
    offset: int
    value: Any = None


def parse(
    text: str, contexts: Collection[str] | None = None, functions: Mapping[str, tuple[int, int]] | None = None
) -> Node:
    """The tree of an expression, without `${{ }}`; of an empty one the literal null. `contexts`: names that may occur
    (None: any), `functions`: those that may, with fewest and most arguments. ExpressionError with its offset."""
    if len(text) > LENGTH_MAX:
        raise ExpressionError(f"the expression is longer than {LENGTH_MAX} characters, the limit")
    return _Parser(text, contexts, FUNCTIONS if functions is None else functions).whole()


def number_of(text: str) -> float | None:
    """The number that a text is, as the language reads it; None where it is none."""
    if _decimal.fullmatch(text):
        return float(text)
    head = text[:2]
    try:
        if head == "0x" and re.fullmatch("[0-9a-fA-F]{1,255}", text[2:]):
            return float(int(text, 16))
        if head == "0o" and re.fullmatch("[0-7]{1,255}", text[2:]):
            return float(int(text, 8))
    except OverflowError:
        return float("inf")
    return {"Infinity": float("inf"), "+Infinity": float("inf"), "-Infinity": float("-inf")}.get(text)


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text

    def tokens(self) -> Iterator[_Token]:
        at, last = 0, ""
        text = self.text
        while True:
            at = _blank.match(text, at).end()  # type: ignore[union-attr]
            if at >= len(text):
                yield _Token("end", "", len(text))
                return
            token = self.token(at, last)
            yield token
            at += len(token.text)
            last = token.kind

    def token(self, at: int, last: str) -> _Token:
        text = self.text
        sign = text[at]
        if sign in "()[],*":
            return _Token(sign, sign, at)
        if sign == "." and last in ("word", ")", "]", "*"):
            return _Token(sign, sign, at)
        if sign in "!<>=&|":
            pair = text[at : at + 2]
            if pair in ("!=", "<=", ">=", "==", "&&", "||"):
                return _Token(pair, pair, at)
            if sign in "!<>":
                return _Token(sign, sign, at)
            self.refuse(at, _number_end.search(text, at + 1))
        if sign == "'":
            found = _QUOTED.match(text, at)
            if found is None:
                raise ExpressionError(f"the text that begins with {_cut(text[at:])} has no closing quote", at, "lexing")
            return _Token("literal", found.group(), at, found.group()[1:-1].replace("''", "'"))
        if sign in "+-." or sign.isascii() and sign.isdigit():
            end = _number_end.search(text, at)
            number = number_of(text[at : end.start()])  # type: ignore[union-attr]
            if number is None:
                self.refuse(at, end)
            return _Token("literal", text[at : end.start()], at, number)  # type: ignore[union-attr]
        end = _word_end.search(text, at)
        word = text[at : end.start()]  # type: ignore[union-attr]
        if not _word.fullmatch(word):
            self.refuse(at, end)
        if last != "." and word.lower() in _KEYWORDS and self.is_keyword(word):
            return _Token("literal", word, at, _KEYWORDS[word.lower()])
        return _Token("word", word, at)

    def is_keyword(self, word: str) -> bool:
        return word in ("true", "false", "null", "NaN", "Infinity")

    def refuse(self, at: int, end: re.Match[str] | None) -> NoReturn:
        stop = max(end.start() if end is not None else len(self.text), at + 1)
        hint = "; text is quoted with '…', not with \"…\"" if self.text[at] == '"' else ""
        raise ExpressionError(f"unexpected {_cut(self.text[at:stop])}{hint}", at, "lexing")


def _cut(text: str) -> str:
    shown = " ".join(text.split())
    return f"`{shown if len(shown) <= 60 else shown[:59] + '…'}`"


class _Parser:
    def __init__(self, text: str, contexts: Collection[str] | None, functions: Mapping[str, tuple[int, int]]) -> None:
        self.contexts = None if contexts is None else {each.lower() for each in contexts}
        self.functions = functions
        self.stream = _Lexer(text).tokens()
        self.before: _Token | None = None
        self.now = next(self.stream)
        self.nested = 0

    def whole(self) -> Node:
        if self.now.kind == "end":
            return Node(LITERAL, None, 0)
        node = self.binary(1)
        if self.now.kind != "end":
            self.unexpected()
        return node

    def advance(self) -> _Token:
        token = self.before = self.now
        self.now = next(self.stream)
        return token

    def unexpected(self) -> NoReturn:
        if self.now.kind == "end":
            last = self.before
            assert last is not None
            raise ExpressionError(f"the expression ends after {_cut(last.text)}, where more must come", last.offset)
        raise ExpressionError(f"unexpected {_cut(self.now.text)}", self.now.offset)

    def expect(self, kind: str) -> None:
        if self.now.kind != kind:
            self.unexpected()
        self.advance()

    def made(self, kind: str, value: Any, offset: int, below: tuple[Node, ...]) -> Node:
        depth = 1 + max((each.depth for each in below), default=0)
        if depth > DEPTH_MAX:
            raise ExpressionError(f"nested deeper than {DEPTH_MAX} levels, the limit")
        return Node(kind, value, offset, below, depth)

    def binary(self, least: int) -> Node:
        left = self.unary()
        while (strength := _PRECEDENCE.get(self.now.kind, 0)) >= least:
            operator = self.advance().kind
            right = self.binary(strength + 1)
            parts = (left, right)
            if operator in ("||", "&&"):
                flat = [each.below if (each.kind, each.value) == (BINARY, operator) else (each,) for each in parts]
                parts = (*flat[0], *flat[1])  # type: ignore[assignment]
            left = self.made(BINARY, operator, left.offset, parts)
        return left

    def unary(self) -> Node:
        signs = []
        while self.now.kind == "!":
            signs.append(self.advance().offset)
        node = self.postfix(self.primary())
        for offset in reversed(signs):
            node = self.made(NOT, None, offset, (node,))
        return node

    def deeper(self) -> None:
        self.nested += 1
        if self.nested > PARENTHESES_MAX:
            raise ExpressionError(f"more than {PARENTHESES_MAX} parentheses in each other", self.now.offset)

    def primary(self) -> Node:
        token = self.now
        if token.kind == "literal":
            self.advance()
            return Node(LITERAL, token.value, token.offset)
        if token.kind == "(":
            self.advance()
            self.deeper()
            node = self.binary(1)
            self.nested -= 1
            self.expect(")")
            return node
        if token.kind != "word":
            self.unexpected()
        self.advance()
        if self.now.kind == "(":
            return self.call(token)
        if self.contexts is not None and token.text.lower() not in self.contexts:
            raise ExpressionError(f"unknown name {_cut(token.text)}{self.known(self.contexts)}", token.offset)
        return Node(NAME, token.text, token.offset)

    def known(self, names: Collection[str]) -> str:
        return f"; known here are {', '.join(sorted(names))}" if names else ""

    def call(self, token: _Token) -> Node:
        name = token.text.lower()
        if name not in self.functions:
            raise ExpressionError(f"unknown function {_cut(token.text)}{self.known(self.functions)}", token.offset)
        self.advance()
        self.deeper()
        arguments: list[Node] = []
        if self.now.kind != ")":
            arguments.append(self.binary(1))
            while self.now.kind == ",":
                self.advance()
                arguments.append(self.binary(1))
        self.expect(")")
        self.nested -= 1
        fewest, most = self.functions[name]
        count = len(arguments)
        if count < fewest:
            raise ExpressionError(f"{_cut(token.text)} takes at least {fewest} arguments, not {count}", token.offset)
        if count > most:
            raise ExpressionError(f"{_cut(token.text)} takes at most {most} arguments, not {count}", token.offset)
        if name == "case" and count % 2 == 0:
            said = "takes pairs of a condition and a value, and a value for all else: an odd number of arguments"
            raise ExpressionError(f"{_cut(token.text)} {said}", token.offset)
        return self.made(CALL, name, token.offset, tuple(arguments))

    def postfix(self, node: Node) -> Node:
        while self.now.kind in (".", "["):
            opening = self.advance()
            token = self.now
            if token.kind == "*":
                self.advance()
                key = Node(STAR, None, token.offset)
            elif opening.kind == ".":
                if token.kind != "word":
                    self.unexpected()
                self.advance()
                key = Node(LITERAL, token.text, token.offset)
            else:
                self.deeper()
                key = self.binary(1)
                self.nested -= 1
            if opening.kind == "[":
                self.expect("]")
            node = self.made(INDEX, None, node.offset, (node, key))
        return node
