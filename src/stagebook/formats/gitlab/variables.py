"""Variables of a pipeline: those that GitLab sets, those of the file, and `$NAME` in text. What is decided by them is
elsewhere.
"""

from __future__ import annotations

import os
import re

from stagebook.formats.gitlab.reading import Reading
from stagebook.formats.gitlab.scalars import said, truth
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node
from stagebook.graph.cycles import find_cycle
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

EXPANDED_MAX = 100_000
_DEPTH_MAX = 20
_variable = re.compile(r"\$(?:(\w+)|\{(\w+)\}|(\$))")
_NAME = re.compile(r"\A[\w-]+\Z")

#: What `--event` may say, and what `$CI_PIPELINE_SOURCE` is then.
SOURCES = {
    "push": "push", "merge_request": "merge_request_event", "merge_request_event": "merge_request_event",
    "pull_request": "merge_request_event", "schedule": "schedule", "web": "web", "workflow_dispatch": "web",
    "api": "api", "trigger": "trigger", "tag": "push", "tag_push": "push", "pipeline": "pipeline",
    "parent_pipeline": "parent_pipeline", "external_pull_request_event": "external_pull_request_event", "chat": "chat",
    "security_orchestration_policy": "security_orchestration_policy", "external": "external", "webide": "webide",
    "ondemand_dast_scan": "ondemand_dast_scan", "ondemand_dast_validation": "ondemand_dast_validation",
}  # fmt: skip


class Occasion(NamedTuple):
    """Why a pipeline is made: `source` is `$CI_PIPELINE_SOURCE`; `ref` is a branch (of a merge request, the one that
    is to be merged), or a tag."""

    source: str
    ref: str
    default_branch: str
    is_tag: bool = False

    @property
    def text(self) -> str:
        """`a push to main`, `a merge request`, `a push of tag v1.0`, `a schedule`."""
        if self.source == "merge_request_event":
            return "a merge request"
        if self.is_tag:
            return f"a push of tag {self.ref}" if self.source == "push" else f"{self.source} on tag {self.ref}"
        if self.source == "push":
            return f"a push to {self.ref}"
        return {"schedule": "a schedule", "web": "a start by hand"}.get(self.source, f"source {self.source}")


class Variables(NamedTuple):
    """`values` as they were written; those in `raw` are not expanded."""

    values: Mapping[str, str] = {}
    raw: frozenset[str] = frozenset()

    def over(self, other: Variables) -> Variables:
        """Both, these being the stronger."""
        return Variables({**other.values, **self.values}, (other.raw - set(self.values)) | self.raw)


def read(reading: Reading, node: Node | None, what: str) -> Variables:
    """Those of a `variables:`. `what` names its place in messages."""
    if node is None or node.is_null:
        return Variables()
    if node.kind != MAP:
        reading.problem(node, "type", f"{what}: `variables` takes a mapping of names to values")
        return Variables()
    values: dict[str, str] = {}
    raw = set()
    for name, key, value in node.items():
        if not _NAME.match(name):
            reading.warn(key, "variable", f"{what}: a variable's name has letters, digits and _ only")
        if value.kind == MAP:
            given, expand = value.get("value"), value.get("expand")
            for unknown, inner, _ in value.items():
                if unknown not in ("value", "description", "options", "expand"):
                    reading.problem(inner, "unknown-key", f"{what}: variable {name}: unknown key `{unknown}`")
            if truth(expand) is False:
                raw.add(name)
            value = given if given is not None else value
        if value.kind == SCALAR:
            values[name] = said(value, reading) or ""
        elif value.kind == LIST:
            reading.problem(value, "type", f"{what}: variable {name} takes text or a number")
    return Variables(values, frozenset(raw))


def expanded(text: str, values: Mapping[str, str], raw: frozenset[str] | set[str] = frozenset()) -> str:
    """`$NAME` and `${NAME}` replaced, also inside of what replaces them; `$$` is a dollar; what nobody sets becomes
    empty. A variable that speaks of itself stays as it is."""
    return _expand(text, values, raw, (), {})


def _expand(
    text: str, values: Mapping[str, str], raw: frozenset[str] | set[str], inside: tuple[str, ...], done: dict[str, str]
) -> str:
    """`done`: what names have become, so that each is looked into once."""
    if "$" not in text:
        return text
    made, end, size = [], 0, 0
    for found in _variable.finditer(text):
        name = found[1] or found[2]
        if found[3]:
            value = "$"
        elif name in done:
            value = done[name]
        elif name in inside or len(inside) > _DEPTH_MAX:
            value = found[0]
        else:
            value = values.get(name, "")
            if "$" in value and name not in raw:
                value = _expand(value, values, raw, (*inside, name), done)
            done[name] = value
        made += [text[end : found.start()], value]
        end = found.end()
        size += len(value)
        if size > EXPANDED_MAX:
            return "".join(made)[:EXPANDED_MAX]
    return "".join(made) + text[end:]


