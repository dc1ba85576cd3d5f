"""The `map` document as text: levels, critical path, slack, needs, and what the shape says against itself.

Findings have the numbers of the document; those that gain nothing are counted in one line, unless all is asked for.
"""

from __future__ import annotations

from stagebook.graph.coupling import listed
from stagebook.graph.findings import lacking_words
from stagebook.model.value import NamedTuple
from stagebook.report import grades, map_steps
from stagebook.report.durations import plural, span
from stagebook.report.harmless import cells, harmless, pad, wrap
from stagebook.report.map import WEIGHTED, in_bounds, minor_in_words, named
from stagebook.report.problems import together
from stagebook.report.rows import matrix_of
from stagebook.report.style import MARKS, Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping, Sequence

_NEEDS_MIN = 16
STAGES_MAX = 200  #: with more, levels fold
FINDINGS_MAX = 12  #: of more, the rest is counted
FINDINGS_FEW = 4  #: the same where levels fold
_MARKS_MAX = 4
_NEEDS_MAX = 12  #: of more, two thirds are named
_TOGETHER_MAX = 12
_MISSING_MAX = 5
_LINES_MAX = 6
_WORDS = {
    "needless-order": "needless", "implied-need": "implied", "possible-coupling": "coupling", "missing-guard": "guard",
    "stage-order": "stages", "wide-matrix": "matrix", "early-artifact": "artifact", "unwritten-artifact": "artifact",
    "artifact-clash": "artifact", "unread-artifact": "artifact", "unwritten-cache": "cache", "unread-cache": "cache",
    "early-cache": "cache",
    "no-timeout": "timeout", "no-concurrency": "overtakes", "script-injection": "injection",
    "untrusted-checkout": "checkout", "split-steps": "steps", "repeated-check": "repeated",
}  # fmt: skip
_OF_ALL = ("no-timeout",)  #: of most stages of a file, as a rule, so that marks on them would say nothing
_COLORS = {"error": "failure-bold", "warning": "warning", "note": "note"}


class _Line(NamedTuple):
    """One row: a stage, a folded matrix, or the rest of a level. `bare`: the path comes here over a needless edge."""

    level: int
    name: str
    critical: bool
    bare: bool
    duration: str
    slack: str
    needs: str


def render(map_document: Mapping[str, Any], style: Style, *, is_open: bool = False, steps: bool = False) -> list[str]:
    """The map as text. `is_open`: nothing is folded, neither the cells of a matrix nor large levels, and all findings
    are told. `steps`: those of jobs too, which are shown anyway where there are few jobs."""
    lines = head(map_document, style)
    if not map_document["stages"]:
        return lines
    found = [each for each in map_document["findings"] if is_open or not each["minor"]]
    told = (
        found if is_open else _worst(found, FINDINGS_FEW if len(map_document["stages"]) > STAGES_MAX else FINDINGS_MAX)
    )
    rows = [
        _Line(row.level, style.plain(row.name), row.critical, row.bare, *map(style.plain, row[4:]))
        for row in _rows(map_document, is_open, told)
    ]
    lines += ["", *_table(rows, style)]
    if steps or map_steps.is_few(map_document):
        lines += map_steps.render(map_document, style, is_open=is_open)
    if "diff" in map_document:
        lines += ["", *difference(map_document["diff"], style)]
    return [*lines, *findings(map_document, told, len(found) - len(told), style)]


