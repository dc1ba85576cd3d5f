"""The examples that work through items, with a few small ones: a video by ffmpeg, a load into Postgres and SQLite."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.door import waiting
from tests.door.place import Command, Place, by_stage, outcomes

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
UNWANTED = shutil.ignore_patterns(".work", ".stagebook", "__pycache__")
FEW = ("--param", "files=4", "--param", "rows=300")


def copied(place: Place, name: str) -> None:
    shutil.copytree(EXAMPLES / name, place.folder, dirs_exist_ok=True, ignore=UNWANTED)


def log(place: Place, stage: str) -> str:
    return place.run("logs", "last", stage).out


def at_work_in(folder: Path) -> set[int]:
    """Processes that are in the folder: a Postgres is in that of its data, and has overwritten its environment."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if path.readlink().is_relative_to(folder):
                found.add(int(path.parent.name))
        except OSError:
            pass
    return found


def database(place: Place, wanted: str) -> tuple[int, str]:
    """The stage of that name, by itself: its exit status and what it says."""
    done = subprocess.run(
        ["python3", "etl.py", "database"], cwd=place.folder, env={**place.env, "PARAM_DATABASE": wanted},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def sold(place: Place) -> tuple[int, int]:
    """Orders in the SQLite warehouse, and what they are worth."""
    with sqlite3.connect(place.folder / ".work" / "warehouse.db") as warehouse:
        found: tuple[int, int] = warehouse.execute("SELECT count(*), sum(cents) FROM orders").fetchone()
    return found


@pytest.mark.parametrize("name", ["video", "etl"])
def test_they_are_sound(place: Place, name: str) -> None:
    files = [str(file) for file in sorted((EXAMPLES / name).glob("*.yaml"))]
    assert len(files) > 1 and place.run("lint", "--strict", *files).code == 0


def test_r013_a_video_is_fetched_transcoded_and_packaged_in_order(place: Place) -> None:
    copied(place, "video")
    done = place.run("run", "--param", "segments=4", "--param", "seconds=1")
    assert done.code == 0, done
    assert by_stage(place.show())["segments"]["items"]["done"] == 4
    [playlist] = (place.folder / ".work").glob("*/index.m3u8")
    assert re.findall(r"^\d.*", playlist.read_text(), re.MULTILINE) == ["001.ts", "002.ts", "003.ts", "004.ts"]
    assert "4 segments, 4 s, 360 lines and sound" in log(place, "check")


def test_r013_a_load_goes_into_both_warehouses_and_a_damaged_file_can_come_later(place: Place) -> None:
    copied(place, "etl")
    left = place.folder / ".work" / "postgres" / "left-by-a-killed-run"
    left.mkdir(parents=True)
    done = place.run("run", *FEW)
    assert done.code == 0, done
    assert "warning: orders: 1 of 4 items kept as dead letters" in done.out
    orders, cents = sold(place)
    assert 3 * 290 < orders < 900
    both = f"'SQLite': '{orders} orders, {cents / 100:.2f}', 'Postgres': '{orders} orders, {cents / 100:.2f}'"
    assert both in log(place, "validate") and both in log(place, "confirm")
    assert not left.parent.exists()

    [dead] = place.run("items", "last", "orders", "--dead", "--json").json["dead"]
    assert "shop-04 was cut off on its way" in Path(dead["log"]).read_text()
    environment = {**place.env, "PARAM_FILES": "4", "PARAM_ROWS": "300"}
    subprocess.run(["python3", "etl.py", "resend"], cwd=place.folder, env=environment, check=True)
    assert place.run("items", "last", "orders", "--retry").code == 0
    assert sold(place)[0] == orders, "what has not been validated is not applied"
    assert place.run("run", "--from", "validate", *FEW).code == 0
    assert orders + 290 < sold(place)[0] < orders + 300


def test_r096_nothing_is_applied_that_is_not_as_it_was_announced(place: Place) -> None:
    copied(place, "etl")
    text = (place.folder / "etl.py").read_text()
    (place.folder / "etl.py").write_text(text.replace(".write_text(str(kept))", ".write_text(str(kept + 1))"))
    assert place.run("run", *FEW, "--param", "database=sqlite").code == 1
    done = outcomes(place.show())
    assert (done["validate"], done["apply"], done["tidy"]) == ("failure", "skip", "success")
    assert "[['shop-01'], ['shop-02'], ['shop-03']] are not as announced" in log(place, "validate")


def test_a_machine_without_postgres_says_so_in_one_line(place: Place) -> None:
    copied(place, "etl")
    text = (place.folder / "warehouse.py").read_text()
    (place.folder / "warehouse.py").write_text(text.replace('"/usr/lib/postgresql"', '"/usr/lib/none"'))
    missing = "no Postgres on this machine (apt-get install postgresql)"
    assert database(place, "both") == (0, f"{missing}; SQLite only\ninto SQLite\n")
    assert database(place, "postgres") == (1, f"{missing}\n")


def test_a_postgres_that_another_run_uses_is_left_alone(place: Place) -> None:
    copied(place, "etl")
    data = place.folder / ".work" / "postgres"
    data.mkdir(parents=True)
    server = subprocess.Popen(["sleep", "60"], cwd=data)
    try:
        (data / "postmaster.pid").write_text(f"{server.pid}\n")
        code, said = database(place, "both")
    finally:
        server.kill()
        server.wait()
    assert code == 1 and f"in use by process {server.pid}" in said and data.exists()


@pytest.fixture
def loading(place: Place) -> tuple[Command, Path]:
    """A run in the middle of its load, which waits for a file `go`, and the folder of its Postgres."""
    copied(place, "etl")
    text, each = (place.folder / "etl.py").read_text(), "    for each in opened:\n        each.do(\n"
    assert each in text
    held_back = f"    import time\n    while not os.path.exists('go'):\n        time.sleep(0.01)\n{each}"
    (place.folder / "etl.py").write_text(text.replace(each, held_back))
    run, data = place.start("run", *FEW), place.folder / ".work" / "postgres"
    pid = data / "postmaster.pid"
    waiting.until(lambda: place.events("items.ready"), "items for the load")
    waiting.until(lambda: pid.exists() and "ready" in pid.read_text(), "a Postgres that is up")
    assert int(pid.read_text().split()[0]) in at_work_in(place.folder)
    return run, data


def test_g01_no_postgres_outlives_a_killed_run_and_the_load_goes_on(
    place: Place, loading: tuple[Command, Path]
) -> None:
    run, data = loading
    run.kill("engine")
    waiting.until(lambda: not at_work_in(place.folder), "the end of every process of the run", 10)
    (place.folder / "go").touch()
    assert place.run("run", "--resume", "last").code == 0
    assert "Postgres" in log(place, "confirm")
    assert not at_work_in(place.folder) and not data.exists()


def test_g11_a_load_that_is_stopped_leaves_no_half_of_it(place: Place, loading: tuple[Command, Path]) -> None:
    run, data = loading
    run.send(signal.SIGINT)
    assert run.wait().code == 130
    assert not at_work_in(place.folder) and not data.exists()
    assert not (place.folder / ".work" / "warehouse.db").exists()


def compare(place: Place, *words: str, within_s: float) -> str:
    """What `compare.py` prints; its runs end with it."""
    path = f"{Path(place.command).parent}:{place.env['PATH']}"
    done = subprocess.Popen(
        [sys.executable, place.folder / "compare.py", *words], cwd=place.folder, env={**place.env, "PATH": path},
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = done.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        os.killpg(done.pid, signal.SIGTERM)
        done.communicate()
        raise
    assert done.returncode == 0, said
    return said


def speeds(said: str) -> list[float]:
    """How many times as fast as the first all other runs were."""
    return [float(word) for word in re.findall(r"wall .* ([\d.]+)× as fast as \w+$", said, re.MULTILINE)]


@pytest.mark.parametrize(
    "name", ["documents", *[pytest.param(name, marks=pytest.mark.nightly) for name in ("deploy", "services")]]
)
def test_an_example_is_compared_both_ways(place: Place, name: str) -> None:
    shutil.copytree(EXAMPLES / name, place.folder / name, ignore=UNWANTED)
    shutil.copy(EXAMPLES / "compare.py", place.folder)
    said = compare(place, name, within_s=60)
    assert f"✓ {name} " in said and " sequential, " in said
    [speed] = speeds(said)
    assert speed > (1 if name != "services" else 1 / 3), said


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["video", "etl"])
def test_an_assembly_line_is_faster_than_stages_and_these_than_one_by_one(place: Place, name: str) -> None:
    shutil.copytree(EXAMPLES / name, place.folder / name, ignore=UNWANTED)
    shutil.copy(EXAMPLES / "compare.py", place.folder)
    said = compare(place, name, within_s=300)
    stages, line = speeds(said)
    assert line > stages > 1, said
