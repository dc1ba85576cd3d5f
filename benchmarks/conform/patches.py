"""Planted changes of each kind over the real files: what `patch` writes has the change and nothing else.

Planted by rule, never file by file: wherever a job has no timeout it gets one, wherever two jobs are apart one gets to
need the other, and so on, the first few jobs of each file. A refusal counts against us as well: it is no patch.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, Iterator

import yaml

from conform.row import Row
from stagebook.formats import changes as of
from stagebook.formats import patch
from stagebook.formats.load import parse
from stagebook.formats.request import NOTHING
from stagebook.formats.source import nodes, places
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import InputError

A_FILE = 2  #: planted changes of a kind in one file
ORDERS_A_FILE = 6  #: needs instead of the order of stages, which few files have
#: What keeps a job whole: it has parts, waits for itself, or hands on what its parts would overwrite.
WHOLE = ("strategy", "outputs", "concurrency", "uses", "parallel", "resource_group", "artifacts", "trigger", "extends")


def measure(data: Path) -> list[Row]:
    kept: dict[tuple[str, str], int] = defaultdict(int)
    count: dict[tuple[str, str], int] = defaultdict(int)
    misses: dict[tuple[str, str], list[str]] = defaultdict(list)
    refused: dict[tuple[str, str], int] = defaultdict(int)
    checks = Schemas()
    for system in ("github", "gitlab"):
        for file in sorted((data / system).glob("*.y*ml")):
            bytes_ = file.read_bytes()
            pipeline, _ = parse(bytes_, str(file), NOTHING, system)
            if pipeline is None:
                continue
            was_valid = checks.is_valid(bytes_, system)
            cases = [(bytes_, kind, change) for kind, change in planted(pipeline, system, bytes_.decode())]
            for given, kind, change in [*cases, *suites(bytes_, pipeline, system)]:
                count[system, kind] += 1
                why = wrong(
                    given,
                    str(file),
                    system,
                    change,
                    checks if was_valid else None,
                    pipeline if given is bytes_ else None,
                )
                if why is None:
                    kept[system, kind] += 1
                else:
                    refused[system, kind] += why.startswith("refused")
                    misses[system, kind].append(f"{file.name}: {change}: {why}")
    rows = []
    for (system, kind), number in sorted(count.items()):
        said = f"{system}: {kind}" + (f" ({refused[system, kind]} refused)" if refused[system, kind] else "")
        goal = 0.9 if number >= 15 else None
        rows.append(Row("patches", said, number, kept[system, kind] / number, goal, misses=tuple(misses[system, kind])))
    wrongs = sum(len(each) for each in misses.values()) - sum(refused.values())
    total = sum(count.values())
    rows.append(Row("patches", "neither refused nor wrong, or refused with a reason", total, 1 - wrongs / total, 1.0))
    return rows


def planted(pipeline: Pipeline, system: str, text: str) -> Iterator[tuple[str, of.Change]]:
    """The same rules for every file; each kind on its first jobs that allow it."""
    needs = patch.by_name(pipeline)
    jobs = list(dict.fromkeys(stage.name for stage in pipeline.stages if stage.job is not None))
    first = {stage.name: stage for stage in reversed(pipeline.stages)}
    found: dict[str, list[of.Change]] = defaultdict(list)
    for place, name in enumerate(jobs):
        stage = first[name]
        if stage.command:
            found["timeout"].append(of.Timeout(name, 17))
        found["concurrency"].append(of.Lock(name, "planted-group"))
        if system == "gitlab":
            found["interruptible"].append(of.Interruptible(name, True))
        if name in pipeline.matrices and system == "github":
            found["fail-fast"].append(of.FailFast(name, not pipeline.matrices[name].fail_fast))
            found["max-parallel"].append(of.MaxParallel(name, 3))
        by_order = set(stage.job.by_order) if stage.job is not None else set()
        for other in jobs[:place]:
            if other not in patch.before_of(name, needs) and name not in patch.before_of(other, needs) and not by_order:
                if system == "github" or needs[name]:
                    found["needs added"].append(of.Needs(name, (other,)))
                    break
        own = [need for need in sorted(needs[name]) if need in jobs and not is_read(need, text)]
        if own and not by_order:
            found["needs removed"].append(of.Needs(name, (), (own[0],)))
        if by_order and by_order >= set(stage.needs) and not pipeline.missing:
            found["needs instead of stage order"].append(of.NeedsOnly(name, ()))
    for kind, each in found.items():
        for change in each[: ORDERS_A_FILE if kind == "needs instead of stage order" else A_FILE]:
            yield kind, change


def is_read(need: str, text: str) -> bool:
    """Whether the file speaks of results or artifacts of a job, which then is needed."""
    return re.search(rf"needs\.{re.escape(need)}\b|toJSON\(needs\)|needs\.\*|dependencies:", text) is not None


def suites(data: bytes, pipeline: Pipeline, system: str) -> Iterator[tuple[bytes, str, of.Change]]:
    """Files in which the first plain command of a job has become a test program that can do a part of its suite."""
    source = nodes.read(data, pipeline.file)
    root = source.documents[-1]
    jobs = root.get("jobs") if system == "github" else root
    left = A_FILE
    for name in dict.fromkeys(stage.name for stage in pipeline.stages if stage.cell is None):
        job = jobs.get(name) if jobs is not None else None
        if job is None or any(job.get(key) is not None for key in WHOLE) or "upload-artifact" in text_of(source, job):
            continue
        script = [step.get("run") for step in job.get("steps") or ()] if system == "github" else job.get("script") or ()
        for node in script:
            if node is not None and node.kind == nodes.SCALAR and node.plain and node.line == node.end_line and left:
                left -= 1
                text = source.text
                yield (text[: node.start] + "npx jest" + text[node.end :]).encode(), "split", of.Split(name, 3)
                break


def text_of(source: nodes.Source, node: nodes.Node) -> str:
    return source.text[node.start : node.end]


def wrong(
    data: bytes, file: str, system: str, change: of.Change, checks: Schemas | None, before: Pipeline | None
) -> str | None:
    """What is not as it should be; None where all is."""
    try:
        made = patch.patched(data, file, [change], NOTHING, system, True, before)
    except InputError as refused:
        return f"refused: {refused.problems[0].message if refused.problems else refused}"
    if made.data == data:
        return "empty patch"
    if not is_local(data, made.data) and not (isinstance(change, of.Split) and is_short(data, made.data)):
        return "other lines changed"
    if counts(data) != counts(made.data):
        return f"comments and anchors: {counts(data)} became {counts(made.data)}"
    if checks is not None and not checks.is_valid(made.data, system):
        return "no longer valid by the vendor's schema"
    old, new = patch.by_name(made.before), patch.by_name(made.after)
    if isinstance(change, of.Needs):
        wanted = (old[change.job] | set(change.add)) - set(change.remove)
        if new[change.job] != wanted and patch.before_of(change.job, {**old, change.job: wanted}) != patch.before_of(change.job, new):  # fmt: skip  # noqa: E501
            return f"edges are {sorted(new[change.job])}"
    others = {name for name in old if name != change.job}
    if any(patch.before_of(name, old) != patch.before_of(name, new) for name in others if change.job not in patch.before_of(name, old)):  # fmt: skip  # noqa: E501
        return "edges of another job changed"
    return None


def is_local(before: bytes, after: bytes) -> bool:
    """Whether all that differs is one stretch of lines, and short."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return len(new) - head - tail <= 12 and len(old) - head - tail <= 12


