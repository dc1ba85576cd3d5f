"""What the import contracts cannot say: standard library only, from every file, lazily imported modules included."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Iterator

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "stagebook"
PURE = ("model", "graph", "scheduler")
#: what a pure room may import of the standard library; more is a decision worth a line here
HARMLESS = {
    "__future__",
    "typing",
    "collections",
    "fnmatch",
    "heapq",
    "bisect",
    "math",
    "functools",
    "itertools",
    "operator",
    "re",
    "enum",
    "difflib",
}
THIRD_PARTY: dict[str, tuple[str, ...]] = {
    "yaml": ("formats",), "celpy": ("condition",), "lark": ("condition",),
    "re2": ("condition", "record", "cli", "formats"),
    "watchfiles": ("cli",), "blake3": ("artifact",), "sqlalchemy": ("history",), "alembic": ("history",),
    "pyarrow": ("history",), "opentelemetry": ("cli",), "numpy": ("study",),
    "fast_sugiyama": ("report",), "itsdangerous": ("approval",), "apprise": ("notify",), "requests": ("notify",),
}  # fmt: skip


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, node.module or ""


MODULES = sorted(SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0]


def test_there_is_something_to_check() -> None:
    assert {*PURE, "engine", "record", "cli"} <= {room(path) for path in MODULES}


@pytest.mark.parametrize("name", PURE)
def test_a_pure_room_imports_little_and_nothing_that_has_effects(name: str) -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {module}"
        for path in MODULES
        if room(path) == name
        for line, module in imports(path)
        if module.partition(".")[0] not in HARMLESS | {"stagebook"}
    ]
    assert found == []


def test_third_party_code_is_imported_where_it_is_meant_to_be() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {module}"
        for path in MODULES
        for line, module in imports(path)
        for top in [module.partition(".")[0]]
        if top != "stagebook" and top not in sys.stdlib_module_names and room(path) not in THIRD_PARTY.get(top, ())
    ]
    assert found == []


def test_no_pure_room_opens_prints_or_evaluates() -> None:
    forbidden = {"open", "print", "input", "eval", "exec", "compile", "__import__"}
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}: {node.func.id}()"
        for path in MODULES
        if room(path) in PURE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in forbidden
    ]
    assert found == []


def test_every_module_opens_with_what_lives_there() -> None:
    without = [str(path.relative_to(SOURCE)) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert without == []


def test_modules_and_functions_stay_readable() -> None:
    long = [str(path.relative_to(SOURCE)) for path in MODULES if len(path.read_text().splitlines()) > 600]
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert node.end_lineno is not None
                if node.end_lineno - node.lineno >= 70:
                    long.append(f"{path.relative_to(SOURCE)}:{node.lineno}: {node.name}")
    assert long == []
