"""G10: output cannot speak for the engine. A terminal gets text and colours; state comes from the journal alone."""

from __future__ import annotations

import re

import pytest
from tests.door.place import Place, by_stage
from tests.door.terminal import Terminal

#: What a terminal would obey, by name: none of it may reach one.
HOSTILE = {
    "clipboard": b"\x1b]52;c;aGFjaw==\x07",
    "title": b"\x1b]0;owned\x07",
    "hyperlink": b"\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\",
    "cursor": b"\x1b[2J\x1b[H\x1b[10A\x1b[5;5Howned",
    "device-control": b"\x1bP$qm\x1b\\",
    "answer-back": b"\x1b[c\x1b[6n\x05",
    "c1-csi": b"\xc2\x9b2J",
    "c1-raw": b"\x9b2J\x9d0;owned\x9c",
    "reset": b"\x1bc",
    "charset": b"\x1b(0\x0e",
    "bell": b"\x07\x07",
    "backspace": b"passed\x08\x08\x08\x08\x08\x08failed",
    "overwrite": b"real line\rfake line",
    "bidi": "\u202egnp.exe\u202c \u2066x\u2069".encode(),
    "apc": b"\x1b_payload\x1b\\",
    "alternate-screen": b"\x1b[?1049h\x1b[?1000h",
}

#: Sequences that a terminal may get: colours, and what the live region of our own needs. Everything else is a harm.
HARMS = re.compile(
    rb"\x1b\][0-9]+;(?!133)|\x1bP|\x1b_|\x1b\^|\x1bX|\x1bc|\x1b\(0|\x1b\[[0-9;]*[cn]|\x1b\[\?1049h|\x1b\[\?1000h"
    rb"|\x1b\[2J|\x1b\[10A|\x1b\[5;5H|\x07|\x05|\x0e|\xc2\x9b|\xe2\x80\xae|\xe2\x81\xa6"
)


def shell_text(data: bytes) -> str:
    return "printf '" + "".join(f"\\{byte:03o}" for byte in data) + "\\n'"


@pytest.fixture
def hostile(place: Place) -> Place:
    """Stages that print each of it and fail, so that every view quotes them."""
    place.pipeline({name: shell_text(data) + "; exit 1" for name, data in HOSTILE.items()})
    return place


@pytest.mark.parametrize(
    "words",
    [("run", "--output", "interleave"), ("run", "--output", "group"), ("run",), ("run", "--color", "never")],
    ids=" ".join,
)
def test_g10_no_hostile_sequence_reaches_a_terminal_from_a_run(hostile: Place, words: tuple[str, ...]) -> None:
    with Terminal(hostile, *words) as terminal:
        assert terminal.wait() == 1
    assert b"bidi" in terminal.seen
    assert HARMS.findall(terminal.seen) == []


def test_g10_no_hostile_sequence_reaches_a_terminal_from_the_record(hostile: Place) -> None:
    assert hostile.run("run").code == 1
    for words in (("show", "last"), ("timeline", "last"), ("logs", "last"), ("logs", "last", "cursor"), ("runs",)):
        with Terminal(hostile, *words) as terminal:
            assert terminal.wait() == 0, (words, terminal.seen)
        assert terminal.seen
        assert HARMS.findall(terminal.seen) == [], words


def test_g10_the_log_itself_stays_as_it_was_written(hostile: Place) -> None:
    document = hostile.run("run", "--json").json
    for name, data in HOSTILE.items():
        with open(by_stage(document)[name]["attempts"][0]["log"], "rb") as log:
            assert log.read() == data + b"\n", name


def test_g10_a_faked_success_line_changes_no_state(place: Place) -> None:
    lie = '{"v":1,"seq":9,"event":"stage.ended","stage":"lies","outcome":"success"}'
    place.pipeline({"lies": f"echo '✓ lies: success'; echo '{lie}'; echo 'stagebook passed'; exit 3"})
    done = place.run("run", "--json")
    assert (done.code, done.json["outcome"]) == (1, "failure")
    assert by_stage(place.show())["lies"]["outcome"] == "failure"


def test_g10_a_stage_can_write_into_no_descriptor_of_the_engine(place: Place) -> None:
    place.pipeline({"writes": "for fd in 3 4 5 6 7 8 9; do (echo '{\"seq\":1}' >&$fd) || true; done"})
    assert place.run("run").code == 0
    assert place.run("show", "last").code == 0


@pytest.mark.parametrize("name", ["\u202egnp", "\u2066x", "a\u200bb"])
def test_g10_hostile_names_are_refused_or_made_visible(place: Place, name: str) -> None:
    place.pipeline({name: "exit 1"})
    with Terminal(place, "run") as terminal:
        assert terminal.wait() in (1, 2)
    assert HARMS.findall(terminal.seen) == []


@pytest.mark.parametrize("name", ["\x1b[2Jx", "a\nb", "a\tb", "\x07", "a[b]", "a\x7f", "a\u0085b"])
def test_a_name_with_control_characters_or_brackets_is_refused(place: Place, name: str) -> None:
    place.pipeline({name: "true"})
    done = place.run("run")
    assert done.code == 2, done
    assert re.search(r"stagebook\.yaml:\d+:\d+: error: ", done.err)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\x85]", done.err)


def test_r120_without_a_terminal_there_is_no_escape_byte_and_every_line_is_whole(place: Place) -> None:
    chatty = "for i in 1 2 3 4 5 6 7 8 9 10; do printf 'aaaa'; sleep 0.005; printf 'bbbb\\n'; done"
    place.pipeline({"one": chatty, "two": chatty.replace("aaaa", "cccc").replace("bbbb", "dddd")})
    done = place.run("run", "--output", "interleave", "-j", "2")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert done.out.count("aaaabbbb") == done.out.count("ccccdddd") == 10


def test_no_color_is_honoured_on_a_terminal(place: Place) -> None:
    place.pipeline({"a": "exit 1"})
    with Terminal(place, "run", env={"NO_COLOR": "1"}) as terminal:
        terminal.wait()
    assert not re.search(rb"\x1b\[[0-9;]*3[0-9]", terminal.seen)
