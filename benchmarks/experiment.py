"""Whether `experiment` raises false alarms, and how soon it finds a difference: on recorded runs of one workload.

    python benchmarks/experiment.py [--quick] [--only NAME] [--json FILE]

Both arms are the same recorded runs (data/experiment.tsv, by workload.py), so that every alarm is a false one; the
second arm is made faster by multiplying its times. Each imagined experiment begins somewhere in the record and takes
neighbouring runs as its pairs, in the order in which they ran; a coin says which run is whose. So drift and bursts are
those of the machine. This prints, and passes or fails nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import command
import numpy
from scipy import stats
from section import Section
from table import table

from stagebook.study import betting

DATA = Path(__file__).resolve().parent / "data" / "experiment.tsv"
ALPHA = 0.05
PAIRS = 40
RATIOS = (0.9, 0.8, 0.7)


def recorded() -> Any:
    """Logarithms of the recorded times, in order."""
    rows = [line.split("\t") for line in DATA.read_text().splitlines()[1:]]
    return numpy.log([float(row[2]) for row in rows])


def pairs(logs: Any, ratio: float, draws: int, seed: int) -> Any:
    """(pairs, draws): log ratios of so many imagined experiments."""
    generator = numpy.random.default_rng(seed)
    starts = generator.integers(0, len(logs) - 2 * PAIRS + 1, draws)
    first = starts[None, :] + 2 * numpy.arange(PAIRS)[:, None]
    coin = 2 * generator.integers(0, 2, (PAIRS, draws)) - 1
    return (logs[first + 1] - logs[first]) * coin + numpy.log(ratio)


def by_bet(differences: Any) -> Any:
    return betting.capitals(differences) >= 1 / ALPHA


def by_plain_test(differences: Any) -> Any:
    """A t-test after every pair from the fifth on: what one must not do."""
    count = numpy.arange(1, PAIRS + 1)[:, None]
    mean = numpy.cumsum(differences, axis=0) / count
    square = numpy.cumsum(differences**2, axis=0) / count - mean**2
    error = numpy.sqrt(numpy.maximum(square, 1e-12) / numpy.maximum(count - 1, 1))
    return (2 * stats.t.sf(numpy.abs(mean) / error, numpy.maximum(count - 1, 1)) <= ALPHA) & (count >= 5)


def found(alarms: Any) -> tuple[float, float]:
    """The share of experiments that ended with an alarm, and how many pairs the median experiment took."""
    ever = alarms.any(axis=0)
    return float(ever.mean()), float(numpy.median(numpy.where(ever, alarms.argmax(axis=0) + 1, PAIRS)))


def look(section: Section) -> None:
    """A look after every pair."""
    logs = recorded()
    draws = 2000 if section.quick else 20_000
    lag = float(numpy.corrcoef(logs[:-1], logs[1:])[0, 1])
    section.head(f"A against A, and B made faster: {draws} experiments on {len(logs)} runs, a look after every pair")
    print(f"the runs: median {numpy.exp(numpy.median(logs)):.3f} s, log-sd {logs.std():.2f}, lag-1 {lag:.2f}\n")
    rows, told = [], {}
    shuffled = numpy.random.default_rng(7).permutation(logs)
    for name, series, rule in (
        ("sign betting", logs, by_bet),
        ("sign betting, runs shuffled: no drift", shuffled, by_bet),
        ("t-test after every pair", logs, by_plain_test),
    ):
        figures = {ratio: found(rule(pairs(series, ratio, draws, 1))) for ratio in (1.0, *RATIOS)}
        told[name] = figures
        power = [f"{share:.1%}, {median:.0f}" for share, median in (figures[ratio] for ratio in RATIOS)]
        rows.append((name, f"{figures[1.0][0]:.2%}", *power))
    print(table(("rule, at most 40 pairs", "false", *(f"{ratio:g}×: found, pairs" for ratio in RATIOS)), rows))
    section.raw["look"] = {name: {str(ratio): pair for ratio, pair in each.items()} for name, each in told.items()}
    bet = told["sign betting"]
    section.goals.value("false alarms", [100 * bet[1.0][0]], 3, "%")
    section.goals.value("0.7× not found", [100 * (1 - bet[0.7][0])], 1, "%")
    section.goals.value("0.7×: pairs", [bet[0.7][1]], 8, "pairs")
    section.goals.value("0.8× not found", [100 * (1 - bet[0.8][0])], 5, "%")
    section.show_goals()


def cover(section: Section) -> None:
    """Whether the interval ever leaves out the true ratio, looked at after every pair, and how wide it is."""
    logs = recorded()
    draws = 50 if section.quick else 200
    section.head(f"the interval after every pair: {draws} experiments of {PAIRS} pairs, true ratio 0.8×")
    true = float(numpy.log(0.8))
    missed, widths = 0, {count: [] for count in (8, 12, 20, PAIRS)}
    for series in pairs(logs, 0.8, draws, 2).T:
        missed += bool((betting.capitals(series[:, None] - true) >= 1 / ALPHA).any())
        for count, each in widths.items():
            told = betting.interval(list(series[:count]), ALPHA)
            if told is not None and told.low is not None and told.high is not None:
                each.append(numpy.exp(told.high - told.low))
    rows = [
        (str(count), f"{len(each) / draws:.0%}", f"{numpy.median(each):.2f}" if each else "unbounded")
        for count, each in widths.items()
    ]
    print(table(("pairs", "bounded", "high ÷ low, median"), rows))
    section.raw["cover"] = {"missed": missed, "of": draws, "widths": {str(k): v for k, v in widths.items()}}
    section.goals.value("true ratio ever left out", [100 * missed / draws], 5, "%")
    section.show_goals()


SECTIONS = {"look": look, "cover": cover}

if __name__ == "__main__":
    sys.exit(command.run("false alarms and power of experiments", SECTIONS))
