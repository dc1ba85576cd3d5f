"""The grammar's table as a JSON Schema (draft 2020-12), for editors and independent validators. Judges nothing.

A schema sees one value at a time: unknown needs, cycles, clashing names and demands are for `check` and `expand`.
"""

from __future__ import annotations

from stagebook.formats.native import grammar
from stagebook.formats.native.grammar import Either, Key, ListOf, MapOf, Record, Scalar, Type, Word
from stagebook.model import quantity, versions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

_FILLED = {"type": "string", "pattern": r"\S"}
_PORT = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 65535}, {"type": "string", "pattern": ":[0-9]{1,5}$"}]}

_SCALARS: dict[str, dict[str, Any]] = {
    "text": {"anyOf": [_FILLED, {"type": ["number", "boolean"]}]},
    "value": {"type": ["string", "number", "boolean", "null"]},
    "command": {"anyOf": [{**_FILLED, "not": {"pattern": r"\$\{\{"}}, {"type": ["number", "boolean"]}]},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "number": {"type": "number"},
    "cpu": {
        "anyOf": [
            {"type": "number", "exclusiveMinimum": 0, "maximum": 999_999},
            {"type": "string", "pattern": quantity.CPU_PATTERN},
        ]
    },
    "duration": {"type": "string", "pattern": quantity.DURATION_PATTERN},
    "size": {"type": "string", "pattern": quantity.SIZE_PATTERN},
    "share": {"type": "string", "pattern": quantity.SHARE_PATTERN},
    "rate": {"type": "string", "pattern": quantity.RATE_PATTERN},
    "port": _PORT,
    "workers": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 99_999}, {"const": "auto"}]},
    "function": {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.]*$"},
    "retry-reason": {"type": "string", "pattern": "^(failure|error|timeout|exit [1-9][0-9]{0,2})$"},
    "versions": {"type": "string", "pattern": versions.PATTERN},
    "output-of": {"type": "string", "pattern": r"^stages(\[.*\]|\.[A-Za-z_]\w*)\.outputs\.[A-Za-z_]\w*$"},
    "date": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    "bound": {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^(-?[0-9]+|[0-9]{4}-[0-9]{2}-[0-9]{2})$"}]},
    "version": {"const": grammar.VERSION},
}

#: Names of stages and groups.
_NAME = {"pattern": r"^[^\[\]\u0000-\u001f\u007f]+$", "not": {"enum": list(grammar.GROUPS)}}
_IS_GROUP = {"anyOf": [{"required": [key]} for key in grammar.GROUPS]}


def schema() -> dict[str, Any]:
    """A JSON-able schema; the types of records that hold each other stand in `$defs`."""
    document = _record(grammar.PIPELINE)
    document["properties"]["stages"] = {
        "description": grammar.PIPELINE_KEYS["stages"].about,
        "anyOf": [
            {
                "type": "object",
                "minProperties": 1,
                "propertyNames": _NAME,
                "additionalProperties": {"$ref": "#/$defs/entry"},
            },
            {"$ref": "#/$defs/entries"},
        ],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "stagebook.yaml",
        **document,
        "$defs": _definitions(),
    }


def _definitions() -> dict[str, Any]:
    group = _record(grammar.GROUP)
    for key in grammar.GROUPS:
        group["properties"][key] = {
            "description": grammar.GROUP_KEYS[key].about,
            "$ref": "#/$defs/entries",
        }
    one_stage = {
        "minProperties": 1,
        "maxProperties": 1,
        "propertyNames": _NAME,
        "additionalProperties": {"$ref": "#/$defs/entry"},
    }
    entry = {"if": _IS_GROUP, "then": {"$ref": "#/$defs/group"}, "else": {"$ref": "#/$defs/stage"}}
    return {
        "stage": _record(grammar.STAGE),
        "group": group,
        "entry": {"if": {"type": "object"}, "then": entry, "else": _SCALARS["command"]},
        "entries": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "if": _IS_GROUP, "then": {"$ref": "#/$defs/group"}, "else": one_stage},
        },
    }


def _record(record: Record) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "object",
        "properties": {key: _key(spec) for key, spec in record.keys.items()},
        "additionalProperties": _of(record.others.value) if record.others else False,
    }
    if record.required:
        made["required"] = list(record.required)
    if record.one_of:
        there = [key for key in record.one_of if key in record.keys]
        made["oneOf"] = [{"required": [key]} for key in there]
    return made


def _key(spec: Key) -> dict[str, Any]:
    about = spec.about
    if spec.default:
        about += f"; default {spec.default}"
    if not spec.built:
        about += " (checked, not built yet)"
    return {"description": about, **_of(spec.type)}


def _of(type_: Type) -> dict[str, Any]:
    if isinstance(type_, Scalar):
        return _scalar(type_)
    if isinstance(type_, Word):
        return {"enum": list(type_.choices)}
    if isinstance(type_, ListOf):
        least: Mapping[str, Any] = {"minItems": type_.least} if type_.least else {}
        return {"type": "array", "items": _of(type_.item), **least}
    if isinstance(type_, MapOf):
        return {"type": "object", "propertyNames": {"minLength": 1}, "additionalProperties": _of(type_.value)}
    if isinstance(type_, Record):
        return _record(type_)
    if isinstance(type_, Either):
        forms = [_of(each) for each in type_ if each is not None]
        return forms[0] if len(forms) == 1 else {"anyOf": forms}
    return {}


def _scalar(type_: Scalar) -> dict[str, Any]:
    made = dict(_SCALARS[type_.kind])
    if type_.kind in ("int", "number"):
        if type_.low is not None:
            made["minimum"] = type_.low
        if type_.high is not None:
            made["maximum"] = type_.high
    elif type_.low:
        made["allOf"] = [{"pattern": "[1-9]"}]  # more than 0
    return made
