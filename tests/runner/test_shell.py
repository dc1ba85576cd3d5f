"""Commands of steps: their ends, timeouts, output; and services beside them."""

from __future__ import annotations

import os
import socket
import sys
from itertools import cycle
from pathlib import Path
from time import monotonic
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.door import waiting

from stagebook.model.problem import SurroundingsError
from stagebook.runner import images, shell
from stagebook.runner.github import commands
from stagebook.runner.github.commands import Listener, Masks
from stagebook.runner.github.files import Effects
from stagebook.runner.service import Service, Services

ENV = {"PATH": os.environ["PATH"]}


class Unasked(shell.Stop):
    """Takes no signals, as tests have their own."""

    def __init__(self) -> None:
        self.is_asked = False
        self.groups: set[int] = set()


def run(text: str, **more: object) -> shell.Ended:
    return shell.run(("/bin/sh", "-c", text), ENV, "/", Unasked(), **more)  # type: ignore[arg-type]


def test_how_a_command_ended() -> None:
    assert run("exit 0").is_well
    assert run("exit 7") == shell.Ended(7)
    assert run("kill -9 $$").code == 137


def test_a_timeout_ends_the_whole_group() -> None:
    heard: list[bytes] = []
    ended = run("sleep 60 & echo $!; wait", timeout_s=0.2, hear=heard.append)
    assert ended.is_timeout
    assert not ended.is_well
    waiting.until(lambda: _is_gone(int(heard[0])), "the end of what the shell had started")


def _is_gone(pid: int) -> bool:
    try:
        return b"Z" in Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return True


def test_lines_are_heard_whole_and_what_is_left_behind_is_not_waited_for() -> None:
    heard: list[bytes] = []
    assert run("printf 'a\\nb'; sleep 60 & exit 3", hear=heard.append).code == 3
    assert heard == [b"a", b"b"]


def test_what_cannot_be_started_is_told() -> None:
    with pytest.raises(SurroundingsError, match=r"cannot start nothing-like-this: "):
        shell.run(("nothing-like-this",), ENV, "/", Unasked())


@pytest.mark.parametrize(
    ("image", "argv"),
    [("python:3.12", ("py",)), ("python:3.13", ("any", "python")), ("redis", None), ("here", ())],
)
def test_the_closest_pattern_stands_for_an_image(image: str, argv: tuple[str, ...] | None) -> None:
    settings = {"python:3.12": "py", "python:*": "any python", "here": "", "*hon:*": "no"}
    found = images.command(settings, image)
    assert (found and found.argv) == argv if found is not None else argv is None


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    return number


def services(folder: Path, settings: dict[str, object]) -> Services:
    return Services(str(folder), settings, {**ENV, "PATH": "/nonexistent"}, Unasked())


def test_a_service_is_ready_when_it_answers_and_gone_after_the_job(tmp_path: Path, port: int) -> None:
    command = f"{sys.executable} -m http.server --bind 127.0.0.1 {port}"
    beside = services(tmp_path, {"web:*": {"command": command, "ready": port}})
    beside.start(Service("web", "web:1"))
    socket.create_connection(("127.0.0.1", port), 5).close()
    beside.close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_a_service_that_ends_at_once_is_told_with_what_it_said(tmp_path: Path, port: int) -> None:
    beside = services(tmp_path, {"db": {"command": "/bin/sh -c 'echo no room >&2; exit 3'", "ready": port}})
    with pytest.raises(SurroundingsError, match="service db ended with exit 3: no room"):
        beside.start(Service("db", "db"))
    beside.close()


def test_a_service_of_which_nothing_is_known_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SurroundingsError, match=r'\[images\] "redis:7" = \{command'):
        services(tmp_path, {}).start(Service("redis", "redis:7"))


def test_a_container_engine_runs_what_no_setting_names(tmp_path: Path) -> None:
    said = tmp_path / "said"
    engine = tmp_path / "bin" / "docker"
    engine.parent.mkdir()
    engine.write_text(f'#!/bin/sh\necho "$@" >> {said}\n')
    engine.chmod(0o755)
    beside = Services(str(tmp_path), {}, {"PATH": str(engine.parent)}, Unasked())
    beside.start(Service("db", "postgres:17", {"POSTGRES_PASSWORD": "s3cret"}))
    beside.close()
    begun, ended = said.read_text().splitlines()
    assert begun.endswith("-e POSTGRES_PASSWORD postgres:17")
    assert "s3cret" not in begun, "on a command line anybody can read it"
    assert ended.startswith("rm -f stagebook-")


def test_a_flood_of_output_keeps_no_timeout_from_ending_it() -> None:
    heard = 0

    def hear(line: bytes) -> None:
        nonlocal heard
        heard += 1

    assert run("yes", timeout_s=0.2, hear=hear).is_timeout
    assert heard


def test_what_is_left_behind_may_go_on_writing(tmp_path: Path) -> None:
    go, wrote = tmp_path / "go", tmp_path / "wrote"
    left = f"while ! test -e {go}; do sleep 0.02; done; /bin/echo later && touch {wrote}"
    heard: list[bytes] = []
    assert run(f"({left}) & echo now", hear=heard.append).is_well
    assert heard == [b"now"]
    go.touch()
    waiting.until(wrote.exists, "a line that broke nobody")


class Asked(shell.Stop):
    """Asked from the beginning of a command on, which has not heard of it."""

    def __init__(self) -> None:
        self.groups = set()
        self.grace_s, self.asked_s = 0.1, None
        self.is_asked = False

    def ask(self, _: bytes) -> None:
        self.is_asked, self.asked_s = True, monotonic()


def test_what_does_not_end_when_its_job_is_asked_to_is_ended_by_force() -> None:
    stop = Asked()
    argv = ("/bin/sh", "-c", "trap '' TERM INT; echo deaf; sleep 60")
    assert shell.run(argv, ENV, "/", stop, hear=stop.ask) == shell.Ended(137, is_stopped=True)
    assert shell.run(("/bin/sh", "-c", "exit 0"), ENV, "/", stop).is_well, "what cleans up then has its time"


SECRETS = ["s3cret-7f", "s3cret-7f-and-more", "aXa", "\u00fcber"]


@given(
    st.lists(st.sampled_from([*SECRETS, "x", "s3cret", "-and", "aX", "\n", ",", "::add-mask::zz\n", "::", "zz"])),
    st.lists(st.integers(1, 40), min_size=1),
)
def test_wherever_a_long_line_is_cut_what_is_hidden_in_it_stays_hidden(pieces: list[str], sizes: list[int]) -> None:
    data = "".join(pieces).encode()
    whole, cut = _told(data, [len(data) or 1], 1 << 30), _told(data, sizes, 8)
    assert not any(each in cut for each in SECRETS)
    assert cut.count("\n") == whole.count("\n"), "no line is made of a part of one"
    assert cut == whole


def _told(data: bytes, sizes: list[int], line_max: int) -> str:
    """What a listener writes of this, heard in pieces of these sizes; a line above `line_max` in parts."""
    said: list[bytes] = []
    listener = Listener(Masks(SECRETS), Effects(), {}, "> ")
    rest, is_within = b"", False
    with mock.patch.object(commands, "_write", said.append):
        for size in cycle(sizes):
            piece, data = data[:size], data[size:]
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                listener.hear(line)
            is_within = is_within and not lines
            if len(rest) > line_max:
                taken = listener.part(rest)
                rest, is_within = rest[taken:], is_within or taken > 0
            listener.heard()
            if not data:
                break
        if rest or is_within:
            listener.hear(rest)
        listener.heard()
    return b"".join(said).decode()
