"""One stage's mapping or short text to a draft: its values as the model has them. No order, no other stages."""

from __future__ import annotations

from stagebook.formats.native import grammar
from stagebook.formats.native.check import BAD, Checker, env_name, found
from stagebook.formats.native.matrix import Cells, read_matrix
from stagebook.formats.native.nodes import Node, col_of, line_of, shorten
from stagebook.graph.intent import looks_like_deployment
from stagebook.model.pipeline import (
    Condition,
    Each,
    Gate,
    Limits,
    OutputOf,
    Pool,
    Quarantine,
    Resources,
    Retry,
    Secret,
    Timeouts,
)
from stagebook.model.quantity import size_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Collection, Mapping, Sequence, TypeAlias

_KINDS = frozenset(grammar.KINDS)
_SAID = ("run", "cmd", "python", "each", "needs", "matrix", "env")  # kept elsewhere by then
_MORE = frozenset(key for key, spec in grammar.STAGE_KEYS.items() if not spec.built)

#: Values shared by stages that say the same; most do, and a hundred thousand equal tuples would be most of the memory.
Shared: TypeAlias = "dict[Any, Any]"

_NO_RETRY, _NO_TIMEOUTS, _NO_RESOURCES = Retry(), Timeouts(), Resources()
_NOTHING: Mapping[str, Any] = {}


class Draft:
    """A stage before its needs and cells are known. `own_needs` is None where the user wrote none.

    `implied` are the drafts that its place in a list makes it wait for, `group_needs` what its groups say.
    `first` and `count` are its stages in the flat list. `sources` are the outputs of others that it is given, each
    with the place where it is asked for. `machine_locks` are those of its locks that hold across runs. `inputs` and
    `outputs` are the places of those in `fields`; where a path names a variable of the matrix, `of_cells` holds the
    paths of each cell by these keys.
    """

    __slots__ = (
        "name", "place", "kind", "command", "fields", "env", "env_from", "cmd_from", "sources", "machine_locks", "more",
        "own_needs", "implied", "group_needs", "group", "cells", "inputs", "outputs", "of_cells", "first", "count",
        "listed_by", "gate", "each", "items_of", "generates",
    )  # fmt: skip

    def __init__(self, name: str, place: int) -> None:
        self.name = name
        self.place = place
        self.kind = "run"
        self.command: str | tuple[str, ...] = ""
        self.fields: Mapping[str, Any] = _NOTHING
        self.env: Mapping[str, str] = _NOTHING
        self.env_from: Mapping[str, OutputOf] = _NOTHING
        self.cmd_from: Mapping[str, OutputOf] = _NOTHING
        self.sources: list[tuple[OutputOf, int]] = []
        self.machine_locks: tuple[str, ...] = ()
        self.more: Mapping[str, Any] = _NOTHING
        self.own_needs: list[tuple[str, int]] | None = None
        self.implied: list[Draft] = []
        self.group_needs: list[tuple[str, int]] = []
        self.group: str | None = None
        self.cells: Cells | None = None
        self.inputs: Sequence[int] = ()
        self.outputs: Sequence[int] = ()
        self.of_cells: Mapping[str, Sequence[tuple[Any, ...]]] = _NOTHING
        self.first = 0
        self.count = 1
        self.gate: Gate | None = None
        self.each: Each | None = None
        self.items_of: tuple[str, int] | None = None  #: the stage whose output the items are, and the place of its name
        self.generates: str | None = None
        self.listed_by: Draft | None = None  #: of the shards of a suite: what prints it


