"""`run` as it arrives on a real terminal, and as it arrives where there is none (G10, R120)."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from pathlib import Path
from typing import Any, Callable

import pyte
import pytest
from tests.cli.conftest import finish

Start = Callable[..., "subprocess.Popen[bytes]"]

HOSTILE = (
    b"\x1b]52;c;aGVsbG8=\x07"
    b"\x1b]0;owned\x07"
    b"\x1bPq\x1b\\"
    b"\x1b_x\x1b\\"
    b"\x1b[2J\x1b[1;1H"
    b"\x9b2J\xc2\x9b2J"
    b"\xe2\x80\xaegnp.exe\n"
    b"\r00:00:00 deploy: success, 1 s\n"
    b"<script>alert(1)</script>\n"
)
#: What the live view itself says: up, erase below. Colours aside, nothing else may come.
OURS = re.compile(rb"\x1b\[\d*A|\x1b\[J|\x1b\[[0-9;]*m")

FILE = """\
version: 1
name: "shop \\u202e evil"
stages:
  evil: {run: "cat hostile; sleep 0.5; exit 1"}
  "stage passed 漢字": {run: "echo fine; sleep 0.3"}
"""


@pytest.fixture
def folder(here: Path) -> Path:
    (here / "hostile").write_bytes(HOSTILE)
    (here / "stagebook.yaml").write_text(FILE)
    return here


def read_all(leader: int) -> bytes:
    data = b""
    while select.select([leader], [], [], 60)[0]:
        try:
            part = os.read(leader, 1 << 16)
        except OSError:
            break
        if not part:
            break
        data += part
    return data


def on_a_terminal(start: Start, columns: int, lines: int, *words: str, **environ: str) -> tuple[int, bytes, Any]:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = start(
        *words,
        stdout=follower,
        stderr=follower,
        stdin=subprocess.DEVNULL,
        env={"TERM": "xterm-256color", "STAGEBOOK_ACCOUNTING": "wait4", **environ},
    )
    os.close(follower)
    data = read_all(leader)
    code = process.wait(timeout=60)
    os.close(leader)
    screen = pyte.HistoryScreen(columns, lines, history=1000)
    pyte.ByteStream(screen).feed(data)
    return code, data, screen


def text_of(screen: Any) -> list[str]:
    above = ["".join(cell.data for _, cell in sorted(line.items())) for line in screen.history.top]
    return [line.rstrip() for line in [*above, *screen.display]]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (50, 10)])
def test_of_hostile_output_only_letters_reach_the_terminal(start: Start, folder: Path, size: tuple[int, int]) -> None:
    code, data, screen = on_a_terminal(start, *size, "run", "-j", "2")
    assert code == 1
    rest = OURS.sub(b"", data)
    assert b"\x1b" not in rest
    assert b"\x07" not in rest and b"\x9b" not in rest.decode().encode("latin-1", "ignore")
    assert "\u202e" not in rest.decode()
    assert screen.title == ""
    shown = text_of(screen)
    assert not any(line.startswith("00:00:00 deploy") for line in shown)
    assert sum("shop" in line and "failed: evil, exit 1" in line for line in shown) == 1


def test_without_colour_nothing_is_lost(start: Start, folder: Path) -> None:
    _, data, screen = on_a_terminal(start, 80, 40, "run", NO_COLOR="1")
    assert b"m" not in {part[-1:] for part in re.findall(rb"\x1b\[[0-9;]*[A-Za-z]", data)}
    shown = "\n".join(text_of(screen))
    assert "✗ evil" in shown and "✓ stage passed 漢字" in shown


def test_where_no_terminal_is_no_escape_byte_comes(start: Start, folder: Path) -> None:
    done = finish(start("run", "-j", "2", stdin=subprocess.DEVNULL, env={"STAGEBOOK_ACCOUNTING": "wait4"}))
    assert done.code == 1
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", done.out)
    assert "evil | \\x1b]52;c;aGVsbG8=\\x07" in done.out


def test_with_json_progress_goes_to_standard_error_and_one_document_to_standard_output(
    start: Start, folder: Path
) -> None:
    import json

    done = finish(start("run", "--json", stdin=subprocess.DEVNULL, env={"STAGEBOOK_ACCOUNTING": "wait4"}))
    assert json.loads(done.out)["outcome"] == "failure"
    assert "evil: started" in done.err


def test_two_chatty_stages_side_by_side_leave_every_line_whole(start: Start, here: Path) -> None:
    (here / "stagebook.yaml").write_text(
        "version: 1\nstages:\n"
        "  a: {run: 'for i in $(seq 300); do echo a-$i-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done; sleep 0.2'}\n"
        "  b: {run: 'for i in $(seq 300); do echo b-$i-yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done; sleep 0.2'}\n"
    )
    words = ("run", "-j", "2", "--output", "interleave")
    done = finish(start(*words, stdin=subprocess.DEVNULL, env={"STAGEBOOK_ACCOUNTING": "wait4"}))
    assert done.code == 0
    for name, fill in (("a", "x"), ("b", "y")):
        lines = [line[9:] for line in done.out.splitlines() if line[9:].startswith(f"{name} | ")]
        assert lines == [f"{name} | {name}-{number}-{fill * 31}" for number in range(1, 301)]
