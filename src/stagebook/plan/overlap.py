"""How much is in use at once, out of intervals: exact, by sweeping over their ends; no sampling grid. Pure.

An interval is half open, so one that ends when another begins does not overlap it, and one without length is nothing.
Times are whole microseconds of any one clock, amounts are whole units.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Iterator, TypeAlias

Span: TypeAlias = "tuple[int, int, int]"
"""From, to, amount."""


class Stretch(NamedTuple):
    """A time in which use lay above a line without a break, and the most that was in use in it."""

    from_us: int
    to_us: int
    peak: int


class Curve(NamedTuple):
    """`weights` says for how many microseconds each amount above 0 was in use. `peak_at_us` is when the peak was first
    reached, None if there was no use at all. `above` are the stretches above the line that was asked for."""

    peak: int
    peak_at_us: int | None
    weights: dict[int, int]
    above: tuple[Stretch, ...]

    @property
    def busy_us(self) -> int:
        """How long anything was in use."""
        return sum(self.weights.values())

    def quantile(self, share: float, total_us: int) -> int | None:
        """The least amount that use did not exceed for `share` of `total_us`, which holds all busy time; None if there
        is no time."""
        if total_us <= 0:
            return None
        wanted = share * total_us
        passed = total_us - self.busy_us
        if passed >= wanted:
            return 0
        for amount in sorted(self.weights):
            passed += self.weights[amount]
            if passed >= wanted:
                return amount
        return self.peak  # what rounding left over

    def above_us(self, amount: int) -> int:
        """How long more than that was in use."""
        return sum(us for used, us in self.weights.items() if used > amount)


def steps(spans: Iterable[Span], from_us: int, to_us: int) -> Iterator[Span]:
    """The sum of the spans between two times as a step function: from, to, amount, without gaps from the first span to
    the last; equal neighbours are not joined."""
    changes: dict[int, int] = {}
    for begin, end, amount in spans:
        begin, end = max(begin, from_us), min(end, to_us)
        if begin < end and amount:
            changes[begin] = changes.get(begin, 0) + amount
            changes[end] = changes.get(end, 0) - amount
    used, since = 0, from_us
    for number, at in enumerate(sorted(changes)):
        if number:
            yield since, at, used
        used += changes[at]
        since = at


def curve(spans: Iterable[Span], from_us: int, to_us: int, line: int | None = None) -> Curve:
    """The use of all spans together between two times."""
    peak, peak_at = 0, None
    weights: dict[int, int] = {}
    above: list[Stretch] = []
    for begin, end, used in steps(spans, from_us, to_us):
        if used <= 0:
            continue
        weights[used] = weights.get(used, 0) + end - begin
        if used > peak:
            peak, peak_at = used, begin
        if line is not None and used > line:
            if above and above[-1].to_us == begin:
                above[-1] = Stretch(above[-1].from_us, end, max(above[-1].peak, used))
            else:
                above.append(Stretch(begin, end, used))
    return Curve(peak, peak_at, weights, tuple(above))


def within(spans: Iterable[Span], mask: Iterable[Span], from_us: int, to_us: int) -> tuple[Curve, int]:
    """The use of `spans` in those times only in which something of `mask` is; and how long these are."""
    both = [(begin, end, 1) for begin, end, amount in mask if amount]
    base = len(both) + 1
    both += [(begin, end, amount * base) for begin, end, amount in spans]
    peak, peak_at, total = 0, None, 0
    weights: dict[int, int] = {}
    for begin, end, used in steps(both, from_us, to_us):
        amount, masked = divmod(used, base)
        if not masked:
            continue
        total += end - begin
        if amount:
            weights[amount] = weights.get(amount, 0) + end - begin
            if amount > peak:
                peak, peak_at = amount, begin
    return Curve(peak, peak_at, weights, ()), total
