"""The native format as one table: every key with its type, meaning and default. No checking, no reading.

`check` reads the table to judge a file and `schema` to print it, so the two cannot disagree. A key with
`built=False` is checked in shape, kept in `more`, and refused by `run` until a later part makes it work.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

#: The version this reader knows; every other one is refused.
VERSION = 1

#: Limits, each named in the message that refuses a file. They stand far above real pipelines (the largest public
#: ones have a few thousand jobs) and low enough that a hostile file is refused before it costs memory.
BYTES_MAX = 16 * 2**20
DEPTH_MAX = 100
ENTRIES_MAX = 100_000
NODES_MAX = 1_000_000
ALIASED_MAX = 1_000_000
STAGES_MAX = 100_000
EDGES_MAX = 1_000_000


class Scalar(NamedTuple):
    """One value. `kind` names a converter in `check`; `low` and `high` bound a number, both ends included."""

    kind: str
    low: int | None = None
    high: int | None = None


class Word(NamedTuple):
    choices: tuple[str, ...]


class ListOf(NamedTuple):
    item: Type
    least: int = 0


class MapOf(NamedTuple):
    """A mapping with keys of the user's: `names` says what they are (`environment variable`, `pool` …)."""

    value: Type
    names: str


class Record(NamedTuple):
    """A mapping with known keys. `one_of`: exactly one of these must be there. `others`: the user's own keys."""

    what: str
    keys: Mapping[str, Key]
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    others: MapOf | None = None


class Either(NamedTuple):
    """Which type holds is told by the shape that the user wrote."""

    scalar: Type | None = None
    list: Type | None = None
    map: Type | None = None


class Open(NamedTuple):
    """A mapping that is not looked into yet."""


Type = Scalar | Word | ListOf | MapOf | Record | Either | Open


class Key(NamedTuple):
    type: Type
    about: str
    default: str = ""
    built: bool = True


TEXT = Scalar("text")
VALUE = Scalar("value")
COMMAND = Scalar("command")
BOOL = Scalar("bool")
DURATION = Scalar("duration")
POSITIVE_DURATION = Scalar("duration", 1)
SIZE = Scalar("size", 1)
CPU = Scalar("cpu")
UNITS = Scalar("int", 1, 1_000_000)
TEXTS = ListOf(TEXT)
SOME_TEXTS = ListOf(TEXT, 1)
TEXT_OR_TEXTS = Either(TEXT, TEXTS)

FROM = Record(
    "value from elsewhere",
    {"from": Key(Scalar("output-of"), 'an output of an earlier stage, as `stages["build"].outputs.version`')},
    ("from",),
)

ENV = MapOf(VALUE, "environment variable")
STAGE_ENV = MapOf(Either(VALUE, map=FROM), "environment variable")

RETRY = Record(
    "retry",
    {
        "attempts": Key(Scalar("int", 1, 100), "attempts in total", "1"),
        "backoff": Key(DURATION, "wait before the second attempt", "0s"),
        "factor": Key(Scalar("number", 1, 100), "each later wait is the one before times this", "1"),
        "max": Key(DURATION, "longest wait"),
        "jitter": Key(Scalar("share"), "share by which a wait varies at random", "0%"),
        "only": Key(
            Either(Scalar("retry-reason"), ListOf(Scalar("retry-reason"))),
            "what is tried again: failure, error, timeout or `exit N`",
        ),
    },
)

TIMEOUT = Either(
    POSITIVE_DURATION,
    map=Record(
        "timeout",
        {
            "attempt": Key(POSITIVE_DURATION, "longest time of one attempt"),
            "stage": Key(POSITIVE_DURATION, "longest time of all attempts and the waits between them"),
            "queue": Key(POSITIVE_DURATION, "longest wait for capacity once the needs are done"),
        },
    ),
)

RESOURCES = Record(
    "resources",
    {
        "cpu": Key(CPU, "cores reserved, down to thousandths"),
        "memory": Key(SIZE, "memory reserved"),
        "pools": Key(MapOf(UNITS, "pool"), "units taken from named pools, all at once"),
    },
)

