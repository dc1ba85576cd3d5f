"""What the journals of runs say of votes, to be held against the audit chain. Reads; judges nothing."""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.record import runs
from stagebook.record.line import BrokenLine, decode
from stagebook.record.state import journal_path, open_regular, run_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Container, Iterator

_VOTES = (b'"event":"gate.vote"', b'"event":"gate.void"')


class Kept(NamedTuple):
    """A vote that a journal holds, or that an approval is void; `audit` is the hash of its entry in the chain."""

    run: str
    gate: str
    by: str
    audit: str


class Journals(NamedTuple):
    """What was found: the votes, the runs whose journals were read, and journals that could not be, with why."""

    votes: list[Kept]
    runs: list[str]
    unread: list[str]


def of_runs(state: str, only: Container[str] | None = None) -> Journals:
    """The votes in the journals of a state directory, oldest run first; `only`: of these runs."""
    votes: list[Kept] = []
    read: list[str] = []
    unread: list[str] = []
    for run in reversed(runs.ids(state)):
        if only is not None and run not in only:
            continue
        path = journal_path(run_directory(state, run))
        try:
            votes += _votes(run, path)
            read.append(run)
        except FileNotFoundError:
            continue  # a directory of a run that never began
        except NotADirectoryError:
            continue
        except (OSError, BrokenLine) as why:
            unread.append(f"{path}: {getattr(why, 'strerror', None) or why}")
    return Journals(votes, read, unread)


def _votes(run: str, path: str) -> Iterator[Kept]:
    """Raises OSError, and BrokenLine for a vote whose line is not as it was written."""
    with open_regular(path) as file:
        for line in file:
            if any(vote in line for vote in _VOTES) and line.endswith(b"\n"):
                record = decode(line)
                if record.get("audit") is not None:
                    yield Kept(run, str(record.get("stage")), str(record.get("by", "–")), str(record["audit"]))
