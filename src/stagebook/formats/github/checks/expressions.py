"""What is wrong with expressions: their syntax, contexts and functions that may not stand there, what nothing is
called, types that never fit, conditions that always hold."""

from __future__ import annotations

from stagebook.formats.github import data
from stagebook.formats.github.checks import inference, payloads
from stagebook.formats.github.checks.known_types import Known
from stagebook.formats.github.checks.types import Type, told
from stagebook.formats.github.expression import (
    CONTEXTS,
    FUNCTIONS,
    ExpressionError,
    calls,
    parse,
    references,
)
from stagebook.formats.github.expression.grammar import LENGTH_MAX
from stagebook.formats.github.shape import PROBLEMS_MAX, Spot, Walk, nearest
from stagebook.formats.github.sites import SITES
from stagebook.formats.github.values import At, place_of
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import Node as YamlNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

    from stagebook.formats.github.expression import Node, Part
    from stagebook.formats.github.local import Files

_DEFAULT = "on.workflow_call.inputs.*.default"
_FREE = frozenset(FUNCTIONS) - {"hashfiles", "success", "failure", "always", "cancelled"}
_WRONG_TYPES = {
    "text": ("object", "array", "null"),
    "bool": ("object", "array", "number"),
    "number": ("object", "array", "boolean"),
    "integer": ("object", "array", "boolean"),
    "map": ("string", "number", "boolean", "array", "null"),
    "list": ("string", "number", "boolean", "null"),
    "labels": ("object", "null"),
}
_MUST_BE = {
    "text": "text", "bool": "a boolean", "number": "a number", "integer": "a number", "map": "a mapping",
    "list": "a list", "labels": "text or a list",
}  # fmt: skip


def check(walk: Walk, root: YamlNode, triggers: Mapping[str, Any], files: Files) -> None:
    known = Known(root, triggers, files)
    seen: set[tuple[int, str, int | None]] = set()
    for spot in walk.spots:
        identity = (id(spot.node), spot.key, spot.step)
        if identity not in seen:
            seen.add(identity)
            _Spot(walk, spot, known).check()


