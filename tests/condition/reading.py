"""Pipelines and conditions for the tests of this room, out of text. Nothing is run."""

from __future__ import annotations

from pathlib import Path

from stagebook.condition import cel
from stagebook.condition.expression import problems
from stagebook.formats.native.read import parse
from stagebook.model.pipeline import Pipeline

FILES = tuple(f"src/part{number}/module.py" for number in range(10_000))

NAMES = {
    "params": {"channel": "stable"},
    "env": {"CI": "true"},
    "branch": "main",
    "event": "push",
    "commit": {"message": "Fix it", "branch": "main", "sha": "0" * 40, "files": FILES},
    "stages": {"build": {"outcome": "success", "outputs": {"version": "1.2"}}},
    "run": {"outcome": "success"},
}


def pipeline(text: str, file: Path | None = None) -> Pipeline:
    """The pipeline in the text, which lies in `file` where places matter."""
    if file is not None:
        file.write_text(text)
    made, said = parse(text.encode(), str(file or "/nowhere/stagebook.yaml"))
    assert made is not None, said
    return made


def found(text: str, file: Path) -> list[str]:
    """All problems as `LINE:COL: MESSAGE`."""
    return [f"{each.line}:{each.col}: {each.message}" for each in problems(pipeline(text, file))]


def value(text: str) -> object:
    return cel.evaluate(cel.parse(text), cel.values(NAMES))


def why_not(text: str) -> str:
    """Why an expression has no value."""
    try:
        raise AssertionError(f"{text} is {value(text)}")
    except cel.NoAnswer as why:
        return str(why)
