"""Golden texts: what a view must look like, to the cell. Run with GOLDEN=write to write them anew, then read
the difference: a golden text that nobody has read proves nothing."""

from __future__ import annotations

import os
from pathlib import Path

WRITES = os.environ.get("GOLDEN") == "write"
HERE = Path(__file__).parent / "golden"


def check(name: str, lines: list[str]) -> None:
    """That `lines` are those of `golden/NAME.txt`; escape bytes stand there as `\\e`."""
    text = "\n".join(lines).replace("\x1b", "\\e") + "\n"
    path = HERE / f"{name}.txt"
    if WRITES:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
