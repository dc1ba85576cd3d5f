"""`stagebook run --watch`: runs, waits for files to change, runs again what the change concerns, until it is ended.

Each run is a `stagebook run` of its own, a child with the same terminal and a record like any other. Which changes
count is `affected`; of files that change watchfiles tells, imported here and nowhere else.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
from time import monotonic, time_ns

from stagebook.cli import affected, output
from stagebook.cli import place as places
from stagebook.cli.streams import complain
from stagebook.cli.words import usage_error
from stagebook.engine import keeper
from stagebook.model.problem import InputError, SurroundingsError
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, Iterable, Iterator, Mapping

QUIET_S = 0.3  #: changes have settled once nothing more has changed for so long,
SETTLE_S = 2.0  #: or after this long in any case
LOOK_MS = 100  #: how often we look up from waiting
WORDS_MAX = 500_000  #: bytes of stage names that go onto a command line
GIT_BYTES = 32_768  #: of paths that git is asked of at once: questions and answers fit into a pipe each
NAMED_MAX = 3  #: files and stages that a line names

#: Beside what watchfiles leaves out by itself: tools' own folders, and what editors put beside a file.
FOLDERS = (".stagebook", ".ruff_cache", ".nox", ".direnv")
ENTITIES = (r"^4913$", r"^#.*#$", r"\.kate-swp$", r"^\.nfs")
SELECTING = ("only", "from", "until", "skip", "failed_of")
NOT_WATCHED = ("json", "resume", "dry_run")


def execute(args: argparse.Namespace) -> int:
    """Goes on until a signal, and exits as that asks. Raises InputError or SurroundingsError before the first run."""
    from stagebook.cli import pipelines

    for name in NOT_WATCHED:
        if getattr(args, name) not in (None, False):
            raise usage_error(f"--watch does not go with --{name.replace('_', '-')}")
    args.file = pipelines.find(args.file, args.command)
    if not os.path.isfile(args.file):
        raise InputError(f"cannot read {args.file}: no such file")
    place = places.state_directory(args, args.file)
    starts = tuple(getattr(args, "from"))
    if args.failed_of is not None:
        from stagebook.cli.failed import failed_of
        from stagebook.record import runs

        args.failed_of = os.path.basename(runs.resolve(place, args.failed_of))  # `last` would soon be another
        starts += failed_of(place, args.failed_of)
    return Watch(args, place, starts).lead()


class Watch:
    """One `run --watch` from its first run to the signal that ends it."""

    def __init__(self, args: argparse.Namespace, place: str, starts: tuple[str, ...]) -> None:
        self._args = args
        self._starts = starts
        self._cache = os.path.join(place, "cache")
        self._folder = _folder(args)
        self._own = affected.Own()
        self._concern: affected.Concern | None = None
        self._noted: list[int] = []
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)
        self._changes = Changes(self._folder, place)

    def _note(self, number: int, frame: object) -> None:
        self._noted.append(number)

    def lead(self) -> int:
        counting = self._run(None)
        while not self._noted:
            if not counting:
                self._say(f"waiting for changes below {self._folder}; Ctrl-C ends it")
                counting = self._wait()
                continue
            stages = self._stages(counting)
            what = "all again" if stages is None else f"{_named(stages)} again" if stages else "concerns no stage"
            self._say(f"{_named(list(counting))} changed: {what}")
            counting = {} if stages == [] else self._run(stages)
        return 128 + self._noted[0]

    # A run ---------------------------------------------------------------------------------------------------

    def _run(self, stages: list[str] | None) -> dict[str, int]:
        """Run these stages, or all that were picked; the changes since it began that call for one more run."""
        self._changes.require_folder()
        self._read()
        during: dict[str, int] = {}
        pid = os.posix_spawn(sys.executable, self._words(stages), os.environ, setpgroup=0)
        sent = 0
        while not _has_ended(pid):
            _go_with_keeper()
            for number in self._noted[sent:]:
                os.kill(pid, number)
                sent += 1
            _merge(during, self._changes.look())
        ended_ns = time_ns()
        after: dict[str, int] = {}
        for path, kind in self._settled({}).items():
            is_later = self._changes.is_later(path, ended_ns)  # though we heard of it in one go with what came before
            _merge(after if is_later else during, {path: kind})
        return self._counting(during, after)

    def _words(self, stages: list[str] | None) -> list[str]:
        """The command line of a run: the options that we were given, the selection replaced by `stages`."""
        from stagebook.cli import parser, run

        words = [sys.executable, "-P", "-m", "stagebook", "run", self._args.file]
        if stages is not None and sum(map(len, stages)) > WORDS_MAX:
            stages = None
        for action in parser.parser_of("run", "run", run)._actions:
            value = getattr(self._args, action.dest, None)
            if not action.option_strings or action.dest == "watch" or value in (None, False):
                continue
            if stages is not None and action.dest in SELECTING:
                continue
            option = action.option_strings[-1]
            if action.nargs == 0:
                words.append(option)
            else:
                words += [f"{option}={each}" for each in (value if isinstance(value, list) else [value])]
        return words + [f"--only={stage}" for stage in stages or ()]

    # Changes -------------------------------------------------------------------------------------------------

    def _wait(self) -> dict[str, int]:
        """The next changes that count, settled; empty once there is a signal."""
        while not self._noted:
            _go_with_keeper()
            found = self._changes.look()
            self._changes.require_folder()
            if found:
                found = self._changes.without_ignored(self._settled(found))
                self._own.forget(found)
            if found:
                return found
        return {}

    def _settled(self, found: dict[str, int]) -> dict[str, int]:
        """These changes and those that follow, until it is quiet."""
        since = quiet_since = monotonic()
        while not self._noted and monotonic() < min(quiet_since + QUIET_S, since + SETTLE_S):
            more = self._changes.look()
            if more:
                quiet_since = monotonic()
                _merge(found, more)
        return found

    def _counting(self, during: dict[str, int], after: dict[str, int]) -> dict[str, int]:
        """Of the changes during and after a run, those that are not the stages' own, as far as that can be known."""
        during, after = self._changes.without_ignored(during), self._changes.without_ignored(after)
        concern = self._concern
        if concern is not None:
            during = {path: kind for path, kind in during.items() if not concern.is_output(path)}
        foreign, learned = self._own.foreign(during, lambda path: concern is not None and concern.is_input(path))
        if learned:
            self._say(
                f"{_named(learned)} changed during {affected.RUNS_IN_A_ROW} runs in a row: taken as written by "
                "stages, and left out while they run"
            )
        self._own.forget(after)
        return {**{path: during[path] for path in foreign}, **after}

    def _stages(self, changed: Iterable[str]) -> list[str] | None:
        if self._concern is None or os.path.relpath(self._args.file, self._folder) in changed:
            return None
        return self._concern.stages(changed)

    def _read(self) -> None:
        """What the pipeline says of its files now. Where it is wrong, the run is who tells."""
        from stagebook.cli import imported, trust
        from stagebook.scheduler.plan import Choice

        args = self._args
        try:
            cache = self._cache if os.path.isdir(self._cache) else None
            pipeline = imported.load_plain(args, args.file, cache).pipeline
        except InputError:
            self._concern = None
            return
        trust.require(args, pipeline)  # asked here: a run that is a child has no terminal to ask on
        choice = Choice(
            cores=1, only=tuple(args.only), from_=self._starts, until=tuple(args.until), skip=tuple(args.skip)
        )
        self._concern = affected.Concern(pipeline, choice)

    def _say(self, text: str) -> None:
        if not self._args.quiet:
            output.say([harmless(text)])
            sys.stdout.flush()


