"""Who needs whom in a file: names to jobs, unknown ones, cycles, and an order in which jobs can be read. No stages."""

from __future__ import annotations

from stagebook.formats.github.shape import NEAREST_MAX, Walk, nearest
from stagebook.formats.native.nodes import shorten
from stagebook.graph.cycles import find_cycle
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.formats.source.nodes import Node


TOLD_MAX = 8  #: jobs of a circle


class Need(NamedTuple):
    job: str
    line: int


def needs_of(walk: Walk, jobs: dict[str, tuple[Node, Node]]) -> dict[str, tuple[Need, ...]] | None:
    """The needs of each job, by the ids that the file has. Capitals make no difference. None where there is a cycle,
    which is said, as are unknown ones."""
    folded = {name.lower(): name for name in reversed(jobs)}
    found: dict[str, tuple[Need, ...]] = {}
    for name, (_, body) in jobs.items():
        given: dict[str, Need] = {}
        asked = body.get("needs")
        for node in [] if asked is None else [asked] if asked.kind == "scalar" else list(asked):
            text = node.text
            if not text:
                continue
            known = folded.get(text.lower())
            if known is None:
                said = f"job `{shorten(name)}` needs `{shorten(text)}`, which is no job of this file"
                near = nearest(text, jobs) if len(walk.said) < NEAREST_MAX else ""
                walk.problem(node, "unknown-need", said + near)
            elif known in given:
                walk.problem(node, "duplicate-need", f"`{shorten(text)}` is needed twice", "warning")
            else:
                given[known] = Need(known, node.line)
        found[name] = tuple(given.values())
    return None if _cycle(walk, jobs, found) else found


def _cycle(walk: Walk, jobs: dict[str, tuple[Node, Node]], found: dict[str, tuple[Need, ...]]) -> bool:
    places = {name: place for place, name in enumerate(jobs)}
    cycle = find_cycle([[places[need.job] for need in found[name]] for name in jobs])
    if cycle is None:
        return False
    names = list(jobs)
    told = [shorten(names[each]) for each in cycle]
    if len(told) > TOLD_MAX:
        told = [*told[: TOLD_MAX - 1], f"… {len(told) - TOLD_MAX} more …", told[-1]]
    told.append(told[0])
    said = f"jobs wait for each other: {' → '.join(told)}"
    walk.problem(jobs[names[cycle[0]]][0], "cycle", said)
    return True


def sorted_jobs(needs: dict[str, tuple[Need, ...]]) -> list[str]:
    """Every job after those that it needs."""
    made: list[str] = []
    left = {name: {each.job for each in given} for name, given in needs.items()}
    dependents: dict[str, list[str]] = {name: [] for name in needs}
    for name, given in left.items():
        for each in given:
            dependents[each].append(name)
    ready = [name for name, given in left.items() if not given]
    for name in ready:
        made.append(name)
        for each in dependents[name]:
            left[each].discard(name)
            if not left[each]:
                ready.append(each)
    return made
