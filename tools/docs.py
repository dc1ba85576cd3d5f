"""Writes the pages, and parts of pages, that come from code: `make docs`. With --check it only says which are stale.

Commands come from `--help`, keys from the grammar's table, the diagram of moves from the scheduler's table.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Callable, Iterator, Mapping

from stagebook.cli.main import COMMANDS
from stagebook.formats.native import grammar
from stagebook.formats.native.grammar import Either, Key, ListOf, MapOf, Record, Scalar, Type, Word
from stagebook.scheduler import moves

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SCALARS = {
    "value": "text, number, boolean",
    "command": "command",
    "bool": "`true`, `false`",
    "int": "whole number",
    "function": "`module:function`",
    "retry-reason": "`failure`, `error`, `timeout`, `exit N`",
    "workers": "whole number, `auto`",
}


def commands() -> str:
    """Every command's own help, as a user of 80 columns sees it."""
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    parts = ["# Commands\n\nGenerated from `--help` by `make docs`.\n"]
    for words in ([], *([name] for name in COMMANDS)):
        command = [sys.executable, "-m", "stagebook", *words, "--help"]
        said = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
        parts.append(f"## {' '.join(['stagebook', *words])}\n\n```text\n{said.strip()}\n```\n")
    return "\n".join(parts)


def keys() -> str:
    parts = [
        "# Keys of the native file\n",
        "Generated from the table that judges a file, by `make docs`; `stagebook schema` prints the same as JSON Schema.",
        "Keys marked *later* are checked by `lint` and refused by `run` until they work.\n",
        "## The file\n",
        *table(grammar.PIPELINE_KEYS),
        "\n## A stage\n",
        *table(grammar.STAGE_KEYS),
        "\n## A group\n",
        *table(grammar.GROUP_KEYS),
    ]
    return "\n".join(parts) + "\n"


def table(rows: Mapping[str, Key]) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    yield from entries(rows, "")


def entries(rows: Mapping[str, Key], prefix: str) -> Iterator[str]:
    for name, key in rows.items():
        later = "" if key.built else " *(later)*"
        default = f"`{key.default}`" if key.default else ""
        yield f"| `{prefix}{name}` | {value(key.type)} | {default} | {key.about.replace('|', chr(92) + '|')}{later} |"
        if prefix == "":
            for record, path in records(key.type, f"{name}"):
                yield from entries(record.keys, path)


def records(kind: Type | None, path: str) -> Iterator[tuple[Record, str]]:
    """The records one step below a key, each with the path that its keys are written under."""
    if isinstance(kind, Record):
        yield kind, f"{path}."
    elif isinstance(kind, Either):
        for part in (kind.scalar, kind.list, kind.map):
            yield from records(part, path)
    elif isinstance(kind, ListOf):
        yield from records(kind.item, f"{path}[]")
    elif isinstance(kind, MapOf):
        yield from records(kind.value, f"{path}.NAME")


def value(kind: Type | None) -> str:
    """A type in words, without its inner keys."""
    if isinstance(kind, Scalar):
        return SCALARS.get(kind.kind, kind.kind)
    if isinstance(kind, Word):
        return ", ".join(f"`{word}`" for word in kind.choices)
    if isinstance(kind, ListOf):
        return (
            "list"
            if isinstance(kind.item, (Record, Either, MapOf)) or value(kind.item) == ""
            else f"list of {value(kind.item)}"
        )
    if isinstance(kind, MapOf):
        return f"mapping by {kind.names}"
    if isinstance(kind, Record):
        return "mapping"
    if isinstance(kind, Either):
        return " or ".join(text for text in map(value, (kind.scalar, kind.list, kind.map)) if text)
    return "" if kind is None else "mapping"


def diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> waiting"]
    for old, targets in moves.MOVES.items():
        for new, why in targets.items():
            lines.append(f"    {moves.NAMES[old]} --> {moves.NAMES[new]}: {why}")
    return "\n".join([*lines, "```"])


#: page: (its maker, or None) and {marker: maker} for the parts between `<!-- MARKER -->` and `<!-- /MARKER -->`
PAGES: dict[str, tuple[Callable[[], str] | None, dict[str, Callable[[], str]]]] = {
    "reference/commands.md": (commands, {}),
    "reference/keys.md": (keys, {}),
    "explanation/scheduler.md": (None, {"moves": diagram}),
}


def made(page: str) -> str:
    """What the page should say; raises ValueError where a page lacks a marker."""
    whole, parts = PAGES[page]
    text = whole() if whole else (DOCS / page).read_text()
    for marker, maker in parts.items():
        begin, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"docs/{page} needs {begin} and {end}, once each")
        text = f"{text[: text.index(begin)]}{begin}\n{maker()}\n{text[text.index(end) :]}"
    return text


def main() -> int:
    stale = []
    for page in PAGES:
        path, text = DOCS / page, made(page)
        if not path.exists() or path.read_text() != text:
            stale.append(page)
            if "--check" not in sys.argv:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    for page in stale:
        print(f"docs/{page}: {'stale, run `make docs`' if '--check' in sys.argv else 'written'}")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