def _folder(args: argparse.Namespace) -> str:
    """Where the stages run: beside a native file, at the root of the work tree for one of a CI system."""
    from stagebook.cli import foreign
    from stagebook.formats.load import FOREIGN
    from stagebook.record import state

    above: str = os.path.dirname(args.file)
    if (getattr(args, "as", None) or foreign.format_at(args.file)) in FOREIGN:
        return state.git_root(above) or above
    return above


class Changes:
    """What has changed below a folder, by path relative to it; what never matters is left out."""

    def __init__(self, folder: str, place: str) -> None:
        """`place` is the state directory. Raises SurroundingsError where nothing can tell of changes."""
        self._folder = folder
        self._place = place
        self._is_git = any(os.path.exists(os.path.join(above, ".git")) for above in _upward(folder))
        try:
            from watchfiles import Change, DefaultFilter
        except ImportError as error:
            raise SurroundingsError(f"--watch needs the package watchfiles: {error}") from None
        self._filter = DefaultFilter(
            ignore_dirs=(*DefaultFilter.ignore_dirs, *FOLDERS),
            ignore_entity_patterns=(*DefaultFilter.ignore_entity_patterns, *ENTITIES),
        )
        self._any = Change.modified  #: a kind, for the filter, which does not look at it
        self._at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  #: open, so that no other gets its inode number
        self._looked_ns = time_ns()
        self._source = self._open()
        self._spoken = [os.fstat(fd) for fd in (1, 2)]  #: what we say ourselves may go into a file in the folder
        self._there = dict(self._below(folder))  #: each path: whether it is a folder

    def look(self) -> dict[str, int]:
        """The files that have changed since the last look: path to kind. Waits for one, no longer than `LOOK_MS`."""
        found: dict[str, int] = {}
        began_ns = time_ns()
        try:
            paths = {path for _, path in next(self._source)}
        except RuntimeError:  # of a name that is not UTF-8; what else it had to tell is lost with it
            self.require_folder()
            self._source = self._open()
            paths = self._changed_since(self._looked_ns)
        self._looked_ns = began_ns
        for path in paths:
            inside = os.path.relpath(path, self._folder)
            if inside != "." and self._is_watched(path):
                # What is told of the kind depends on how an editor saves; what was there and what is there does not.
                self._compare(path, inside, found)
        return found

    def require_folder(self) -> None:
        """Raises SurroundingsError where the folder is gone, or another has its name."""
        try:
            is_same = os.path.samestat(os.stat(self._folder), os.fstat(self._at))
        except OSError:
            raise SurroundingsError(f"{self._folder} is gone") from None
        if not is_same:
            raise SurroundingsError(f"{self._folder} is gone, and another folder in its place; start again there")

    def _changed_since(self, ns: int) -> set[str]:
        """By looking at every file, what came, went or changed."""
        below = {path for path, _ in self._below(self._folder)}
        gone = self._there.keys() - below
        changed = {path for path in below if path not in self._there or self.is_later(path, ns)}
        return {os.path.join(self._folder, path) for path in gone | changed}

    def _compare(self, path: str, inside: str, found: dict[str, int]) -> None:
        """Of a folder its files count, of which we may be told nothing; what came and went does not."""
        was = self._there.get(inside)
        now = _is_folder(path)
        if was and not now:
            for each in [each for each in self._there if each.startswith(inside + "/")]:
                if not self._there.pop(each):
                    found[each] = affected.DELETED
        if now is None:
            self._there.pop(inside, None)
            if was is False:
                found[inside] = affected.DELETED
            return
        self._there[inside] = now
        if not now:
            found.setdefault(inside, affected.MODIFIED if was is False else affected.ADDED)
        elif not was:
            for each, is_folder in self._below(path):
                if self._there.setdefault(each, is_folder) is False:
                    found.setdefault(each, affected.ADDED)

    def _is_watched(self, path: str) -> bool:
        is_ours = path == self._place or path.startswith(self._place + "/") or self._is_spoken(path)
        return not is_ours and self._filter(self._any, os.path.relpath(path, self._folder))

    def _is_spoken(self, path: str) -> bool:
        try:
            return any(os.path.samestat(os.lstat(path), spoken) for spoken in self._spoken)
        except OSError:
            return False

    def _below(self, folder: str) -> Iterator[tuple[str, bool]]:
        """All that is watched in a folder, and whether it is a folder itself."""
        try:
            entries = [entry for entry in os.scandir(folder) if self._is_watched(entry.path)]
        except OSError:
            return
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            yield os.path.relpath(entry.path, self._folder), is_folder
            if is_folder:
                yield from self._below(entry.path)

    def is_later(self, path: str, ns: int) -> bool:
        """Whether a file changed after a moment."""
        try:
            return os.lstat(os.path.join(self._folder, path)).st_ctime_ns > ns
        except OSError:
            return False

    def without_ignored(self, found: dict[str, int]) -> dict[str, int]:
        """The same without what git is told to ignore."""
        if not found or not self._is_git:
            return found
        ignored = _ignored_by_git(self._folder, list(found))
        return {path: kind for path, kind in found.items() if path not in ignored}

    def _open(self) -> Iterator[set[tuple[Any, str]]]:
        """Told by the kernel, or, where it has no room for that, by looking at every file again and again."""
        try:
            return self._begun(None)
        except (OSError, RuntimeError) as error:
            complain(f"the system will not tell of changes ({error}), so all files are looked at again and again\n")
        try:
            return self._begun(True)
        except (OSError, RuntimeError) as error:
            raise SurroundingsError(f"cannot watch {self._folder}: {error}") from None

    def _begun(self, is_polling: bool | None) -> Iterator[set[tuple[Any, str]]]:
        from watchfiles import watch

        source = watch(
            self._folder, watch_filter=None, debounce=LOOK_MS, step=LOOK_MS // 2, rust_timeout=LOOK_MS,
            yield_on_timeout=True, force_polling=is_polling, ignore_permission_denied=True,
        )  # fmt: skip
        next(source)
        return source


