"""Edits by ranges of the text: what was asked for is there when the file is read again, all other bytes stand."""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.formats.source import places
from stagebook.formats.source.edits import Edits, tree
from stagebook.formats.source.nodes import Node, read
from stagebook.model.problem import InputError

FILE = """# head
jobs:
  a:   # the first
    runs-on: 'x'   # why
    steps:
    - run: |
        echo '# no comment'

    # behind a
  b: &b
    needs: [a, "c"]  # two
    flow: {os: [l, w], }
  c:
    <<: *b
    needs:
    - a   # one
    - b
"""


def edits(text: str) -> tuple[Edits, Node]:
    source = read(text.encode(), "f.yml")
    return Edits(source), source.documents[0]


def at(node: Node, *path: str | int) -> Node:
    for step in path:
        found = node.value[step] if isinstance(step, int) else node.get(step)
        assert found is not None, path
        node = found
    return node


def lines_changed(before: bytes, after: bytes) -> list[str]:
    old, new = (text.decode().splitlines(keepends=True) for text in (before, after))
    return [line for line in difflib.ndiff(old, new) if line[0] in "+-"]


def test_an_entry_goes_where_it_belongs_and_comments_stay() -> None:
    made, root = edits(FILE)
    made.add_entry(at(root, "jobs", "a"), "timeout-minutes", 5, ("runs-on",))
    made.add_entry(at(root, "jobs", "a"), "concurrency", {"group": "${{ a.b }}-x", "cancel": False})
    assert made.made().decode() == FILE.replace("# why\n", "# why\n    timeout-minutes: 5\n").replace(
        "comment'\n", "comment'\n    concurrency:\n      group: ${{ a.b }}-x\n      cancel: false\n"
    )


def test_values_keep_their_quotes_and_flow_maps_stay_on_their_line() -> None:
    made, root = edits(FILE)
    made.set_entry(at(root, "jobs", "a"), "runs-on", "it's")
    assert "    runs-on: 'it''s'   # why\n" in made.made().decode()
    made, root = edits(FILE.replace("&b", "").replace("<<: *b", "x: 1"))
    made.add_entry(at(root, "jobs", "b", "flow"), "fast", True)
    made.add_items(at(root, "jobs", "b", "needs"), ["yes", "d"])
    said = made.made().decode()
    assert "flow: {os: [l, w], fast: true, }" in said
    assert 'needs: [a, "c", "yes", d]  # two' in said


def test_items_that_go_leave_their_comments() -> None:
    made, root = edits(FILE)
    made.remove_items(at(root, "jobs", "c", "needs"), [0])
    made.add_items(at(root, "jobs", "c", "needs"), ["z"])
    assert made.made().decode() == FILE.replace("- a   # one\n    - b\n", "# one\n    - b\n    - z\n")


def test_an_entry_that_goes_leaves_its_comment_on_a_line_of_its_own() -> None:
    made, root = edits("a:\n  x: 1  # why\n  y: 2\n")
    made.remove_entry(at(root, "a"), "x")
    assert made.made() == b"a:\n  # why\n  y: 2\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a:\n  needs: b # c\n  x: 1\n", "a:\n  needs: [b, new] # c\n  x: 1\n"),
        ("a: {needs: b}\n", "a: {needs: [b, new]}\n"),
        ("a:\n  needs: []\n", "a:\n  needs: [new]\n"),
        ("a:\n  needs: [\n    b, # one\n    c # two\n  ]\n", "a:\n  needs: [\n    b, # one\n    c, new # two\n  ]\n"),
        ("a:\n  needs:\n  - b\n  x: 1", "a:\n  needs:\n  - b\n  - new\n  x: 1"),
        ("a:\n  needs:\n    - b", "a:\n  needs:\n    - b\n    - new"),
        ("a:\r\n  needs:\r\n    - b\r\n", "a:\r\n  needs:\r\n    - b\r\n    - new\r\n"),
    ],
)
def test_items_come_in_every_way_of_writing_a_list(before: str, after: str) -> None:
    made, root = edits(before)
    made.add_items(at(root, "a", "needs"), ["new"])
    assert made.made().decode() == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a:\n  needs: [b, c]\n", "a:\n  needs: []\n"),
        ("a:\n  needs: b  # why\n", "a:\n  needs: []  # why\n"),
        ("a:\n  needs:\n    # first\n    - b  # one\n  x: 1\n", "a:\n  needs: []\n    # first\n    # one\n  x: 1\n"),
    ],
)
def test_a_list_is_emptied(before: str, after: str) -> None:
    made, root = edits(before)
    made.clear_list(at(root, "a"), "needs")
    assert made.made().decode() == after


