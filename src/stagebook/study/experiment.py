"""An experiment from its first run to the end: whose turn it is, the child that runs, the record, when it is enough.

Each run is a `stagebook run` of its own, with a record like any other and a file `experiment` beside its journal that
says whose it is. What runs come to is `result`; what is kept, `kept`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile

from stagebook.engine import kernel
from stagebook.formats.native import cache
from stagebook.model.problem import SIGNAL_EXITS, WRONG_INPUT, InputError, SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record import state
from stagebook.study import arms, kept, result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OVER = ("success", "failure", "error", "timeout")


class Step(NamedTuple):
    """What whoever watches is told. `kind`: `prepares`, `warm-up`, `pair` (one is complete)."""

    kind: str
    pair: int
    result: dict[str, Any] | None = None


class Broken(Exception):
    """A signal has come: the run under way was ended, and the experiment is left as it stands."""


class Experiment:
    """`conduct` may be called on a new directory or on one that was left before: it goes on where the record ends."""

    def __init__(self, directory: str, most: int | None = None) -> None:
        """`most` is a new greatest number of pairs. Raises SurroundingsError where another process conducts it."""
        self.directory = directory
        self.set_up = kept.set_up_of(directory)
        self._state = os.path.dirname(os.path.dirname(directory))
        self._arms = [arms.from_plain(each) for each in self.set_up["arms"]]
        self._ledger = kept.Ledger(directory)
        if most is not None:
            self.set_up["pairs"] = most
            kept.write(os.path.join(directory, kept.SET_UP), json.dumps(self.set_up, indent=1) + "\n")
        self._child: int | None = None
        self._noted: list[int] = []

    def conduct(self, tell: Callable[[Step], None]) -> tuple[dict[str, Any], int | None]:
        """Run until it is enough, or a signal comes: the document, and the signal.

        Raises InputError for what `run` refuses, and SurroundingsError; what has been recorded stays.
        """
        before = {number: signal.signal(number, self._note) for number in SIGNALS
                  if signal.getsignal(number) is not signal.SIG_IGN}  # fmt: skip
        try:
            self._lead(tell)
        except Broken:
            pass
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._ledger.close()
        ended_by = self._noted[0] if self._noted else None
        return result.document(self.set_up, self._ledger.records, is_interrupted=ended_by is not None), ended_by

    def _note(self, number: int, frame: object) -> None:
        self._noted.append(number)
        if self._child is not None:
            kernel.send(self._child, number)

    # Whose turn it is ----------------------------------------------------------------------------------------

    def _lead(self, tell: Callable[[Step], None]) -> None:
        if self.set_up["part"]:
            self._prepare(tell)
        for number in range(1, self.set_up["warm_up"] + 1):
            self._block("warm-up", number, tell)
        while (known := result.document(self.set_up, self._ledger.records, is_brief=True))["stopped"] is None:
            if known["pairs"]:
                tell(Step("pair", known["pairs"], known))
            self._block("pair", known["pairs"] + 1, tell)
        tell(Step("pair", known["pairs"], known))

    def _block(self, kind: str, number: int, tell: Callable[[Step], None]) -> None:
        """One run of each arm, unless the record has them all."""
        known = [record for record in self._ledger.records if (record["kind"], record["pair"]) == (kind, number)]
        attempt = max([record["try"] for record in known], default=0)
        if len([record for record in known if record["try"] == attempt]) == len(self._arms):
            return
        if kind == "warm-up":
            tell(Step(kind, number))
        attempt += 1
        coin = -number if kind == "warm-up" else number
        for place, arm in enumerate(arms.order(len(self._arms), self.set_up["seed"], coin, attempt)):
            named = self._arms[arm]
            words = [*([] if named.names_file else [named.file]), *named.words, *self._common()]
            record = self._run(named.name, words)
            self._keep({"kind": kind, "pair": number, "try": attempt, "place": place, **record})

    def _common(self) -> list[str]:
        words = [f"--only={stage}" for stage in self.set_up["part"]]
        words += [f"--skip={stage}" for stage in self.set_up["skip"]]
        return words + ["--force"] * (self.set_up["cache"] == "cold")

    def _prepare(self, tell: Callable[[Step], None]) -> None:
        """What the part needs, once for each file and set of parameters."""
        done = {record["of"] for record in self._ledger.records if record["kind"] == "preparation"}
        for arm in self._arms:
            of = json.dumps([arm.file, arm.params])
            if of in done:
                continue
            done.add(of)
            tell(Step("prepares", 0))
            part = self.set_up["part"]
            words = [arm.file, *(f"--param={param}" for param in arm.params), *(f"--until={stage}" for stage in part)]
            words += [f"--skip={stage}" for stage in [*part, *self.set_up["skip"]]]
            record = self._run(arm.name, words)
            if record["outcome"] != "success":
                raise SurroundingsError(
                    f"what {', '.join(part)} needs could not be prepared: run {record['run']} ended as "
                    f"{record['outcome']}; see stagebook show {record['run']}"
                )
            self._keep({"kind": "preparation", "pair": 0, "try": 1, "place": 0, "of": of, **record})

    # A run ---------------------------------------------------------------------------------------------------

    def _run(self, arm: str, words: list[str]) -> dict[str, Any]:
        """One run to its end, as a record. Raises Broken, InputError, SurroundingsError."""
        if self._noted:
            raise Broken
        self._check_unchanged()
        environ = {**os.environ, state.EXPERIMENT_VARIABLE: self.set_up["experiment"]}
        command = [sys.executable, "-P", "-m", "stagebook", "run", *words, "--json", "--quiet", "--no-wait", "--dir",
                   self._state]  # fmt: skip
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                self._child = _spawn(command, environ, self.set_up["cwd"], out.fileno(), err.fileno())
                for number in self._noted:  # came before there was a child to tell
                    kernel.send(self._child, number)
                code = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
            except OSError as error:
                raise SurroundingsError(f"cannot start a run: {error.strerror}") from None
            finally:
                self._child = None
            out.seek(0)
            err.seek(0)
            said, complained = out.read(), err.read()
        try:
            document = json.loads(said)
        except ValueError:
            document = {}
        if self._noted:
            if document.get("run"):
                self._mark({"kind": "broken off", "pair": 0, "arm": arm, "run": document["run"]})
            raise Broken
        return self._record(arm, document, code, complained)

    def _check_unchanged(self) -> None:
        """Runs of another pipeline than the first ones cannot be put together with them."""
        for file, digest in self.set_up["digests"].items():
            try:
                with open(file, "rb") as source:
                    is_same = cache.digest(source.read()) == digest
            except OSError:
                is_same = False
            if not is_same:
                raise InputError(
                    f"{file} was changed while the experiment went on; what was measured before is kept. Put the file "
                    f"back and go on with: stagebook experiment --resume {os.path.basename(self.directory)}"
                )

    def _record(self, arm: str, document: dict[str, Any], code: int, complained: bytes) -> dict[str, Any]:
        if document.get("outcome") in OVER:
            return {"arm": arm, **result.measured(document)}
        errors = [error["message"] for error in document.get("errors", [])]
        why = "; ".join(errors) or " ".join(complained.decode(errors="backslashreplace").split()) or f"exit {code}"
        if code == WRONG_INPUT:
            raise InputError(f"arm {arm}: {why}")
        goes_on = f"; go on with: stagebook experiment --resume {os.path.basename(self.directory)}"
        if document.get("outcome") == "cancellation" or code in SIGNAL_EXITS.values():
            why = f"run {document.get('run') or ''} was stopped by somebody else, so it does not count"
        elif document.get("waiting"):
            why = f"run {document['run']} waits for a person, which an experiment cannot"
        raise SurroundingsError(f"arm {arm}: {why}{goes_on}")

    def _keep(self, record: dict[str, Any]) -> None:
        self._ledger.append(record)
        self._mark(record)

    def _mark(self, record: dict[str, Any]) -> None:
        """Beside the journal of a run: whose it is."""
        path = os.path.join(state.run_directory(self._state, record["run"]), state.OF_EXPERIMENT)
        told = {name: record[name] for name in ("kind", "pair", "arm")}
        kept.write(path, json.dumps({"experiment": self.set_up["experiment"], **told}) + "\n")


def _spawn(command: list[str], environ: dict[str, str], cwd: str, out: int, err: int) -> int:
    """The pid of a new process in a group of its own, so that Ctrl-C reaches it once, through us; and which is ended
    with us, however we end."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setpgid(0, 0)
        kernel.end_with_parent()
        os.chdir(cwd)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.execve(command[0], command, environ)
    finally:
        os._exit(127)
