"""G14: hostile files are harmless: refused in under 2 s and 300 MB with the limit named, no traceback, no canary."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Callable

import pytest
from tests.door.memory import Measured, measured
from tests.door.place import SCALE, Place, at_night

MB = 10**6


def lint(place: Place, *words: str) -> Measured:
    return measured([place.command, *(words or ("lint",))], place.folder, place.env, place.base)


def alias_bomb() -> bytes:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    return "\n".join([*levels, "stages: {a: 'touch canary'}"]).encode()


def alias_bomb_in_needs() -> bytes:
    head = "x: &l0 [a, a, a, a, a, a, a, a, a, a]\n"
    return (head + "".join(f"x{i}: &l{i} [" + ", ".join([f"*l{i - 1}"] * 10) + "]\n" for i in range(1, 9))
            + "stages:\n  a: {run: touch canary}\n  b: {run: touch canary, needs: *l8}\n").encode()  # fmt: skip


def merge_bomb() -> bytes:
    lines = ["b0: &b0 {k0: v}"]
    lines += [f"b{i}: &b{i} {{<<: [{', '.join([f'*b{i - 1}'] * 9)}], k{i}: v}}" for i in range(1, 12)]
    return "\n".join([*lines, "stages: {a: 'touch canary'}"]).encode()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "alias-bomb": alias_bomb,
    "alias-bomb-in-needs": alias_bomb_in_needs,
    "merge-bomb": merge_bomb,
    "alias-of-itself": lambda: b"stages: &s\n  a: *s\n",
    "100-mb": lambda: b"stages:\n  a: touch canary\n# " + b"x" * (100 * MB),
    "100-mb-of-stages": lambda: b"stages:\n" + b"".join(b"  s%07d: touch canary\n" % i for i in range(4_200_000)),
    "100-mb-one-scalar": lambda: b"stages:\n  a: " + b"x" * (100 * MB),
    "deep-flow": lambda: b"stages: " + b"[" * 10_000 + b"]" * 10_000,
    "deep-flow-maps": lambda: b"stages: " + b"{a: " * 10_000 + b"}" * 10_000,
    "deep-block": lambda: b"stages:\n" + b"".join(b" " * i + b"a:\n" for i in range(1, 3_000)),
    "deep-groups": lambda: (
        b"stages:\n  - " + b"parallel: [{sequence: [" * 3_000 + b"{a: 'touch canary'}" + b"]}]" * 3_000
    ),
    "object-tag": lambda: b"stages:\n  a: !!python/object/apply:os.system ['touch canary']\n",
    "object-tag-new": lambda: b"stages: !!python/object/new:subprocess.Popen [['touch', 'canary']]\n",
    "unknown-tag": lambda: b"stages:\n  a: !include /etc/passwd\n",
    "nul": lambda: b"stages:\n  a: touch\0canary\n",
    "nul-escaped": lambda: b'stages:\n  a: "touch\\0canary"\n',
    "latin-1": lambda: "stages:\n  ä: touch canary\n".encode("latin-1"),
    "utf-16": lambda: "stages:\n  a: touch canary\n".encode("utf-16"),
    "random": lambda: random.Random(14).randbytes(1 * MB),
    "surrogates": lambda: b'stages:\n  "\\uD800": touch canary\n',
    "huge-matrix": lambda: (
        b"stages:\n  a:\n    run: touch canary\n    matrix:\n"
        + b"".join(b"      x%d: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n" % i for i in range(9))
    ),
    "huge-number": lambda: b"stages:\n  a: {run: touch canary, priority: " + b"9" * 100_000 + b"}\n",
    "huge-duration": lambda: b"stages:\n  a: {run: touch canary, timeout: 99999999999999999d}\n",
    "many-documents": lambda: b"---\nstages: {a: touch canary}\n" * 50_000,
    "directive": lambda: b"%YAML 9.9\n---\nstages: {a: touch canary}\n",
    "list-key": lambda: b"stages:\n  ? [a, b]\n  : touch canary\n",
    "only-tabs": lambda: b"\t" * MB,
    "a-million-errors": lambda: b"stages:\n" + b"".join(b"  s%06d: {rnu: x}\n" % i for i in range(60_000)),
    "empty": lambda: b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_g14_r133_a_hostile_file_is_refused_in_2_s_and_300_mb(place: Place, name: str) -> None:
    (place.folder / "stagebook.yaml").write_bytes(HOSTILE[name]())
    done = lint(place)
    assert done.code == 2, done
    assert done.err.strip()
    assert "Traceback" not in done.err
    assert done.peak_bytes < 300 * MB, done.peak_bytes
    assert done.cpu_s < 2, done.cpu_s
    assert len(done.err) < 1 * MB
    assert not (place.folder / "canary").exists()
    if (place.folder / "stagebook.yaml").stat().st_size < 1 * MB:
        assert place.run("run").code == 2
        assert not (place.folder / "canary").exists()


@pytest.mark.parametrize("name", ["100-mb", "alias-bomb", "deep-flow", "huge-matrix"])
def test_g14_the_limit_is_named(place: Place, name: str) -> None:
    (place.folder / "stagebook.yaml").write_bytes(HOSTILE[name]())
    assert any(character.isdigit() for character in place.run("lint").err.partition("error: ")[2])


@pytest.mark.parametrize("name", ["bom", "crlf", "no-final-newline", "document-marks", "comment-only-lines"])
def test_files_as_other_systems_write_them_are_read(place: Place, name: str) -> None:
    text = "stages:\n  a: touch ran\n"
    made = {
        "bom": b"\xef\xbb\xbf" + text.encode(),
        "crlf": text.replace("\n", "\r\n").encode(),
        "no-final-newline": text.rstrip().encode(),
        "document-marks": b"---\n" + text.encode() + b"...\n",
        "comment-only-lines": b"# first\n\n" + text.encode() + b"\n# last",
    }
    (place.folder / "stagebook.yaml").write_bytes(made[name])
    done = place.run("run")
    assert done.code == 0, done
    assert (place.folder / "ran").exists()


@pytest.mark.parametrize("kind", ["directory", "fifo", "device", "dangling", "unreadable"])
def test_g14_what_is_no_file_is_refused_and_hangs_nothing(place: Place, kind: str) -> None:
    import os

    path = place.folder / "stagebook.yaml"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "dangling":
        path.symlink_to("nowhere.yaml")
    else:
        path.symlink_to("/proc/self/mem")
    done = place.run("lint", "stagebook.yaml", within_s=20)
    assert done.code in (2, 4), done
    assert "stagebook.yaml" in done.err
    assert "Traceback" not in done.err


def test_r133_reading_mapping_and_checking_execute_nothing(place: Place) -> None:
    place.pipeline({"a": "touch canary", "b": {"cmd": ["touch", "canary"], "env": {"X": "$(touch canary)"}}})
    for words in (["lint"], ["map"], ["map", "--json"], ["run", "--dry-run"], ["schema"], ["runs"]):
        assert place.run(*words).code == 0, words
    assert not (place.folder / "canary").exists()


SEED_FILE = b"""\
version: 1
name: release
params: {channel: {default: beta, choices: [beta, stable]}}
env: {PYTHONUNBUFFERED: "1"}
limits: {jobs: 8, cpu: 4, memory: 8GiB}
pools: {db: 4, api: {size: 4}}
policy: strict
timeout: 2h
defaults: {timeout: 30m, retry: {attempts: 2, backoff: 1s}}
stages:
  checkout: touch canary
  unit:
    run: |
      touch canary
    needs: [checkout]
    matrix: {python: ["3.11", "3.13"], exclude: [{python: "3.11"}], max-parallel: 2}
    resources: {cpu: 2, memory: 1GiB, pools: {db: 1}}
    locks: {orders-table: exclusive, fixtures: shared}
    retry: {attempts: 3, backoff: 2s, factor: 2, max: 30s, jitter: 20%, only: [timeout, "exit 75"]}
  checks: {parallel: [{spell: touch canary}, {links: touch canary}]}
  cleanup: {run: touch canary, needs: [unit, checks], always: true}
