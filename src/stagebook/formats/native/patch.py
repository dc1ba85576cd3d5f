"""Changes of a native file as small edits: needs taken away and added, jobs, locks, workers of steps. What to change
is said elsewhere.

All other text stays as it is, with its comments, quotes and line ends. What comes out is read again: unless it says
what was asked for and nothing else, nothing is given back, and the message says what to change by hand.
"""

from __future__ import annotations

import re

from stagebook.formats.native.read import parse
from stagebook.formats.native.spots import Spots
from stagebook.model.pipeline import Each, Pipeline, Stage
from stagebook.model.problem import InputError, Problem
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, Sequence

#: Names that YAML reads as text wherever they stand; others are put in quotes.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*\Z")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
#: Where a stage stands is not said by these, and what its needs are is compared apart.
_APART = ("line", "col", "needs", "need_lines", "locks", "via", "declared", "each")


class Edits(NamedTuple):
    """`without` and `with_` are needs (from, to) by stage ids; `jobs` becomes `limits.jobs`; `locks` are (stage, lock),
    to be held alone; `workers` are (stage, step, so many)."""

    without: tuple[tuple[str, str], ...] = ()
    with_: tuple[tuple[str, str], ...] = ()
    jobs: int | None = None
    locks: tuple[tuple[str, str], ...] = ()
    workers: tuple[tuple[str, str, int], ...] = ()


def patched(data: bytes, file: str, edits: Edits) -> bytes:
    """The file with the edits made. InputError where the file has errors or no such stage, and where it says what is to
    change in a way that no small edit reaches: an anchor, needs of a group, a matrix of which only some cells are
    meant."""
    before, problems = parse(data, file)
    if before is None:
        errors = [problem for problem in problems if problem.level == "error"]
        raise InputError(f"{file} has errors, nothing was changed", errors)
    known = {stage.id for stage in before.stages}
    named = [id_ for edge in (*edits.without, *edits.with_) for id_ in edge] + [stage for stage, _ in edits.locks]
    named += [stage for stage, _, _ in edits.workers]
    for id_ in named:
        if id_ not in known:
            _refuse(file, 0, f"{file} has no stage `{id_}`")
    text = _Patch(data, before, edits).made()
    after, problems = parse(text, file)
    if after is None:
        _refuse(file, problems[0].line, f"nothing was changed, as the file would be wrong: {problems[0].message}")
    _check(before, after, edits)
    return text


def _refuse(file: str, line: int, message: str) -> NoReturn:
    raise InputError(message, [Problem(file, line, 1 if line else 0, "patch", "error", message)])


def _by_hand(file: str, line: int, edits: Edits) -> NoReturn:
    wanted = [f"`{stage}` no longer needs `{need}`" for need, stage in edits.without]
    wanted += [f"`{stage}` needs `{need}`" for need, stage in edits.with_]
    wanted += [f"`{stage}` holds lock `{lock}`" for stage, lock in edits.locks]
    wanted += [f"`{stage}.{step}` has {count} workers" for stage, step, count in edits.workers]
    wanted += [f"`limits.jobs` is {edits.jobs}"] if edits.jobs is not None else []
    _refuse(file, line, f"no small edit of this file does it; change it by hand so that {', '.join(wanted)}")


def _needs(stage: Stage, edits: Edits) -> list[str]:
    gone = {need for need, of in edits.without if of == stage.id}
    new = [need for need, of in edits.with_ if of == stage.id and need not in stage.needs]
    return [need for need in stage.needs if need not in gone] + list(dict.fromkeys(new))


def _each(stage: Stage, edits: Edits) -> Each | None:
    counts = {step: count for of, step, count in edits.workers if of == stage.id}
    if stage.each is None or not counts:
        return stage.each
    steps = [step._replace(workers=counts.get(step.name, step.workers)) for step in stage.each.steps]
    return stage.each._replace(steps=tuple(steps))


def _check(before: Pipeline, after: Pipeline, edits: Edits) -> None:
    """That the new file differs by what was asked for alone."""
    locks = {stage: {**dict(held)} for stage, held in ((stage.id, stage.locks) for stage in before.stages)}
    for stage, lock in edits.locks:
        locks[stage][lock] = "exclusive"
    by_id = {stage.id: stage for stage in after.stages}
    for old in before.stages:
        new = by_id.get(old.id)
        if (
            new is None
            or set(new.needs) != set(_needs(old, edits))
            or dict(new.locks) != locks[old.id]
            or new.via != {need: path for need, path in old.via.items() if need in new.needs}
            or _bare(new.each) != _bare(_each(old, edits))
            or any(
                _bare(getattr(old, name)) != _bare(getattr(new, name)) for name in Stage._fields if name not in _APART
            )
        ):
            _by_hand(before.file, old.line, edits)
    limits = before.limits if edits.jobs is None else before.limits._replace(jobs=edits.jobs)
    frames = [each._replace(stages=(), digest="", problems=(), unbuilt=()) for each in (before, after)]
    if len(by_id) != len(before.stages) or _bare(frames[0]._replace(limits=limits)) != _bare(frames[1]):
        _by_hand(before.file, 0, edits)


