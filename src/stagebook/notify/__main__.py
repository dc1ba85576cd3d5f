"""`python -m stagebook.notify DIRECTORY DESCRIPTOR`: the process beside a run. It yields to stages from its first
import on, as imports are most of what it costs.
"""

from __future__ import annotations

import os
import sys

NICE = 5

if __name__ == "__main__":
    os.nice(NICE)
    from stagebook.notify.follower import main

    sys.exit(main(sys.argv[1], int(sys.argv[2])))
