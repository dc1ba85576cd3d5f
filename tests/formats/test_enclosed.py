"""Shell text of somebody else's within ours: whatever is open in it, what stands around is run as it was written."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stagebook.formats.native.enclosed import is_whole, subshell

_PIECES = (
    "(",
    ")",
    "'",
    '"',
    "`",
    "<<X",
    "<<'X'",
    "\nX\n",
    "\n",
    " ",
    "echo a",
    "\\",
    "$(",
    "#",
    ";",
    "$'",
    "case a in a)",
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=8).map("".join))
@example("cat <<X\nhi")
@example("echo ) ; ( echo")
@example("echo 'open")
@example("echo \\")
@example("STAGEBOOK_END\ncat <<'STAGEBOOK_END'")
def test_what_follows_is_reached_or_refused(text: str) -> None:
    script = f"{subshell(text)}\necho reached\n"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert "reached" in done.stdout.splitlines() or done.returncode, script


@pytest.mark.parametrize(
    "text",
    [
        "make",
        "echo 'a (b'",
        "cat > f <<E\nit's\nE\necho $(pwd)",
        "cat <<-E | x\n\ta\n\tE",
        'cat <<< "x"',
        "# it's\nmake",
    ],
)
def test_a_usual_text_stays_as_it_is(text: str) -> None:
    assert is_whole(text) and "eval" not in subshell(text)
