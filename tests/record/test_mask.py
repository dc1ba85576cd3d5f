"""What is secret is found in every form, wherever a stream is cut, and nothing else is touched."""

from __future__ import annotations

import base64
import html
import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.record.line import quote as json_quote
from stagebook.record.mask import _CHUNK, HIDDEN, Mask, _all_forms

LETTERS = "aZ9/+ '\"\\\n&%é=-_$"
values = st.lists(st.text(alphabet=LETTERS, min_size=1, max_size=24), min_size=1, max_size=4)
VALUE = "s3cr&t /'quoted\" é\\$x`y"
LINES = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEAx3\n\n  dGhpcyBpcyBub3Qg  \n-----END KEY-----"

FORMS: dict[str, Callable[[str], bytes]] = {
    "raw": str.encode,
    "base64": lambda value: base64.b64encode(value.encode()),
    "base64 after one": lambda value: base64.b64encode(b"x" + value.encode() + b"yz"),
    "base64 after two": lambda value: base64.b64encode(b"xy" + value.encode() + b"z"),
    "base64 url-safe": lambda value: base64.urlsafe_b64encode(value.encode()),
    "base64 in lines": lambda value: base64.encodebytes(b"some text that comes before it: " + value.encode() * 2),
    "url": lambda value: quote(value, safe="").encode(),
    "url path": lambda value: quote(value).encode(),
    "url plus": lambda value: quote_plus(value).encode(),
    "url lower": lambda value: quote(value, safe="").lower().encode(),
    "json": lambda value: json.dumps(value).encode(),
    "json wide": lambda value: json.dumps(value, ensure_ascii=False).encode(),
    "json of the journal": lambda value: json_quote(value).encode(),
    "json in json": lambda value: json.dumps(json.dumps({"a": value})).encode(),
    "xml": lambda value: html.escape(value).encode(),
    "xml text": lambda value: html.escape(value, quote=False).encode(),
    "shell": lambda value: shlex.quote(value).encode(),
    "python": lambda value: repr(value).encode(),
}


def leaks(masked: bytes, value: str) -> bool:
    """Whether a run of eight characters of the value is still there."""
    raw = value.encode()
    return any(raw[at : at + 8] in masked for at in range(len(raw) - 7))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", ["tok-1234567890abcdef", VALUE, LINES, "pässwörter/überall"], ids=range(4))
def test_no_form_survives(form: str, value: str) -> None:
    if form == "url lower":
        value = value.lower()
    written = FORMS[form](value)
    masked = Mask([value]).data(b"before " + written + b" after")
    assert masked.startswith(b"before ") and masked.endswith(b" after")
    assert HIDDEN.encode() in masked
    rest = masked.replace(HIDDEN.encode(), b"").removeprefix(b"before ").removesuffix(b" after")
    frame = 60 if form == "base64 in lines" else 20 if "in json" in form else 8
    assert len(rest) <= frame, masked


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
@pytest.mark.parametrize("value", ["tok-1234567890abcdef", "it's a $ecret\\", VALUE, LINES], ids=range(4))
def test_a_shell_that_shows_what_it_does_shows_no_secret(shell: str, value: str) -> None:
    if shutil.which(shell) is None:
        shell = "sh"
    script = 'set -x; : "$S"; T="p $S s"; : "$T"' + ('; printf "%q\\n" "$S"' if shell == "bash" else "")
    done = subprocess.run([shell, "-c", script], env={"S": value}, stdout=-1, stderr=subprocess.STDOUT, check=True)
    masked = Mask([value]).data(done.stdout)
    assert not leaks(masked.replace(HIDDEN.encode(), b"\0"), value), masked


@settings(max_examples=300)
@given(values, st.data())
def test_however_a_stream_is_cut_it_is_masked_the_same(secrets: list[str], data: st.DataObject) -> None:
    mask = Mask(secrets)
    forms = [form(value) for value in secrets for form in FORMS.values()]
    parts = data.draw(
        st.lists(st.one_of(st.sampled_from(forms), st.text(alphabet=LETTERS).map(str.encode)), max_size=6)
    )
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    stream = mask.stream()
    pieces = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)])]
    assert b"".join(map(stream.feed, pieces)) + stream.end() == mask.data(whole)


@settings(max_examples=200)
@given(values, st.text(alphabet=LETTERS, max_size=60))
def test_what_is_masked_holds_no_value_and_the_rest_is_as_it_was(secrets: list[str], text: str) -> None:
    mask = Mask(secrets)
    masked = mask.text(text)
    assert all(value not in part for value in secrets for part in masked.split(HIDDEN))
    if not any(value in text for value in secrets) and mask.first(text.encode()) is None:
        assert masked == text


def test_what_overlaps_is_hidden_as_a_whole() -> None:
    assert Mask(["abcdEFGH", "EFGHijkl"]).data(b"<abcdEFGHijkl>") == b"<***>"


