"""What stages without an order between them share: an output, a file, a port, a database, a tool's place, a working
tree, a pool. Pure: told by what they declare and by the words of their commands, so it is only possible.

Values of variables may hold passwords: of an address only the server and the name of the database are ever said.
"""

from __future__ import annotations

import re
from itertools import pairwise

from stagebook.graph.artifacts import TooManyLinksError, TooManyPairsError, links
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Sequence

    from stagebook.graph.reach import Reach
    from stagebook.graph.shape import Needs
    from stagebook.model.pipeline import Pipeline, Stage

LINKS_MAX = 20_000
PAIRS_MAX = 64  #: stages that share one thing, of which each pair is looked at; of more, neighbours in order only
_NAMES_MAX = 5
COMMAND_MAX = 4000

_writes = re.compile(r"(?:^|[\s;&|(])(?:[12&]?>{1,2}\|?\s*|tee (?:-a )?)([\w./@+-]+)(?![\w./@+${*'\"-])")
_sqlite = re.compile(r"\bsqlite3 (?:-\S+ )*([\w./@+-]+\.\w+)")
_port = re.compile(r"(?:\b(?:localhost|127\.0\.0\.1|0\.0\.0\.0):|--port[= ])(\d{2,5})\b")
_url = re.compile(r"\b(postgres(?:ql)?|mysql|mariadb|mongodb|redis|amqp|sqlite|mssql)(?:\+\w+){0,3}://([^\s'\"]+)")
_ends = re.compile(r"[?#;&,)]")
_tree = re.compile(r"(?:^|[\n;&|(][^\S\n]*|\s)git (?:-\S+ )*(checkout|switch|reset|clean|pull|merge|rebase|stash|am)\b")
_installs = (
    (
        re.compile(r"(?:^|[\n;&|(][^\S\n]*)(?:npm (?:ci|i|install)|yarn install|pnpm (?:i|install))\b"),
        "node_modules in {dir}",
    ),
    (
        re.compile(r"(?:^|[\n;&|(][^\S\n]*|sudo )apt(?:-get)? (?:-\S+ )*(?:install|update|upgrade)\b"),
        "the lock of dpkg",
    ),
    (re.compile(r"(?:^|[\n;&|(][^\S\n]*)(?:pip3?|python3? -m pip) install (?!.*--target)"), "the Python environment"),
    (re.compile(r"(?:^|[\n;&|(][^\S\n]*)bundle install\b"), "the gems of {dir}"),
)
_HINTS = (">", "tee", "sqlite", "port", "localhost", "127.", "0.0.0.0", "://", "git ", "install", "npm", "apt", "yarn")

_FIXES = {
    "output": "give each a path of its own, or let one need the other",
    "file": "give each a file of its own, or both the same lock",
    "port": "give each a port of its own, or both the same lock",
    "database": "give each a database or schema of its own, or both the same lock",
    "tool": "do it once, in a stage that they need, or give them the same lock",
    "tree": "let the others need it, or give it a folder of its own",
    "pool": "the pool limits how many use it at once, not what they do there; a lock would keep them apart",
}


class Shared(NamedTuple):
    """`stages`: indices in order of the file; `what` they share; `verb` says what they do with it."""

    kind: str
    what: str
    verb: str
    stages: tuple[int, ...]
    level: str
    fix: str
    message: str = ""  #: where `verb` and `what` are not enough


def kept_apart(pipeline: Pipeline, one: Stage, other: Stage) -> tuple[str, str] | None:
    """Why two stages can never run at once, order aside: kind and name of a lock, or of a pool that is too small for
    both; None where they can."""
    if one.locks and other.locks:
        for name, mode in one.locks.items():
            if name in other.locks and (mode, other.locks[name]) != ("shared", "shared"):
                return "lock", name
    mine, theirs = one.resources.pools, other.resources.pools
    if mine and theirs:
        for name, units in mine.items():
            if name in theirs and name in pipeline.pools and units + theirs[name] > pipeline.pools[name].size:
                return "pool", name
    if one.cell is not None and one.name == other.name and one.name in pipeline.matrices:
        if pipeline.matrices[one.name].max_parallel == 1:
            return "lock", f"matrix {one.name}"
    return None


