"""The attempts that have processes: started, killed, reaped, and their trees swept up behind them. Records nothing.

An attempt is over when nothing of its tree lives any more. Those that are over are handed out by `finished`, once
each, in the order in which they ended. Times are microseconds since the run began.
"""

from __future__ import annotations

import os
import resource  # noqa: F401  # `os.wait4` loads it at its first call, when no descriptor may be left to open it with

from stagebook.engine import kernel
from stagebook.engine.attempt import Attempt
from stagebook.engine.clock import Clock
from stagebook.engine.ending import UNABLE, Memory, told, verdict
from stagebook.engine.spawn import Call, Spawner
from stagebook.engine.wakeup import Wakeup
from stagebook.model.pipeline import Stage
from stagebook.model.value import NamedTuple
from stagebook.observe import cgroup
from stagebook.observe import usage as usages
from stagebook.observe.world import SHORTEST_US, World, run_delay_ns
from stagebook.record import state
from stagebook.record.growth import Growth
from stagebook.record.story import Around, Usage
from stagebook.scheduler.vocabulary import Kill

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.record.mask import Mask

SAID_MAX = 2 << 20  #: of what a stage says of itself so much is looked at; nobody reads more than half of it
GROWTH_US = 100_000  #: how often the size of a growing log is noted
BURY_US = 1_000_000  #: how often it is looked for dead children that nobody waits for
SWEEP_US = 500_000  #: from TERM to KILL for what a stage left behind
LOOK_US = 20_000  #: how often a tree that is being ended is looked at again
FAR_US = 1 << 62  #: no run gets so far


class Finished(NamedTuple):
    """How an attempt ended."""

    outcome: str
    reason: str | None
    exit: int | None = None
    signal: int | None = None
    usage: Usage | None = None
    warnings: tuple[str, ...] = ()
    is_final: bool = False  #: another attempt would end the same


