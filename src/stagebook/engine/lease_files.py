"""How leases lie on this machine: a directory of empty files, whose names say everything. Decides nothing.

DIRECTORY/lock                 locked for the moment in which somebody looks and takes
DIRECTORY/life.T.PID           locked for as long as an engine or its keeper lives
DIRECTORY/NAME/w.TICKET.T.PID.UNITS.SIZE.RUN.STAGE   the stage waits (`w`), lets others pass (`p`) or holds (`h`)
DIRECTORY/NAME/s.T.BOOT.MS.UNITS.TICKET              units given out at T from a NAME that has a rate

A lease is worth as much as the lock on the life that it names: kernel locks end with whoever has them, files do not.
That process ids and times stand in names is for people, and for order; nothing is believed for them alone. Times are
nanoseconds since boot, suspension included, so no wall clock can step between them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

from stagebook.model.problem import SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record.clock import boot_id
from stagebook.record.state import log_stem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

WAITING, PASSIVE, HELD = "w", "p", "h"
DEAD = "d"  #: of a lease that is held, by nobody who lives; never in the name of a file
STAMP = "s"
BUSY_S = 0.05  #: a look takes a tenth of a millisecond; whoever is stopped in the middle of one stops nobody for longer
UNITS_MAX = 10**15  #: more would not fit into a name


class Lease(NamedTuple):
    """What one stage wants or has of one name. `run` and `stage` are as `written` gives them, a run without dots."""

    state: str
    ticket: int  #: when it was wanted; the same for all names of a stage
    life: str
    units: int
    size: int  #: how many units there are, as its pipeline says
    run: str
    stage: str

    @property
    def file(self) -> str:
        return f"{self.state}.{self.ticket:x}.{self.life}.{self.units}.{self.size}.{self.run}.{self.stage}"

    @property
    def pid(self) -> str:
        return self.life.partition(".")[2]


class Stamp(NamedTuple):
    """Units that were given out at a time, from a name that has a rate; of no interest after `interval_ms`."""

    at_ns: int
    boot: str
    interval_ms: int
    units: int
    ticket: int

    @property
    def file(self) -> str:
        return f"{STAMP}.{self.at_ns:x}.{self.boot}.{self.interval_ms}.{self.units}.{self.ticket:x}"


def now_ns() -> int:
    """Since boot, suspension included; also where the wall clock steps."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def written(text: str) -> str:
    """Any text as part of a file's name: percent-encoded, cut, different for different texts."""
    return log_stem(text)


def readable(text: str) -> str:
    """The inverse of `written`, for people; what was cut ends in `…`."""
    whole, cut, _ = text.partition("%%")
    first, *coded = whole.split("%")
    try:
        raw = first.encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in coded)
    except ValueError:
        return text
    return raw.decode(errors="replace") + ("…" if cut else "")


def parse(file: str) -> Lease | Stamp | None:
    """What the name of a file says; None where it is none of ours."""
    state, *rest = file.split(".", 7)
    try:
        if state in (WAITING, PASSIVE, HELD) and len(rest) == 7:
            ticket, since, pid, units, size, run, stage = rest
            return Lease(state, int(ticket, 16), f"{since}.{pid}", int(units), int(size), run, stage)
        if state == STAMP and len(rest) == 5:
            at, boot, interval, units, ticket = rest
            return Stamp(int(at, 16), boot, int(interval), int(units), int(ticket, 16))
    except ValueError:
        pass
    return None


