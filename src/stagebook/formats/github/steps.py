"""The steps of a job as they follow each other: what each is, what must be over before it, what it leaves and finds.
Local composite actions are looked into. Runs nothing."""

from __future__ import annotations

from stagebook.formats.github import data, words
from stagebook.formats.github.expression import Open
from stagebook.formats.github.expression.value import to_text
from stagebook.formats.github.shape import kind_of
from stagebook.formats.github.values import clean, value_of
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import MAP, Node
from stagebook.model.job import Datum, JobStep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.formats.github.local import Files

STEPS_MAX = 2_000  #: of a job, those inside actions included
NESTED_MAX = 10  #: actions inside each other, as GitHub has it
_TITLES = {"wait": "Wait", "wait-all": "Wait for all", "cancel": "Cancel"}


class Steps:
    """Built up in file order. `last` are the places of the steps that the next one waits for; `background` those that
    run on, by their id or place. `file` as of a step."""

    def __init__(
        self,
        contexts: Mapping[str, Any],
        files: Files,
        file: str | None = None,
        trail: tuple[str, ...] = (),
        room: list[int] | None = None,
        is_sure: bool | None = True,
    ) -> None:
        self.contexts = contexts
        self.files = files
        self.file = file
        self.is_sure = is_sure  #: whether the action around takes part
        self.trail = trail  #: the actions around
        self.room = [STEPS_MAX] if room is None else room
        self.found: list[JobStep] = []
        self.raw: list[dict[str, Any]] = []
        self.last: tuple[int, ...] = ()
        self.background: dict[str, int] = {}

    def add(self, node: Node) -> None:
        """One entry of `steps`."""
        kind = kind_of(node)
        if kind is None or node.kind != MAP or self.room[0] <= 0:
            return
        if kind == "parallel":
            self.parallel(node)
        elif kind in ("wait", "wait-all"):
            asked = node.get("wait")
            targets = (
                set(self.background)
                if kind == "wait-all"
                else {each.lower() for each in asked.texts}
                if asked
                else set()
            )
            ended = [self.background.pop(each) for each in list(self.background) if each in targets]
            self.put(node, "wait", ", ".join(asked.texts) if asked else "", (*self.last, *ended))
            self.last = (len(self.found) - 1,)
        elif kind == "cancel":
            target = (node.get("cancel") or node).text or ""
            ended = [self.background.pop(target.lower())] if target.lower() in self.background else []
            self.put(node, "cancel", target, (*self.last, *ended))
            self.last = (len(self.found) - 1,)
        else:
            background = node.get("background")
            places = self.plain(node, kind, self.last)
            if background is not None and value_of(background) is True:
                step_id = (node.get("id") or node).text
                self.background[(step_id or f"#{places[-1]}").lower()] = places[-1]
            else:
                self.last = (places[-1],)

    def parallel(self, node: Node) -> None:
        before, ends = self.last, []
        for each in node.get("parallel") or ():
            kind = kind_of(each)
            if kind in ("run", "uses"):
                ends.append(self.plain(each, kind, before)[-1])
        self.last = tuple(ends) or before

    def plain(self, node: Node, kind: str, after: tuple[int, ...]) -> list[int]:
        """A step with `run` or `uses`: its places in `found`, several for a composite action."""
        if kind == "uses":
            uses = (node.get("uses") or node).text or ""
            inner = self.files.inside(uses) if uses not in self.trail and len(self.trail) < NESTED_MAX else None
            if inner:
                return self.composite(node, inner, after, uses)
            self.put(node, "uses", uses, after)
        else:
            self.put(node, "run", (node.get("run") or node).text or "", after)
        return [len(self.found) - 1]

    def composite(self, node: Node, inner: list[Node], after: tuple[int, ...], uses: str) -> list[int]:
        """The steps of an action in place of the one that uses it."""
        outer = clean(data.shown(_title(node, "uses"), self.contexts))
        begin = len(self.found)
        action = self.files.action(uses)
        assert action is not None
        nested = Steps(
            {**self.contexts, "inputs": self.given(node, uses)}, self.files, self.files.beside(action[0]),
            (*self.trail, uses), self.room, _both(self.is_sure, data.takes_part(_condition(node), self.contexts)),
        )  # fmt: skip
        for each in inner:
            nested.add(each)
        if not nested.found:
            self.put(node, "uses", uses, after)
            return [begin]
        for place, step in enumerate(nested.found):
            self.found.append(
                step._replace(
                    name=f"{outer} / {step.name}",
                    after=tuple(begin + each for each in step.after) or after,
                    condition=step.condition if place else _text(node, "if") or step.condition,
                    id=None,
                    reads=tuple(each for each in step.reads if each.kind != "output"),
                    writes=tuple(each for each in step.writes if each.kind != "output"),
                )
            )
            self.raw.append(nested.raw[place])
        last = self.found[-1]
        self.found[-1] = last._replace(id=_text(node, "id"))
        return list(range(begin, len(self.found)))

    def given(self, node: Node, uses: str) -> Open:
        """The inputs of an action, as far as they are known."""
        value = value_of(node.get("with"))
        said = {name.lower(): each for name, each in value.items()} if isinstance(value, dict) else {}
        made = Open()
        for name, default in self.files.inputs(uses).items():
            text = to_text(said[name.lower()]) if name.lower() in said else default or ""
            filled, is_open = data.filled(text, self.contexts)
            if not is_open:
                made[name] = filled
        return made

    def put(self, node: Node, kind: str, text: str, after: tuple[int, ...]) -> None:
        self.room[0] -= 1
        value = value_of(node)
        with_ = value.get("with") if isinstance(value.get("with"), dict) else {}
        reads: list[Datum] = []
        writes: list[Datum] = []
        sure = _both(self.is_sure, data.takes_part(_condition(node), self.contexts))
        if kind == "uses":
            reads, writes = data.of_action(text, with_, node.line, self.contexts, self.file, sure)
        elif kind == "run":
            writes = [Datum("dotenv", name, node.line, file=self.file) for name in words.variables_written(text)]
        setup = words.is_setup_action(text) if kind == "uses" else kind == "run" and words.is_setup_script(text)
        title = clean(data.shown(_title(node, kind), self.contexts))
        self.found.append(
            JobStep(
                title, node.line, node.end_line, kind, text, tuple(dict.fromkeys(after)), _text(node, "if"),
                _text(node, "id"), setup, tuple(reads), tuple(writes), self.file,
            )
        )  # fmt: skip
        self.raw.append(value)


