"""Many runs that share runners, out of the document of `plan`: whether they keep up, how long they wait, what others
lose."""

from __future__ import annotations

from stagebook.report.durations import NOTHING, plural, span
from stagebook.report.harmless import cells, harmless, pad, wrap
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

_NEAR = 0.95
_LEAST_S = 0.0005


def render(found: Mapping[str, Any], style: Style) -> list[str]:
    """Lines for a terminal, the verdict first."""
    lines = [style.paint(line, "bold") for line in wrap(style.plain(_verdict(found)), style.width - 1)]
    lines += [line for said in _more(found) for line in wrap(style.plain(said), style.width - 1)]
    lines += ["", *_table(found["pipelines"], style)]
    return lines


def told(found: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The verdict, and what it stands on."""
    return _verdict(found), _more(found)


def _verdict(found: Mapping[str, Any]) -> str:
    first, *others = found["pipelines"]
    runners = plural(found["runners"], "runner" if found["own"] else "job")
    if found["grows"]:
        return (
            f"The queue grows without bound: {_rate(found['per_h'])} come in, {runners} can do "
            f"{_rate(found['stable_per_h'])}."
        )
    if others:
        added = "; ".join([_added(other, found["per_h"] is None) for other in others])
        return f"Sharing {runners} with {harmless(first['pipeline'])}: {added}."
    return (
        f"{runners} {'keeps' if found['runners'] == 1 else 'keep'} up with {_rate(found['per_h'])}: "
        f"a run takes ~{span(first['run_s'])}{_than_alone(first)}."
    )


def _than_alone(one: Mapping[str, Any]) -> str:
    run, alone = span(one["run_s"]), span(one["alone_s"])
    return ", as long as alone" if run == alone else f" instead of ~{alone} alone"


def _added(other: Mapping[str, Any], is_once: bool) -> str:
    name = harmless(other["pipeline"])
    if max(other["added_s"], other["added_p95_s"]) < _LEAST_S:
        return f"no added wait for {name}"
    if other["added_s"] < _LEAST_S:
        return f"no added wait for {name} in half of its runs, ~{span(other['added_p95_s'])} in 1 of 20"
    return (
        f"added wait for {name} ~{span(other['added_s'])}, ~{span(other['added_p95_s'])} in 1 of 20 runs"
        f"{', when both begin at once' if is_once else ''}"
    )


def _more(found: Mapping[str, Any]) -> list[str]:
    said = []
    if found["per_h"] is not None:
        said.append(_use(found))
    what = "each runner is taken as a machine of its own" if found["own"] else "all runs share this machine"
    said.append(f"{plural(found['runs'], 'simulated run')}; {what}; who asks first is served first")
    if any(one["wait_p95_s"] >= _LEAST_S for one in found["pipelines"]):
        said.append("wait: of a stage that could run, for what is shared; also behind stages of its own run")
    return said


def _use(found: Mapping[str, Any]) -> str:
    scarce = "the runners" if found["own"] else "the jobs"
    if found["scarce"] != "slot":
        scarce = harmless(found["scarce"].replace(":", " ", 1))
    used = f"{found['used']:.0%}".replace("%", " %")
    said = f"that is {used} of what {scarce} can do"
    if found["grows"]:
        return (
            f"{said}, and {_rate(found['grows_per_h'])} are left over: nothing below is a steady state, it is how the "
            f"first {plural(found['runs'], 'run')} fare"
        )
    if found["stable_per_h"] is not None:
        said += f": up to {_rate(found['stable_per_h'])} before the queue grows without bound"
    return f"{said}; so near to it waits are long, and mostly chance" if found["used"] > _NEAR else said


def _rate(per_h: float) -> str:
    if per_h >= 10:
        return f"{per_h:.0f} runs/h"
    return f"{per_h:.1f} runs/h" if per_h >= 0.1 else f"{per_h * 24:.2g} runs/d"


def table(met: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Heads, then a row a pipeline."""
    heads = ["pipeline", "alone", "run p50", "run p95", "wait p50", "wait p95"]
    rows = [
        [
            harmless(one["pipeline"]),
            *[_zero(one[key]) for key in ("alone_s", "run_s", "run_p95_s", "wait_s", "wait_p95_s")],
        ]
        for one in met
    ]
    if any(one["added_s"] is not None for one in met):
        heads += ["added p50", "added p95"]
        for row, one in zip(rows, met):
            row += [_zero(one["added_s"]), _zero(one["added_p95_s"])]
    return [heads, *rows]


def _table(met: Sequence[Mapping[str, Any]], style: Style) -> list[str]:
    heads, *rows = whole = table(met)
    wide = [max([cells(row[at]) for row in whole]) for at in range(len(heads))]
    lines = [
        "  ".join(
            [pad(row[0], wide[0]), *[" " * (width - cells(cell)) + cell for cell, width in zip(row[1:], wide[1:])]]
        )
        for row in whole
    ]
    if max(map(cells, lines)) < style.width:
        return lines
    return [
        line
        for row in rows
        for line in (
            *wrap(row[0], style.width - 1),
            *[f"     {part}" for part in wrap(", ".join(map(" ".join, zip(heads[1:], row[1:]))), style.width - 6)],
        )
    ]


def _zero(seconds: float | None) -> str:
    return NOTHING if seconds is None or seconds < _LEAST_S else span(seconds)
