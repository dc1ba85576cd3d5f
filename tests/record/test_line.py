"""A line holds what was put into it, in the promised order, and notices every change of a bit."""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.record.line import BrokenLine, decode, encode, members, quote, time_us

RUN = "01M86ACQ6N2NG1B6NHNQHWE882"
EPOCH_US = 1_770_000_000_000_000
ANY_TEXT = st.text(st.characters())  # lone surrogates included: a file name may hold them
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)


def line(us: int = 1_204_518, stage: str | None = "unit", attempt: int | None = 1, **more: Any) -> bytes:
    return encode(7, 3, RUN, us, EPOCH_US, "stage.started", None if stage is None else quote(stage), attempt,
                  members(**more))  # fmt: skip


def test_a_line_reads_as_the_door_says() -> None:
    text = line(pid=5).decode()
    body = (
        f'{{"v":1,"seq":7,"batch":3,"run":"{RUN}","t":1.204518,"at":"2026-02-02T02:40:01.204518+00:00",'
        '"event":"stage.started","stage":"unit","attempt":1,"pid":5'
    )
    assert text == f'{body},"crc":"{crc32(body.encode()):08x}"}}\n'


def test_crc_is_the_last_key_and_order_is_fixed() -> None:
    keys = list(json.loads(line(pid=5, start=9)))
    assert keys == ["v", "seq", "batch", "run", "t", "at", "event", "stage", "attempt", "pid", "start", "crc"]


def test_a_line_without_stage_has_no_such_key() -> None:
    assert "stage" not in decode(line(stage=None, attempt=None))
    assert "attempt" not in decode(line(attempt=None))


@given(us=st.integers(0, 10**15), stage=ANY_TEXT, attempt=st.integers(1, 10**6), value=JSON_VALUES)
def test_what_is_written_is_read(us: int, stage: str, attempt: int, value: Any) -> None:
    data = line(us, stage, attempt, value=value)
    assert data.count(b"\n") == 1
    record = decode(data)
    assert (record["stage"], record["attempt"], record["value"]) == (stage, attempt, value)
    assert time_us(record) == us
    assert decode(data[:-1]) == record


@given(ANY_TEXT)
def test_quoted_text_is_printable_utf_8_json(text: str) -> None:
    quoted = quote(text)
    assert json.loads(quoted) == text
    assert quoted.isprintable()
    quoted.encode("utf-8")


def test_readable_text_stays_readable_and_the_rest_is_made_harmless() -> None:
    assert quote("prüfen 日本") == '"prüfen 日本"'
    assert quote("a\u202eb\x9bc\udc80\x1b") == '"a\\u202eb\\u009bc\\udc80\\u001b"'


def test_every_flipped_bit_is_noticed() -> None:
    whole = line(pid=5, text="prüfen")
    for at in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(BrokenLine):
            decode(bytes(changed))


def test_every_cut_is_noticed() -> None:
    whole = line(pid=5)
    for end in range(len(whole) - 1):
        with pytest.raises(BrokenLine):
            decode(whole[:end])


@pytest.mark.parametrize("body", [b"[1", b'{"a":', b"", b"{" * 100_000])
def test_a_right_checksum_does_not_make_a_record(body: bytes) -> None:
    with pytest.raises(BrokenLine):
        decode(b'%b,"crc":"%08x"}\n' % (body, crc32(body)))
