"""What stands for something else in a file: `!reference` and `extends`, resolved over the merged whole, in this order.
What the result means is not said here.
"""

from __future__ import annotations

from stagebook.formats.gitlab.reading import Reading, list_of, map_of, merged, rewritten, scalar
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node

REFERENCES_MAX = 10
EXTENDS_MAX = 11  #: how many stand one on another
_TAG = "!reference"


# !reference -----------------------------------------------------------------------------------------------------------


class References:
    def __init__(self, reading: Reading, root: Node) -> None:
        self.reading = reading
        self.root = root
        self._inside: list[tuple[str, ...]] = []
        self._done: dict[tuple[str, ...], Node | None] = {}

    def resolved(self) -> Node:
        return rewritten(self.root, self.replaced)

    def replaced(self, node: Node) -> Node | None:
        """What stands in place of a reference; None of all else."""
        if node.tag is None:
            return None
        if node.tag != _TAG:
            self.reading.problem(node, "tag", f"tag {shorten(node.tag)} is unknown; GitLab has !reference")
            node.tag = None
            return None
        if node.kind != LIST or not node.value or len(node.texts) != len(node.value):
            self.reading.problem(node, "reference", "!reference takes a list of keys, as [job, script]")
            return scalar(node, "", plain=True)
        path = tuple(node.texts)
        shown = shorten(", ".join(path))
        if path in self._inside:
            self.reading.problem(node, "reference", f"!reference [{shown}] is part of what it stands for")
            return scalar(node, "", plain=True)
        if len(self._inside) >= REFERENCES_MAX:
            said = f"!reference [{shown}]: more than {REFERENCES_MAX} references one in another"
            self.reading.problem(node, "reference", said)
            return scalar(node, "", plain=True)
        if path in self._done:
            found = self._done[path]
        else:
            found = self._done[path] = self.target(path)
        if found is None:
            said = f"!reference [{shown}]: there is no such key"
            self.reading.absent(node, "reference", said, f"{shorten(':'.join(path))} is referred to and not there")
            return scalar(node, "", plain=True)
        self.reading.spend(node)
        return found

    def target(self, path: tuple[str, ...]) -> Node | None:
        at: Node | None = self.root
        for name in path:
            if at is not None and at.kind == LIST and name.isdigit():
                at = at.value[int(name)] if int(name) < len(at.value) else None
            else:
                at = at.get(name) if at is not None else None
            if at is not None and at.tag == _TAG:
                self._inside.append(path)
                at = self.replaced(at)
                self._inside.pop()
        if at is None:
            return None
        self._inside.append(path)
        try:
            return rewritten(at, self.replaced)
        finally:
            self._inside.pop()


# extends --------------------------------------------------------------------------------------------------------------


class Extender:
    """`extends` of the entries of a root, whatever they are."""

    def __init__(self, reading: Reading, root: Node) -> None:
        self.reading = reading
        self.root = root
        self._done: dict[str, Node] = {}
        self._heights: dict[str, int] = {}
        self.lacking: set[str] = set()  #: names of entries that extend what could not be read

    def resolved(self) -> Node:
        entries = [(key, self.entry(name, ())) for name, key, _ in self.root.items()]
        return map_of(self.root, entries)

    def entry(self, name: str, inside: tuple[str, ...]) -> Node:
        known = self._done.get(name)
        if known is not None:
            return known
        node = self.root.get(name)
        assert node is not None
        wanted = node.get("extends") if node.kind == MAP else None
        if wanted is None or wanted.is_null:
            self._done[name] = node
            return node
        if wanted.kind == MAP or (wanted.kind == LIST and len(wanted.texts) != len(wanted.value)):
            self.reading.problem(wanted, "extends", f"{shorten(name)}: `extends` takes a name or a list of names")
            return node
        under: Node | None = None
        for at in (wanted,) if wanted.kind == SCALAR else wanted:
            found = self.base(name, at.text or "", at, (*inside, name))
            if found is not None:
                under = found if under is None else merged(under, found, self.reading)
        made = node if under is None else merged(under, node, self.reading)
        self._heights[name] = 1 + max(self._heights.get(base, 0) for base in wanted.texts) if wanted.texts else 0
        self._done[name] = made
        return made

    def base(self, name: str, base: str, at: Node, inside: tuple[str, ...]) -> Node | None:
        if len(inside) + self._heights.get(base, 0) > EXTENDS_MAX:
            said = f"{shorten(name)}: more than {EXTENDS_MAX} templates stand one on another in `extends`"
            self.reading.problem(at, "extends", said)
            return None
        if base in inside:
            self.reading.problem(at, "extends", f"{shorten(name)}: `extends` goes in a circle by {shorten(base)}")
            return None
        found = self.root.get(base)
        if found is None:
            said = f"{shorten(name)}: `extends` names {shorten(base)}, which is not there"
            self.reading.absent(at, "extends", said, f"{shorten(base)} is extended and not there")
            self.lacking.add(name)
            return None
        if found.kind != MAP:
            self.reading.problem(at, "extends", f"{shorten(name)}: {shorten(base)} cannot be extended: it has no keys")
            return None
        made = self.entry(base, inside)
        if base in self.lacking:
            self.lacking.add(name)
        return made


def flattened(node: Node) -> Node:
    """A list with the lists in it spliced."""
    if node.kind != LIST or not any(each.kind == LIST for each in node):
        return node
    values: list[Node] = []
    for each in node:
        values += flattened(each).value if each.kind == LIST else [each]
    return list_of(node, values)
