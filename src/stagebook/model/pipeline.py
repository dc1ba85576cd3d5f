"""A pipeline as every format becomes it: stages with ids, needs, demands and places. Nothing about files or time.

Groups, lists and matrices are already resolved here: `Pipeline.stages` is flat, in file order, one entry a matrix
cell, and `Stage.needs` holds ids of stages only. Durations are whole milliseconds, CPU is in thousandths of a core,
memory in bytes. What a later part of Stagebook makes work is kept, validated but not interpreted, in `more`,
and listed in `Pipeline.unbuilt` with its place.
"""

from __future__ import annotations

from stagebook.model.job import Grade, Job
from stagebook.model.problem import Problem
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

MEASURED = "measured"  #: the format of a pipeline that no file holds: its stages add themselves when they begin


class Retry(NamedTuple):
    """`attempts` is the total. `jitter` is a share (0.2 = ±20 %). `only` holds `timeout`, `exit N`, …; empty: any."""

    attempts: int = 1
    backoff_ms: int = 0
    factor: float = 1.0
    max_ms: int | None = None
    jitter: float = 0.0
    only: tuple[str, ...] = ()


class Timeouts(NamedTuple):
    attempt_ms: int | None = None
    stage_ms: int | None = None
    queue_ms: int | None = None


class Condition(NamedTuple):
    """An expression, and where its first character stands in the file. `language` is `cel`, or the name of the format
    that has its own."""

    text: str
    line: int = 0
    col: int = 0
    language: str = "cel"


class OutputOf(NamedTuple):
    """An output of an earlier stage, `stages["STAGE"].outputs.NAME`, as a value of `env` or `cmd`."""

    stage: str
    name: str


class Output(NamedTuple):
    """Files that a stage makes: a glob, from the pipeline's folder on. `early`: the stage announces it before it ends,
    by a line `ready=PATH` in `STAGEBOOK_OUTPUT`."""

    path: str
    early: bool = False


class Secret(NamedTuple):
    """A value that is masked wherever text leaves Stagebook: of the variable `name`, or what `file` holds (from the
    pipeline's folder on)."""

    name: str
    file: str | None = None
    line: int = 0  #: where it is declared
    is_one_of: bool = False  #: `file` has lines NAME=VALUE, and this is one of them


class Split(NamedTuple):
    """The part that one stage has in a suite that is split. `part` is `list` (it prints the suite, a test a line) or
    the number of a shard from 1 on, of `shards`. `report` and `files` are from the stage's directory on."""

    suite: str  #: the name of the whole, which is a group of its parts
    part: str
    shards: int
    report: str | None = None  #: the JUnit file that each shard writes, merged for all
    files: tuple[str, ...] = ()  #: globs of the files of tests, where no stage lists the suite
    by_file: bool = False  #: files are dealt as a whole

    @property
    def is_shard(self) -> bool:
        return self.part != "list"


class Resources(NamedTuple):
    """What a stage reserves. `pools` maps a pool's name to units."""

    cpu_milli: int = 0
    memory_bytes: int = 0
    pools: Mapping[str, int] = {}


class Gate(NamedTuple):
    """A person decides. Empty `approvers`: whoever may write to the run; else names, or groups of `approvers_file`
    (from the pipeline's folder on). `default` is the answer after `timeout_ms`."""

    prompt: str = ""
    approvers: tuple[str, ...] = ()
    approvers_file: str | None = None
    quorum: int = 1
    timeout_ms: int | None = None
    default: str = "reject"  #: approve or reject
    self_approval: bool = True  #: whether who started the run may approve it


class Items(NamedTuple):
    """Where the items of an `each` come from. `kind` is `glob` or `watch` (`text` is a pattern or a directory, from the
    stage's directory on), `lines` or `json` (`text` is the id of the stage that prints them), `range` (both ends are
    items), `series` (`text` is one, as `model.series` has it), `param` (`text` is the name of the parameter whose value
    is one) or `values` (`text` is a JSON list of texts)."""

    kind: str
    text: str = ""
    first: int = 0
    last: int = 0
    until: str | None = None  #: of a watch: the file in that directory whose arrival ends it


