"""The words of a command line: what every command takes, and how wrong words are answered.

Words that are just as a command declares them are read here. All else, `--help`, `--name=value`, a mistake, is left
to `parser`, which has the last word on what is right, and which takes a tenth of a short run to import, as it is
argparse. That both read the same is held by tests/cli/test_words.py.
"""

from __future__ import annotations

from types import SimpleNamespace

from stagebook.model.problem import InputError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


def as_declared(module: Any, words: list[str]) -> Any:
    """The arguments of a command's module, or None where to read them takes more than is known here."""
    declared = Declared()
    module.add_arguments(declared)
    declare_common(declared)
    return declared.read(words)


def declare_common(parser: Any) -> None:
    common = parser.add_argument_group("options of every command")
    common.add_argument("--json", action="store_true", help="one JSON document on standard output, nothing else there")
    common.add_argument("-q", "--quiet", action="store_true", help="say only what went wrong")
    common.add_argument("-v", "--verbose", action="store_true", help="say more")
    common.add_argument("--color", choices=("auto", "always", "never"), help="default: auto; NO_COLOR is honoured")
    common.add_argument("--ascii", action="store_true", help="no character beyond ASCII")
    common.add_argument("--dir", metavar="DIR", help="the state directory, instead of .stagebook")


class Declared:
    """Stands where argparse's parser does while a command declares its arguments, and reads words that fit them."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._options: dict[str, tuple[str, str, Callable[[str], Any], tuple[str, ...] | None]] = {}
        self._positionals: list[str] = []
        self._needed = 0
        self._rest: str | None = None  #: takes all positionals that are left
        self._is_simple = True

    def add_argument_group(self, title: str) -> Declared:
        return self

    def add_argument(
        self, *names: str, action: str = "store", nargs: str | None = None, const: Any = None, default: Any = None,
        type: Callable[[str], Any] = str, choices: tuple[str, ...] | None = None, metavar: str = "", help: str = "",
    ) -> None:  # fmt: skip
        name = next((name for name in names if name.startswith("--")), names[0])
        name = name.lstrip("-").replace("-", "_")
        self._values[name] = False if action == "store_true" else default
        if names[0].startswith("-"):
            if nargs is None:
                self._options.update((spelling, (name, action, type, choices)) for spelling in names)
        elif nargs in (None, "?"):
            self._positionals.append(name)
            self._needed += nargs is None
        elif (
            nargs == "*" and self._needed and self._rest is None
        ):  # argparse lets one without a word before it be empty
            self._rest = name
        else:
            self._is_simple = False

    def read(self, words: list[str]) -> SimpleNamespace | None:
        if not self._is_simple:
            return None
        values = dict(self._values)
        found: list[str] = []
        is_split = False  #: options stand between positionals, which not every Python's argparse takes
        rest = iter(words)
        for word in rest:
            if not word.startswith("-"):
                if is_split:
                    return None
                found.append(word)
                continue
            is_split = bool(found)
            if word not in self._options:
                return None
            name, action, kind, choices = self._options[word]
            if action == "store_true":
                values[name] = True
                continue
            text = next(rest, "-")
            if text.startswith("-") or (choices is not None and text not in choices):
                return None
            try:
                value = kind(text)
            except ValueError:
                return None
            values[name] = [*values[name], value] if action == "append" else value
        more = found[len(self._positionals) :]
        if len(found) < self._needed or (more and self._rest is None):
            return None
        values.update(zip(self._positionals, found))
        if self._rest is not None:
            values[self._rest] = more
        return SimpleNamespace(**values)


def usage_error(message: str, hint: str = "") -> InputError:
    text = f"{message}; {hint}" if hint else message
    return InputError(text, [Problem("", 0, 0, "usage", "error", text)])


def nearest(word: str, known: list[str]) -> str | None:
    """The known word that `word` was most likely meant to be."""
    import difflib

    found = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.7)
    return found[0] if found else None
