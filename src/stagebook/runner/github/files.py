"""The files by which a step speaks to its job: GITHUB_OUTPUT, GITHUB_ENV, GITHUB_PATH, GITHUB_STATE and
GITHUB_STEP_SUMMARY. New ones for each step.
"""

from __future__ import annotations

import os

from stagebook.record.state import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

BYTES_MAX = 8 << 20
NAMES = ("output", "env", "path", "state", "step_summary")
#: What GITHUB_ENV cannot set.
_KEPT = ("GITHUB_", "RUNNER_")


class Effects:
    """What a step changes for those after it. `path` in the order in which entries were said."""

    __slots__ = ("env", "outputs", "path", "state", "summary")

    def __init__(self) -> None:
        self.outputs: dict[str, str] = {}
        self.env: dict[str, str] = {}
        self.path: list[str] = []
        self.state: dict[str, str] = {}
        self.summary = ""

    def set_env(self, name: str, value: str) -> str | None:
        """Why it cannot be set."""
        if name.upper().startswith(_KEPT) or name.upper() in ("CI", "NODE_OPTIONS"):
            return f"{name} cannot be set for later steps"
        if not name or "=" in name or "\0" in name + value:
            return f"{name!r} is no name of a variable" if "\0" not in value else f"the value of {name} holds a NUL"
        self.env[name] = value
        return None


class Files:
    """Those of one step, empty at first."""

    def __init__(self, folder: str, stem: str) -> None:
        os.makedirs(folder, 0o700, exist_ok=True)
        self.paths = {name: os.path.join(folder, f"{stem}.{name}") for name in NAMES}
        for path in self.paths.values():
            with open(path, "wb"):
                pass

    def remove(self) -> None:
        """They may hold secrets, and the workspace may be kept."""
        for path in self.paths.values():
            if os.path.lexists(path) and not os.path.isdir(path):
                os.unlink(path)

    @property
    def env(self) -> dict[str, str]:
        """The variables that name them."""
        return {f"GITHUB_{name.upper()}": path for name, path in self.paths.items()}

    def take(self, effects: Effects) -> list[str]:
        """What stands in them, into `effects`; and what is wrong with it."""
        wrong: list[str] = []
        for name, table in (("output", effects.outputs), ("state", effects.state)):
            try:
                table.update(pairs(self._text(name, wrong)))
            except ValueError as error:
                wrong.append(f"GITHUB_{name.upper()}: {error}")
        try:
            for variable, value in pairs(self._text("env", wrong)):
                why = effects.set_env(variable, value)
                if why is not None:
                    wrong.append(f"GITHUB_ENV: {why}")
        except ValueError as error:
            wrong.append(f"GITHUB_ENV: {error}")
        effects.path += [line for line in self._text("path", wrong).splitlines() if line]
        effects.summary += self._text("step_summary", wrong)
        return wrong

    def _text(self, name: str, wrong: list[str]) -> str:
        """Empty where the step has removed the file, or made something else of it."""
        try:
            with open_regular(self.paths[name]) as file:
                data = file.read(BYTES_MAX + 1)
        except (OSError, ValueError):
            return ""
        if len(data) > BYTES_MAX:
            wrong.append(f"GITHUB_{name.upper()} is larger than {BYTES_MAX >> 20} MiB; the rest is left out")
            data = data[: data.rfind(b"\n", 0, BYTES_MAX) + 1]
        return data.decode("utf-8", "replace").removeprefix("\ufeff")


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """Names and values of `NAME=VALUE` lines, and of `NAME<<WORD` with lines up to one that is `WORD`. ValueError for
    anything else."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at].removesuffix("\r")
        at += 1
        if not line:
            continue
        equals, several = line.find("="), line.find("<<")
        if equals >= 0 and (several < 0 or equals < several):
            if not equals:
                raise ValueError(f"line {at}: a name must not be empty")
            yield line[:equals], line[equals + 1 :]
            continue
        if several < 0:
            raise ValueError(f"line {at}: NAME=VALUE expected, not {line[:60]!r}")
        name, word = line[:several], line[several + 2 :]
        if not name or not word:
            raise ValueError(f"line {at}: NAME<<WORD expected, not {line[:60]!r}")
        start = at
        while at < len(lines) and lines[at].removesuffix("\r") != word:
            at += 1
        if at == len(lines):
            raise ValueError(f"line {start}: no line {word[:60]!r} ends the value of {name}")
        yield name, "\n".join(lines[start:at])
        at += 1
