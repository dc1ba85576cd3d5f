"""A suite dealt into shards by how long its tests take, and which figures of a report belong to which line of its list.

Longest first, each to the shard that has least to do so far: no shard ends up with more than 4/3 of the least possible.
The same list and times give the same shards. No files, no clock.
"""

from __future__ import annotations

from heapq import heapreplace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Mapping, Sequence


def divide(tests: Sequence[str], times: Mapping[str, int], shards: int) -> list[list[str]]:
    """The tests of each shard, in the order of the list. What has no time counts as the median of those that have one;
    where none has, all are dealt in turn."""
    known = sorted(times[test] for test in tests if test in times)
    otherwise = known[len(known) // 2] if known else 0
    weights = [times.get(test, otherwise) for test in tests]
    shard_of = [0] * len(tests)
    loads = [(0.0, 0, shard) for shard in range(shards)]  # with the count, as a time may be 0
    for index in sorted(range(len(tests)), key=lambda index: -weights[index]):
        load, count, shard = loads[0]
        shard_of[index] = shard
        heapreplace(loads, (load + weights[index], count + 1, shard))
    dealt: list[list[str]] = [[] for _ in range(shards)]
    for test, shard in zip(tests, shard_of):
        dealt[shard].append(test)
    return dealt


def listed(text: str, by_file: bool) -> list[str]:
    """The tests that a command has printed, each once: the lines with `::` where there are any, which pytest's ids
    have and its summary has not; else every line that is not blank."""
    lines = [line.strip() for line in text.splitlines()]
    tests = [line for line in lines if "::" in line] or [line for line in lines if line]
    if by_file:
        tests = [test.partition("::")[0] for test in tests]
    return list(dict.fromkeys(tests))


def times_of(tests: Iterable[str], cases: Iterable[tuple[str, str, str | None, int]]) -> dict[str, int]:
    """How long each line of a list took, by the cases of a report (class name, name, file, time).

    pytest says `tests/test_a.py::TestX::test_y[1]` in its list and `tests.test_a.TestX`, `test_y[1]` in its report.
    A line that is a whole, as a file, a class or a test with parameters, took as long as all its cases; one that is
    the name of a test only, as long as that test, if no other class has one of that name. Others are left out.
    """
    totals: dict[str, int] = {}
    classes: dict[str, set[str]] = {}
    for classname, name, file, time in cases:
        path = classname.replace("/", ".")
        start = path + "." if path else ""
        of = {start + name, start + name.partition("[")[0], *_beginnings(path)}
        if file:
            of.add(file.removeprefix("./"))
        for key in of:
            totals[key] = totals.get(key, 0) + time
        classes.setdefault(name, set()).add(path)
    found = {}
    for test in tests:
        keys = [test.removeprefix("./"), _dotted(test)]
        if len(of_name := classes.get(test, set())) == 1:
            keys.append(f"{next(iter(of_name))}.{test}")
        took = next((totals[key] for key in keys if key in totals), None)
        if took is not None:
            found[test] = took
    return found


def _beginnings(path: str) -> Iterable[str]:
    """`a.b.C`, `a.b`, `a`."""
    while path:
        yield path
        path = path.rpartition(".")[0]


def _dotted(test: str) -> str:
    """A line of a list as a report would have it, class name and name in one."""
    address, bracket, parameters = test.removeprefix("./").partition("[")
    file, *names = address.split("::")
    module = file.removesuffix(".py").replace("/", ".")
    return ".".join([module, *names]) + bracket + parameters.translate(_AS_IN_XML)


#: What no XML may hold is written by pytest as `#x1B`.
_AS_IN_XML = {code: f"#x{code:02X}" for code in [*range(9), 11, 12, *range(14, 32), 127]}
