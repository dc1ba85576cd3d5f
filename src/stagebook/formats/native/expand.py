"""Lists, groups and matrices to one flat tuple of stages with their needs. Reads no file and knows no other key.

First a walk over the entries makes drafts and says which the place in a list makes wait for which; then, when all
names are known, needs are resolved to places in the flat list, counted before they are made, and the stages built.
"""

from __future__ import annotations

from itertools import chain

from stagebook.formats.native import grammar
from stagebook.formats.native.check import Checker, found
from stagebook.formats.native.nodes import Node, is_nameable, line_of, shorten
from stagebook.formats.native.split import part_of, parts_of
from stagebook.formats.native.stage import Draft, Setting, read_stage
from stagebook.graph.cycles import find_cycle
from stagebook.model.pipeline import Matrix, OutputOf, Resources, Retry, Stage, Timeouts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Mapping

    from stagebook.formats.native.files import Reads

#: Cycles said in one go; finding each costs a walk over the graph.
_CYCLES_MAX = 10
_NEEDS = list[tuple[str, int]]


class Stages:
    """What a file's `stages` became. `stages` is empty where something was wrong."""

    __slots__ = ("stages", "groups", "matrices", "machine_locks")

    def __init__(
        self,
        stages: tuple[Stage, ...],
        groups: dict[str, tuple[str, ...]],
        matrices: dict[str, Matrix],
        machine_locks: tuple[str, ...] = (),
    ) -> None:
        self.stages = stages
        self.groups = groups
        self.matrices = matrices
        self.machine_locks = machine_locks


