"""The `map` documents of several files as one text: small ones in few lines, and what is found alike in several once.
One document is `map_text`'s.
"""

from __future__ import annotations

from stagebook.report import grades, map_text
from stagebook.report.durations import plural, span
from stagebook.report.harmless import cut, harmless, wrap
from stagebook.report.map import minor_in_words, named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

    from stagebook.report.style import Style

_JOBS_FEW = 2  #: a file of no more jobs, none of which waits for another, is told in a line and its steps
_STEPS_MAX = 10
_NAME_MAX = 40
_PLACES_MAX = 30
#: What is said of all jobs of a file, with their names before it.
_OF_FILE = {"no-timeout": "no timeout"}


def render(documents: Sequence[Mapping[str, Any]], paths: Sequence[str], style: Style) -> list[str]:
    """As many as there are `paths`, by which each is called."""
    shared = _shared(documents)
    lines: list[str] = []
    was_short = False
    for document, path in zip(documents, paths):
        told = [each for each in document["findings"] if not each["minor"] and _key(each) not in shared]
        short = {**document, "findings": told, "grades": None}
        here = _short(short, path, style) if _is_small(document) else None
        rest = map_text.findings(short, told, 0, style) if here is not None else []
        if lines and (here is None or rest or not was_short):
            lines.append("")
        was_short = here is not None and not rest
        if here is not None:
            lines += here + rest
        else:
            lines += [style.paint(style.plain(harmless(path)), "mute"), *map_text.render(short, style)]
    for found in shared.values():
        lines += ["", *_once(found, documents, paths, style)]
    return lines + _of_all(documents, style)


def _key(found: Mapping[str, Any]) -> tuple[str, ...]:
    """What is alike in findings that are told once."""
    code, message = found["code"], found["message"]
    return code, found["level"], message.partition(": ")[2] if code in _OF_FILE else message, found["fix"]


def _shared(documents: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], list[tuple[int, Mapping[str, Any]]]]:
    """Findings that several documents have, each with the places of these."""
    found: dict[tuple[str, ...], list[tuple[int, Mapping[str, Any]]]] = {}
    for at, document in enumerate(documents):
        for each in document["findings"]:
            if not each["minor"]:
                found.setdefault(_key(each), []).append((at, each))
    return {key: some for key, some in found.items() if len({at for at, _ in some}) > 1}


def _once(
    found: Sequence[tuple[int, Mapping[str, Any]]], documents: Sequence[Mapping[str, Any]], paths: Sequence[str],
    style: Style,
) -> list[str]:  # fmt: skip
    first = found[0][1]
    files = dict.fromkeys(at for at, _ in found)
    what = "workflow" if all(documents[at]["format"] == "github" for at in files) else "file"
    said = f"{_OF_FILE[first['code']]}: {_key(first)[2]}" if first["code"] in _OF_FILE else first["message"]
    places = list(dict.fromkeys(_place(each, paths[at]) for at, each in found))
    if len(places) > _PLACES_MAX:
        places[_PLACES_MAX:] = [f"{len(places) - _PLACES_MAX} more"]
    return map_text.told(first, "", f"{plural(len(files), what)}: {said}", [first["fix"], ", ".join(places)], style)


def _place(found: Mapping[str, Any], path: str) -> str:
    name = (found.get("file") or path).rpartition("/")[2]
    return f"{name}:{found['line']}" if found["line"] else name


def _of_all(documents: Sequence[Mapping[str, Any]], style: Style) -> list[str]:
    lines = []
    minor = minor_in_words([each for document in documents for each in document["findings"]])
    if minor:
        lines += wrap(f"also {minor}: -v lists them", style.width - 1)
    tallies = [document["grades"] for document in documents if document["grades"]]
    if tallies:
        counts = [key for key in tallies[0] if key != "not_exact"]
        whole = {key: sum(each[key] for each in tallies) for key in counts}
        said = f"{plural(len(documents), 'file')}, {grades.summary(whole)}; --grades lists them"
        lines += wrap(said, style.width - 1)
    return ["", *lines] if lines else []


def _is_small(document: Mapping[str, Any]) -> bool:
    stages = document["stages"]
    if document["edges"] or document.get("missing") or "diff" in document or document.get("not_started"):
        return False
    return 0 < len(_names(document)) <= _JOBS_FEW and all(stage["kind"] == "job" for stage in stages)


def _names(document: Mapping[str, Any]) -> list[str]:
    return named(document["stages"])


def _short(document: Mapping[str, Any], path: str, style: Style) -> list[str]:
    names = _names(document)
    beside = f" {style.mark('beside')} "
    took = document["critical_path_s"]
    said = f"{harmless(document['pipeline'])}: {beside.join(map(harmless, names))}"
    said += "" if took is None else f", {span(took)}"
    lines = wrap(f"{style.plain(harmless(path))}  {style.plain(said)}", style.width - 1)
    told: set[str] = set()
    for stage in document["stages"]:
        name = named([stage])[0].partition("[")[0]
        if name in told or not stage.get("steps"):
            continue
        told.add(name)
        chain = [cut(harmless(_step(each)), _NAME_MAX) for each in stage["steps"][:_STEPS_MAX]]
        rest = len(stage["steps"]) - len(chain)
        text = " → ".join([*chain, f"{rest} more"] if rest else chain)
        text = f"{harmless(name)}: {text}" if len(names) > 1 else text
        lines += [f"    {part}" for part in wrap(style.plain(text), max(20, style.width - 5))]
    return lines


def _step(step: Mapping[str, Any]) -> str:
    return str(step["name"]).strip().partition("\n")[0] or str(step["kind"])
