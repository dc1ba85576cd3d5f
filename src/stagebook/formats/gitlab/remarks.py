"""What is said of a pipeline as a whole: which one of the file's it is, and which jobs are only in others. Changes
nothing.
"""

from __future__ import annotations

from stagebook.formats.gitlab.drafts import Config, Draft
from stagebook.formats.gitlab.reading import Reading
from stagebook.formats.gitlab.templates import flattened
from stagebook.formats.gitlab.variables import Occasion
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import LIST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Sequence

_SHOWN_MAX = 6


def which(
    reading: Reading, jobs: set[str], occasion: Occasion, usual: Sequence[Occasion], others: Mapping[Occasion, set[str]]
) -> None:
    """Say which pipeline this is, if that is not plain. `usual`: none was asked for, so it is the first of these that
    has jobs; empty: one was."""
    if not jobs:
        known = next((each for each, names in others.items() if names), None)
        if known is None and any(each.code == "include" for each in reading.missing):
            said = f"none of the jobs at hand is in a pipeline of {occasion.text}"
            reading.note(None, "no-pipeline", f"{said}; others may be in the files that could not be read")
            return
        hint = f"; there is one for {known.text}" if known is not None else ""
        reading.warn(None, "no-pipeline", f"there is no pipeline for {occasion.text}{hint}")
    elif usual and occasion != usual[0]:
        said = f"this is the pipeline of {occasion.text}"
        if any(each.code == "include" for each in reading.missing):
            said = f"none of the jobs at hand is in a pipeline of {usual[0].text}, so {said}"
        reading.note(None, "occasion", f"{said}; choose another with --event, --ref")


def twice(reading: Reading, config: Config) -> None:
    """Say it, as GitLab's lint does, where a push to a branch with a merge request makes two pipelines: no
    `workflow:rules` forbid one, and rules end with a `when` that always holds."""
    workflow = config.root.get("workflow")
    if workflow is not None and workflow.get("rules") is not None:
        return
    found = []
    for draft in config.jobs.values():
        rules = draft.get("rules")
        last = flattened(rules).value[-1:] if rules is not None and rules.kind == LIST else []
        if last and [name for name, _, _ in last[0].items()] == ["when"]:
            if (last[0].get("when") or rules or draft.key).text != "never":
                found.append(draft)
    if found:
        shown = shorten(found[0].name) if len(found) == 1 else _listed([draft.name for draft in found])
        said = f"{shown}: a push to a branch with a merge request makes two pipelines, for the last rule always holds"
        reading.note(found[0].key, "two-pipelines", said + " and no `workflow:rules` forbid one of them")


def left_out(
    reading: Reading, config: Config, jobs: set[str], occasion: Occasion, others: Mapping[Occasion, set[str]]
) -> list[str]:
    """The names of jobs that are not in it, with a note for all that are in the same other ones."""
    groups: dict[str, list[Draft]] = {}
    for draft in config.jobs.values():
        if draft.name not in jobs:
            where = [each.text for each, names in others.items() if draft.name in names]
            said = f"in one of {', or '.join(where[:2])}" if where else _set_by(draft.unset())
            groups.setdefault(said, []).append(draft)
    for said, drafts in groups.items():
        is_one = len(drafts) == 1
        shown = shorten(drafts[0].name) if is_one else _listed([draft.name for draft in drafts])
        text = f"{shown} {'is' if is_one else 'are'} not in a pipeline of {occasion.text}"
        if said.startswith("in one"):
            text += f"; {'it is' if is_one else 'they are'} {said}"
        elif said:
            text += f", nor of any usual one; nothing here sets {said}"
        else:
            text += ", nor of any usual one"
        reading.note(drafts[0].key, "other-event", text)
    return [draft.name for drafts in groups.values() for draft in drafts]


def _listed(names: list[str]) -> str:
    shown = ", ".join(shorten(name) for name in names[:_SHOWN_MAX])
    return f"{len(names)} jobs ({shown}{', …' if len(names) > _SHOWN_MAX else ''})"


def _set_by(names: list[str]) -> str:
    return f"{', '.join(f'${shorten(name)}' for name in names)} (--var {shorten(names[0])}=…)" if names else ""