"""


SPARKS = [b"{", b"]", b"&a ", b"*a", b"!!x ", b"'", b'"', b": ", b"\n- ", b"\0", b"<<: "]


@pytest.mark.parametrize("batch", at_night(4, 2))
def test_g14_seeded_mutations_of_a_file_are_judged_without_a_traceback(place: Place, batch: int) -> None:
    """A sample through the command; a hundred thousand of them go through the reader in its own tests."""
    count = 25 * SCALE
    files: list[Path] = []
    for seed in range(batch * count, (batch + 1) * count):
        chance = random.Random(seed)
        data = bytearray(SEED_FILE)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(data))
            kind = chance.randrange(4)
            if kind == 0:
                data[at] = chance.randrange(256)
            elif kind == 1:
                del data[at : at + chance.randrange(1, 30)]
            elif kind == 2:
                data[at:at] = data[chance.randrange(len(data)) :][: chance.randrange(1, 60)]
            else:
                data[at:at] = chance.choice(
                    [b"{", b"]", b"&a ", b"*a", b"!!x ", b"'", b'"', b": ", b"\n- ", b"\0", b"<<: "]
                )
        path = place.folder / f"{seed}.yaml"
        path.write_bytes(data)
        files.append(path)
    for path in files:
        done = place.run("lint", path.name)
        assert done.code in (0, 1, 2), (path.name, done)
        assert "Traceback" not in done.said, (path.name, done)
    assert not (place.folder / "canary").exists()
