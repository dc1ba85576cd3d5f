"""examples/ci as it stands: the second run skips what is up to date, and a byte changed in the package is found."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.door.place import Place, outcomes, reasons

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ci"
FRESH = ["origin", "checkout", "lint", "unit", "integration", "end-to-end", "build", "accept"]
ALWAYS = ["deploy", "smoke", "promote", "tidy"]
#: One byte of the wheel becomes another; size and time stay.
FLIP = """import glob, os
path, = glob.glob(".work/checkout/dist/*.whl")
before = os.stat(path)
with open(path, "r+b") as file:
    file.seek(100)
    byte = file.read(1)[0]
    file.seek(100)
    file.write(bytes([byte ^ 1]))
os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
"""


@pytest.fixture
def example(place: Place) -> Place:
    """The example with smaller suites, as their size is the demo's business."""
    shutil.copytree(
        EXAMPLE, place.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".work", ".stagebook", "__pycache__")
    )
    for suite, many, few in (
        ("endtoend/test_shop", "3_200", "50"),
        ("integration/test_store", "24_000", "200"),
        ("unit/test_money", "600_000", "600"),
    ):
        path = place.folder / "project" / "tests" / f"{suite}.py"
        path.write_text(path.read_text().replace(many, few))
    place.env["PATH"] = f"{Path(place.command).parent}:{place.env.get('PATH', os.defpath)}"
    return place


def test_r065_the_second_run_skips_what_is_up_to_date(example: Place) -> None:
    first = example.run("run", "--json", within_s=120)
    assert first.code == 0, first
    assert set(outcomes(first.json).values()) == {"success"}
    second = example.run("run", "--json", within_s=120)
    assert second.code == 0, second
    assert outcomes(second.json) == {**dict.fromkeys(FRESH, "skip"), **dict.fromkeys(ALWAYS, "success")}
    assert {stage: reason for stage, reason in reasons(second.json).items() if reason} == dict.fromkeys(
        FRESH, "up to date"
    )
    path = example.folder / "project" / "tools" / "lint.py"
    path.write_text(path.read_text() + "\n\n# one line more\n")
    assert "changed: project/tools/lint.py" in example.run("why", "origin").out
    third = example.run("run", "--json", within_s=120)
    assert third.code == 0, third
    ran = [stage for stage, outcome in outcomes(third.json).items() if outcome == "success"]
    assert sorted(ran) == sorted(["origin", "checkout", "lint", "build", *ALWAYS]), "the wheel is the same as before"


def test_r066_a_byte_changed_in_the_package_between_stages_fails_the_run(example: Place) -> None:
    (example.folder / "flip.py").write_text(FLIP)
    path = example.folder / "stagebook.yaml"
    text = path.read_text()
    assert "  accept:" in text
    harm = "  harm: {run: python3 flip.py, needs: build}\n  accept:"
    text = text.replace("  accept:", harm, 1).replace("    inputs: [dist, ", "    needs: harm\n    inputs: [dist, ", 1)
    path.write_text(text)
    done = example.run("run", "--json", within_s=120)
    assert done.code == 1, done
    assert outcomes(done.json)["accept"] == "failure"
    assert (reasons(done.json)["accept"] or "").startswith("integrity: .work/checkout/dist/shop-")
    assert "changed after build published it (expected " in (reasons(done.json)["accept"] or "")
    assert outcomes(done.json)["deploy"] == "skip"