def test_a_prompt_without_its_end_is_not_kept_back() -> None:
    stream = Mask(["hunter2"]).stream()
    assert stream.feed(b"Continue? ") == b"Continue? "
    assert stream.feed(b"hunt") == b""
    assert stream.feed(b"ing") == b"hunting"
    assert stream.feed(b"hunter2hunter2") == b"******"
    assert stream.end() == b""


def test_a_short_value_is_looked_for_as_it_is_only() -> None:
    mask = Mask(["ab"])
    assert mask.text("ab YWI= cab") == "*** YWI= c***"


def test_a_json_document_stays_one() -> None:
    mask = Mask(["nabcd", '"},{"', "12345"])
    text = json.dumps({"reason": "\nabcd nabcd", "pid": 12345, "more": ['x"},{"y'], "log": "nabcd.1.log"})
    made = json.loads(mask.json_text(text, ("log",)))
    assert made == {"reason": "\nabcd ***", "pid": 12345, "more": ["x***y"], "log": "nabcd.1.log"}
    untouched = '{"a": "b"}'
    assert mask.json_text(untouched) is untouched


def test_bytes_that_are_no_text_pass_through() -> None:
    mask = Mask([b"\xff\xfe secret \x80".decode("utf-8", "surrogateescape")])
    assert mask.data(b"\x00\xff\xfe secret \x80\x01") == b"\x00***\x01"
    assert mask.text("lone \ud800 surrogate") == "lone \ud800 surrogate"


def test_a_copy_is_masked_and_for_its_owner_only(tmp_path: Path) -> None:
    source, target = tmp_path / "in.xml", tmp_path / "out.xml"
    source.write_bytes(b"a&lt;b of tests " * 40_000 + b"<x>a&lt;bcdefgh</x>")
    target.write_text("old")
    Mask(["a<bcdefgh"]).copy(str(source), str(target))
    assert target.read_bytes() == b"a&lt;b of tests " * 40_000 + b"<x>***</x>"
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.xml", "out.xml"]


@pytest.mark.parametrize("form", [VALUE, LINES, base64.encodebytes(b"x" * 40 + VALUE.encode()).decode()], ids=range(3))
def test_it_is_found_in_a_file_wherever_that_is_cut(tmp_path: Path, form: str) -> None:
    mask, path, whole = Mask([VALUE, LINES]), tmp_path / "file", form.encode()
    for before in range(_CHUNK - len(whole) - 1, _CHUNK + 2):
        path.write_bytes(b"-" * before + whole + b"-")
        assert mask.is_in(str(path))
    path.write_bytes(b"-" * _CHUNK + b"nothing of it")
    assert not mask.is_in(str(path))
    assert not Mask([]).is_in(str(path))


def test_without_values_nothing_is_done() -> None:
    mask = Mask(["", ""])
    assert not mask
    assert mask.text("a") == "a" and mask.data(b"b") == b"b" and mask.stream().feed(b"c") == b"c"


def test_a_thousand_secrets_and_a_long_one_take_linear_time() -> None:
    """No clock is asked: what grows with the square would not end."""
    many = Mask([f"secret-{number:05d}-value" for number in range(1000)])
    assert many.data(b"nothing to see, " * 200_000 + b"secret-00500-value").endswith(b", ***")
    long = "\n".join(f"{number:08d} line of a long secret" for number in range(2000))
    mask = Mask([long])
    stream = mask.stream()
    data = b"x" * 100_000 + base64.encodebytes(b"abc" + long.encode()) + b"y" * 100_000
    out = b"".join(stream.feed(data[at : at + 4096]) for at in range(0, len(data), 4096)) + stream.end()
    assert out.count(b"***") == 1 and len(out) < 200_100


@settings(max_examples=200)
@given(values, st.data())
def test_it_hides_the_union_of_all_occurrences_and_nothing_more(secrets: list[str], data: st.DataObject) -> None:
    """Against the slowest way to do it: each form at each place."""
    exact, wrapped = _all_forms(secrets)
    parts = data.draw(st.lists(st.one_of(st.sampled_from(sorted(exact)), st.text(alphabet=LETTERS).map(str.encode))))
    whole = b"".join(parts)
    hidden = [False] * len(whole)
    starts = set()
    for at in range(len(whole)):
        ends = [at + len(form) for form in exact if whole.startswith(form, at)]
        rest = whole[at:]
        for form in wrapped if rest[:1] not in (b"\r", b"\n") else ():
            end = next((end for end in range(len(form), len(rest) + 1) if len(_joined(rest[:end])) == len(form)), None)
            if end is not None and _joined(rest[:end]) == form:
                ends.append(at + end)
        if ends:
            if not hidden[at]:
                starts.add(at)
            hidden[at : max(ends)] = [True] * (max(ends) - at)
    kept = b"".join(
        (b"***" if at in starts else b"") + (b"" if hidden[at] else whole[at : at + 1]) for at in range(len(whole))
    )
    assert Mask(secrets).data(whole) == kept


def _joined(text: bytes) -> bytes:
    return text.replace(b"\r", b"").replace(b"\n", b"")