class Expander:
    """One pass over `stages`. `named` holds stages and groups, as they share their names."""

    def __init__(self, check: Checker, setting: Setting) -> None:
        self.check = check
        self.setting = setting
        self.drafts: list[Draft] = []
        self.named: dict[str, Draft | list[Draft]] = {}
        self.places: dict[str, int] = {}
        self.told: set[int] = set()

    def expand(self, place: int, node: Node) -> Stages:
        held = node[0]
        if type(held) is dict:
            self.mapping(node)
        elif type(held) is list:
            self.entries(held, True, [], [], None)
        else:
            self.check.error(node[1], "type", f"stages: a mapping or a list expected, not {found(node)}")
            return Stages((), {}, {})
        if not held:
            self.check.error(place, "empty", "stages: holds no stage")
        return self.resolve(place)

    # The walk

    def mapping(self, node: Node) -> None:
        """A mapping: order comes from `needs` alone. Entries are let go as they are read, for memory's sake."""
        entries = node[0]
        for name in list(entries):
            place, value = entries[name]
            self.entry(name, place, value, [], [], None)
            entries[name] = None

    def entries(
        self, items: Iterable[Node], ordered: bool, implied: list[Draft], needs: _NEEDS, group: str | None
    ) -> list[Draft]:
        """The entries of a list. `implied` comes from where the list itself stands; in a sequence each entry's drafts
        are implied for the next one."""
        members: list[Draft] = []
        for item in items:
            made = self.item(item, implied, needs, group)
            members += made
            if ordered and made:
                implied = made
        return members

    def item(self, item: Node, implied: list[Draft], needs: _NEEDS, group: str | None) -> list[Draft]:
        check = self.check
        if type(item[0]) is not dict or not item[0]:
            check.error(item[1], "type", f"an entry is a stage as `NAME: COMMAND`, or a group, not {found(item)}")
            return []
        keys = list(item[0])
        if "parallel" in keys or "sequence" in keys:
            return self.group(None, item[1], item, implied, needs, group)
        if len(keys) > 1:
            place = item[0][keys[1]][0]
            hint = (
                "; its keys are indented below its name"
                if keys[1] in grammar.STAGE_KEYS
                else "; start the next one with `-`"
            )
            check.error(
                place,
                "entry",
                f"an entry holds one stage, but `{shorten(keys[1])}` stands beside `{shorten(keys[0])}`{hint}",
            )
            return []
        place, value = item[0][keys[0]]
        return self.entry(keys[0], place, value, implied, needs, group)

    def entry(
        self, name: str, place: int, node: Node, implied: list[Draft], needs: _NEEDS, group: str | None
    ) -> list[Draft]:
        """A named stage or group."""
        fine = self.name(name, place)
        if name in grammar.GROUPS:
            return []
        if type(node[0]) is dict and ("parallel" in node[0] or "sequence" in node[0]):
            kinds = [key for key in node[0] if key in grammar.KINDS and key not in grammar.GROUPS]
            if kinds:
                self.check.error(place, "kind", f"stage `{shorten(name)}`: a group has no `{kinds[0]}`")
            members = self.group(name, place, node, implied, needs, group)
            if fine:
                self.named[name] = members
            return members
        draft = read_stage(self.check, name, place, node, self.setting)
        if draft is None:
            if fine:
                self.named[name] = []
            return []
        draft.group = group
        draft.group_needs = needs
        if draft.own_needs is None:
            draft.implied = implied
        if draft.kind == "split":
            parts = parts_of(self.check, draft, node)
            self.drafts += parts
            if fine:
                self.named[name] = parts
            return parts
        self.drafts.append(draft)
        if fine:
            self.named[name] = draft
        return [draft]

    def group(
        self, name: str | None, place: int, node: Node, implied: list[Draft], needs: _NEEDS, outer: str | None
    ) -> list[Draft]:
        check = self.check
        label = f"group `{shorten(name)}`" if name is not None else "group"
        there = [key for key in node[0] if key in grammar.GROUPS]
        check.exactly_one(place, there, grammar.GROUPS, label)
        for key, (key_place, _) in node[0].items():
            if key not in grammar.GROUP_KEYS and key not in grammar.KINDS:
                more = (
                    " for a group; put it on its stages"
                    if key in grammar.STAGE_KEYS
                    else check.nearest(key, grammar.GROUP_KEYS)
                )
                check.error(key_place, "unknown-key", f"unknown key '{shorten(key)}'{more}")
        if "needs" in node[0]:
            value = node[0]["needs"][1]
            check.value(value, grammar.GROUP_KEYS["needs"].type, "needs")
            own = [value] if type(value[0]) is str else value[0] if type(value[0]) is list else []
            needs = [*needs, *((each[0], each[1]) for each in own if type(each[0]) is str and each[0])]
            implied = []
        entries = node[0][there[0]][1]
        if type(entries[0]) is not list:
            check.error(entries[1], "type", f"{there[0]}: a list of entries expected, not {found(entries)}")
            return []
        if not entries[0]:
            check.error(entries[1], "empty", f"{there[0]}: holds no entry")
        return self.entries(entries[0], there[0] == "sequence", implied, needs, name if name is not None else outer)

    def name(self, name: str, place: int) -> bool:
        check = self.check
        if name in grammar.GROUPS:
            own = f"`checks: {{{name}: [...]}}`"
            check.error(place, "name", f"`{name}` is reserved; a group has its own name, as in {own}")
        elif not name or name.isspace() or not is_nameable(name) or "[" in name or "]" in name:
            holds = "holds `[` or `]`" if is_nameable(name) else "holds control characters"
            check.error(
                place, "name", f"the stage name '{shorten(name)}' {'is empty' if not name or name.isspace() else holds}"
            )
        elif name in self.places:
            first = line_of(self.places[name])
            said = f"the name `{shorten(name)}` is taken, first on line {first}; names are unique in a file"
            check.error(place, "duplicate-name", said)
        else:
            self.places[name] = place
            return True
        return False

    # Needs and stages

    def resolve(self, place: int) -> Stages:
        check = self.check
        total = 0
        for draft in self.drafts:
            draft.first = total
            total += draft.count
        if total > grammar.STAGES_MAX:
            check.error(place, "limit", f"stages: {total} stages, the limit is {grammar.STAGES_MAX}")
            return Stages((), {}, {})
        self.steps()
        ids = self.ids()
        cells = self.cell_index(ids)
        flat, edges = [], 0
        for draft in self.drafts:
            needs = self.needs_of(draft, cells, grammar.EDGES_MAX - edges)
            edges += len(needs) * draft.count
            if edges > grammar.EDGES_MAX:
                check.error(draft.place, "limit", f"stages: more than {grammar.EDGES_MAX} needs in all, the limit")
                return Stages((), {}, {})
            flat.append(needs)
        reads: dict[int, Reads] = {}
        if self.setting.has_files:
            from stagebook.formats.native.files import add_needs

            reads = add_needs(check, self.drafts, flat, grammar.EDGES_MAX - edges)
        self.cycles(flat, reads)
        if check.errors:
            return Stages((), {}, {})
        made = self.built(ids, flat, reads)
        if reads:
            from stagebook.formats.native.files import tell

            made.stages = tell(made.stages, self.drafts, reads)
        return made

    def built(self, ids: list[str], flat: list[dict[int, int]], reads: Mapping[int, Reads]) -> Stages:
        """The stages themselves. Those of a group wait for the same ones, so equal needs are kept once."""
        stages: list[Stage] = []
        known: dict[tuple[str, ...], tuple[str, ...]] = {}
        for at, (draft, needs) in enumerate(zip(self.drafts, flat)):
            if at in reads and len(reads[at].cells) > 1:
                for index, own in enumerate(reads[at].by_cell(needs)):
                    need_ids, lines = tuple([ids[each] for each in own]), tuple(own.values())
                    stages.append(_stage(draft, ids[draft.first + index], index, need_ids, lines))
                continue
            need_ids, lines = tuple([ids[each] for each in needs]), tuple(needs.values())
            need_ids = known.setdefault(need_ids, need_ids)
            for index in range(draft.count):
                stages.append(_stage(draft, ids[draft.first + index], index, need_ids, lines))
        groups = {
            name: tuple(ids[each] for draft in members for each in range(draft.first, draft.first + draft.count))
            for name, members in self.named.items()
            if isinstance(members, list)
        }
        matrices = {
            draft.name: Matrix(
                tuple(ids[draft.first : draft.first + draft.count]), draft.cells.max_parallel, draft.cells.fail_fast
            )
            for draft in self.drafts
            if draft.cells is not None and draft.kind != "split"
        }
        machine_locks = tuple(dict.fromkeys(chain.from_iterable(draft.machine_locks for draft in self.drafts)))
        return Stages(tuple(stages), groups, matrices, machine_locks)

    def ids(self) -> list[str]:
        ids: list[str] = []
        for draft in self.drafts:
            if draft.cells is None:
                ids.append(draft.name)
            else:
                ids += [f"{draft.name}[{label}]" for label in draft.cells.labels]
        return ids

    def cell_index(self, ids: list[str]) -> dict[str, int]:
        return {
            ids[draft.first + index]: draft.first + index
            for draft in self.drafts
            if draft.cells is not None
            for index in range(draft.count)
        }

    def needs_of(self, draft: Draft, cells: Mapping[str, int], room: int) -> dict[int, int]:
        """Places in the flat list to the line that makes each a need, in the user's order. Stops beyond `room`."""
        needs: dict[int, int] = {}
        for text, place in (*draft.group_needs, *(draft.own_needs or ())):
            line = line_of(place)
            target = self.named.get(text)
            if target is None:
                index = cells.get(text)
                if index is None:
                    self.unknown(text, place, cells)
                else:
                    needs.setdefault(index, line)
                continue
            for each in target if isinstance(target, list) else (target,):
                if each is draft and isinstance(target, list):
                    message = f"stage `{shorten(draft.name)}` needs the group `{shorten(text)}`, which it is part of"
                    self.check.error(place, "cycle", f"cycle: {message}")
                    break
                for index in range(each.first, each.first + each.count):
                    needs.setdefault(index, line)
                if len(needs) > room:
                    return needs
        for of, place in dict.fromkeys(draft.sources):
            index = self.source(of, place, cells)
            if index is not None:
                needs.setdefault(index, line_of(place))
        if draft.items_of is not None:
            index = self.items_of(draft, *draft.items_of, cells)
            if index is not None:
                needs.setdefault(index, line_of(draft.items_of[1]))
        if draft.listed_by is not None:
            needs.setdefault(draft.listed_by.first, line_of(draft.place))
        if draft.implied:
            line = line_of(draft.place)
            for each in draft.implied:
                for index in range(each.first, each.first + each.count):
                    needs.setdefault(index, line)
                if len(needs) > room:
                    return needs
        return needs

    def unknown(self, text: str, place: int, cells: Mapping[str, int]) -> None:
        if place in self.told:
            return  # a group's need is looked up for each of its stages
        self.told.add(place)
        base = text.partition("[")[0]
        target = self.named.get(base)
        if "[" in text and target == []:
            return  # the stage itself is wrong, which has been said
        if "[" in text and isinstance(target, Draft):
            near = self.check.nearest(text, (each for each in cells if each.startswith(base + "[")))
            message = f"stage `{shorten(base)}` has no cell `{shorten(text[len(base) :])}`{near}"
        else:
            near = self.check.nearest(text, chain(self.named, cells))
            message = f"unknown stage '{shorten(text)}' in needs{near}"
        self.check.error(place, "unknown-need", message)

    def source(self, of: OutputOf, place: int, cells: Mapping[str, int]) -> int | None:
        """The place in the flat list of the stage whose output is asked for: one is given it only after it has run."""
        target = self.named.get(of.stage)
        if isinstance(target, Draft) and target.cells is not None:
            cell = f"`{shorten(target.name)}[{target.cells.labels[0]}]`"
            self.check.error(place, "matrix", f"from: `{shorten(of.stage)}` is a matrix, name a cell as {cell}")
            return None
        if isinstance(target, Draft):
            return target.first
        found = cells.get(of.stage)
        if found is None and target != []:
            near = self.check.nearest(of.stage, chain(self.named, cells))
            self.check.error(place, "unknown-stage", f"from: unknown stage '{shorten(of.stage)}'{near}")
        return found

    def items_of(self, draft: Draft, name: str, place: int, cells: Mapping[str, int]) -> int | None:
        """The place in the flat list of the stage whose output the items of another are."""
        target = self.named.get(name)
        base = self.named.get(name.partition("[")[0]) if name in cells else target
        said = f"stage `{shorten(draft.name)}`: items: "
        if isinstance(base, Draft):
            if target is base and base.cells is not None:
                cell = f"`{shorten(base.name)}[{base.cells.labels[0]}]`"
                self.check.error(place, "matrix", f"{said}`{shorten(name)}` is a matrix, name a cell as {cell}")
            elif base.kind not in ("run", "cmd", "python"):
                self.check.error(place, "each", f"{said}`{shorten(name)}` is a `{base.kind}`, which prints nothing")
            elif base.fields.get("log-limit") is not None:
                self.check.error(place, "each", f"{said}`{shorten(name)}` has a `log-limit`, which cuts what it prints")
            else:
                return cells.get(name, base.first)
        elif isinstance(target, list) and target:
            self.check.error(place, "each", f"{said}`{shorten(name)}` is a group; name one stage")
        elif target is None:
            near = self.check.nearest(name, chain(self.named, cells))
            self.check.error(place, "unknown-stage", f"{said}unknown stage '{shorten(name)}'{near}")
        return None

    def steps(self) -> None:
        """Steps of an `each` have ids beside those of stages, and no stage may have the same."""
        for draft in self.drafts:
            for step in draft.each.steps if draft.each is not None else ():
                if (taken := f"{draft.name}.{step.name}") in self.places:
                    said = f"the name `{shorten(taken)}` is that of a step of `{shorten(draft.name)}`"
                    self.check.error(self.places[taken], "duplicate-name", f"{said}, on line {step.line}")

    def cycles(self, flat: list[dict[int, int]], reads: Mapping[int, Reads]) -> None:
        """Says cycles that share no stage, up to a number. Over drafts: the cells of a matrix have the same needs."""
        owner = [index for index, draft in enumerate(self.drafts) for _ in range(draft.count)]
        needs = [list({owner[each]: None for each in of}) for of in flat]
        for _ in range(_CYCLES_MAX):
            found = find_cycle(needs)
            if found is None:
                return
            self.cycle(found, flat, owner, reads)
            for index in found:
                needs[index] = []

    def cycle(self, found: list[int], flat: list[dict[int, int]], owner: list[int], reads: Mapping[int, Reads]) -> None:
        drafts = [self.drafts[index] for index in found]
        names = [shorten(draft.name) for draft in drafts]
        edges = []
        for index, of in zip(found[1:] + found[:1], found):
            need, line = next((each, line) for each, line in flat[index].items() if owner[each] == of)
            why = "needs"
            if index in reads and need in reads[index].added:
                why = f"reads {shorten(reads[index].links[of].path)} of"
            edges.append(f"{shorten(self.drafts[index].name)} {why} {shorten(self.drafts[of].name)} on line {line}")
        message = f"cycle: {' → '.join([*names, names[0]])} ({'; '.join(edges)})"
        self.check.error(drafts[0].place, "cycle", message)


