"""What cells of a matrix are called."""

from __future__ import annotations

from stagebook.formats.github.matrix import cells


def labels(axes: dict[str, list[object]], include: list[dict[str, object]]) -> list[str]:
    return [cell.label for cell in cells(axes, include, [])]


def test_a_cell_of_axes_has_all_of_them_and_nothing_that_include_adds() -> None:
    assert labels({"os": ["a", "b"], "py": [3]}, [{"os": "a", "extra": 1}]) == ["os=a,py=3", "os=b,py=3"]


def test_a_cell_that_include_makes_has_as_much_as_tells_it_from_the_others() -> None:
    many: list[dict[str, object]] = [
        {"name": "Linux", "flags": "-O2"}, {"name": "Mac", "flags": "-O2"},
        {"name": "Linux", "flags": "-O3", "arch": "arm"}, {"name": "Linux", "flags": "-O3", "arch": "x86"},
    ]  # fmt: skip
    assert labels({}, many) == [
        "name=Linux,flags=-O2", "name=Mac", "name=Linux,flags=-O3,arch=arm", "name=Linux,flags=-O3,arch=x86",
    ]  # fmt: skip
    assert labels({"name": ["BSD"]}, [{"name": "Mac", "flags": 1}]) == ["name=BSD", "name=Mac"]


def test_equal_cells_are_told_apart() -> None:
    assert labels({}, [{"a": 1}, {"a": 1}]) == ["a=1", "a=1#2"]
