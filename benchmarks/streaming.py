"""Items on their way through steps, in one program beside its peers, and through `stagebook run`.

    python benchmarks/streaming.py [--rounds N] [--quick] [--only NAME] [--json FILE] [--dir DIR]

Tools take turns, round by round, and a ratio is taken within a round. Goals marked `≥` are about items a second: more
is better. This prints, and passes or fails nothing: exit 0 whenever everything could be measured.
"""

from __future__ import annotations

import sys

import autoworkers
import command
import inside
import throughrun

SECTIONS = {
    "trivial": inside.trivial,
    "slow": inside.slow,
    "slow-run": throughrun.slow,
    "workers": throughrun.workers,
    "commands": throughrun.commands,
    "million": throughrun.million,
    "auto": autoworkers.auto,
}

if __name__ == "__main__":
    sys.exit(command.run("items through steps, beside its peers", SECTIONS))
