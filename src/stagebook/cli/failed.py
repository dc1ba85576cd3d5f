"""The stages that did not succeed in an earlier run, for `run --failed-of`."""

from __future__ import annotations

from stagebook.model.problem import InputError, SurroundingsError
from stagebook.record import runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def failed_of(place: str, wanted: str) -> tuple[str, ...]:
    """Their ids. Raises InputError for a run that is not there or in which nothing failed, SurroundingsError for one
    that still goes on."""
    document = runs.document(runs.resolve(place, wanted))
    if document["state"] == "running":
        raise SurroundingsError(f"run {document['run']} still goes on; wait for its end, or stop it: stagebook cancel")
    failed = tuple(stage["stage"] for stage in document["stages"] if not _is_done(stage))
    if not failed:
        raise InputError(f"nothing failed in run {document['run']}")
    return failed


def _is_done(stage: dict[str, Any]) -> bool:
    """Whether what needs the stage may take its work as there: not so if it was cancelled, skipped for another that
    failed, or never begun."""
    if stage["outcome"] == "skip":
        return not (stage["reason"] or "").startswith("needs ")
    return bool(stage["outcome"] == "success")
