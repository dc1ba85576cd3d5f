"""Which format a file is in, by the keys at its left edge, and where pipeline files usually lie. Parses nothing.

A wrong guess must be hard: what no rule knows is taken for native, whose reader then says what is wrong with it.
"""

from __future__ import annotations

import os
import re

from stagebook.model.problem import InputError, Problem

WORKFLOWS = os.path.join(".github", "workflows")
GITLAB_NAME = ".gitlab-ci.yml"
_HEAD_MAX = 1 << 20
_key = re.compile(rb"^(?:\"([\w.-]+)\"|'([\w.-]+)'|([\w.:/ ()+@-]+?))[ \t]*:(?=\s|$)", re.MULTILINE)
_GITLAB_WORDS = frozenset(
    (
        b"stages",
        b"include",
        b"default",
        b"workflow",
        b"image",
        b"before_script",
        b"after_script",
        b"variables",
        b"cache",
    )
)
_GITLAB_JOB = re.compile(
    rb"^[ \t]+(?:script|extends|before_script|rules|only|except|trigger|needs|allow_failure|after_script|artifacts|"
    rb"tags)[ \t]*:", re.MULTILINE,
)  # fmt: skip
_REFERENCE = re.compile(rb"!reference\s*\[")
_ACTION = re.compile(rb"^runs[ \t]*:", re.MULTILINE)


def format_of(data: bytes, file: str) -> str:
    """See `load.format_of`."""
    parts = file.replace("\\", "/").split("/")
    head = data[:_HEAD_MAX]
    keys = {(a or b or c) for a, b, c in _key.findall(head)}
    if b"jobs" in keys and (b"workflows" in keys or b"orbs" in keys or (b"version" in keys and b"on" not in keys)):
        if b"stages" not in keys:
            _refuse(file, "CircleCI")
    if b"jobs" in keys and not _is_native(head, keys):
        return "github"
    if parts[-3:-1] == [".github", "workflows"]:
        return "github"
    if parts[-1].endswith((GITLAB_NAME, ".gitlab-ci.yaml")):
        return "gitlab"
    if parts[-1] == "Jenkinsfile" or re.match(
        rb"\s*(?:(?://|/\*|@Library|#!groovy).*\s*)*(?:pipeline|node)\s*[({]", head
    ):
        _refuse(file, "Jenkins")
    if _is_native(head, keys):
        return "native"
    if _GITLAB_JOB.search(head) and (keys & _GITLAB_WORDS or b"script" in head or b"extends" in head):
        return "gitlab"
    if b"stages" in keys and re.search(
        rb"^stages[ \t]*:(?:[ \t]*\[|\s*\n\s*-[ \t]+[\w.'\"-]+[ \t]*(?:#.*)?$)", head, re.M
    ):
        return "gitlab"
    if b"include" in keys and keys <= {*_GITLAB_WORDS, b"spec"}:
        return "gitlab"
    return "native"


def _is_native(head: bytes, keys: set[bytes]) -> bool:
    """`stages` as a mapping, or as a list of mappings."""
    if b"stages" not in keys:
        return False
    return re.search(rb"^[\"']?stages[\"']?[ \t]*:[ \t]*(?:\{|(?:#.*)?\n(?:[ \t]*(?:#.*)?\n)*(?:[ \t]+[\w\"'.-]+[^\n]*:|[ \t]*-[ \t]+[^\n]+?:[ \t\n]))", head, re.M) is not None  # fmt: skip


def _refuse(file: str, system: str) -> None:
    text = f"{file} is a file of {system}, which cannot be read yet; GitHub Actions and GitLab CI can"
    raise InputError(text, [Problem(file, 0, 0, "format", "error", text)])


def known_in(folder: str) -> list[str]:
    """The pipeline files of a folder at their usual places: the native one alone if there is one, else those of CI
    systems, in order."""
    native = os.path.join(folder, "stagebook.yaml")
    if os.path.isfile(native):
        return [native]
    found = []
    workflows = os.path.join(folder, WORKFLOWS)
    try:
        names = sorted(os.listdir(workflows))
    except OSError:
        names = []
    found += [os.path.join(workflows, name) for name in names if name.endswith((".yml", ".yaml"))]
    gitlab = os.path.join(folder, GITLAB_NAME)
    return found + ([gitlab] if os.path.isfile(gitlab) else [])
