"""The lines of a journal as one table: each event with its keys, what they hold and mean. Reads and writes nothing.

`schema` makes a JSON Schema of it, for lines of a journal and for those of `logs --format json`; the page about the
journal is made from it too, so that neither can say what is not so.
"""

from __future__ import annotations

from stagebook.model.outcome import OUTCOMES
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


class Key(NamedTuple):
    """`kind` is a JSON type or a name of `_KINDS`, with `?` where it may be null; `about` may be empty."""

    kind: str
    about: str = ""
    required: bool = True


class Event(NamedTuple):
    """`whom`: whether it names a `stage`, or a stage and an `attempt`."""

    says: str
    keys: Mapping[str, Key] = {}
    whom: str = ""
    note: str = ""  #: of all its keys, for the page


_KINDS: dict[str, dict[str, Any]] = {
    "texts": {"type": "array", "items": {"type": "string"}},
    "outcome": {"enum": sorted(OUTCOMES)},
    "outputs": {
        "type": "array",
        "items": {
            "type": "array",
            "prefixItems": [{"type": "string"}, {"type": "integer"}, {"type": "string"}],
            "minItems": 3,
        },
    },
    "calls": {"type": "array", "items": {"type": "array", "minItems": 5}},
    "usage": {
        "type": "object",
        "properties": {
            **{name: {"type": ["number", "null"]} for name in ("cpu_user_s", "cpu_system_s")},
            **{
                name: {"type": ["integer", "null"]}
                for name in ("max_rss_bytes", "read_bytes", "write_bytes", "ctx_voluntary", "ctx_involuntary")
            },
            "method": {"enum": ["cgroup", "wait4", "sampled"]},
            "max_rss_method": {"enum": ["cgroup", "wait4", "sampled", None]},
        },
        "required": ["cpu_user_s", "cpu_system_s", "max_rss_bytes", "read_bytes", "write_bytes", "method"],
        "additionalProperties": False,
    },
}

_OUTCOME = Key("outcome")
_REASON = Key("string?")
_LATER = "only of one that waited and never had a process"

