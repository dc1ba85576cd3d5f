"""The head of a file that takes inputs: `spec:inputs`, and `$[[ inputs.NAME | FUNCTION ]]` in what follows. Where the
values come from is said by whoever reads the file.
"""

from __future__ import annotations

import re
import shlex

from stagebook.formats.gitlab.expression import ExpressionError, holds, pattern
from stagebook.formats.gitlab.reading import Reading, like, list_of, rewritten, scalar
from stagebook.formats.gitlab.scalars import truth
from stagebook.formats.gitlab.variables import expanded
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node, read
from stagebook.model.problem import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

FUNCTIONS_MAX = 3
_block = re.compile(r"\$\[\[\s*(.{0,1000}?)\s*\]\]", re.S)
_input = re.compile(r"\$\[\[\s*inputs\.([\w-]+)\s*\]\]")
_TYPES = ("string", "number", "boolean", "array")
_NUMBER = re.compile(r"\A-?\d+(?:\.\d+)?\Z")
_truncate = re.compile(r"\Atruncate\(\s*(\d{1,9})\s*,\s*(\d{1,9})\s*\)\Z")


def is_head(node: Node) -> bool:
    """Whether a document is the head of the next one."""
    return node.kind == MAP and node.get("spec") is not None and all(name == "spec" for name, _, _ in node.items())


