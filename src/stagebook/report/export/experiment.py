"""The report of an experiment as Markdown, to be kept by a team: question, set-up, results, decision, every run."""

from __future__ import annotations

from stagebook.report import experiment as words
from stagebook.report.durations import NOTHING, size, span
from stagebook.report.export.markdown import prose

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping, Sequence


def render(document: Mapping[str, Any]) -> str:
    lines = [f"# {_safe(document['verdict'])}", "", _safe(f"{words.about(document)}. {words.question(document)}")]
    for each in document["comparisons"]:
        head = ("measure", each["over"], each["arm"], "difference", "what it says")
        lines += ["", "## What differs", "", *_table(head, words.differs(document, each))]
    lines += ["", "## Arms", "", *_table(
        ("arm", "options", "runs", "failed, 95 % interval", "median", "least", "most"),
        [(arm["name"], arm["options"] or NOTHING, str(arm["runs"]), words.rate(arm), span(arm["median_s"]),
          span(arm["least_s"]), span(arm["most_s"])) for arm in document["arms"]],
    )]  # fmt: skip
    told = words.predicted(document)
    if told:
        head = ("arm", "predicted", "observed", "error", "runs")
        lines += ["", "## Predicted and observed", "", *_table(head, told)]
    lines += ["", "## Decision", "", *(_safe(sentence) + "  " for sentence in words.decided(document))]
    lines += ["", "## Set-up", "", *_table(("what", ""), words.set_up(document))]
    lines += ["", "## Every run", "", "In the order in which they ran; all figures of each are in "
              "[pairs.jsonl](pairs.jsonl).", "", *_table(*runs(document))]  # fmt: skip
    return "\n".join(lines) + "\n"


_HEAD = ("", "pair", "arm", "outcome", "time", "CPU", "memory", "load beside", "run")


def runs(document: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of a table, a row a run; without the memory where that is not known of any."""
    rows: list[tuple[str, ...]] = [
        (
            str(number), str(run["pair"]) if run["kind"] == "pair" else run["kind"], run["arm"], run["outcome"],
            span(run["wall_s"]), span(run["cpu_s"]), size(run["max_rss_bytes"]),
            NOTHING if run["others_cores"] is None else f"{run['others_cores']:.1f}", run["run"],
        )
        for number, run in enumerate(document["runs"], start=1)
    ]  # fmt: skip
    if any(run["max_rss_bytes"] is not None for run in document["runs"]):
        return _HEAD, rows
    at = _HEAD.index("memory")
    return _HEAD[:at] + _HEAD[at + 1 :], [row[:at] + row[at + 1 :] for row in rows]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell if cell == "---" else _safe(cell) for cell in row) + " |" for row in lines]


def _safe(text: str) -> str:
    return prose(text, 400)