def settled(given: Variables, base: Mapping[str, str]) -> dict[str, str]:
    """All of them with their values expanded, over `base`."""
    known = {**base, **given.values}
    done: dict[str, str] = {}
    return {
        name: value if "$" not in value or name in given.raw else _expand(value, known, given.raw, (name,), done)
        for name, value in known.items()
    }


def circle(given: Variables) -> list[str]:
    """Names of variables in a circle, each of which speaks of the next; one that speaks of itself means another
    place's."""
    names = [name for name, value in given.values.items() if "$" in value and name not in given.raw]
    if len(names) < 2:
        return []
    at = {name: place for place, name in enumerate(names)}
    asks = [
        [at[other] for other in _names(given.values[name]) if other in at and other != name] for name in names
    ]  # fmt: skip
    found = find_cycle(asks) or []
    return [names[place] for place in (*found[:1], *reversed(found[1:]))]


def _names(text: str) -> set[str]:
    return {found[1] or found[2] for found in _variable.finditer(text) if not found[3]}


# What GitLab sets -----------------------------------------------------------------------------------------------------


def predefined(occasion: Occasion, root: str, file: str, path: str) -> dict[str, str]:
    """Those that a pipeline has before any job, of a project named `path`, as `group/project`. Of a commit nothing is
    known but its branch, and of the server nothing at all."""
    namespace, _, project = path.rpartition("/")
    ref = occasion.ref
    url = f"https://gitlab.local/{path}"
    values = {
        "CI": "true", "GITLAB_CI": "true", "CI_PIPELINE_SOURCE": occasion.source, "CI_COMMIT_REF_NAME": ref,
        "CI_COMMIT_REF_SLUG": slug(ref), "CI_DEFAULT_BRANCH": occasion.default_branch, "CI_PROJECT_DIR": root,
        "CI_PROJECT_NAME": project, "CI_PROJECT_NAMESPACE": namespace,
        "CI_PROJECT_ROOT_NAMESPACE": namespace.partition("/")[0],
        "CI_PROJECT_PATH": path, "CI_PROJECT_PATH_SLUG": slug(path),
        "CI_PROJECT_TITLE": project, "CI_PROJECT_URL": url, "CI_PROJECT_VISIBILITY": "private",
        "CI_PROJECT_DEFAULT_BRANCH": occasion.default_branch, "CI_COMMIT_REF_PROTECTED": "false",
        "CI_CONFIG_PATH": os.path.relpath(file, root) if file.startswith(root.rstrip("/") + "/") else
        os.path.basename(file), "CI_SERVER": "yes", "CI_SERVER_HOST": "gitlab.local",
        "CI_SERVER_FQDN": "gitlab.local", "CI_SERVER_URL": "https://gitlab.local",
        "CI_API_V4_URL": "https://gitlab.local/api/v4", "CI_SERVER_NAME": "GitLab",
    }  # fmt: skip
    if occasion.default_branch == ref and not occasion.is_tag:
        values["CI_COMMIT_REF_PROTECTED"] = "true"
    if occasion.is_tag:
        values["CI_COMMIT_TAG"] = ref
    elif occasion.source == "merge_request_event":
        values |= {
            "CI_MERGE_REQUEST_IID": "1", "CI_MERGE_REQUEST_ID": "1", "CI_MERGE_REQUEST_EVENT_TYPE": "detached",
            "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": ref, "CI_OPEN_MERGE_REQUESTS": f"{path}!1",
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": occasion.default_branch,
            "CI_MERGE_REQUEST_PROJECT_PATH": path,
            "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": path, "CI_MERGE_REQUEST_LABELS": "",
            "CI_MERGE_REQUEST_TITLE": "", "CI_MERGE_REQUEST_REF_PATH": "refs/merge-requests/1/head",
        }  # fmt: skip
    else:
        values["CI_COMMIT_BRANCH"] = ref
    return values


def slug(text: str) -> str:
    """As CI_COMMIT_REF_SLUG is made."""
    return re.sub(r"[^a-z0-9]", "-", text.lower())[:63].strip("-")
