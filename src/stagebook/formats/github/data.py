"""What steps leave and find: artifacts, caches, outputs, variables. Names as far as they are known when read; what is
not is a `*` in them. Moves nothing."""

from __future__ import annotations

from functools import lru_cache

from stagebook.formats.github import words
from stagebook.formats.github.expression import UNKNOWN, ExpressionError, condition, references, template
from stagebook.formats.github.expression.evaluate import evaluate, truth
from stagebook.formats.github.expression.value import to_text
from stagebook.model.job import Datum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Mapping

    from stagebook.formats.github.expression import Node, Part, Reference

NAME_MAX = 300
#: What functions of status say to a step if all before it goes well.
_GOES_WELL: dict[str, Callable[..., bool]] = {
    "success": lambda *_: True, "failure": lambda *_: False, "always": lambda *_: True, "cancelled": lambda *_: False,
}  # fmt: skip


@lru_cache(4096)
def parsed(text: str) -> tuple[Part, ...]:
    """The parts of a text, once for all that look at it. ExpressionError."""
    return tuple(template(text))


def filled(text: str, contexts: Mapping[str, Any]) -> tuple[str, bool]:
    """A text with its expressions evaluated; those that are not known yet are `*`, and then it is open."""
    if "${{" not in text:
        return text[:NAME_MAX], False
    try:
        parts = parsed(text)
    except ExpressionError:
        return "*", True
    made, is_open = "", False
    for part in parts:
        value: Any = part.text
        if part.tree is not None:
            try:
                value = evaluate(part.tree, contexts)
            except ExpressionError:
                value = UNKNOWN
        if value is UNKNOWN:
            is_open = True
            value = "" if made.endswith("*") else "*"
        made += to_text(value)
    return made[:NAME_MAX], is_open


def shown(text: str, contexts: Mapping[str, Any]) -> str:
    """A text with its expressions evaluated; those that are not known yet stay as they are written."""
    if "${{" not in text:
        return text
    try:
        parts = parsed(text)
    except ExpressionError:
        return text
    made = ""
    for part in parts:
        value: Any = part.text
        if part.tree is not None:
            try:
                value = evaluate(part.tree, contexts)
            except ExpressionError:
                value = UNKNOWN
        made += f"${{{{{part.text}}}}}" if value is UNKNOWN else to_text(value)
    return made


def references_in(value: Any) -> Iterator[Reference]:
    """Of every expression in a value of the file, at any depth; `if` beside `${{ }}` included."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "if" and isinstance(each, str) and "${{" not in each:
                yield from _of_condition(each)
            else:
                yield from references_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from references_in(each)
    elif isinstance(value, str) and "${{" in value:
        yield from _of_text(value)


@lru_cache(1024)
def _of_text(text: str) -> tuple[Reference, ...]:
    try:
        parts = parsed(text)
    except ExpressionError:
        return ()
    return tuple(each for part in parts if part.tree is not None for each in references(part.tree))


@lru_cache(1024)
def _of_condition(text: str) -> tuple[Reference, ...]:
    try:
        return tuple(references(condition(text)))
    except ExpressionError:
        return ()


@lru_cache(1024)
def _tree(text: str) -> Node:
    return condition(text)


def takes_part(text: str | bool | None, contexts: Mapping[str, Any]) -> bool | None:
    """Whether a step's `if` holds as far as it is known when read, if all before it goes well; None where it is not."""
    if text is None or isinstance(text, bool):
        return text is not False
    try:
        known = {name: each for name, each in contexts.items() if name != "env"}  # which steps before it may set
        return truth(_tree(text), known, _GOES_WELL)
    except ExpressionError:
        return None


def of_action(
    uses: str,
    with_: Mapping[str, Any],
    line: int,
    contexts: Mapping[str, Any],
    file: str | None = None,
    is_sure: bool | None = True,
) -> tuple[list[Datum], list[Datum]]:
    """What a step with a known action reads and writes."""
    name = words.action_name(uses)

    def given(key: str) -> str | None:
        value = with_.get(key)
        return None if value is None else to_text(value)

    def datum(kind: str, text: str, as_glob: bool = False) -> Datum:
        made, is_open = filled(text, contexts)
        return Datum(kind, made, line, is_open or as_glob, file, is_sure)

    if name == "actions/upload-artifact":
        return [], [datum("artifact", given("name") or "artifact")]
    if name == "actions/upload-artifact/merge":
        read = datum("artifact", given("pattern") or "*", True)
        return [read], [datum("artifact", given("name") or "merged-artifacts")]
    if name == "actions/download-artifact":
        if given("run-id"):
            return [], []
        if given("name"):
            return [datum("artifact", given("name") or "")], []
        return [datum("artifact", given("pattern") or "*", True)], []
    if name in ("actions/cache", "actions/cache/restore", "actions/cache/save"):
        held = [datum("cache", given("key") or "*")]
        return ([] if name.endswith("save") else held), ([] if name.endswith("restore") else held)
    if name.startswith("actions/setup-") and given("cache"):
        held = [datum("cache", f"{name.removeprefix('actions/')}-{given('cache')}")]
        return held, held
    if name == "actions/upload-pages-artifact":
        return [], [datum("artifact", given("name") or "github-pages")]
    if name == "actions/deploy-pages":
        return [datum("artifact", given("artifact_name") or "github-pages")], []
    return [], []
