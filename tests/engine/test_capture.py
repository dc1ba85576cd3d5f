"""Output with a limit: head and tail kept byte for byte, the gap stated, memory bounded."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from stagebook.engine.capture import Capture


def captured(folder: Path, data: bytes, limit: int) -> bytes:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    log = folder / "log"
    capture = Capture(reading, str(log), limit)
    view = memoryview(data)
    while view:
        view = view[os.write(writing, view[:50_000]) :]
        assert capture.pump()
    os.close(writing)
    assert not capture.pump()
    capture.close()
    assert not capture.is_incomplete
    return log.read_bytes()


@settings(max_examples=60)
@given(st.binary(max_size=400), st.integers(min_value=2, max_value=300))
def test_short_output_is_kept_and_long_output_loses_only_its_middle(
    tmp_path_factory: object, data: bytes, limit: int
) -> None:
    folder = tmp_path_factory.mktemp("capture")  # type: ignore[attr-defined]
    log = captured(folder, data, limit)
    if len(data) <= limit:
        assert log == data
        return
    gap = len(data) - limit
    note = b"\n[stagebook: %d bytes left out here, log-limit %d]\n" % (gap, limit)
    head, _, tail = log.partition(note)
    assert len(head) + len(tail) == limit
    assert data.startswith(head) and data.endswith(tail)


def test_a_large_output_is_cut_to_its_limit(tmp_path: Path) -> None:
    line = b"0123456789abcdef" * 4
    data = line * 60_000
    log = captured(tmp_path, data, 1 << 16)
    assert len(log) < (1 << 16) + 100
    assert b"bytes left out here" in log


def test_a_log_that_cannot_be_written_is_incomplete_and_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    capture = Capture(reading, str(tmp_path / "no" / "log"), 10)
    os.write(writing, b"text")
    os.close(writing)
    assert not capture.pump()
    capture.close()
    assert capture.is_incomplete