def _bare(value: Any) -> Any:
    """A value of the model without the places that are in it."""
    if isinstance(value, tuple):
        names = getattr(value, "_fields", ())
        return tuple(0 if name in ("line", "col") else _bare(each) for name, each in zip(names or value, value))
    return value


class _Patch:
    """One file under the edits. Finds each stage's own text by its name, which is unique in a file."""

    def __init__(self, data: bytes, before: Pipeline, edits: Edits) -> None:
        self.spots = Spots(data)
        self.before = before
        self.edits = edits
        self.entries: dict[str, tuple[Any, Any, bool, bool]] = {}  # key, value, between braces, in a list
        found = self.spots.entry(self.spots.root, "stages")
        if found is not None:
            self._find(found[1], bool(self.spots.root.flow_style), False)

    def made(self) -> bytes:
        changed = {of: None for _, of in (*self.edits.without, *self.edits.with_)}
        stages = {stage.id: stage for stage in self.before.stages}
        for name in dict.fromkeys(stages[id_].name for id_ in changed):
            self._set_needs([stage for stage in self.before.stages if stage.name == name])
        for stage, lock in self.edits.locks:
            self._add_lock(stages[stage].name, stages[stage].line, lock)
        for named, step, count in sorted({(stages[of].name, step, count) for of, step, count in self.edits.workers}):
            self._set_workers(named, step, str(count))
        if self.edits.jobs is not None:
            self._set_jobs(str(self.edits.jobs))
        return self.spots.made()

    def _find(self, node: Any, is_flow: bool, is_list: bool) -> None:
        is_flow = is_flow or bool(node.flow_style)
        if node.id == "sequence":
            for item in node.value:
                if item.id == "mapping":
                    self._find(item, is_flow, True)
            return
        for key, value in node.value:
            self.entries.setdefault(key.value, (key, value, is_flow, is_list))
            if value.id == "mapping":
                for name, inner in value.value:
                    if name.value in ("parallel", "sequence") and inner.id == "sequence":
                        self._find(inner, is_flow or bool(value.flow_style), True)
            elif key.value in ("parallel", "sequence") and value.id == "sequence":
                self._find(value, is_flow, True)

    def _entry(self, name: str, line: int) -> tuple[Any, Any, bool, bool]:
        found = self.entries.get(name)
        if found is None or id(found[1]) in self.spots.shared:
            _by_hand(self.before.file, line, self.edits)
        return found

    def _set_needs(self, cells: Sequence[Stage]) -> None:
        stage = cells[0]
        wanted = _needs(stage, self.edits)
        if any(set(_needs(cell, self.edits)) != set(wanted) for cell in cells):
            _by_hand(self.before.file, stage.line, self.edits)
        key, value, is_flow, is_list = self._entry(stage.name, stage.line)
        own = self.spots.entry(value, "needs") if value.id == "mapping" else None
        if own is None:
            said = [need for need in wanted if need not in stage.via or need in stage.declared]
            self._add_key(key, value, is_flow, "needs", f"[{', '.join(map(_word, said))}]")
            return
        if id(own[1]) in self.spots.shared:
            _by_hand(self.before.file, stage.line, self.edits)
        kept, added = [], [_word(need) for need in wanted if need not in stage.needs]
        for item in own[1].value if own[1].id == "sequence" else [own[1]]:
            stands_for = self._members(item.value)
            left = [need for need in stands_for if need in wanted]
            if left == stands_for:
                kept.append(item)
            else:
                added += map(_word, left)
        is_alone = own[0].start_mark.line == own[1].end_mark.line and not value.flow_style
        if own[1].id == "scalar" and not kept and not added and is_alone and not is_list and len(value.value) > 1:
            self.spots.delete_line(own[0].start_mark.line)
        else:
            self.spots.items(own[1], kept, list(dict.fromkeys(added)), own[0])

    def _members(self, name: str) -> list[str]:
        """The ids that a name in `needs` stands for."""
        if name in self.before.groups:
            return list(self.before.groups[name])
        return list(self.before.matrices[name].cells) if name in self.before.matrices else [name]

    def _add_lock(self, name: str, line: int, lock: str) -> None:
        key, value, is_flow, _ = self._entry(name, line)
        own = self.spots.entry(value, "locks") if value.id == "mapping" else None
        if own is None:
            self._add_key(key, value, is_flow, "locks", f"{{{_word(lock)}: exclusive}}")
        elif own[1].id != "mapping" or id(own[1]) in self.spots.shared:
            _by_hand(self.before.file, line, self.edits)
        else:
            self.spots.add_key(own[1], _word(lock), "exclusive")

    def _set_workers(self, stage: str, step: str, count: str) -> None:
        """Of a step, which may be no more than the text of its command yet."""
        spots = self.spots
        key, value, is_flow, _ = self._entry(stage, 0)
        inner = spots.entry(value, "each") if value.id == "mapping" else None
        steps = spots.entry(inner[1], "steps") if inner is not None and inner[1].id == "mapping" else None
        if inner is None or steps is None or steps[1].id != "sequence":
            _by_hand(self.before.file, key.start_mark.line + 1, self.edits)
        is_flow = is_flow or any(node.flow_style for node in (value, inner[1], steps[1]))
        for item in steps[1].value:
            for name, own in item.value if item.id == "mapping" else ():
                if name.value != step:
                    continue
                if id(own) in spots.shared:
                    _by_hand(self.before.file, name.start_mark.line + 1, self.edits)
                had = spots.entry(own, "workers") if own.id == "mapping" else None
                if had is not None:
                    spots.replace(spots.at(had[1].start_mark), spots.at(had[1].end_mark), count)
                else:
                    self._add_key(name, own, is_flow or bool(item.flow_style), "workers", count)

    def _set_jobs(self, jobs: str) -> None:
        spots = self.spots
        limits = spots.entry(spots.root, "limits")
        if limits is None:
            found = spots.entry(spots.root, "stages")
            assert found is not None  # or it would not have been read
            if spots.root.flow_style:
                spots.add_key(spots.root, "limits", f"{{jobs: {jobs}}}")
            else:
                start = spots.at(found[0].start_mark)
                spots.replace(start, start, f"limits: {{jobs: {jobs}}}{spots.eol}")
            return
        if limits[1].id != "mapping" or id(limits[1]) in spots.shared:
            _by_hand(self.before.file, limits[0].start_mark.line + 1, self.edits)
        own = spots.entry(limits[1], "jobs")
        if own is None:
            spots.add_key(limits[1], "jobs", jobs)
        else:
            spots.replace(spots.at(own[1].start_mark), spots.at(own[1].end_mark), jobs)

    def _add_key(self, key: Any, value: Any, is_flow: bool, name: str, said: str) -> None:
        """An entry more for a stage, which may be no more than the text of its command yet."""
        spots = self.spots
        if value.id == "mapping":
            spots.add_key(value, name, said)
            return
        if value.id != "scalar":
            _by_hand(self.before.file, key.start_mark.line + 1, self.edits)
        start, end = spots.at(value.start_mark), spots.at(value.end_mark)
        if is_flow:
            spots.replace(start, start, f"{{{spots.entry_text('run', '')}")
            spots.replace(end, end, f", {spots.entry_text(name, said)}}}")
            return
        indent = " " * (key.start_mark.column + 2)
        colon = spots.at(key.end_mark)
        if value.style in ("|", ">"):
            head, *body = spots.text[start:end].split(spots.eol)
            deeper = [line and "  " + line for line in body]
            spots.replace(colon, end, spots.eol.join([":", f"{indent}{name}: {said}", f"{indent}run: {head}", *deeper]))
        elif value.start_mark.line == value.end_mark.line:
            spots.replace(colon, start, f":{spots.eol}{indent}run: ")
            spots.after_line(value.end_mark.line, f"{indent}{name}: {said}")
        else:
            _by_hand(self.before.file, key.start_mark.line + 1, self.edits)


def _word(name: str) -> str:
    if _PLAIN.match(name) and name.lower() not in _WORDS:
        return name
    import json

    return json.dumps(name, ensure_ascii=False)


def diff(before: bytes, after: bytes, name: str) -> str:
    """What was changed, as a unified diff that `git apply` and `patch` take; empty where nothing was."""
    from difflib import unified_diff

    # those tools know of no line end but this one
    old, new = (re.findall(r"[^\n]*\n|[^\n]+", text.decode("utf-8")) for text in (before, after))
    lines = list(unified_diff(old, new, f"a/{name}", f"b/{name}"))
    return "".join([line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines])
