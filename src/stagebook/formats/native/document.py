"""The whole document to a `Pipeline`: the keys beside `stages`, and what stages and they must agree on."""

from __future__ import annotations

from stagebook.formats.native import grammar
from stagebook.formats.native.check import BAD, RESERVED_ENV, Checker, env_name, found, is_newer
from stagebook.formats.native.expand import Expander
from stagebook.formats.native.nodes import Node, is_nameable, line_of, shorten
from stagebook.formats.native.stage import Setting, condition
from stagebook.model.pipeline import Limits, Notify, Param, Pipeline, PolicyRule, Pool, Rate, Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

_MORE = ("billing",)


def read_document(check: Checker, root: Node, name: str, digest: str) -> Pipeline | None:
    """The pipeline, or None where an error was noted. `name` is used where the file gives none."""
    if type(root[0]) is not dict:
        check.error(root[1], "type", f"a pipeline is a mapping with `stages`, not {found(root)}")
        return None
    entries = root[0]
    version_entry = entries.pop("version", None)
    if version_entry is not None:
        version = check.value(version_entry[1], grammar.PIPELINE_KEYS["version"].type, "version")
        if version is BAD and is_newer(version_entry[1][0]):
            return None  # all else in it may have another meaning
    stages_entry = entries.pop("stages", None)
    defaults_entry = entries.pop("defaults", None)
    values = check.keys(root, grammar.PIPELINE_KEYS)
    limits = _limits(values)
    pools = _pools(check, entries, values)
    params = _params(check, entries, values)
    setting = Setting({}, limits, pools, tuple(_names(entries.get("pools"))), _variables(params))
    secrets = setting.secrets = _secrets(check, entries, setting, values)
    if "env" in values:
        setting.clash(check, "pipeline", entries["env"][1], values["env"])
    if defaults_entry is not None:
        defaults = _defaults(check, defaults_entry[1], setting)
        setting = Setting(defaults, limits, pools, setting.known_pools, setting.variables)
        setting.secrets = secrets
    if stages_entry is None:
        check.error(root[1], "missing-key", "`stages` is missing")
        return None
    made = Expander(check, setting).expand(*stages_entry)
    told: tuple[Notify, ...] = ()
    if "notify" in entries:
        from stagebook.formats.native import notify

        told = notify.read(check, entries["notify"][1], values.get("notify"), made.stages, setting)
        secrets = notify.variables(told, secrets)
    if check.errors:
        return None
    policy = values.get("policy", "strict")
    policies: tuple[PolicyRule, ...] = ()
    if type(policy) is not str:
        policies = _policies(policy, entries["policy"][1])
        policy = "strict"
    more = {key: values[key] for key in _MORE if key in values}
    generates = any(stage.kind == "generate" for stage in made.stages)
    return Pipeline(
        name=values.get("name", name),
        file=check.file,
        format="native",
        digest=digest,
        stages=made.stages,
        params=params,
        env=values.get("env", {}),
        secrets=tuple(secrets.values()),
        limits=limits,
        pools=pools,
        machine_locks=made.machine_locks,
        policy=policy,
        policies=policies,
        timeout_ms=values.get("timeout"),
        sla_ms=values.get("sla"),
        groups=made.groups,
        matrices=made.matrices,
        notify=told,
        problems=tuple(sorted(check.warnings)),
        unbuilt=tuple(sorted(check.unbuilt)),
        more=more,
        defaults=setting.defaults if generates else {},
    )


def _defaults(check: Checker, node: Node, setting: Setting) -> dict[str, Any]:
    """What is wrong with `defaults` is said once here, not again for each stage."""
    if type(node[0]) is not dict:
        check.error(node[1], "type", f"defaults: a mapping expected, not {found(node)}")
        return {}
    check.subject = "`defaults`"
    for key in [each for each in node[0] if each in grammar.STAGE_KEYS and each not in grammar.SHARED]:
        check.error(node[0][key][0], "unknown-key", f"`{key}` cannot have a default; it stands with its stage")
    values = check.keys((_without(node[0]), node[1], False), grammar.DEFAULTS.keys)
    if "resources" in values:
        setting.demand(check, check.subject, node[0]["resources"][1], values["resources"])
    if "env" in values:
        setting.clash(check, check.subject, node[0]["env"][1], values["env"])
    if "secrets" in values:
        setting.known_secrets(check, check.subject, node[0]["secrets"][1])
    check.subject = ""
    return values


