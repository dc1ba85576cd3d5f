"""What is executed for a stage: directly where a shell would read the line just as we do, else by a shell."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.engine import command
from stagebook.model.pipeline import Stage


def stage(text: str, kind: str = "run", shell: str = "auto") -> Stage:
    return Stage("s", "s", 1, 1, kind, text, shell=shell)


@pytest.mark.parametrize(
    "text",
    ["/bin/true", "pytest -q", "  make  all\n", "python3 -m http.server --port=8000", "./a.sh a:b x,y 50% me@there +x"],
)
def test_plain_lines_start_directly(text: str) -> None:
    assert command.argv_of(stage(text)) == tuple(text.split())


@pytest.mark.parametrize(
    "text",
    [
        "a && b", "a; b", "a | b", "a > f", "a < f", "a &", "echo hi", "cd x", "exit 3", "A=b c", "a $B", "a `b`",
        "a 'b c'", 'a "b"', "a *", "a ?", "a [b]", "a ~", "a {b,c}", "a # b", "a \\b", "a\nb", "! a", "if", "time a",
        "export A=b", "true", ":", ". f", "[ a ]", "kill 1", "a=b", "täst", "a\0b",
    ],
)  # fmt: skip
def test_shell_syntax_goes_to_a_shell(text: str) -> None:
    assert command.argv_of(stage(text)) == ("/bin/sh", "-e", "-c", text)


def test_shell_always_and_bash_and_argv() -> None:
    assert command.argv_of(stage("/bin/true", shell="always")) == ("/bin/sh", "-e", "-c", "/bin/true")
    assert command.argv_of(stage("a", shell="bash")) == ("bash", "-e", "-o", "pipefail", "-c", "a")
    argv = Stage("s", "s", 1, 1, "cmd", ("printf", "a b", "$X"))
    assert command.argv_of(argv) == ("printf", "a b", "$X")
    assert command.argv_of(stage("m:f", kind="python")) == (sys.executable, "-c", command.RUN_FUNCTION, "m:f")


@given(st.text(st.characters(codec="ascii", exclude_characters="\0\n\r"), min_size=1, max_size=12))
def test_a_word_that_is_taken_as_it_is_means_the_same_to_a_shell(word: str) -> None:
    """Any argument that lets a line start directly comes out of a real shell unchanged."""
    line = f"printprobe {word}"
    if not command.is_direct(line):
        return
    script = f'printprobe() {{ for a in "$@"; do printf "%s\\n" "$a"; done; }}\n{line}'
    said = subprocess.run(["/bin/sh", "-e", "-c", script], capture_output=True, text=True, check=True, cwd="/").stdout
    assert said.splitlines() == line.split()[1:]
