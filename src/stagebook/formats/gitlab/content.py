"""What one job does and passes on: its steps, its artifacts and caches, and the spec for its runner. Not what it waits
for, nor whether it is there.
"""

from __future__ import annotations

import re

from stagebook.formats.gitlab.drafts import Draft, milliseconds
from stagebook.formats.gitlab.parallel import Cell
from stagebook.formats.gitlab.reading import Reading
from stagebook.formats.gitlab.scalars import said, truth, whole
from stagebook.formats.gitlab.templates import flattened
from stagebook.formats.gitlab.variables import slug
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node
from stagebook.model.job import Datum, JobStep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.formats.gitlab.spec import Artifacts, Cache, Environment, Image, Release, Retry, Service, Spec

PARTS = ("before_script", "script", "after_script")
_SETUP = re.compile(
    r"^\s*(?:sudo\s+)?(?:apt-get|apt|apk|dnf|yum|zypper|brew|pip3?|uv|poetry|pipenv|npm|yarn|pnpm|bundle|composer|"
    r"conda|mamba|gem|corepack)\s+(?:\S+\s+)*?(?:install|i|ci|add|update|sync|use|enable)\b|"
    r"^\s*(?:python3?\s+-m\s+pip|git\s+(?:submodule|fetch|clone)|source\s|\.\s)",
)  # fmt: skip


def script(node: Node | None) -> list[Node]:
    """The lines of a script, each a scalar."""
    if node is None or node.is_null:
        return []
    if node.kind == SCALAR:
        return [node]
    return [each for each in flattened(node) if each.kind == SCALAR and not each.is_null]


def steps(reading: Reading, draft: Draft) -> tuple[JobStep, ...]:
    """A step for each line of each script, one after the other."""
    found: list[JobStep] = []
    for part in PARTS:
        for node in script(draft.get(part)):
            text = str(node.value)
            line, _ = reading.spot(node)
            end = line + node.end_line - node.line if node.file is None else line
            head = shorten(next((each.strip() for each in text.splitlines() if each.strip()), ""))
            after = (len(found) - 1,) if found else ()
            is_setup = part == "before_script" or _SETUP.match(text) is not None
            found.append(JobStep(head, line, end, "script", text, after, is_setup=is_setup))
    return tuple(found)


def data(reading: Reading, draft: Draft) -> tuple[tuple[Datum, ...], tuple[Datum, ...]]:
    """What it reads (of caches only: whose artifacts it gets is not its own say), and what it writes."""
    reads: list[Datum] = []
    writes: list[Datum] = []
    node = draft.get("artifacts")
    if node is not None:
        for each in _scalars(node.get("paths")):
            writes.append(_datum("artifact", each, reading))
        if truth(node.get("untracked")):
            writes.append(Datum("artifact", "untracked files", reading.spot(node)[0]))
        reports = node.get("reports")  # others than dotenv are for the server: no job gets them
        for each in _scalars(reports.get("dotenv") if reports is not None else None):
            writes.append(_datum("dotenv", each, reading))
    for cache in _caches(draft):
        key = _key(cache)
        name = key["key"] or "-".join(filter(None, (key["prefix"], *key["key_files"]))) or "default"
        line = reading.spot(cache)[0]
        datum = Datum("cache", name, line, "$" in name)
        policy = (cache.get("policy") or cache).text or "pull-push"
        if policy != "push":
            reads.append(datum)
        if policy != "pull":
            writes.append(datum)
    return tuple(dict.fromkeys(reads)), tuple(dict.fromkeys(writes))


def _datum(kind: str, node: Node, reading: Reading) -> Datum:
    text = (node.text or "").removeprefix("./")
    return Datum(kind, text, reading.spot(node)[0], "$" in text)


def _scalars(node: Node | None) -> list[Node]:
    if node is None or node.is_null:
        return []
    if node.kind == LIST:
        return [each for each in flattened(node) if each.kind == SCALAR and not each.is_null]
    return [node] if node.kind == SCALAR else []


def _texts(node: Node | None) -> list[str]:
    return [each.text or "" for each in _scalars(node)]


def _text(node: Node | None, name: str) -> str | None:
    found = node.get(name) if node is not None else None
    return None if found is None else found.text


# The spec -------------------------------------------------------------------------------------------------------------