#: The keys of a matrix that are no axes.
MATRIX_KEYS: Mapping[str, Key] = {
    "exclude": Key(ListOf(MapOf(VALUE, "axis")), "cells left out"),
    "include": Key(ListOf(MapOf(VALUE, "axis")), "values added to cells, or further cells"),
    "max-parallel": Key(UNITS, "cells that run at once"),
    "fail-fast": Key(BOOL, "a failed cell cancels the others", "true"),
}
MATRIX = Record("matrix", MATRIX_KEYS, others=MapOf(ListOf(VALUE, 1), "axis"))

READY = Record(
    "ready check",
    {
        "tcp": Key(Scalar("port"), "ready when this port accepts"),
        "http": Key(TEXT, "ready when this address answers with 2xx"),
        "run": Key(COMMAND, "ready when this command succeeds"),
        "interval": Key(POSITIVE_DURATION, "time between checks"),
        "timeout": Key(POSITIVE_DURATION, "longest wait"),
    },
    one_of=("tcp", "http", "run"),
)

SERVICE = Record(
    "service",
    {
        "run": Key(COMMAND, "the command"),
        "cmd": Key(SOME_TEXTS, "the command as a list, without a shell"),
        "ready": Key(READY, "how to know that it can be used"),
        "on-death": Key(Word(("fail", "restart", "ignore")), "what its early end means", "fail"),
    },
    one_of=("run", "cmd"),
)

GATE = Record(
    "gate",
    {
        "prompt": Key(TEXT, "the question"),
        "approvers": Key(TEXTS, "who may answer: names, or groups of `approvers-file`; nobody named: who may write"),
        "approvers-file": Key(TEXT, "a YAML file of groups, each a list of names"),
        "self-approval": Key(BOOL, "whether who started the run may approve it", "true"),
        "quorum": Key(Scalar("int", 1, 100), "approvals needed", "1"),
        "timeout": Key(POSITIVE_DURATION, "how long to wait"),
        "default": Key(Word(("approve", "reject")), "the answer after that time", "reject"),
    },
)

GENERATE = Record(
    "generate",
    {
        "run": Key(COMMAND, "a command that writes stages to the file $STAGEBOOK_GENERATE"),
        "cmd": Key(SOME_TEXTS, "the command as a list, without a shell"),
        "python": Key(Scalar("function"), "a Python function"),
    },
    one_of=("run", "cmd", "python"),
)

STEP = Record(
    "step",
    {
        "run": Key(COMMAND, "the command"),
        "cmd": Key(SOME_TEXTS, "the command as a list, without a shell"),
        "python": Key(Scalar("function"), "a Python function"),
        "workers": Key(Scalar("workers"), "items worked on at once, or auto", "1"),
        "buffer": Key(
            Scalar("int", 0, 1_000_000), "items that may wait for this step; 0: handed over", "twice its workers"
        ),
        "ordered": Key(BOOL, "takes items in the order in which they came", "false"),
        "batch": Key(Scalar("int", 1, 100_000), "most items to one call", "1"),
        "workers-max": Key(Scalar("int", 1, 10_000), "most that `workers: auto` may come to; default: jobs"),
        "worker": Key(BOOL, "one long-lived process a slot", "false"),
        "retry": Key(RETRY, "attempts for each item"),
        "timeout": Key(POSITIVE_DURATION, "longest time of one item"),
        "resources": Key(RESOURCES, "what each running item reserves"),
        "env": Key(STAGE_ENV, "environment"),
    },
    one_of=("run", "cmd", "python"),
)

SPLIT = Record(
    "split",
    {
        "list": Key(COMMAND, "a command that prints the suite, a test a line"),
        "files": Key(Either(TEXT, SOME_TEXTS), "files of tests, from the stage's directory on, instead of a command"),
        "run": Key(COMMAND, "the command of each shard; its tests are in the file $STAGEBOOK_SPLIT, a line each"),
        "shards": Key(Scalar("int", 1, 1000), "parts that may run at once"),
        "report": Key(
            TEXT, "the JUnit file that each shard writes, from the stage's directory on; merged for the whole"
        ),
        "by": Key(Word(("test", "file")), "what is dealt: single tests, or files as a whole", "test"),
    },
    ("run", "shards"),
    one_of=("list", "files"),
)

