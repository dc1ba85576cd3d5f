"""How long stages took lately: a small cache beside the journals, from which priorities and expected ends come.

It can be lost or wrong without harm, so nothing here ever fails a run. Statistics over many runs are not kept here.
Another `name` is another cache, which says what its keys and figures are.
"""

from __future__ import annotations

import json
import os

from stagebook.record.state import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Mapping

#: The newest duration weighs this much against what was known before.
WEIGHT = 0.5
NAME = "durations.json"


def load(cache: str, file: str, name: str = NAME) -> dict[str, int]:
    """Known durations of a pipeline file's stages by id, in milliseconds; empty where nothing sound is known."""
    return _known(_all(cache, name), file)


def update(
    cache: str, file: str, durations: Mapping[str, int], name: str = NAME, only: Collection[str] | None = None
) -> None:
    """Mix in what a run has measured (milliseconds by stage id), and forget what is not among `only`. Replaced as a
    whole, so no reader sees half."""
    if not durations or os.path.islink(cache):
        return
    everything = _all(cache, name)
    known = _known(everything, file)
    if only is not None:
        known = {stage: ms for stage, ms in known.items() if stage in only}
    for stage, ms in durations.items():
        known[stage] = round(known[stage] * (1 - WEIGHT) + ms * WEIGHT) if stage in known else ms
    everything[file] = known
    draft = os.path.join(cache, f"{name}.{os.getpid()}.tmp")
    try:
        os.makedirs(cache, 0o700, exist_ok=True)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as out:
            out.write(json.dumps(everything, separators=(",", ":")))
        os.replace(draft, os.path.join(cache, name))
    except OSError:
        try:
            os.unlink(draft)
        except OSError:
            pass


def _all(cache: str, name: str) -> dict[str, object]:
    try:
        with open_regular(os.path.join(cache, name)) as file:
            found = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _known(everything: Mapping[str, object], file: str) -> dict[str, int]:
    known = everything.get(file)
    if not isinstance(known, dict):
        return {}
    return {stage: ms for stage, ms in known.items() if isinstance(ms, int) and not isinstance(ms, bool) and ms >= 0}