class Setting:
    """What the file says beside its stages, as far as a stage is held against it.

    `defaults` are the checked keys of that name, `env` is among them. `known_pools` also holds pools whose size
    is wrong; `variables` maps an environment variable to the parameter that sets it. `secrets` are by name.
    `has_files`: a stage has inputs or outputs.
    """

    __slots__ = ("defaults", "env", "has_files", "limits", "pools", "known_pools", "secrets", "variables", "shared")

    def __init__(
        self,
        defaults: dict[str, Any],
        limits: Limits,
        pools: Mapping[str, Pool],
        known_pools: Collection[str],
        variables: Mapping[str, str],
    ) -> None:
        self.defaults = defaults
        self.env: dict[str, str] = defaults.get("env", {})
        self.limits = limits
        self.pools = pools
        self.known_pools = known_pools
        self.variables = variables
        self.secrets: Mapping[str, Secret] = _NOTHING
        self.shared: Shared = {}
        self.has_files = False

    def demand(self, check: Checker, subject: str, node: Node, demand: Mapping[str, Any]) -> None:
        """A demand that can never be met is said now instead of waiting for ever. `node` is that of `resources`."""
        limits, entries = self.limits, node[0]
        if limits.cpu_milli is not None and demand.get("cpu", 0) > limits.cpu_milli:
            has = f"{demand['cpu'] / 1000:g} cores, the run has {limits.cpu_milli / 1000:g} (`limits.cpu`)"
            check.error(entries["cpu"][0], "demand", f"{subject} asks for {has}")
        if limits.memory_bytes is not None and demand.get("memory", 0) > limits.memory_bytes:
            has = f"{size_text(demand['memory'])}, the run has {size_text(limits.memory_bytes)} (`limits.memory`)"
            check.error(entries["memory"][0], "demand", f"{subject} asks for {has}")
        for pool, units in demand.get("pools", _NOTHING).items():
            if pool in self.pools and units > self.pools[pool].size:
                has = f"{units} of pool `{shorten(pool)}`, which has {self.pools[pool].size}"
                check.error(entries["pools"][1][0][pool][0], "demand", f"{subject} asks for {has}")
            elif pool not in self.known_pools:
                near = check.nearest(pool, self.known_pools)
                place = entries["pools"][1][0][pool][0]
                check.error(place, "unknown-pool", f"unknown pool '{shorten(pool)}' in {subject}{near}")

    def clash(self, check: Checker, subject: str, node: Node, env: Mapping[str, Any]) -> None:
        """A variable that a parameter or a secret sets as well. `node` is that of `env`."""
        for variable in env:
            if variable in self.variables:
                by = f"is set by the parameter `{shorten(self.variables[variable])}`"
                check.error(node[0][variable][0], "env-clash", f"{subject}: {shorten(variable)} in `env` {by}")
            elif variable in self.secrets:
                by = f"is a secret, declared on line {self.secrets[variable].line}; its value comes from there alone"
                check.error(node[0][variable][0], "env-clash", f"{subject}: {shorten(variable)} in `env` {by}")

    def known_secrets(self, check: Checker, subject: str, node: Node) -> None:
        """Names that the file declares. `node` is that of `secrets`."""
        for name, place, _ in node[0]:
            if type(name) is str and name and name not in self.secrets:
                near = check.nearest(name, self.secrets) or "; it is not in the `secrets` of the file"
                check.error(place, "unknown-secret", f"unknown secret '{shorten(name)}' in {subject}{near}")


def _split_env(env: Mapping[str, Any]) -> tuple[dict[str, str], Mapping[str, OutputOf]]:
    """Texts, and the values that are outputs of other stages."""
    texts = {name: value for name, value in env.items() if type(value) is str}
    if len(texts) == len(env):
        return texts, _NOTHING
    return texts, {name: OutputOf(*value["from"]) for name, value in env.items() if name not in texts}


def _asked_for(outputs: Mapping[str, OutputOf], node: Node) -> list[tuple[OutputOf, int]]:
    """Each output with the place in the file where it is asked for. `node` is that of `env` or `cmd`."""
    if type(node[0]) is list:
        return [(of, node[0][int(at)][1]) for at, of in outputs.items()]
    return [(of, node[0][name][1][1]) for name, of in outputs.items()]


