"""Use of the recorded days against every cap, as the document of `plan --limits`; what it makes one allow; minutes.

Pure: from a pipeline, a history and a table of a provider to plain values. All pipelines of the state directory count
together, since a provider's cap is one for all of them. Times are UTC; a month is a calendar month in UTC.
"""

from __future__ import annotations

import time
from math import sqrt

from stagebook.model.value import NamedTuple
from stagebook.plan import demand, overlap
from stagebook.plan.recorded import Attempt, History, peak_demand
from stagebook.record.clock import stamp
from stagebook.scheduler.build import JOBS_MIN_DEFAULT, shared, with_outer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable

    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.overlap import Span
    from stagebook.plan.providers import Table

DAY_US = 86_400_000_000
RUNS_MIN = 5
SPAN_US_MIN = 2 * DAY_US
#: What is used of a cap where the file says nothing: a rule of thumb, not a law.
SHARE = 0.8
QUANTILE = 0.95
STRETCHES_MAX = 20  #: of the times above a line so many are told, the longest

#: Quantiles of Student's t for a range that holds in 9 of 10 cases, by degrees of freedom; beyond them 1.645.
_T = (6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83, 1.81, 1.80, 1.78, 1.77, 1.76, 1.75)


class Asked(NamedTuple):
    """The stretch that is looked at. `cores` are those of this machine."""

    now_us: int
    days: int
    cores: int

    @property
    def from_us(self) -> int:
        return self.now_us - self.days * DAY_US

    @property
    def month_us(self) -> int:
        """When the calendar month began."""
        now = time.gmtime(self.now_us // 1_000_000)
        into = ((now.tm_mday - 1) * 24 + now.tm_hour) * 3600 + now.tm_min * 60 + now.tm_sec
        return (self.now_us // 1_000_000 - into) * 1_000_000

    @property
    def month_end_us(self) -> int:
        """When the next one begins."""
        later = self._replace(now_us=self.month_us + 32 * DAY_US)
        return later.month_us

    @property
    def since_us(self) -> int:
        """From when on journals are needed."""
        return min(self.from_us, self.month_us)


class Cap(NamedTuple):
    """Something that is bounded. `unit` is jobs, units, cores (in thousandths here) or bytes. `kind` is what a stage
    is said to wait for. `is_named`: the file or a provider says so; else it is what this machine has. `is_shared`: what
    other pipelines use counts too. `pools` are those whose units are also this pool's: it, and what is inside it."""

    name: str
    kind: str
    unit: str
    most: int | None
    line: int | None
    of: str | None
    is_named: bool
    is_shared: bool = True
    pools: tuple[str, ...] = ()


def document(pipeline: Pipeline, history: History, provider: Table | None, asked: Asked) -> dict[str, Any]:
    """What `plan --limits --json` prints."""
    own = frozenset(number for number, run in enumerate(history.runs) if run.is_own)
    under_way = [one for one in history.attempts if one.to_us >= asked.from_us]
    attempts = [one for one in under_way if one.to_us > max(one.from_us, asked.from_us)]
    numbers = sorted({one.run for one in attempts})
    begun_us = min([one.from_us for one in attempts], default=asked.now_us)
    span_us = max([one.to_us for one in attempts], default=begun_us) - max(begun_us, asked.from_us)
    is_whole = history.is_older or any(one.from_us < asked.from_us for one in history.attempts)
    covered_us = asked.now_us - (asked.from_us if is_whole else max(begun_us, asked.from_us))
    is_enough = len(numbers) >= RUNS_MIN and span_us >= SPAN_US_MIN
    share = pipeline.limits.share if pipeline.limits.share is not None else SHARE
    caps = list(_caps(pipeline, provider, share, asked.cores))
    jobs = _jobs(caps, attempts, own, asked) if is_enough else None
    busy_us = overlap.curve([(one.from_us, one.to_us, 1) for one in attempts], asked.from_us, asked.now_us).busy_us
    times = busy_us, max(busy_us, covered_us)
    of_own = [one for one in attempts if one.run in own]
    rows = [
        row for cap in caps for row in _rows(cap, attempts if cap.is_shared else of_own, asked, times, jobs, is_enough)
    ]
    return {
        "pipeline": pipeline.name,
        "profile": {"runs": len(numbers), "source": "history" if numbers else "declared"},
        "limits": {
            "from": stamp(asked.from_us),
            "to": stamp(asked.now_us),
            "days": asked.days,
            "covered_days": round(covered_us / DAY_US, 3),
            "runs": len(numbers),
            "own_runs": sum(number in own for number in numbers),
            "attempts": len(attempts),
            "open_attempts": sum(not one.is_over for one in under_way),
            "busy_s": busy_us / 1e6,
            "enough": is_enough,
            "share": share,
            "provider": _provider(provider),
            "use": rows,
            "jobs": jobs or {"recommended": None, "because": [_too_little(len(numbers), span_us, is_enough)]},
            "minutes": _minutes(history, provider, asked, covered_us),
            "demand": [_demand(one) for one in demand.compare(pipeline, of_own)],
            "left_out": history.left_out,
            "notes": list(_notes(under_way, caps, share, asked)),
        },
    }


def crossed(found: dict[str, Any]) -> bool:
    """Whether use went above the line of a cap that somebody has named: what `--check` asks."""
    return any(row["named"] and row["crossed"] for row in found["limits"]["use"])


def _caps(pipeline: Pipeline, provider: Table | None, share: float, cores: int) -> Iterable[Cap]:
    limits = pipeline.limits
    if provider is not None and provider.jobs is not None:
        yield Cap("jobs", "slot", "jobs", provider.jobs, shared(provider.jobs, share), provider.name, True)
    if limits.jobs is not None:
        yield Cap("jobs", "slot", "jobs", limits.jobs, shared(limits.jobs, share), "limits.jobs", True, False)
    elif provider is None or provider.jobs is None:
        most = max(cores, JOBS_MIN_DEFAULT)
        yield Cap("jobs", "slot", "jobs", most, shared(most, share), "cores of this machine", False)
    if limits.cpu_milli is not None or provider is not None:  # whose machines are others than this one
        yield _declared("cpu", "cores", limits.cpu_milli, share)
    else:
        milli = max(cores, JOBS_MIN_DEFAULT) * 1000
        yield Cap("cpu", "cpu", "cores", milli, shared(milli, share), "cores of this machine", False)
    yield _declared("memory", "bytes", limits.memory_bytes, share)
    for name, pool in pipeline.pools.items():
        # A pool is as large as it may be: nothing of it is held back, so its line is its size.
        kind, inside = f"pool:{name}", tuple(inner for inner in pipeline.pools if name in with_outer(pipeline, inner))
        yield Cap(kind, kind, "units", pool.size, pool.size, f"pools.{name}", True, pool.machine, inside)


def _declared(name: str, unit: str, most: int | None, share: float) -> Cap:
    line = None if most is None else shared(most, share)
    return Cap(name, name, unit, most, line, None if most is None else f"limits.{name}", most is not None)


def _rows(
    cap: Cap, attempts: list[Attempt], asked: Asked, times: tuple[int, int], jobs: dict[str, Any] | None,
    is_enough: bool,
) -> Iterable[dict[str, Any]]:  # fmt: skip
    """What was declared and, where that is another thing, what was measured. Jobs and pools stand there without use.
    `times` are how long something ran, and how long there is a record."""
    for basis, amount_of in _amounts(cap):
        spans: list[Span] = []
        wanted: list[Span] = []
        behind: set[int] = set()
        for one in attempts:
            amount = amount_of(one)
            if amount:
                spans.append((one.from_us, one.to_us, amount))
                wanted.append((one.ready_us if one.waited == cap.kind else one.from_us, one.to_us, amount))
                behind.add(one.run)
        if not spans and cap.unit in ("cores", "bytes"):
            continue
        used = overlap.curve(spans, asked.from_us, asked.now_us, cap.line)
        asked_for = overlap.curve(wanted, asked.from_us, asked.now_us)
        if cap.unit == "jobs":
            recommended = jobs["recommended"] if jobs is not None else None
        elif basis == "measured" or not (is_enough and cap.is_named and cap.line and asked_for.peak):
            recommended = None
        else:
            recommended = _plain(cap, min(cap.line, asked_for.peak))
        stretches = sorted(used.above, key=lambda one: (one.from_us - one.to_us, one.from_us))[:STRETCHES_MAX]
        yield {
            "name": cap.name,
            "basis": basis,
            "unit": cap.unit,
            "cap": _plain(cap, cap.most),
            "cap_of": cap.of,
            "named": cap.is_named,
            "line": _plain(cap, cap.line),
            "peak": _plain(cap, used.peak) if spans else None,
            "peak_at": None if used.peak_at_us is None else stamp(used.peak_at_us),
            "p95": _plain(cap, used.quantile(QUANTILE, times[0])) if spans else None,
            "p95_all": _plain(cap, used.quantile(QUANTILE, times[1])) if spans else None,
            "wanted_peak": _plain(cap, asked_for.peak) if spans else None,
            "wanted_p95": _plain(cap, asked_for.quantile(QUANTILE, asked_for.busy_us)) if spans else None,
            "recommended": recommended,
            "runs": len(behind),
            "crossed": cap.line is not None and used.peak > cap.line,
            "above_line_s": None if cap.line is None else used.above_us(cap.line) / 1e6,
            "above_cap_s": None if cap.most is None else used.above_us(cap.most) / 1e6,
            "stretches": len(used.above),
            "above": [
                {"from": stamp(one.from_us), "to": stamp(one.to_us), "peak": _plain(cap, one.peak)}
                for one in sorted(stretches)
            ],
        }


def _amounts(cap: Cap) -> Iterable[tuple[str | None, Callable[[Attempt], int | None]]]:
    """How much an attempt takes of a cap: None where that is unknown."""
    if cap.unit == "jobs":
        yield None, lambda one: 1
    elif cap.unit == "units":
        yield "reserved", lambda one: sum([one.resources.pools.get(name, 0) for name in cap.pools])
    elif cap.unit == "cores":
        yield "reserved", lambda one: one.resources.cpu_milli
        yield "measured", _cpu_milli
    else:
        yield "reserved", lambda one: one.resources.memory_bytes
        yield "measured", lambda one: one.rss_bytes


def _cpu_milli(one: Attempt) -> int | None:
    return None if one.cpu_us is None else one.cpu_us * 1000 // (one.to_us - one.from_us)


def _plain(cap: Cap, amount: int | None) -> int | float | None:
    return amount / 1000 if amount is not None and cap.unit == "cores" else amount


def _jobs(caps: list[Cap], attempts: list[Attempt], own: frozenset[int], asked: Asked) -> dict[str, Any] | None:
    """How many jobs one run of this pipeline should have: what the tightest line leaves beside other pipelines, for as
    many runs as there are at once, and no more than a run ever had to do. None where no run is its own."""
    by_run: dict[int, list[Attempt]] = {}
    for one in attempts:
        if one.run in own:
            by_run.setdefault(one.run, []).append(one)
    if not by_run:
        return None
    runs = [(min(one.from_us for one in each), max(one.to_us for one in each), 1) for each in by_run.values()]
    others = [
        (one.ready_us if one.waited == "slot" else one.from_us, one.to_us, 1) for one in attempts if one.run not in own
    ]
    theirs, total_us = overlap.within(others, runs, asked.from_us, asked.now_us)
    taken = theirs.quantile(QUANTILE, total_us) or 0
    together = overlap.curve(runs, asked.from_us, asked.now_us)
    at_once = together.quantile(QUANTILE, together.busy_us) or 1

    def left(cap: Cap) -> int:
        """For one run. Jobs of the file are its own already."""
        line = cap.line or 1
        return max(1, (line - taken) // at_once) if cap.is_shared else line

    tightest = min([cap for cap in caps if cap.unit == "jobs"], key=left)
    because = [f"{tightest.line} of {tightest.most} is the line of {tightest.of}"]
    if tightest.is_shared and taken:
        because.append(f"other pipelines want {taken} of them in 95 % of the time of these runs")
        if taken >= (tightest.line or 1):
            because.append("the account is the bottleneck: more at once here only moves the waiting")
    if tightest.is_shared and at_once > 1:
        because.append(f"up to {at_once} runs go on at once")
    most = max(peak_demand(each, "slot") for each in by_run.values())
    if most < left(tightest):
        because.append(f"no run had more than {most} to do at once, so more would not help")
    return {"recommended": max(1, min(left(tightest), most)), "because": because}


def _too_little(runs: int, span_us: int, is_enough: bool) -> str:
    if is_enough:
        return "no run of this pipeline is on record in this time, only others are"
    if not runs:
        return f"no runs on record in this time; {RUNS_MIN} runs over 2 days are needed"
    so_far = f"{runs} run{'s' if runs > 1 else ''} over {span_us / DAY_US:.1f} days"
    return f"{so_far}: too little to recommend anything by, {RUNS_MIN} over 2 days are needed"


def _provider(table: Table | None) -> dict[str, Any] | None:
    if table is None:
        return None
    plain = table._asdict()
    plain["classes"] = {one.name: {"jobs": one.jobs, "factor": one.factor} for one in table.classes}
    return plain


# Minutes ----------------------------------------------------------------------------------------------------------


def _minutes(history: History, provider: Table | None, asked: Asked, covered_us: int) -> dict[str, Any]:
    """What a provider would count of this calendar month, and what it comes to if the days go on as those looked at.

    Only attempts whose end is on record; each as a job of its own, on a machine of factor 1.
    """
    rounding = provider.rounding if provider is not None else None
    lengths = [(one.to_us, one.to_us - one.from_us) for one in history.attempts if one.is_over]
    used = counted([us for at, us in lengths if asked.month_us <= at < asked.now_us], rounding)
    whole_days = min(asked.days, covered_us // DAY_US)
    by_day: list[list[int]] = [[] for _ in range(whole_days)]
    for at, us in lengths:
        day = (asked.now_us - at) // DAY_US
        if 0 <= day < whole_days:
            by_day[day].append(us)
    forecast, low, high = _forecast(
        used, [counted(each, rounding) for each in by_day], (asked.month_end_us - asked.now_us) / DAY_US
    )
    firsts = [one.from_us for one in history.attempts]
    return {
        "month": stamp(asked.month_us)[:7],
        "used": round(used, 2),
        "rounding": rounding,
        "included": provider.minutes if provider is not None else None,
        "since": None if history.is_older or not firsts else stamp(max(asked.month_us, min(firsts))),
        "forecast": forecast,
        "low": low,
        "high": high,
        "days": whole_days,
    }


def counted(lengths_us: list[int], rounding: str | None) -> float:
    """Minutes of jobs of these lengths, as a provider rounds them; as they are where that is not known."""
    if rounding == "job":
        return float(sum(-(-us // 60_000_000) for us in lengths_us))
    if rounding == "second":
        return sum(-(-us // 1_000_000) for us in lengths_us) / 60
    total = sum(lengths_us)
    return float(total // 60_000_000) if rounding == "sum" else total / 60_000_000


def _forecast(used: float, days: list[float], left: float) -> tuple[float | None, float | None, float | None]:
    """The month's sum and the range in which it falls 9 times of 10, if days vary as they did and do not depend on each
    other. None below two days, the range below three."""
    count = len(days)
    if count < 2:
        return None, None, None
    mean = sum(days) / count
    forecast = used + mean * left
    if count < 3:
        return round(forecast, 1), None, None
    deviation = sqrt(sum((day - mean) ** 2 for day in days) / (count - 1))
    t = _T[count - 2] if count - 2 < len(_T) else 1.645
    spread = t * deviation * sqrt(left + left * left / count)
    return round(forecast, 1), round(max(used, forecast - spread), 1), round(forecast + spread, 1)


# Beside the figures -----------------------------------------------------------------------------------------------


def _demand(one: demand.Demand) -> dict[str, Any]:
    def plain(amount: int | None) -> int | float | None:
        return amount / 1000 if amount is not None and one.resource == "cpu" else amount

    return {
        "stage": one.stage,
        "resource": one.resource,
        "unit": "cores" if one.resource == "cpu" else "bytes",
        "declared": plain(one.declared),
        "p95": plain(one.p95),
        "peak": plain(one.peak),
        "attempts": one.attempts,
        "method": one.method,
        "reserve": plain(one.reserve),
        "verdict": one.verdict,
        "far_off": one.is_far_off,
    }


def _notes(attempts: list[Attempt], caps: list[Cap], share: float, asked: Asked) -> Iterable[str]:
    """What one must know to read the figures."""
    if not attempts:
        return
    unknown = sum(not one.is_over for one in attempts)
    if unknown:
        yield f"no end is on record of {unknown} of {len(attempts)} attempts: they count for as long as is known"
    over = [one for one in attempts if one.is_over]
    for what, missing in (
        ("CPU time", sum(one.cpu_us is None for one in over)),
        ("memory", sum(one.rss_bytes is None for one in over)),
    ):
        if missing:
            yield f"{what} is not known of {missing} of {len(over)} attempts: measured use is at least what is shown"
    if any(one.rss_bytes for one in over):
        largest = any(one.rss_method == "wait4" for one in over)
        yield "measured memory adds up peaks of stages that ran together" + (
            ", partly of their largest process only" if largest else ""
        )
    tiny = [cap for cap in caps if cap.unit == "jobs" and cap.most is not None and cap.most <= 2 and share < 1]
    if tiny:
        yield f"{share:.0%} of {tiny[0].most} is {tiny[0].line}: with so few jobs waiting grows well below the line"
    if asked.days % 7:
        yield "weekdays do not count equally: whole weeks (--days 7, 14, …) do"