def _worst(found: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Errors before warnings before notes, told in the order of their numbers."""
    by_level = sorted(found, key=lambda each: list(_COLORS).index(each["level"]))
    return sorted(by_level[:most], key=lambda each: each["number"])


def head(map_document: Mapping[str, Any], style: Style) -> list[str]:
    """How many there are of what, how long it takes, and what may run at once."""
    stages = map_document["stages"]
    together = map_document["widest"]
    most = (
        f"at most {together['stages']} at once" if together is not None else f"up to {map_document['width']} on a level"
    )
    lines = wrap(
        f"{style.plain(harmless(map_document['pipeline']))}  {plural(len(stages), 'stage')},"
        f" {plural(len(map_document['edges']), 'edge')}, {plural(map_document['depth'], 'level')}, {most}",
        style.width - 1,
    )
    lines += wrap(_second_line(map_document), style.width - 1)
    if together is not None and together["stages"] > 1:
        at = {stage["stage"]: stage for stage in stages}
        names = [harmless(name) for name in named([at[each] for each in together["names"]])]
        said = f" {style.mark('beside')} ".join(names[:_TOGETHER_MAX])
        rest = len(names) - _TOGETHER_MAX
        said += f" {style.mark('beside')} {rest} more" if rest > 0 else ""
        if together["but_for"]:
            said += f", as far as {listed([harmless(each) for each in together['but_for']])} lets them"
        lines += wrap(f"at once: {style.plain(said)}", style.width - 1)
    return lines + _of_file(map_document, style)


def _of_file(found: Mapping[str, Any], style: Style) -> list[str]:
    """How much of a CI system's file has a meaning here, and what it refers to and could not be read."""
    lines = []
    if others := found.get("not_started"):
        said = ", ".join(f"{each['workflow']} ({', '.join(each['events'])})" for each in others)
        lines += wrap(style.plain(harmless(f"not started by it: {said}")), style.width - 1)
    if found.get("grades"):
        lines += wrap(f"{grades.summary(found['grades'])}; --grades lists them", style.width - 1)
    if missing := found.get("missing"):
        is_part = found["format"] == "github"
        what = lacking_words([each["code"] for each in missing], "it calls" if is_part else "it includes")
        so = "no order of theirs is called needless" if is_part else "no order is called needless"
        lines += wrap(f"{what}, so {so}:", style.width - 1)
        told = _told_missing(missing)
        for text in told[:_MISSING_MAX]:
            lines += [f"  {part}" for part in wrap(style.plain(harmless(text)), style.width - 3)]
        if len(told) > _MISSING_MAX:
            lines.append(f"  and {len(told) - _MISSING_MAX} more")
    return lines


def _told_missing(missing: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each, but one for all of which the same is said."""
    told = []
    for text, members in together([each["message"] for each in missing], 2):
        own = sorted({missing[at]["line"] for at in members if missing[at]["line"] and not missing[at].get("file")})
        shown = ", ".join([*map(str, own[:_LINES_MAX]), *["…"] * (len(own) > _LINES_MAX)])
        places = [f"line{'s' if len(own) > 1 else ''} {shown}"] if own else []
        for file, line in sorted(
            {(each["file"], each["line"] or 0) for each in map(missing.__getitem__, members) if each.get("file")}
        ):
            places.append(f"{file.rpartition('/')[2]}:{line}")
        told.append(f"{', '.join(places)}: {text}" if places else text)
    return told


def _second_line(found: Mapping[str, Any]) -> str:
    if found["sequential_s"] is None:
        chain = len(found["critical_path"])
        return f"no durations known; the longest chain has {plural(chain, 'stage')}"
    text = f"sequential {span(found['sequential_s'])}, least possible {span(found['critical_path_s'])}"
    text += f" ({in_bounds(found)})" if in_bounds(found) else ""
    figures = found["figures"]
    text += {
        "history": f", by recent runs ({WEIGHTED})",
        "mixed": f", of {plural(figures['history'], 'stage')} by recent runs ({WEIGHTED}), else by declared durations",
    }.get(figures["source"], "")
    if figures["others"]:
        known = "known" if figures["history"] else "declared"
        text += f"; {figures['others']} without a {known} duration taken as the median of the others"
    if idle := found.get("not_run"):
        names = ", ".join(harmless(each) for each in idle[:_MISSING_MAX])
        more = f" and {len(idle) - _MISSING_MAX} more" if len(idle) > _MISSING_MAX else ""
        text += f"; {names}{more} taken not to run, by {'its condition' if len(idle) == 1 else 'their conditions'}"
    return text


def _rows(found: Mapping[str, Any], is_open: bool, told: Sequence[Mapping[str, Any]]) -> Iterable[_Line]:
    stages = found["stages"]
    marks: dict[str, list[int]] = {}
    for each in told:
        for stage_id in each["stages"] if each["code"] not in _OF_ALL else ():
            marks.setdefault(stage_id, []).append(each["number"])
    path = dict(zip(found["critical_path"][1:], found["critical_path"]))
    bare = {
        edge["to"] for each in told if each["code"] in ("needless-order", "stage-order") for edge in each["edges"]
        if path.get(edge["to"]) == edge["from"]
    }  # fmt: skip
    change = _changes(found)
    groups: dict[tuple[int, str, bool], list[Mapping[str, Any]]] = {}
    is_large = len(stages) > STAGES_MAX and not is_open
    for stage in stages:
        matrix = "" if is_open else matrix_of(stage["stage"])
        key = (stage["level"], matrix or stage["stage"], bool(matrix))
        if is_large and not stage["critical"]:
            key = (stage["level"], "", False)
        groups.setdefault(key, []).append(stage)
    order = {key: index for index, key in enumerate(groups)}
    via = {(edge["from"], edge["to"]): edge["via"] for edge in found["edges"] if "via" in edge}
    for key in sorted(groups, key=lambda one: (one[0], not any(s["critical"] for s in groups[one]), order[one])):
        members = groups[key]
        line = _line(key[0], key[1], key[2], members, found, via, is_open)
        ids = [stage["stage"] for stage in members]
        numbers = sorted({number for each in ids for number in marks.get(each, ())})
        name = line.name + (f" {''.join(f'[{number}]' for number in numbers[:_MARKS_MAX])}" if numbers else "")
        name = f"{change.get(ids[0], ' ')} {name}" if change else name
        yield line._replace(name=name, bare=not bare.isdisjoint(ids))


def _line(
    level: int,
    name: str,
    is_matrix: bool,
    members: list[Mapping[str, Any]],
    found: Mapping[str, Any],
    via: Mapping[tuple[str, str], str],
    is_open: bool,
) -> _Line:
    durations = [
        stage["took_s"] for stage in members if stage["known_s"] is not None or stage["duration_s"] is not None
    ]
    slack = min(stage["slack_s"] if stage["slack_s"] is not None else stage["slack"] for stage in members)
    needed: dict[tuple[str, str | None], tuple[dict[str, None], dict[str, None]]] = {}
    for stage in members:
        for need in stage["needs"]:
            path = via.get((need, stage["stage"]))
            of = matrix_of(need) or need
            some, paths = needed.setdefault((of, path if is_open else "" if path else None), ({}, {}))
            some[need] = None
            paths.update({} if path is None else {path: None})
    needs = []
    for (of, _), (some, paths) in needed.items():
        need = harmless(of if len(some) > 1 else next(iter(some)))
        first = next(iter(paths), None)
        need += "" if first is None else f" via {harmless(first)}"
        needs.append(need + (f" and {len(paths) - 1} more" if len(paths) > 1 else ""))
    if len(needs) > _NEEDS_MAX and not is_open:
        few = _NEEDS_MAX * 2 // 3
        needs[few:] = [f"{len(needs) - few} more"]
    shown = harmless(name)
    if not name:
        shown, needs = f"{len(members)} more ▸", []
    elif is_matrix and len(members) == 1:
        shown = harmless(members[0]["stage"])
    elif is_matrix:
        shown = f"{shown} ×{len(members)} ▸"
    kind = members[0]["kind"]
    if name and kind == "generate":
        shown += f" {MARKS['makes'][0]}"
    duration = span(max(durations)) if durations else "gate" if kind == "gate" else "–"
    if found["sequential_s"] is None:
        slack_text = plural(int(slack), "stage") if slack else "–"
    else:
        slack_text = span(slack) if slack else "–"
    return _Line(
        level, shown, any(stage["critical"] for stage in members), False, duration, slack_text,
        ", ".join(needs),
    )  # fmt: skip


class _Columns:
    """Where the columns of the table begin. Where there is no room beside them, needs have lines of their own."""

    __slots__ = ("duration", "needs", "needs_room", "slack", "width")

    def __init__(self, rows: list[_Line], style: Style) -> None:
        self.width = style.width - 1
        figures = 20 if any(row.duration != style.mark("nothing") for row in rows) else 10
        room = self.width - 8 - figures
        widest = max(cells(row.name) for row in rows) + 5
        is_narrow = room < 24 + _NEEDS_MIN
        name = room if is_narrow else max(24, min(widest, room - _NEEDS_MIN))
        self.duration = 8 + name
        self.slack = self.duration + figures - 10
        self.needs = 11 if is_narrow else self.slack + 10
        self.needs_room = self.width - self.needs

    def lines(self, head: str, row: _Line) -> list[str]:
        """One row: `head` is level, mark and name."""
        lines: list[str] = []
        if cells(head) + 2 > self.duration:  # a name is never cut: it takes lines of its own
            first, *rest = wrap(head[10:].lstrip(" "), self.width - 11)
            lines = [head[:10] + first, *(" " * 11 + part for part in rest)]
            head = ""
        text = pad(head, self.duration)
        if self.slack > self.duration:
            text += pad(row.duration, 10)
        text += pad(row.slack, 10)
        needs = wrap(row.needs, self.needs_room) if row.needs else []
        if self.needs >= self.slack + 10:
            text += needs.pop(0) if needs else ""
        return [*lines, text.rstrip(), *(" " * self.needs + part for part in needs)]


def _table(rows: list[_Line], style: Style) -> list[str]:
    columns = _Columns(rows, style)
    title = "level   " + pad("stage", columns.duration - 8)
    if columns.slack > columns.duration:
        title += pad("duration", 10)
    title += pad("slack", 10) + ("needs" if columns.needs > columns.slack else "")
    lines = [title.rstrip()]
    critical = [index for index, row in enumerate(rows) if row.critical]
    first, last = (critical[0], critical[-1]) if critical else (-1, -1)
    level = -1
    for index, row in enumerate(rows):
        number = f"{row.level:>5}" if row.level != level else " " * 5
        level = row.level
        if row.bare and first < index:
            lines.append(f"{' ' * 8}{style.mark('path-bare')}")
        if row.critical:
            mark = "path-first" if index == first else "path-last" if index == last else "path"
            text = f"{number}   {style.mark(mark)} {row.name}"
        else:
            text = f"{number}   {style.mark('path-past') if first < index < last else ' '}  {row.name}"
        found = columns.lines(text, row)
        lines += [style.paint(line, "bold") if row.critical else line for line in found]
    legend = [f"{style.mark('path-past')} critical path"] if critical else []
    if any(row.bare for row in rows):
        legend.append(f"{style.mark('path-bare')} needless order")
    if any(style.mark("folded") in row.name for row in rows):
        legend.append(f"{style.mark('folded')} folded, -v opens")
    if any(row.name.endswith(f" {style.mark('makes')}") for row in rows):
        legend.append(f"{style.mark('makes')} makes stages at run time")
    return [*lines, "", *wrap("   ".join(legend), style.width - 1)] if legend else lines


# Findings


def findings(map_document: Mapping[str, Any], told: Sequence[Mapping[str, Any]], more: int, style: Style) -> list[str]:
    """Those that are `told`, how many `more` there are, and what has not been looked for."""
    lines: list[str] = []
    for each in told:
        lines += ["", *_told(each, f"[{each['number']}] ", each["message"], style)]
        lines += _advice(map_document, each, style)
    if more > 0:
        lines += ["", f"{more} more findings, -v lists them"]
    minor = minor_in_words(map_document["findings"])
    if minor and not any(each["minor"] for each in told):
        lines += ["", *wrap(f"also {minor}: -v lists them", style.width - 1)]
    if map_document["unsaid"]:
        said = "; ".join(map_document["unsaid"])
        lines += ["", *wrap(style.plain(f"not listed, or not looked for: {said}"), style.width - 1)]
    return lines


def told(found: Mapping[str, Any], number: str, message: str, rest: Sequence[str], style: Style) -> list[str]:
    """One finding in these words, with paragraphs of the rest."""
    lines = _told(found, number, message, style)
    for text in rest:
        lines += [" " * 15 + part for part in wrap(style.plain(harmless(text)), max(20, style.width - 16))]
    return lines


def _told(found: Mapping[str, Any], number: str, message: str, style: Style) -> list[str]:
    name = f"{number}{_WORDS.get(found['code'], 'note')}"
    text = wrap(style.plain(harmless(message)), max(20, style.width - 16))
    start = pad(name, 15) if cells(name) < 15 else f"{name} "
    return [style.paint(start, _COLORS[found["level"]]) + text[0], *(" " * 15 + part for part in text[1:])]


def _advice(map_document: Mapping[str, Any], each: Mapping[str, Any], style: Style) -> list[str]:
    """What to do, and on the right where in the file it stands."""
    lines = [" " * 15 + part for part in wrap(style.plain(harmless(each["fix"])), max(20, style.width - 16))]
    if each["line"] is None:
        return lines
    file = each.get("file") or map_document["file"]
    place = style.plain(f"{harmless(file.rpartition('/')[2])}:{each['line']}")
    room = style.width - 1 - cells(place)
    if not lines or cells(lines[-1]) + 2 > room:
        lines.append("")
    lines[-1] = pad(lines[-1], max(0, room)) + style.paint(place, "mute")
    return lines


# Difference


def _changes(map_document: Mapping[str, Any]) -> dict[str, str]:
    diff = map_document.get("diff")
    if diff is None:
        return {}
    marks = dict.fromkeys(diff["stages"]["added"], "+")
    return {"": " ", **marks, **dict.fromkeys((each["stage"] for each in diff["stages"]["changed"]), "~")}


def difference(diff: Mapping[str, Any], style: Style) -> list[str]:
    """Stages and edges with `+`, `-` or `~` before them."""
    stages, edges = diff["stages"], diff["edges"]
    found: list[tuple[str, str]] = [("+", harmless(name)) for name in stages["added"]]
    found += [("-", harmless(each["stage"])) for each in stages["removed"]]
    found += [("~", f"{harmless(each['stage'])}: {', '.join(each['what'])}") for each in stages["changed"]]
    for sign, kind in (("+", "added"), ("-", "removed"), ("~", "changed")):
        found += [(sign, f"{harmless(edge['from'])} → {harmless(edge['to'])}") for edge in edges[kind]]
    base = style.plain(harmless(diff["base"]))
    if not found:
        return wrap(f"the same as in {base}", style.width - 1)
    counts = [
        " ".join(f"{sign}{len(each[kind])}" for sign, kind in (("+", "added"), ("-", "removed"), ("~", "changed")))
        for each in (stages, edges)
    ]
    lines = wrap(f"against {base}: stages {counts[0]}, edges {counts[1]}", style.width - 1)
    colors = {"+": "success", "-": "failure", "~": "warning"}
    for sign, text in found:
        first, *rest = wrap(style.plain(text), style.width - 5)
        lines += [style.paint(f"  {sign} {first}", colors[sign]), *(f"    {part}" for part in rest)]
    return lines


# What each stage says of itself


def table(map_document: Mapping[str, Any], style: Style) -> list[str]:
    """One row a stage, or a matrix: its failure tolerance, why its order must stay, how it is meant to run."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for stage in map_document["stages"]:
        name = matrix_of(stage["stage"]) if stage["matrix"] else stage["stage"]
        said = (stage["tolerance"], stage["ordering"] or "–", stage["mode"])
        groups.setdefault((name, *said), []).append(stage)
    rows = [("stage", "on failure", "ordering", "mode")]
    for key, members in groups.items():
        rows.append((listed(named(members)), key[1], key[2], key[3]))
    rows = [tuple(style.plain(harmless(text)) for text in row) for row in rows]  # type: ignore[misc]
    widths = [max(cells(row[column]) for row in rows) for column in range(4)]
    room = style.width - 1 - 2 * 3
    while sum(widths) > room:
        widest = max(range(4), key=widths.__getitem__)
        widths[widest] -= 1
    lines = []
    for row in rows:
        parts = [wrap(text, width) for text, width in zip(row, widths)]
        for at in range(max(map(len, parts))):
            line = "  ".join(pad(part[at] if at < len(part) else "", width) for part, width in zip(parts, widths))
            lines.append(line.rstrip())
    return lines
