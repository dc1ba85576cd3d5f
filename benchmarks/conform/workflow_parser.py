"""Cases of GitHub's own workflow parser: valid files are read, wrong ones refused near the line that it names."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

from conform.row import Row
from stagebook.formats.github.read import parse
from stagebook.formats.request import Request

#: Cases that are about something else than a file's meaning, by a word in their names, and why they are left out.
OUT = {
    "max-": "limits that the case sets itself",
    "nested-depth-exceeded": "a limit that the case sets itself",
    "errors-anchor-tag": "anchors have been taken since 2025",
    "from-caller-default": "what the token has by default is a setting of the repository",
    "errors-parse-": "explicit YAML tags",
    "errors-yaml-tags": "explicit YAML tags",
    "single-invalid": "checked in editors only, not by the service",
    "misc-jobs": "jobs without steps, which the service refuses",
    "concurrency.yml": "jobs without steps, which the service refuses",
    "events-mapping-all": "filters that exclude each other, which the service refuses",
}
_place = re.compile(r"Line: (\d+)")
_file = re.compile(r"[^\n]+\.ya?ml(?:@\S+)?")


def measure(data: Path) -> list[Row]:
    folder = data / "conformance" / "languageservices" / "workflow-parser" / "testdata" / "reader"
    read: list[str] = []
    refused: list[str] = []
    counts = [0, 0]
    for file in sorted(folder.glob("*.yml")):
        if any(word in file.name and not file.name.startswith("job-") for word in OUT):
            continue
        parts = [part.removeprefix("\n") for part in re.split(r"^---\s*$", file.read_text(), flags=re.M)]
        errors = [each["Message"] for each in json.loads(parts[-1]).get("errors", [])]
        miss = _case(file.name, parts[1:-1], errors)
        counts[bool(errors)] += 1
        if miss is not None:
            (refused if errors else read).append(f"{file.name}: {miss}")
    return [
        Row("workflow-parser", "valid files are read", counts[0], 1 - len(read) / counts[0], 0.98, misses=tuple(read)),
        Row(
            "workflow-parser", "wrong files are refused near the line", counts[1], 1 - len(refused) / counts[1], 0.95,
            misses=tuple(refused),
        ),
    ]  # fmt: skip


def _case(name: str, documents: list[str], errors: list[str]) -> str | None:
    """What is not as it should be. Beside the workflow there are others, each with its name before it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        main = root / ".github" / "workflows" / name
        includes = {}
        files = {main: documents[0]}
        for named, text in zip(documents[1::2], documents[2::2]):
            path = named.strip()
            if not _file.fullmatch(path):
                continue
            if "@" in path:
                project = "/".join(path.split("/")[:2])
                includes[project] = str(root / "others" / project)
                files[root / "others" / path.partition("@")[0]] = text
            else:
                files[root / path] = text
        for path_, text in files.items():
            path_.parent.mkdir(parents=True, exist_ok=True)
            path_.write_text(text)
        _, problems = parse(documents[0].encode(), str(main), Request(includes=includes))
    found = {each.line for each in problems if each.level == "error"}
    if not errors:
        return None if not found else str(next(each for each in problems if each.level == "error").message)
    if not found:
        return f"not refused: {errors[0]}"
    asked = {int(line) for message in errors for line in _place.findall(message)}
    far = {line for line in asked if not found & {line - 1, line, line + 1}}
    return f"lines {sorted(far)} not named: {errors[0]}" if far else None
