"""Runs as OpenTelemetry traces: sent to a real receiver, with the spans of programs in stages below their attempts."""

from __future__ import annotations

import base64
import json
import socket
import sys
from datetime import datetime
from typing import Any, Iterator

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.semconv._incubating.attributes import cicd_attributes
from opentelemetry.semconv.schemas import Schemas
from tests.door.place import Place, attempts
from tests.door.receiver import Receiver, attributes, spans_of

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

SET_UP = """\
import os, sys
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
above = TraceContextTextMapPropagator().extract
"""
CLIENT = (
    SET_UP
    + """
import subprocess
import requests
from opentelemetry.instrumentation.requests import RequestsInstrumentor

RequestsInstrumentor().instrument()
server = subprocess.Popen([sys.executable, "server.py"], stdout=subprocess.PIPE, text=True)
port = server.stdout.readline().strip()
with trace.get_tracer("client").start_as_current_span("client", above({"traceparent": os.environ["TRACEPARENT"]})):
    assert requests.get(f"http://127.0.0.1:{port}/orders", timeout=20).text == "3 orders"
provider.shutdown()
assert server.wait(20) == 0
"""
)
SERVER = (
    SET_UP
    + """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Orders(BaseHTTPRequestHandler):
    def do_GET(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        with trace.get_tracer("server").start_as_current_span("orders", above(headers), kind=trace.SpanKind.SERVER):
            self.send_response(200)
            self.send_header("Content-Length", "8")
            self.end_headers()
            self.wfile.write(b"3 orders")

server = HTTPServer(("127.0.0.1", 0), Orders)
print(server.server_address[1], flush=True)
server.handle_request()
provider.shutdown()
"""
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def us(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return round((moment - datetime.fromisoformat("1970-01-01T00:00:00+00:00")).total_seconds() * 1e6)


def test_r079_programs_in_stages_and_the_run_make_one_tree(place: Place, receiver: Receiver) -> None:
    for name, text in (("client.py", CLIENT), ("server.py", SERVER)):
        (place.folder / name).write_text(text)
    again = "if [ $STAGEBOOK_ATTEMPT = 1 ]; then exit 1; fi; exec"
    place.pipeline({"build": "true", "call": {"run": f"{again} {sys.executable} client.py", "needs": "build",
                                              "retry": {"attempts": 2}}}, name="release")  # fmt: skip
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "TRACEPARENT": CALLER}
    done = place.run("run", "--quiet", env=env)
    assert (done.code, done.said) == (0, "")
    spans = receiver.spans()
    assert {span.trace_id.hex() for span in spans.values()} == {CALLER.split("-")[1]}
    above = {span.span_id: span.name for span in spans.values()}
    tree = {name: above.get(span.parent_span_id, span.parent_span_id.hex()) for name, span in spans.items()}
    assert tree == {
        "RUN release": CALLER.split("-")[2],
        "build": "RUN release",
        "build #1": "build",
        "call": "RUN release",
        "call #1": "call",
        "call #2": "call",
        "client": "call #2",
        "GET": "client",
        "orders": "GET",
    }
    for name, parent in tree.items():
        if parent in spans and name != "orders":
            assert spans[parent].start_time_unix_nano <= spans[name].start_time_unix_nano, name
            assert spans[name].end_time_unix_nano <= spans[parent].end_time_unix_nano, name


def test_r079_spans_are_the_record_to_the_millisecond_and_follow_the_conventions(
    place: Place, receiver: Receiver
) -> None:
    place.pipeline({
        "good": "true",
        "again": {"run": "test $STAGEBOOK_ATTEMPT = 2", "retry": {"attempts": 2}},
        "bad": {"run": "exit 3", "needs": "good"},
        "slow": {"run": "sleep 30", "timeout": "200ms"},
        "gone": {"cmd": ["/no/such/program"]},
        "never": {"run": "true", "needs": "bad"},
    }, name="all ends")  # fmt: skip
    assert place.run("run", "--quiet", env={"STAGEBOOK_OTLP_ENDPOINT": receiver.url}).code == 4
    document = place.show()
    spans = receiver.spans()
    (path, headers, request), *_ = receiver.requests
    assert (path, headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
    run = spans.pop("RUN all ends")
    assert (run.parent_span_id, run.kind) == (b"", Span.SPAN_KIND_SERVER)
    assert run.trace_id.hex() == document["trace_id"]
    told = {**attributes(request.resource_spans[0].resource), **attributes(run)}
    assert told["service.name"] == "stagebook"
    assert told[cicd_attributes.CICD_PIPELINE_NAME] == "all ends"
    assert told[cicd_attributes.CICD_PIPELINE_RUN_ID] == document["run"]
    assert told[cicd_attributes.CICD_PIPELINE_RESULT] == "error"
    assert told[cicd_attributes.CICD_PIPELINE_ACTION_NAME] == "RUN"
    assert told["error.type"] == "error"
    by_name = {stage["stage"]: stage for stage in document["stages"]}
    by_name.update({f"{stage} #{attempt['attempt']}": attempt for stage, attempt in attempts(document)})
    assert set(spans) == set(by_name)
    for name, known in by_name.items():
        span = spans[name]
        said = attributes(span)
        assert span.kind == Span.SPAN_KIND_INTERNAL
        assert said[cicd_attributes.CICD_PIPELINE_TASK_NAME] == name.partition(" #")[0]
        assert said[cicd_attributes.CICD_PIPELINE_TASK_RUN_RESULT] == known["outcome"]
        assert said[cicd_attributes.CICD_PIPELINE_TASK_RUN_ID].startswith(
            f"{document['run']}/{name.partition(' #')[0]}"
        )
        is_failed = known["outcome"] in ("failure", "error", "timeout")
        assert span.status.code == (Status.STATUS_CODE_ERROR if is_failed else Status.STATUS_CODE_UNSET)
        assert said.get("error.type") == (known["outcome"] if is_failed else None)
        assert span.end_time_unix_nano == us(known["finished"]) * 1000
        assert span.start_time_unix_nano == us(known["started"] or known["finished"]) * 1000
    assert attributes(spans["bad #1"])["process.exit.code"] == 3
    assert request.resource_spans[0].schema_url in {schema.value for schema in Schemas}
    allowed = {getattr(cicd_attributes, name) for name in dir(cicd_attributes) if name.startswith("CICD_")}
    for span in (run, *spans.values()):
        assert {key for key in attributes(span) if key.startswith("cicd.")} <= allowed
    _is_what_the_format_writes(place, request)


def _is_what_the_format_writes(place: Place, request: ExportTraceServiceRequest) -> None:
    """OTLP in JSON: ids in hexadecimal, everything else as protocol buffers have it."""
    text = place.run("timeline", "last", "--format", "otlp").out
    (line,) = text.splitlines()
    plain = json.loads(line)
    for span in plain["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for key in ("traceId", "spanId", "parentSpanId"):
            if key in span:
                span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    written = json_format.Parse(json.dumps(plain), ExportTraceServiceRequest())
    known = {span.span_id: span for span in spans_of(request)}
    for span in spans_of(written):
        sent = known.pop(span.span_id)
        assert (span.name, span.trace_id, span.parent_span_id, span.kind) == (
            sent.name, sent.trace_id, sent.parent_span_id, sent.kind,
        )  # fmt: skip
        assert (span.start_time_unix_nano, span.end_time_unix_nano) == (
            sent.start_time_unix_nano,
            sent.end_time_unix_nano,
        )
        assert attributes(span) == attributes(sent)
        assert span.status == sent.status
    assert known == {}


def test_stages_are_told_the_spans_that_are_sent(place: Place, receiver: Receiver) -> None:
    place.pipeline({"a": {"run": "echo $TRACEPARENT; test $STAGEBOOK_ATTEMPT = 2", "retry": {"attempts": 2}}})
    assert place.run("run", "--quiet", env={"STAGEBOOK_OTLP_ENDPOINT": f"{receiver.url}/v1/traces"}).code == 0
    spans = receiver.spans()
    for number, (_, attempt) in enumerate(attempts(place.show()), 1):
        with open(attempt["log"]) as log:
            _, trace_id, span_id, _ = log.read().strip().split("-")
        span = spans[f"a #{number}"]
        assert (span.trace_id.hex(), span.span_id.hex()) == (trace_id, span_id)


def test_a_resumed_run_stays_in_the_trace_it_began_in(place: Place, receiver: Receiver) -> None:
    place.pipeline(
        [{"long": 'echo $TRACEPARENT; test -e "$BASE/go" || { touch "$BASE/go"; kill -9 $PPID; sleep 60; }'}]
    )
    place.run("run", "--quiet", env={"TRACEPARENT": CALLER})
    done = place.run("run", "--resume", "--quiet", env={"STAGEBOOK_OTLP_ENDPOINT": receiver.url})
    assert done.code == 0, done
    spans = receiver.spans()
    assert {span.trace_id.hex() for span in spans.values()} == {CALLER.split("-")[1]}
    assert len(spans) == 4


@pytest.mark.parametrize(
    "env",
    [{}, {"OTEL_EXPORTER_OTLP_HEADERS": "a=b"},
     {"STAGEBOOK_OTLP_ENDPOINT": "off", "OTEL_EXPORTER_OTLP_ENDPOINT": "HERE"},
     {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "HERE"},
     {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "HERE"},
     {"OTEL_EXPORTER_OTLP_ENDPOINT": "HERE", "TRACEPARENT": CALLER[:-1] + "0"}],
    ids=lambda env: " ".join(env) or "nothing set",
)  # fmt: skip
def test_nothing_is_sent_where_nobody_asks_for_it(env: dict[str, str], place: Place, receiver: Receiver) -> None:
    place.pipeline({"a": "true"})
    here = {name: receiver.url if value == "HERE" else value for name, value in env.items()}
    done = place.run("run", "--quiet", env=here)
    assert (done.code, done.said) == (0, "")
    assert receiver.requests == []


def test_the_exporters_own_variables_hold(place: Place, receiver: Receiver) -> None:
    place.pipeline({"a": "true"})
    env = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.url}/custom", "OTEL_EXPORTER_OTLP_HEADERS": "x-team=blue",
           "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_SERVICE_NAME": "nightly",
           "OTEL_RESOURCE_ATTRIBUTES": "host.name=h1"}  # fmt: skip
    assert place.run("run", "--quiet", env=env).said == ""
    ((path, headers, request),) = receiver.requests
    assert (path, headers["x-team"]) == ("/custom", "blue")
    known = attributes(request.resource_spans[0].resource)
    assert (known["service.name"], known["host.name"]) == ("nightly", "h1")


@pytest.mark.parametrize("how", ["refused", "unreachable", "silent", "nonsense"])
def test_what_cannot_be_sent_is_told_in_one_line_and_changes_no_exit_status(how: str, place: Place) -> None:
    place.pipeline({"a": "exit 1"})
    receiver = Receiver(0 if how == "silent" else 400)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = {"unreachable": f"http://u:secret@127.0.0.1:{closed.getsockname()[1]}", "nonsense": "no url"}.get(how)
        env = {"STAGEBOOK_OTLP_ENDPOINT": url or receiver.url, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
        done = place.run("run", "--json", env=env)
    receiver.close()
    assert done.code == 1
    assert done.json["outcome"] == "failure"
    lines = [line for line in done.err.splitlines() if "warning" in line]
    assert len(lines) == 1, done.err
    assert lines[0].startswith("warning: spans were not sent to ")
    assert "Traceback" not in done.err
    assert "secret" not in done.err
    if how == "refused":
        assert "400" in lines[0]


def test_without_the_extra_one_line_says_how_to_get_it(place: Place) -> None:
    (place.base / "shadow" / "opentelemetry").mkdir(parents=True)
    (place.base / "shadow" / "opentelemetry" / "__init__.py").touch()
    place.pipeline({"a": "true"})
    env = {"PYTHONPATH": str(place.base / "shadow"), "STAGEBOOK_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    done = place.run("run", "--quiet", env=env)
    assert (done.code, done.out) == (0, "")
    how = "this takes the extra otel; install it: pip install 'stagebook[otel]'"
    assert done.err == f"warning: spans were not sent to 127.0.0.1:1: {how}\n"
    assert place.run("timeline", "last", "--format", "otlp", env=env).out.startswith('{"resourceSpans"')


def test_of_a_run_that_goes_on_what_is_over_has_spans(place: Place) -> None:
    place.pipeline([{"a": "true"}, {"b": 'echo x >> "$LEDGER.b"; sleep 60'}])
    command = place.start("run", "--quiet")
    while not place.ledger_path.with_name("ledger.b").exists():
        assert command.process.poll() is None
    document: Any = json.loads(place.run("timeline", "last", "--format", "otlp").out)
    names = [span["name"] for span in document["resourceSpans"][0]["scopeSpans"][0]["spans"]]
    assert names == ["a", "a #1"]
