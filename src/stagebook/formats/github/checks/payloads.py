"""What events bring along in `github.event`: fields that an expression asks for and no event of the file has, which are
always empty. Only the top of each payload is known, and only of the usual events."""

from __future__ import annotations

from stagebook.formats.github.expression import references
from stagebook.formats.github.expression.grammar import BINARY, INDEX, NAME
from stagebook.formats.github.shape import nearest
from stagebook.formats.native.nodes import shorten
from stagebook.graph.coupling import listed
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping, Sequence

    from stagebook.formats.github.expression import Node, Part

_ALL = frozenset("repository sender organization enterprise installation workflow".split())
_PULL = (
    "action number pull_request after before assignee changes label milestone requested_reviewer requested_team reason"
)
#: As the vendor's page on webhooks has them.
FIELDS: Mapping[str, frozenset[str]] = {
    name: _ALL.union(said.split())
    for name, said in {
        "branch_protection_rule": "action rule changes",
        "check_run": "action check_run requested_action",
        "check_suite": "action check_suite",
        "create": "description master_branch pusher_type ref ref_type",
        "delete": "pusher_type ref ref_type",
        "deployment": "action deployment workflow_run",
        "deployment_status": "action check_run deployment deployment_status workflow_run",
        "discussion": "action answer category changes discussion label old_answer",
        "discussion_comment": "action changes comment discussion",
        "fork": "forkee",
        "gollum": "pages",
        "issue_comment": "action changes comment issue",
        "issues": "action assignee changes issue label milestone type",
        "label": "action changes label",
        "merge_group": "action merge_group reason",
        "milestone": "action changes milestone",
        "public": "",
        "pull_request": _PULL,
        "pull_request_review": "action changes pull_request review",
        "pull_request_review_comment": "action changes comment pull_request",
        "pull_request_target": _PULL,
        "push": "after base_ref before commits compare created deleted forced head_commit pusher ref",
        "release": "action changes release",
        "repository_dispatch": "action branch client_payload",
        "schedule": "schedule",
        "status": "avatar_url branches commit context created_at description id name sha state target_url updated_at",
        "watch": "action",
        "workflow_dispatch": "inputs ref",
        "workflow_run": "action workflow_run",
    }.items()
}
#: Contexts, and members of `github`, that are the same in each run of a file.
_SAME = frozenset(("vars", "secrets", "env"))
_SAME_OF_GITHUB = frozenset(("workflow", "repository", "repository_owner", "repository_id", "server_url", "event_name"))


class Absent(NamedTuple):
    """A field that is always empty; `offset` in its expression, `text` why."""

    offset: int
    path: tuple[str, ...]
    text: str


def absent(tree: Node, triggers: Mapping[str, Any]) -> Iterator[Absent]:
    """Fields that no event of the file has. What stands beside `&&` or `||` is not looked at: whoever writes that knows
    that it may be empty. Of a file that others call nothing is known."""
    if not triggers or not FIELDS.keys() >= triggers.keys():
        return
    known = frozenset().union(*(FIELDS[name] for name in triggers))
    for node in _alone(tree):
        for each in references(node):
            path = tuple(part.lower() for part in each.path)
            if path[:2] != ("github", "event") or len(path) < 3 or path[2] in known or path[2] in ("*", "[]"):
                continue
            yield Absent(each.offset, path, _why(each.path, triggers, known))


def _why(path: Sequence[str], triggers: Mapping[str, Any], known: frozenset[str]) -> str:
    events = listed(list(triggers)[:3], max(0, len(triggers) - 3))
    name = shorten(path[2])
    if path[2].lower() in triggers and len(path) > 3 and path[3].lower() in known:
        near = f"; what {path[2]} brings is in `github.event` itself: `github.event.{shorten(path[3])}`"
    else:
        near = nearest(path[2].lower(), known)
    brings = "brings" if len(triggers) == 1 else "bring"
    return f"{events} {brings} no `{name}`, so `{shorten('.'.join(path))}` is always empty{near}"


def _alone(tree: Node) -> Iterator[Node]:
    """Names and what is asked of them, each as a whole, but for what is beside `&&` or `||`."""
    if tree.kind in (NAME, INDEX):
        yield tree
    elif tree.kind != BINARY or tree.value not in ("&&", "||"):
        for each in tree.below:
            yield from _alone(each)


def is_same(parts: Sequence[Part], empty: frozenset[tuple[str, ...]]) -> bool:
    """Whether a text is the same in each run, where what `empty` names is always empty."""
    for part in parts:
        for each in references(part.tree) if part.tree is not None else ():
            path = tuple(name.lower() for name in each.path)
            if path in empty or path[0] in _SAME or (path[0] == "github" and path[1:2] and path[1] in _SAME_OF_GITHUB):
                continue
            return False
    return True
