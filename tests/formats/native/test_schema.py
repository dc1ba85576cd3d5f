"""The printed schema against an independent validator, and the two judges against each other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from stagebook.formats.native import grammar
from stagebook.formats.native.read import parse
from stagebook.formats.native.schema import schema

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


VALIDATOR = Draft202012Validator(schema())


class CoreLoader(yaml.SafeLoader):
    """YAML 1.2's core: no `on`, no dates, no sexagesimals. What editors use; PyYAML alone speaks 1.1."""


CoreLoader.yaml_implicit_resolvers = {}
CoreLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
CoreLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
CoreLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
CoreLoader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+\.[0-9]*$"), list("-+0123456789"))
CoreLoader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])


def keys_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): keys_as_text(each) for key, each in value.items()}
    return [keys_as_text(each) for each in value] if isinstance(value, list) else value


def by_schema(data: bytes) -> list[str]:
    document = keys_as_text(yaml.load(data, CoreLoader))
    return [each.message for each in VALIDATOR.iter_errors(document)]


def by_us(data: bytes) -> bool:
    return parse(data, "stagebook.yaml")[0] is not None


def test_the_schema_is_one_and_says_what_each_key_means() -> None:
    made = schema()
    Draft202012Validator.check_schema(made)
    assert json.loads(json.dumps(made)) == made
    assert set(made["properties"]) == set(grammar.PIPELINE_KEYS)
    assert set(made["$defs"]["stage"]["properties"]) == set(grammar.STAGE_KEYS)
    for each in (made, made["$defs"]["stage"], made["$defs"]["group"]):
        assert all(spec["description"] for spec in each["properties"].values())


def sound() -> list[Path]:
    files = [
        *HERE.glob("ok/*.yaml"),
        *HERE.glob("said/*.yaml"),
        *ROOT.glob("examples/**/stagebook.yaml"),
        ROOT / "stagebook.yaml",
    ]
    return sorted(path for path in files if path.exists())


