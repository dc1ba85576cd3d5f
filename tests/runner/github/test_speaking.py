"""What steps say to their job: commands in their output, and lines in files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.runner.github.commands import Listener, Masks
from stagebook.runner.github.files import Effects, Files, pairs

WORDS = st.text(st.characters(exclude_characters="\r\n\0"), max_size=12)


class Ear:
    def __init__(self, capture: pytest.CaptureFixture[str], **env: str) -> None:
        self.effects = Effects()
        self.masks = Masks([])
        self.listener = Listener(self.masks, self.effects, env, "| ")
        self._capture = capture

    def hear(self, *lines: str) -> str:
        for line in lines:
            self.listener.hear(line.encode())
        self.listener.heard()
        return self._capture.readouterr().out


def test_commands_of_all_kinds(capfd: pytest.CaptureFixture[str]) -> None:
    ear = Ear(capfd)
    assert ear.hear("::set-output name=a::b%0Ac%25", "  ::save-state name=s::1") == ""
    assert ear.effects.outputs == {"a": "b\nc%"}
    assert ear.effects.state == {"s": "1"}
    said = ear.hear("::error file=a%2Cb.py,line=3,col=1,title=Oh::bad: thing", "::warning::w", "::notice title=t::n")
    assert said == "| error: a,b.py:3:1: Oh: bad: thing\n| warning: w\n| notice: t: n\n"
    assert (
        ear.hear("::group::Part", "x", "::endgroup::", "::debug::hidden", "::add-matcher::m.json") == "| > Part\n| x\n"
    )
    assert (
        ear.hear("std::vector::x", "::unknown::x", "a ::error::x")
        == "| std::vector::x\n| ::unknown::x\n| a ::error::x\n"
    )
    assert ear.hear("::set-output::x") == "| ERROR: set-output: a name is missing\n"
    assert ear.hear("::set-env name=A::b", "::add-path::/x").count("disabled") == 2
    assert ear.listener.failed
    assert ear.effects.env == {}


def test_commands_that_must_be_allowed(capfd: pytest.CaptureFixture[str]) -> None:
    ear = Ear(capfd, ACTIONS_ALLOW_UNSECURE_COMMANDS="true", RUNNER_DEBUG="1")
    assert ear.hear("::set-env name=A::b", "::add-path::/x", "::debug::seen") == "| debug: seen\n"
    assert (ear.effects.env, ear.effects.path) == ({"A": "b"}, ["/x"])
    assert not ear.listener.failed


def test_commands_can_be_stopped(capfd: pytest.CaptureFixture[str]) -> None:
    ear = Ear(capfd)
    said = ear.hear("::stop-commands::t0k_en", "::set-output name=a::1", "::t0k_en::", "::set-output name=b::2")
    assert said == "| ::set-output name=a::1\n"
    assert ear.effects.outputs == {"b": "2"}


def test_masks_hide_each_line_and_the_longest_first(capfd: pytest.CaptureFixture[str]) -> None:
    ear = Ear(capfd)
    ear.hear("::add-mask::abc", "::add-mask::abcdef", "::add-mask::one%0Atwo", "::add-mask::  ")
    assert ear.hear("abcdef abc one, two  .", "::notice::abc") == "| *** *** ***, ***  .\n| notice: ***\n"


@given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True), st.lists(WORDS, max_size=3)))
def test_pairs_come_back_as_they_were_written(values: dict[str, list[str]]) -> None:
    lines = []
    for name, texts in values.items():
        if len(texts) == 1 and "<<" not in name:
            lines.append(f"{name}={texts[0]}")
        else:
            lines += [f"{name}<<end-of-it!!!!!", *texts, "end-of-it!!!!!"]
    assert dict(pairs("\n".join(lines))) == {name: "\n".join(texts) for name, texts in values.items()}


@pytest.mark.parametrize("text", ["nothing", "=x", "<<X\nX", "a<<\n", "a<<X\nb"])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        list(pairs(text))


def test_files_that_a_step_has_broken_are_no_trouble(tmp_path: Path) -> None:
    files = Files(str(tmp_path), "1")
    Path(files.paths["output"]).unlink()
    Path(files.paths["env"]).unlink()
    Path(files.paths["env"]).symlink_to("/etc/passwd")
    Path(files.paths["path"]).write_bytes(b"/a\n\n/b\xff\n")
    effects = Effects()
    files.take(effects)
    assert (effects.outputs, effects.env, effects.path) == ({}, {}, ["/a", "/b\ufffd"])


@given(st.binary(max_size=60), st.booleans())
def test_no_output_of_a_step_can_break_its_job(line: bytes, is_command: bool) -> None:
    effects = Effects()
    listener = Listener(Masks(["secret"]), effects, {"ACTIONS_ALLOW_UNSECURE_COMMANDS": "true"})
    before = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        listener.hear((b"::set-env name=" if is_command else b"::") + line)
        listener.heard()
    finally:
        os.dup2(before, 1)
        os.close(before)
        os.close(nowhere)
    assert all("\0" not in name + value and name for name, value in effects.env.items())


@given(st.text(max_size=60))
def test_any_text_in_a_file_is_pairs_or_refused(text: str) -> None:
    try:
        found = list(pairs(text))
    except ValueError:
        return
    assert all(name for name, _ in found)
