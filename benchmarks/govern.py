"""What may run and how much at once: whether claims, capacities and rates are kept, and what watching over them costs.

    python benchmarks/govern.py [--rounds N] [--quick] [--only NAME] [--json FILE] [--dir DIR]

`claims` plays invented plans without any process; all else are real ones. This prints, and passes or fails nothing:
exit 0 whenever everything could be measured.
"""

from __future__ import annotations

import sys

import claims
import command
import cost
import crowd
import rates

SECTIONS = {
    "claims": claims.claims,
    "machine": crowd.machine,
    "rates": rates.rates,
    "overhead": cost.overhead,
    "idle": cost.idle,
}

if __name__ == "__main__":
    sys.exit(command.run("whether what governs a run is kept, and what it costs", SECTIONS))
