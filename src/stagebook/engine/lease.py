"""Units of pools and locks that all runs on this machine share: a place in the line, all of a stage's units at once or
none, given back at the latest when the holder dies, however it dies. Which stage asks when is the machine's business.

Who wanted first gets first: whatever a stage of another run wants and has not got is kept from those who came later,
so that no stream of small demands passes a large one by. Within a run the machine chooses, so its own stages do not
stand in each other's way. One ticket counts for all names of a stage, and tickets are ordered: no two wait for each
other. Nothing here waits: who is refused is told why, and looks again. How all of it lies on disk is `lease_files`.
"""

from __future__ import annotations

import os
import signal

from stagebook.engine import keeper, kernel, lease_files
from stagebook.engine.lease_files import (
    DEAD,
    HELD,
    PASSIVE,
    UNITS_MAX,
    WAITING,
    Directory,
    Lease,
    Life,
    Stamp,
    now_ns,
    readable,
    written,
)
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

POLL_US = 200_000  #: how often a driver looks again, while something is refused


class Want(NamedTuple):
    """Units of one name. `size` is how many there are, `rate` (units, interval in ms) how fast they are given out."""

    name: str
    units: int
    size: int
    rate: tuple[int, int] | None = None


class Holder(NamedTuple):
    """Who has units, or stands in the line for them. `state` is `holds`, `waits` or `passive`; `pid` its engine's."""

    name: str
    run: str
    stage: str
    pid: int
    units: int
    size: int
    state: str


