"""Twenty deliveries. A container takes thirty times as long as a letter, and every fourth test is one."""

import time

import pytest
from warehouse import CARRIES_S, deliver


@pytest.mark.parametrize("kind", list(CARRIES_S))
class TestDelivery:
    @pytest.mark.parametrize("zone", range(5))
    def test_arrives_in_time(self, kind: str, zone: int) -> None:
        began = time.monotonic()
        promised = deliver(kind, zone)
        assert time.monotonic() - began >= promised