def find(
    pipeline: Pipeline, needs: Needs, order: Sequence[int], reach: Reach
) -> tuple[list[Shared], list[str]]:  # fmt: skip
    """What is shared without an order, in order of the file within each kind; and what was not looked for."""
    place = [0] * len(needs)
    for at, node in enumerate(order):
        place[node] = at
    looker = _Looker(pipeline, place, reach)
    unsaid: list[str] = []
    try:
        looker.outputs()
    except (TooManyLinksError, TooManyPairsError):
        unsaid.append("outputs that two stages may both write: there are too many to compare")
    looker.texts()
    looker.pools()
    if looker.reach.left <= 0:
        unsaid.append("all that stages without an order share: the graph is too large to look through")
    order_of = list(_FIXES)
    return sorted(looker.found, key=lambda each: (order_of.index(each.kind), each.stages)), unsaid


class _Looker:
    def __init__(self, pipeline: Pipeline, place: list[int], reach: Reach) -> None:
        self.pipeline = pipeline
        self.stages = pipeline.stages
        self.place = place
        self.reach = reach
        self.found: list[Shared] = []

    def may_meet(self, one: int, other: int) -> bool:
        """Whether nothing keeps two stages from running at once; False where that is not known."""
        if kept_apart(self.pipeline, self.stages[one], self.stages[other]) is not None:
            return False
        return self.reach.ordered(one, other) is False

    def among(self, users: Sequence[int]) -> list[int]:
        """Those of `users` that may run at once with another of them.

        Of many only neighbours in topological order are compared: if each comes before the next, all are in order.
        """
        users = sorted(set(users), key=self.place.__getitem__)
        if len(users) < 2:
            return []
        if len(users) <= PAIRS_MAX:
            pairs = [(one, other) for at, one in enumerate(users) for other in users[at + 1 :]]
        else:
            pairs = list(pairwise(users))
        return sorted({each for pair in pairs if self.may_meet(*pair) for each in pair})

    def add(self, kind: str, what: str, verb: str, users: Sequence[int], level: str = "warning") -> None:
        stages = self.among(users)
        if stages:
            self.found.append(Shared(kind, what, verb, tuple(stages), level, _FIXES[kind]))

    def outputs(self) -> None:
        """Two globs, or a folder and what is in it, of two stages: the same path twice is refused when it is read."""
        having = [index for index, stage in enumerate(self.stages) if stage.outputs]
        if len(having) < 2:
            return
        made = [self.stages[index].outputs for index in having]
        met = links([[output.path for output in each] for each in made], made, LINKS_MAX)
        by_path: dict[str, set[int]] = {}
        for at, others in enumerate(met):
            for other, link in others.items():
                by_path.setdefault(link.path, set()).update((having[at], having[other]))
        told: set[tuple[int, ...]] = set()
        for path, users in sorted(by_path.items()):
            if (key := tuple(sorted(users))) not in told:
                told.add(key)
                self.add("output", f"output {path}", "may write", key)

    def texts(self) -> None:
        """What the words of commands and variables name."""
        used: dict[tuple[str, str, str], list[int]] = {}
        in_dir: dict[str, list[int]] = {}
        movers: list[tuple[int, str, str]] = []
        known: dict[tuple[object, ...], list[tuple[str, str, str]]] = {}
        count = 0
        for index, stage in enumerate(self.stages):
            if stage.kind in ("gate", "service", "job"):  # a job has a machine of its own
                continue
            count += 1
            own_tree = _isolated(stage, "workspace") not in (None, "shared")
            folder = stage.dir or "."
            key = (stage.command, stage.dir, own_tree, id(stage.env) if stage.env else None)
            things = known.get(key)
            if things is None:
                things = known[key] = list(_things(stage, folder, own_tree))
            for thing in things:
                if thing[0] == "tree":
                    movers.append((index, folder, thing[1]))
                else:
                    used.setdefault(thing, []).append(index)
            if not own_tree:
                in_dir.setdefault(folder, []).append(index)
        for (kind, what, verb), users in used.items():
            if kind in ("port", "database") and len(users) == count > 2:
                continue  # what all are given says nothing of who uses it
            if len(users) > 1:
                self.add(kind, what, verb, users)
        for index, folder, word in movers:
            self.moved(index, folder, word, in_dir[folder])

    def moved(self, index: int, folder: str, word: str, users: Sequence[int]) -> None:
        """A stage changes the tree in which others, without an order to it, are at work."""
        others = [each for each in users[: PAIRS_MAX * 4] if each != index and self.may_meet(index, each)]
        if others:
            what = f"working tree {folder}"
            names = listed(named([self.stages[each] for each in others]))
            said = f"{self.stages[index].id} changes the {what} (git {word}) while {names} may be at work there"
            both = tuple(sorted([index, *others]))
            self.found.append(Shared("tree", what, "change", both, "warning", _FIXES["tree"], said))

    def pools(self) -> None:
        """A pool that lets several in at once."""
        used: dict[str, list[int]] = {}
        for index, stage in enumerate(self.stages):
            for name in stage.resources.pools:
                used.setdefault(name, []).append(index)
        for name, users in used.items():
            pool = self.pipeline.pools.get(name)
            if pool is not None and pool.size > 1 and len(users) > 1:
                self.add("pool", f"pool {name}", "use", users, "note")


