"""Problems of pipeline files as GitLab's code quality report, which a merge request shows beside the lines. Reads no
file."""

from __future__ import annotations

import json
from hashlib import sha256

from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from stagebook.model.problem import Problem

_SEVERITY = {"error": "major", "warning": "minor", "note": "info"}


def render(problems: Sequence[Problem], root: str) -> str:
    """`root` is an absolute path, from which files are told. A fingerprint has no line in it, so that a problem is the
    same one after lines have been put above it; those that say the same are told apart by their number."""
    found = []
    seen: dict[str, int] = {}
    above = root.rstrip("/") + "/"
    for each in problems:
        path = each.file.removeprefix(above) or "."
        said = f"{path}\0{each.code}\0{each.message}"
        seen[said] = seen.get(said, 0) + 1
        found.append(
            {
                "description": harmless(each.message.replace("\n", " ")),
                "check_name": each.code,
                "fingerprint": sha256(f"{said}\0{seen[said]}".encode("utf-8", "surrogatepass")).hexdigest(),
                "severity": _SEVERITY.get(each.level, "info"),
                "location": {"path": path, "lines": {"begin": max(1, each.line)}},
            }
        )
    return json.dumps(found, indent=1) + "\n"
