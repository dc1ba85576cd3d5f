"""Whether a stage is up to date: its files and its words as they are now, against its last success. Starts nothing.

The run asks it, and so do `--dry-run` and `why`. What stands in the way of an answer is a reason to run.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Mapping

from stagebook import __version__
from stagebook.artifact import key, paths
from stagebook.artifact.digest import (
    LINK,
    File,
    bytes_to_read,
    hash_files,
    hash_program,
    is_old_enough,
    moment,
    total_bytes,
)
from stagebook.artifact.paths import Unsound
from stagebook.artifact.state import Last, State
from stagebook.engine import command, hasher
from stagebook.engine.environment import Environment
from stagebook.model.globs import is_path
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.value import NamedTuple
from stagebook.record import reasons
from stagebook.record.state import log_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Iterator, Sequence

HERE_BYTES = 2 << 20  #: so much is read in between; more is a child's work
HERE_FILES = 200  #: and so many files
SHOWN = 3  #: so many differences stand in a reason

SETTING = "setting"  #: the part of a key, never compared by itself, that is the same where all words are
VALUES = "values"  #: the part of a key, never compared, that holds what the stage said of itself; behind that one

UNMATCHED = "unmatched"  #: the part, never compared either, of inputs that matched no file; before the other two

UP_TO_DATE = reasons.UP_TO_DATE
NO_MATCH = "its inputs match no file"
NO_INPUTS = "it declares no inputs"
UNSEEN = "it is `retry-safe: false` and declares no outputs, so nobody can see whether its work still stands"
NOT_WELL = "the last attempt did not succeed"
NOT_KEPT = "others are given what it says of itself, and it has secrets, so that is not kept"
NOT_PRINTED = "what it printed, which others read as items, is gone"


def never_fresh(stage: Stage) -> str | None:
    """Why a stage runs each time, whatever it reads; None: what it reads decides."""
    if not stage.inputs:
        return NO_INPUTS
    return None if stage.retry_safe or stage.outputs else UNSEEN


class Seen(NamedTuple):
    """The files of a stage as they were found. `trouble` says why they could not all be read."""

    inputs: Sequence[File] = ()
    outputs: Sequence[File] = ()
    trouble: str | None = None
    odd: Sequence[str] = ()  #: sentences on what a glob matches and passes over


class Freshness:
    """For one pipeline, as it would run with this environment. `versions` are those of the tools that it requires."""

    def __init__(
        self, pipeline: Pipeline, cache: str, environment: Environment, params: Mapping[str, str],
        versions: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """`cache` is `.stagebook/cache`. Without `versions` those of the last success are taken to hold."""
        self.root = pipeline.folder
        self._runs = os.path.join(os.path.dirname(cache), "runs")
        self.state = State(cache, pipeline.file)
        self.known: dict[str, File] = {}  #: what was read meanwhile, by path
        self._pipeline = pipeline
        self._environment = environment
        self._params = params
        self._versions = versions
        self.setting = None if versions is None else _setting(pipeline, params, versions)
        #: How a record has it: nowhere else is the one before the other, for what is deeper holds texts only.
        self._mark = f',"{UNMATCHED}":[],"{SETTING}":"{self.setting}","{VALUES}":{{'.encode()
        self._programs: dict[tuple[str, str | None, str | None], File | None] = {}
        self._modules: dict[tuple[str, str, str], dict[str, str]] = {}
        self._makers: dict[str, int] | None = None  #: by path the stage whose last success published it
        self._base = os.path.join(self.root, "")
        self.grew(pipeline)

    def grew(self, pipeline: Pipeline) -> None:
        """The pipeline has these stages."""
        self._pipeline = pipeline
        self._makers = None
        #: Stages of which others are given an output.
        self._asked = {
            of.stage
            for stage in pipeline.stages
            if stage.env_from or stage.cmd_from
            for of in (*stage.env_from.values(), *stage.cmd_from.values())
        }
        #: Those of which others read what they print.
        self._heard = {
            stage.each.items.text
            for stage in pipeline.stages
            if stage.each and stage.each.items.kind in ("lines", "json")
        }

    def last(self, index: int) -> Last | None:
        return self.state.last(self._pipeline.stages[index].id)

    def printed(self, index: int) -> str | None:
        """The log of its last success, in whichever run that was; None where there is none any more."""
        last = self.last(index)
        if last is None or last.parts is None:
            return None
        path = os.path.join(self._runs, last.run, "logs", log_name(self._pipeline.stages[index].id, last.attempt))
        return path if os.path.exists(path) else None

    def is_same(self, index: int) -> bool:
        """Whether nothing of a stage has changed, as far as that can be told without reading a file. False says
        nothing. Thousands of stages are asked one after another, so it looks at plain records."""
        stage = self._pipeline.stages[index]
        if never_fresh(stage) is not None:
            return False
        if (
            self.setting is None
            or "python" in (stage.kind, stage.generates)
            or stage.env_inputs
            or stage.env_from
            or stage.cmd_from
            or stage.secrets
        ):
            return False
        record = self.state.record(stage.id, self._mark)
        if record is None:
            return False
        if stage.id in self._heard and self.printed(index) is None:
            return False
        program = self.program(stage)
        if program is None or record["program"] is None or record["program"][:3] != [*program[:3]]:
            return False
        return self._is_untouched(stage, record)

    def _is_untouched(self, stage: Stage, record: Mapping[str, Any]) -> bool:
        inputs, outputs, moments = record["inputs"], record["outputs"], record["moments"]
        now, base, lstat = moment(), self._base, os.lstat
        try:
            for path, _, _, _, at, *stamp in inputs + outputs:
                status = lstat(base + path)
                if stamp != [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]:
                    return False
                if at is None or not is_old_enough(status.st_ctime_ns, moments[at], now):
                    return False
            made = [file[0] for file in outputs]
            globs = output_globs(stage)
            if not _are_these(globs, made) and made != paths.found(self.root, globs):
                return False
            read = [file[0] for file in inputs]
            return _are_these(stage.inputs, read) or read == self._inputs_of(stage, made)
        except (OSError, Unsound):
            return False

    def settled(self, index: int) -> str | None:
        """Why the stage runs whatever its files hold; None: that depends on them."""
        stage = self._pipeline.stages[index]
        never = never_fresh(stage)
        if never is not None:
            return never
        if stage.secrets and stage.id in self._asked:
            return NOT_KEPT
        last = self.last(index)
        if last is None or (last.parts is None and last.ended):
            return key.NEVER
        if last.parts is None or not last.ended:
            return NOT_WELL
        if stage.id in self._heard and self.printed(index) is None:
            return NOT_PRINTED
        return None

    # Looking

    def look(self, index: int, known: Mapping[str, File], is_child: bool = False) -> Seen:
        """Find and hash what it reads and what it made. Asks no record, so that a child can do it."""
        stage = self._pipeline.stages[index]
        try:
            outputs = paths.found(self.root, output_globs(stage)) if stage.outputs else []
            inputs = self._inputs_of(stage, outputs)
            what = "reading inputs and outputs" if outputs else "reading inputs"
            files = self.hashed(inputs + outputs, known, is_child, what)
            return Seen(self._sound(stage, files[: len(inputs)]), files[len(inputs) :])
        except Unsound as trouble:
            return Seen(trouble=trouble.words)

    def look_at_inputs(self, index: int, known: Mapping[str, File], is_child: bool = False) -> Seen:
        """The same of what it reads only."""
        stage = self._pipeline.stages[index]
        try:
            outputs = paths.found(self.root, output_globs(stage)) if stage.outputs else []
            odd: list[str] = []
            inputs = self._inputs_of(stage, outputs, odd)
            return Seen(self._sound(stage, self.hashed(inputs, known, is_child, "reading inputs"), odd), odd=odd)
        except Unsound as trouble:
            return Seen(trouble=trouble.words)

    def hashed(self, found: Sequence[str], known: Mapping[str, File], is_child: bool, what: str) -> list[File]:
        """People are told `what` is done where it takes long. Raises Unsound."""
        workers = None if is_child else 1
        if hasher.voice is None:
            return hash_files(self.root, found, known, workers=workers)
        tell = hasher.voice.on(what, lambda: bytes_to_read(self.root, found, known))
        return hash_files(self.root, found, known, lambda _, done: tell(done), workers)

    def _inputs_of(self, stage: Stage, outputs: Iterable[str], odd: list[str] | None = None) -> list[str]:
        """What a stage makes is none of its inputs, though a glob of those matches it. What is no file is put into
        `odd`. Raises Unsound."""
        passed: list[str] = []
        found = paths.found(self.root, stage.inputs, passed)
        if odd is not None:
            odd += [Unsound(path, paths.refusal(self.root, path) or "it is no file").words for path in passed]
        for glob in stage.inputs:
            if is_path(glob) and not _holds(found, glob):
                self._refuse(glob)
        made = set(outputs)
        return [path for path in found if path not in made] if made else found

    def _refuse(self, path: str) -> None:
        """Raises Unsound where something lies at a path that is named, and can be no artifact."""
        at = os.path.join(self.root, path)
        if os.path.lexists(at) and not os.path.isdir(at):
            why = paths.refusal(self.root, path)
            if why is not None:
                raise Unsound(path, why)

    def _sound(self, stage: Stage, files: list[File], odd: list[str] | None = None) -> list[File]:
        """Without the links that lead out, which are put into `odd`. Raises Unsound for one that is named."""
        for file in [file for file in files if file.mode == LINK]:
            why = paths.refusal(self.root, file.path)
            if why is not None:
                if file.path in stage.inputs:
                    raise Unsound(file.path, why)
                files.remove(file)
                if odd is not None:
                    odd.append(Unsound(file.path, why).words)
        return files

    def is_much(self, index: int, known: Mapping[str, File]) -> bool:
        """Whether to look at all its files takes longer than the loop may be away."""
        stage = self._pipeline.stages[index]
        globs = (*stage.inputs, *output_globs(stage))
        last = self.last(index)
        if last is None or last.parts is None:
            if any("**" in glob or os.path.isdir(os.path.join(self.root, glob)) for glob in globs):
                return True  # nobody knows how many there are
        elif len(last.inputs) + len(last.outputs) > HERE_FILES:
            return True
        try:
            return self.is_much_of(paths.found(self.root, globs), known)
        except Unsound:
            return False  # to be told by whoever reads them

    def is_much_made(self, index: int) -> bool:
        """Whether to read what it made, all of it, takes longer than that."""
        globs = output_globs(self._pipeline.stages[index])
        if not globs:
            return False
        last = self.last(index)
        if last is None or last.parts is None:
            if any("**" in glob or os.path.isdir(os.path.join(self.root, glob)) for glob in globs):
                return True
        elif len(last.outputs) > HERE_FILES:
            return True
        try:
            return self.is_much_of(paths.found(self.root, globs), {})
        except Unsound:
            return False

    def is_much_of(self, found: Sequence[str], known: Mapping[str, File]) -> bool:
        return len(found) > HERE_FILES or total_bytes(self.root, found, known) > HERE_BYTES

    def known_of(self, index: int, but: Callable[[str], bool] | None = None) -> Mapping[str, File]:
        """Its files, and others, as they were last read; without those that `but` holds of."""
        last = self.last(index)
        before = {} if last is None or last.parts is None else last.known
        return _Known(self.known, before, but) if but is not None or before else self.known

    def remember(self, files: Iterable[File]) -> None:
        self.known.update([(file.path, file) for file in files])

    # Comparing

    def parts(self, stage: Stage, seen: Seen) -> dict[str, Any]:
        """The key, as the stage would run now; `stage` has the outputs of others that it is given in their places."""
        env = {**self._pipeline.env, **stage.env}
        given = {name: os.environ[name] for name in stage.env_inputs if name in os.environ}
        versions = self._versions
        if versions is None:
            last = self.state.last(stage.id)
            versions = last.parts["requires"] if last is not None and last.parts is not None else {}
        versions = {tool: versions[tool] for tool in stage.requires if tool in versions}
        parts = key.parts(
            stage._replace(env=env), seen.inputs, {**given, **env}, self._params, versions, self.program(stage),
            seen.outputs,
        )  # fmt: skip
        if "python" in (stage.kind, stage.generates):
            parts["module"] = self._module(stage, env)
        parts[UNMATCHED] = unmatched(stage, seen)
        parts[SETTING] = self.setting
        return parts

    def own(self, index: int, seen: Seen) -> Seen:
        """Without the files among its outputs that another stage published, and that it did not publish itself."""
        last = self.last(index)
        mine = set() if last is None or last.parts is None else {file.path for file in last.outputs}
        mine.update(glob for glob in output_globs(self._pipeline.stages[index]) if is_path(glob))
        if mine.issuperset([file.path for file in seen.outputs]):
            return seen
        if self._makers is None:
            self._makers = {}
            for number, stage in enumerate(self._pipeline.stages):
                made = self.last(number) if stage.outputs else None
                if made is not None and made.parts is not None:
                    self._makers.update((file.path, number) for file in made.outputs)
        makers = self._makers
        return seen._replace(
            outputs=[file for file in seen.outputs if file.path in mine or makers.get(file.path, index) == index]
        )

    def differences(self, stage: Stage, index: int, seen: Seen) -> list[str]:
        """What is not as it was at its last success; nothing: it is up to date."""
        if seen.trouble is not None:
            return [seen.trouble]
        found = key.difference(self.last(index), self.parts(stage, seen))
        return found if found or seen.inputs else [NO_MATCH]

    def _module(self, stage: Stage, env: Mapping[str, str]) -> dict[str, str]:
        """The files of the module that a `python` stage calls a function of, where they lie in folders of the user's,
        with what they held when it was first asked for."""
        folder = os.path.join(self.root, stage.dir or "")
        asked = str(stage.command), folder, env.get("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        if asked not in self._modules:
            self._modules[asked] = command.module_files(*asked)
        return self._modules[asked]

    def program(self, stage: Stage) -> File | None:
        """The program that is started, as it was when it was first asked for; None where there is none."""
        asked = command.argv_of(stage)[0], stage.env.get("PATH"), stage.dir
        if asked not in self._programs:
            self._programs[asked] = self._find(stage, *asked)
        return self._programs[asked]

    def _find(self, stage: Stage, name: str, path: str | None, folder: str | None) -> File | None:
        directory = os.fsencode(os.path.join(self.root, folder or ""))
        path = path or self._pipeline.env.get("PATH")
        env = {b"PATH": os.fsencode(path) if path is not None else os.environb.get(b"PATH", b"")}
        found = self._environment.find(name, env, directory)
        if found is None:
            return None
        last = self.state.last(stage.id)
        try:
            whole = os.path.join(os.fsdecode(directory), os.fsdecode(found))
            return hash_program(whole, last.program if last is not None else None)
        except Unsound:
            return None


class _Known(Mapping):  # type: ignore[type-arg]
    """Files by path, of two collections: what many stages know is not copied for each."""

    def __init__(
        self, now: Mapping[str, File], before: Mapping[str, File], but: Callable[[str], bool] | None
    ) -> None:  # fmt: skip
        self._now = now
        self._before = before
        self._but = but

    def __getitem__(self, path: str) -> File:
        if self._but is not None and self._but(path):
            raise KeyError(path)
        file = self._now.get(path)
        return file if file is not None else self._before[path]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._before, **self._now})

    def __len__(self) -> int:
        return len(self._now) + len(self._before)


def _setting(pipeline: Pipeline, params: Mapping[str, str], versions: Mapping[str, str]) -> str:
    """Equal where all that a file says of its stages is equal, and what was said beside it."""
    from _blake2 import blake2b

    said = repr((__version__, pipeline.file, pipeline.digest, sorted(params.items()), sorted(versions.items())))
    return blake2b(said.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _are_these(globs: Sequence[str], found: list[str]) -> bool:
    """Whether the globs are but the names of these files: then no other can match."""
    if len(globs) != len(found):
        return False
    if len(globs) == 1:
        return globs[0] == found[0] and is_path(globs[0])
    return all(map(is_path, globs)) and sorted(globs) == found


def _holds(found: Sequence[str], path: str) -> bool:
    """Whether a path is among these, which are sorted."""
    at = bisect_left(found, path)
    return at < len(found) and found[at] == path


def unmatched(stage: Stage, seen: Seen) -> list[str]:
    return paths.unmatched(stage.inputs, [file.path for file in seen.inputs])


def output_globs(stage: Stage) -> list[str]:
    return [output.path for output in stage.outputs]


def shown(differences: Sequence[str]) -> str:
    """The first of them, for a reason."""
    more = len(differences) - SHOWN
    return ", ".join(differences[:SHOWN]) + (f" and {more} more" if more > 0 else "")
