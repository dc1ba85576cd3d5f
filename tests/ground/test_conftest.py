"""With CI=true a skip is a failure that says why; elsewhere it is a skip."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
CASES = {
    "in a test": "import pytest\ndef test_it():\n    pytest.skip('no database here')\n",
    "by a mark": "import pytest\n@pytest.mark.skipif(True, reason='no database here')\ndef test_it():\n    pass\n",
    "in a fixture": (
        "import pytest\n@pytest.fixture\ndef db():\n    pytest.skip('no database here')\ndef test_it(db):\n    pass\n"
    ),
    "of a module": "import pytest\npytest.skip('no database here', allow_module_level=True)\n",
    "of an import": "import pytest\npytest.importorskip('nosuchmodule', reason='no database here')\n",
}


def outcome(folder: Path, text: str, ci: str) -> tuple[int, str]:
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_case.py").write_text(text)
    environment = {**os.environ, "CI": ci, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(folder)]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize("where", ["in a test", "of a module"])
def test_a_skip_fails_in_ci_with_its_reason(where: str, tmp_path: Path) -> None:
    """Those of a module end the collecting, so they are asked apart from the others."""
    cases = [case for case in CASES if (case in ("of a module", "of an import")) is (where == "of a module")]
    for number, case in enumerate(cases[1:]):
        (tmp_path / f"test_case_{number}.py").write_text(CASES[case])
    code, said = outcome(tmp_path, CASES[cases[0]], "true")
    assert code in (1, 2), said
    for number in range(len(cases)):
        file = f"test_case_{number - 1}.py" if number else "test_case.py"
        assert re.search(rf"{re.escape(file)}.*counts as a failure with CI=true: .*no database here", said), (
            file,
            said,
        )
    assert not re.search(r"passed|\d skipped", said), said


def test_elsewhere_a_skip_is_a_skip(tmp_path: Path) -> None:
    code, said = outcome(tmp_path, CASES["in a test"], "")
    assert code == 0, said
    assert "1 skipped" in said


def test_an_expected_failure_stays_one(tmp_path: Path) -> None:
    code, said = outcome(tmp_path, "import pytest\n@pytest.mark.xfail\ndef test_it():\n    assert False\n", "true")
    assert code == 0, said
    assert "1 xfailed" in said


def test_what_the_machine_forbids_is_listed_and_no_failure(tmp_path: Path) -> None:
    """Neither is it counted as passed."""
    text = "def test_it(unavailable):\n    unavailable('no mount namespace')\n"
    code, said = outcome(tmp_path, text, "true")
    assert code == 0, said
    assert re.search(r"test_case.py::test_it: no mount namespace\n", said), said
    assert "1 skipped" in said and "passed" not in said.partition("not passed")[2], said