EACH = Record(
    "each",
    {
        "items": Key(
            Record(
                "items",
                {
                    "glob": Key(TEXT, "files"),
                    "lines": Key(TEXT, "lines that a stage printed"),
                    "json": Key(TEXT, "a JSON list that a stage printed"),
                    "range": Key(ListOf(Scalar("bound"), 2), "whole numbers or dates, both ends included"),
                    "values": Key(SOME_TEXTS, "these texts"),
                    "param": Key(TEXT, "what a parameter names: `2026-01-01..2026-01-31`, `1..9` or `a, b`"),
                    "watch": Key(TEXT, "files closed or renamed into a directory"),
                    "until": Key(TEXT, "ends a watch"),
                },
                one_of=("glob", "lines", "json", "range", "values", "param", "watch"),
            ),
            "what is worked on",
        ),
        "on-item-failure": Key(Word(("stop", "skip", "dead-letter")), "what an item's failure means", "stop"),
        "steps": Key(ListOf(MapOf(Either(COMMAND, map=STEP), "step"), 1), "what is done with each item, in order"),
    },
    ("items", "steps"),
)

ISOLATE = Record(
    "isolate",
    {
        "workspace": Key(Word(("shared", "copy", "reflink", "worktree", "overlay")), "where it works", "shared"),
        "environment": Key(Word(("inherit", "clean")), "which variables it inherits", "inherit"),
        "limits": Key(Word(("reserve", "enforce")), "whether resources are limits too", "reserve"),
        "ports": Key(TEXTS, "free ports, handed down as STAGEBOOK_PORT_NAME"),
        "database": Key(
            Record(
                "database",
                {
                    "url": Key(TEXT, "the server"),
                    "per": Key(Word(("stage", "run")), "who gets one of its own", "stage"),
                    "schema": Key(TEXT, "schema"),
                },
            ),
            "a database or schema of its own",
        ),
        "container": Key(Either(TEXT, map=Open()), "a container image"),
        "namespaces": Key(TEXTS, "Linux namespaces"),
    },
)

KINDS = ("run", "cmd", "python", "gate", "service", "pipeline", "generate", "each", "split", "parallel", "sequence")
GROUPS = ("parallel", "sequence")

#: Keys that a stage and `defaults` share.
SHARED: Mapping[str, Key] = {
    "resources": Key(RESOURCES, "what it reserves"),
    "retry": Key(RETRY, "attempts"),
    "timeout": Key(TIMEOUT, "longest time of an attempt, or of attempt, stage and queue"),
    "grace": Key(DURATION, "time from TERM to KILL", "10s"),
    "priority": Key(Scalar("int", -1_000_000, 1_000_000), "a larger one starts first", "0"),
    "env": Key(STAGE_ENV, "environment variables"),
    "dir": Key(TEXT, "working directory, from the file's own"),
    "shell": Key(Word(("auto", "always", "bash")), "when a shell runs the command", "auto"),
    "allow-failure": Key(BOOL, "its failure is a warning", "false"),
    "retry-safe": Key(BOOL, "false: never a second time without a person saying so", "true"),
    "log-limit": Key(SIZE, "log kept; head and tail of anything longer"),
    "env-inputs": Key(TEXTS, "inherited variables that belong to the up-to-date key"),
    "requires": Key(MapOf(Scalar("versions"), "tool"), "tools and versions, checked before the run starts"),
    "isolate": Key(ISOLATE, "what it may touch", built=False),
    "secrets": Key(TEXTS, "names of the secrets that it is given"),
}

OUTPUT = Either(
    TEXT,
    map=Record(
        "output",
        {
            "path": Key(TEXT, "a path; with `ready: early` without wildcards"),
            "ready": Key(
                Word(("early", "end")), "early: as soon as the stage says `ready=PATH` in STAGEBOOK_OUTPUT", "end"
            ),
        },
        ("path",),
    ),
)

LOCK_MODE = Word(("exclusive", "shared"))

