"""What is kept while a file and all that it includes are read: places, problems, limits. Nothing of what keys mean."""

from __future__ import annotations

import os

from stagebook.formats.native.grammar import DEPTH_MAX, NODES_MAX
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node
from stagebook.model.problem import InputError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, NoReturn, TypeAlias

    from stagebook.formats.request import Request

    Entry: TypeAlias = "tuple[Node, Node]"

PROBLEMS_MAX = 200


class Reading:
    """`root` is where the project begins. `spots`: an included file to the place in the user's file that brings it in.
    `is_fragment`: it is a part of something else, or lacks parts of its own, so what it speaks of and does not have is
    no error. `is_part`: it is not what GitLab starts from. `is_at_hand`: it lies at the root of its repository."""

    __slots__ = (
        "_absent", "_left", "_seen", "digests", "file", "is_at_hand", "is_fragment", "is_part",
        "missing", "name", "problems",
        "request", "root", "spots",
    )  # fmt: skip

    def __init__(self, file: str, root: str, request: Request) -> None:
        self.file = file
        self.root = root
        self.name = os.path.basename(file)
        self.request = request
        self.is_fragment = False
        self.is_part = False
        self.is_at_hand = False
        self.problems: list[Problem] = []
        self.missing: list[Problem] = []
        self.digests: dict[str, str] = {}
        self.spots: dict[str, tuple[int, int]] = {}
        self._absent: set[str] = set()
        self._seen: set[tuple[str, int, int, str]] = set()
        self._left = NODES_MAX

    # Places -------------------------------------------------------------------------------------------------------

    def place(self, node: Node | None) -> tuple[str, int, int]:
        """File, line and column of a node."""
        if node is None:
            return self.file, 0, 0
        return node.file or self.file, node.line, node.col

    def spot(self, node: Node) -> tuple[int, int]:
        """Line and column in the user's own file: of the node, or of the include that brings it in."""
        if node.file is None or node.file == self.file:
            return node.line, node.col
        return self.spots.get(node.file, (1, 1))

    # Problems -----------------------------------------------------------------------------------------------------

    def problem(self, node: Node | None, code: str, message: str, level: str = "error") -> None:
        """Take down what is wrong, once; of hundreds only the first."""
        file, line, col = self.place(node)
        key = (file, line, col, message)
        if key in self._seen:
            return
        self._seen.add(key)
        if len(self.problems) >= PROBLEMS_MAX and level != "error":
            return
        if len(self.problems) >= 2 * PROBLEMS_MAX:
            return
        if len(self.problems) == 2 * PROBLEMS_MAX - 1:
            message += " (more errors are not listed)"
        self.problems.append(Problem(file, line, col, code, level, message))

    def warn(self, node: Node | None, code: str, message: str) -> None:
        self.problem(node, code, message, "warning")

    def note(self, node: Node | None, code: str, message: str) -> None:
        self.problem(node, code, message, "note")

    def lacks(self, node: Node | None, code: str, message: str) -> None:
        """It refers to what could not be read: that is said of the pipeline as a whole, not among its problems, and by
        a line of the user's own file."""
        line, col = self.spot(node) if node is not None else (0, 0)
        if node is not None and node.file is not None and node.file != self.file:
            message += f" (line {node.line} of {shorten(os.path.relpath(node.file, self.root))})"
        if all((line, message) != (each.line, each.message) for each in self.missing):
            self.missing.append(Problem(self.file, line, col, code, "note", message))

    def absent(self, node: Node | None, code: str, message: str, brief: str = "") -> None:
        """It refers to what is not there: an error, but of a part of something else only a note, by `brief` once for
        all that refer to it. It is missing by itself only where no file is that may have it."""
        if not self.is_fragment:
            self.problem(node, code, message)
            return
        text = brief or message
        if text in self._absent:
            return
        self._absent.add(text)
        files = [each for each in self.missing if each.code == "include"]
        if len(files) > 1:
            self.note(node, code, f"{text}; it may be in a file that could not be read")
        elif files:
            self.note(node, code, f"{text}; it may be in the file of line {files[0].line}, which could not be read")
        else:
            self.lacks(node, code, f"{text}; it may be in a file that includes this one")

    def refuse(self, node: Node | None, code: str, message: str) -> NoReturn:
        """InputError: there is no use in reading on."""
        file, line, col = self.place(node)
        raise InputError(message, [Problem(file, line, col, code, "error", message)])

    @property
    def is_wrong(self) -> bool:
        return any(each.level == "error" for each in self.problems)

    def spend(self, node: Node | None, count: int = 1) -> None:
        """Nodes are made out of others: only so many."""
        self._left -= count
        if self._left < 0:
            self.refuse(node, "limit", f"references and templates make more than {NODES_MAX} values, the limit")