def read_stage(check: Checker, name: str, place: int, node: Node, setting: Setting) -> Draft | None:
    """None where the stage has no usable command or matrix; what is wrong has been noted."""
    draft = Draft(name, place)
    if type(node[0]) is str:
        if not node[0]:
            check.error(node[1] if node[2] else place, "empty", f"stage `{shorten(name)}` is empty; write a command")
            return None
        command = check.text(node, "command", name)
        if command is BAD:
            return None
        draft.command = command
        values: dict[str, Any] = {}
    elif type(node[0]) is dict:
        check.subject = f"stage `{shorten(name)}`"
        values = check.keys(node, grammar.STAGE_KEYS)
        sound = _kind(check, draft, node, values, setting)
        if draft.gate is not None:
            _about_gate(check, draft.gate, node)
            values = {key: value for key, value in values.items() if key in grammar.BESIDE_GATE}
        _needs(draft, node)
        _agreements(check, draft, node, values, setting)
        if not sound or ("matrix" in node[0] and draft.cells is None):
            return None
    else:
        check.error(node[1], "type", f"stage `{shorten(name)}`: a command or a mapping expected, not {found(node)}")
        return None
    if "retry-safe" not in values and "retry-safe" not in setting.defaults:
        _deploy_mark(check, draft)
    _places(check, draft, node, values)
    if "inputs" in values or "outputs" in values:
        from stagebook.formats.native.files import read_files

        setting.has_files = True
        read_files(check, draft, node, values, values.get("dir", setting.defaults.get("dir")))
    _fill(draft, values, setting)
    return draft


def _places(check: Checker, draft: Draft, node: Node, values: dict[str, Any]) -> None:
    """Values of which it must be known later where in the file they stand."""
    if "when" in values:
        values["when"] = condition(values["when"], node[0]["when"][1])
    if "env" in values and (outputs := _split_env(values["env"])[1]):
        draft.sources = _asked_for(outputs, node[0]["env"][1])
    if draft.cmd_from:
        draft.sources = draft.sources + _asked_for(draft.cmd_from, node[0]["cmd"][1])


def condition(text: str, node: Node) -> Condition:
    """An expression with the place of its first character: after the quote, or below the `|` of a block."""
    line, col = line_of(node[1]), col_of(node[1])
    if node[2]:
        return Condition(text, line, col)
    return Condition(text, line + 1, 1) if "\n" in text else Condition(text, line, col + 1)


def _agreements(check: Checker, draft: Draft, node: Node, values: dict[str, Any], setting: Setting) -> None:
    """What the keys of a stage, and they and the rest of the file, must agree on."""
    entries, subject = node[0], check.subject
    if "matrix" in values:
        draft.cells = read_matrix(check, draft.place, entries["matrix"][1], values["matrix"])
        if draft.cells is not None:
            draft.count = len(draft.cells.cells)
            if "env" in values:
                _matrix_env(check, draft.cells, entries["env"][1], values["env"], subject)
            if setting.secrets:
                _matrix_secrets(check, draft.cells, entries["matrix"][0], setting.secrets, subject)
    unsafe = values.get("retry-safe", setting.defaults.get("retry-safe")) is False
    if unsafe and "retry" in values and values["retry"].get("attempts", 1) > 1:
        said = f"{subject} is `retry-safe: false` and cannot have `retry` with more than one attempt"
        check.error(entries["retry"][0], "retry-safe", said)
    if "resources" in values:
        setting.demand(check, subject, entries["resources"][1], values["resources"])
    if (setting.variables or setting.secrets) and "env" in values:
        setting.clash(check, subject, entries["env"][1], values["env"])
    if "secrets" in values:
        setting.known_secrets(check, subject, entries["secrets"][1])