STAGE_KEYS: Mapping[str, Key] = {
    "run": Key(COMMAND, "a command"),
    "cmd": Key(ListOf(Either(VALUE, map=FROM), 1), "a command as a list, without a shell"),
    "python": Key(Scalar("function"), "a Python function, as module:function"),
    "gate": Key(GATE, "waits for a person"),
    "service": Key(SERVICE, "runs while others need it", built=False),
    "pipeline": Key(TEXT, "another pipeline's file", built=False),
    "generate": Key(GENERATE, "makes stages at run time"),
    "each": Key(EACH, "works through items"),
    "split": Key(SPLIT, "a test suite in parts"),
    "needs": Key(TEXT_OR_TEXTS, "stages, cells or groups that must be done before"),
    "join": Key(Word(("all", "any", "done")), "what the needs must have done", "all"),
    "always": Key(BOOL, "runs after success, failure, timeout and cancel", "false"),
    "matrix": Key(MATRIX, "one cell for each combination of values"),
    "locks": Key(
        MapOf(
            Either(
                LOCK_MODE,
                map=Record(
                    "lock",
                    {
                        "mode": Key(LOCK_MODE, "alone, or with others that share it", "exclusive"),
                        "machine": Key(BOOL, "holds across runs on this machine", "false"),
                    },
                ),
            ),
            "lock",
        ),
        "named things it holds",
    ),
    "duration": Key(POSITIVE_DURATION, "how long it takes, until history knows better"),
    "critical": Key(BOOL, "its failure fails a lenient run", "false"),
    "ordering": Key(
        Record("ordering", {"strict": Key(TEXT, "why this order must stay")}, ("strict",)),
        "an order that advice must not touch",
    ),
    "when": Key(TEXT, "a condition"),
    "changed": Key(TEXT_OR_TEXTS, "runs only if these files changed"),
    "inputs": Key(
        TEXT_OR_TEXTS,
        "files it reads, as globs from its folder on; whoever makes them is needed; `$MATRIX_NAME` is the cell's value",
    ),
    "outputs": Key(
        Either(TEXT, ListOf(OUTPUT)), "files it makes, as globs from its folder on; `$MATRIX_NAME` is the cell's value"
    ),
    "quarantine": Key(
        Record(
            "quarantine",
            {"owner": Key(TEXT, "who looks into it"), "until": Key(Scalar("date"), "last day")},
            ("owner", "until"),
        ),
        "known to be flaky: does not fail the run",
    ),
    **SHARED,
}

#: What can stand beside `gate`: all else is about running something.
BESIDE_GATE = frozenset(["gate", "needs", "join", "matrix", "critical", "ordering", "when", "changed", "allow-failure"])

STAGE = Record("stage", STAGE_KEYS, one_of=KINDS)
DEFAULTS = Record("defaults", {**SHARED, "env": Key(ENV, "environment variables")})

#: What other systems call our keys: the nearest word by letters would mislead.
ELSEWHERE: Mapping[str, str] = {
    "after": "needs",
    "command": "cmd",
    "condition": "when",
    "continue-on-error": "allow-failure",
    "cwd": "dir",
    "depends": "needs",
    "depends-on": "needs",
    "deps": "needs",
    "environment": "env",
    "if": "when",
    "jobs": "stages",
    "only-if": "when",
    "parameters": "params",
    "resource-group": "locks",
    "retries": "retry",
    "script": "run",
    "sh": "run",
    "strategy": "matrix",
    "tasks": "stages",
    "timeout-minutes": "timeout",
    "variables": "env",
    "vars": "env",
    "working-directory": "dir",
    "workdir": "dir",
}

#: Built apart, as it holds stages: a group's entries are read by `expand`.
GROUP_KEYS: Mapping[str, Key] = {
    "parallel": Key(ListOf(Open(), 1), "entries that run side by side"),
    "sequence": Key(ListOf(Open(), 1), "entries that run one after another"),
    "needs": STAGE_KEYS["needs"],
}
GROUP = Record("group", GROUP_KEYS, one_of=GROUPS)

