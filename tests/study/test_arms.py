"""Arms as they are written, and the coin that orders them."""

from __future__ import annotations

from collections import Counter

import pytest

from stagebook.model.problem import InputError
from stagebook.study import arms


def test_a_name_and_the_options_of_run() -> None:
    assert arms.split("new=other.yaml -j 4") == ("new", "other.yaml -j 4", ["other.yaml", "-j", "4"])
    assert arms.split("x=--param 'a=b c'")[2] == ["--param", "a=b c"]
    assert arms.split("parallel=")[1:] == ("", [])


@pytest.mark.parametrize("text", ["parallel", "=-j 4", " =", "a\x1b[31m=", f"{'n' * 41}=", "a='"])
def test_what_is_no_arm_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        arms.split(text)


def test_two_arms_with_names_of_their_own() -> None:
    for names in (["one"], ["one", "one"], ["one", "two", "one"]):
        with pytest.raises(InputError):
            arms.check(names)
    arms.check(["one", "two"])


def test_r106_the_order_is_repeatable_by_seed_and_a_fair_coin() -> None:
    orders = [arms.order(2, 1, pair, 1) for pair in range(400)]
    assert orders == [arms.order(2, 1, pair, 1) for pair in range(400)]
    assert orders != [arms.order(2, 2, pair, 1) for pair in range(400)]
    assert orders != [arms.order(2, 1, pair, 2) for pair in range(400)]
    assert 160 < sum(order == [0, 1] for order in orders) < 240
    three = Counter(tuple(arms.order(3, 1, pair, 1)) for pair in range(600))
    assert len(three) == 6 and min(three.values()) > 60
