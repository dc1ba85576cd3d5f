"""What the record costs: nothing to do, hashing, indexing.

    python benchmarks/record.py [--rounds N] [--quick] [--only NAME] [--json FILE] [--dir DIR]

Like `overhead.py` this prints, and passes or fails nothing: exit 0 whenever everything could be measured.
"""

from __future__ import annotations

import sys

import command
import hashing
import indexing
import unchanged

SECTIONS = {
    "null-build": unchanged.null_build,
    "hashing": hashing.hashing,
    "indexing": indexing.indexing,
}

if __name__ == "__main__":
    sys.exit(command.run("what a record that can be trusted costs", SECTIONS))
