"""Set-up on a fresh machine: a fresh clone, an empty environment, with and without ensurepip. Nightly: it downloads."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HIDE = "for folder in /usr/lib/python3*/ensurepip; do mount -t tmpfs none $folder; done"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tmp_path / "clone")], check=True)
    return tmp_path / "clone"


def works(clone: Path) -> bool:
    done = subprocess.run([clone / ".venv/bin/stagebook", "--version"], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.startswith("stagebook ")


@pytest.mark.nightly
@pytest.mark.parametrize("variables", [{}, {"HOME": "", "PATH": "/usr/bin:/bin"}, {"HOME": "/nonexistent"}], ids=str)
def test_an_empty_environment_is_enough(variables: dict[str, str], clone: Path) -> None:
    subprocess.run(["/usr/bin/make", "-j", "setup"], cwd=clone, env=variables, check=True)
    assert works(clone)


@pytest.mark.nightly
def test_it_works_without_ensurepip(clone: Path) -> None:
    assert os.getuid() == 0, "hiding ensurepip takes root"
    subprocess.run(
        ["/usr/bin/unshare", "-m", "/bin/sh", "-c", f"{HIDE}; PATH=/usr/bin:/bin exec make setup"],
        cwd=clone,
        env={},
        check=True,
    )
    assert works(clone)


def test_what_cannot_be_done_is_said_with_the_line_to_type(tmp_path: Path) -> None:
    """No Python that is new enough on PATH: the one thing that set-up cannot bring along."""
    for name in ("requirements", "tools"):
        (tmp_path / name).symlink_to(ROOT / name)
    bin = tmp_path / "bin"
    bin.mkdir()
    packages = [
        line.split()[1] for line in (ROOT / "requirements/debian.txt").read_text().splitlines() if line[0] != "#"
    ]
    for tool in (*packages, "sh", "dirname", "mkdir", "grep", "id", "cat", "flock", "touch", "rm"):
        (bin / tool).symlink_to(f"/usr/bin/{tool}")
    (tmp_path / "setup.sh").write_text(
        (ROOT / "tools/setup.sh").read_text().replace("/..", "").replace("/usr/bin/python3", "")
    )
    done = subprocess.run(
        ["/bin/sh", str(tmp_path / "setup.sh"), "test"],
        env={"PATH": str(bin)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "setup: Stagebook needs Python 3.11 or newer. Type: sudo apt-get install --yes python3\n"
