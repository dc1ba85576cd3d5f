"""Shell text with `${{ }}` in it as text for a shell alone: what an expression stands for becomes a variable or a
command. What has no such meaning fails when it is reached, and says so.
"""

from __future__ import annotations

import re

from stagebook.formats.github.expression import ExpressionError, Node, template, to_text
from stagebook.formats.native.check import env_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Mapping

_WORD = re.compile(r"[A-Za-z0-9_./:@=+-]*")
_ONE_VARIABLE = re.compile(r"\$\{(\w+)\}")
_OUTPUT = re.compile(r"[A-Za-z0-9_-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: The parameter that says which tag a run is for: a checkout does not tell a tag from a branch.
TAG = "git_tag"
_BRANCH = "$(git rev-parse --abbrev-ref HEAD)"
#: Contexts that a shell can answer for itself.
KNOWN = {
    ("github", "sha"): "$(git rev-parse HEAD)",
    ("github", "ref_name"): f"${{PARAM_GIT_TAG:-{_BRANCH}}}",
    ("github", "head_ref"): _BRANCH,
    ("github", "ref"): f"${{PARAM_GIT_TAG:+refs/tags/}}${{PARAM_GIT_TAG:-refs/heads/{_BRANCH}}}",
    ("github", "ref_type"): '$([ -n "${PARAM_GIT_TAG}" ] && echo tag || echo branch)',
    ("github", "event_name"): "${STAGEBOOK_EVENT:-${GITHUB_EVENT_NAME:-manual}}",
    ("github", "workspace"): "$(git rev-parse --show-toplevel)",
    ("github", "actor"): "${USER:-}",
    ("github", "run_id"): "${STAGEBOOK_RUN}",
    ("github", "run_attempt"): "${STAGEBOOK_ATTEMPT}",
    ("github", "run_number"): "${STAGEBOOK_RUN}",
    ("github", "job"): "${STAGEBOOK_STAGE}",
    ("runner", "os"): "$(uname -s | sed s/Darwin/macOS/)",
    ("runner", "arch"): "$(uname -m | sed 's/x86_64/X64/; s/aarch64/ARM64/; s/arm64/ARM64/')",
    ("runner", "temp"): "${TMPDIR:-/tmp}",
}
#: What GitHub sets for each step, by the context that it is; and what is as it is.
VARIABLES = {
    f"{context.upper()}_{name.upper()}": (context, name)
    for context, name in KNOWN if (context, name) != ("github", "event_name")
}  # fmt: skip
#: Those of which only GitHub knows the value, and without which a command would do something else.
_UNKNOWN = re.compile(
    r"\b(GITHUB_(?:REPOSITORY(?:_OWNER|_ID|_OWNER_ID)?|TOKEN|EVENT_PATH|BASE_REF|API_URL|SERVER_URL|GRAPHQL_URL|ACTION_PATH"
    r"|TRIGGERING_ACTOR|WORKFLOW(?:_REF|_SHA)?)|RUNNER_TOOL_CACHE|RUNNER_NAME)\b"
)


def unknown_variables(text: str) -> list[str]:
    """Names that a text reads of GitHub's own variables and that have no value here."""
    return [
        name
        for name in dict.fromkeys(_UNKNOWN.findall(text))
        if re.search(rf"\$\{{?{name}\b", text) and not re.search(rf"(?m)(?:^|[\s;]){name}=", text)
    ]


class Uses:
    """What texts speak of: parameters with their defaults, secrets, outputs of needs by the variable for each.
    `inputs`: of a called workflow, as a shell has them; `secrets`: what they are called by who calls it; `axes`: of
    the matrix, and what each is called in the environment."""

    def __init__(
        self,
        inputs: Callable[[str], str] | None = None,
        secrets: Mapping[str, str] = {},
        axes: Mapping[str, str] = {},
    ) -> None:
        self.inputs = inputs
        self.axes = axes
        self.secrets = secrets
        self.steps: dict[str, str] = {}  #: ids of the steps before: `run`, or `cache` for an action of that kind
        self.params: dict[str, str | None] = {}
        self.outputs: dict[str, tuple[str, str]] = {}
        self.fields: dict[str, tuple[str, ...]] = {}  #: variables for what is within a value of the matrix
        self.unknown: dict[str, None] = {}  #: expressions without a meaning here


def path_of(tree: Node) -> tuple[str, ...] | None:
    """`github.ref_name` as its names, with `*` for all of a list; None of what is no plain path."""
    if tree.kind == "name":
        return (str(tree.value).lower(),)
    if tree.kind == "index":
        above, key = path_of(tree.below[0]), tree.below[1]
        if above is not None and key.kind == "star":
            return (*above, "*")
        if above is not None and key.kind == "literal" and isinstance(key.value, str):
            return (*above, key.value)
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
        return shell_literal(tree.value)
    path = path_of(tree)
    found = _either(tree, uses) if path is None else known_value(path, uses)
    if found is None:
        uses.unknown[text] = None
        said = re.sub(r"[^A-Za-z0-9_. ()=!&|,-]", "", text)[:60]
        return f"${{STAGEBOOK_UNKNOWN:?no meaning here: {said}}}"
    return found


def _either(tree: Node, uses: Uses) -> str | None:
    """`a || b`, where `a` is a variable."""
    if tree.kind != "binary" or tree.value != "||":
        return None
    *firsts, last = tree.below
    path = path_of(last)
    if path is not None:
        made = known_value(path, uses)
    else:
        made = str(last.value) if last.kind == "literal" and isinstance(last.value, str) else None
        made = made if made is not None and _WORD.fullmatch(made) else None
    for first in reversed(firsts):
        path = path_of(first)
        value = known_value(path, uses) if path is not None else None
        match = _ONE_VARIABLE.fullmatch(value or "")
        if made is None or match is None:
            return None
        made = f"${{{match[1]}:-{made}}}"
    return made


def known_value(path: tuple[str, ...], uses: Uses) -> str | None:
    """What a path is to a shell, for within double quotes; None for what only GitHub knows."""
    found = KNOWN.get(path[:2]) if len(path) == 2 else None
    if found is not None:
        if "PARAM_GIT_TAG" in found:
            uses.params.setdefault(TAG, None)
        return found
    context, *names = path
    if "*" in names:
        return None
    if context == "steps" and len(names) == 3 and names[1] == "outputs":
        return _of_step(names[0], names[2], uses)
    if context == "inputs" and uses.inputs is not None and len(names) == 1:
        return uses.inputs(names[0])
    if context == "secrets" and len(names) == 1:
        names = [uses.secrets.get(names[0], names[0])]
    if context == "matrix" and len(names) == 1:
        return f"${{MATRIX_{uses.axes.get(names[0]) or env_name(names[0])}}}"
    if context == "matrix" and len(names) > 1:
        taken = {**uses.fields, **{f"MATRIX_{each}": () for each in uses.axes.values()}}
        variable = _free(f"MATRIX_{env_name('_'.join(names))}", tuple(names), taken)
        uses.fields[variable] = tuple(names)
        return f"${{{variable}}}"
    if context in ("env", "secrets", "vars") and len(names) == 1 and _VARIABLE.fullmatch(names[0]):
        return f"${{{names[0]}}}"
    name = names[0] if context == "inputs" and len(names) == 1 else None
    if path[:3] == ("github", "event", "inputs") and len(path) == 4:
        name = path[3]
    if name is not None:
        uses.params.setdefault(name, None)
        return f"${{PARAM_{env_name(name)}}}"
    if context == "needs" and len(names) == 3 and names[1] == "outputs":
        variable = _free(f"NEEDS_{env_name(names[0])}_{env_name(names[2])}", (names[0], names[2]), uses.outputs)
        uses.outputs[variable] = (names[0], names[2])
        return f"${{{variable}}}"
    return None


def _free(variable: str, what: tuple[str, ...], taken: Mapping[str, tuple[str, ...]]) -> str:
    """The variable, with a number where it stands for something else."""
    free, number = variable, 1
    while taken.get(free, what) != what:
        number += 1
        free = f"{variable}_{number}"
    return free


def _of_step(step: str, output: str, uses: Uses) -> str | None:
    """What an earlier step of the same job has said. A cache that is none is never hit."""
    kind = uses.steps.get(step, "")
    if kind == "cache":
        return ""
    if kind != "run" or not _OUTPUT.fullmatch(output):
        return None
    return f"$(sed -n 's/^{output}=//p' \"$STAGEBOOK_OUTPUT\" | tail -n 1)"


def shell_literal(value: object) -> str:
    """For within double quotes."""
    return re.sub(r"([$`\"\\])", r"\\\1", to_text(value))


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
