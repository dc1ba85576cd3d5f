"""Journals for tests: written by the real writer, with plain content, in a place of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from stagebook.record import state
from stagebook.record.clock import new_run_id
from stagebook.record.line import quote
from stagebook.record.writer import Writer

EPOCH_US = 1_770_000_000_000_000


class Scribe:
    """Writes one run; `announced` is the last sequence number that a sync has made safe to speak of."""

    def __init__(self, directory: Path, durability: str = "normal") -> None:
        self.run = new_run_id()
        self.directory = state.make_run(str(directory / ".stagebook"), self.run)
        self.path = state.journal_path(self.directory)
        self.durability = durability
        self.announced = 0
        self.us = 0

    def open(self, **more: Any) -> Writer:
        return Writer(self.path, self.run, EPOCH_US, durability=self.durability, **more)

    def begin(self, writer: Writer) -> None:
        writer.add("run.started", self.us, tail='"pipeline":"p"')
        writer.write()

    def batch(self, writer: Writer, stage: str, lines: int = 2) -> None:
        """One batch of `lines` lines, written."""
        writer.next_batch()
        for _ in range(lines):
            self.us += 1000
            writer.add("stage.started", self.us, quote(stage), 1, '"pid":7,"start":9')
        writer.write()

    def sync(self, writer: Writer) -> None:
        written = writer.seq
        writer.sync(self.us)
        self.announced = max(self.announced, written)


def journal_of(directory: Path, records: int, sync_every: int) -> bytes:
    """A whole journal of exactly that many records, every `sync_every`-th of which tells of a sync."""
    scribe = Scribe(directory)
    writer = scribe.open()
    scribe.begin(writer)
    while writer.seq < records:
        if writer.seq % sync_every == sync_every - 1:
            scribe.sync(writer)
        else:
            scribe.batch(writer, "s", 1)
    writer.write()
    writer.abandon()
    data = Path(scribe.path).read_bytes()
    assert data.count(b"\n") == records
    return data


def length(path: str) -> int:
    return os.stat(path).st_size
