"""What the machine around a run did, in words and columns; and which stages declare far from what they use."""

from __future__ import annotations

from stagebook.report.durations import size, span
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

NOTABLE = 0.01  #: a share below that says nothing
NOTABLE_CORES = 0.1
_NAMES_MAX = 6

COLUMNS = ("stall cpu", "stall memory", "stall io", "of", "others", "delay", "disk", "throttled")


def line(around: Mapping[str, Any] | None) -> str:
    """`pressure cpu 42 %, io 3 %; others used 0.8 cores`: what stands out, or empty."""
    if around is None:
        return ""
    stalls = [
        f"{name} {_percent(around[f'{name}_some'])}"
        for name in ("cpu", "memory", "io")
        if (around[f"{name}_some"] or 0) >= NOTABLE
    ]
    whose = "machine's pressure" if around["pressure_method"] == "machine" else "pressure"
    parts = [f"{whose} {', '.join(stalls)}"] if stalls else []
    if (around["others_cores"] or 0) >= NOTABLE_CORES:
        parts.append(f"others used {around['others_cores']:.1f} cores")
    if (around["device_busy"] or 0) >= NOTABLE:
        parts.append(
            f"disk {harmless(around['device'] or '')} busy {_percent(around['device_busy'])}".replace("  ", " ")
        )
    if around["throttled_s"]:
        limit = around.get("cpu_limit_cores")
        parts.append(f"throttled {span(around['throttled_s'])}" + (f" by a limit of {limit:g} cores" if limit else ""))
    return "; ".join(parts)


def columns(around: Mapping[str, Any] | None) -> tuple[str, ...]:
    """One attempt under `COLUMNS`; unknown is a dash."""
    if around is None:
        return ("–",) * len(COLUMNS)
    others = around["others_cores"]
    return (
        *(_percent(around[f"{name}_some"]) for name in ("cpu", "memory", "io")),
        str(around["pressure_method"] or "–"),
        "–" if others is None else f"{others:.1f}",
        span(around["run_delay_s"]),
        _percent(around["device_busy"]),
        span(around["throttled_s"]),
    )


def demand(document: Mapping[str, Any]) -> str:
    """`demand  pack declares cpu 4 and used 0.9`; empty where all that was declared is near the measured."""
    found = document.get("demand") or ()
    told = []
    for one in found[:_NAMES_MAX]:
        is_cpu = one["what"] == "cpu"
        declared, measured = (f"{n:g}" if is_cpu else size(n) for n in (one["declared"], one["measured"]))
        told.append(f"{harmless(one['stage'])} declares {one['what']} {declared}, used {measured}")
    more = f" and {len(found) - _NAMES_MAX} more" if len(found) > _NAMES_MAX else ""
    return f"demand   {'; '.join(told)}{more}" if told else ""


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.0f} %"
