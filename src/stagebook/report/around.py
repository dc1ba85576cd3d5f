"""What the machine around a run did, in words and in columns."""

from __future__ import annotations

from stagebook.report.durations import span
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

NOTABLE = 0.01  #: a share below that says nothing
NOTABLE_CORES = 0.1

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


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.0f} %"
