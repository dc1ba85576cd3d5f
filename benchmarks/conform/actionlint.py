"""Cases of `actionlint`: what it finds is found here on the same line, whatever the words; what it passes is silent."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from conform.row import Row
from stagebook.formats.github.read import parse
from stagebook.formats.request import NOTHING

#: Rules that are not checked here: they run other programs, or need a list of other people's actions and labels.
OUT = ("shellcheck", "pyflakes", "action", "runner-label")
_line = re.compile(r"test\.yaml:(\d+):\d+: .*?(?:\[([a-z-]+)\])?/?$")
_regex = re.compile(r"/?test\\?\.yaml:(\d+):\d+: .*?(?:\\?\[([a-z-]+)\\?\])?/?$")


def measure(data: Path) -> list[Row]:
    folder = data / "conformance" / "actionlint"
    by_rule: dict[str, list[tuple[bool, str]]] = defaultdict(list)
    for name in ("err", "examples"):
        for file in sorted((folder / name).glob("*.yaml")):
            _case(file, by_rule)
    rows = []
    for rule, cases in sorted(by_rule.items()):
        misses = tuple(miss for is_found, miss in cases if not is_found)
        label = f"findings of {rule}" + (" (out)" if rule in OUT else "")
        rows.append(Row("actionlint", label, len(cases), 1 - len(misses) / len(cases), misses=misses))
    inside = [each for rule, cases in by_rule.items() if rule not in OUT for each in cases]
    share = sum(is_found for is_found, _ in inside) / len(inside)
    return [
        *rows,
        Row("actionlint", "all findings of rules that are in", len(inside), share, 0.85),
        _silent(folder / "ok"),
    ]


def _case(file: Path, by_rule: dict[str, list[tuple[bool, str]]]) -> None:
    _, problems = parse(file.read_bytes(), str(file), NOTHING)
    lines = {each.line for each in problems}
    expected = file.with_suffix(".out").read_text().splitlines()
    for text in expected:
        found = _line.match(text) or _regex.match(text)
        if found is None:
            continue
        rule = found[2] or "other"
        # where a text is no YAML at all, its line is the parser's affair
        is_found = int(found[1]) in lines or (found[1] == "0" and bool(problems))
        by_rule[rule].append((is_found, f"{file.parent.name}/{file.name}: {text[:160]}"))


def _silent(folder: Path) -> Row:
    misses = []
    files = sorted(folder.glob("*.yaml"))
    for file in files:
        _, problems = parse(file.read_bytes(), str(file), NOTHING)
        loud = [each for each in problems if each.level != "note"]
        if loud:
            misses.append(f"{file.name}:{loud[0].line}: {loud[0].level}: {loud[0].message}")
    return Row(
        "actionlint", "sound files are silent", len(files), 1 - len(misses) / len(files), 1.0, misses=tuple(misses)
    )