def _isolated(stage: Stage, key: str) -> object:
    given = stage.more.get("isolate") if stage.more else None
    return given.get(key) if isinstance(given, dict) else None


def _things(stage: Stage, folder: str, own_tree: bool) -> Iterator[tuple[str, str, str]]:
    """What a stage uses that another may use too: kind, what, what it does with it. Each once."""
    text = stage.command if type(stage.command) is str else " ".join(stage.command)
    text = text[:COMMAND_MAX]
    values = list(stage.env.values())
    seen: set[tuple[str, str, str]] = set()
    if any(hint in text for hint in _HINTS):
        seen.update(_of_command(text, folder, own_tree))
    if _isolated(stage, "database") is None:
        seen.update(("database", f"database {name}", "use") for each in (text, *values) for name in _databases(each))
    if _isolated(stage, "ports") is None:
        ports = _port.findall(text) if ":" in text or "port" in text else []
        ports += [value for name, value in stage.env.items() if name.endswith("PORT") and value.isdigit()]
        seen.update(("port", f"port {int(port)}", "use") for port in ports)
    yield from sorted(seen)


def written(text: str) -> list[str]:
    """The files that a command writes, as far as its words say it."""
    found = (*_writes.findall(text), *_sqlite.findall(text))
    return [
        path for path in found
        if not path.startswith("/dev/") and not path.strip("/.+-").isdigit() and path.strip("./")
    ]  # fmt: skip


def _of_command(text: str, folder: str, own_tree: bool) -> Iterator[tuple[str, str, str]]:
    for path in written(text):
        if own_tree and not path.startswith("/"):
            continue
        yield "file", f"file {joined(folder, path)}", "write"
    if own_tree:
        return
    for word in _tree.findall(text):
        yield "tree", word, ""
    for pattern, what in _installs:
        if pattern.search(text):
            yield "tool", what.format(dir=folder), "write"


def _databases(text: str) -> Iterator[str]:
    """Server and name, as far as they are written out: neither a user nor a password."""
    if "://" not in text:
        return
    for scheme, rest in _url.findall(text):
        address = _ends.split(rest.rpartition("@")[2], 1)[0]
        if "$" not in address and address.strip("/"):
            yield f"{'postgres' if scheme.startswith('postgres') else scheme}://{address}"


def joined(folder: str, path: str) -> str:
    """A path as it is from the file's folder."""
    if path.startswith("/") or folder == ".":
        return path.removeprefix("./")
    return f"{folder.rstrip('/')}/{path.removeprefix('./')}"


# Words


def named(stages: Sequence[Stage]) -> list[str]:
    """Names for a sentence: the cells of a matrix as one."""
    found: dict[str, list[str]] = {}
    for stage in stages:
        found.setdefault(stage.id if stage.cell is None else stage.name, []).append(stage.id)
    return [ids[0] if len(ids) == 1 else f"{name} ×{len(ids)}" for name, ids in found.items()]


def listed(names: Sequence[str], more: int = 0) -> str:
    """`a`, `a and b`, `a, b, c and 4 more`; `more` are not among the names."""
    if more or len(names) > _NAMES_MAX + 1:
        return f"{', '.join(names[:_NAMES_MAX])} and {len(names[_NAMES_MAX:]) + more} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
