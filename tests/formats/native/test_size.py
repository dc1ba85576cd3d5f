"""Large files that are meant: read, held against the rules and cached, in time and memory that grow with their size."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.formats.native.reading import read

from stagebook.formats.native.read import load_plain

SRC = Path(__file__).parents[3] / "src"


def chain(count: int) -> str:
    return "stages:\n" + "".join(
        f"  s{i}: {{run: /bin/true, needs: [{f's{i - 1}' if i else ''}]}}\n" for i in range(count)
    )


def files(count: int) -> str:
    return "stages:\n" + "".join(
        f"  s{i}: {{run: cc, inputs: ['src/{i}/*.c', out/{i - 1}.o], outputs: [{{path: out/{i}.o, ready: early}}]}}\n"
        for i in range(count)
    )


def layers(width: int, depth: int) -> str:
    groups = ", ".join(f"{{parallel: [{', '.join(f's{d}_{w}: x' for w in range(width))}]}}" for d in range(depth))
    return f"stages: [{groups}]"


@pytest.mark.parametrize(
    ("text", "stages", "edges"),
    [
        (chain(5_000), 5_000, 4_999),
        (files(10_000), 10_000, 9_999),
        ("stages:\n" + "".join(f"  - s{i}: x\n" for i in range(5_000)), 5_000, 4_999),
        ("stages:\n" + "".join(f"  s{i}: x\n" for i in range(10_000)), 10_000, 0),
        (layers(142, 11), 1_562, 201_640),
        ("stages: {s: {run: x, matrix: {a: [" + ", ".join(map(str, range(20_000))) + "]}}}", 20_000, 0),
    ],
    ids=["chain", "files", "list", "wide", "200 000 edges", "20 000 cells"],
)
def test_large_files_are_read_in_time(text: str, stages: int, edges: int) -> None:
    start = time.process_time()
    pipeline = read(text)
    assert time.process_time() - start < 5
    assert len(pipeline.stages) == stages
    assert sum(len(each.needs) for each in pipeline.stages) == edges


def test_twice_the_stages_cost_about_twice() -> None:
    took = []
    for count in (4_000, 16_000):
        text = chain(count)
        best = []
        for _ in range(3):
            start = time.process_time()
            read(text)
            best.append(time.process_time() - start)
        took.append(min(best))
    assert took[1] < 8 * took[0]


@pytest.mark.parametrize(("count", "limit_mib"), [(1_000, 6), (10_000, 40)])
def test_reading_adds_little_memory(tmp_path: Path, count: int, limit_mib: int) -> None:
    file = tmp_path / "stagebook.yaml"
    file.write_text(chain(count))
    script = (
        "import sys, yaml.cyaml\n"
        "from stagebook.formats.native.read import load, parse\n"
        "def peak(): return int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])\n"
        "parse(b'stages: {a: x}', '/a/b')\n"
        "before = peak()\n"
        "load(sys.argv[1], None)\n"
        "print((peak() - before) / 1024)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(file)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(SRC)},
    )
    assert float(ran.stdout) < limit_mib


def test_the_cache_is_much_quicker_than_reading(tmp_path: Path) -> None:
    file = tmp_path / "stagebook.yaml"
    file.write_text(chain(5_000))
    took = []
    for expected in (False, True):
        start = time.process_time()
        assert load_plain(str(file), str(tmp_path / "cache")).cached is expected
        took.append(time.process_time() - start)
    assert took[1] < took[0] / 4
