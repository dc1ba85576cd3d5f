from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.model import quantity


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("200ms", 200), ("90s", 90_000), ("10m", 600_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("0s", 0),
        ("1.5s", 1_500), ("0.5h", 1_800_000),
        ("1d2h3m4s5ms", 93_784_005), ("1m500ms", 60_500), ("3650d", 315_360_000_000),
    ],
)  # fmt: skip
def test_durations(text: str, ms: int) -> None:
    assert quantity.duration_ms(text) == ms


@pytest.mark.parametrize(
    "text",
    ["", "10", "1.5", "s", "10 m", "-1s", "1e3s", "1m1h", "1s1s", "0.0001s",
     "1.5h30m", "10M", "10m\n", "٣s", "3651d", "9" * 400 + "s"],
)  # fmt: skip
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError):
        quantity.duration_ms(text)


def test_a_bare_number_is_told_its_unit() -> None:
    with pytest.raises(ValueError, match="no unit; write `10s` or `10m`"):
        quantity.duration_ms("10")
    with pytest.raises(ValueError, match="no unit; write `512MiB`"):
        quantity.size_bytes("512")
    with pytest.raises(ValueError, match="no unit; write `20%`"):
        quantity.share("0.2")


@pytest.mark.parametrize(
    ("text", "size"),
    [("512MiB", 512 * 2**20), ("2GB", 2 * 10**9), ("1.5GiB", 3 * 2**29), ("0B", 0), ("1kB", 1000), ("1024TiB", 2**50)],
)
def test_sizes(text: str, size: int) -> None:
    assert quantity.size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "1", "1.5B", "10mb", "1 GiB", "-1GB", "2000000TiB", "1GiB\n", "GiB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError):
        quantity.size_bytes(text)


def test_shares_rates_and_cores() -> None:
    assert quantity.share("80%") == 0.8
    assert quantity.share("100%") == 1.0
    assert quantity.share("12.5%") == 0.125
    assert quantity.rate("10/s") == (10, 1000)
    assert quantity.rate("5/m") == (5, 60_000)
    assert quantity.cpu_milli("2") == 2000
    assert quantity.cpu_milli("0.25") == 250


@pytest.mark.parametrize("text", ["", "101%", "-1%", "80", "100.1%"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(ValueError):
        quantity.share(text)


@pytest.mark.parametrize("text", ["", "0/s", "5", "5/x", "1.5/s"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError):
        quantity.rate(text)


@pytest.mark.parametrize("text", ["", "0", "0.0001", "-1", "two", "1e3"])
def test_what_is_no_number_of_cores(text: str) -> None:
    with pytest.raises(ValueError):
        quantity.cpu_milli(text)


@given(st.integers(0, 3_000 * 86_400_000))
def test_a_duration_written_in_parts_is_read_back(ms: int) -> None:
    days, rest = divmod(ms, 86_400_000)
    hours, rest = divmod(rest, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    seconds, rest = divmod(rest, 1000)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"), (rest, "ms")]
    text = "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
    assert quantity.duration_ms(text) == ms


@given(st.integers(0, 2**60))
def test_a_size_written_as_text_is_read_back(size: int) -> None:
    assert quantity.size_bytes(quantity.size_text(size)) == size


@given(st.text(max_size=12))
def test_any_text_is_a_value_or_a_sentence(text: str) -> None:
    for read in (quantity.duration_ms, quantity.size_bytes, quantity.share, quantity.rate, quantity.cpu_milli):
        said = "`"
        try:
            read(text)
        except ValueError as error:
            said = str(error)
        assert "`" in said
