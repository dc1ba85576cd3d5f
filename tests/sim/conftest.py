"""Under mutmut the copies of the machine that test_mutants.py makes cannot be made: its text is not the real one."""

from __future__ import annotations

import os

collect_ignore = ["test_mutants.py"] if "MUTANT_UNDER_TEST" in os.environ else []
