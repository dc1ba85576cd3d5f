"""What is said of a pipeline as a whole: which one of the file's it is, and which jobs are only in others. Changes
nothing.
"""

from __future__ import annotations

from stagebook.formats.gitlab import expression
from stagebook.formats.gitlab.drafts import Config, Draft
from stagebook.formats.gitlab.reading import Reading
from stagebook.formats.gitlab.variables import Occasion
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import MAP, SCALAR, Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator, Mapping, Sequence

_SHOWN_MAX = 6


def which(
    reading: Reading, jobs: set[str], occasion: Occasion, usual: Sequence[Occasion], others: Mapping[Occasion, set[str]]
) -> None:
    """Say which pipeline this is, if that is not plain. `usual`: none was asked for, so it is the first of these that
    has jobs; empty: one was."""
    if not jobs:
        known = next((each for each, names in others.items() if names), None)
        hint = f"; there is one for {known.text}" if known is not None else ""
        reading.warn(None, "no-pipeline", f"there is no pipeline for {occasion.text}{hint}")
    elif usual and occasion != usual[0]:
        said = f"this is the pipeline of {occasion.text}; choose another with --event, --ref"
        reading.note(None, "occasion", said)


def left_out(
    reading: Reading, config: Config, jobs: set[str], occasion: Occasion, others: Mapping[Occasion, set[str]],
    values_of: Callable[[Draft], Mapping[str, str]],
) -> list[str]:  # fmt: skip
    """The names of jobs that are not in it, with a note for all that are in the same other ones."""
    groups: dict[str, list[Draft]] = {}
    for draft in config.jobs.values():
        if draft.name not in jobs:
            where = [each.text for each, names in others.items() if draft.name in names]
            said = f"in one of {', or '.join(where[:2])}" if where else _unset(draft, values_of(draft))
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


def _unset(draft: Draft, values: Mapping[str, str]) -> str:
    """`$A, $B (--var A=…)`: the variables that its rules ask for and nobody sets."""
    names: dict[str, None] = {}
    for word in ("rules", "only", "except"):
        node = draft.get(word)
        for text in _texts(node) if node is not None else ():
            for name in sorted(expression.names(text)):
                if name not in values and not name.startswith(("CI_", "GITLAB_")):
                    names[name] = None
    if not names:
        return ""
    shown = ", ".join(f"${shorten(name)}" for name in list(names)[:_SHOWN_MAX])
    return f"{shown} (--var {shorten(next(iter(names)))}=…)"


def _texts(node: Node, depth: int = 0) -> Iterator[str]:
    if node.kind == SCALAR:
        yield str(node.value)
    elif depth < 20:
        for each in (value for _, value in node.entries()) if node.kind == MAP else node:
            yield from _texts(each, depth + 1)
