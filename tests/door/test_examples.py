"""Examples about capacities run as they stand, and their pages show them as they are."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from tests.door.place import Place, outcomes

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"thundering-herd": "thundering-herd.md", "single-build-server": "find-out-why-it-waits.md"}


def copied(place: Place, name: str) -> None:
    for path in (ROOT / "examples" / name).iterdir():
        if path.is_file():
            shutil.copy(path, place.folder)


@pytest.mark.parametrize("name", PAGES)
def test_an_example_stands_in_its_page_as_it_is_and_is_sound(place: Place, name: str) -> None:
    page = (ROOT / "docs" / "how-to" / PAGES[name]).read_text()
    copied(place, name)
    for path in place.folder.iterdir():
        assert f"<<'END'\n{path.read_text()}END\n" in page, path.name
        if path.suffix == ".yaml":
            assert place.run("lint", "--strict", path.name).code == 0


def test_r047_a_herd_is_sent_away_less_with_a_stagger(place: Place) -> None:
    copied(place, "thundering-herd")
    path = f"{Path(place.command).parent}:{place.env['PATH']}"
    done = subprocess.run(
        ["python3", "herd.py", "without.yaml", "stagebook.yaml"],
        cwd=place.folder, env={**place.env, "PATH": path}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found = re.findall(r"^(\S+) +12 served, +(\d+) times sent away, ([\d.]+) s$", done.stdout, re.MULTILINE)
    (before, herd, before_s), (after, staggered, after_s) = found
    assert (before, after) == ("without.yaml", "stagebook.yaml")
    assert int(herd) >= 9
    assert int(staggered) * 3 < int(herd)
    assert float(after_s) < float(before_s)


def test_what_keeps_a_single_build_server_from_parallel_work_is_said(place: Place) -> None:
    copied(place, "single-build-server")
    done = place.run("run")
    assert done.code == 0, done
    assert "declared parallel 4, effective 1.0: bound by lock orders-table" in " ".join(done.out.split())
    document = place.show()
    assert set(outcomes(document).values()) == {"success"}
    assert (document["max_parallel"], document["bound_by"]) == (1, "lock:orders-table")
    assert document["waiting_by"]["lock:orders-table"] > 2.5
    needs = document["waiting_for_needs_s"]
    assert 4 * 0.1 <= needs < 3, "four that waited for the checkout"
    [line] = [line for line in done.out.splitlines() if line.startswith("waiting  lock orders-table ")]
    assert "; for needs " in line


@pytest.mark.parametrize("name", ["payments", "microservices"])
def test_r137_an_example_is_sound_and_runs_as_it_stands(place: Place, name: str) -> None:
    copied(place, name)
    assert place.run("lint", "--strict").code == 0
    done = place.run("run")
    assert done.code == 0, done
    assert set(outcomes(place.show()).values()) == {"success"}


def test_r096_payments_are_confirmed_as_they_were_applied(place: Place) -> None:
    copied(place, "payments")
    assert place.run("run").code == 0
    with sqlite3.connect(place.folder / ".work" / "payments.db") as bank:
        states = dict(bank.execute("SELECT state, count(*) FROM payment GROUP BY state"))
    confirmed = (place.folder / ".work" / "confirmations.txt").read_text().splitlines()
    assert set(states) == {"applied", "refused"}
    assert len(confirmed) == states["applied"]


def test_what_examples_tell_to_type_is_there() -> None:
    said = [
        (path, name)
        for path in (ROOT / "examples").rglob("*")
        if path.suffix in (".md", ".yaml", ".py") and ".stagebook" not in path.parts
        for name in re.findall(r"(?:python3|stagebook run) (examples/\S+\.(?:py|yaml))", path.read_text())
    ]
    assert said and [pair for pair in said if not (ROOT / pair[1]).exists()] == []