EVENTS: dict[str, Event] = {
    "run.started": Event(
        "first line, once",
        {
            "pipeline": Key("string"),
            "mode": Key("string"),
            "jobs": Key("integer"),
            "policy": Key("string"),
            "stages": Key("integer", "how many"),
            "file": Key("string"),
            "format": Key("string"),
            "rules": Key("integer?", "the version of the scheduler's rules; 1 if it is not there", False),
            "experiment": Key("string?", "whose run it is, only of one that an experiment began", False),
            "imported": Key(
                "object",
                "only of a run that another system recorded: `system`, `id`, `attempt`, `url`, `event`, `workflow`, "
                "and `whole`, false if jobs of it are missing",
                False,
            ),
            "boot": Key("string?"),
            "pid": Key("integer?"),
            "accounting": Key("string", required=False),
            "params": Key("object", required=False),
            "critical": Key("texts", "the stages that alone decide a lenient run"),
            "critical_by": Key("string?", "what chose them", False),
            "jobs_because": Key("string?", required=False),
            "policy_because": Key("string?", "where these come from, if not from a plain word", False),
            "digest": Key("string", "of the file"),
            "by": Key("string?", "login name of who began it", False),
            "commit": Key("string?", "of the work tree that the file lies in", False),
            "branch": Key("string?", required=False),
            "traceparent": Key("string?", "of whoever began the run (W3C)", False),
            "boottime_us": Key("number?", "only of a measured run", False),
            "key": Key("string?", "of a measured run: what the user or the CI system calls it", False),
            "choice": Key("object", "what was asked for, durations and seed included"),
            "plan": Key("object", "the pipeline as it was read"),
        },
    ),
    "stages.added": Event(
        "the run has more stages than before: `stage` has generated them, or they have come up in a measured run",
        {
            "plan": Key("object", "they alone, as in the first line"),
            "edges": Key("string", "`needs` or `order` (their needs are the measured order)"),
            "critical": Key("texts", "those of them that alone decide a lenient run", False),
        },
        "stage",
    ),
    "stage.started": Event(
        "the process of an attempt exists",
        {
            "pid": Key("integer?", "null where another system ran it"),
            "start": Key("integer?", "its start time as the kernel counts it, null unknown"),
            "ready": Key("number?", "seconds, when its needs were done or its backoff over", False),
            "waited": Key(
                "string?",
                "what it waited for then: `slot`, `cpu`, `memory`, `pool:NAME`, `lock:NAME` and others, or null",
                False,
            ),
            "log": Key("string?", "file name in `logs/`", False),
        },
        "attempt",
    ),
    "stage.exited": Event(
        "that attempt will never report again",
        {
            "outcome": _OUTCOME,
            "reason": Key("string?", "`interrupted`: its end is unknown"),
            "exit": Key("integer?"),
            "signal": Key("integer?"),
            "usage": Key("usage?", required=False),
            "around": Key("object", required=False),
            "steps": Key(
                "array",
                "of a job of a CI system its steps: name, outcome, and seconds from when to when, or null",
                False,
            ),
            "warnings": Key("texts", required=False),
            "ready": Key("number?", _LATER, False),
            "waited": Key("string?", _LATER, False),
            "final": Key("boolean", "true if another attempt would come to the same, so that there is none", False),
        },
        "attempt",
    ),
    "stage.ended": Event(
        "the stage is over",
        {
            "outcome": _OUTCOME,
            "reason": _REASON,
            "flaky": Key("boolean"),
            "ready": Key("number?", "only of one that could have started and never did", False),
            "queue_max": Key("array", "of one with items, the most that were queued before each step", False),
        },
        "stage",
    ),
    "items.ready": Event(
        "the source of a stage's items has more",
        {
            "more": Key("integer", "how many, numbered on; what they are stands in `items/` of the run"),
            "position": Key("integer", "in the source, up to which it is read"),
            "skipped": Key("integer", "how many others are up to date, and have no number", False),
            "last": Key("boolean", "true if no other will come", False),
        },
        "stage",
    ),
    "items.done": Event(
        "calls of steps are over, many in one line",
        {
            "calls": Key(
                "calls",
                "of each the number of the step and of the slot from 0, the items as `17-19,42`, its time and CPU time "
                "in µs, and of items that went wrong number, outcome, exit and reason",
            ),
            "queue_max": Key("array", "the most that were queued before each step so far", False),
        },
        "stage",
    ),
    "items.dead": Event(
        "an item is not tried again",
        {
            "step": Key("integer", "its number, from 0"),
            "item": Key("integer"),
            "outcome": _OUTCOME,
            "exit": Key("integer?"),
            "reason": _REASON,
            "text": Key("string?", "what the item is, at most 200 characters", False),
        },
        "stage",
    ),
    "items.workers": Event(
        "a step with `workers: auto` has another number of workers from now on",
        {"step": Key("integer", "its number, from 0"), "workers": Key("integer"), "reason": Key("string", "why")},
        "stage",
    ),
    "items.lot": Event(
        "from now on a call of a step whose processes stay has up to so many items, which are answered one by one",
        {"step": Key("integer", "its number, from 0"), "lot": Key("integer")},
        "stage",
    ),
    "output.published": Event(
        "outputs of an attempt may be used: they are hashed, and everything before this line is on disk",
        {
            "outputs": Key("outputs", "path, size in bytes and BLAKE3 of each, at most 1000", False),
            "count": Key("integer", "of all, where they are more", False),
            "digest": Key("string", "of all", False),
            "early": Key("boolean", "true if the attempt goes on", False),
            "dependents": Key("texts", "stages whose need of it is met by this", False),
        },
        "attempt",
    ),
    "usage": Event("what an attempt has used so far", {}, "attempt"),
    "timer.fired": Event("a time that was set is reached", {"timer": Key("string")}),
    "run.cancel": Event(
        "somebody asked to stop the run, or with `stage` that stage",
        {
            "why": Key("string", "`SIGINT`, `SIGTERM`, `SIGHUP` or `cancel`"),
            "pending": Key(
                "boolean",
                "true if no engine held the run: the next one takes it up, and says so again without `pending`",
                False,
            ),
        },
        "stage?",
    ),
    "condition.judged": Event(
        "the condition of a stage was evaluated, and whether its inputs and outputs are up to date",
        {
            "verdict": Key("string", "`run`, `skip` or `error`"),
            "reason": Key("string?", "of a stage with inputs that runs, what has changed"),
        },
        "stage",
    ),
    "lease.taken": Event("the stage holds what it shares with other runs", {}, "stage"),
    "lease.refused": Event(
        "another run has it, or stands before it in the line", {"by": Key("string", "who")}, "stage"
    ),
    "lease.freed": Event("it may be had now: the stage tries again", {}, "stage"),
    "machine.short": Event(
        "the machine is short, or (`reason` null) is so no longer",
        {
            "reason": _REASON,
            "memory_free_bytes": Key("integer?"),
            "holds_all": Key("boolean", "whether everything is held while something runs"),
        },
    ),
    "run.resumed": Event(
        "a new engine goes on",
        {
            "boot": Key("string?"),
            "pid": Key("integer"),
            "waits_again": Key("texts", "stages whose ends no longer hold", False),
            "takes_back": Key("boolean", "false: a cancelled run is led to its end, all ends stand", False),
            "plan": Key("object", "by a changed file, with the keys that follow", False),
            "digest": Key("string", required=False),
            "critical": Key("texts", required=False),
            "critical_by": Key("string?", required=False),
            "kept": Key("object", "ends that stand", False),
            "begun": Key("object", "attempts so far", False),
        },
    ),
    "gate.asked": Event(
        "a person is asked at a gate: this, and nothing else, is what an answer is about",
        {
            "nonce": Key("string", "128 random bits, new for each question"),
            "expires": Key("string?", "wall clock, when the default answer holds"),
            "digest": Key("string", "of the file"),
            "artifacts": Key("outputs", "what the stages before it have published"),
            "inputs": Key("outputs?", "what else stages read that go on by it; null: it is not bound", False),
            "whole": Key("texts", "declared outputs; nothing else may match them than `artifacts`", False),
            "green": Key("texts", "stages that had succeeded"),
            "ready_ms": Key("integer", "milliseconds, when its needs were done"),
        },
        "stage",
    ),
    "gate.vote": Event(
        "a person has voted at a gate",
        {
            "ballot": Key("string", "a random number, by which whoever voted finds the line"),
            "by": Key("string", "login name"),
            "approved": Key("boolean"),
            "comment": Key("string?"),
            "accepted": Key("boolean", "whether it counts"),
            "code": Key("string?", "a word for why it does not"),
            "reason": Key("string?", "the same for people"),
            "from": Key("object", "`via`, `uid`, `host`, `tty`"),
            "nonce": Key("string", "of the question that the person was shown"),
            "decides": Key("boolean", "whether the gate is decided by it"),
            "audit": Key("string?", "hash of its entry in the chain that `stagebook audit` checks"),
        },
        "stage",
    ),
    "gate.answered": Event(
        "a gate is decided; or a person has said what a stage is that has begun and is not `retry-safe`",
        {
            "approved": Key("boolean", "at a gate", False),
            "reason": Key("string?", "at a gate: who decided, and what they said", False),
            "rerun": Key("boolean", "else: true to run it again, false if it is done", False),
        },
        "stage",
    ),
    "gate.held": Event(
        "a stage is about to start by what was approved at gates, and all that was shown there is as it was",
        {"gates": Key("texts")},
        "stage",
    ),
    "gate.void": Event(
        "what was approved at a gate is not what lies there any more: the approval does not count, it is asked anew",
        {
            "for": Key("string", "the stage that was about to start by it"),
            "changed": Key("texts", "files, at most 20"),
            "reason": Key("string", "the same for people"),
            "audit": Key("string?", "hash of its entry in the chain that `stagebook audit` checks"),
        },
        "stage",
    ),
    "run.ended": Event(
        "the run is over",
        {
            "outcome": _OUTCOME,
            "reason": _REASON,
            "wall_s": Key("number?"),
            "critical_path": Key("texts"),
            "critical_path_s": Key("number?"),
            "max_parallel": Key("integer"),
            "sum_s": Key("number?"),
            "did": Key("object", "how much was done, and how much need not be", False),
            "cpu_s": Key("number?"),
            "effective_parallel": Key("object"),
            "bound_by": Key("string?"),
            "waiting_by": Key("object"),
            "waiting_for_needs_s": Key("number?"),
            "waiting_for_person_s": Key("number?", "while nothing else went on", False),
            "skipped_by_conditions": Key("any"),
            "clock_jump_s": Key("number?"),
            "around": Key("object?"),
            "warnings": Key("texts"),
        },
        note="the sums of the run are those of [JSON](json.md)",
    ),
    "journal.synced": Event(
        "everything before this line is safe on disk",
        {"clock_jump_s": Key("number", "if the wall clock was set meanwhile", False)},
    ),
}

_STAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}\+00:00$"
_RUN = {"type": "string", "description": "id of the run, a ULID: it sorts by time"}
_T = {"type": "number", "description": "seconds since the run began; after a resume it goes on, never back"}
_AT = {"type": "string", "pattern": _STAMP, "description": "the wall clock then, ISO 8601 in UTC"}
_ATTEMPT = {"type": "integer", "minimum": 1}
_COMMON: dict[str, dict[str, Any]] = {
    "v": {"const": 1, "description": "version of the format"},
    "seq": {"type": "integer", "minimum": 1, "description": "number of the line, from 1, without gaps"},
    "batch": {"type": "integer", "minimum": 1, "description": "lines of one number were decided on together"},
    "run": _RUN,
    "t": _T,
    "at": _AT,
}


def journal() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) of one line of a journal."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "a line of a Stagebook journal",
        "type": "object",
        "required": [*_COMMON, "event", "crc"],
        "properties": {"event": {"enum": list(EVENTS)}},
        "oneOf": [_line(name, event) for name, event in EVENTS.items()],
    }


def log() -> dict[str, Any]:
    """A JSON Schema of one line of `logs --format json`."""
    properties: dict[str, Any] = {
        "run": _RUN,
        "stage": {"type": "string"},
        "attempt": _ATTEMPT,
        "t": _T,
        "at": _AT,
        "text": {"type": "string", "description": "a line that the stage printed, without its end"},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "a line of stagebook logs --format json",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _line(name: str, event: Event) -> dict[str, Any]:
    properties: dict[str, Any] = {**_COMMON, "event": {"const": name, "description": event.says}}
    required = []
    if event.whom:
        properties["stage"] = {"type": "string"}
    if event.whom == "attempt":
        properties["attempt"] = _ATTEMPT
    if event.whom in ("stage", "attempt"):
        required.append("stage")
    properties.update({key: _of(spec) for key, spec in event.keys.items()})
    required += [key for key, spec in event.keys.items() if spec.required]
    properties["crc"] = {"type": "string", "pattern": "^[0-9a-f]{8}$", "description": "CRC-32 of all before it"}
    closed = {} if name == "usage" else {"additionalProperties": False}
    return {"properties": properties, "required": required, **closed}


def _of(key: Key) -> dict[str, Any]:
    kind = key.kind.removesuffix("?")
    described = {"description": key.about} if key.about else {}
    if kind == "any":
        return described
    made = _KINDS.get(kind) or {"type": kind}
    if key.kind.endswith("?"):
        made = {"anyOf": [made, {"type": "null"}]} if kind in _KINDS else {"type": [kind, "null"]}
    return {**described, **made}


def table() -> str:
    """The events as a table in Markdown."""
    rows = ["| event | says | further keys |", "|---|---|---|"]
    for name, event in EVENTS.items():
        whom = {"stage": "`stage`", "attempt": "`stage`, `attempt`", "stage?": ""}.get(event.whom, "")
        keys = [f"`{key}`" + (f" ({spec.about})" if spec.about else "") for key, spec in event.keys.items()]
        said = ", ".join([whom, *keys] if whom else keys) + (f"; {event.note}" if event.note else "")
        rows.append(f"| `{name}` | {event.says} | {said} |")
    return "\n".join(rows)
