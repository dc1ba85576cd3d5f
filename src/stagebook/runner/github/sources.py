"""What stands for actions/checkout: the files of the user's own folder, as a clone would have them."""

from __future__ import annotations

import os

from stagebook.runner import workspace
from stagebook.runner.github.step import Running
from stagebook.runner.github.work import SKIPPED, SUCCESS, Wrong


def checkout(running: Running, given: dict[str, str]) -> str:
    """Raises Wrong, SurroundingsError."""
    work = running.work
    repository, own = given.get("repository", ""), str(running.found["github"].get("repository") or "")
    if repository and repository.lower() != own.lower():
        if work.here.local.get("uses") == "skip":
            running.say(f"warning: checkout of {repository} is skipped: it is another repository")
            return SKIPPED
        raise Wrong(f"checkout of {repository}: only the repository at hand is here; `--uses skip` leaves it out")
    target = os.path.normpath(os.path.join(work.workspace, given.get("path", "")))
    if target != work.workspace and not target.startswith(work.workspace + os.sep):
        raise Wrong(f"checkout: path {given['path']} leads out of the workspace")
    if given.get("ref"):
        running.say(f"note: ref {given['ref']} is not looked at: the files are those of your folder, as they are now")
    for note in workspace.checkout(work.here, target):
        running.say(f"note: {note}")
    sha = str(running.found["github"].get("sha") or "")
    running.effects.outputs.update({"ref": given.get("ref", ""), "commit": sha})
    return SUCCESS
