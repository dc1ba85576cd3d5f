"""Which format a file is in, by its place where that is usual, else by the keys at its left edge; and where pipeline
files usually lie. Parses nothing.

A wrong guess must be hard: what no rule knows is taken for native, whose reader then says what is wrong with it.
"""

from __future__ import annotations

import os
import re

from stagebook.model.problem import InputError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

NATIVE_NAME = "stagebook.yaml"
WORKFLOWS = os.path.join(".github", "workflows")
GITLAB_NAMES = (".gitlab-ci.yml", ".gitlab-ci.yaml")
_HEAD_MAX = 1 << 20
_FLOW_MAX = 1 << 18
_key = re.compile(
    rb"^(?:\"([^\"\n]{1,200})\"|'([^'\n]{1,200})'|([\w.:/()+@&*-][\w.:/ ()+@&*-]{0,200}?))[ \t]{0,9}:(?=\s|$)",
    re.MULTILINE,
)
_NATIVE_KEYS = frozenset(
    (b"version", b"name", b"params", b"env", b"secrets", b"limits", b"pools", b"policy", b"timeout", b"sla",
     b"defaults", b"billing", b"notify", b"stages")
)  # fmt: skip
#: Of GitLab's global keys, those that no other system has at its left edge.
_GITLAB_ONLY = frozenset((b"before_script", b"after_script", b"include", b"workflow"))
_GITLAB_GLOBAL = frozenset(
    (b"stages", b"default", b"image", b"services", b"variables", b"cache", b"spec", b"types",
     *_GITLAB_ONLY)
)  # fmt: skip
#: A key that only jobs of GitLab have: on a line of its own, or in braces as far as they go on the line.
_GITLAB_JOB = re.compile(
    rb"^(?:[ \t]+|[^\s#{:][^\n#{]{0,200}:[ \t]+\{(?:[^\n#]{0,2000}[,{])?[ \t]*)[\"']?(?:script|extends|before_script|"
    rb"after_script|rules|only|except|trigger|allow_failure|resource_group|parallel|dependencies)[\"']?[ \t]*:",
    re.MULTILINE,
)  # fmt: skip
#: A list under a key at the left edge that holds what only rules of GitLab hold.
_GITLAB_RULE = re.compile(rb"^[ \t]*-[ \t]+if:[^\n]*\$\w+", re.MULTILINE)
_REFERENCE = re.compile(rb"!reference\s*\[")
_STAGE_NAMES = re.compile(rb"^stages[ \t]*:(?:[ \t]*\[|[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*-[ \t]+[^\n:{]+$)", re.M)  # fmt: skip  # noqa: E501
_STAGE_MAP = re.compile(
    rb"^[\"']?stages[\"']?[ \t]*:[ \t]*(?:\{|(?:#.*)?\n(?:[ \t]*(?:#.*)?\n)*"
    rb"(?:[ \t]+[\w\"'.-]+[^\n]*:|(?:[ \t]*-[ \t]+[^\n:]*\n)*[ \t]*-[ \t]+[^\n\"']+?:[ \t\n]))", re.M,
)  # fmt: skip
_CIRCLECI_VERSION = re.compile(rb"^version[ \t]*:[ \t]*[\"']?2(?:\.\d)?[\"']?[ \t]*(?:#.*)?\r?$", re.MULTILINE)
_CIRCLECI_KEYS = frozenset((b"orbs", b"jobs", b"workflows", b"executors", b"commands", b"setup"))
#: What a Groovy file begins with, comments aside, that no YAML file does.
_GROOVY = re.compile(
    rb"(?:pipeline|node|stage|timestamps|timeout|properties|library)\b[^\n:]*[({][^\n]*$|@Library\b|@\w+\(|"
    rb"import [\w.*]+;?\s*$|def \w+\s*[=(]|\w+ = (?:library\(|'''|\"|')", re.MULTILINE,
)  # fmt: skip
_COMMENT = re.compile(rb"\s+|//[^\n]*|/\*.*?\*/|#![^\n]*", re.DOTALL)
#: The whole file in braces, as JSON is.
_FLOW = re.compile(rb"(?:\s+|#[^\n]*|---(?=\s)|%YAML[^\n]*)*+\{")
_FLOW_PART = re.compile(
    rb"\"(?:[^\"\\]|\\.)*+\"|'[^']*'|(?<![^\s])#[^\n]*|[\[\]{}:,\n]|[^\[\]{}:,\n\"'#]++|.", re.DOTALL
)
_ACTION = re.compile(rb"^runs[ \t]*:[ \t]*(?:#.*)?\r?\n(?:[ \t]*(?:#.*)?\r?\n|[ \t]+[\w-]+:.*\r?\n)*?[ \t]+using[ \t]*:", re.MULTILINE)  # fmt: skip  # noqa: E501


