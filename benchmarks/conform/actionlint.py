"""Cases of `actionlint`: what it finds is found here on the same line, whatever the words; what it passes is silent."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

from conform.row import Row
from stagebook.formats.github import traps
from stagebook.formats.github.read import parse
from stagebook.formats.request import NOTHING, Request

#: Rules that are not checked here: they run other programs, or need a list of other people's actions and labels.
OUT = ("shellcheck", "pyflakes", "action", "runner-label")
#: Which of our codes say what a rule says; of one that is not here any will do.
CODES = {
    "expression": ("expression", "context", "unknown-context", "function", "type", "script-injection", "injection"),
    "if-cond": ("constant-condition", "condition"),
    "job-needs": ("unknown-need", "duplicate-need", "cycle"),
    "matrix": ("matrix",),
    "glob": ("pattern", "empty"),
    "permissions": ("permissions", "empty"),
    "shell-name": ("shell",),
    "env-var": ("env",),
    "id": ("id", "duplicate-id", "expression", "context"),
    "events": ("event", "unknown-event", "filter", "input", "schedule", "limit", "value", "empty"),
    "credentials": ("credentials",),
    "deprecated-commands": ("command",),
    "workflow-call": ("uses",),
    "syntax-check": (
        "unknown-key", "missing-key", "empty", "type", "value", "step", "duplicate-key", "merge-key", "event",
        "anchor", "uses", "yaml", "alias", "input", "limit", "key", "recursion",
    ),
}  # fmt: skip
_in_project = re.compile(r"/?(.+?\.yaml):(\d+):\d+: .*\\?\[\(?([a-z-]+).*?\]/?$")
_line = re.compile(r"test\.yaml:(\d+):\d+: .*?(?:\[([a-z-]+)\])?/?$")
_regex = re.compile(r"/?test\\?\.yaml:(\d+):\d+: .*?(?:\\?\[([a-z-]+)\\?\])?/?$")


def measure(data: Path) -> list[Row]:
    folder = data / "conformance" / "actionlint"
    by_rule: dict[str, list[tuple[bool, str]]] = defaultdict(list)
    for name in ("err", "examples"):
        for file in sorted((folder / name).glob("*.yaml")):
            _case(file, by_rule)
    rows = []
    inputs = _projects(folder / "projects", by_rule)
    for rule, cases in sorted(by_rule.items()):
        misses = tuple(miss for is_found, miss in cases if not is_found)
        label = f"findings of {rule}" + (" (out)" if rule in OUT else "")
        rows.append(Row("actionlint", label, len(cases), 1 - len(misses) / len(cases), misses=misses))
    misses = tuple(miss for is_found, miss in inputs if not is_found)
    rows.append(
        Row("actionlint", "inputs of a project's actions", len(inputs), 1 - len(misses) / len(inputs), misses=misses)
    )
    inside = [each for rule, cases in by_rule.items() if rule not in OUT for each in cases]
    share = sum(is_found for is_found, _ in inside) / len(inside)
    return [
        *rows,
        Row("actionlint", "all findings of rules that are in", len(inside), share, 0.85),
        _silent(folder / "ok"),
    ]


def _case(file: Path, by_rule: dict[str, list[tuple[bool, str]]]) -> None:
    data = file.read_bytes()
    pipeline, problems = parse(data, str(file), NOTHING)
    found_at = {(each.line, each.code) for each in problems}
    if pipeline is not None:
        found_at |= {(each.line, each.code) for each in traps.find(data, pipeline)}
    expected = file.with_suffix(".out").read_text().splitlines()
    for text in expected:
        found = _line.match(text) or _regex.match(text)
        if found is None:
            continue
        rule = found[2] or "other"
        codes = CODES.get(rule, ())
        at = int(found[1])  # 0: the text is no YAML, and its line the parser's affair
        is_found = any((line == at or at == 0) and (not codes or code in codes) for line, code in found_at)
        by_rule[rule].append((is_found, f"{file.parent.name}/{file.name}: {text[:160]}"))


def _projects(folder: Path, by_rule: dict[str, list[tuple[bool, str]]]) -> list[tuple[bool, str]]:
    """Findings in workflows of a project, which use its actions and workflows. Those about inputs of its actions are
    given back; those about what files of actions look like are left out."""
    about_inputs: list[tuple[bool, str]] = []
    for out in sorted(folder.glob("*.out")):
        with tempfile.TemporaryDirectory() as place:
            root = Path(place) / "project"
            shutil.copytree(folder / out.stem, root, symlinks=True)
            (root / ".git").mkdir()
            found: dict[str, set[int]] = {}
            for file in [each for each in root.rglob("*.y*ml") if "workflows" in each.parts]:
                _, problems = parse(file.read_bytes(), str(file), Request())
                found[str(file.relative_to(root))] = {each.line for each in problems if each.file == str(file)}
            for text in out.read_text().splitlines():
                match = _in_project.match(text.replace("\\.", "."))
                if match is None or match[3] in ("runner-label",) or "actionlint.yaml" in text:
                    continue
                is_found = int(match[2]) in found.get(match[1], set())
                case = (is_found, f"{out.stem}/{text[:140]}")
                if match[3] != "action":
                    by_rule[match[3]].append(case)
                elif "input " in text and "metadata" not in text and "parse" not in text:
                    about_inputs.append(case)
    return about_inputs


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