@pytest.mark.parametrize("path", sound(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_file_that_we_take_passes_the_validator(path: Path) -> None:
    assert by_us(path.read_bytes())
    assert by_schema(path.read_bytes()) == []


#: Mistakes that a schema cannot see: between values, or below what its loader shows.
BEYOND = set(
    """
    alias-recursive alias-unknown all-at-once bom-crlf cycle cycle-files cycle-group cycle-list cycle-matrix
    cycle-self demands documents duplicate-key duplicate-name environment keys matrix matrix-large merge
    not-utf8 nul nul-escaped output-clash retry-safe secrets tab tags three-places unknown-need utf16 yaml-syntax
    """.split()
)


@pytest.mark.parametrize("path", sorted(HERE.glob("err/*.yaml")), ids=lambda path: path.stem)
def test_a_file_that_is_wrong_in_itself_fails_there_too(path: Path) -> None:
    assert not by_us(path.read_bytes())
    if path.stem not in BEYOND:
        assert by_schema(path.read_bytes()) != []


def cases(taken: str, refused: str) -> list[tuple[str, bool]]:
    """One case a line."""
    lines = [(each.strip(), sound) for text, sound in ((taken, True), (refused, False)) for each in text.splitlines()]
    return [(text, sound) for text, sound in lines if text]


#: One value each: what is taken here must be taken there, and the other way round.
VALUES = cases(
    taken="""
    timeout: 10m
    timeout: 1h30m
    timeout: {attempt: 5m, queue: 1h}
    grace: 0s
    grace: 1.5s
    resources: {cpu: 0.5, memory: 1GiB}
    priority: 5
    priority: -5
    critical: true
    join: any
    shell: bash
    needs: []
    env: {A: 1, B: true, C: x, D: ''}
    env: {A: {from: stages.b.outputs.x}}
    locks: {a: exclusive, b: shared}
    retry: {attempts: 3, jitter: 20%}
    retry: {only: exit 75}
    dir: work
    dir: 5
    log-limit: 10MiB
    ordering: {strict: because}
    matrix: {v: [1, 2]}
    when: x
    changed: a
    changed: [a]
    outputs: [a]
    secrets: []
    quarantine: {owner: a, until: 2027-01-31}
    isolate: {workspace: copy, database: {url: x, per: stage}}
    requires: {node: '>=20'}
    allow-failure: false
    duration: 3m
    always: true
    env-inputs: [LANG]
    """,
    refused="""
    timeout: 10
    timeout: 30m1h
    timeout: 0s
    timeout: {attempts: 5m}
    resources: {cpu: 0}
    resources: {memory: 5}
    resources: {pools: {db: 0}}
    priority: 1.5
    priority: '5'
    critical: yes
    critical: 'true'
    join: some
    shell: true
    needs: {}
    env: {A: [1]}
    env: {A: {form: x}}
    env: [A]
    locks: [a]
    retry: 3
    retry: {attempts: 0}
    retry: {factor: 0.5}
    retry: {only: [crash]}
    dir: ''
    log-limit: 10 MiB
    ordering: because
    ordering: {}
    matrix: {v: 1}
    matrix: {v: []}
    matrix: {v: [a], max-parallel: 0}
    when: [x]
    inputs: {a: b}
    quarantine: {owner: a}
    isolate: {workspace: none}
    retry-safe: no
    nonsense: 1
    cmd: [a]
    """,
)


@pytest.mark.parametrize(("keys", "sound"), VALUES, ids=[each for each, _ in VALUES])
def test_both_judges_agree_on_a_value(keys: str, sound: bool) -> None:
    data = f"pools: {{db: 1}}\nstages:\n  b: make\n  a:\n    run: make\n    {keys}\n".encode()
    assert by_us(data) is sound
    assert (by_schema(data) == []) is sound


KINDS = cases(
    taken="""
    make
    5
    true
    {run: make}
    {cmd: [make, all]}
    {python: 'a.b:c'}
    {gate: {prompt: x, approvers: [a, b], quorum: 2}}
    {service: {run: x, ready: {tcp: 5432}}}
    {pipeline: a.yaml}
    {generate: {run: x}}
    {split: {list: x, run: y, shards: 2, report: r.xml, by: file}}
    {split: {files: ['a/*.py'], run: y, shards: 2}}
    {each: {items: {range: [1, 9]}, steps: [{a: x}]}}
    {parallel: [{b: x}]}
    {sequence: [{b: x}, {parallel: [{c: x}]}]}
    """,
    refused="""
    ''
    [make]
    {run: '${{ x }}'}
    {cmd: []}
    {cmd: make}
    {python: a}
    {}
    {run: make, cmd: [make]}
    {gate: {quorum: 0}}
    {service: {ready: {tcp: 1}}}
    {generate: {}}
    {split: {}}
    {split: {run: y, shards: 2}}
    {split: {list: x, files: a, run: y, shards: 2}}
    {split: {list: x, run: y, shards: 0}}
    {each: {items: {}, steps: [{a: x}]}}
    {each: {items: {glob: x}, steps: []}}
    {parallel: []}
    {parallel: {b: x}}
    {parallel: [{b: x}], timeout: 5m}
    {parallel: [{b: x, c: x}]}
    {parallel: [b]}
    {parallel: [{b: x}], run: x}
    """,
)


@pytest.mark.parametrize(("stage", "sound"), KINDS, ids=[each for each, _ in KINDS])
def test_both_judges_agree_on_a_stage(stage: str, sound: bool) -> None:
    data = f"stages:\n  a: {stage}\n".encode()
    assert by_us(data) is sound
    assert (by_schema(data) == []) is sound


HEADS = cases(
    taken="""
    version: 1
    params: {a: {default: x, choices: [x]}}
    params: {a: {}}
    limits: {jobs: 8, share: 80%, starts: 10/s}
    pools: {a: 1, b: {size: 2, rate: 5/s, machine: true}}
    policy: lenient
    policy: [{use: strict}]
    secrets: [A, {name: B, file: c}]
    notify: [{to: $A, on: [gate]}, {command: [a], on: cancel, stages: b}]
    billing: {price: 0.006}
    sla: 15m
    defaults: {timeout: 5m}
    name: x
    """,
    refused="""
    version: 2
    version: one
    version: 1.5
    version: '1'
    version: true
    version: 01
    version:
    version: [1]
    params: {a: x}
    limits: {jobs: 0}
    limits: {share: 80}
    pools: {a: 0}
    pools: {a: {rate: 5/s}}
    policy: often
    policy: []
    secrets: [{file: c}]
    notify: [{on: [gate]}]
    notify: [{to: $A, on: [x]}]
    notify: [{to: $A, command: [b]}]
    billing: {price: -1}
    sla: soon
    defaults: {needs: a}
    defaults: {run: x}
    name: ''
    """,
)


@pytest.mark.parametrize(("head", "sound"), HEADS, ids=[each for each, _ in HEADS])
def test_both_judges_agree_on_the_rest(head: str, sound: bool) -> None:
    data = f"{head}\nstages: {{a: make}}\n".encode()
    assert by_us(data) is sound
    assert (by_schema(data) == []) is sound


@pytest.mark.parametrize("version", ["1.0", "01", "+1", "0x1", "1e0", "'1'", "true", "~", "0"])
def test_only_the_whole_number_1_is_a_version(version: str) -> None:
    """Beyond a schema, for which 1.0 is 1."""
    pipeline, problems = parse(f"stages: {{a: make}}\nversion:  {version}\n".encode(), "stagebook.yaml")
    assert pipeline is None
    ((file, line, col, _, level, message),) = problems
    assert (file, line, col, level) == ("stagebook.yaml", 2, 11, "error")
    assert message.startswith("version: version 1 expected, not ")


@pytest.mark.parametrize(
    "stages", ["{}", "[]", "make", "[make]", "[{}]", "{parallel: x}", "{'a[b]': x}", "[{'a]': x}]", "{'': x}"]
)
def test_both_judges_refuse_these_stages(stages: str) -> None:
    data = f"stages: {stages}\n".encode()
    assert not by_us(data)
    assert by_schema(data) != []