# Nodes made out of others ---------------------------------------------------------------------------------------------


def like(origin: Node, kind: str, value: object) -> Node:
    """A node that stands where another one does."""
    node = Node(kind, value, origin.start, origin.line, origin.col)
    node.end, node.end_line, node.file = origin.end, origin.end_line, origin.file
    return node


def map_of(origin: Node, entries: Iterable[Entry]) -> Node:
    return like(origin, MAP, list(entries))


def list_of(origin: Node, values: Iterable[Node]) -> Node:
    return like(origin, LIST, list(values))


def scalar(origin: Node, text: str, plain: bool = False) -> Node:
    node = like(origin, SCALAR, text)
    node.plain = plain
    return node


def rewritten(node: Node, change: Callable[[Node], Node | None]) -> Node:
    """The tree with `change` done: it answers what stands in place of a node, or None to go into it. What has no change
    in it stays the very node."""
    done: dict[int, Node] = {}

    def walk(each: Node) -> Node:
        found = done.get(id(each))
        if found is None:
            found = change(each)
            if found is None:
                found = inside(each)
            done[id(each)] = found
        return found

    def inside(each: Node) -> Node:
        if each.kind == LIST:
            values = [walk(value) for value in each]
            if all(new is old for new, old in zip(values, each)):
                return each
            made = list_of(each, values)
            made.tag = each.tag
            return made
        if each.kind == MAP:
            pairs = [(walk(key), walk(value)) for key, value in each.entries()]
            if all(new[0] is old[0] and new[1] is old[1] for new, old in zip(pairs, each.entries())):
                return each
            return map_of(each, pairs)
        return each

    return walk(node)


def merged(under: Node, over: Node, reading: Reading) -> Node:
    """Two maps, deeply: what is in both is of `over`, unless both are maps. Lists are replaced, as null does too."""
    if under.kind != MAP or over.kind != MAP:
        return over
    reading.spend(over, len(under.value) + len(over.value) + 1)
    entries: dict[str, Entry] = {str(key.value): (key, value) for key, value in under.entries()}
    for name, key, value in over.items():
        known = entries.get(name)
        entries[name] = (key, value if known is None else merged(known[1], value, reading))
    return map_of(over, entries.values())


def measured(node: Node, reading: Reading) -> int:
    """How many values a tree has, shared ones counted as often as they stand in it. InputError beyond the limits."""
    done: dict[int, int] = {}

    def walk(each: Node, depth: int) -> int:
        known = done.get(id(each))
        if known is not None:
            return known
        if depth > DEPTH_MAX:
            reading.refuse(each, "limit", f"nested deeper than {DEPTH_MAX} levels, the limit")
        if each.kind == LIST:
            found = 1 + sum(walk(value, depth + 1) for value in each)
        elif each.kind == MAP:
            found = 1 + sum(walk(value, depth + 1) for _, value in each.entries())
        else:
            found = 1
        if found > NODES_MAX:
            said = f"references and templates make more than {NODES_MAX} values, the limit"
            reading.refuse(each, "limit", said)
        done[id(each)] = found
        return found

    return walk(node, 1)