def spec(draft: Draft, cell: Cell) -> Spec:
    """See `spec`. `artifacts_from` is left empty."""
    environment = _environment(draft.get("environment"))
    hooks = draft.get("hooks")
    values = draft.variables.values
    own = {} if cell.values is None or cell.is_numbered else dict(cell.values)
    trigger = draft.get("trigger")
    return {
        "name": cell.title,
        "stage": draft.stage,
        "before_script": _lines(draft.get("before_script")),
        "script": _lines(draft.get("script")),
        "after_script": _lines(draft.get("after_script")),
        "pre_get_sources": _lines(hooks.get("pre_get_sources_script") if hooks is not None else None),
        "variables": {**values, **own},
        "raw": sorted((draft.variables.raw & set(values)) - set(own)),
        "predefined": _predefined(draft, cell, environment),
        "image": _image(draft.get("image")),
        "services": [made for each in draft.get("services") or () if (made := _service(each)) is not None],
        "artifacts": _artifacts(draft.get("artifacts")),
        "cache": [_cache(each) for each in _caches(draft)],
        "artifacts_from": [],
        "retry": retry(draft.get("retry")),
        "allow_failure": draft.is_allowed,
        "allow_exit_codes": draft.codes,
        "environment": environment,
        "git_strategy": values.get("GIT_STRATEGY") or "fetch",
        "when": draft.when,
        "start_in_ms": (milliseconds(draft.start_in) or 0) if draft.when == "delayed" else 0,
        "tags": _texts(draft.get("tags")),
        "coverage": draft.text("coverage"),
        "release": _release(draft.get("release")),
        "timeout_ms": milliseconds(draft.text("timeout")),
        "trigger": None if trigger is None else kind_of_trigger(trigger),
    }


def kind_of_trigger(node: Node) -> str:
    """`child`, `artifact` or `project`."""
    include = node.get("include")
    if include is None:
        return "project"
    entries = list(include) if include.kind == LIST else [include]
    return "artifact" if any(each.get("artifact") is not None for each in entries) else "child"


def _lines(node: Node | None) -> list[str]:
    return [str(each.value) for each in script(node)]


def _predefined(draft: Draft, cell: Cell, environment: Environment | None) -> dict[str, str]:
    found = {
        "CI_JOB_NAME": cell.title, "CI_JOB_NAME_SLUG": slug(cell.title), "CI_JOB_STAGE": draft.stage,
        "CI_JOB_GROUP_NAME": draft.name, "CI_NODE_TOTAL": str(cell.total or 1),
    }  # fmt: skip
    if cell.total:
        found["CI_NODE_INDEX"] = str(cell.number)
    if draft.is_manual:
        found["CI_JOB_MANUAL"] = "true"
    if environment is not None:
        found["CI_ENVIRONMENT_NAME"] = environment["name"]
    return found


def _image(node: Node | None) -> Image | None:
    if node is None:
        return None
    name = node.text if node.kind == SCALAR else _text(node, "name")
    return None if not name else {"name": name, "entrypoint": _texts(node.get("entrypoint"))}


def _service(node: Node) -> Service | None:
    name = node.text if node.kind == SCALAR else _text(node, "name")
    if not name:
        return None
    alias, values = _text(node, "alias"), node.get("variables")
    return {
        "name": name,
        "alias": re.split(r"[\s,]+", alias.strip()) if alias else [],
        "entrypoint": _texts(node.get("entrypoint")),
        "command": _texts(node.get("command")),
        "variables": {} if values is None else {key: said(value) or "" for key, _, value in values.items()},
    }


def _artifacts(node: Node | None) -> Artifacts | None:
    if node is None:
        return None
    reports = node.get("reports")
    return {
        "name": _text(node, "name"),
        "paths": _texts(node.get("paths")),
        "exclude": _texts(node.get("exclude")),
        "untracked": truth(node.get("untracked")) is True,
        "when": _text(node, "when") or "on_success",
        "expire_in": _text(node, "expire_in"),
        "reports": {
            kind: _texts(value) if value.kind != MAP else _texts(value.get("path"))
            for kind, _, value in (reports.items() if reports is not None else ())
        },
    }


def _caches(draft: Draft) -> list[Node]:
    node = draft.get("cache")
    if node is None:
        return []
    return [each for each in flattened(node) if each.kind == MAP] if node.kind == LIST else [node]


def _key(node: Node) -> Cache:
    key = node.get("key")
    files = key.get("files") or key.get("files_commits") if key is not None else None
    return {
        "key": key.text if key is not None else None,
        "key_files": _texts(files),
        "prefix": _text(key, "prefix"),
        "fallback_keys": _texts(node.get("fallback_keys")),
        "paths": _texts(node.get("paths")),
        "untracked": truth(node.get("untracked")) is True,
        "policy": _text(node, "policy") or "pull-push",
        "when": _text(node, "when") or "on_success",
    }


_cache = _key


def retry(node: Node | None) -> Retry:
    if node is None:
        return {"max": 0, "when": [], "exit_codes": []}
    most = node.text if node.kind == SCALAR else _text(node, "max")
    codes = [code for text in _texts(node.get("exit_codes")) if (code := whole(text)) is not None]
    return {"max": whole(most) or 0, "when": _texts(node.get("when")), "exit_codes": codes}


def _environment(node: Node | None) -> Environment | None:
    if node is None:
        return None
    name = node.text if node.kind == SCALAR else _text(node, "name")
    if not name:
        return None
    return {
        "name": name,
        "url": _text(node, "url"),
        "action": _text(node, "action") or "start",
        "tier": _text(node, "deployment_tier") or "",
        "on_stop": _text(node, "on_stop"),
    }


def _release(node: Node | None) -> Release | None:
    if node is None:
        return None
    return {"tag_name": _text(node, "tag_name") or "", "description": _text(node, "description") or ""}
