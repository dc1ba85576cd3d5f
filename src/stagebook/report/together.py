"""Pairs of stages that may disturb each other, as questions to a person. What chance has to do with it: `history`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


def question(pair: Mapping[str, Any]) -> str:
    """`do a and b disturb each other? They overlapped in 9 of 10 failed and 1 of 40 passed runs (p = 0.0001, …)`."""
    one, other = pair["stages"]
    failed, passed = pair["failed"], pair["passed"]
    return (
        f"do {one} and {other} disturb each other? They overlapped in {failed['overlapped']} of {failed['of']} failed "
        f"and {passed['overlapped']} of {passed['of']} passed runs (p = {pair['p_corrected']:.2g}, corrected for the "
        "number of pairs)"
    )
