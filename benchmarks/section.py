"""What every section of the benchmark gets: where to work, how many rounds, and where its words and goals go."""

from __future__ import annotations

import statistics
from typing import Any, Mapping, NamedTuple, Sequence

from measured import Bench, Case, Cost
from table import Goals, table


class Section(NamedTuple):
    """`raw` takes all figures for `--json`, by table and row."""

    bench: Bench
    goals: Goals
    rounds: int
    quick: bool
    raw: dict[str, Any]

    def costs(self, title: str, cases: Mapping[str, Case], rounds: int | None = None) -> dict[str, list[Cost]]:
        """Run all cases in rounds and keep their figures; what failed is told at once and has no entry."""
        notes: list[str] = []
        costs = self.bench.rounds(cases, rounds or self.rounds, notes)
        self.raw[title] = {name: [cost._asdict() for cost in each] for name, each in costs.items()}
        for note in notes:
            print(f"failed: {note}")
        return costs

    def head(self, title: str) -> None:
        print(f"\n== {title}\n", flush=True)

    def show_goals(self) -> None:
        print("\n" + self.goals.show())


def walls(costs: Mapping[str, Sequence[Cost]], name: str) -> list[float] | None:
    return [cost.wall_s for cost in costs[name]] if name in costs else None


def cpus(costs: Mapping[str, Sequence[Cost]], name: str) -> list[float] | None:
    return [cost.cpu_s for cost in costs[name]] if name in costs else None


def peaks_mib(costs: Mapping[str, Sequence[Cost]], name: str) -> list[float] | None:
    known = [cost.peak_kib / 1024 for cost in costs.get(name, ()) if cost.peak_kib is not None]
    return known or None


def cost_rows(costs: Mapping[str, Sequence[Cost]], missing: Mapping[str, str], stages: int = 1) -> str:
    """A table of medians, per stage where there are many."""
    unit = "ms/stage" if stages > 1 else "ms"
    rows: list[Sequence[str]] = []
    for name, each in costs.items():
        wall = [cost.wall_s * 1e3 / stages for cost in each]
        cpu = [cost.cpu_s * 1e3 / stages for cost in each]
        peak = peaks_mib(costs, name)
        walls_ms = [f"{figure:.3f}" for figure in (statistics.median(wall), min(wall), max(wall))]
        cpus_ms = [f"{figure:.3f}" for figure in (statistics.median(cpu), min(cpu))]
        rows.append((name, *walls_ms, *cpus_ms, f"{max(peak):.1f}" if peak else "unknown"))
    rows += [(name, why, "", "", "", "", "") for name, why in missing.items()]
    return table(("", f"wall {unit}", "min", "max", f"CPU {unit}", "min", "peak MiB"), rows)
