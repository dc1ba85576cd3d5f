"""What runs on record tell `plan` of the items that stages work through."""

from __future__ import annotations

import os

from stagebook.cli import place
from stagebook.model.problem import SurroundingsError
from stagebook.record import runs, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.streams import StreamKnown

RUNS = 5  #: so many of the latest that did some
LOOKED_AT = 20  #: of so many at most
BYTES = 64 << 20  #: of journals, after which no more is read


def known(args: Any, pipeline: Pipeline) -> Mapping[str, StreamKnown]:
    """By stage; of a run that waits for a person, what is over counts. One of dead letters tells nothing: those few are
    no measure of what there is to do, nor of what an item takes once workers are at work."""
    if all(stage.each is None for stage in pipeline.stages):
        return {}
    from stagebook.plan import streams

    kept = place.state_directory(args, pipeline.file)
    documents: list[dict[str, Any]] = []
    did = read = 0
    for run in runs.ids(kept)[:LOOKED_AT]:
        directory = state.run_directory(kept, run)
        if runs.first_line(directory).get("file") != pipeline.file:
            continue
        try:
            read += os.stat(state.journal_path(directory)).st_size
            document = runs.document(directory)
        except (SurroundingsError, OSError):
            continue  # it is told of where runs are listed
        if document["state"] == "running" or runs.choice(directory).get("dead_of"):
            continue
        documents.append(document)
        did += any(stage["items"]["done"] for stage in document["stages"] if stage.get("items"))
        if did == RUNS or read > BYTES:
            break
    return streams.known(pipeline, documents)
