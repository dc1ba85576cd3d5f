"""Ids of a trace: those of W3C Trace Context, different wherever they must be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.record import trace
from stagebook.record.clock import new_run_id

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_run_without_a_caller_is_the_root_of_a_trace_of_its_own() -> None:
    traces = [trace.of_run(new_run_id(), None) for _ in range(100)]
    assert len({one.id for one in traces}) == 100
    for one in traces:
        assert (len(one.id), one.parent, one.is_sampled) == (32, None, True)
        assert int(one.id, 16)


def test_a_run_joins_its_callers_trace() -> None:
    assert trace.caller({"TRACEPARENT": CALLER}) == CALLER
    joined = trace.of_run(new_run_id(), CALLER)
    assert joined == trace.Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "01")
    assert not trace.of_run(new_run_id(), CALLER[:-1] + "2").is_sampled


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", CALLER.upper(), CALLER + "-x", CALLER.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
     CALLER.replace("b7ad6b7169203331", "0" * 16), "ff" + CALLER[2:], CALLER + "\n"],
)  # fmt: skip
def test_what_is_no_traceparent_begins_a_new_trace(text: str) -> None:
    assert trace.caller({"TRACEPARENT": text}) is None
    assert trace.of_run(new_run_id(), text).parent is None


@given(
    st.sets(
        st.tuples(
            st.sampled_from(["01KYAMB2WQ4V7T0C9E8R5N3ZXD", "01KYAMB2WQ4V7T0C9E8R5N3ZXE"]),
            st.text(),
            st.integers(0, 10**6),
        )
    )
)
def test_no_two_spans_are_alike(keys: set[tuple[str, str, int]]) -> None:
    found = {trace.span(*key) for key in keys}
    assert len(found) == len(keys)
    assert all(len(one) == 16 and int(one, 16) for one in found)


def test_what_a_stage_is_told_is_a_traceparent() -> None:
    made = trace.of_run(new_run_id(), CALLER)
    assert trace.caller({"TRACEPARENT": trace.traceparent(made, trace.span("r", "s", 1))}) is not None
