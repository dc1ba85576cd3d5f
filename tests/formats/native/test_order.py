"""Lists, groups and needs: who waits for whom."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.formats.native.reading import needs, read, refused


def test_a_list_is_a_sequence() -> None:
    assert needs("stages: [a: x, b: x, c: x]") == {"a": [], "b": ["a"], "c": ["b"]}


def test_a_mapping_has_no_order_of_its_own() -> None:
    assert needs("stages: {a: x, b: x, c: {run: x, needs: a}}") == {"a": [], "b": [], "c": ["a"]}


def test_own_needs_replace_the_place_in_a_list() -> None:
    text = "stages: [a: x, b: x, c: {run: x, needs: [a]}, d: {run: x, needs: []}, e: x]"
    assert needs(text) == {"a": [], "b": ["a"], "c": ["a"], "d": [], "e": ["d"]}


def test_a_group_of_parallel_entries_stands_between_its_neighbours() -> None:
    text = "stages: [a: x, parallel: [b: x, c: x], d: x]"
    assert needs(text) == {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def test_own_needs_free_an_entry_of_a_group_as_well() -> None:
    text = "stages: [a: x, parallel: [b: x, c: {run: x, needs: []}], d: x]"
    assert needs(text) == {"a": [], "b": ["a"], "c": [], "d": ["b", "c"]}


def test_groups_nest() -> None:
    text = """
    stages:
      - a: x
      - parallel:
          - b: x
          - sequence:
              - c: x
              - parallel: [d: x, e: x]
              - f: x
      - g: x
    """
    assert needs(text) == {
        "a": [],
        "b": ["a"],
        "c": ["a"],
        "d": ["c"],
        "e": ["c"],
        "f": ["d", "e"],
        "g": ["b", "c", "d", "e", "f"],
    }


def test_a_named_group_is_needed_as_a_whole_and_gives_no_prefix() -> None:
    text = "stages: {checks: {parallel: [a: x, b: x]}, c: {run: x, needs: checks}}"
    assert needs(text) == {"a": [], "b": [], "c": ["a", "b"]}
    assert read(text).groups == {"checks": ("a", "b")}
    assert [each.group for each in read(text).stages] == ["checks", "checks", None]


def test_a_group_inside_a_group_belongs_to_both() -> None:
    pipeline = read("stages: {outer: {sequence: [inner: {parallel: [a: x, b: x]}, c: x]}}")
    assert pipeline.groups == {"outer": ("a", "b", "c"), "inner": ("a", "b")}
    assert [each.group for each in pipeline.stages] == ["inner", "inner", "outer"]


def test_needs_of_a_group_hold_for_all_in_it() -> None:
    text = """
    stages:
      setup: x
      other: x
      checks: {sequence: [a: x, b: x, c: {run: x, needs: [other]}], needs: setup}
    """
    assert needs(text) == {
        "setup": [],
        "other": [],
        "a": ["setup"],
        "b": ["setup", "a"],
        "c": ["setup", "other"],
    }


def test_needs_of_a_group_in_a_list_replace_its_place() -> None:
    text = "stages: [a: x, b: x, {parallel: [c: x], needs: [a]}, {parallel: [d: x], needs: []}]"
    assert needs(text) == {"a": [], "b": ["a"], "c": ["a"], "d": []}


def test_a_matrix_is_needed_as_a_whole_or_by_the_cell() -> None:
    text = """
    stages:
      unit: {run: x, matrix: {v: ["1", "2"]}}
      all: {run: x, needs: unit}
      one: {run: x, needs: "unit[v=2]"}
    """
    assert needs(text) == {
        "unit[v=1]": [],
        "unit[v=2]": [],
        "all": ["unit[v=1]", "unit[v=2]"],
        "one": ["unit[v=2]"],
    }


def test_a_need_said_twice_is_one() -> None:
    assert needs("stages: {a: x, g: {parallel: [b: x]}, c: {run: x, needs: [g, b, a, a]}}")["c"] == ["b", "a"]


def test_each_need_knows_its_line() -> None:
    pipeline = read("stages:\n  - a: x\n  - b: x\n  - c:\n      run: x\n      needs:\n        - a\n        - b\n")
    assert [each.need_lines for each in pipeline.stages] == [(), (3,), (7, 8)]
    assert [(each.line, each.col) for each in pipeline.stages] == [(2, 5), (3, 5), (4, 5)]


@pytest.mark.parametrize(
    "name", ["a b", "a/b", "ünit", "全角\u3000名", "👩\u200d💻", "3.11", "on", "..", "-x", "a=b,c", "true"]
)
def test_a_name_is_any_text(name: str) -> None:
    pipeline = read(f"stages: {{'{name}': x, z: {{run: x, needs: ['{name}']}}}}")
    assert [each.id for each in pipeline.stages] == [name, "z"]
    assert pipeline.stages[1].needs == (name,)


def test_keys_are_taken_as_written() -> None:
    assert list(needs("stages: {on: x, 3.10: x, 0x10: x, yes: x, ~: x, null: x, 1_000: x, 2027-01-31: x}")) == [
        "on", "3.10", "0x10", "yes", "~", "null", "1_000", "2027-01-31",
    ]  # fmt: skip


def test_the_name_defaults_to_the_folder() -> None:
    assert read("stages: {a: x}", "/work/release/stagebook.yaml").name == "release"
    assert read("{name: mine, stages: {a: x}}").name == "mine"


def test_unknown_needs_are_many_and_still_quick() -> None:
    text = "stages:\n" + "".join(f"  s{index}: {{run: x, needs: [t{index}]}}\n" for index in range(3000))
    said = refused(text)
    assert len(said) == 201
    assert said[-1].message == "2800 more errors are not shown"


trees = st.recursive(
    st.just("x"),
    lambda inner: st.tuples(st.sampled_from(["parallel", "sequence"]), st.lists(inner, min_size=1, max_size=3)),
    max_leaves=12,
)


@settings(max_examples=60)
@given(trees)
def test_a_sequence_puts_each_entry_behind_the_one_before(tree: object) -> None:
    """Written by an independent reading of the rule: every stage of an entry comes after all of the entry before."""
    counter = iter(range(1000))
    order: set[tuple[str, str]] = set()

    def write(node: object, name: bool = False) -> tuple[str, list[str]]:
        if isinstance(node, str):
            own = f"s{next(counter)}"
            return f"{{{own}: x}}", [own]
        kind, children = node  # type: ignore[misc]
        made = [write(child) for child in children]
        if kind == "sequence":
            for index, (_, later) in enumerate(made):
                for _, earlier in made[:index]:
                    order.update((a, b) for a in earlier for b in later)
        return f"{{{kind}: [{', '.join(text for text, _ in made)}]}}", [each for _, own in made for each in own]

    text, names = write(("sequence", [tree, "x"]))
    stages = {each.id: set(each.needs) for each in read(f"stages: [{text}]").stages}
    assert list(stages) == names
    reached: dict[str, set[str]] = {}
    for name in names:  # file order is topological here
        reached[name] = set().union(*({need} | reached[need] for need in stages[name]))
    assert {(before, after) for after, all_before in reached.items() for before in all_before} == order
