"""What expressions speak of and is known when a file is read: the event, the branch, variables, inputs. Reads `.git`
for the branch and the name of the repository; asks no program."""

from __future__ import annotations

import os
import re

from stagebook.formats.github.expression.value import Open, to_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.formats.request import Request

_SMALL = 1 << 20
_remote = re.compile(r"(?:[/:])([\w.-]+)/([\w.-]+?)(?:\.git)?/?\s*$")


def contexts_of(
    request: Request, event: str, triggers: Mapping[str, Mapping[str, Any]], root: str, workflow: str
) -> dict[str, Any]:
    """`github`, `vars` and `inputs`, as far as they are known. JSON."""
    github = _github(request, event, root, workflow)
    inputs = inputs_of(request, event, triggers)
    if event == "workflow_dispatch":
        told = {name: to_text(value) for name, value in inputs.items()}
        github["event"] = {"inputs": told, **github.get("event", {})}
    return {"github": github, "vars": dict(request.variables), "inputs": inputs}


def _github(request: Request, event: str, root: str, workflow: str) -> dict[str, Any]:
    payload = dict(request.payload)
    found: dict[str, Any] = {"event_name": event, "workflow": workflow, "server_url": "https://github.com"}
    ref = request.ref or payload.get("ref") or head_of(root)
    pull = payload.get("pull_request")
    if isinstance(pull, dict):
        found["head_ref"] = _named(pull.get("head"))
        found["base_ref"] = _named(pull.get("base"))
    elif event not in ("pull_request", "pull_request_target"):
        found["head_ref"] = found["base_ref"] = ""
    if isinstance(ref, str) and ref:
        full = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
        found["ref"] = full
        found["ref_name"] = re.sub("^refs/(?:heads|tags|pull)/", "", full)
        found["ref_type"] = "tag" if full.startswith("refs/tags/") else "branch"
    name = payload.get("repository")
    repository = name.get("full_name") if isinstance(name, dict) else None
    repository = repository if isinstance(repository, str) else repository_of(root)
    if repository:
        found["repository"] = repository
        found["repository_owner"] = repository.partition("/")[0]
    if payload:
        found["event"] = payload
    return found


def _named(side: Any) -> str:
    return str(side.get("ref", "")) if isinstance(side, dict) else ""


def inputs_of(request: Request, event: str, triggers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Those of a workflow that a person starts, or that another calls, with their defaults; none otherwise."""
    declared = (triggers.get(event) or {}).get("inputs") if event in ("workflow_dispatch", "workflow_call") else None
    found: dict[str, Any] = {}
    for name, said in declared.items() if isinstance(declared, dict) else ():
        settings = said if isinstance(said, dict) else {}
        given = request.inputs.get(name)
        found[name] = typed(settings.get("default") if given is None else given, str(settings.get("type", "string")))
    return found


def typed(value: Any, type_: str) -> Any:
    """A value as an input of that type has it."""
    if type_ == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    if type_ == "number":
        if isinstance(value, (int, float)):
            return value
        try:
            return float(value) if value is not None else 0
        except ValueError:
            return 0
    if value is None:
        return ""
    return value


def static(contexts: Mapping[str, Any]) -> dict[str, Any]:
    """The same for deciding things before a run: what they do not have is not known yet, instead of null."""
    github = Open(contexts["github"])
    if isinstance(github.get("event"), dict):
        github["event"] = Open(github["event"])
    return {"github": github, "vars": Open(contexts["vars"]), "inputs": contexts["inputs"]}


def head_of(root: str) -> str | None:
    """The branch at hand, as `refs/heads/…`; None outside git and on no branch."""
    head = _read(_git_file(root, "HEAD"))
    found = re.match(r"ref: (refs/heads/[^\s]+)\s*$", head or "")
    return found[1] if found else None


def repository_of(root: str) -> str | None:
    """`owner/name` of the remote `origin`."""
    config = _read(_git_file(root, "config"))
    found = re.search(r'\[remote "origin"\][^\[]*?^\s*url\s*=\s*(\S+)', config or "", re.MULTILINE)
    named = _remote.search(found[1]) if found else None
    return f"{named[1]}/{named[2]}" if named else None


def _git_file(root: str, name: str) -> str | None:
    git = os.path.join(root, ".git")
    if os.path.isdir(git):
        return os.path.join(git, name)
    pointed = re.match(r"gitdir: (.+)", _read(git) or "")
    if not pointed:
        return None
    folder = os.path.normpath(os.path.join(root, pointed[1].strip()))
    common = _read(os.path.join(folder, "commondir"))
    if name == "config" and common:
        folder = os.path.normpath(os.path.join(folder, common.strip()))
    return os.path.join(folder, name)


def _read(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        if not os.path.isfile(path):
            return None
        with open(path, encoding="utf-8", errors="replace") as source:
            return source.read(_SMALL)
    except OSError:
        return None
