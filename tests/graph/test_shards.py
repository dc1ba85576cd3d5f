"""How a suite is dealt, and which figures of a report belong to which line of its list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stagebook.graph import shards

TIMES = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.integers(0, 1000), max_size=60)


@given(TIMES, st.integers(1, 12))
def test_r027_each_test_is_in_one_shard_and_none_has_much_more_than_its_part(times: dict[str, int], count: int) -> None:
    tests = sorted(times, key=lambda test: hash((test, 1)) % 97)
    dealt = shards.divide(tests, times, count)
    assert sorted(test for part in dealt for test in part) == sorted(tests)
    assert all(part == [test for test in tests if test in part] for part in dealt), "in the order of the list"
    longest = max(sum(times[test] for test in part) for part in dealt)
    least = max(-(-sum(times.values()) // count), max(times.values(), default=0))
    assert longest <= least + max(times.values(), default=0) * (count - 1) / count
    assert dealt == shards.divide(tests, dict(reversed(times.items())), count), "the same every time"


def test_without_times_tests_are_dealt_in_turn() -> None:
    assert shards.divide(list("abcdefg"), {}, 3) == [["a", "d", "g"], ["b", "e"], ["c", "f"]]


def test_tests_that_take_no_time_are_spread_all_the_same() -> None:
    assert [len(part) for part in shards.divide(list("abcdef"), dict.fromkeys("abcdef", 0), 3)] == [2, 2, 2]


def test_a_test_without_a_time_counts_as_the_median() -> None:
    dealt = shards.divide(["long", "new", "b", "c", "d"], {"long": 90, "b": 30, "c": 30, "d": 10}, 2)
    assert dealt == [["long", "d"], ["new", "b", "c"]]


def test_pytest_s_list_is_its_ids_and_each_once() -> None:
    text = "tests/a.py::x\n tests/a.py::T::y[1-a b] \n\ntests/a.py::x\n\n3 tests collected in 0.01s\n"
    assert shards.listed(text, False) == ["tests/a.py::x", "tests/a.py::T::y[1-a b]"]
    assert shards.listed(text, True) == ["tests/a.py"]


def test_any_other_list_is_its_lines() -> None:
    assert shards.listed("\none\n two \n\none\n", False) == ["one", "two"]


CASES = [
    ("tests.test_a", "test_x", None, 5),
    ("tests.test_a.TestX", "test_y[1.5-a/b]", None, 7),
    ("tests.test_a.TestX", "test_y[2]", None, 9),
    ("tests.test_a.TestX", "test_z[#x1B]", None, 1),
    ("web/cart.test.ts", "cart > adds", None, 20),
    ("Cart", "adds", "spec/cart_spec.rb", 30),
    ("", "bare", None, 40),
    ("one", "twice", None, 50),
    ("two", "twice", None, 60),
    ("three", "once", None, 70),
]


def test_lines_of_a_list_find_their_cases_in_a_report() -> None:
    took = {
        "tests/test_a.py::test_x": 5,
        "tests/test_a.py::TestX::test_y[1.5-a/b]": 7,
        "tests/test_a.py::TestX::test_y[2]": 9,
        "./tests/test_a.py::TestX::test_y[2]": 9,
        "tests/test_a.py::TestX::test_z[\x1b]": 1,
        "tests/test_a.py::TestX::test_y": 16,
        "tests/test_a.py::TestX": 17,
        "tests/test_a.py": 22,
        "tests.test_a.TestX": 17,
        "web/cart.test.ts": 20,
        "spec/cart_spec.rb": 30,
        "bare": 40,
        "once": 70,
    }
    assert shards.times_of(took, CASES) == took
    assert shards.times_of(["twice", "tests/test_b.py", "tests/test_a.py::test_x[1]", ""], CASES) == {}
