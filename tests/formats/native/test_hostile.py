"""Files that mean harm: refused within two seconds and 300 MB, with the limit named and no traceback (G14)."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.formats.native.reading import refused

from stagebook.formats.native import grammar
from stagebook.formats.native.read import load, parse
from stagebook.model.problem import InputError

SRC = Path(__file__).parents[3] / "src"

FILES = {
    "alias bomb": "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    + "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)),
    "alias bomb of mappings": "a0: &a0 {a: x, b: x, c: x}\n"
    + "\n".join(f"a{i}: &a{i} {{a: *a{i - 1}, b: *a{i - 1}, c: *a{i - 1}}}" for i in range(1, 30)),
    "merge bomb": "a0: &a0 {a: x, b: x, c: x}\n"
    + "\n".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 50)}]}}" for i in range(1, 90)),
    "nested by aliases": "- &a0 [x]\n" + "\n".join(f"- &a{i} [*a{i - 1}]" for i in range(1, 10_000)),
    "10 000 lists deep": "stages: " + "[" * 10_000,
    "10 000 mappings deep": "stages: " + "{a: " * 10_000,
    "10 000 levels of a block": "\n".join(" " * i + "a:" for i in range(4_000)),
    "10 000 dashes": "stages:\n  " + "- " * 10_000,
    "10 000 groups": "stages: " + "[parallel: " * 10_000,
    "10^9 cells": "stages: {t: {run: x, matrix: {"
    + ", ".join(f"a{i}: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]" for i in range(9))
    + "}}}",
    "a list without end": "stages: [" + "a," * 8_000_000,
    "mappings without end": "stages: [" + "{}," * 5_000_000,
    "lists of lists without end": "stages: [" + ("[" + "a," * 1_000 + "],") * 8_000,
    "many needs": "stages: {g: {parallel: ["
    + ",".join(f"{{a{i}: x}}" for i in range(2_000))
    + "]}, h: {parallel: ["
    + ",".join(f"{{b{i}: x}}" for i in range(2_000))
    + "], needs: g}}",
}


@pytest.mark.parametrize("name", FILES)
def test_refused_quickly_in_little_memory(name: str, tmp_path: Path) -> None:
    file = tmp_path / "stagebook.yaml"
    file.write_text(FILES[name])
    script = (
        "import resource, sys\n"
        "from stagebook.formats.native.read import load\n"
        "from stagebook.model.problem import InputError\n"
        "try: load(sys.argv[1], None)\n"
        "except InputError as error: print([each.message for each in error.problems][0])\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(int(peak.split()[1]) // 1024, used.ru_utime + used.ru_stime, sep='\\n')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(file)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SRC)},
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    message, peak_mib, cpu_s = ran.stdout.splitlines()
    assert "limit" in message
    assert int(peak_mib) < 300
    assert float(cpu_s) < 2


def test_a_mistake_in_each_of_many_stages_costs_no_square() -> None:
    text = ",".join(f"a{i:05}: {{run: x, needs: [b{i:05}]}}" for i in range(30_000))
    start = time.process_time()
    said = refused(f"stages: {{{text}}}")
    assert time.process_time() - start < 5
    assert said[0].message == "unknown stage 'b00000' in needs, did you mean 'a00000'?"
    assert said[-1].message == "29800 more errors are not shown"


def test_100_mb_are_refused_before_they_are_read(tmp_path: Path) -> None:
    file = tmp_path / "stagebook.yaml"
    with file.open("wb") as handle:
        handle.truncate(100_000_000)
    with pytest.raises(InputError, match="100000000 bytes, the limit is 16777216"):
        load(str(file), None)
    assert grammar.BYTES_MAX == 16 * 2**20
    assert refused(b"#" * (grammar.BYTES_MAX + 1))[0].code == "limit"


@pytest.mark.parametrize("kind", ["fifo", "directory", "device", "missing", "name", "loop"])
def test_what_is_no_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    file = str(tmp_path / "stagebook.yaml")
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "directory":
        os.mkdir(file)
    elif kind == "device":
        file = "/dev/zero"
    elif kind == "name":
        file = "a\0b"
    elif kind == "loop":
        os.symlink(file, file)
    with pytest.raises(InputError, match="cannot read"):
        load(file, None)


def test_tags_make_nothing(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for tag in ("!!python/object/apply:os.system", "!!python/object/new:os.system", "!!python/name:os.system", "!call"):
        assert refused(f'stages: {{a: {tag} ["touch {canary}"]}}')[0].code == "tag"
    assert not canary.exists()


def test_deep_but_sound_groups_are_taken() -> None:
    text = "{s: x}"
    for _ in range(30):
        text = f"{{parallel: [{text}]}}"
    pipeline, problems = parse(f"stages: [{text}]".encode(), "stagebook.yaml")
    assert problems == ()
    assert pipeline is not None
    assert [each.id for each in pipeline.stages] == ["s"]


def seeds() -> list[bytes]:
    """Files to start from; sound ones several times, as one mutation of a wrong file seldom rights it."""
    here = Path(__file__).parent
    folders = ("ok", "ok", "ok", "ok", "said", "said", "said", "err")
    return [path.read_bytes() for folder in folders for path in sorted((here / folder).glob("*.yaml"))]


_PIECES = [
    b"&a ", b"*a ", b"<<: ", b"- ", b"? ", b": ", b"!!x ", b"[", b"]", b"{", b"}", b"\n", b"\t", b"\r", b'"', b"'",
    b"|\n", b">-\n", b"#", b"---\n", b"...\n", b"%YAML 1.1\n", b"\0", b"\xff", b"\xe2\x80\xa8", b"\xef\xbb\xbf",
    b"needs: ", b"parallel: ", b"matrix: ", b"true", b"-1", b"1e400", b"99999999999999999999", b"${{", b"\\x00", b"~",
    b"{}", b"[]", b"a: &a [*a]",
]  # fmt: skip


def mutated(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A few cuts, copies and foreign pieces."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randint(0, len(data))
        end = min(len(data), at + rng.choice((1, 1, 2, 8, 40)))
        choice = rng.randrange(6)
        if choice == 0:
            data = data[:at] + data[end:]
        elif choice == 1:
            data = data[:at] + rng.choice(_PIECES) + data[at:]
        elif choice == 2:
            data = data[:at] + rng.choice(_PIECES) + data[end:]
        elif choice == 3:
            data = data[:at] + data[at:end] * rng.randint(2, 4) + data[end:]
        elif choice == 4 and other:
            start = rng.randrange(len(other))
            data = data[:at] + other[start : start + 60] + data[at:]
        elif data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    return data


UNSAFE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]")


def judge(seed: int, data: bytes) -> bool:
    pipeline, problems = parse(data, "stagebook.yaml")
    errors = [each for each in problems if each.level == "error"]
    assert (pipeline is None) == bool(errors), (seed, problems)
    for each in problems:
        assert not UNSAFE.search(each.message), (seed, each)
        assert len(each.message) < 1000 or each.code == "cycle", (seed, each)
    return pipeline is not None


@pytest.mark.parametrize("part", range(4))
def test_mutated_files_are_taken_or_refused_never_more(part: int) -> None:
    found = seeds()
    taken = 0
    for seed in range(part * 1000, part * 1000 + 1000):
        rng = random.Random(seed)
        start = time.perf_counter()
        taken += judge(seed, mutated(rng, rng.choice(found), rng.choice(found)))
        assert time.perf_counter() - start < 5, seed
    assert 30 < taken < 900


@pytest.mark.nightly
def test_mutated_files_a_hundred_thousand() -> None:
    found = seeds()
    for seed in range(100_000):
        rng = random.Random(seed)
        judge(seed, mutated(rng, rng.choice(found), rng.choice(found)))
