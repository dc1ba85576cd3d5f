"""The cache as people see it: its objects as a table, and what was found damaged or removed. Reads documents only."""

from __future__ import annotations

from stagebook.report.durations import plural, size, span
from stagebook.report.harmless import cells, cut, harmless, pad
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


def listing(document: Mapping[str, Any], style: Style) -> list[str]:
    objects = document["objects"]
    if not objects:
        return ["the cache is empty"]
    rows = []
    for each in objects:
        by = "–" if each["stage"] is None else f"{harmless(each['stage'])}: {harmless(each['path'])}"
        rows.append((each["digest"][:12], size(each["size_bytes"]), f"{span(each['age_s'])} ago", by))
    widths = [max(cells(style.plain(row[column])) for row in rows) for column in range(3)]
    lines = []
    for digest, bytes_, age, by in rows:
        left = f"{digest}  {style.plain(bytes_):>{widths[1]}}  {pad(style.plain(age), widths[2])}  "
        lines.append((left + cut(style.plain(by), max(8, style.width - 1 - cells(left)))).rstrip())
    total = f"{plural(len(objects), 'object')}, {size(document['size_bytes'])} of {size(document['limit_bytes'])}"
    return [*lines, style.plain(total)]


def verified(document: Mapping[str, Any], style: Style) -> list[str]:
    lines = []
    for each in document["damaged"]:
        lines.append(style.paint(f"corrupt: expected {each['digest']}", "failure"))
        lines.append(style.plain(f"         got {harmless(each['got'])}; removed"))
    total = f"{plural(document['objects'], 'object')}, {size(document['size_bytes'])}: "
    damaged = len(document["damaged"])
    return [*lines, style.plain(total + (f"{damaged} damaged" if damaged else "all whole"))]


def restored(document: Mapping[str, Any], style: Style) -> list[str]:
    lines, back, whole = [], 0, 0
    for each in document["files"]:
        back += each["restored"]
        whole += not each["restored"] and each["why"] is None
        if each["why"] is not None:
            lines.append(style.paint(f"{harmless(each['path'])} is not restored: {harmless(each['why'])}", "failure"))
    made = plural(len(document["files"]), "output")
    return [*lines, style.plain(f"{made} of {harmless(document['stage'])}: {back} put back, {whole} whole already")]


def collected(document: Mapping[str, Any], style: Style) -> list[str]:
    would = "would remove" if document["dry_run"] else "removed"
    parts = [
        (len(document["objects"]), "object", "objects", "objects_bytes"),
        (len(document["temporaries"]), "temporary file", "temporary files", "temporaries_bytes"),
        (len(document["set_aside"]), "run's files set aside", "runs' files set aside", "set_aside_bytes"),
        (len(document["workspaces"]), "run's workspaces", "runs' workspaces", "workspaces_bytes"),
        (len(document["job_caches"]), "cache of jobs", "caches of jobs", "job_caches_bytes"),
        (len(document["runs"]), "run", "runs", "runs_bytes"),
    ]
    said = [
        f"{count} {one if count == 1 else many} ({size(document[total])})" for count, one, many, total in parts if count
    ]
    first = f"{would} {', '.join(said)}" if said else "nothing to remove"
    kept = f"{size(document['kept_bytes'])} of {size(document['limit_bytes'])} are kept in the cache"
    stay = plural(len(document["runs_kept"]), "run")
    why = f"{stay} kept for files set aside; --set-aside-older-than says when these go"
    return [style.plain(line) for line in (first, *([why] if document["runs_kept"] else []), kept)]
