"""`stagebook reject RUN GATE`: say no at a gate. All but the answer is `approve`."""

from __future__ import annotations

from stagebook.cli.approve import add_arguments, decide

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

EXAMPLE = """\
stagebook reject last ship --comment "wait for Monday"
"""

__all__ = ["EXAMPLE", "add_arguments", "execute"]


def execute(args: argparse.Namespace) -> int:
    """0 once the answer is on record; where the run goes on here, as `run` exits."""
    return decide(args, False)
