"""Text that strangers write and a workflow runs as code: expressions in scripts, and checkouts of what a pull request
holds where the workflow has the rights of the repository.
"""

from __future__ import annotations

import re

from stagebook.formats.github.expression import ExpressionError, template
from stagebook.formats.github.expression.grammar import BINARY, CALL, INDEX, NAME, NOT, Node
from stagebook.formats.github.expression.meaning import references
from stagebook.formats.source.nodes import LIST, SCALAR, Source
from stagebook.formats.source.nodes import Node as Yaml
from stagebook.graph.findings import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping

#: Paths whose text whoever opens an issue or a pull request chooses; `*` stands for any one name.
_EVENT = (
    "issue.title", "issue.body", "discussion.title", "discussion.body", "comment.body", "review.body",
    "review_comment.body", "pages.*.page_name", "commits.*.message", "commits.*.author.email", "commits.*.author.name",
    "head_commit.message", "head_commit.author.email", "head_commit.author.name", "pull_request.title",
    "pull_request.body", "pull_request.head.ref", "pull_request.head.label", "pull_request.head.repo.default_branch",
    "pull_request.head.repo.description", "pull_request.head.repo.homepage", "workflow_run.head_branch",
    "workflow_run.display_title", "workflow_run.head_commit.message", "workflow_run.head_commit.author.email",
    "workflow_run.head_commit.author.name", "workflow_run.head_repository.description",
    "workflow_run.pull_requests.*.head.ref",
)  # fmt: skip
_UNTRUSTED = frozenset([("github", "head_ref"), *(("github", "event", *path.split(".")) for path in _EVENT)])
#: Events that run with the repository's rights although a stranger causes them.
_PRIVILEGED = frozenset(
    ("pull_request_target", "issue_comment", "issues", "discussion", "discussion_comment", "workflow_run", "fork",
     "watch", "gollum")
)  # fmt: skip
#: Events whose payload has the first word of such a path.
_OF = {
    "issue": ("issues", "issue_comment"), "discussion": ("discussion", "discussion_comment"),
    "comment": ("issue_comment", "discussion_comment", "pull_request_review_comment", "commit_comment"),
    "pull_request": ("pull_request_target", "pull_request", "pull_request_review", "pull_request_review_comment"),
    "head_ref": ("pull_request_target", "pull_request"), "workflow_run": ("workflow_run",),
    "head_commit": ("push",), "commits": ("push",), "pages": ("gollum",),
    "review": ("pull_request_review",), "review_comment": ("pull_request_review_comment",),
}  # fmt: skip
_YES_OR_NO = frozenset(("contains", "startswith", "endswith", "hashfiles", "success", "failure", "always", "cancelled"))
_PULL_HEAD = re.compile(
    r"github\.event\.pull_request\.(?:head\.(?:sha|ref|label)|merge_commit_sha|number)|github\.head_ref|"
    r"github\.event\.workflow_run\.head_(?:sha|branch)|github\.event\.(?:issue|number)"
)
_GUARDED = re.compile(
    r"head\.repo\.(?:full_name|fork|owner)|head_repository\.(?:full_name|fork|owner)|author_association|labels?\b|"
    r"github\.(?:actor|triggering_actor)|user\.login|permission|is_member|\.outputs\.",
    re.IGNORECASE,
)


def injections(source: Source, jobs: Yaml, started: Mapping[str, Any]) -> Iterator[Finding]:
    """One for each step and path, at the line of the first expression."""
    for name, _, job in jobs.items():
        for step in _steps(job):
            for script, what in _scripts(step):
                told: set[tuple[str, ...]] = set()
                for path, line in _untrusted(source, script):
                    if path not in told and _is_there(path, started):
                        told.add(path)
                        yield _injection(name, path, line, what, started)


def _steps(job: Yaml) -> Iterator[Yaml]:
    steps = job.get("steps")
    for step in steps if steps is not None else ():
        yield step
        inner = step.get("parallel")
        if inner is not None and inner.kind == LIST:
            yield from inner


def _scripts(step: Yaml) -> Iterator[tuple[Yaml, str]]:
    run = step.get("run")
    if run is not None and run.kind == SCALAR:
        yield run, "shell"
    uses, given = step.get("uses"), step.get("with")
    if uses is not None and given is not None and str(uses.value).lower().startswith("actions/github-script@"):
        script = given.get("script")
        if script is not None and script.kind == SCALAR:
            yield script, "JavaScript"


