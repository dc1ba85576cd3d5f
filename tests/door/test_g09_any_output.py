"""G9: any output is kept byte for byte up to the limit, and memory stays flat."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from tests.door.memory import measured
from tests.door.place import Place, by_stage, noted

GIGABYTE = 10**9
MB = 10**6

#: Writes 1 GB of a pattern that repeats after 1 000 003 bytes, so that a lost or doubled block would be seen.
LOUD = f"""
import hashlib, os, sys
block = bytes((i * 7919) >> 3 & 0xFF for i in range(1000003))
total, left = hashlib.sha256(), {GIGABYTE}
while left:
    part = block[:left]
    total.update(part)
    view = memoryview(part)
    while view:
        view = view[os.write(1, view):]
    left -= len(part)
with open(os.environ["BASE"] + "/sum", "w") as file:
    file.write(total.hexdigest())
"""


def log_of(place: Place, stage: str) -> Path:
    return Path(by_stage(place.show())[stage]["attempts"][-1]["log"])


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_g09_a_gigabyte_is_kept_byte_for_byte_in_flat_memory(place: Place) -> None:
    place.write(LOUD, "loud.py")
    place.pipeline({"quiet": "true"})
    quiet = measured(
        [place.command, "run"], place.folder, {**place.env, "STAGEBOOK_DIR": str(place.base / "q")}, place.base
    )
    place.pipeline({"loud": "python3 loud.py", "quiet": "true"})
    loud = measured([place.command, "run"], place.folder, place.env, place.base, within_s=120)
    assert (quiet.code, loud.code) == (0, 0), loud
    log = log_of(place, "loud")
    assert log.stat().st_size == GIGABYTE
    assert sha256(log) == (place.base / "sum").read_text()
    log.unlink()
    # The stages count too: python3 with its block is the largest of them, so it is allowed for.
    assert loud.peak_bytes < 150 * MB
    assert loud.peak_bytes - quiet.peak_bytes < 40 * MB


def test_g09_the_engine_itself_does_not_grow_with_the_output(place: Place) -> None:
    """The engine's own peak, looked at while it runs: /proc says it of each process apart."""
    hold = 'while [ ! -e "$BASE/go" ]; do sleep 0.02; done'
    place.pipeline({
        "loud": {"run": noted(f"head -c 300000000 /dev/zero\n{hold}")},
        "limited": {"run": noted(f"head -c 300000000 /dev/zero\n{hold}"), "log-limit": "1MB"},
    })  # fmt: skip
    command = place.start("run", "-j", "1", "--quiet")
    place.wait_for("loud")
    peaks = [peak_of(command.engine)]
    (place.base / "go").touch()
    place.wait_for("limited", "end")
    assert command.wait().code == 0
    assert peaks[0] < 60 * MB
    assert log_of(place, "loud").stat().st_size == 300 * MB
    log_of(place, "loud").unlink()


def peak_of(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


@pytest.mark.parametrize("limit", [None, "100MB"], ids=["into-the-file", "through-a-pipe"])
def test_g09_64_mb_without_a_newline_nul_and_invalid_utf_8_are_kept(place: Place, limit: str | None) -> None:
    every_byte = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 4)"
    more = {"log-limit": limit} if limit else {}
    place.pipeline({
        "wide": {"run": "head -c 64000000 /dev/zero | tr '\\0' x", **more},
        "nul": {"run": "head -c 100000 /dev/zero", **more},
        "bytes": {"cmd": ["python3", "-c", every_byte], **more},
        "both": {"run": "echo out; echo err >&2; echo out again", **more},
        "empty": {"run": "true", **more},
    })  # fmt: skip
    assert place.run("run", "--output", "interleave").code == 0
    assert sha256(log_of(place, "wide")) == hashlib.sha256(b"x" * 64 * MB).hexdigest()
    assert log_of(place, "nul").read_bytes() == bytes(100_000)
    assert log_of(place, "bytes").read_bytes() == bytes(range(256)) * 4
    assert log_of(place, "both").read_bytes() == b"out\nerr\nout again\n"
    assert log_of(place, "empty").read_bytes() == b""


def test_g09_over_the_limit_head_and_tail_are_kept_and_the_gap_is_stated(place: Place) -> None:
    place.pipeline({"loud": {"run": "seq 1 200000", "log-limit": "10kB"}})
    assert place.run("run").code == 0
    log = log_of(place, "loud").read_bytes()
    written = "".join(f"{i}\n" for i in range(1, 200_001)).encode()
    assert len(log) < 10_000 + 200
    head, _, rest = log.partition(b"\n[stagebook: ")
    gap, _, tail = rest.partition(b"\n")
    assert written.startswith(head)
    assert written.endswith(tail)
    assert tail.endswith(b"199999\n200000\n")
    assert int(gap.split()[0]) == len(written) - len(head) - len(tail)


def test_g09_standard_input_of_a_stage_is_empty_even_if_ours_is_an_open_pipe(place: Place) -> None:
    place.pipeline({"reads": noted("cat; wc -c; read -r line || echo end of file")})
    reading, writing = os.pipe()
    try:
        os.write(writing, b"not for the stages\n")
        done = place.run("run", "--json", stdin=reading)
    finally:
        os.close(reading)
        os.close(writing)
    assert done.code == 0
    assert Path(by_stage(done.json)["reads"]["attempts"][0]["log"]).read_text() == "0\nend of file\n"


def test_g09_a_neighbour_is_not_slowed_by_a_loud_stage(place: Place) -> None:
    """With a core for each, loud output costs the neighbour nothing, as nobody reads it."""
    work = "python3 -c 'sum(range(3_000_000))'"
    place.pipeline({"neighbour": work})
    alone = min(by_stage(place.run("run", "--json").json)["neighbour"]["wall_s"] for _ in range(5))
    place.pipeline({"neighbour": {"run": work, "priority": 1}, "loud": "head -c 50000000 /dev/zero"})
    beside = min(by_stage(place.run("run", "--json", "-j", "2").json)["neighbour"]["wall_s"] for _ in range(5))
    assert beside < 2 * alone + 0.1


def test_a_stage_with_closed_output_harms_nothing(place: Place) -> None:
    place.pipeline(
        {"closes": noted("exec >&- 2>&-; sleep 0.1"), "limited": {"run": "exec >&- 2>&-", "log-limit": "1kB"}}
    )
    done = place.run("run", "--json")
    assert done.code == 0
    assert done.json["outcome"] == "success"


def test_each_attempt_has_a_log_of_its_own_with_a_safe_name(place: Place) -> None:
    names = ["a/../../b", "..", ".", "ü ñ", "a b'\"$(touch canary)", "x" * 300, "x" * 299 + "y", "A", "a", "%41"]
    says_and_fails_once = 'echo "$STAGEBOOK_STAGE $STAGEBOOK_ATTEMPT"; [ $STAGEBOOK_ATTEMPT = 2 ]'
    place.pipeline({name: {"run": says_and_fails_once, "retry": {"attempts": 2}} for name in names})
    done = place.run("run", "--json")
    assert done.code == 0, done
    logs = [
        (stage["stage"], number, Path(attempt["log"]))
        for stage in done.json["stages"]
        for number, attempt in enumerate(stage["attempts"], 1)
    ]
    assert len({path for _, _, path in logs}) == 2 * len(names)
    folder = place.runs_folder / done.json["run"] / "logs"
    for name, number, path in logs:
        assert path.parent == folder
        assert len(path.name.encode()) <= 120
        assert path.read_text() == f"{name} {number}\n"
    assert not (place.folder / "canary").exists()
