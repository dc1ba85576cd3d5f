"""Problems of pipeline files as SARIF 2.1.0, which code scanners' pages show beside the lines. Reads no file.

A rule is a problem's code. Places are relative to a root that the caller says, as scanners want them; text of users' is
no link.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from stagebook import __version__
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Sequence

    from stagebook.model.problem import Problem

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT = "%SRCROOT%"


def render(problems: Sequence[Problem], root: str) -> str:
    """`root` is an absolute path; files below it are told by their way from there, others by all of theirs."""
    codes = sorted({problem.code for problem in problems})
    places = {code: index for index, code in enumerate(codes)}
    run = {
        "tool": {
            "driver": {
                "name": "Stagebook",
                "version": __version__,
                "rules": [_rule(code) for code in codes],
            }
        },
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {ROOT: {"uri": f"file://{_quoted(root.rstrip('/'))}/"}},
        "results": list(_results(problems, places, root.rstrip("/") + "/")),
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _rule(code: str) -> dict[str, Any]:
    text = code.replace("-", " ")
    return {
        "id": code,
        "shortDescription": {"text": text},
        "fullDescription": {"text": f"stagebook lint: {text}"},
        "help": {"text": "The message says what is wrong and what to do; docs/reference/format.md tells the format."},
    }


def _results(problems: Iterable[Problem], places: dict[str, int], root: str) -> Iterable[dict[str, Any]]:
    for problem in problems:
        message = "\n".join(map(harmless, problem.message.split("\n"))).replace("](", "\\](")
        result: dict[str, Any] = {
            "ruleId": problem.code,
            "ruleIndex": places[problem.code],
            "level": problem.level,
            "message": {"text": message},
        }
        if problem.file:
            place: dict[str, Any] = {"artifactLocation": _location(problem.file, root)}
            if problem.line:
                place["region"] = {"startLine": problem.line}
                if problem.col:
                    place["region"]["startColumn"] = problem.col
            result["locations"] = [{"physicalLocation": place}]
        yield result


def _location(file: str, root: str) -> dict[str, str]:
    if file.startswith(root):
        return {"uri": _quoted(file.removeprefix(root)), "uriBaseId": ROOT}
    return {"uri": f"file://{_quoted(file)}"}


def _quoted(path: str) -> str:
    return quote(path.encode("utf-8", "surrogateescape"))
