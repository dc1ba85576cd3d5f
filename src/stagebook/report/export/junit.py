"""A run as JUnit XML, as CI servers take it (Jenkins' schema): the pipeline is a suite, each stage a test.

A failure that the run does not fail for is a skipped test, as an expected failure is for test runners. Attempts before
the last are flaky failures of a stage that passed, and earlier runs of one that did not; one that was interrupted is
neither. What is no XML is an escape.
"""

from __future__ import annotations

import time

from stagebook.report import rows, words
from stagebook.report.export import phases
from stagebook.report.harmless import harmless, line_of_output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Mapping, Sequence, TypeAlias

Document: TypeAlias = "Mapping[str, Any]"
#: (stage, attempt): the last lines of its output
Tail: TypeAlias = "Callable[[str, int], Sequence[bytes]]"

OUTPUT_MAX = 8 << 20  #: characters of output in one report; of what comes after them the path of the log is told
_NAME_MAX = 1000
_PROPERTIES = ("run", "outcome", "mode", "jobs", "policy", "trace_id")
_MARKS = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})


def render(document: Document, now_us: int | None = None, tail: Tail | None = None) -> Iterator[str]:
    known = [(stage, *_verdict(stage)) for stage in document["stages"]]
    counts = _attributes(
        {
            "name": document["pipeline"],
            "tests": len(known),
            "failures": sum([element == "failure" for _, element, _ in known]),
            "errors": sum([element == "error" for _, element, _ in known]),
            "skipped": sum([element == "skipped" for _, element, _ in known]),
            "time": _seconds(document["wall_s"]),
        }
    )
    begun = time.gmtime(rows.instants()(document["started"]) // 1_000_000)
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites{counts}>\n'
    yield f' <testsuite{counts} timestamp="{time.strftime("%Y-%m-%dT%H:%M:%S", begun)}">\n  <properties>\n'
    for name in _PROPERTIES:
        if document.get(name) is not None:
            yield f"   <property{_attributes({'name': f'stagebook.{name}', 'value': document[name]})}/>\n"
    yield "  </properties>\n"
    output = _Output(tail)
    for stage, element, message in known:
        yield from _case(document, stage, element, message, output)
    yield " </testsuite>\n</testsuites>\n"


def _verdict(stage: Document) -> tuple[str, str]:
    """The element that says how a stage ended, none for a success, and what it says."""
    outcome, reason = stage["outcome"], stage["reason"]
    if outcome == "success":
        return "", ""
    if outcome is None:
        return "skipped", "has no end on record" if stage.get("interrupted") else "is not over"
    last = stage["attempts"][-1] if stage["attempts"] else None
    if last is None and outcome in ("skip", "cancellation"):
        return "skipped", reason or words.ended_by(outcome)
    if reason:
        message = words.ending(outcome, reason, last and last["exit"]) or outcome
    else:
        message = phases.ending(last) if last is not None else outcome
    if stage.get("tolerated"):
        return "skipped", f"{words.ended_by(outcome)}, which the run does not fail for: {message}"
    return ("failure" if outcome in ("failure", "timeout") else "error"), message


def _case(document: Document, stage: Document, element: str, message: str, output: _Output) -> Iterator[str]:
    name = {"name": stage["stage"], "classname": document["pipeline"], "time": _seconds(stage["wall_s"])}
    earlier = [
        one for one in stage["attempts"][:-1] if one["outcome"] in rows.FAILED and one["reason"] != "interrupted"
    ]
    if not element and not earlier:
        yield f"  <testcase{_attributes(name)}/>\n"
        return
    yield f"  <testcase{_attributes(name)}>\n"
    if element == "skipped":
        yield f"   <skipped{_attributes({'message': message})}/>\n"
    elif element:
        said = _attributes({"message": message, "type": stage["outcome"]})
        yield f"   <{element}{said}>{output.of(stage)}</{element}>\n"
    for attempt in earlier:
        kind = ("rerun" if element else "flaky") + ("Error" if attempt["outcome"] == "error" else "Failure")
        said = _attributes({"message": phases.ending(attempt), "type": attempt["outcome"]})
        text = output.of(stage, attempt)
        yield f"   <{kind}{said}><system-out>{text}</system-out></{kind}>\n"
    yield "  </testcase>\n"


class _Output:
    """The ends of logs, as long as there is room for them."""

    def __init__(self, tail: Tail | None) -> None:
        self._tail = tail
        self._left = OUTPUT_MAX

    def of(self, stage: Document, attempt: Document | None = None) -> str:
        """Of an attempt, by default the last."""
        if attempt is None:
            attempt = stage["attempts"][-1] if stage["attempts"] else {}
        if not attempt.get("log"):
            return ""
        lines = [f"log: {harmless(attempt['log'])}"]
        if self._tail is not None and self._left > 0:
            lines += map(line_of_output, self._tail(stage["stage"], attempt.get("attempt", 1)))
        text = "\n".join(lines)
        self._left -= len(text)
        return text.translate(_MARKS)


def _attributes(values: Mapping[str, Any]) -> str:
    return "".join([f' {name}="{_one_line(str(value))}"' for name, value in values.items()])


def _one_line(text: str) -> str:
    text = harmless(text)
    return (text if len(text) <= _NAME_MAX else text[: _NAME_MAX - 1] + "…").translate(_MARKS)


def _seconds(value: float | None) -> str:
    return f"{value or 0:.3f}"