def joined(steps: Steps, outputs: Mapping[str, Any]) -> tuple[JobStep, ...]:
    """The steps with what passes between them: outputs that a later step or the job asks for, and variables that one
    puts into GITHUB_ENV and another uses."""
    asked: dict[str, list[str]] = {}
    reading: list[list[Datum]] = []
    set_before: set[str] = set()
    for step, raw in zip(steps.found, steps.raw):
        found = list(_references(raw))
        reading.append([])
        for path in found:
            if path[0] == "steps" and len(path) > 2 and path[2] in ("outputs", "outcome", "conclusion"):
                name = path[3] if len(path) > 3 else path[2]
                asked.setdefault(path[1], []).append(name)
                reading[-1].append(Datum("output", f"{path[1]}.{name}", step.line, name == "*", step.file))
        if set_before:
            used = {path[1] for path in found if path[0] == "env" and len(path) > 1}
            used |= words.variables_read(step.text) if step.kind == "run" else set()
            reading[-1] += [Datum("dotenv", name, step.line, file=step.file) for name in sorted(used & set_before)]
        set_before |= {each.name for each in step.writes if each.kind == "dotenv"}
    for reference in data.references_in(dict(outputs)):
        path = tuple(each.lower() for each in reference.path)
        if path[0] == "steps" and len(path) > 3:
            asked.setdefault(path[1], []).append(path[3])
    made = []
    for step, reads in zip(steps.found, reading):
        given = [Datum("output", f"{step.id.lower()}.{name}", step.line, file=step.file) for name in dict.fromkeys(asked.get(step.id.lower(), ()))] if step.id else []  # fmt: skip  # noqa: E501
        made.append(step._replace(reads=(*step.reads, *dict.fromkeys(reads)), writes=(*step.writes, *given)))
    return tuple(made)


def _references(raw: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Paths in a step, in lower case but for variables."""
    found = []
    for each in data.references_in(dict(raw)):
        head = each.path[0].lower()
        found.append((head, *(each.path[1:] if head == "env" else map(str.lower, each.path[1:]))))
    return found


def _condition(node: Node) -> str | bool | None:
    value = value_of(node.get("if"))
    return value if isinstance(value, bool) or value is None else to_text(value)


def _both(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return True if one and other else None


def _text(node: Node, key: str) -> str | None:
    found = node.get(key)
    return None if found is None else found.text


def _title(node: Node, kind: str) -> str:
    """As GitHub shows it."""
    name = _text(node, "name")
    if name:
        return name
    if kind == "run":
        lines = (_text(node, "run") or "").strip().splitlines()
        return f"Run {shorten(lines[0] if lines else '')}"
    if kind == "uses":
        return f"Run {shorten(_text(node, 'uses') or '')}"
    found = kind_of(node)
    return _TITLES.get(found or "", kind)
