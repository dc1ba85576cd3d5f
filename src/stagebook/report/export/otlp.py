"""A run as a trace by the OpenTelemetry semantic conventions for CI/CD: a span for the run, one for each stage below
it, and one for each attempt below its stage. As values, and as OTLP in JSON lines. Sends nothing.

Ids are those that stages were told in `TRACEPARENT`, so spans of programs in a stage lie below its attempt. What is not
over has no span yet. The conventions are of status Development; `SCHEMA` says which version of them this is.
"""

from __future__ import annotations

import json

from stagebook import __version__
from stagebook.model.value import NamedTuple
from stagebook.report import rows
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Mapping, TypeAlias

Document: TypeAlias = "Mapping[str, Any]"
Value: TypeAlias = "str | bool | int | float"
#: (run, stage, attempt): the id of a span
SpanOf: TypeAlias = "Callable[[str, str, int], str]"

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
SCOPE = ("stagebook", __version__)
BATCH = 500  #: spans of one request
SERVER, INTERNAL = 2, 1
_ERROR = 2


class Span(NamedTuple):
    """`parent` is None for the root of a trace. Times are microseconds since 1970. `error` is None, or what went wrong;
    `kind` as OTLP has it."""

    name: str
    trace_id: str
    id: str
    parent: str | None
    kind: int
    start_us: int
    end_us: int
    attributes: dict[str, Value]
    error: str | None


def resource(document: Document) -> dict[str, Value]:
    """What is true of all spans of a run."""
    return {
        "service.name": "stagebook",
        "service.version": __version__,
        "cicd.pipeline.name": harmless(document["pipeline"]),
        "cicd.pipeline.run.id": document["run"],
    }


def spans(document: Document, span_of: SpanOf) -> Iterator[Span]:
    """Parents come before what lies below them."""
    read = rows.instants()
    run, trace_id = document["run"], document["trace_id"]
    root = span_of(run, "", 0)
    if document["finished"] is not None:
        attributes = {
            "cicd.pipeline.name": document["pipeline"],
            "cicd.pipeline.run.id": run,
            "cicd.pipeline.action.name": "RUN",
            "cicd.pipeline.result": document["outcome"],
            "stagebook.mode": document["mode"],
            "stagebook.jobs": document["jobs"],
            "stagebook.policy": document["policy"],
        }
        name = f"RUN {harmless(document['pipeline'])}"
        yield _span(name, trace_id, root, document["parent_span_id"], SERVER, document, attributes, read)
    for stage in document["stages"]:
        name = harmless(stage["stage"])
        id = span_of(run, stage["stage"], 0)
        if stage["finished"] is not None:
            attributes = {
                **_task(stage, f"{run}/{stage['stage']}", stage["stage"]),
                "stagebook.flaky": stage["flaky"],
                "stagebook.wait_s": stage["wait_s"],
                "stagebook.waited": stage["waited"],
            }
            yield _span(name, trace_id, id, root, INTERNAL, stage, attributes, read)
        for attempt in stage["attempts"]:
            if attempt["finished"] is None:
                continue
            number, used = attempt.get("attempt", 1), attempt.get("usage") or {}
            attributes = {
                **_task(attempt, f"{run}/{stage['stage']}/{number}", stage["stage"]),
                "stagebook.attempt": number,
                "process.exit.code": attempt["exit"],
                "stagebook.signal": attempt["signal"],
                "stagebook.cpu_s": used.get("cpu_s"),
                "stagebook.max_rss_bytes": used.get("max_rss_bytes"),
            }
            own = span_of(run, stage["stage"], number)
            yield _span(f"{name} #{number}", trace_id, own, id, INTERNAL, attempt, attributes, read)


def _task(told: Document, id: str, stage: str) -> dict[str, Any]:
    return {
        "cicd.pipeline.task.name": stage,
        "cicd.pipeline.task.run.id": id,
        "cicd.pipeline.task.run.result": told["outcome"],
    }


def _span(
    name: str, trace_id: str, id: str, parent: str | None, kind: int, told: Document, attributes: dict[str, Any],
    read: Callable[[str], int],
) -> Span:  # fmt: skip
    end_us = read(told["finished"])
    start_us = end_us if told["started"] is None else min(read(told["started"]), end_us)
    error = None
    if told["outcome"] in rows.FAILED:
        attributes["error.type"] = told["outcome"]
        error = harmless(told["reason"] or "")
    attributes["stagebook.reason"] = told["reason"]
    known = {
        key: harmless(value) if isinstance(value, str) else value
        for key, value in attributes.items()
        if value is not None
    }
    return Span(name, trace_id, id, parent, kind, start_us, end_us, known, error)


def render(document: Document, now_us: int | None = None, span_of: SpanOf | None = None) -> Iterator[str]:
    """One ExportTraceServiceRequest a line, each of at most `BATCH` spans."""
    assert span_of is not None, "whoever asks knows the ids"
    batch: list[dict[str, Any]] = []
    for span in spans(document, span_of):
        batch.append(_plain(span))
        if len(batch) == BATCH:
            yield _request(document, batch)
            batch = []
    if batch:
        yield _request(document, batch)


def _request(document: Document, batch: list[dict[str, Any]]) -> str:
    scope = {"scope": {"name": SCOPE[0], "version": SCOPE[1]}, "schemaUrl": SCHEMA, "spans": batch}
    of = {"resource": {"attributes": _attributes(resource(document))}, "schemaUrl": SCHEMA, "scopeSpans": [scope]}
    return json.dumps({"resourceSpans": [of]}, separators=(",", ":")) + "\n"


def _plain(span: Span) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_us * 1000),
        "endTimeUnixNano": str(span.end_us * 1000),
        "attributes": _attributes(span.attributes),
    }
    if span.parent is not None:
        plain["parentSpanId"] = span.parent
    if span.error is not None:
        plain["status"] = {"code": _ERROR, "message": span.error}
    return plain


def _attributes(values: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