def _kind(check: Checker, draft: Draft, node: Node, values: dict[str, Any], setting: Setting) -> bool:
    there = [key for key in node[0] if key in _KINDS]
    if not check.exactly_one(draft.place, there, grammar.KINDS, check.subject):
        return False
    kind = there[0]
    draft.kind = kind
    if kind not in values:
        return False
    command = values[kind]
    if kind == "run" or kind == "python":
        draft.command = command
    elif kind == "split":
        draft.command = command["run"]
    elif kind == "gate":
        draft.gate = _gate(command)
    elif kind == "each":
        from stagebook.formats.native.each import read_each

        draft.each = read_each(check, draft, node, values, setting)
        return draft.each is not None
    elif kind == "generate":
        draft.generates = next(key for key in ("run", "cmd", "python") if key in command)
        given = command[draft.generates]
        draft.command = given if type(given) is str else tuple(given)
    elif kind == "cmd":
        draft.command = tuple(each if type(each) is str else "" for each in command)
        if not all(type(each) is str for each in command):
            draft.cmd_from = {
                str(at): OutputOf(*each["from"]) for at, each in enumerate(command) if type(each) is not str
            }
        if not draft.command or (type(command[0]) is str and not command[0]):
            check.error(node[0]["cmd"][0], "empty", "cmd: its first entry names the program and is empty")
            return False
    return True


def _gate(given: Mapping[str, Any]) -> Gate:
    return Gate(
        given.get("prompt", ""),
        tuple(dict.fromkeys(given.get("approvers", ()))),
        given.get("approvers-file"),
        given.get("quorum", 1),
        given.get("timeout"),
        given.get("default", "reject"),
        given.get("self-approval", True),
    )


_NOT_AT_GATE = {
    "timeout": "how long it asks is `timeout` inside `gate`",
    "always": "to ask whatever its needs came to, say `join: done`",
    "retry-safe": "say it of the stage that waits for it",
}


def _about_gate(check: Checker, gate: Gate, node: Node) -> None:
    """Keys beside a gate that mean something only where a command runs, and keys in it that need others."""
    for key, (place, _) in node[0].items():
        if key in grammar.STAGE_KEYS and key not in grammar.BESIDE_GATE and key not in _KINDS:
            hint = _NOT_AT_GATE.get(key, "put it on the stage that waits for it, or take it out")
            check.error(place, "gate", f"{check.subject} is a gate and runs nothing, so `{key}` says nothing; {hint}")
    place, inner = node[0]["gate"]
    said = inner[0] if type(inner[0]) is dict else {}
    if "default" in said and gate.timeout_ms is None:
        text = "the `default` answer is for the time after `timeout`, which is missing"
        check.error(said["default"][0], "gate", f"{check.subject}: {text}")
    if gate.approvers_file is not None and not gate.approvers:
        text = "`approvers-file` is read for the groups that `approvers` names, which is missing"
        check.error(said["approvers-file"][0], "gate", f"{check.subject}: {text}")
    if gate.approvers and gate.approvers_file is None and gate.quorum > len(gate.approvers):
        text = f"{gate.quorum} approvals are needed and only {len(gate.approvers)} can approve"
        check.error(said["quorum"][0], "gate", f"{check.subject}: {text}")


def _needs(draft: Draft, node: Node) -> None:
    entry = node[0].get("needs")
    if entry is None:
        return
    needs = entry[1]
    if type(needs[0]) is str:
        draft.own_needs = [(needs[0], needs[1])] if needs[0] else []
    elif type(needs[0]) is list:
        draft.own_needs = [(each[0], each[1]) for each in needs[0] if type(each[0]) is str and each[0]]


def _matrix_env(check: Checker, cells: Cells, node: Node, env: Mapping[str, Any], subject: str) -> None:
    """A variable that both `env` and the matrix set."""
    for axis in dict.fromkeys(axis for cell in cells.cells for axis in cell):
        variable = "MATRIX_" + env_name(axis)
        if variable in env:
            said = f"{subject}: {shorten(variable)} in `env` is set by its matrix"
            check.error(node[0][variable][0], "env-clash", said)


def _matrix_secrets(
    check: Checker, cells: Cells, place: int, secrets: Mapping[str, Secret], subject: str
) -> None:  # fmt: skip
    """A variable that is a secret and that the matrix sets."""
    for axis in dict.fromkeys(axis for cell in cells.cells for axis in cell):
        if "MATRIX_" + env_name(axis) in secrets:
            check.error(place, "env-clash", f"{subject}: MATRIX_{env_name(axis)} is a secret, and set by its matrix")


