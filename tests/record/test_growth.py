"""Notes of growing logs come back in order; trouble with them disturbs nothing."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from stagebook.record.growth import Growth, Note, read


def test_notes_come_back_as_they_were_made(tmp_path: Path) -> None:
    growth = Growth(str(tmp_path))
    notes = [Note(us, us % 3, 1, us * 10) for us in range(50)]
    for at, note in enumerate(notes):
        growth.add(*note)
        if at % 7 == 0:
            growth.write()
    growth.close()
    assert list(read(str(tmp_path))) == notes
    assert growth.lost == 0


def test_without_notes_there_is_no_file(tmp_path: Path) -> None:
    Growth(str(tmp_path)).close()
    assert list(tmp_path.iterdir()) == []
    assert list(read(str(tmp_path))) == []


def test_a_place_that_is_gone_costs_notes_only(tmp_path: Path) -> None:
    growth = Growth(str(tmp_path / "gone"))
    growth.add(1, 2, 3, 4)
    growth.close()
    assert growth.lost == 1


def test_after_a_write_that_was_cut_short_the_next_notes_are_right(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    growth = Growth(str(tmp_path))
    growth.add(11, 12, 1, 14)
    growth.write()
    resource.setrlimit(resource.RLIMIT_FSIZE, (12, hard))
    try:
        growth.add(2, 3, 1, 5)
        growth.write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    growth.add(21, 22, 1, 24)
    growth.close()
    assert list(read(str(tmp_path))) == [Note(11, 12, 1, 14), Note(21, 22, 1, 24)]
    assert growth.lost == 1


@given(st.binary())
def test_any_bytes_can_be_read(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "growth").write_bytes(data)
        for note in read(directory):
            assert min(note) >= 0