def _is_folder(path: str) -> bool | None:
    """None where nothing is; a link to a folder is none."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return None


def _upward(folder: str) -> Iterator[str]:
    while True:
        yield folder
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above


def _merge(into: dict[str, int], more: Mapping[str, int]) -> None:
    """What these changes come to, one after the other."""
    for path, kind in more.items():
        before = into.get(path)
        if before == affected.ADDED:
            if kind == affected.DELETED:
                del into[path]
        elif before == affected.DELETED and kind == affected.ADDED:
            into[path] = affected.MODIFIED
        else:
            into[path] = kind


def _ignored_by_git(folder: str, paths: list[str]) -> set[str]:
    """Those that git ignores; none where git cannot tell."""
    ignored: set[str] = set()
    left = [os.fsencode(path) + b"\0" for path in paths]
    while left:
        asked = b""
        while left and len(asked) < GIT_BYTES:
            asked += left.pop()
        (ear, answers), (questions, mouth) = os.pipe(), os.pipe()
        try:
            pid = os.posix_spawnp(
                "git", ["git", "-c", "core.fsmonitor=false", "-C", folder, "check-ignore", "-z", "--stdin"], os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, questions, 0), (os.POSIX_SPAWN_DUP2, answers, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
            )  # fmt: skip
        except OSError:
            pid = 0
        os.close(questions)
        os.close(answers)
        with open(mouth, "wb") as to_git, open(ear, "rb") as from_git:
            try:
                to_git.write(asked)
                to_git.close()
            except BrokenPipeError:
                pass
            ignored.update(os.fsdecode(path) for path in from_git.read().split(b"\0") if path)
        if pid:
            os.waitpid(pid, 0)
    return ignored


def _has_ended(pid: int) -> bool:
    """Whether a child has ended; with it, what others have left to us is reaped."""
    while True:
        ended, _ = os.waitpid(-1, os.WNOHANG)
        if ended in (0, pid):
            return ended == pid


def _go_with_keeper() -> None:
    """Whoever kills the process above us means us too."""
    if keeper.channel is not None and select.select([keeper.channel], [], [], 0)[0]:
        keeper.die_with_keeper()


def _named(names: list[str]) -> str:
    more = len(names) - NAMED_MAX
    return ", ".join(names[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