class Leases:
    """What the stages of one run want and have. One thread. Raises SurroundingsError where the system gives way.

    Touches nothing before the first `want`.
    """

    def __init__(self, run: str, directory: str | None = None, warnings: list[str] | None = None) -> None:
        """`warnings` gets what people should know, once each."""
        self._run = _written_run(run)
        self._path = directory
        self._warnings = [] if warnings is None else warnings
        self._is_lost = False
        self._open: tuple[Directory, Life] | None = None
        self._places: dict[int, _Place] = {}
        self._names: set[str] = set()
        self._rate_due_ns: int | None = None

    def want(self, stage: int, label: str, wants: Sequence[Want]) -> None:
        """Give a stage its place in the line; it keeps the one that it has. `label` is what others read of it."""
        if stage in self._places:
            return
        files, life = self._opened()
        ticket = now_ns()
        place = _Place(ticket)
        for want in wants:
            units, size = min(want.units, UNITS_MAX), min(want.size, UNITS_MAX)
            lease = Lease(WAITING, ticket, life.name, units, size, self._run, written(label))
            place.asks.append(_Ask(written(want.name), want, lease))
        try:
            for ask in place.asks:
                files.add(ask.name, ask.lease)
                self._names.add(ask.name)
        except BaseException:
            self._remove(place)
            raise
        self._places[stage] = place

    def take(self, stage: int) -> str | None:
        """Take all that a stage wants, without waiting: None if it has it now; else who is in its way, in words."""
        place = self._places[stage]
        if place.state == HELD:
            return None
        files, life = self._opened()
        life.seen()
        self._look_for_loss()
        if place.state == PASSIVE:
            self._turn(place, WAITING)
        refusal: str | None = None
        for _ in range(2):
            if not files.lock():
                return "another run is just looking for the same and takes its time"
            try:
                look = _Look(files, life.name)
                for ask in place.asks:
                    look.at(ask.name)  # all of them, so that all who died are met at once
                refusal = self._in_the_way(place, look)
                if refusal is None:
                    self._hold(place)
            finally:
                files.unlock()
            if not look.bury() or refusal is None:
                break
        return refusal

    def may(self, stage: int) -> bool:
        """Whether `take` would very likely be granted now."""
        place = self._places[stage]
        if place.state == HELD:
            return True
        files, life = self._opened()
        return self._in_the_way(place, _Look(files, life.name, is_hopeful=True)) is None

    def freed(self) -> list[int]:
        """The refused stages that `take` would very likely be granted to now; passive ones aside. One look for all."""
        waiting = [stage for stage, place in self._places.items() if place.state == WAITING]
        if not waiting:
            return []
        files, life = self._opened()
        self._look_for_loss()
        look = _Look(files, life.name, is_hopeful=True)
        self._rate_due_ns = None
        return [stage for stage in waiting if self._in_the_way(self._places[stage], look) is None]

    @property
    def pause_us(self) -> int | None:
        """How long to wait before the next `freed`: shorter where a rate lets something through before. None: nothing
        is refused, so there is nothing to look for."""
        if not any(place.state == WAITING for place in self._places.values()):
            return None
        if self._rate_due_ns is None:
            return POLL_US
        return max(0, min(POLL_US, -(-(self._rate_due_ns - now_ns()) // 1000)))

    def passive(self, stage: int) -> None:
        """It could have had what it wants and cannot use it now: it keeps its place, and others may pass meanwhile."""
        place = self._places.get(stage)
        if place is not None and place.state == WAITING:
            self._turn(place, PASSIVE)

    def began(self, stage: int) -> None:
        """The attempt has a process: what it took of a rate counts from now, not from when it was granted."""
        place = self._places.get(stage)
        if place is None:
            return
        self._look_for_loss()
        if not place.stamps:
            return
        files = self._opened()[0]
        stamps, place.stamps = place.stamps, []
        for name, stamp in stamps:
            later = stamp._replace(at_ns=now_ns())
            files.add(name, later)
            files.remove(name, stamp)

    def give_back(self, stage: int) -> None:
        """The attempt is over, or does not begin. Whoever wants again is last in the line."""
        place = self._places.get(stage)
        if place is not None and place.state == HELD:
            self._look_for_loss()
            self._remove(self._places.pop(stage))

    def forget(self, stage: int) -> None:
        """It is not wanted any more. What is held stays held."""
        place = self._places.get(stage)
        if place is not None and place.state != HELD:
            self._remove(self._places.pop(stage))

    def holders(self, name: str) -> list[Holder]:
        """Who has units of a name, then who waits for them, in the order in which they came."""
        return [holder for holder in everyone(self._path) if holder.name == name]

    def close(self) -> None:
        """Give everything back and leave nothing behind."""
        for place in self._places.values():
            self._remove(place)
        self._places.clear()
        if self._open is not None:
            files, life = self._open
            self._open = None
            for name in self._names:
                files.remove_folder(name)
            life.close()
            files.close()

    # Steps ----------------------------------------------------------------------------------------------------

    def _opened(self) -> tuple[Directory, Life]:
        if self._open is None:
            files = Directory(self._path or lease_files.default_directory())
            life = Life(files)
            keeper.lend(life.fd)
            try:
                _sweep(files, life.name)
            except BaseException:
                life.close()
                raise
            self._open = files, life
        return self._open

    def _look_for_loss(self) -> None:
        """Without its life all that this run has counts as free to others."""
        if self._is_lost or self._open is None:
            return
        files, life = self._open
        path = files.life_path(life.name)
        try:
            self._is_lost = not lease_files.is_at(life.fd, path)
        except OSError:
            return  # not to be told now
        if self._is_lost:
            self._warnings.append(
                f"{path} was deleted while it was in use: until this run ends, other runs do not see what it holds"
            )

    def _in_the_way(self, place: _Place, look: _Look) -> str | None:
        for ask in place.asks:
            leases, stamps = look.at(ask.name)
            said = self._short_of_units(ask, leases) or self._too_fast(ask, leases, stamps)
            if said is not None:
                return said
        return None

    def _short_of_units(self, ask: _Ask, leases: list[Lease]) -> str | None:
        """A stage that wants more than there is, where another run's file says that there is less, takes all of it."""
        smallest = min([lease for lease in leases if lease.state != DEAD], key=_size, default=ask.lease)
        size = min(ask.lease.size, smallest.size)
        units = min(ask.lease.units, size)
        holders = [lease for lease in leases if lease.state in (HELD, DEAD)]
        first = self._first(ask, leases)
        if sum(map(_units, holders)) + sum(map(_units, first)) + units <= size:
            return None
        name = ask.want.name
        if holders:
            holders.sort(key=lambda lease: lease.run == self._run)  # of the others there is nothing on record here
            said = f"{name} held by {_who(holders[0])}"
            if len(holders) > 1:
                said += f" and {len(holders) - 1} more"
            if first:
                said += f", {len(first)} before you"
        else:
            said = f"{name} kept for {_who(first[0])}, who came first"
            if len(first) > 1:
                said += f", {len(first)} before you"
        if size < ask.lease.size:
            said += f"; it has {size} where {_who(smallest)} says so, not {ask.lease.size}"
        if holders and _is_around_us(holders[0]):
            said += "; that stage is what started this run, so neither will ever end"
        return said

    def _too_fast(self, ask: _Ask, leases: list[Lease], stamps: list[Stamp]) -> str | None:
        if ask.want.rate is None:
            return None
        most, interval_ms = ask.want.rate
        now, interval_ns = now_ns(), interval_ms * 1_000_000
        first = sum(map(_units, self._first(ask, leases)))
        room = most - first - min(ask.lease.units, most)
        given = [stamp for stamp in stamps if now - interval_ns < stamp.at_ns <= now]
        over = sum(map(_units, given)) - room
        if over <= 0:
            return None
        due = now + interval_ns
        for stamp in sorted(given):
            over -= stamp.units
            if over <= 0:
                due = stamp.at_ns + interval_ns
                break
        if self._rate_due_ns is None or due < self._rate_due_ns:
            self._rate_due_ns = due
        return f"{ask.want.name} gives out {most} in {interval_ms} ms, the next in {-(-(due - now) // 1_000_000)} ms"

    def _first(self, ask: _Ask, leases: list[Lease]) -> list[Lease]:
        """Those of other runs that came before and still want."""
        return [
            lease
            for lease in leases
            if lease.state == WAITING and lease.ticket < ask.lease.ticket and lease.run != self._run
        ]

    def _hold(self, place: _Place) -> None:
        files = self._opened()[0]
        place.stamps = []
        try:
            self._turn(place, HELD)
            for ask in place.asks:
                if ask.want.rate is not None:
                    stamp = Stamp(now_ns(), files.boot, ask.want.rate[1], ask.lease.units, place.ticket)
                    files.add(ask.name, stamp)
                    place.stamps.append((ask.name, stamp))
        except BaseException:
            self._turn(place, WAITING)
            for name, stamp in place.stamps:
                files.remove(name, stamp)
            raise

    def _turn(self, place: _Place, state: str) -> None:
        files = self._opened()[0]
        for ask in place.asks:
            turned = ask.lease._replace(state=state)
            if turned != ask.lease:
                files.turn(ask.name, ask.lease, turned)
                ask.lease = turned
        place.state = state

    def _remove(self, place: _Place) -> None:
        files = self._opened()[0]
        for ask in place.asks:
            files.remove(ask.name, ask.lease)


def everyone(directory: str | None = None) -> list[Holder]:
    """All who hold or wait for anything on this machine, by name. Makes nothing where there is nothing."""
    path = directory or lease_files.default_directory()
    if not os.path.isdir(path):
        return []
    files = Directory(path)
    return [holder for name in files.names() for holder in _holders(files, name)]


def clear(run: str, directory: str | None = None) -> None:
    """Before a run is gone on with, when nothing of it lives: what its dead engine left is of no interest any more.

    So nobody who meets it later will look for processes of the run, and find those of its new engine.
    """
    path = directory or lease_files.default_directory()
    if not os.path.isdir(path):
        return
    files = Directory(path)
    for name in files.names():
        for lease in files.read(name):
            if isinstance(lease, Lease) and lease.run == _written_run(run) and not files.lives_on(lease.life):
                files.remove(name, lease)


class _Ask:
    """One name that a stage wants: as it is written, as it was said, and the lease as it lies there now."""

    __slots__ = ("name", "want", "lease")

    def __init__(self, name: str, want: Want, lease: Lease) -> None:
        self.name = name
        self.want = want
        self.lease = lease


class _Place:
    """A stage's place in the line, or what it holds."""

    __slots__ = ("ticket", "asks", "stamps", "state")

    def __init__(self, ticket: int) -> None:
        self.ticket = ticket
        self.asks: list[_Ask] = []
        self.stamps: list[tuple[str, Stamp]] = []  #: of rates, until the attempt has begun
        self.state = WAITING


class _Look:
    """What lies there at one moment, read once for each name. What is held by the dead is as good as free to whoever
    `is_hopeful`; else it is held until their processes are seen to be gone."""

    def __init__(self, files: Directory, own_life: str, is_hopeful: bool = False) -> None:
        self._files = files
        self._is_hopeful = is_hopeful
        self._lives: dict[str, bool | None] = {own_life: True}
        self._seen: dict[str, tuple[list[Lease], list[Stamp]]] = {}
        self._dead: list[tuple[str, Lease]] = []
        self._stale: list[tuple[str, Lease | Stamp]] = []

    def at(self, name: str) -> tuple[list[Lease], list[Stamp]]:
        """The leases and stamps of a name that count."""
        if name not in self._seen:
            self._seen[name] = [], []
            for entry in self._files.read(name):
                self._sort(name, entry)
        return self._seen[name]

    def _sort(self, name: str, entry: Lease | Stamp) -> None:
        leases, stamps = self._seen[name]
        if isinstance(entry, Stamp):
            is_old = entry.boot != self._files.boot or entry.at_ns < now_ns() - entry.interval_ms * 1_000_000
            self._stale.append((name, entry)) if is_old else stamps.append(entry)
            return
        if entry.life not in self._lives:
            self._lives[entry.life] = self._files.lives_on(entry.life)
        lives = self._lives[entry.life]
        if lives:
            leases.append(entry)
        elif lives is False and entry.state == HELD:
            self._dead.append((name, entry))
            if not self._is_hopeful:
                leases.append(entry._replace(state=DEAD))
        else:
            self._stale.append((name, entry))

    def bury(self) -> bool:
        """Remove what nobody owns any more; whether something that was held is free now."""
        for name, entry in self._stale:
            self._files.remove(name, entry)
        is_free = False
        for name, lease in self._dead:
            if not _end_left(lease):
                self._files.remove(name, lease)
                is_free = True
        return is_free


def _sweep(files: Directory, own_life: str) -> None:
    """Remove what the dead left behind anywhere, and the lives to which nothing belongs any more."""
    look = _Look(files, own_life)
    for name in files.names():
        look.at(name)
    look.bury()
    left = {entry.life for name in files.names() for entry in files.read(name) if isinstance(entry, Lease)}
    for life in files.lives():
        if life not in left:
            files.remove_life(life)


def _end_left(lease: Lease) -> bool:
    """Whether processes of the stage of a dead engine still live, when its keeper was killed too: they are told to die,
    as nobody else is left to do it, and two holders must never overlap."""
    is_any = False
    try:
        of_run = kernel.marked(b"STAGEBOOK_RUN=" + os.fsencode(readable(lease.run)))
    except OSError:
        return True  # not to be told now
    for pid in of_run:
        for variable in kernel.environment_of(pid).split(b"\0"):
            name, _, value = variable.partition(b"=")
            if name == b"STAGEBOOK_STAGE" and written(value.decode(errors="surrogateescape")) == lease.stage:
                kernel.send(pid, signal.SIGKILL)
                is_any = True
    return is_any


def _holders(files: Directory, name: str) -> list[Holder]:
    leases, _ = _Look(files, "", is_hopeful=True).at(name)
    words = {HELD: "holds", WAITING: "waits", PASSIVE: "passive"}
    return [
        Holder(
            readable(name), readable(lease.run), readable(lease.stage), int(lease.pid), lease.units, lease.size,
            words[lease.state],
        )
        for lease in sorted(leases, key=lambda lease: lease.state != HELD)
    ]  # fmt: skip


def _who(lease: Lease) -> str:
    said = f"{readable(lease.run)} stage {readable(lease.stage)} (pid {lease.pid})"
    return f"{said}, which was killed and whose processes are being ended" if lease.state == DEAD else said


def _is_around_us(lease: Lease) -> bool:
    """Whether this very run was started by that stage."""
    mine = os.environ.get("STAGEBOOK_RUN"), os.environ.get("STAGEBOOK_STAGE", "")
    return mine[0] is not None and (_written_run(mine[0]), written(mine[1])) == (lease.run, lease.stage)


def _written_run(run: str) -> str:
    return written(run).replace(".", "%2E")


def _units(entry: Lease | Stamp) -> int:
    return entry.units


def _size(lease: Lease) -> int:
    return lease.size