def format_of(data: bytes, file: str) -> str:
    """See `load.format_of`."""
    parts = file.replace("\\", "/").split("/")
    name = parts[-1]
    head = data[:_HEAD_MAX].removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    if (opened := _FLOW.match(head)) is not None:
        head = _unfolded(head[opened.end() : opened.end() + _FLOW_MAX])
    keys = {(a or b or c) for a, b, c in _key.findall(head)}
    if parts[-2:-1] == [".circleci"] or (_CIRCLECI_VERSION.search(head) and keys & _CIRCLECI_KEYS):
        _refuse(file, f"{file} is a file of CircleCI, which cannot be read yet; GitHub Actions and GitLab CI can")
    if "jenkinsfile" in name.lower() or _is_groovy(head):
        _refuse(file, f"{file} is a file of Jenkins, which cannot be read yet; GitHub Actions and GitLab CI can")
    if parts[-3:-1] == [".github", "workflows"]:
        return "github"
    if name.endswith(GITLAB_NAMES):
        return "gitlab"
    has_stages = b"stages" in keys and _STAGE_MAP.search(head) is not None
    if b"jobs" in keys and not has_stages:
        return "github"
    if b"runs" in keys and b"on" not in keys and _ACTION.search(head):
        said = "describes an action, which is a part of a workflow; name the workflow that uses it"
        _refuse(file, f"{file} {said}")
    if has_stages or (b"stages" not in keys and keys <= _NATIVE_KEYS):
        return "native"
    if b"on" in keys:
        return "github"
    return "gitlab" if _is_gitlab(head, keys, parts) else "native"


def _unfolded(head: bytes) -> bytes:
    """What stands in the outermost braces, each of its keys at the left edge of a line of its own."""
    made: list[bytes] = []
    depth, is_key = 1, True
    for found in _FLOW_PART.finditer(head):
        part = found[0]
        if part in (b"{", b"["):
            depth += 1
        elif part in (b"}", b"]"):
            depth -= 1
            if not depth:
                break
        if part == b"\n" or part[:1] == b"#":
            part = b" "
        elif depth == 1 and part == b",":
            part, is_key = b"\n", True
        elif depth == 1 and part == b":" and is_key:
            part, is_key = b": ", False
        if not (is_key and part.isspace() and part != b"\n"):
            made.append(part.lstrip() if is_key and part != b"\n" else part)
    return b"".join(made)


def _is_gitlab(head: bytes, keys: set[bytes], parts: list[str]) -> bool:
    if not {".gitlab", ".gitlab-ci"}.isdisjoint(parts[:-1]) or keys & _GITLAB_ONLY:
        return True
    if b"stages" in keys and _STAGE_NAMES.search(head):
        return True
    if b"spec" in keys and b"apiVersion" not in keys:
        return True
    jobs = keys - _GITLAB_GLOBAL
    return bool(jobs) and any(pattern.search(head) for pattern in (_GITLAB_JOB, _GITLAB_RULE, _REFERENCE))


def _is_groovy(head: bytes) -> bool:
    at = 0
    while (skipped := _COMMENT.match(head, at)) is not None:
        at = skipped.end()
    return _GROOVY.match(head, at) is not None


def _refuse(file: str, text: str) -> NoReturn:
    raise InputError(text, [Problem(file, 0, 0, "format", "error", text)])


def all_in(folder: str) -> list[str]:
    """The pipeline files of a folder that are known by name: the native one, those of CI systems at their usual places
    below it, and those that lie in it as in such a place."""
    native = os.path.join(folder, NATIVE_NAME)
    found = [native] if os.path.isfile(native) else []
    found += foreign_in(folder)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        names = []
    parts = folder.rstrip("/").split("/")
    is_workflows = parts[-2:] == [".github", "workflows"]
    for name in names:
        is_known = name.endswith(GITLAB_NAMES) or (is_workflows and name.endswith((".yml", ".yaml")))
        file = os.path.join(folder, name)
        if is_known and file not in found and os.path.isfile(file):
            found.append(file)
    return found


def foreign_in(folder: str) -> list[str]:
    """Those of CI systems at their usual places: GitHub's workflows by name, then GitLab's file."""
    workflows = os.path.join(folder, WORKFLOWS)
    try:
        names = sorted(os.listdir(workflows))
    except OSError:
        names = []
    found = [os.path.join(workflows, name) for name in names if name.endswith((".yml", ".yaml"))]
    found.append(os.path.join(folder, GITLAB_NAMES[0]))
    return [file for file in found if os.path.isfile(file)]


def is_in(folder: str) -> bool:
    """Whether it has files of CI systems at their usual places."""
    return os.path.isdir(os.path.join(folder, WORKFLOWS)) or os.path.isfile(os.path.join(folder, GITLAB_NAMES[0]))
