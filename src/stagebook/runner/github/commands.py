"""What a step says in its output to its job, `::name key=value::text`, and the rest of its output on its way into the
log. Masks what the step asks to be masked.
"""

from __future__ import annotations

import os
import re

from stagebook.runner import log
from stagebook.runner.github.files import Effects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

HIDDEN = "***"
_COMMAND_MAX = 8 << 20  #: bytes of one that are waited for
_COMMAND = re.compile(r"\s*::(\S+?)(?:\s+(.*?))?::(.*)", re.DOTALL)
_LEVELS = ("error", "warning", "notice")
_DATA = (("%0D", "\r"), ("%0A", "\n"), ("%25", "%"))
_PROPERTY = (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%"))


class Masks:
    """Values that must not be seen, each line of one by itself."""

    def __init__(self, values: list[str]) -> None:
        self._values: list[str] = []
        self._bytes: list[bytes] = []
        self._within: tuple[re.Pattern[bytes] | None, int] = None, 0  #: those of one line, and the longest
        for value in values:
            self.add(value)

    def __bool__(self) -> bool:
        return bool(self._values)

    def add(self, value: str) -> None:
        for each in (value, *value.splitlines()):
            if each.strip() and each not in self._values:
                # A new list, the longest first: another thread may be looking at the old one.
                self._values = sorted([*self._values, each], key=len, reverse=True)
                found = [one.encode("utf-8", "surrogateescape") for one in self._values if "\n" not in one]
                longest = max(map(len, found), default=0)
                self._within = (re.compile(b"|".join(map(re.escape, found))) if found else None), longest
                self._bytes = [one.encode("utf-8", "surrogateescape") for one in self._values]

    def hides(self, text: str) -> bool:
        """Whether a text holds any of them."""
        return any(value in text for value in self._values)

    def line(self, data: bytes) -> bytes:
        for value in self._bytes:
            data = data.replace(value, HIDDEN.encode())
        return data

    def cut(self, data: bytes) -> int:
        """How much of an unfinished line can be told by itself: none of the values is cut in two there."""
        wanted, longest = self._within
        if wanted is None:
            return len(data)
        end = max(0, len(data) - longest + 1)
        for found in wanted.finditer(data):
            if found.end() > end:
                return found.end() if found.start() < end else end
        return end

    def text(self, text: str) -> str:
        for value in self._values:
            text = text.replace(value, HIDDEN)
        return text


class Listener:
    """Hears one step's output, line by line. `prefix` goes before each line of it in the log."""

    def __init__(self, masks: Masks, effects: Effects, env: Mapping[str, str], prefix: str = "") -> None:
        self._masks = masks
        self._effects = effects
        self._env = env
        self._prefix = prefix
        self._stopped: str | None = None
        self.failed = False  #: a command was wrong in a way that fails the step
        self._waiting: list[bytes] = []  #: lines that are not in the log yet
        self._is_within = False  #: a line of which a part has been heard

    def hear(self, line: bytes) -> None:
        if not self._is_within and b"::" in line and self._command(line.decode("utf-8", "replace").removesuffix("\r")):
            return
        self._told(line + b"\n")
        self._is_within = False

    def part(self, data: bytes) -> int:
        """What there is of a very long line: how much of it is heard by that. A command is waited for."""
        if not self._is_within and len(data) < _COMMAND_MAX and data.lstrip()[:2] == b"::":
            return 0
        length = self._masks.cut(data)
        if length:
            self._told(data[:length])
            self._is_within = True
        return length

    def _told(self, data: bytes) -> None:
        prefix = b"" if self._is_within else self._prefix.encode()
        self._waiting.append(prefix + (self._masks.line(data) if self._masks else data))

    def heard(self) -> None:
        """All that has been heard belongs into the log now."""
        if self._waiting:
            _write(b"".join(self._waiting))
            self._waiting = []

    def say(self, text: str) -> None:
        """A line of the job's own about this step."""
        self.heard()
        log.say(self._prefix + self._masks.text(text))

    def _command(self, line: str) -> bool:
        """Whether the line is a command, which is done then."""
        found = _COMMAND.fullmatch(line)
        if found is None:
            return False
        name, properties, text = found[1].lower(), _properties(found[2] or ""), _unescaped(found[3], _DATA)
        if self._stopped is not None:
            if found[1] == self._stopped:
                self._stopped = None
                return True
            return False
        return self._do(name, properties, text)

    def _do(self, name: str, properties: Mapping[str, str], text: str) -> bool:
        if name == "stop-commands":
            self._stopped = text
        elif name == "add-mask":
            self._masks.add(text)
        elif name in ("set-output", "save-state"):
            if not properties.get("name"):
                self.say(f"ERROR: {name}: a name is missing")
                self.failed = True
            else:
                (self._effects.outputs if name == "set-output" else self._effects.state)[properties["name"]] = text
        elif name in ("set-env", "add-path"):
            self._unsecure(name, properties, text)
        elif name in _LEVELS:
            self.say(f"{name}: {_place(properties)}{text}")
        elif name == "group":
            self.say(f"> {text}")
        elif name == "debug":
            if self._env.get("RUNNER_DEBUG") == "1" or self._env.get("ACTIONS_STEP_DEBUG") == "true":
                self.say(f"debug: {text}")
        elif name not in ("endgroup", "echo", "add-matcher", "remove-matcher"):
            return False
        return True

    def _unsecure(self, name: str, properties: Mapping[str, str], text: str) -> None:
        """Commands that whoever can write into the output could use; so they must be allowed."""
        if self._env.get("ACTIONS_ALLOW_UNSECURE_COMMANDS", "").lower() != "true":
            file = "GITHUB_ENV" if name == "set-env" else "GITHUB_PATH"
            self.say(f"ERROR: the command `{name}` is disabled; write to the file that {file} names instead")
            self.failed = True
        elif name == "add-path":
            self._effects.path.append(text)
        else:
            why = self._effects.set_env(properties.get("name", ""), text)
            if why is not None:
                self.say(f"ERROR: set-env: {why}")
                self.failed = True


def _properties(text: str) -> dict[str, str]:
    found = {}
    for each in text.split(","):
        name, equals, value = each.strip().partition("=")
        if equals:
            found[name.lower()] = _unescaped(value, _PROPERTY)
    return found


def _unescaped(text: str, table: tuple[tuple[str, str], ...]) -> str:
    for code, sign in table:
        text = text.replace(code, sign)
    return text


def _place(properties: Mapping[str, str]) -> str:
    """`app.py:3:1: `, as far as it is said, with a title."""
    parts = [properties[name] for name in ("file", "line", "col") if properties.get(name)]
    title = properties.get("title")
    return f"{':'.join(parts)}: " * bool(parts) + (f"{title}: " if title else "")


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]