OCCASION = Word(("failure", "recovery", "success", "gate", "sla-risk", "dead-letter", "cancel"))
NOTIFICATION = Record(
    "notification",
    {
        "to": Key(TEXT, "an address as apprise has them, or `$NAME` of a variable that holds one"),
        "command": Key(SOME_TEXTS, "a command, instead; it gets the message as JSON on its standard input"),
        "on": Key(Either(OCCASION, ListOf(OCCASION, 1)), "what is told", "[failure, recovery, gate]"),
        "name": Key(TEXT, "what it is called where it is spoken of"),
        "stages": Key(TEXT_OR_TEXTS, "only of stages whose ids match one of these globs"),
        "branches": Key(TEXT_OR_TEXTS, "only on branches that match one of these globs"),
        "secrets": Key(TEXTS, "names of the secrets that the command is given"),
    },
    one_of=("to", "command"),
)

PIPELINE_KEYS: Mapping[str, Key] = {
    "version": Key(Scalar("version"), "version of the format", "1"),
    "name": Key(TEXT, "the pipeline's name", "its folder's name"),
    "params": Key(
        MapOf(
            Record(
                "parameter",
                {"default": Key(VALUE, "value when none is given"), "choices": Key(ListOf(VALUE, 1), "values allowed")},
            ),
            "parameter",
        ),
        "parameters, handed to stages as PARAM_NAME",
    ),
    "env": Key(ENV, "environment variables of all stages"),
    "secrets": Key(
        ListOf(
            Either(
                TEXT,
                map=Record(
                    "secret",
                    {
                        "name": Key(TEXT, "its variable"),
                        "file": Key(TEXT, "file that holds it, from the file's own folder"),
                    },
                    ("name",),
                ),
            )
        ),
        "values that are masked wherever text leaves Stagebook, given only to stages that list them",
    ),
    "limits": Key(
        Record(
            "limits",
            {
                "jobs": Key(UNITS, "stages at once", "usable cores, at least 2"),
                "cpu": Key(CPU, "cores that stages reserve from"),
                "memory": Key(SIZE, "memory that stages reserve from"),
                "share": Key(Scalar("share"), "share of the limits that is used", "100%; 80% with a provider"),
                "stagger": Key(
                    Either(
                        DURATION,
                        map=Record(
                            "stagger",
                            {
                                "gap": Key(DURATION, "time between starts"),
                                "jitter": Key(Scalar("share"), "share by which it varies at random", "0%"),
                            },
                            ("gap",),
                        ),
                    ),
                    "time between starts",
                ),
                "starts": Key(Scalar("rate"), "starts in a time"),
                "provider": Key(TEXT, "a provider whose caps hold"),
            },
        ),
        "capacity of the run",
    ),
    "pools": Key(
        MapOf(
            Either(
                UNITS,
                map=Record(
                    "pool",
                    {
                        "size": Key(UNITS, "units"),
                        "rate": Key(Scalar("rate"), "units given out in a time"),
                        "machine": Key(BOOL, "holds across runs on this machine", "false"),
                        "in": Key(TEXT, "the pool that it is part of"),
                    },
                    ("size",),
                ),
            ),
            "pool",
        ),
        "named pools of units",
    ),
    "policy": Key(
        Either(
            Word(("strict", "lenient", "fail-fast")),
            ListOf(
                Record(
                    "policy",
                    {
                        "when": Key(TEXT, "a condition"),
                        "use": Key(Word(("strict", "lenient", "fail-fast")), "the policy"),
                    },
                    ("use",),
                ),
                1,
            ),
        ),
        "what a failed stage means",
        "strict",
    ),
    "timeout": Key(POSITIVE_DURATION, "longest time of the whole run"),
    "sla": Key(POSITIVE_DURATION, "the time in which a run should be over"),
    "defaults": Key(DEFAULTS, "keys for every stage that does not have its own"),
    "billing": Key(
        Record(
            "billing",
            {
                "model": Key(TEXT, "what is paid for, as `per-minute-job`"),
                "price": Key(Scalar("number", 0), "price of one unit"),
                "currency": Key(TEXT, "currency"),
                "provider": Key(TEXT, "a provider's table"),
                "runner": Key(TEXT, "runner in that table"),
            },
        ),
        "what running costs",
    ),
    "notify": Key(ListOf(NOTIFICATION), "who is told of what"),
    "stages": Key(Open(), "the stages: a mapping is ordered by `needs`, a list runs in order"),
}

PIPELINE = Record("pipeline", PIPELINE_KEYS, ("stages",))