def test_what_an_anchor_shares_is_refused_and_an_own_entry_goes_before_a_merged_one() -> None:
    made, root = edits(FILE)
    with pytest.raises(InputError) as refused:
        made.add_items(at(root, "jobs", "b", "needs"), ["z"])
    assert refused.value.problems[0].line == 11
    assert "anchor" in refused.value.problems[0].message
    made, root = edits(FILE)
    made.add_entry(at(root, "jobs", "c"), "flow", "z")
    assert made.made().decode() == FILE + "    flow: z\n"
    made, root = edits("x: &x [a]\nb:\n  needs: *x  # two\n")
    made.set_entry(at(root, "b"), "needs", ["a", "c"])
    assert made.made().decode() == "x: &x [a]\nb:\n  needs: [a, c]  # two\n"


def test_an_anchor_that_is_used_elsewhere_does_not_go() -> None:
    made, root = edits("a:\n  x: &x 1\n  y: *x\n")
    with pytest.raises(InputError, match="anchor"):
        made.remove_entry(at(root, "a"), "x")


def test_changes_that_touch_each_other_and_block_texts_are_refused() -> None:
    made, root = edits("a:\n  x: 1\n")
    made.set_entry(root.value[0][1], "x", 2)
    made.set_entry(root.value[0][1], "x", 3)
    with pytest.raises(InputError, match="by hand"):
        made.made()
    made, root = edits("a:\n  x: |\n    text\n")
    with pytest.raises(InputError, match="by hand"):
        made.set_entry(root.value[0][1], "x", "t")


def test_comments_are_told_from_text() -> None:
    source = read(b"# a\nb: 'x # no'  # c\nd: |\n  # no\ne: [1, # f\n  2]\ng: h#no\n# last", "f")
    found = [source.text[each.start : each.end] for each in places.comments(source)]
    assert found == ["# a", "# c", "# f", "# last"]


# Any small file

NAMES = st.sampled_from(["a", "b-c", "d e", "needs", "x", "on", "12"])
SCALARS = st.sampled_from(["v", "'q # t'", '"d"', "*r", "3", "", "|\n{}  line # no\n{}  more", ">-\n{}  folded"])


@st.composite
def maps(draw: Any, indent: str = "", depth: int = 0) -> str:
    """A map in a block, with comments, lists, flow values and aliases to `&r`, which stands at the top of each file."""
    out = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
        kind = draw(st.sampled_from(["scalar", "scalar", "flow", "list", "map"] if depth < 2 else ["scalar", "flow"]))
        note = draw(st.sampled_from(["", "  # note", "   # 'n: ["]))
        if draw(st.booleans()):
            out.append(f"{indent}# above")
        if kind == "scalar":
            value = draw(SCALARS).replace("{}", indent)
            out.append(f"{indent}{name}: {value}" + ("" if "\n" in value else note))
        elif kind == "flow":
            out.append(f"{indent}{name}: {draw(st.sampled_from(['[]', '[a, *r]', '{k: v}', '[a, {b: c}, ]']))}{note}")
        elif kind == "list":
            gap = draw(st.sampled_from(["", "  "]))
            items = draw(st.lists(st.sampled_from(["i", "'j'", "*r", "{job: k}", "[l]"]), min_size=1, max_size=3))
            out += [f"{indent}{name}:{note}", *[f"{indent}{gap}- {item}  # it" for item in items]]
        else:
            out += [f"{indent}{name}:{note}", draw(maps(indent + draw(st.sampled_from(["  ", "   "])), depth + 1))]
    return "\n".join(out)


