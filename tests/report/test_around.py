"""What was around a run, in a line and in columns."""

from __future__ import annotations

from typing import Any

from tests.report import documents

from stagebook.record.story import Around
from stagebook.report import around, show, summary
from stagebook.report.harmless import cells
from stagebook.report.style import Style

LOADED = Around(
    over_s=4.0, pressure_method="cgroup", cpu_some=0.42, cpu_full=0.4, memory_some=0.001, io_some=0.03,
    others_cores=0.8, run_delay_s=1.5, device="vda", device_busy=0.07, throttled_s=0.3, cpu_limit_cores=1.5,
)._asdict()  # fmt: skip
CALM = Around(over_s=4.0, pressure_method="machine", cpu_some=0.0, io_some=0.0, others_cores=0.02)._asdict()


def run(*found: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    stages = [
        documents.stage(f"s{index}", {**documents.attempt(0, 4), "around": one}) for index, one in enumerate(found)
    ]
    return documents.run(stages, 4.0, **more)


def test_the_line_names_what_stands_out() -> None:
    assert around.line(LOADED) == (
        "pressure cpu 42 %, io 3 %; others used 0.8 cores; disk vda busy 7 %; throttled 300 ms by a limit of 1.5 cores"
    )
    assert around.line({**LOADED, "pressure_method": "machine"}).startswith("machine's pressure cpu 42 %")
    assert around.line(CALM) == around.line(Around()._asdict()) == around.line(None) == ""


def test_a_shown_run_has_the_line_and_a_summary_does_not_depend_on_the_machine() -> None:
    document = run(LOADED, around=LOADED)
    lines = show.render(document, Style(), None, "01KYAK7Q")
    assert "around   pressure cpu 42 %, io 3 %; others used 0.8 cores; disk vda busy 7 %;" in lines
    assert not [line for line in summary.render(document, Style()) if "pressure" in line]
    assert not [line for line in show.render(run(CALM, around=CALM), Style(), None, "x") if "around" in line]


def test_metrics_have_columns_for_it_where_it_is_known_of_any_attempt() -> None:
    head, first, second = show.metrics(run(LOADED, None), Style(width=250))
    assert head.split()[-10:] == "stall cpu stall memory stall io of others delay disk throttled".split()[-10:]
    assert first.split()[-13:] == "42 % 0 % 3 % cgroup 0.8 1.5 s 7 % 300 ms".split()[-13:]
    assert second.split()[-8:] == ["–"] * 8
    assert "stall" not in show.metrics(run(None), Style(width=250))[0]


def test_metrics_fit_a_narrow_terminal() -> None:
    assert [line for line in show.metrics(run(LOADED, CALM), Style(width=80)) if cells(line) >= 80] == []