class Step(NamedTuple):
    """What is done with each item. `workers` items at once (0: `auto`, between 1 and `workers_max`), `batch` items to
    a call. At most `buffer` items wait for it (None: twice its workers)."""

    name: str
    line: int
    kind: str  #: run, cmd or python
    command: str | tuple[str, ...] = ""
    workers: int = 1
    workers_max: int | None = None
    buffer: int | None = None
    batch: int = 1
    ordered: bool = False  #: takes items in the order of the source
    worker: bool = False  #: one long-lived process a slot, which answers JSON lines
    retry: Retry = Retry()
    timeout_ms: int | None = None  #: of one call
    resources: Resources = Resources()
    env: Mapping[str, str] = {}


class Each(NamedTuple):
    items: Items
    steps: tuple[Step, ...]
    on_failure: str = "stop"  #: stop, skip or dead-letter


class Quarantine(NamedTuple):
    """Known to be flaky: `owner` looks into it, `until` (ISO 8601) is the last day on which it does not fail a run."""

    owner: str
    until: str

    def holds(self, today: str) -> bool:
        """`today` in ISO 8601."""
        return today <= self.until

    def said(self, today: str) -> str:
        """`quarantined: ops, until 2027-01-31`; `quarantine expired on 2026-01-31`."""
        if self.holds(today):
            return f"quarantined: {self.owner}, until {self.until}"
        return f"quarantine expired on {self.until}"


class Rate(NamedTuple):
    """At most so many in any stretch of time as long as the interval."""

    most: int
    interval_ms: int


class Pool(NamedTuple):
    """`machine`: its units are shared by all runs on this machine. `inside`: whoever takes from it takes as much from
    that pool too."""

    size: int
    rate: Rate | None = None
    machine: bool = False
    inside: str | None = None


class PolicyRule(NamedTuple):
    """`use` is the policy where `when` holds; None holds always."""

    use: str
    when: Condition | None = None


class Stage(NamedTuple):
    """One stage, or one cell of a matrix. `line` and `col` are where the user named it."""

    id: str
    name: str  #: the name without a cell's values
    line: int
    col: int
    kind: str  #: run, cmd, python, gate, service, pipeline, generate, each, split or job
    command: str | tuple[str, ...] = (
        ""  #: text of `run`, argv of `cmd`, `module:function` of `python`, all shell text of a job
    )
    needs: tuple[str, ...] = ()
    need_lines: tuple[int, ...] = ()  #: the line on which each need stands, or that makes it so
    join: str = "all"  #: all, any or done
    always: bool = False
    cell: Mapping[str, str] | None = None
    group: str | None = None  #: the innermost named group that holds it
    priority: int = 0
    resources: Resources = Resources()
    locks: Mapping[str, str] = {}  #: name to `exclusive` or `shared`
    when: Condition | None = None
    changed: tuple[str, ...] = ()  #: globs: it runs only if a file that matches one has changed
    quarantine: Quarantine | None = None
    retry: Retry = Retry()
    timeouts: Timeouts = Timeouts()
    grace_ms: int = 10_000
    duration_ms: int | None = None  #: declared
    env: Mapping[str, str] = {}
    env_from: Mapping[str, OutputOf] = {}  #: variables beside those of `env`
    cmd_from: Mapping[str, OutputOf] = {}  #: place in `command`, as text, to what stands there; the text is empty
    dir: str | None = None
    shell: str = "auto"  #: auto, always or bash
    critical: bool = False
    allow_failure: bool = False
    retry_safe: bool = True
    ordering: str | None = None  #: why this order must stay
    log_limit_bytes: int | None = None
    inputs: tuple[str, ...] = ()  #: globs of files that it reads, from the pipeline's folder on
    outputs: tuple[Output, ...] = ()
    via: Mapping[str, str] = {}  #: needs of which an input is an output: id to that path
    declared: tuple[str, ...] = ()  #: those of `via` that would be needs without it too
    early: tuple[str, ...] = ()  #: those of `via` that are done as soon as the outputs it reads are announced
    env_inputs: tuple[str, ...] = ()  #: inherited variables that belong to the up-to-date key
    requires: Mapping[str, str] = {}  #: tool to the versions that will do, as `>=20`
    secrets: tuple[str, ...] = ()  #: names of those of the pipeline's secrets that it is given
    split: Split | None = None
    gate: Gate | None = None
    each: Each | None = None
    generates: str | None = None  #: of a `generate`: how its command is started, as run, cmd or python
    made_by: str | None = None  #: the id of the stage that generated it
    job: Job | None = None  #: of a job of a CI system
    more: Mapping[str, Any] = {}  #: validated keys that a later part makes work