def _deploy_mark(check: Checker, draft: Draft) -> None:
    if looks_like_deployment(draft.name) and draft.kind in ("run", "cmd", "python"):
        hint = "say `retry-safe: false`, or true if it may run twice"
        message = f"stage `{shorten(draft.name)}` looks like a deployment; {hint}"
        check.warn(draft.place, "retry-safe", message)


def _fill(draft: Draft, values: dict[str, Any], setting: Setting) -> None:
    """Defaults under the stage's own values, and both as the model has them."""
    env, env_from = _split_env(values["env"]) if "env" in values else (_NOTHING, _NOTHING)
    defaults, shared = setting.defaults, setting.shared
    if draft.gate is not None:
        defaults = {key: value for key, value in defaults.items() if key in grammar.BESIDE_GATE}
    if defaults:
        if values.get("retry-safe", defaults.get("retry-safe")) is False and "retry" not in values:
            values["retry"] = {}
        values = {**(_of_each(defaults) if draft.each is not None else defaults), **values}
        env = {**{name: text for name, text in setting.env.items() if name not in env_from}, **env}
    draft.env = env
    draft.env_from = env_from
    if not values:
        return
    draft.fields = values
    if "retry" in values:
        values["retry"] = made_retry(values["retry"], shared)
    if "timeout" in values:
        values["timeout"] = _timeouts(values["timeout"], shared)
    if "resources" in values:
        values["resources"] = made_resources(values["resources"], shared)
    if "changed" in values:
        changed = values["changed"]
        values["changed"] = (changed,) if type(changed) is str else tuple(changed)
    if "secrets" in values:
        values["secrets"] = tuple(dict.fromkeys(values["secrets"]))
    if "env-inputs" in values:
        values["env-inputs"] = tuple(values["env-inputs"])
    if "quarantine" in values:
        values["quarantine"] = Quarantine(values["quarantine"]["owner"], values["quarantine"]["until"])
    if "locks" in values and not all(type(lock) is str for lock in values["locks"].values()):
        draft.machine_locks = tuple(
            name for name, lock in values["locks"].items() if type(lock) is dict and lock.get("machine")
        )
        values["locks"] = {
            name: lock if type(lock) is str else lock.get("mode", "exclusive") for name, lock in values["locks"].items()
        }
    more = {key: values[key] for key in values.keys() & _MORE} if not _MORE.isdisjoint(values) else {}
    if more:
        draft.more = dict(sorted(more.items()))
        values = draft.fields = {key: value for key, value in values.items() if key not in more}
    for key in _SAID:
        values.pop(key, None)


def _of_each(defaults: dict[str, Any]) -> dict[str, Any]:
    """What of the defaults is for an `each` itself; the rest is for its steps."""
    return {key: value for key, value in defaults.items() if key not in ("retry", "resources", "timeout")}


def made_retry(value: Any, shared: Shared) -> Retry:
    if isinstance(value, Retry):
        return value
    only = value.get("only", ())
    retry = Retry(
        value.get("attempts", 1),
        value.get("backoff", 0),
        value.get("factor", 1.0),
        value.get("max"),
        value.get("jitter", 0.0),
        (only,) if type(only) is str else tuple(only),
    )
    made: Retry = shared.setdefault(retry, retry)
    return made


def _timeouts(value: Any, shared: Shared) -> Timeouts:
    if isinstance(value, Timeouts):
        return value
    if type(value) is dict:
        timeouts = Timeouts(value.get("attempt"), value.get("stage"), value.get("queue"))
    else:
        timeouts = Timeouts(value)
    made: Timeouts = shared.setdefault(("timeouts", timeouts), timeouts)
    return made


def made_resources(value: Any, shared: Shared) -> Resources:
    if isinstance(value, Resources):
        return value
    pools = value.get("pools", _NOTHING)
    key = (value.get("cpu", 0), value.get("memory", 0), tuple(pools.items()))
    made: Resources = shared.setdefault(("resources", key), Resources(key[0], key[1], pools))
    return made
