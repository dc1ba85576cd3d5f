"""What a GitLab file says of all its jobs, whichever of them a pipeline has: for edits of the file, which must be right
for every event. The whole is that of the reader: includes, templates, references and defaults are resolved."""

from __future__ import annotations

from stagebook.formats.gitlab import read
from stagebook.formats.gitlab.inputs import is_head
from stagebook.formats.source.nodes import MAP, SCALAR, Node, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from stagebook.formats.gitlab.drafts import Draft
    from stagebook.formats.request import Request


class Said:
    """`root` is the user's own text; `jobs` are all there are. InputError where the whole cannot be made."""

    def __init__(self, source: Source, data: bytes, request: Request) -> None:
        documents = source.documents
        place = 1 if len(documents) > 1 and is_head(documents[0]) else 0
        self.root = documents[place] if len(documents) > place else None
        found = read.whole(data, source.file, request)
        self.jobs: dict[str, Draft] = {} if found is None else found.jobs

    def own(self, name: str) -> tuple[Node, Node] | None:
        """Key and value of a job in the user's own text."""
        return self.root.entry(name) if self.root is not None and name in self.jobs else None

    def get(self, name: str, key: str) -> Node | None:
        """What holds for a job, from wherever it comes."""
        return self.jobs[name].get(key) if name in self.jobs else None

    def has_artifacts(self, name: str) -> bool:
        return self.get(name, "artifacts") is not None

    def is_conditional(self, name: str) -> bool:
        """Whether pipelines may be without it."""
        return any(self.get(name, key) is not None for key in ("rules", "only", "except"))

    def is_manual(self, name: str) -> bool | None:
        """Whether a person starts it and nobody waits for that; None where that depends on rules."""
        when = self.get(name, "when")
        allowed = self.get(name, "allow_failure")
        rules = self.get(name, "rules")
        if rules is not None and "manual" in [each.text for each in _entries(rules, "when")]:
            return None
        return when is not None and when.text == "manual" and (allowed is None or allowed.text != "false")

    def has_needs(self, name: str) -> bool:
        """Whether it says what it needs, be it by a rule."""
        rules = self.get(name, "rules")
        return self.get(name, "needs") is not None or (
            rules is not None and any(True for _ in _entries(rules, "needs"))
        )


def _entries(rules: Node, key: str) -> Iterator[Node]:
    waiting = [rules]
    while waiting:
        node = waiting.pop()
        if node.kind == MAP:
            if (found := node.get(key)) is not None:
                yield found
        elif node.kind != SCALAR:
            waiting += node.value
