"""What a job of a GitLab file is told about itself: by itself, by merge keys, by what it extends, by `default`. Looks
at one file; what rules decide, and includes, are the reader's."""

from __future__ import annotations

from stagebook.formats.source.nodes import MAP, SCALAR, Node, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

_KEYWORDS = frozenset(
    ("stages", "include", "default", "workflow", "image", "services", "before_script", "after_script", "variables",
     "cache", "spec")
)  # fmt: skip
_DEPTH_MAX = 11  #: of `extends`, as GitLab has it


class Said:
    def __init__(self, source: Source) -> None:
        self.root = source.documents[-1] if source.documents else None

    def jobs(self) -> Iterator[tuple[str, Node, Node]]:
        """Name, key and value of all jobs that are none to be extended only."""
        for name, key, body in self.root.items() if self.root is not None else ():
            if name not in _KEYWORDS and not name.startswith(".") and body.kind == MAP:
                yield name, key, body

    def job(self, name: str) -> tuple[Node, Node] | None:
        return self.root.entry(name) if self.root is not None and name not in _KEYWORDS else None

    def effective(self, job: Node, key: str, depth: int = 0) -> Node | None:
        """What holds for a job, from wherever in this file it comes."""
        own = job.get(key)
        if own is not None or depth > _DEPTH_MAX:
            return own
        extends = job.get("extends")
        for name in reversed(extends.texts if extends is not None else []):
            base = self.root.get(name) if self.root is not None else None
            found = self.effective(base, key, depth + 1) if base is not None and base.kind == MAP else None
            if found is not None:
                return found
        default = self.root.get("default") if depth == 0 and self.root is not None else None
        return default.get(key) if default is not None else None

    def stages(self) -> list[str]:
        said = self.root.get("stages") if self.root is not None else None
        names = said.texts if said is not None else ["build", "test", "deploy"]
        return [".pre", *[name for name in names if name not in (".pre", ".post")], ".post"]

    def place(self, job: Node) -> int | None:
        """Of the job's stage among all; None where it is not clear."""
        said = self.effective(job, "stage")
        name = "test" if said is None else said.text
        return self.stages().index(name) if name in self.stages() else None

    def has_artifacts(self, job: Node) -> bool:
        found = self.effective(job, "artifacts")
        return found is not None and not found.is_null

    def is_conditional(self, job: Node) -> bool:
        """Whether pipelines may be without it."""
        return any(self.effective(job, key) is not None for key in ("rules", "only", "except"))

    def is_manual(self, job: Node) -> bool | None:
        """Whether a person starts it and nobody waits for that; None where that depends on rules."""
        when = self.effective(job, "when")
        if when is not None and when.text == "manual":
            return True
        rules = self.effective(job, "rules")
        texts = [each.text for each in _whens(rules)] if rules is not None else []
        return None if "manual" in texts else False


def _whens(rules: Node) -> Iterator[Node]:
    waiting = [rules]
    while waiting:
        node = waiting.pop()
        if node.kind == MAP:
            found = node.get("when")
            if found is not None and found.kind == SCALAR:
                yield found
        elif node.kind != SCALAR:
            waiting += node.value
