"""Changes of a CI system's file, as values: what a job shall wait for, how long it may take, how wide it may be. How
they are written is the format's; why they are asked for is said elsewhere.

`job` is the key of a job in the file, so it means all cells of a matrix.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable


class Needs(NamedTuple):
    """Needs of a job that come and go, the rest of them stays."""

    job: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = [f"{self.job} needs {need}" for need in self.add]
        return ", ".join(said + [f"{self.job} no longer needs {need}" for need in self.remove])


class NeedsOnly(NamedTuple):
    """GitLab: a job waits for these jobs instead of all earlier stages."""

    job: str
    needs: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.job} needs {', '.join(self.needs) or 'nothing'} instead of all earlier stages"


class Timeout(NamedTuple):
    job: str
    minutes: int

    def __str__(self) -> str:
        return f"{self.job} may take {self.minutes} min"


class FailFast(NamedTuple):
    job: str
    on: bool

    def __str__(self) -> str:
        return f"a failed cell of {self.job} {'ends' if self.on else 'no longer ends'} the others"


class MaxParallel(NamedTuple):
    job: str
    most: int

    def __str__(self) -> str:
        return f"at most {self.most} cells of {self.job} at once"


class Lock(NamedTuple):
    """A concurrency group or resource group, across all runs of the project."""

    job: str
    group: str

    def __str__(self) -> str:
        return f"{self.job} runs alone in {self.group}"


class Interruptible(NamedTuple):
    job: str
    on: bool

    def __str__(self) -> str:
        return f"{self.job} is {'ended' if self.on else 'not ended'} for a newer pipeline"


class Split(NamedTuple):
    """A suite in so many parts, by an option of its test program."""

    job: str
    parts: int

    def __str__(self) -> str:
        return f"{self.job} in {self.parts} parts"


Change = Needs | NeedsOnly | Timeout | FailFast | MaxParallel | Lock | Interruptible | Split

#: The word for each kind, as options and reports have it.
KINDS: dict[type, str] = {
    Needs: "needs", NeedsOnly: "order", Timeout: "timeout", FailFast: "fail-fast", MaxParallel: "max-parallel",
    Lock: "concurrency", Interruptible: "interruptible", Split: "split",
}  # fmt: skip


def joined(changes: Iterable[Change]) -> list[Change]:
    """The same with one change of needs for each job."""
    found: list[Change] = []
    seen: set[tuple[type, Change]] = set()  # changes of two kinds may be equal as tuples
    needs: dict[str, tuple[list[str], list[str]]] = {}
    for change in changes:
        if isinstance(change, Needs):
            more, less = needs.setdefault(change.job, ([], []))
            more += [each for each in change.add if each not in more]
            less += [each for each in change.remove if each not in less]
        elif (type(change), change) not in seen:
            seen.add((type(change), change))
            found.append(change)
    return [*[Needs(job, tuple(more), tuple(less)) for job, (more, less) in needs.items()], *found]
