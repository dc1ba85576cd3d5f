"""Whether a job is in a pipeline and how: `rules`, `only` and `except`, `workflow:rules`, against what is known of the
occasion. What a job is otherwise is not looked at.

Which files have changed is not known when a file is read: `changes` is taken to hold, and where the job would not be
there without, the globs are kept for when it is known.
"""

from __future__ import annotations

import re

from stagebook.formats.gitlab.expression import ExpressionError, holds, parsed
from stagebook.formats.gitlab.files import Project, braces, spelled
from stagebook.formats.gitlab.reading import Reading
from stagebook.formats.gitlab.scalars import truth
from stagebook.formats.gitlab.templates import flattened
from stagebook.formats.gitlab.variables import Occasion, Variables, expanded, settled
from stagebook.formats.gitlab.variables import read as read_variables
from stagebook.formats.native.nodes import shorten
from stagebook.formats.request import NOTHING
from stagebook.formats.source.nodes import LIST, MAP, Node
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

WHENS = ("on_success", "on_failure", "always", "manual", "delayed", "never")
_RULE_KEYS = frozenset(
    ("if", "changes", "exists", "when", "start_in", "allow_failure", "variables", "needs", "interruptible",
     "auto_cancel")
)  # fmt: skip
_POLICY_KEYS = frozenset(("refs", "variables", "changes", "kubernetes"))


class Facts(NamedTuple):
    """What rules are held against. `strong`: variables that go before those of the file and its jobs."""

    occasion: Occasion
    values: Mapping[str, str]
    project: Project
    changed: tuple[str, ...] | None = None  #: files, where the event tells them
    strong: Variables = Variables()

    def knowing(self, variables: Variables) -> Facts:
        """With those of the file and a job beside all else."""
        return self._replace(values=settled(self.strong.over(variables), self.values))


class Verdict(NamedTuple):
    """`rule` is the one that matched. `changed`: globs without a match of which the job would not be there."""

    included: bool
    when: str | None = None
    allow_failure: bool | None = None
    start_in: str | None = None
    variables: Variables = Variables()
    needs: Node | None = None
    changed: tuple[str, ...] = ()
    rule: Node | None = None


def check_rules(reading: Reading, node: Node, name: str) -> None:
    """Say what is wrong with rules, whatever would match."""
    if node.kind != LIST:
        if not node.is_null:
            reading.problem(node, "type", f"{name}: `rules` takes a list")
        return
    if not node.value:
        reading.problem(node, "rules", f"{name}: `rules` is empty: it would never be there")
    for rule in flattened(node):
        if rule.kind != MAP:
            if not rule.is_null:
                reading.problem(rule, "type", f"{name}: a rule is a mapping, as `if: $VARIABLE`")
            continue
        for key, at, value in rule.items():
            if key not in _RULE_KEYS:
                reading.problem(at, "unknown-key", f"{name}: a rule has no key `{shorten(key)}`")
            elif key == "if":
                _check_expression(reading, value, f"{name}: rules:if")
            elif key == "when" and (value.text or "") not in WHENS:
                said = f"{name}: `when: {shorten(value.text or '')}` of a rule is none of {', '.join(WHENS)}"
                reading.problem(value, "value", said)


def _check_expression(reading: Reading, node: Node, what: str) -> None:
    if node.is_null:
        return
    if node.text is None:
        reading.problem(node, "type", f"{what} takes text")
        return
    try:
        parsed(node.text)
    except ExpressionError as error:
        reading.problem(node, "expression", f"{what}: {error}")


def judged(rules: Node, facts: Facts) -> Verdict:
    """The first rule that matches says what holds; none: the job is not there."""
    found = _first(rules, facts, facts.changed is not None)
    if facts.changed is None and found.rule is not None and found.rule.get("changes") is not None:
        without = _first(rules, facts, True)
        if not without.included:
            return found._replace(changed=_globs_of(rules, found, facts))
    return found


def _globs_of(rules: Node, found: Verdict, facts: Facts) -> tuple[str, ...]:
    """Those of the rule that was found, and of those after it that say the same of the job for other files."""
    globs: dict[str, None] = {}
    is_after = False
    for rule in flattened(rules).value:
        is_after = is_after or rule is found.rule
        if not is_after or rule.kind != MAP or not _matches(rule, facts, False):
            continue
        when = rule.get("when")
        if (when.text if when is not None else None) != found.when:
            break
        globs.update(dict.fromkeys(_globs(rule.get("changes"), facts.values)))
    return tuple(globs)


def _first(rules: Node, facts: Facts, is_known: bool) -> Verdict:
    flat = flattened(rules)
    for rule in flat if flat.kind == LIST else ():
        if rule.kind != MAP or not _matches(rule, facts, is_known):
            continue
        when, allowed, start = rule.get("when"), rule.get("allow_failure"), rule.get("start_in")
        word = when.text if when is not None else None
        return Verdict(
            word != "never", word, None if allowed is None else truth(allowed) is True,
            None if start is None else start.text, _variables(rule), rule.get("needs"), (), rule,
        )  # fmt: skip
    return Verdict(False)


