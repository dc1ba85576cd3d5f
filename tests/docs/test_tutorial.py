"""Pages that show commands are run as they stand, README among them: every console block in order, in one empty
directory, with the installed command.

A block's lines after `$ ` are typed into one bash; what follows is what must appear. `…` stands for anything within a
line, a line of `…` alone for any lines. Figures differ from run to run: where a page shows a duration, a percentage, a
bar or a run id, only its shape is compared. `<!-- exit 2 -->` before a block is the exit status of its last command.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"(?:<!-- exit (?P<exit>\d+) -->\n+)?```console\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SHAPES = (
    (re.compile(r"^(timeline|runs) +0 .*?(?=$| +wait +work)"), r"\1 0"),  # as many marks as the time needs
    (re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b|\b0[0-9A-HJKMNP-TV-Z]{7,12}\b|\b[0-9a-f]{8}-[0-9a-f-]{27}\b"), "RUN"),
    (re.compile(r"[█▄▒░╌▶]+"), "█"),
    (re.compile(r"<?\d+(?:\.\d+)?(?: (?:ms|s|m|h)\b(?: \d+ (?:s|m)\b)?)?"), "0"),
    (re.compile(r"\s+"), " "),
)


class Step(NamedTuple):
    line: int
    commands: str
    shown: list[str]
    exit: int


def steps(page: Path) -> list[Step]:
    text, found = page.read_text(), []
    for block in BLOCK.finditer(text):
        typed, shown = [], []
        here = None
        for line in block["text"].splitlines():
            if line.startswith("$ ") or here is not None:
                word = re.search(r"<<'?(\w+)'?$", line) if here is None else None
                typed.append(line[2:] if here is None else line)
                here = word[1] if word else (None if line == here else here)
            else:
                shown.append(line)
        number = text.count("\n", 0, block.start("text")) + 1
        found.append(Step(number, "\n".join(typed), shown, int(block["exit"] or 0)))
    return found


def shape(line: str) -> str:
    for pattern, word in SHAPES:
        line = pattern.sub(word, line)
    return line.strip()


def settled(lines: list[str]) -> list[str]:
    """Rows of a timeline by name: stages that began together may stand in either order."""
    done: list[str] = []
    for is_row, group in itertools.groupby(lines, lambda line: line.startswith(("✓ ", "✗ "))):
        rows = list(group)
        done += sorted(rows, key=lambda line: line.split()[1]) if is_row else rows
    return done


def matches(shown: list[str], said: list[str]) -> bool:
    """Whether all that is shown was said, in that order; `…` lines may stand for any lines."""
    pattern = ""
    for line in settled(shown):
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(re.escape(shape(part)) for part in line.split("…")) + r"\n"
    return re.fullmatch(pattern, "".join(f"{shape(line)}\n" for line in settled(said))) is not None


def say(step: Step, folder: Path, stagebook: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("STAGEBOOK", "GIT_"))}
    environment.update(
        PATH=f"{Path(stagebook).parent}:{os.environ['PATH']}",
        TERM="dumb",
        LC_ALL="C.UTF-8",
        COLUMNS="80",
        XDG_STATE_HOME=str(folder.parent / "state"),  # what is trusted is so for one page
        OTEL_EXPORTER_OTLP_TIMEOUT="1",  # a service that is not there is asked again for so long
    )
    return subprocess.run(
        ["bash", "-c", step.commands],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def follow(page: Path, folder: Path, stagebook: str) -> int:
    """Type everything that the page says into the folder; the number of blocks. Fails where the page is wrong."""
    todo = steps(page)
    for step in todo:
        done = say(step, folder, stagebook)
        place = f"{page.relative_to(ROOT)}:{step.line}: {step.commands}"
        if done.returncode != step.exit or not matches(step.shown, done.stdout.splitlines()):
            said = f"--- said (exit {done.returncode}):\n{done.stdout}"
            shown = "\n".join([f"--- shown (exit {step.exit}):", *step.shown])
            pytest.fail("\n".join([place, said, shown]), pytrace=False)
    return len(todo)


PAGES = [
    "tutorial.md",
    "reference/settings.md",
    *(str(page.relative_to(DOCS)) for page in sorted((DOCS / "how-to").glob("*.md"))),
]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_happens(page: str, tmp_path: Path, stagebook: str) -> None:
    folder = tmp_path / "release"
    folder.mkdir()
    assert follow(DOCS / page, folder, stagebook) > 2


def test_the_first_ten_lines_work_in_an_empty_folder_and_again(tmp_path: Path, stagebook: str) -> None:
    for _ in range(2):
        assert follow(ROOT / "README.md", tmp_path, stagebook) == 1


def test_what_readme_calls_not_built_is_marked_so_in_the_reference() -> None:
    said = (ROOT / "README.md").read_text().partition("do nothing yet:")[2].partition("marks *later*")[0]
    keys = (DOCS / "reference" / "keys.md").read_text()
    names = set(re.findall(r"`([a-z]+)`", said))
    later = set(re.findall(r"^\| `([a-z]+)` \|.*\*\(later\)\*", keys, re.MULTILINE))
    assert names == later != set()


def test_lines_match_by_shape() -> None:
    assert matches(["done in 1.2 s", "…", "end"], ["done in 34.56 s", "more", "yet more", "end"])
    assert matches(["timeline  0    1 s     wait   work"], ["timeline  0   500 ms   1 s   1.5 s   wait  work"])
    assert not matches(["timeline  0    1 s     wait   work"], ["timeline  0   1 s"])
    assert matches(["a ████░ 2 s"], ["a ██ 1 m 05 s"])
    assert matches(["saved … less"], ["saved 3 s, 20 % less"])
    assert not matches(["done"], ["failed"])
    assert not matches(["one", "two"], ["two", "one"])
    assert not matches([], ["unexpected"])
