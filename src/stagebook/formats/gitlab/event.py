"""What the user says of the event that starts a pipeline: the occasion, and what a webhook's JSON tells of it beside.
Nothing of the file.
"""

from __future__ import annotations

from stagebook.formats.gitlab.reading import Reading
from stagebook.formats.gitlab.variables import SOURCES, Occasion
from stagebook.formats.native.nodes import is_nameable, shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

COMMITS_MAX = 1000
_TEXT_MAX = 10_000
_TAGS = ("tag", "tag_push")


def asked(reading: Reading, current: str | None, default: str) -> Occasion | None:
    """What the user asks for; None: whatever the file is mostly for. `current` is the branch at hand. InputError for
    what is no event or no ref."""
    request = reading.request
    if not request.event and request.ref is None:
        return None
    source = SOURCES.get(request.event or "push")
    if source is None:
        from difflib import get_close_matches

        near = get_close_matches(request.event[:100], sorted(SOURCES), 1, 0.7)
        said = f"event {shorten(request.event)} is none of GitLab's: {', '.join(sorted(set(SOURCES.values())))}"
        said += f"; did you mean {near[0]}?" if near else ""
        reading.refuse(None, "event", said)
    told = _ref(request.payload)
    ref = request.ref or told or ("v1.0.0" if request.event in _TAGS else current or default)
    if source == "merge_request_event" and request.ref is None and ref == default:
        ref = "feature"
    is_tag = ref.startswith("refs/tags/") or request.event in _TAGS
    ref = ref.removeprefix("refs/tags/").removeprefix("refs/heads/")
    if not ref or not is_nameable(ref):
        reading.refuse(None, "ref", f"ref {shorten(ref)!r} is no name of a branch or tag")
    return Occasion(source, ref, default, is_tag)


def _ref(payload: Mapping[str, Any]) -> str | None:
    return _text(payload, "ref") or _text(_map(payload, "object_attributes"), "source_branch")


def variables(payload: Mapping[str, Any]) -> dict[str, str]:
    """Those that the webhook of a push or a merge request tells."""
    if not payload:
        return {}
    attributes = _map(payload, "object_attributes")
    commits = payload.get("commits")
    last = commits[-1] if isinstance(commits, list) and commits and isinstance(commits[-1], dict) else {}
    commit = last or _map(attributes, "last_commit")
    message = _text(commit, "message")
    labels = attributes.get("labels")
    titles = [_text(each, "title") for each in labels if isinstance(each, dict)] if isinstance(labels, list) else []
    found = {
        "CI_COMMIT_MESSAGE": message,
        "CI_COMMIT_TITLE": _text(commit, "title") or (message.partition("\n")[0] if message else None),
        "CI_COMMIT_SHA": _text(payload, "checkout_sha") or _text(payload, "after") or _text(commit, "id"),
        "CI_COMMIT_BEFORE_SHA": _text(payload, "before"),
        "GITLAB_USER_LOGIN": _text(payload, "user_username") or _text(_map(payload, "user"), "username"),
        "CI_PROJECT_PATH": _text(_map(payload, "project"), "path_with_namespace"),
        "CI_MERGE_REQUEST_IID": _text(attributes, "iid"),
        "CI_MERGE_REQUEST_TITLE": _text(attributes, "title"),
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": _text(attributes, "target_branch"),
        "CI_MERGE_REQUEST_DRAFT": _text(attributes, "draft"),
        "CI_MERGE_REQUEST_LABELS": ",".join(each for each in titles if each) or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def changed(payload: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The files of a push, where its webhook tells them."""
    commits = payload.get("commits")
    if not isinstance(commits, list) or not commits:
        return None
    found: list[str] = []
    for commit in commits[:COMMITS_MAX]:
        for word in ("added", "modified", "removed"):
            paths = commit.get(word) if isinstance(commit, dict) else None
            found += [path for path in paths if isinstance(path, str)] if isinstance(paths, list) else []
    return tuple(dict.fromkeys(found))


def _map(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: Mapping[str, Any], name: str) -> str | None:
    found = value.get(name)
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, int):
        return str(found)
    return found[:_TEXT_MAX] if isinstance(found, str) and found else None
