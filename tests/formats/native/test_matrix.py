"""Cells: what a matrix becomes. The `include` cases follow the worked example in GitHub's reference."""

from __future__ import annotations

import pytest
from tests.formats.native.reading import read, refused


def cells(matrix: str) -> dict[str, dict[str, str]]:
    pipeline = read(f"stages: {{t: {{run: x, matrix: {matrix}}}}}")
    return {each.id: dict(each.cell or {}) for each in pipeline.stages}


def test_one_axis() -> None:
    assert cells('{python: ["3.11", "3.13"]}') == {
        "t[python=3.11]": {"python": "3.11"},
        "t[python=3.13]": {"python": "3.13"},
    }


def test_two_axes_vary_the_last_one_first() -> None:
    assert list(cells("{a: [x, z], b: [1, 2]}")) == ["t[a=x,b=1]", "t[a=x,b=2]", "t[a=z,b=1]", "t[a=z,b=2]"]


def test_values_stay_as_written() -> None:
    assert list(cells("{v: [3.10, on, true, 0x1F, 'q']}")) == [
        "t[v=3.10]", "t[v=on]", "t[v=true]", "t[v=0x1F]", "t[v=q]",
    ]  # fmt: skip


def test_exclude_fits_by_the_keys_it_names() -> None:
    assert list(cells("{a: [x, z], b: [1, 2], exclude: [{a: x}, {a: z, b: 2}]}")) == ["t[a=z,b=1]"]


def test_include_as_in_the_reference() -> None:
    made = cells(
        """{fruit: [apple, pear], animal: [cat, dog], include: [
             {color: green}, {color: pink, animal: cat}, {fruit: apple, shape: circle},
             {fruit: banana}, {fruit: banana, animal: cat}]}"""
    )
    assert list(made.values()) == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]
    assert list(made)[:2] == ["t[fruit=apple,animal=cat]", "t[fruit=apple,animal=dog]"]
    assert list(made)[-1] == "t[fruit=banana,animal=cat]"


def test_include_alone_makes_cells() -> None:
    assert list(cells("{include: [{site: a, dc: b}, {site: c}]}")) == ["t[site=a,dc=b]", "t[site=c]"]


def test_options_of_a_matrix() -> None:
    matrix = read("stages: {t: {run: x, matrix: {v: [a, b], max-parallel: 1, fail-fast: false}}}").matrices["t"]
    assert matrix == (("t[v=a]", "t[v=b]"), 1, False)
    assert read("stages: {t: {run: x, matrix: {v: [a]}}}").matrices["t"] == (("t[v=a]",), None, True)


def test_cells_share_what_their_stage_says() -> None:
    pipeline = read("stages: {a: x, t: {run: y, needs: a, timeout: 5m, matrix: {v: [a, b]}}}")
    for each in pipeline.stages[1:]:
        assert (each.name, each.command, each.needs, each.timeouts.attempt_ms) == ("t", "y", ("a",), 300_000)


def test_a_hostile_value_stays_a_value_and_its_id_one_line() -> None:
    made = cells(r'{v: ["a]\n\e[31m", "$(touch canary)"]}')
    assert list(made) == ["t[v=a%5D%0A%1B%5B31m]", "t[v=$(touch canary)]"]
    assert next(iter(made.values())) == {"v": "a]\n\x1b[31m"}


def test_ids_that_fall_together_are_refused() -> None:
    assert refused('stages: {t: {run: x, matrix: {include: [{a: "1,b=2"}, {a: 1, b: 2}]}}}')[0].code == "duplicate-name"


@pytest.mark.parametrize("axes", [6, 9, 40])
def test_a_huge_matrix_is_refused_before_it_is_made(axes: int) -> None:
    values = ", ".join(f"a{axis}: [{', '.join(map(str, range(10)))}]" for axis in range(axes))
    said = refused(f"stages: {{t: {{run: x, matrix: {{{values}}}}}}}")
    assert [each.code for each in said] == ["limit"]
    assert f"{10**axes} cells" in said[0].message
    assert "100000" in said[0].message


def test_many_matrices_together_are_refused_too() -> None:
    values = ", ".join(map(str, range(30_000)))
    text = f"stages:\n  a: {{run: x, matrix: {{v: &v [{values}]}}}}\n" + "".join(
        f"  b{index}: {{run: x, matrix: {{v: *v}}}}\n" for index in range(4)
    )
    assert [each.message for each in refused(text)] == ["stages: 150000 stages, the limit is 100000"]