def _secrets(
    check: Checker, entries: Mapping[str, Any], setting: Setting, values: dict[str, Any]
) -> dict[str, Secret]:  # fmt: skip
    """The declared secrets by name. Each is a variable of its own: nothing else may set it."""
    found: dict[str, Secret] = {}
    for node in entries["secrets"][1][0] if "secrets" in values else ():
        record = node[0]
        name = record if type(record) is str else record["name"][1][0] if "name" in record else None
        if type(name) is not str or not name or name.isspace():
            continue  # which has been said
        why = None
        if not is_nameable(name) or "=" in name:
            why = "is no name for an environment variable"
        elif name in RESERVED_ENV or name.startswith("STAGEBOOK_"):
            why = "is set by Stagebook itself"
        elif name in setting.variables:
            why = f"is set by the parameter `{shorten(setting.variables[name])}`"
        elif name in found:
            why = f"is declared already, on line {found[name].line}"
        if why is not None:
            check.error(node[1], "secret", f"secrets: '{shorten(name)}' {why}")
        file = record["file"][1][0] if type(record) is dict and "file" in record else None
        found.setdefault(name, Secret(name, file, line_of(node[1])))
    return found


def _without(entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `defaults` but for keys that only a stage has."""
    return {key: entry for key, entry in entries.items() if key in grammar.SHARED or key not in grammar.STAGE_KEYS}


def _names(entry: Any) -> list[str]:
    return list(entry[1][0]) if entry is not None and type(entry[1][0]) is dict else []


def _variables(params: Mapping[str, Param]) -> dict[str, str]:
    return {"PARAM_" + env_name(name): name for name in params}


def _limits(values: dict[str, Any]) -> Limits:
    given = values.get("limits", {})
    stagger = given.get("stagger", 0)
    gap, jitter = (stagger["gap"], stagger.get("jitter", 0.0)) if type(stagger) is dict else (stagger, 0.0)
    starts = given.get("starts")
    return Limits(
        given.get("jobs"),
        given.get("cpu"),
        given.get("memory"),
        given.get("share"),
        gap,
        jitter,
        None if starts is None else Rate(*starts),
        given.get("provider"),
    )


def _policies(rules: list[Any], node: Node) -> tuple[PolicyRule, ...]:
    made = []
    for rule, (entries, _, _) in zip(rules, node[0]):
        when = condition(rule["when"], entries["when"][1]) if "when" in rule else None
        made.append(PolicyRule(rule["use"], when))
    return tuple(made)


def _pools(check: Checker, entries: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Pool]:
    """Pools by name; `in` names another pool and leads to no circle."""
    pools = values.get("pools", {})
    inside = {name: pool["in"] for name, pool in pools.items() if type(pool) is dict and "in" in pool}
    for name, outer in inside.items():
        place = entries["pools"][1][0][name][0]
        if outer not in pools:
            check.error(
                place,
                "unknown-pool",
                f"pool `{shorten(name)}` is in an unknown pool '{shorten(outer)}'{check.nearest(outer, pools)}",
            )
            continue
        steps = {name}
        while outer in inside and outer not in steps:
            steps.add(outer)
            outer = inside[outer]
        if outer in steps:
            check.error(place, "cycle", f"pool `{shorten(name)}` is part of itself through `in`")
    return {name: _pool(pool) for name, pool in pools.items()}


def _pool(given: Any) -> Pool:
    if type(given) is not dict:
        return Pool(given)
    rate = given.get("rate")
    return Pool(given["size"], None if rate is None else Rate(*rate), given.get("machine", False), given.get("in"))


def _params(check: Checker, entries: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Param]:
    params = {}
    seen: dict[str, str] = {}
    for name, given in values.get("params", {}).items():
        place = entries["params"][1][0][name][0]
        variable = "PARAM_" + env_name(name)
        other = seen.setdefault(variable, name)
        if other != name:
            message = f"params: `{shorten(other)}` and `{shorten(name)}` are both {variable} in the environment"
            check.error(place, "env-clash", message)
        default, choices = given.get("default"), tuple(given.get("choices", ()))
        if default is not None and choices and default not in choices:
            check.error(
                place, "value", f"parameter `{shorten(name)}`: its default '{shorten(default)}' is none of its choices"
            )
        params[name] = Param(default, choices)
    return params