class Matrix(NamedTuple):
    """The cells of one matrix stage, by id."""

    cells: tuple[str, ...]
    max_parallel: int | None = None
    fail_fast: bool = True


class Param(NamedTuple):
    """`default` None means that a value must be given."""

    default: str | None = None
    choices: tuple[str, ...] = ()


class Limits(NamedTuple):
    """`share` is the part of jobs, cpu, memory and a provider's caps that is used, as a fraction. Between two starts
    lie at least `stagger_ms`, give or take the fraction `stagger_jitter` of it."""

    jobs: int | None = None
    cpu_milli: int | None = None
    memory_bytes: int | None = None
    share: float | None = None
    stagger_ms: int = 0
    stagger_jitter: float = 0.0
    starts: Rate | None = None
    provider: str | None = None


def _fits(globs: tuple[str, ...], text: str) -> bool:
    from stagebook.model.globs import Globs  # few pipelines tell anybody

    return text in globs or Globs(globs).first([text]) is not None


class Notify(NamedTuple):
    """Who is told of what. Either `to` (an address as apprise has them, or `$NAME` of a variable that holds one) or
    `command` (argv; it gets the message on its standard input). Empty `stages` and `branches` (globs): all.
    `secrets` are those that the command is given."""

    to: str = ""
    command: tuple[str, ...] = ()
    on: tuple[str, ...] = ("failure", "recovery", "gate")
    name: str = ""  #: what it is called where it is spoken of
    stages: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    line: int = 0

    @property
    def variable(self) -> str | None:
        """The variable that holds the address."""
        return self.to[1:] if self.to.startswith("$") else None

    def is_about(self, stage: str) -> bool:
        """Whether a stage is among those that are told of; a glob stands for a name with all its matrix cells."""
        return not self.stages or _fits(self.stages, stage) or _fits(self.stages, stage.partition("[")[0])

    def is_on(self, branch: str | None) -> bool:
        """Whether a branch is; where it is not known only one who is told of all."""
        return not self.branches or (branch is not None and _fits(self.branches, branch))


class Pipeline(NamedTuple):
    """A whole pipeline. `file` is absolute; `digest` is a hash of the file's bytes."""

    name: str
    file: str
    format: str
    digest: str
    stages: tuple[Stage, ...]
    params: Mapping[str, Param] = {}
    env: Mapping[str, str] = {}
    secrets: tuple[Secret, ...] = ()
    limits: Limits = Limits()
    pools: Mapping[str, Pool] = {}
    machine_locks: tuple[str, ...] = ()  #: locks that hold across runs on this machine
    policy: str = "strict"  #: strict, lenient or fail-fast
    policies: tuple[PolicyRule, ...] = ()  #: the first that holds goes before `policy`
    timeout_ms: int | None = None
    sla_ms: int | None = None
    groups: Mapping[str, tuple[str, ...]] = {}  #: named groups to the ids of all their stages
    matrices: Mapping[str, Matrix] = {}
    notify: tuple[Notify, ...] = ()
    problems: tuple[Problem, ...] = ()  #: warnings and notes of the file
    unbuilt: tuple[Problem, ...] = ()  #: keys that `run` refuses for now
    more: Mapping[str, Any] = {}
    defaults: Mapping[str, Any] = {}  #: of the file, as its reader has checked them, where stages are generated
    root: str | None = None  #: where stages run, if that is not the folder of the file
    files: Mapping[str, str] = {}  #: other files that it was made of, to the hashes of what they held
    context: Mapping[str, Any] = {}  #: what conditions of another language speak of and is known before a run, as JSON
    missing: tuple[Problem, ...] = ()  #: what it refers to and could not be read: no order is called needless then
    grades: tuple[Grade, ...] = ()  #: how much of each key of a CI system's file has a meaning here
    local: Mapping[str, Any] = {}  #: how a CI system's file was read and is to run here, as JSON: see `cli.foreign`

    @property
    def folder(self) -> str:
        """Where stages run."""
        return self.root if self.root is not None else self.file.rpartition("/")[0] or "/"