def _untrusted(source: Source, script: Yaml) -> Iterator[tuple[tuple[str, ...], int]]:
    """Each path that strangers fill and that becomes part of the script's text, and its line."""
    if "${{" not in str(script.value):
        return
    is_raw = script.plain or source.text[script.start : script.start + 1] in "|>"
    text = source.text[script.start : script.end] if is_raw else str(script.value)
    try:
        parts = template(text)
    except ExpressionError:
        return  # which is a problem of its own
    for part in parts:
        if part.tree is None:
            continue
        line = script.line + text.count("\n", 0, part.offset) if is_raw else script.line
        for node in _flows(part.tree):
            for reference in references(node):
                path = tuple(each.lower() for each in reference.path)
                if _is_untrusted(path):
                    yield path, line


def _flows(tree: Node) -> Iterator[Node]:
    """The parts of an expression whose text may be its value: what is compared is not."""
    if tree.kind in (NAME, INDEX):
        yield tree
    elif tree.kind == BINARY and tree.value == "||":
        for each in tree.below:
            yield from _flows(each)
    elif tree.kind == BINARY and tree.value == "&&":
        yield from _flows(tree.below[-1])
    elif tree.value not in _YES_OR_NO if tree.kind == CALL else tree.kind not in (BINARY, NOT):
        for each in tree.below:
            yield from _flows(each)


def _is_untrusted(path: tuple[str, ...]) -> bool:
    if path in _UNTRUSTED:
        return True
    return any(
        len(known) == len(path) and all(a in (b, "*") or b in ("*", "[]") for a, b in zip(known, path))
        for known in _UNTRUSTED if path[:2] == ("github", "event")
    )  # fmt: skip


def _is_there(path: tuple[str, ...], started: Mapping[str, Any]) -> bool:
    """Whether any event that starts the workflow brings it: a called one gets those of its callers."""
    events = _OF.get(path[1] if path[1] != "event" else path[2])
    return events is None or "workflow_call" in started or any(event in started for event in events)


def _injection(
    job: str, path: tuple[str, ...], line: int, what: str, started: Mapping[str, Any]
) -> Finding:  # fmt: skip
    said = ".".join(path)
    word = path[1] if path[1] != "event" else path[2]
    causes = [event for event in _OF.get(word, ()) if event in started]
    by_strangers = [event for event in causes if event in _PRIVILEGED]
    if by_strangers:
        why = f"whoever causes `{by_strangers[0]}` chooses that text, and the job has the repository's rights"
    elif causes:
        why = f"on `{causes[0]}` that text is not the repository's own"
    else:
        why = "a stranger may choose that text"
    return Finding(
        "script-injection",
        "warning" if by_strangers else "note",
        line,
        f"job {job} puts {said} into {what} code",
        (job,),
        why,
        "hand it over as a variable of `env:` and use that, quoted" if what == "shell"
        else "read it from `context.payload`, or from `process.env`",
    )  # fmt: skip


def foreign_code(source: Source, jobs: Yaml, started: Mapping[str, Any]) -> Iterator[Finding]:
    """Checkouts of a pull request's own code under an event that brings the repository's rights."""
    events = [event for event in ("pull_request_target", "workflow_run", "issue_comment") if event in started]
    if not events:
        return
    for name, _, job in jobs.items():
        condition = job.get("if")
        if condition is not None and _GUARDED.search(str(condition.value)):
            continue
        if job.get("environment") is not None or job.get("needs") is not None:
            continue  # somebody may look at it first
        steps = list(_steps(job))
        for at, step in enumerate(steps):
            ref = _foreign_ref(step)
            if ref is None or not _runs(steps[at + 1 :]):
                continue
            own = step.get("if")
            if own is not None and _GUARDED.search(str(own.value)):
                continue
            yield Finding(
                "untrusted-checkout",
                "warning",
                ref.line,
                f"job {name} checks out what a pull request brings, on {events[0]}, and runs commands after it",
                (name,),
                f"`{events[0]}` gives secrets and a token that may write, also to code of a stranger's",
                "run it on `pull_request`, or check out the base, or ask for approval (an environment) first",
            )


def _foreign_ref(step: Yaml) -> Yaml | None:
    uses, given = step.get("uses"), step.get("with")
    if uses is None or given is None or not str(uses.value).lower().startswith("actions/checkout@"):
        return None
    ref = given.get("ref")
    return ref if ref is not None and ref.kind == SCALAR and _PULL_HEAD.search(str(ref.value)) else None


def _runs(steps: list[Yaml]) -> bool:
    """Whether any of them may run what was checked out."""
    return any(step.get("run") is not None or str(getattr(step.get("uses"), "value", "")).startswith("./")
               for step in steps)  # fmt: skip