def is_short(before: bytes, after: bytes) -> bool:
    """Whether few lines differ, be it at two places."""
    lines = difflib.diff_bytes(difflib.unified_diff, before.splitlines(), after.splitlines(), n=0)
    return sum(line[:1] in (b"+", b"-") for line in lines) <= 8


def counts(data: bytes) -> tuple[int, int]:
    """Comments and anchors."""
    source = nodes.read(data, "counted")
    anchors = len(re.findall(rb"(?:^|[\s\[{,:-])&[A-Za-z0-9_.-]+", data))
    return len(places.comments(source)), anchors


class _Loader(yaml.CSafeLoader):
    """YAML 1.2's truth values, so that `on` stays a word, and GitLab's tag."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")]
    for first, rules in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false|True|False)\Z"), list("tfTF"))
_Loader.add_constructor("!reference", lambda loader, node: loader.construct_sequence(node))


class Schemas:
    """The schemas that check-jsonschema brings along; without it nothing counts as valid before, so none is asked."""

    def __init__(self) -> None:
        import importlib.resources

        import jsonschema

        self.by: dict[str, Any] = {}
        for system, name in (("github", "github-workflows"), ("gitlab", "gitlab-ci")):
            folder = importlib.resources.files("check_jsonschema.builtin_schemas")
            schema = json.loads((folder / "vendor" / f"{name}.json").read_text())
            self.by[system] = jsonschema.validators.validator_for(schema)(schema)

    def is_valid(self, data: bytes, system: str) -> bool:
        try:
            document = list(yaml.load_all(data, _Loader))[-1]
        except (yaml.YAMLError, ValueError, TypeError, IndexError):
            return False
        return bool(self.by[system].is_valid(json.loads(json.dumps(document, default=str))))