class Inputs:
    """Values of one file, by name. `lacking`: those that nobody gave, where that is nobody's mistake. `at`: what
    includes the file. `context`: variables for `expand_vars`."""

    def __init__(self, reading: Reading, head: Node | None, at: Node | None, context: Mapping[str, str]) -> None:
        self.reading = reading
        self.values: dict[str, Node] = {}
        self.lacking: set[str] = set()
        self.context = context
        self.component: dict[str, str] = {}
        spec = head.get("spec") if head is not None else None
        declared = spec.get("inputs") if spec is not None else None
        self.declared = declared if declared is not None and declared.kind == MAP else None
        self.at = at
        self.is_open = False

    def given(self, values: Mapping[str, Node], is_open: bool = False) -> None:
        """Take the values of an include, or of the user. `is_open`: it is nobody's mistake if one is lacking."""
        self.is_open = is_open
        names = [name for name, _, _ in self.declared.items()] if self.declared is not None else []
        for name, node in values.items():
            if name not in names:
                self.reading.problem(node, "input", f"input {shorten(name)} is not declared under `spec:inputs`")
        for name, key, rule in self.declared.items() if self.declared is not None else ():
            self.check_pattern(name, rule)
            given = values.get(name)
            if given is not None:
                given = self.values[name] = self.as_list(given, rule)
                self.check(name, given, rule)
                continue
            default = self.default(rule)
            if default is not None:
                self.values[name] = default
                if not default.is_null:
                    self.check(name, default, rule)
            elif is_open:
                self.lacking.add(name)
                self.reading.lacks(key, "input", f"input {shorten(name)} has no value; give one with --input {name}=…")
            else:
                self.reading.problem(self.at or key, "input", f"input {shorten(name)}: a value is required, none given")

    def as_list(self, node: Node, rule: Node) -> Node:
        """A list that the user gives as text, `[a, b]`, as one."""
        kind = rule.get("type")
        text = node.text or ""
        if kind is None or kind.text != "array" or node.kind != SCALAR or not text.startswith("["):
            return node
        try:
            documents = read(text.encode(), self.reading.file).documents
        except InputError:
            return node
        return documents[0] if documents else node

    def default(self, rule: Node) -> Node | None:
        """By its rules, the first that holds, else as it says itself."""
        rules = rule.get("rules")
        for each in rules or ():
            text = each.get("if")
            try:
                if text is None or holds(_input.sub(self.quoted, text.text or ""), {}):
                    return each.get("default")
            except ExpressionError as error:
                self.reading.problem(text, "expression", f"spec:inputs:rules: {error}")
        return rule.get("default")

    def quoted(self, found: re.Match[str]) -> str:
        """An input as a value of an expression."""
        node = self.values.get(found[1])
        return "null" if node is None else '"' + (node.text or "").replace('"', "'") + '"'

    def check(self, name: str, node: Node, rule: Node) -> None:
        def wrong(text: str) -> None:
            self.reading.problem(node, "input", f"input {shorten(name)}: {text}")

        kind = rule.get("type")
        word = kind.text if kind is not None else "string"
        text = node.text
        if word not in _TYPES:
            self.reading.problem(kind, "input", f"input {shorten(name)}: type {shorten(word or '')} is unknown")
        elif word == "array":
            if node.kind != LIST:
                wrong("a list is expected")
        elif node.kind != SCALAR:
            wrong(f"a {word} is expected")
        elif word == "number" and not (_NUMBER.match(text or "") and node.plain):
            wrong(f"{_shown(node)} is no number")
        elif word == "boolean" and (truth(node) is None or not node.plain):
            wrong(f"{_shown(node)} is neither true nor false")
        elif word == "string" and node.line and node.plain and _is_other(text or ""):
            wrong(f"{_shown(node)} is no text; put it in quotes")
        options = rule.get("options")
        for each in node.texts if options is not None else ():
            if options is not None and each not in options.texts:
                wrong(f"'{shorten(each)}' is none of its options: {shorten(', '.join(options.texts))}")
        try:
            found = self.pattern(rule)
        except ExpressionError:
            return
        if found is not None and text is not None and not found.search(text):
            wrong(f"'{shorten(text)}' does not match {shorten((rule.get('regex') or rule).text or '')}")

    def pattern(self, rule: Node) -> Any:
        """What its `regex` matches with. ExpressionError where that is none."""
        regex = rule.get("regex")
        written = regex.text if regex is not None else None
        if not written:
            return None
        return pattern(written if written.startswith("/") else f"/{written.replace('/', chr(92) + '/')}/")

    def check_pattern(self, name: str, rule: Node) -> None:
        try:
            self.pattern(rule)
        except ExpressionError as error:
            self.reading.problem(rule.get("regex"), "input", f"input {shorten(name)}: {error}")

    # Into the text ------------------------------------------------------------------------------------------------

    def into(self, root: Node) -> Node:
        """The document with all that speaks of inputs replaced."""
        return rewritten(root, self.replaced)

    def replaced(self, node: Node) -> Node | None:
        if node.kind != SCALAR or "$[[" not in node.value:
            return None
        whole = _block.fullmatch(str(node.value).strip())
        if whole is not None and "]]" not in whole[1]:
            value = self.value(node, whole[1])
            return node if value is None else self.placed(node, value)
        self.reading.spend(node, str(node.value).count("$[["))

        def text_of(found: re.Match[str]) -> str:
            value = self.value(node, found[1])
            if value is None:
                return found[0]
            return value.text or "" if value.kind == SCALAR else _json(value)

        return scalar(node, _block.sub(text_of, str(node.value)))

    def placed(self, node: Node, value: Node) -> Node:
        """A value that stands at `node`."""
        if value.kind == LIST:
            return list_of(node, [self.placed(node, each) for each in value])
        if value.kind == SCALAR:
            return scalar(node, str(value.value), value.plain)
        return like(node, value.kind, value.value)

    def value(self, node: Node, text: str) -> Node | None:
        """What a block says; None where that stays as it is (`matrix.NAME` is for the jobs)."""
        name, *functions = (part.strip() for part in text.split("|"))
        room, _, key = name.partition(".")
        if room == "matrix" or (room == "inputs" and key in self.lacking) or (room == "component" and self.is_open):
            return None
        if room == "component" and key in self.component:
            found = scalar(node, self.component[key])
        elif room == "inputs" and key in self.values:
            found = self.values[key]
        else:
            self.reading.problem(node, "input", f"`$[[ {shorten(text)} ]]`: there is no {shorten(name)}")
            return None
        if len(functions) > FUNCTIONS_MAX:
            self.reading.problem(node, "input", f"`$[[ {shorten(text)} ]]`: at most {FUNCTIONS_MAX} functions")
            return None
        for function in functions:
            made = self.called(function, found.text or "")
            if made is None:
                said = f"`$[[ {shorten(text)} ]]`: {shorten(function)} is no function; expand_vars, truncate and "
                self.reading.problem(node, "input", said + "posix_escape are")
                return None
            found = scalar(node, made)
        return found

    def called(self, function: str, text: str) -> str | None:
        if function == "expand_vars":
            return expanded(text, self.context)
        if function == "posix_escape":
            return shlex.quote(text)
        cut = _truncate.match(function)
        return text[int(cut[1]) : int(cut[1]) + int(cut[2])] if cut else None


def _is_other(text: str) -> bool:
    """Whether text without quotes is a number or says yes or no."""
    return _NUMBER.match(text) is not None or text in ("true", "false")


def _shown(node: Node) -> str:
    text = shorten(node.text or "")
    return text if node.plain else f'"{text}"'


def _json(node: Node) -> str:
    import json

    return json.dumps(plain(node))


def plain(node: Node, depth: int = 0) -> object:
    """As JSON; null, true, false and whole numbers without quotes are what they look like."""
    if depth > 100:
        return None
    if node.kind == LIST:
        return [plain(each, depth + 1) for each in node]
    if node.kind == MAP:
        return {name: plain(value, depth + 1) for name, _, value in node.items()}
    if node.is_null:
        return None
    if node.plain and node.value in ("true", "false"):
        return bool(node.value == "true")
    if node.plain and re.fullmatch(r"-?\d{1,18}", node.value):
        return int(node.value)
    return str(node.value)
