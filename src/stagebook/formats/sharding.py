"""Test programs that can do one part of their suite by themselves: which option says so. Nothing of files or jobs."""

from __future__ import annotations

import re

_SHARED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:^|[\s/])(?:jest|vitest)(?=\s|$)"), "--shard={part}/{parts}"),
    (re.compile(r"(?:^|[\s/])playwright test(?=\s|$)"), "--shard={part}/{parts}"),
    (re.compile(r"(?:^|\s)cargo nextest run(?=\s|$)"), "--partition count:{part}/{parts}"),
    (re.compile(r"(?:^|\s)ctest(?=\s|$)"), "-I {part},,{parts}"),
)
_SPLIT = (re.compile(r"(?:^|\s)pytest(?=\s|$)"), "--splits {parts} --group {part}")
_SHELL = re.compile(r"[|&;<>\\#`]|\$\(")
_PARTED = re.compile(r"--shard|--partition|--splits|--group|\s-[IS]\s")


def line_of(script: str, whole: str = "") -> tuple[str, str] | None:
    """The one line of a script that starts such a program, and the option for it, with `{part}` and `{parts}`; None
    where there is none, or more than one, or the line does more. `whole`: all text of the job, where a plug-in may be
    installed."""
    rules = (*_SHARED, _SPLIT) if "pytest-split" in whole or "pytest_split" in whole else _SHARED
    found = [(line.strip(), option) for line in script.splitlines() for rule, option in rules if rule.search(line)]
    if len(found) != 1:
        return None
    line, option = found[0]
    if _SHELL.search(line) or _PARTED.search(line) or script.count(line) != 1 or re.search(r"\binstall\b", line):
        return None
    return line, option
