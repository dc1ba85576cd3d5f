"""Globs against a second implementation that tries everything, against Python's own where it has one, and for cost."""

from __future__ import annotations

import glob as python_glob
import re
import time
from fnmatch import fnmatchcase
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.model.globs import Globs, Meeting, refusal

names = st.text("ab.A-", min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
paths = st.lists(names, min_size=1, max_size=5).map("/".join)
pieces = st.one_of(names, st.text("ab*?.", min_size=1, max_size=5), st.sampled_from(["**", "*", "[ab]", "[!a]*", "?"]))
globs = st.lists(pieces.filter(lambda piece: piece not in (".", "..")), min_size=1, max_size=5).map("/".join)


def matches(glob: str, path: str) -> bool:
    return Globs([glob]).first([path]) == path


def is_plain(glob: str) -> bool:
    """A path without wildcards, which also stands for what lies below."""
    return not set(glob) & set("*?[")


def tries_everything(glob: list[str], path: list[str]) -> bool:
    if not glob:
        return not path
    if glob[0] == "**":
        if len(glob) == 1:
            return bool(path)
        return any(tries_everything(glob[1:], path[at:]) for at in range(len(path) + 1))
    return bool(path) and fnmatchcase(path[0], glob[0]) and tries_everything(glob[1:], path[1:])


@given(globs, paths)
def test_a_glob_matches_what_trying_everything_finds(glob: str, path: str) -> None:
    found = tries_everything(glob.split("/"), path.split("/"))
    assert matches(glob, path) is (found or (is_plain(glob) and path.startswith(f"{glob}/")))


@given(globs, paths)
def test_a_glob_means_what_newer_pythons_say(glob: str, path: str) -> None:
    translate = getattr(python_glob, "translate", None)  # Python 3.13
    if translate is not None:
        pattern = translate(glob, recursive=True, include_hidden=True, seps="/")
        below = is_plain(glob) and path.startswith(f"{glob}/")
        assert matches(glob, path) is (re.match(pattern, path) is not None or below)


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("src/**", "src/a/b.py", "src"),
        ("src/**", "src/.hidden", "srcs/a"),
        ("src/", "src/a/b", "src"),
        ("docs", "docs/a/b", "docs2/a"),
        ("docs/a.md", "docs/a.md", "docs/a.mdx"),
        ("**", "a/b/c", None),
        ("**/*.md", "readme.md", "readme.mdx"),
        ("**/*.md", "docs/a/b.md", "docs/b.rst"),
        ("*.md", "readme.md", "docs/readme.md"),
        ("docs/*", "docs/a", "docs/a/b"),
        ("a/**/z", "a/z", "a/b"),
        ("a/**/z", "a/b/c/z", "a/b/c/zz"),
        ("SRC/**", "SRC/a", "src/a"),
        ("a[0-9].txt", "a7.txt", "aa.txt"),
        ("a?c", "abc", "a/c"),
        ("./src/*", "src/a", "a"),
        ("über/**", "über/ß", "uber/ß"),
        ("a+(b)", "a+(b)", "aab"),
        ("../lib/**", "../lib/x", "lib/x"),
        ("src/**", "src/x", "../src/x"),
        ("**", "x", "../x"),
        ("**/x", "a/x", "../x"),
        ("*/x", "a/x", "../x"),
        ("../**", "../x/y", "../../x"),
    ],
)
def test_globs_by_example(glob: str, yes: str, no: str | None) -> None:
    assert matches(glob, yes)
    assert no is None or not matches(glob, no)
    assert refusal(glob) is None


def test_the_first_file_that_any_glob_matches_is_named() -> None:
    assert Globs(["docs/**", "*.md"]).first(["src/a", "b.md", "docs/c"]) == "b.md"
    assert Globs(["docs/**"]).first([]) is None


@pytest.mark.parametrize(
    "glob", ["*a" * 1000 + "b", "**/a/" * 200 + "b", "**/*a*/" * 100 + "b", "[a-z]*" * 500 + "0", "?*" * 1000 + "b"]
)
def test_no_glob_takes_long(glob: str) -> None:
    began = time.process_time()
    assert not matches(glob, "a" * 250)
    assert not matches(glob, "/".join(["a" * 10] * 200))
    assert time.process_time() - began < 2


def test_ten_thousand_files_take_no_time() -> None:
    files = [f"src/module{number}/file.py" for number in range(10_000)]
    began = time.process_time()
    assert Globs(["docs/**", "**/*.md", "*.toml"]).first(files) is None
    assert time.process_time() - began < 2


ALL = ["".join(name) for size in range(1, 4) for name in product("abc", repeat=size)]
patterns = st.text("ab*?", min_size=1, max_size=4) | st.builds(
    "{}[{}]{}".format, st.text("a*", max_size=2), st.text("ab!-c", min_size=1, max_size=3), st.text("b?", max_size=1)
)


@given(patterns, patterns)
def test_two_names_meet_where_trying_everything_finds_one(one: str, other: str) -> None:
    found = any(fnmatchcase(name, one) and fnmatchcase(name, other) for name in ALL)
    met = Meeting().meet(one, other)
    # What trying does not find may be longer, or have other letters in it.
    assert met or not found
    if met and not found and "!" not in one + other and "?" not in one + other and "-" not in one + other:
        longer = ["".join(name) for size in range(4, 9) for name in product("ab", repeat=size)]
        assert any(fnmatchcase(name, one) and fnmatchcase(name, other) for name in [*longer, "[", "a[", "]"]) or (
            "[" in one + other
        )
