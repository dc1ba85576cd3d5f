"""Problems as text: `FILE:LINE:COL: LEVEL: TEXT`, the user's own line below it and a caret under the word.

Takes source lines from whoever has them; reads no file.
"""

from __future__ import annotations

import re

from stagebook.model.problem import Problem
from stagebook.report.durations import plural
from stagebook.report.harmless import cells, harmless
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Sequence, TypeAlias

#: (file, line) to the text of that line, or None where it is not to be had
Source: TypeAlias = "Callable[[str, int], str | None]"

_WITHOUT_EXCERPT = frozenset({"cycle"})  #: the message shows every line that matters by itself
_EXCERPT_MAX = 200
#: What is said of one name: `a is started by hand`, `job a has no script`.
_OF_ONE = re.compile(
    r"(?P<what>(?:job|local file|file|component|template) )?(?P<name>(?! )(?:(?!: ).)+?)"
    r"(?P<said> (?:is|has|starts|of project) .+)",
    re.DOTALL,
)
_NAMES_MAX = 6


def render(problems: Iterable[Problem], style: Style, source: Source | None = None) -> list[str]:
    """Lines without line ends, problems in the order given."""
    lines: list[str] = []
    for problem in problems:
        lines.append(_headline(problem, style))
        if source is not None and problem.line and problem.code not in _WITHOUT_EXCERPT:
            text = source(problem.file, problem.line)
            if text is not None:
                lines.extend(_excerpt(problem, text, style))
    return lines


def folded(problems: Iterable[Problem]) -> list[Problem]:
    """The same with notes that say one thing of many names as one note, where the first of them was."""
    found: list[tuple[int, Problem]] = []
    alike: dict[tuple[str, str], list[tuple[int, Problem]]] = {}
    for place, problem in enumerate(problems):
        if problem.level == "note":
            alike.setdefault((problem.file, problem.code), []).append((place, problem))
        else:
            found.append((place, problem))
    for group in alike.values():
        for text, members in together([problem.message for _, problem in group]):
            place, first = group[members[0]]
            found.append((place, first if len(members) == 1 else first._replace(col=0, message=text)))
    return [problem for _, problem in sorted(found, key=lambda pair: pair[0])]


def together(texts: Sequence[str], least: int = 3) -> list[tuple[str, list[int]]]:
    """Texts that say one thing of at least so many names as one: `each of 9 jobs (a, b, …) is …`; and the places of
    those that each stands for."""
    groups: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for place, text in enumerate(texts):
        parts = _OF_ONE.fullmatch(text)
        key, name = (("", text), "") if parts is None else ((parts["what"] or "", parts["said"]), parts["name"])
        groups.setdefault(key, []).append((place, name))
    made: list[tuple[str, list[int]]] = []
    for (what, said), members in groups.items():
        places = [place for place, _ in members]
        names = list(dict.fromkeys([name for _, name in members]))
        if len(names) < least:
            made += [(texts[place], [place]) for place in places]
            continue
        shown = ", ".join(names[:_NAMES_MAX]) + (", …" if len(names) > _NAMES_MAX else "")
        kind = f"{what[:-1]}s " if what else ""
        made.append((f"each of {len(names)} {kind}({shown}){said}", places))
    return sorted(made, key=lambda pair: pair[1][0])


def _headline(problem: Problem, style: Style) -> str:
    place = harmless(problem.file)
    if problem.line:
        place += f":{problem.line}"
        if problem.col:
            place += f":{problem.col}"
    level = style.paint(problem.level, {"error": "failure-bold", "warning": "warning"}.get(problem.level, "note"))
    message = "\n".join(harmless(line) for line in problem.message.split("\n"))
    head = f"{place}: {level}: " if place else f"{level}: "
    return style.plain(head + message)


def _excerpt(problem: Problem, text: str, style: Style) -> list[str]:
    text = text.rstrip("\r\n")
    column = max(problem.col, 1) - 1
    if len(text) > _EXCERPT_MAX or column > len(text):
        return []
    before, word = harmless(text[:column]), harmless(_word(text, column))
    shown = before + harmless(text[column:])
    number = f"{problem.line:>3} "
    bar = style.mark("bar")
    lines = [style.plain(f"{number}{bar} {shown}")]
    if problem.col:
        caret = style.paint("^" * max(1, cells(word)), "failure" if problem.level == "error" else "warning")
        lines.append(f"{' ' * len(number)}{bar} {' ' * cells(before)}{caret}")
    return lines


def _word(text: str, column: int) -> str:
    """The word at `column`: to the closing quote if it is quoted, else to what ends a plain scalar."""
    if column >= len(text):
        return ""
    quote = text[column]
    if quote in "'\"":
        end = text.find(quote, column + 1)
        return text[column : end + 1] if end > 0 else text[column:]
    end = column
    while end < len(text) and text[end] not in " \t,:[]{}#":
        end += 1
    return text[column : max(end, column + 1)]


def tally(problems: Iterable[Problem]) -> str:
    """`2 errors, 1 warning`; empty where there is nothing."""
    counted = {"error": 0, "warning": 0, "note": 0}
    for problem in problems:
        counted[problem.level] = counted.get(problem.level, 0) + 1
    return ", ".join(plural(number, level) for level, number in counted.items() if number)


def document(problems: Iterable[Problem]) -> list[dict[str, object]]:
    """The shape of the door: `{"file", "line", "col", "code", "level", "message"}` each; a place of 0 is null."""
    return [
        {
            "file": problem.file or None,
            "line": problem.line or None,
            "col": problem.col or None,
            "code": problem.code,
            "level": problem.level,
            "message": problem.message,
        }
        for problem in problems
    ]
