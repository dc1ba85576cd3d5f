"""Sends a run that is over to an OTLP endpoint, where one is set. Nothing of it can change how the run ended.

Which spans there are is the report's; how they travel is OpenTelemetry's own exporter, so its `OTEL_EXPORTER_OTLP_…`
variables (headers, certificates, compression) hold. The extra `stagebook[otel]` brings it along.
"""

from __future__ import annotations

import os
import sys
import time

from stagebook.record import trace
from stagebook.report.export import otlp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

DEADLINE_S = 10.0
_BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_PATH = "/v1/traces"
_LOGGERS = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "urllib3.connectionpool")


def endpoint(setting: str | None, environ: Mapping[str, str]) -> str | None:
    """Where spans go: the setting, else what the standard variables say; None where nothing is to be sent."""
    if setting is not None:
        base = setting.strip()
        if base.lower() in ("", "off"):
            return None
        return base if base.rstrip("/").endswith(_PATH) else base.rstrip("/") + _PATH
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER", "") == "none":
        return None
    if environ.get(_TRACES):
        return environ[_TRACES]
    return environ[_BASE].rstrip("/") + _PATH if environ.get(_BASE) else None


def send(document: dict[str, Any], where: str, traceparent: str | None) -> str | None:
    """Send the run's spans; why that did not go well, None if it did, or if the caller's trace is not sampled."""
    if not trace.of_run(document["run"], traceparent).is_sampled:
        return None
    import threading

    said: list[str | None] = []
    sender = threading.Thread(target=lambda: said.append(_sent(document, where)), daemon=True)
    try:
        sender.start()
        sender.join(DEADLINE_S)
    except KeyboardInterrupt:
        return _told(where, "stopped by a signal")
    why = said[0] if said else f"no answer within {DEADLINE_S:g} s"
    return None if why is None else _told(where, why)


def _told(where: str, why: str) -> str:
    scheme, mark, rest = where.partition("://")
    host = (rest if mark else scheme).partition("/")[0].rpartition("@")[2]  # without a password
    return f"spans were not sent to {host}: {why}"


def _sent(document: dict[str, Any], where: str) -> str | None:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        return "this takes the extra otel; install it: pip install 'stagebook[otel]'"
    heard: list[str] = []
    loggers = [sys.modules["logging"].getLogger(name) for name in _LOGGERS]  # the exporter has brought it along
    for logger in loggers:
        logger.addFilter(lambda record: heard.append(record.getMessage()))
    deadline = time.monotonic() + DEADLINE_S
    try:
        exporter = OTLPSpanExporter(endpoint=where)
        some = _readable(document)
        for at in range(0, len(some), otlp.BATCH):
            if time.monotonic() > deadline:
                return f"only {at} of {len(some)} spans within {DEADLINE_S:g} s"
            if exporter.export(some[at : at + otlp.BATCH]).value:
                return " ".join((heard or ["the endpoint refused them"])[-1].split())
    except Exception as error:  # whatever a foreign library does, the run is over and stays what it is
        return f"{type(error).__name__}: {error}"
    return None


def _readable(document: dict[str, Any]) -> list[Any]:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    attributes = otlp.resource(document)
    if os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        del attributes["service.name"]
    resource = Resource.create(attributes, otlp.SCHEMA)
    scope = InstrumentationScope(*otlp.SCOPE, otlp.SCHEMA)
    kinds = {otlp.SERVER: SpanKind.SERVER, otlp.INTERNAL: SpanKind.INTERNAL}
    root = trace.span(document["run"])
    found = []
    for span in otlp.spans(document, trace.span):
        parent = None
        if span.parent is not None:
            is_remote = span.id == root
            parent = SpanContext(int(span.trace_id, 16), int(span.parent, 16), is_remote, TraceFlags(trace.SAMPLED))
        found.append(ReadableSpan(
            span.name, SpanContext(int(span.trace_id, 16), int(span.id, 16), False, TraceFlags(trace.SAMPLED)), parent,
            resource, span.attributes, kind=kinds[span.kind], instrumentation_scope=scope,
            status=Status(StatusCode.UNSET) if span.error is None else Status(StatusCode.ERROR, span.error),
            start_time=span.start_us * 1000, end_time=span.end_us * 1000,
        ))  # fmt: skip
    return found