def default_directory() -> str:
    """`$XDG_RUNTIME_DIR/stagebook` where that is a directory of this user's, else one under the temporary directory."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    try:
        if runtime.startswith("/") and os.stat(runtime).st_uid == os.geteuid():
            return os.path.join(runtime, "stagebook")
    except OSError:
        pass
    temporary = os.environ.get("TMPDIR", "")
    if not (temporary.startswith("/") and os.path.isdir(temporary)):
        temporary = "/tmp"
    return os.path.join(temporary, f"stagebook-{os.geteuid()}")


class Directory:
    """The directory of all leases of a user. Every method raises SurroundingsError where the system gives way."""

    def __init__(self, path: str) -> None:
        """Makes it if it is not there. Refuses one that somebody else could write to."""
        self.path = path
        self.boot = (boot_id() or "unknown")[:8]
        self._lock = -1
        try:
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                pass
            found = os.lstat(path)
        except OSError as error:
            fail("cannot write", path, error)
        if not stat.S_ISDIR(found.st_mode):
            what = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "no directory"
            raise SurroundingsError(f"{path} is {what}: leases need a directory of your own there; remove it")
        if found.st_uid != os.geteuid():
            raise SurroundingsError(
                f"{path} belongs to user {found.st_uid}: leases need a directory of your own; "
                "set XDG_RUNTIME_DIR to one"
            )
        if found.st_mode & 0o022:
            raise SurroundingsError(f"{path} can be written to by others; chmod 700 it")

    def lock(self) -> bool:
        """Be the only one who looks and takes; False where somebody else is for too long."""
        path = os.path.join(self.path, "lock")
        deadline = time.monotonic() + BUSY_S
        try:
            while True:
                if self._lock < 0:
                    self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                if is_locked(self._lock, path, fcntl.LOCK_EX):
                    if is_at(self._lock, path):
                        return True
                    os.close(self._lock)  # the file was tidied away, and others have a new one
                    self._lock = -1
                elif time.monotonic() > deadline:
                    return False
                else:
                    time.sleep(0.0005)
        except OSError as error:
            fail("cannot lock", path, error)

    def unlock(self) -> None:
        if self._lock >= 0:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def read(self, name: str) -> list[Lease | Stamp]:
        """All that is written under a name (as `written` gives it), dead or alive, oldest ticket first."""
        path = os.path.join(self.path, name)
        try:
            files = os.listdir(path)
        except FileNotFoundError:
            return []
        except OSError as error:
            fail("cannot read", path, error)
        return sorted([found for found in map(parse, files) if found is not None], key=_by_ticket)

    def names(self) -> list[str]:
        """Every name under which something is or was written; a file that lies there is none."""
        return self._entries(is_life=False)

    def lives(self) -> list[str]:
        """Every life that there is or was, without its `life.`."""
        return [entry.removeprefix("life.") for entry in self._entries(is_life=True)]

    def _entries(self, is_life: bool) -> list[str]:
        try:
            entries = sorted(os.listdir(self.path))
        except OSError as error:
            fail("cannot read", self.path, error)
        entries = [entry for entry in entries if entry != "lock" and entry.startswith("life.") == is_life]
        return [entry for entry in entries if os.path.isdir(os.path.join(self.path, entry)) != is_life]

    def add(self, name: str, entry: Lease | Stamp) -> None:
        path = os.path.join(self.path, name, entry.file)
        try:
            for _ in range(8):
                try:
                    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
                    return
                except FileNotFoundError:  # nobody wants of this name any more, and the last one took the folder along
                    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        except OSError as error:
            fail("cannot write", path, error)
        raise SurroundingsError(f"cannot write {path}: its folder does not stay")

    def turn(self, name: str, old: Lease, new: Lease) -> None:
        """One lease in another's place, at once."""
        folder = os.path.join(self.path, name)
        try:
            os.rename(os.path.join(folder, old.file), os.path.join(folder, new.file))
        except FileNotFoundError:
            self.add(name, new)  # some tidying took it for old
        except OSError as error:
            fail("cannot write", os.path.join(folder, new.file), error)

    def remove(self, name: str, entry: Lease | Stamp) -> None:
        """Where it cannot be removed it stays, and is worth nothing once its life has ended."""
        try:
            os.unlink(os.path.join(self.path, name, entry.file))
        except OSError:
            pass

    def remove_folder(self, name: str) -> None:
        """Of a name of which nobody wants anything any more; else it stays."""
        try:
            os.rmdir(os.path.join(self.path, name))
        except OSError:
            pass

    def lives_on(self, life: str) -> bool | None:
        """Whether an engine or its keeper lives; None where there is no such file."""
        path = self.life_path(life)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            fail("cannot read", path, error)
        try:
            return not is_locked(fd, path, fcntl.LOCK_SH)
        finally:
            os.close(fd)

    def life_path(self, life: str) -> str:
        return os.path.join(self.path, f"life.{life}")

    def remove_life(self, life: str) -> None:
        """Where nobody lives. Locked meanwhile: who is just about to lock it for itself finds that it is gone."""
        path = self.life_path(life)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            if is_locked(fd, path, fcntl.LOCK_EX):
                os.unlink(path)
        except OSError:
            pass
        finally:
            os.close(fd)

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class Life:
    """A lock that is held for as long as this process, or whoever it lends `fd` to, lives. Never in a stage's hands:
    the descriptor is closed on exec."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        try:
            while True:
                self.name = f"{now_ns():x}.{os.getpid()}"
                path = directory.life_path(self.name)
                self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                # Somebody who looks is in the way for an instant; who sweeps may have taken it for a dead one.
                while not is_locked(self.fd, path, fcntl.LOCK_EX):
                    time.sleep(0.0002)
                if is_at(self.fd, path):
                    return
                os.close(self.fd)
        except OSError as error:
            fail("cannot write", directory.path, error)

    def seen(self) -> None:
        """So that no tidying of temporary directories takes the file for old."""
        try:
            os.utime(self.fd)
        except OSError:
            pass

    def close(self) -> None:
        """Also where somebody else has the descriptor too."""
        try:
            os.unlink(self._directory.life_path(self.name))
        except OSError:
            pass
        os.close(self.fd)


def is_locked(fd: int, path: str, kind: int) -> bool:
    """Whether a file could be locked. Raises SurroundingsError where there are no locks."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
            raise SurroundingsError(
                f"{path} is where files cannot be locked ({error.strerror}), so nothing can be held across runs; "
                "set XDG_RUNTIME_DIR to a directory of your own on a local disk"
            ) from error
        fail("cannot lock", path, error)
    return True


def is_at(fd: int, path: str) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        there, here = os.stat(path), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (there.st_ino, there.st_dev) == (here.st_ino, here.st_dev)


def fail(what: str, path: str, error: OSError) -> NoReturn:
    raise SurroundingsError(f"{what} {path}: {os.strerror(error.errno or errno.EIO)}") from error


def _by_ticket(entry: Lease | Stamp) -> tuple[int, str]:
    return entry.ticket, entry.file
