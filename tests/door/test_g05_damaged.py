"""G5: a damaged journal. After the last `journal.synced` a damaged tail is cut to its last whole record and said;
damage before it is refused with record and offset, exit 4, and the file is left as it was."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple
from zlib import crc32

import pytest
from tests.door.place import SCALE, Document, Place, at_night, noted

SAMPLES = 200 * SCALE
BATCHES = 10


class Journal(NamedTuple):
    """A journal as it was written, in whole lines, newlines included."""

    lines: list[bytes]

    @property
    def data(self) -> bytes:
        return b"".join(self.lines)

    @property
    def offsets(self) -> list[int]:
        at, found = 0, []
        for line in self.lines:
            found.append(at)
            at += len(line)
        return found

    def last_sync(self, without: set[int] = frozenset()) -> int:  # type: ignore[assignment]
        """Index of the last `journal.synced` that is whole; -1 if there is none."""
        synced = [i for i, line in enumerate(self.lines) if i not in without and b'"event":"journal.synced"' in line]
        return synced[-1] if synced else -1


def ended_stages(lines: list[bytes]) -> set[str]:
    records = [json.loads(line) for line in lines]
    return {record["stage"] for record in records if record["event"] == "stage.ended"}


class Scene(NamedTuple):
    place: Place
    path: Path
    ended: Journal  #: of a run that came to its end
    killed: Journal  #: of one that was killed with a long tail

    def show(self, data: bytes) -> Any:
        self.path.write_bytes(data)
        return self.place.run("show", self.path.parent.name, "--json")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, stagebook: str) -> Iterator[Scene]:
    place = Place(tmp_path_factory.mktemp("damage") / "place", stagebook)
    # The first stage takes 150 ms, so that at least one sync lies between records.
    place.pipeline({"s00": noted("sleep 0.15")} | {f"s{i:02}": {"run": "true", "needs": "s00"} for i in range(1, 33)})
    assert place.run("run").code == 0
    path = place.journal_path()
    ended = Journal(path.read_bytes().splitlines(keepends=True))
    assert len(ended.lines) >= 100
    # As if it had been killed: what stands after the first sync is its tail.
    first = next(i for i, line in enumerate(ended.lines) if b"journal.synced" in line)
    assert 0 < first < 60
    killed = Journal(ended.lines[: first + 1] + resealed(ended.lines[first + 1 : 90]))
    yield Scene(place, path, ended, killed)
    path.write_bytes(ended.data)
    place.close()


def resealed(lines: list[bytes]) -> list[bytes]:
    """The lines without their syncs: a tail, as a kill between two syncs leaves it, with right numbers."""
    import zlib

    kept = [line for line in lines if b"journal.synced" not in line]
    if not kept:
        return []
    seq = json.loads(lines[0])["seq"]
    made = []
    for number, line in enumerate(kept, seq):
        old = json.loads(line)["seq"]
        body = line[: line.rindex(b',"crc"')].replace(b'"seq":%d,' % old, b'"seq":%d,' % number, 1)
        made.append(body + b',"crc":"%08x"}\n' % zlib.crc32(body))
    return made


def check(scene: Scene, journal: Journal, damaged: bytes, first_bad: int, sync: int, seed: tuple[int, str]) -> None:
    """`first_bad` is the index of the first line that is not as written, `sync` the last whole sync of what is left."""
    done = scene.show(damaged)
    assert scene.path.read_bytes() == damaged, (seed, "show changed the file")
    if first_bad <= sync:
        assert done.code == 4, (seed, done)
        [error] = done.json["errors"]
        assert str(first_bad + 1) in error["message"], (seed, error)
        assert str(sum(map(len, journal.lines[:first_bad]))) in error["message"], (seed, error)
        return
    if first_bad == 0:
        assert done.code in (2, 4), (seed, done)
        return
    assert done.code == 0, (seed, done)
    document: Document = done.json
    ended = {stage["stage"] for stage in document["stages"] if stage["outcome"] is not None}
    assert ended == ended_stages(journal.lines[:first_bad]), seed
    if damaged != b"".join(journal.lines[:first_bad]):
        assert document["warnings"], (seed, "the cut was not said")
        assert any("journal" in text for text in document["warnings"]), (seed, document["warnings"])


@pytest.mark.parametrize("batch", at_night(BATCHES, 2))
def test_g05_200_seeded_damages_through_the_command(scene: Scene, batch: int) -> None:
    for seed in range(batch, SAMPLES, BATCHES):
        chance = random.Random(seed)
        journal = chance.choice((scene.ended, scene.killed))
        harm = chance.choice((cut, flip, flip, flip_tail, swap, repeat, remove))
        damaged, first_bad, sync = harm(journal, chance)
        check(scene, journal, damaged, first_bad, sync, (seed, harm.__name__))


def cut(journal: Journal, chance: random.Random) -> tuple[bytes, int, int]:
    at = chance.randrange(len(journal.data))
    whole = sum(1 for offset, line in zip(journal.offsets, journal.lines) if offset + len(line) <= at)
    return journal.data[:at], whole, Journal(journal.lines[:whole]).last_sync()


def flip_at(journal: Journal, at: int, bit: int) -> tuple[bytes, int, int]:
    data = bytearray(journal.data)
    data[at] ^= 1 << bit
    index = max(i for i, offset in enumerate(journal.offsets) if offset <= at)
    # A newline that is gone makes one broken line of two.
    bad = {index, index + 1} if journal.data[at] == 10 else {index}
    return bytes(data), index, journal.last_sync(bad)


def flip(journal: Journal, chance: random.Random) -> tuple[bytes, int, int]:
    return flip_at(journal, chance.randrange(len(journal.data)), chance.randrange(8))


def flip_tail(journal: Journal, chance: random.Random) -> tuple[bytes, int, int]:
    start = journal.offsets[max(1, journal.last_sync())]
    return flip_at(journal, chance.randrange(start, len(journal.data)), chance.randrange(8))


def swap(journal: Journal, chance: random.Random) -> tuple[bytes, int, int]:
    first, second = sorted(chance.sample(range(len(journal.lines)), 2))
    lines = list(journal.lines)
    lines[first], lines[second] = lines[second], lines[first]
    return b"".join(lines), first, Journal(lines).last_sync()


def repeat(journal: Journal, chance: random.Random) -> tuple[bytes, int, int]:
    at = chance.randrange(len(journal.lines))
    lines = [*journal.lines[: at + 1], journal.lines[at], *journal.lines[at + 1 :]]
    return b"".join(lines), at + 1, Journal(lines).last_sync()


def remove(journal: Journal, chance: random.Random) -> tuple[bytes, int, int]:
    at = chance.randrange(len(journal.lines) - 1)
    lines = [line for i, line in enumerate(journal.lines) if i != at]
    return b"".join(lines), at, Journal(lines).last_sync()


@pytest.fixture
def killed_run(new_place: Callable[[], Place]) -> Place:
    """A run that was killed in mid-run."""
    place = new_place()
    place.pipeline([{f"s{i}": noted("sleep 0.03")} for i in range(10)])
    command = place.start("run")
    place.wait_for("s6")
    command.kill()
    return place


def test_g05_resume_cuts_a_torn_tail_says_so_and_finishes(killed_run: Place) -> None:
    place = killed_run
    path = place.journal_path()
    with open(path, "ab") as file:
        file.write(b'{"v":1,"seq":999,"batch":99,"run":"')
    done = place.run("run", "--resume", "--json")
    assert done.code == 0, done
    assert any("journal" in text for text in done.json["warnings"]), done.json["warnings"]
    assert place.run("show", "last").code == 0
    assert place.began().count("s0") == 1


def test_g05_resume_refuses_damage_before_the_last_sync_and_leaves_the_file(killed_run: Place) -> None:
    place = killed_run
    path = place.journal_path()
    lines = path.read_bytes().splitlines(keepends=True)
    assert any(b"journal.synced" in line for line in lines[3:])
    lines[2] = lines[2].replace(b'"attempt":1', b'"attempt":3')
    path.write_bytes(b"".join(lines))
    before = (path.read_bytes(), path.stat().st_mtime_ns, place.began())
    done = place.run("run", "--resume", place.run_ids()[-1])
    assert done.code == 4, done
    assert "3" in done.err
    assert str(len(lines[0]) + len(lines[1])) in done.err
    assert "Traceback" not in done.err
    assert (path.read_bytes(), path.stat().st_mtime_ns, place.began()) == before


def test_g05_a_damaged_run_does_not_hide_the_others(killed_run: Place) -> None:
    place = killed_run
    damaged = place.journal_path()
    place.pipeline([{"ok": "true"}])
    assert place.run("run").code == 0
    damaged.write_bytes(b"\0" * 300 + damaged.read_bytes()[300:])
    listed = place.run("runs", "--json")
    assert listed.code == 0
    assert [run["outcome"] for run in listed.json["runs"]] == ["success", None]
    assert place.run("show", "last").code == 0


def test_g05_resume_begins_no_new_run_where_the_latest_is_damaged(place: Place) -> None:
    place.pipeline([{"a": noted()}, {"b": noted('[ "$STAGEBOOK_ATTEMPT" != 1 ] || sleep 968')}])
    command = place.start("run")
    place.wait_for("b")
    command.kill("engine")
    path = place.journal_path()
    data = path.read_bytes()
    path.write_bytes(b"x" + data[1:])
    done = place.run("run", "--resume")
    assert done.code == 4
    assert place.run_ids()[-1] in done.err and str(path) in done.err
    assert path.read_bytes() == b"x" + data[1:]
    assert (place.began(), len(place.run_ids())) == (["a", "b"], 1)
    assert place.run("run", "--only", "a").code == 0
    assert place.run("run", "--resume", "--only", "a").code == 0, "a later run is there"


def forge(path: Path, event: str, key: str, value: Any) -> int:
    """Put a value into the first line of an event, as somebody would who knows how lines are sealed; its number."""
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if f'"event":"{event}"'.encode() in line)
    record = {**json.loads(lines[at]), key: value}
    del record["crc"]
    body = json.dumps(record, separators=(",", ":"))[:-1].encode()
    lines[at] = body + b',"crc":"%08x"}\n' % crc32(body)
    path.write_bytes(b"".join(lines))
    return at + 1


@pytest.mark.parametrize(
    ("event", "key", "value"),
    [
        ("run.started", "at", "9999-12-31T23:59:59+14:00"),
        ("run.ended", "wall_s", [1]),
        ("stage.started", "attempt", 10**23),
        ("stage.started", "log", "../../../../../../etc/passwd"),
    ],
)
def test_g05_a_forged_journal_is_damage_and_hides_no_other(place: Place, event: str, key: str, value: Any) -> None:
    place.pipeline([{"ok": "true"}])
    for _ in range(2):
        assert place.run("run").code == 0
    whole, run = place.run_ids()
    number = forge(place.journal_path(run), event, key, value)
    for words in (("show", run), ("timeline", run), ("diff", whole, run), ("logs", run)):
        done = place.run(*words)
        assert done.code == 4, done
        assert str(place.journal_path(run)) in done.err
        assert f"record {number} " in done.err or number == 1
    assert place.run("history", "rebuild").code in (0, 1, 4)
    for words in (("runs", "--json"), ("stats", "ok"), ("flaky",), ("history", "export"), ("runs", "--stage", "ok")):
        done = place.run(*words)
        assert done.code == 0, done
    assert whole in place.run("runs", "--stage", "ok", "--json").out