class Attempts:
    """All attempts of a run that live, by stage (an index of the plan)."""

    def __init__(self, spawner: Spawner, wakeup: Wakeup, clock: Clock, logs: str, world: World | None = None) -> None:
        """`logs` is the directory of the logs; without a `world` nothing is said of what was around."""
        self._spawner = spawner
        self._wakeup = wakeup
        self._clock = clock
        self._logs = logs
        self._world = world
        self._growth = Growth(logs)
        self._running: dict[int, Attempt] = {}
        self._by_pid: dict[int, Attempt] = {}
        self._by_pipe: dict[int, Attempt] = {}
        self._ending: list[Attempt] = []
        self._over: list[tuple[Attempt, Finished]] = []
        self._memory = Memory()
        self._growth_at = FAR_US
        self._bury_at = 0
        self.mask: Mask | None = None  #: hides the secrets of the run
        self.others: set[int] = set()  #: children of ours that are no stages, told by whoever starts them

    @property
    def is_any_running(self) -> bool:
        return bool(self._running)

    @property
    def look_at_us(self) -> int:
        """When `look` has something to do."""
        if not self._ending:
            return self._growth_at
        return min(self._growth_at, *[attempt.look_at for attempt in self._ending])

    def start(self, index: int, number: int, stage: Stage, log: str, workspace: str | None = None) -> int:
        """Start an attempt, with the name of its log, and its workspace if it has one; its pid. Raises CannotStart."""
        path = f"{self._logs}/{log}"
        us = self._clock.us()
        spawned = self._spawner.start(index, stage, number, path, workspace, bool(self.mask))
        attempt = Attempt(
            index, number, spawned, path, us, stage, self._world.look(us) if self._world else None, self.mask
        )
        self._running[index] = self._by_pid[spawned.pid] = attempt
        if attempt.capture is not None:
            self._by_pipe[attempt.capture.pipe] = attempt
            self._wakeup.watch(attempt.capture.pipe)
        if self._growth_at == FAR_US:
            self._growth_at = us + GROWTH_US
        return spawned.pid

    def start_call(self, number: int, attempt: int, step: Stage, log: str, call: Call) -> int:
        """Start a call of a step, by a number that no stage has; its pid. Raises CannotStart."""
        path = f"{self._logs}/{log}"
        call = call._replace(env={**call.env, b"STAGEBOOK_CALL": b"%d" % number})
        spawned = self._spawner.start(number, step, attempt, path, None, bool(self.mask), call)
        made = Attempt(number, attempt, spawned, path, self._clock.us(), step, None, self.mask, True)
        self._running[number] = self._by_pid[spawned.pid] = made
        if made.capture is not None:
            self._by_pipe[made.capture.pipe] = made
            self._wakeup.watch(made.capture.pipe)
        return spawned.pid

    def kill(self, decision: Kill, grace_ms: int) -> None:
        """Ask its whole tree to end, and force what is left after the grace; `now` forces at once."""
        attempt = self._running.get(decision.stage)
        if attempt is None or attempt.number != decision.attempt:
            return
        if attempt.why is None:
            attempt.why = decision.why
        us = self._clock.us()
        force_at = us if decision.now else us + grace_ms * 1000
        if attempt.force_at is None or force_at < attempt.force_at:
            attempt.force_at = force_at
        alive = self._alive(attempt)
        if decision.now:
            attempt.tree.force(alive)
        else:
            attempt.tree.ask(alive)
        self._look_again(attempt, us)

    def look(self, us: int) -> None:
        """What is due: sizes of growing logs, and trees that are being ended."""
        if us >= self._growth_at:
            self._note_growth(us)
        for attempt in list(self._ending):
            if us >= attempt.look_at:
                self._sweep(attempt, us)

    def pump(self, fd: int) -> bool:
        """Take what there is to read from the output of a stage; False if the descriptor is none of those."""
        attempt = self._by_pipe.get(fd)
        if attempt is None:
            return False
        if attempt.capture is not None and not attempt.capture.pump():
            self._close_capture(attempt)
        return True

    def reap(self) -> None:
        """Take every main process that has ended."""
        if self._wakeup.has_children():
            while self._by_pid and self._reap():
                pass

    def _reap(self) -> bool:
        """Take one child that has ended; False where there is none. How long it waited for a core is told until it is
        taken."""
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                return False
            pid = found.si_pid
            attempt = self._by_pid.pop(pid, None)
            if attempt is not None and self._clock.us() - attempt.started_us >= SHORTEST_US:
                attempt.delay_ns = run_delay_ns(pid)
            _, status, rusage = os.wait4(pid, 0)
        except ChildProcessError:
            return False
        if attempt is not None:
            attempt.status = status
            attempt.rusage = rusage
            attempt.tree.is_main_gone = True
            self._look_behind(attempt)
        return True

    def finished(self) -> list[tuple[Attempt, Finished]]:
        """The attempts that have ended since the last call."""
        over = self._over
        if over:
            self._over = []
        return over

    def around_run(self) -> Around | None:
        """What the machine did since the first look; for the end of the run."""
        return None if self._world is None else self._world.around_run(self._clock.us())

    def end_strays(self) -> list[str]:
        """End what no stage could be named for, and say what it was. Nothing outlives a run."""
        left = [kernel.command_of(pid) for pid in self._orphans()]
        if left:
            kernel.end_all_descendants(2.5)
        return left

    def close(self) -> None:
        """Give back what was taken from the system."""
        self._growth.close()
        if self._world is not None:
            self._world.close()
        self._spawner.close()

    def _look_behind(self, attempt: Attempt) -> None:
        """The main process is gone: finish, unless something of its tree still lives, which is then asked to end."""
        if attempt.tree.group is None and not self._orphans():
            self._finish(attempt)
            return
        alive = self._alive(attempt)
        if not alive:
            self._finish(attempt)
            return
        attempt.left = [f"{kernel.command_of(pid)} (pid {pid})" for pid in alive]
        attempt.tree.ask(alive)
        us = self._clock.us()
        if attempt.force_at is None:
            attempt.force_at = us + SWEEP_US
        self._look_again(attempt, us)

    def _look_again(self, attempt: Attempt, us: int) -> None:
        attempt.look_at = us + LOOK_US
        if attempt not in self._ending:
            self._ending.append(attempt)

    def _sweep(self, attempt: Attempt, us: int) -> None:
        """Look again at a tree that is being ended, and force it if it is deaf."""
        alive = self._alive(attempt)
        if not alive and attempt.tree.is_main_gone:
            self._finish(attempt)
            return
        if attempt.force_at is not None and us >= attempt.force_at:
            attempt.tree.force(alive)
        attempt.look_at = us + LOOK_US

    def _orphans(self) -> list[int]:
        """Children that are no main process: left behind by some attempt, and adopted by us. The dead are reaped."""
        children = self._wakeup.children()
        if len(children) <= len(self._by_pid):
            return []
        known = self._by_pid.keys() | self.others
        return [pid for pid in children if pid not in known and not kernel.is_spared(pid) and not _has_ended(pid)]

    def _alive(self, attempt: Attempt) -> list[int]:
        is_alone = len(self._running) == 1
        return attempt.tree.alive(self._orphans() if attempt.tree.group is None else [], is_alone)

    def _finish(self, attempt: Attempt) -> None:
        """Nothing of it lives any more."""
        del self._running[attempt.stage]
        if attempt in self._ending:
            self._ending.remove(attempt)
        if attempt.capture is not None:
            attempt.capture.pump()
            self._close_capture(attempt)
        if attempt.mask and not attempt.is_call:
            hide(self._spawner.output(attempt.stage, attempt.number), attempt.mask)
        used = usages.of_rusage(attempt.rusage)
        group = attempt.tree.group
        if group is not None:
            used = cgroup.usage(group, used)
        outcome, reason, code, number = verdict(attempt, self._memory, self._logs)
        output = self._spawner.output(attempt.stage, attempt.number)
        if outcome == "failure" and code == UNABLE and (why := told(state.unable_path(output), self.mask)) is not None:
            outcome, reason = "error", why
        warnings = attempt.warnings()
        if code == 0 and (warning := told(state.warning_path(output), self.mask)) is not None:
            warnings += (f"{attempt.name}: {warning}",)
        if self._world is not None and attempt.began is not None:
            attempt.around = self._world.around_attempt(
                attempt.began, attempt.started_us, self._clock.us(), group, attempt.delay_ns
            )
        if group is not None:
            cgroup.remove(group)
        self._over.append((attempt, Finished(outcome, reason, code, number, used, warnings)))

    def _close_capture(self, attempt: Attempt) -> None:
        capture = attempt.capture
        assert capture is not None
        self._wakeup.forget(capture.pipe)
        del self._by_pipe[capture.pipe]
        capture.close()
        attempt.is_logged = attempt.is_logged and not capture.is_incomplete
        attempt.capture = None

    def _note_growth(self, us: int) -> None:
        for attempt in self._running.values():
            if attempt.is_call:
                continue
            try:
                size = os.stat(attempt.log).st_size
            except OSError:
                continue
            if size != attempt.size:
                attempt.size = size
                self._growth.add(us, attempt.stage, attempt.number, size)
        self._growth.write()
        if us >= self._bury_at:  # so that the dead do not gather while stages run for long
            self._bury_at = us + BURY_US
            self._orphans()
        self._growth_at = us + GROWTH_US if self._running else FAR_US


def hide(path: str, mask: Mask) -> None:
    """Mask what a stage has said of itself in a file, so that nobody reads it otherwise."""
    try:
        mask.copy(path, path, SAID_MAX)
    except FileNotFoundError:
        pass
    except OSError:
        try:
            os.unlink(path)
        except OSError:
            pass  # it is no file, so nobody reads it as one


def _has_ended(orphan: int) -> bool:
    try:
        return os.waitpid(orphan, os.WNOHANG)[0] == orphan
    except ChildProcessError:
        return True