def _variables(rule: Node) -> Variables:
    node = rule.get("variables")
    quiet = Reading("", "", NOTHING)
    return read_variables(quiet, node, "") if node is not None else Variables()


def _matches(rule: Node, facts: Facts, is_known: bool) -> bool:
    condition, changes, exists = rule.get("if"), rule.get("changes"), rule.get("exists")
    if condition is not None and condition.text is not None and not _holds(condition.text, facts):
        return False
    if changes is not None and is_known and not _has_changed(_globs(changes, facts.values), facts):
        return False
    if exists is not None:
        paths = exists.get("paths") if exists.kind == MAP else exists
        if exists.kind == MAP and exists.get("project") is not None:
            return True
        globs = [expanded(each, facts.values) for each in paths.texts] if paths is not None else []
        return any(facts.project.has(glob) for glob in globs)
    return True


def _holds(text: str, facts: Facts) -> bool:
    try:
        return holds(text, facts.values)
    except ExpressionError:
        return False


def _globs(changes: Node | None, values: Mapping[str, str]) -> tuple[str, ...]:
    paths = changes.get("paths") if changes is not None and changes.kind == MAP else changes
    found = [expanded(each, values).lstrip("/").removeprefix("./") for each in paths.texts] if paths is not None else []
    return tuple(dict.fromkeys(spelled(each) for glob in found for each in braces(glob) if each))


def _has_changed(globs: tuple[str, ...], facts: Facts) -> bool:
    from stagebook.model.globs import Globs

    return facts.changed is not None and Globs(globs).first(facts.changed) is not None


# only and except ------------------------------------------------------------------------------------------------------


def check_policy(reading: Reading, node: Node, name: str, key: str) -> None:
    if node.kind == MAP:
        for inner, at, value in node.items():
            if inner not in _POLICY_KEYS:
                reading.problem(at, "unknown-key", f"{name}: `{key}` has no key `{shorten(inner)}`")
            elif inner == "variables":
                for each in value if value.kind == LIST else (value,):
                    _check_expression(reading, each, f"{name}: {key}:variables")


def chosen(only: Node | None, excepted: Node | None, facts: Facts) -> Verdict:
    """By `only` and `except`; without either, branches and tags."""
    changed: tuple[str, ...] = ()
    if only is None or only.is_null:
        if facts.occasion.source == "merge_request_event":
            return Verdict(False)
    else:
        refs, variables, changes = _parts(only)
        if refs is not None and not _is_ref(refs, facts):
            return Verdict(False)
        if refs is None and facts.occasion.source == "merge_request_event":
            return Verdict(False)
        if variables is not None and not any(_holds(text, facts) for text in variables):
            return Verdict(False)
        if changes is not None:
            changed = _globs(changes, facts.values)
            if facts.changed is not None:
                if not _has_changed(changed, facts):
                    return Verdict(False)
                changed = ()
    if excepted is not None and not excepted.is_null:
        refs, variables, changes = _parts(excepted)
        if refs is not None and _is_ref(refs, facts):
            return Verdict(False)
        if variables is not None and any(_holds(text, facts) for text in variables):
            return Verdict(False)
        if changes is not None and facts.changed and _has_changed(_globs(changes, facts.values), facts):
            return Verdict(False)
    return Verdict(True, changed=changed)


def _parts(node: Node) -> tuple[list[str] | None, list[str] | None, Node | None]:
    if node.kind != MAP:
        return node.texts, None, None
    refs, variables = node.get("refs"), node.get("variables")
    return (
        None if refs is None else refs.texts,
        None if variables is None else variables.texts,
        node.get("changes"),
    )


def _is_ref(words: list[str], facts: Facts) -> bool:
    return any(_is_one(word, facts) for word in words)


def _is_one(word: str, facts: Facts) -> bool:
    from stagebook.formats.gitlab.expression import pattern

    occasion = facts.occasion
    word = word.partition("@")[0] if not word.startswith("/") else re.sub(r"(/[ismU]*)@.*\Z", r"\1", word)
    named = {
        "pushes": "push", "merge_requests": "merge_request_event", "schedules": "schedule", "web": "web", "api": "api",
        "triggers": "trigger", "pipelines": "pipeline", "external": "external", "chat": "chat",
        "external_pull_requests": "external_pull_request_event",
    }.get(word)  # fmt: skip
    if named is not None:
        return occasion.source == named
    if word in ("branches", "tags"):
        return occasion.is_tag is (word == "tags") and occasion.source != "merge_request_event"
    if occasion.source == "merge_request_event":
        return False
    if word.startswith("/"):
        try:
            return pattern(word).search(occasion.ref) is not None
        except ExpressionError:
            return False
    return word == occasion.ref
