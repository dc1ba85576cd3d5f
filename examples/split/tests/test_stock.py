"""Twenty tests of the shelves: real work for SQLite, and more of it from test to test."""

import pytest
from warehouse import Warehouse


@pytest.mark.parametrize("items", range(100, 1100, 100))
def test_what_is_put_is_there(items: int) -> None:
    warehouse = Warehouse()
    for number in range(items):
        warehouse.put(f"item {number % 50}", 2)
    assert sum(warehouse.count(f"item {number}") for number in range(50)) == 2 * items


@pytest.mark.parametrize("items", range(100, 1100, 100))
def test_no_more_is_taken_than_is_there(items: int) -> None:
    warehouse = Warehouse()
    warehouse.put("apple", items)
    assert [warehouse.take("apple", 1) for _ in range(items)] == [True] * items
    assert not warehouse.take("apple", 1)
    assert warehouse.count("apple") == 0
