"""What stages said of themselves when their engine died is as they said it, secrets too: it is removed here, for its
values may be others by now. What the record has the end of was masked before that. Touches no run that is held.
"""

from __future__ import annotations

import os
from contextlib import suppress

from stagebook.model.plain import from_plain
from stagebook.model.problem import SurroundingsError
from stagebook.record import lock, reader, runs
from stagebook.record.state import journal_path, log_stem, run_directory

RUNS = 20  #: the newest so many are looked at


def clear(state: str, own: str) -> None:
    """Of the newest runs that nobody holds, and of the one that is `own`, the caller's."""
    for run in runs.ids(state)[:RUNS]:
        if run != own:
            with suppress(SurroundingsError):
                _clear(run_directory(state, run), is_held=False)
    _clear(run_directory(state, own), is_held=True)


def _clear(directory: str, is_held: bool) -> None:
    """Raises SurroundingsError."""
    folder = os.path.join(directory, "outputs")
    try:
        names = os.listdir(folder)
    except OSError:
        return
    if not names or os.path.islink(folder):
        return
    if not is_held:
        summary = runs.summarise(directory)
        if summary is None or summary["state"] == "ended" or lock.holder(directory) is not None:
            return
    secret, ended = _told(journal_path(directory))
    for name in names:
        index, _, attempt = name.partition(".")
        if index in secret and (index, attempt) not in ended:
            with suppress(OSError):
                os.unlink(os.path.join(folder, name))
            with suppress(OSError):
                os.unlink(os.path.join(directory, "generated", f"{log_stem(secret[index])}.{attempt}.json"))


def _told(path: str) -> tuple[dict[str, str], set[tuple[str, str]]]:
    """The places of stages that are given secrets, with their ids, and the attempts that were seen to their ends, as
    names of files have them. Of a damaged journal that counts which stands before the damage."""
    secret: dict[str, str] = {}
    ended: set[tuple[str, str]] = set()
    places: dict[str, str] = {}
    try:
        for record in reader.read(path):
            if "plan" in record:
                pipeline = from_plain(record["plan"])
                if record["event"] != "stages.added":
                    places = {}
                first = len(places)
                places.update((stage.id, str(index)) for index, stage in enumerate(pipeline.stages, first))
                secret.update((places[stage.id], stage.id) for stage in pipeline.stages if stage.secrets)
            elif record["event"] in ("stage.started", "stage.exited") and record["stage"] in places:
                attempt = places[record["stage"]], str(record["attempt"])
                if record["event"] == "stage.exited" and record["reason"] != "interrupted":
                    ended.add(attempt)
                else:
                    ended.discard(attempt)
    except (SurroundingsError, KeyError, ValueError, TypeError, IndexError, AttributeError):
        pass  # the plan, too, may be one that this Stagebook cannot read
    return secret, ended
