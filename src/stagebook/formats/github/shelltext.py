"""Shell text with `${{ }}` in it as text for a shell alone: what an expression stands for becomes a variable or a
command. What has no such meaning fails when it is reached, and says so.
"""

from __future__ import annotations

import re

from stagebook.formats.github.expression import ExpressionError, Node, template
from stagebook.formats.native.check import env_name

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Contexts that a shell can answer for itself.
KNOWN = {
    ("github", "sha"): "$(git rev-parse HEAD)",
    ("github", "ref_name"): "$(git rev-parse --abbrev-ref HEAD)",
    ("github", "head_ref"): "$(git rev-parse --abbrev-ref HEAD)",
    ("github", "ref"): "refs/heads/$(git rev-parse --abbrev-ref HEAD)",
    ("github", "workspace"): "$(git rev-parse --show-toplevel)",
    ("github", "actor"): "${USER:-}",
    ("github", "run_id"): "${STAGEBOOK_RUN}",
    ("github", "run_attempt"): "${STAGEBOOK_ATTEMPT}",
    ("github", "run_number"): "${STAGEBOOK_RUN}",
    ("github", "job"): "${STAGEBOOK_STAGE}",
    ("runner", "os"): "$(uname -s)",
    ("runner", "arch"): "$(uname -m)",
    ("runner", "temp"): "${TMPDIR:-/tmp}",
}


class Uses:
    """What texts speak of: parameters with their defaults, secrets, outputs of needs by the variable for each."""

    def __init__(self) -> None:
        self.params: dict[str, str | None] = {}
        self.outputs: dict[str, tuple[str, str]] = {}
        self.unknown: dict[str, None] = {}  #: expressions without a meaning here


def path_of(tree: Node) -> tuple[str, ...] | None:
    """`github.ref_name` as its names; None of what is no plain path."""
    if tree.kind == "name":
        return (str(tree.value).lower(),)
    if tree.kind == "index" and tree.below[1].kind == "literal" and isinstance(tree.below[1].value, str):
        above = path_of(tree.below[0])
        return None if above is None else (*above, tree.below[1].value)
    return None


def in_shell(text: str, uses: Uses) -> str:
    """The text with each expression as a shell has it, quoted as it stands there."""
    try:
        parts = template(text)
    except ExpressionError:
        uses.unknown[text.strip()[:60]] = None
        return text
    made: list[str] = []
    quotes = _Quotes()
    for part in parts:
        if part.tree is None:
            quotes.read(part.text)
            made.append(part.text)
            continue
        value = meaning(part.tree, part.text.strip(), uses)
        made.append(f"'\"{value}\"'" if quotes.open == "'" else value)
    return "".join(made)


def has_expression(text: str) -> bool:
    return "${{" in text


def meaning(tree: Node, text: str, uses: Uses) -> str:
    """One expression."""
    if tree.kind == "literal":
        return _literal(tree.value)
    path = path_of(tree)
    found = None if path is None else _of_path(path, uses)
    if found is None:
        uses.unknown[text] = None
        said = re.sub(r"[^A-Za-z0-9_. ()=!&|,-]", "", text)[:60]
        return f"${{STAGEBOOK_UNKNOWN:?no meaning here: {said}}}"
    return found


def _of_path(path: tuple[str, ...], uses: Uses) -> str | None:
    if path in KNOWN:
        return KNOWN[path]
    context, *names = path
    if context == "matrix" and len(names) == 1:
        return f"${{MATRIX_{env_name(names[0])}}}"
    if context in ("env", "secrets", "vars") and len(names) == 1 and _VARIABLE.fullmatch(names[0]):
        return f"${{{names[0]}}}"
    name = names[0] if context == "inputs" and len(names) == 1 else None
    if path[:3] == ("github", "event", "inputs") and len(path) == 4:
        name = path[3]
    if name is not None:
        uses.params.setdefault(name, None)
        return f"${{PARAM_{env_name(name)}}}"
    if context == "needs" and len(names) == 3 and names[1] == "outputs":
        variable = f"NEEDS_{env_name(names[0])}_{env_name(names[2])}"
        uses.outputs[variable] = (names[0], names[2])
        return f"${{{variable}}}"
    return None


def _literal(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return re.sub(r"([$`\"\\])", r"\\\1", str(value))


class _Quotes:
    """In which quotes a shell stands that has read so far, as far as that can be told without its grammar."""

    def __init__(self) -> None:
        self.open = ""  #: `'`, `"`, or `#` of a comment
        self._is_escaped = False
        self._before = "\n"

    def read(self, text: str) -> None:
        for letter in text:
            if self._is_escaped:
                self._is_escaped = False
            elif letter == "\\" and self.open in ("", '"'):
                self._is_escaped = True
            elif self.open == "#":
                self.open = "" if letter == "\n" else "#"
            elif self.open:
                self.open = "" if letter == self.open else self.open
            elif letter in "'\"" or (letter == "#" and self._before.isspace()):
                self.open = letter
            self._before = letter
