"""Shell text of somebody else's within ours: so that an open heredoc, quote or parenthesis in it cannot reach what
stands around. It is not parsed: what cannot be told for sure is handed to `eval`.
"""

from __future__ import annotations

import re

_HEREDOC = re.compile(r"(?<!<)<<(-?)[ \t]*(?:'([^'\n]+)'|\"([^\"\n]+)\"|\\?([A-Za-z_][\w.-]*))(?![\w$`'\"\\])")
_END = "STAGEBOOK_END"


def subshell(text: str, heading: str = "", head: str = "") -> str:
    """In a shell of its own, after `head`, which is ours."""
    first = f"( # {heading}\n" if heading else "(\n"
    return f"{first}{head}{enclosed(text)}\n)"


def enclosed(text: str) -> str:
    """The text as it is where it is whole, or as one word of `eval` (in bash)."""
    body = text.strip("\n")
    if is_whole(body):
        return body
    # Not `$(cat <<...)`, in which old bashes count the quotes and parentheses of what they read
    return f"IFS= read -r -d '' stagebook_text {heredoc(body, ' || true')}\neval \"$stagebook_text\""


def heredoc(text: str, after: str = "") -> str:
    """`<<'END'`, `after` and the text, with an end that is no line of it."""
    end, number = _END, 1
    lines = set(text.split("\n"))
    while end in lines:
        number += 1
        end = f"{_END}_{number}"
    return f"<<'{end}'{after}\n{text}\n{end}"


def is_whole(text: str) -> bool:
    """Whether it surely ends every heredoc, quote and parenthesis that it begins, and no other."""
    if "$'" in text and "\\'" in text:
        return False
    lines = text.split("\n")
    scan = _Scan()
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        begun = 0
        for match in _HEREDOC.finditer(line):
            scan.read(line[begun : match.start()])
            if scan.quote or scan.is_comment or scan.depth < 0:
                return False
            begun = match.end()
            end = match[2] or match[3] or match[4]
            while at < len(lines) and (lines[at].lstrip("\t") if match[1] else lines[at]) != end:
                at += 1
            if at == len(lines):
                return False
            at += 1
        rest = line[begun:]
        if "<<" in rest.replace("<<<", ""):
            return False
        scan.read(rest + "\n")
        if scan.depth < 0:
            return False
    return not scan.quote and scan.depth == 0 and not text.endswith("\\")


class _Scan:
    """Quotes and parentheses, as far as they can be told without the grammar of a shell."""

    def __init__(self) -> None:
        self.quote = ""
        self.depth = 0
        self.is_comment = False
        self._is_escaped = False
        self._before = "\n"

    def read(self, text: str) -> None:
        for letter in text:
            if self._is_escaped:
                self._is_escaped = False
            elif self.is_comment:
                self.is_comment = letter != "\n"
            elif letter == "\\" and self.quote != "'":
                self._is_escaped = True
            elif self.quote:
                self.quote = "" if letter == self.quote else self.quote
            elif letter in "'\"`":
                self.quote = letter
            elif letter == "#" and self._before in " \t\n;()&|":
                self.is_comment = True
            elif letter in "()":
                self.depth += 1 if letter == "(" else -1
                if self.depth < 0:
                    return
            self._before = letter
