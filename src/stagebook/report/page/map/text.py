"""The page of a map: verdict, levels, critical path and findings as plain HTML, the drawing by its script.

What anybody wrote gets in as escaped text or as JSON in which no character can end an element.
"""

from __future__ import annotations

from stagebook.report.durations import plural
from stagebook.report.export import map_nodes, map_words
from stagebook.report.harmless import harmless
from stagebook.report.map import minor_in_words
from stagebook.report.page import frame
from stagebook.report.page.map import facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping, TypeAlias

    from stagebook.report.export.map_nodes import Nodes

Document: TypeAlias = "Mapping[str, Any]"

FOLDER = "stagebook.report.page.map"
STYLES = ("/base.css", "map.css")
SCRIPTS = ("/base.js", "1-facts.js", "2-layout.js", "3-draw.js", "4-panel.js", "5-start.js")
_CARDS_MAX, _FINDINGS_MAX = 24, 200
_PATH_MAX = 200
_MARKS = {"added": "+ new", "removed": "− removed", "changed": "changed"}


def render(document: Document) -> str:
    """The page of one `map` document."""
    told, found = facts.facts(document)
    verdict = map_words.verdict(document)
    marks = {
        "title": frame.escaped(f"{verdict} · {map_words.name(document['pipeline'])}"),
        "pipeline": frame.escaped(map_words.name(document["pipeline"])),
        "verdict": frame.escaped(frame.spaced(verdict)),
        "sub": frame.escaped(frame.spaced(_sentences(map_words.about(document)))),
        "path": "".join(_path(document)),
        "findings": "".join(_findings(document)),
        "levels": "".join(_levels(found)),
        "unsaid": "".join(f'<p class="note">{frame.escaped(harmless(one))}</p>' for one in document["unsaid"]),
        "facts": frame.facts(told),
    }  # fmt: skip
    return "".join(frame.page(FOLDER, "map.html", STYLES, SCRIPTS, marks))


def _sentences(parts: list[str]) -> str:
    return " ".join([f"{part[:1].upper()}{part[1:]}." for part in parts])


def _path(document: Document) -> Iterator[str]:
    chain = facts.path(document)
    if not chain:
        return
    yield f'<h2>Critical path <span class="d">{frame.escaped(facts.path_total(document))}</span></h2>'
    yield '<ol class="strip-p">'
    for name, seconds, figure, kind in chain[:_PATH_MAX]:
        text = "gate" if kind == "gate" else figure
        title = f"{name}, {text}" if text else name
        yield (
            f'<li class="{kind}" data-grow="{seconds:g}" title="{frame.escaped(title)}"><b>{frame.escaped(name)}</b>'
            f"<i>{frame.escaped(text)}</i></li>"
        )
    yield "</ol>"
    if len(chain) > _PATH_MAX:
        yield f'<p class="d">and {len(chain) - _PATH_MAX} more stages</p>'


def _findings(document: Document) -> Iterator[str]:
    """A card each, in the order of their numbers; what is too much for a page is closed below them, and what changes
    nothing as it stands is counted."""
    known = map_nodes.findings(document)
    first, rest = known[:_CARDS_MAX], known[_CARDS_MAX:]
    yield f'<div class="fs">{"".join(map(_card, first, [document["file"]] * len(first)))}</div>' if first else ""
    if rest:
        shown = rest[:_FINDINGS_MAX]
        yield f"<details><summary>{plural(len(rest), 'more finding')}</summary>"
        yield f'<div class="fs">{"".join(map(_card, shown, [document["file"]] * len(shown)))}</div>'
        if len(rest) > len(shown):
            yield f'<p class="note">{len(rest) - len(shown)} more are not listed; --json has all.</p>'
        yield "</details>"
    minor = minor_in_words(document["findings"])
    if minor:
        yield f'<p class="note">Also {minor}; --json has all.</p>'


def _card(one: Mapping[str, Any], file: str) -> str:
    kind = "needless" if one["code"] in map_nodes.NEEDLESS else ""
    more = (("do", map_words.advice(one)), ("ev", map_words.evidence(one, file)))
    lines = "".join(f'<p class="{style}">{frame.escaped(frame.spaced(text))}</p>' for style, text in more if text)
    return (
        f'<article class="card fd" id="finding-{one["number"]}" tabindex="-1"><h3><span class="num {kind}">'
        f"{one['number']}</span><span>{frame.escaped(map_words.heading(one))}</span></h3>"
        f"<p>{frame.escaped(frame.spaced(harmless(one['message'])))}</p>{lines}"
        f'<button type="button" class="link" data-finding="{one["number"]}">Show where</button></article>'
    )


def _levels(found: Nodes) -> Iterator[str]:
    """The nodes by level, for narrow windows and for whoever runs no script."""
    numbers: dict[int, list[tuple[int, str]]] = {}
    for remark in found.remarks:
        for place in remark.nodes:
            numbers.setdefault(place, []).append((remark.number, remark.code))
    levels: dict[int, list[int]] = {}
    for index, node in enumerate(found.nodes):
        levels.setdefault(min(found.stages[at]["level"] for at in node.stages), []).append(index)
    for level in sorted(levels):
        yield f'<li><span class="d">level {level}</span><span class="no">'
        for index in levels[level]:
            node = found.nodes[index]
            style = " ".join(["c"] * node.critical + ["gt"] * (node.kind == "gate") + [node.mark] * bool(node.mark))
            figure = " ".join([frame.spaced(node.figure), _MARKS.get(node.mark, "")]).strip()
            yield (
                f'<button type="button" class="{style}" data-node="{index}">{frame.escaped(node.name)}'
                f"<em>{frame.escaped(figure)}</em>"
            )
            for number, code in numbers.get(index, [])[:6]:
                yield f'<u class="num {"needless" if code in map_nodes.NEEDLESS else ""}">{number}</u>'
            yield "</button>"
        yield "</span></li>"