class _Spot:
    """One text of the file."""

    def __init__(self, walk: Walk, spot: Spot, known: Known) -> None:
        self.walk = walk
        self.spot = spot
        self.known = known
        self.text = str(spot.node.value)
        self.site = SITES[spot.site or "none"]

    def say(self, offset: int, code: str, message: str, level: str = "error") -> None:
        if len(self.walk.said) >= PROBLEMS_MAX:
            return  # finding the place would cost more than it is worth
        line, col = place_of(self.walk.source, self.spot.node, offset)
        self.walk.problem(At(line, col), code, message, level)  # type: ignore[arg-type]

    def check(self) -> None:
        if len(self.text) > LENGTH_MAX and "${{" in self.text:
            said = f"this text has expressions and {len(self.text)} characters; GitHub takes {LENGTH_MAX} then"
            self.walk.problem(self.spot.node, "limit", said)
            return
        if self.spot.condition and "${{" not in self.text:
            self.whole()
            return
        try:
            parts = data.parsed(self.text)
        except ExpressionError as error:
            self.wrong(error, 0)
            return
        for part in parts:
            if part.tree is not None and self.spot.site is None:
                self.say(part.offset, "expression", f"no expression can stand in `{_last(self.spot.key)}`")
            elif part.tree is not None:
                self.tree(part.tree, part.offset, is_alone=len(parts) == 1)
        self.payload([(part.tree, part.offset) for part in parts if part.tree is not None], parts)
        if self.spot.condition:
            self.condition(parts)

    def whole(self) -> None:
        """A condition without `${{ }}`."""
        try:
            tree = parse(self.text)
        except ExpressionError as error:
            self.wrong(error, 0)
            return
        self.tree(tree, 0, is_alone=True)
        self.payload([(tree, 0)], ())
        if _is_constant(tree):
            self.constant()

    def wrong(self, error: ExpressionError, offset: int) -> None:
        self.say(offset + (error.offset or 0), "expression", f"this expression is wrong: {error.message}")

    # What may stand there ---------------------------------------------------------------------------------------------

    def tree(self, tree: Node, offset: int, is_alone: bool) -> None:
        is_allowed = True
        for reference in references(tree):
            name = reference.path[0].lower()
            if name not in self.site.contexts:
                is_allowed = False
                self.context(name, reference.path[0], offset + reference.offset)
        for call in calls(tree):
            if call.name not in _FREE and call.name not in self.site.functions:
                is_allowed = False
                self.say(
                    offset + call.offset, "function", f"`{call.name}` cannot be called in `{_last(self.spot.key)}`"
                )
        if is_allowed:
            self.types(tree, offset, is_alone)

    def payload(self, trees: Sequence[tuple[Node, int]], parts: Sequence[Part]) -> None:
        """Says which fields of the event are always empty, and where that makes one concurrency group of many."""
        found = [(each, offset) for tree, offset in trees for each in payloads.absent(tree, self.known.triggers)]
        is_group = self.spot.key.endswith(("concurrency", "concurrency.group"))
        is_one = is_group and payloads.is_same(parts, frozenset(each.path for each, _ in found))
        # A group or a condition that is always the same does harm; a text that is empty may be meant so.
        level = "warning" if is_one or self.spot.key.endswith(".if") else "note"
        for each, offset in found:
            so = "; all runs are in one group then, in which one waits for another or cancels it" if is_one else ""
            self.say(offset + each.offset, "payload", each.text + so, level)

    def context(self, name: str, written: str, offset: int) -> None:
        if name not in CONTEXTS:
            near = nearest(name, self.site.contexts or CONTEXTS)
            self.say(offset, "unknown-context", f"unknown name `{shorten(written)}` in an expression{near}")
            return
        allowed = sorted(self.site.contexts)
        those = f"; these can: {', '.join(allowed)}" if allowed else ", nor any other context"
        self.say(offset, "context", f"`{name}` cannot be used in `{_last(self.spot.key)}`{those}")

    def types(self, tree: Node, offset: int, is_alone: bool) -> None:
        spot = self.spot
        contexts = self.known.of(spot.job, spot.step, spot.key)
        wanted: Type | None = None
        if spot.key == _DEFAULT:
            before, wanted = self.known.default(spot.node)
            contexts = {**contexts, "inputs": before}

        def say(at: int, message: str) -> None:
            self.say(offset + at, "type", message, "warning")

        found = inference.Inference(contexts, say).of(tree)
        if wanted is not None and wanted.kind in ("boolean", "number") and found.kind not in ("any", wanted.kind):
            say(0, f"the input is {told(wanted)}, its default {told(found)}")
        if not spot.condition:
            self.fits(found, offset, is_alone)

    def fits(self, found: Type, offset: int, is_alone: bool) -> None:
        """Whether what it is can become what stands there."""
        type_ = self.spot.type
        if type_ == "any":
            if is_alone:
                return
            type_ = "text"
        if found.kind in _WRONG_TYPES[type_]:
            must = _MUST_BE[type_]
            self.say(offset, "type", f"`{_last(self.spot.key)}` must be {must}, and this is {told(found)}", "warning")

    # Conditions -------------------------------------------------------------------------------------------------------

    def condition(self, parts: Any) -> None:
        """Says where `${{ }}` with text around it makes a condition that always holds."""
        trees = [part for part in parts if part.tree is not None]
        if len(parts) > 1 or not trees:
            around = "the line end after" if self.text.strip().endswith("}}") and len(trees) == 1 else "text around"
            said = f"{around} `${{{{ }}}}` makes this condition text, which always holds; write it without `${{{{ }}}}`"
            self.walk.problem(self.spot.node, "condition", said, "warning")
        elif _is_constant(trees[0].tree):
            self.constant()

    def constant(self) -> None:
        said = "this condition says the same in every run"
        self.walk.problem(self.spot.node, "constant-condition", said, "note")


def _is_constant(tree: Node) -> bool:
    return not references(tree) and not any(call.name not in _FREE for call in calls(tree))


def _last(key: str) -> str:
    """The name of the last key of a way that is no user's."""
    names = [each for each in key.replace("[]", "").split(".") if each != "*"]
    return names[-1] if names else key
