"""The run that the end of another one is compared with: the latest of the same stages in the other mode, sequential
against not. Reads heads and tails of a few journals; draws nothing.
"""

from __future__ import annotations

import os

from stagebook.cli import place
from stagebook.record import runs, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

LOOKED_AT = 20  #: so many runs before this one


def against(document: Mapping[str, Any], directory: str) -> dict[str, Any] | None:
    """`run`, `short`, `mode` and `wall_s` of it, and the short ids of `both`, the sequential one first. None where none
    did all that this one did, or where something was up to date in one of them."""
    if document["did"]["up_to_date"]:
        return None
    kept = os.path.dirname(os.path.dirname(directory))
    own = runs.first_line(directory)
    before = [run for run in runs.ids(kept) if run < document["run"]][:LOOKED_AT]
    for run in before:
        head = runs.first_line(state.run_directory(kept, run))
        if head.get("mode") == document["mode"] or any(
            head.get(key) != own.get(key) for key in ("file", "digest", "params")
        ):
            continue
        other = runs.summarise(state.run_directory(kept, run))
        if other is None or other["outcome"] != "success" or other["did"] != document["did"]:
            continue
        if _chosen(state.run_directory(kept, run)) == _chosen(directory):
            short = place.short_ids(kept)
            both = [short(run), short(document["run"])]
            return {
                "run": run, "short": short(run), "mode": other["mode"], "wall_s": other["wall_s"],
                "both": both if other["mode"] == "sequential" else both[::-1],
            }  # fmt: skip
    return None


def _chosen(directory: str) -> list[Any]:
    """Which stages a run was of, and which items."""
    choice = runs.choice(directory)
    return [choice.get(key) or None for key in ("only", "from_", "until", "skip", "dead_of")]