_DEFAULT = Stage("", "", 0, 0, "run")


def _stage(draft: Draft, id_: str, index: int, needs: tuple[str, ...], lines: tuple[int, ...]) -> Stage:
    fields = draft.fields
    if draft.of_cells:
        fields = {**fields, **{key: paths[index] for key, paths in draft.of_cells.items()}}
    cell = draft.cells.cells[index] if draft.cells is not None else None
    place = draft.place
    get = fields.get
    ordering = get("ordering")
    retry: Retry = get("retry", _DEFAULT.retry)
    timeouts: Timeouts = get("timeout", _DEFAULT.timeouts)
    resources: Resources = get("resources", _DEFAULT.resources)
    return Stage(
        id_,
        draft.name,
        place >> 32,
        place & 0xFFFFFFFF,
        draft.kind,
        draft.command,
        needs,
        lines,
        get("join", "all"),
        get("always", False),
        cell,
        draft.group,
        get("priority", 0),
        resources,
        get("locks", _DEFAULT.locks),
        get("when"),
        get("changed", ()),
        get("quarantine"),
        retry,
        timeouts,
        get("grace", 10_000),
        get("duration"),
        draft.env,
        draft.env_from,
        draft.cmd_from,
        get("dir"),
        get("shell", "auto"),
        get("critical", False),
        get("allow-failure", False),
        get("retry-safe", True),
        ordering["strict"] if ordering else None,
        get("log-limit"),
        get("inputs", ()),
        get("outputs", ()),
        _DEFAULT.via,
        (),
        (),
        get("env-inputs", ()),
        get("requires", _DEFAULT.requires),
        get("secrets", ()),
        part_of(draft, index) if draft.kind == "split" else None,
        draft.gate,
        draft.each,
        draft.generates,
        None,
        None,
        draft.more,
    )
