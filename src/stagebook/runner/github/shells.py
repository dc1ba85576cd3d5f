"""Which program reads the text of a step, by the name of its shell. Starts nothing."""

from __future__ import annotations

import shlex
import shutil

from stagebook.model.value import NamedTuple

#: Words after the program's name; `{0}` is the file with the text.
_KNOWN = {
    "bash": ("bash", "--noprofile", "--norc", "-eo", "pipefail", "{0}"),
    "sh": ("sh", "-e", "{0}"),
    "python": ("python", "{0}"),
    "pwsh": ("pwsh", "-command", ". '{0}'"),
}
_ENDINGS = {"bash": ".sh", "sh": ".sh", "python": ".py", "pwsh": ".ps1"}


class Shell(NamedTuple):
    """`argv` with `{0}` where the script's path stands; `text` is what the script holds."""

    argv: tuple[str, ...]
    ending: str
    text: str

    def command(self, path: str) -> tuple[str, ...]:
        return tuple(word.replace("{0}", path) for word in self.argv)


def shell(name: str | None, text: str, path: str | None) -> Shell:
    """The shell of a step; `name` None: what its file leaves open. `path`: where programs are looked for. ValueError,
    which says what to do, where there is none of that name."""
    if name is None:
        there = shutil.which("bash", path=path)
        return Shell(("bash", "-e", "{0}") if there else ("sh", "-e", "{0}"), ".sh", text)
    known = _KNOWN.get(name)
    if name in ("cmd", "powershell"):
        raise ValueError(f"shell {name} is there on Windows only")
    if known is None:
        if "{0}" not in name:
            raise ValueError(f"shell {name!r} is neither bash, sh, python or pwsh nor a command with {{0}} in it")
        try:
            words = tuple(shlex.split(name))
        except ValueError as error:
            raise ValueError(f"shell {name!r}: {error}") from None
        _find(words[0], path, name)
        return Shell(words, _ENDINGS.get(words[0], ""), text)
    if name == "python" and shutil.which("python", path=path) is None:
        known = ("python3", "{0}")
    _find(known[0], path, name)
    if name == "pwsh":
        ending = "if ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) { exit $LASTEXITCODE }"
        text = f"$ErrorActionPreference = 'stop'\n{text}\n{ending}"
    return Shell(known, _ENDINGS[name], text)


def _find(program: str, path: str | None, name: str) -> None:
    if shutil.which(program, path=path) is None:
        raise ValueError(f"shell {name!r}: {program} is not on the PATH of this machine; install it or name another")
