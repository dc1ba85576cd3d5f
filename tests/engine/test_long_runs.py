"""A run that has gone on for more than an hour sleeps as one does that has just begun."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from stagebook.engine import clock, wakeup
begin, wait = clock.Clock.__init__, wakeup.Wakeup.wait
clock.Clock.__init__ = lambda self, us=0: begin(self, us + 90_000_000_000)
calls = 0
def counted(self, timeout):
    global calls
    calls += 1
    return wait(self, timeout)
wakeup.Wakeup.wait = counted
from stagebook.cli.main import main
code = main(["run", "--quiet"])
sys.stderr.write(f"{code} {calls}")
"""


def test_an_old_run_does_not_spin(tmp_path: Path) -> None:
    (tmp_path / "stagebook.yaml").write_text("stages: {a: sleep 1, b: {run: 'true', needs: a}}\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    code, calls = map(int, done.stderr.split())
    assert code == 0 and calls < 200, f"it woke up {calls} times in a second"