@given(maps(), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.data())
def test_any_edit_of_any_file_is_that_edit_and_no_other(body: str, eol: str, has_end: bool, data: Any) -> None:
    text = ("ref: &r shared\n" + body + ("\n" if has_end else "")).replace("\n", eol)
    source = read(text.encode(), "f")
    root = source.documents[0]
    nodes = [(path, node) for path, node in _all(root, ()) if node.kind != "scalar" or path[-1:] == ("needs",)]
    path, node = data.draw(st.sampled_from(nodes))
    made = Edits(source)
    ways = {"map": ["add", "remove"], "list": ["item", "cut"], "scalar": ["item"]}[node.kind]
    way = data.draw(st.sampled_from(ways))
    refused = []
    try:
        if way == "add":
            made.add_entry(node, "new", data.draw(st.sampled_from([1, "t", ["u"], {"g": "w"}])))
        elif way == "remove":
            made.remove_entry(node, str(data.draw(st.sampled_from(node.value))[0].value))
        elif way == "item":
            made.add_items(node, ["new"])
        else:
            made.remove_items(node, [data.draw(st.integers(0, max(0, len(node.value) - 1)))])
        after = made.made()
    except InputError as error:
        refused.append(str(error))
    if refused:
        assert "by hand" in refused[0]
        return
    assert sorted(_comments(text.encode())) == sorted(_comments(after))
    assert after.count(b"&r") == (1 if after.startswith(b"ref") else 0)
    assert (b"\n" in after.replace(b"\r\n", b"")) == (eol == "\n" and b"\n" in after)
    gone = [line for line in lines_changed(text.encode(), after) if line[0] == "-"]
    assert way == "remove" or len(gone) <= 4, gone
    old, new = tree(root, {}), tree(read(after, "f").documents[0], {})
    assert _cut(old, path) == _cut(new, path)


def _all(node: Node, path: tuple[Any, ...]) -> Any:
    yield path, node
    if node.kind == "map":
        for key, value in node.value:
            if value.start > key.start:
                yield from _all(value, (*path, str(key.value)))
    elif node.kind == "list":
        for place, value in enumerate(node.value):
            if value.start > node.start:
                yield from _all(value, (*path, place))


def _cut(value: Any, path: tuple[Any, ...]) -> Any:
    """A tree without what is at a path."""
    if not path:
        return None
    if isinstance(value, dict):
        return {key: _cut(each, path[1:]) if key == path[0] else each for key, each in value.items()}
    return [_cut(each, path[1:]) if place == path[0] else each for place, each in enumerate(value)]


def _comments(data: bytes) -> list[str]:
    source = read(data, "f")
    return [re.sub(r"\s+$", "", source.text[each.start : each.end]) for each in places.comments(source)]


def test_an_item_goes_below_dashes_that_stand_alone() -> None:
    text = "a:\n  steps:\n    -\n      name: x\n    -\n      uses: z\nb: 1\n"
    source = read(text.encode(), "f.yml")
    found = source.documents[0].get("a")
    steps = found.get("steps") if found is not None else None
    assert steps is not None
    edits = Edits(source)
    edits.add_items(steps, ["last"])
    assert edits.made().decode() == text.replace("b: 1", "    - last\nb: 1")


@pytest.mark.parametrize(
    "text",
    ['{"a": {"k": "v", "l": ["x"], "m": {}, "n": 1}}', '{\n  "a": {"k": "v", "l": [1],\n "m": {}, "n": 1}\n}\n'],
)
def test_json_stays_json(text: str) -> None:
    made, root = edits(text)
    node = at(root, "a")
    made.add_entry(node, "group", "deploy-production")
    made.add_entry(at(node, "m"), "on", {"deep": ["x y", True]})
    made.add_items(at(node, "l"), ["more", {"of": "it"}])
    made.set_value(at(node, "n"), "text")
    found = json.loads(made.made())["a"]
    assert found["group"] == "deploy-production" and found["n"] == "text"
    assert found["m"] == {"on": {"deep": ["x y", True]}} and found["l"][1:] == ["more", {"of": "it"}]


def test_a_quoted_map_in_a_block_gets_quoted_entries() -> None:
    made, root = edits('a: {"k": "v"}\nb: {k: v}\n')
    made.add_entry(at(root, "a"), "l", "w")
    made.add_entry(at(root, "b"), "l", "w")
    assert made.made() == b'a: {"k": "v", "l": "w"}\nb: {k: v, l: w}\n'
