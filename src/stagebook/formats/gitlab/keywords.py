"""Which keys there are and what kind of value each takes, said as GitLab's own lint says it. Not what they do."""

from __future__ import annotations

import re

from stagebook.formats.gitlab.reading import Reading
from stagebook.formats.gitlab.rules import WHENS, check_policy, check_rules
from stagebook.formats.gitlab.scalars import truth, whole
from stagebook.formats.native.nodes import is_nameable, shorten
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node

NAME_MAX = 255
KEY_FILES_MAX = 10
GLOBALS = frozenset(
    ("stages", "include", "default", "workflow", "image", "services", "before_script", "after_script", "variables",
     "cache", "spec", "types", "$schema")
)  # fmt: skip
DEFAULTS = frozenset(
    ("after_script", "artifacts", "before_script", "cache", "hooks", "id_tokens", "identity", "image", "interruptible",
     "retry", "services", "tags", "timeout")
)  # fmt: skip
_TEXT = (SCALAR,)

#: Keys of a job, and of which kinds their values are.
JOB: dict[str, tuple[str, ...]] = {
    "after_script": (SCALAR, LIST), "allow_failure": (SCALAR, MAP), "artifacts": (MAP,),
    "before_script": (SCALAR, LIST), "cache": (MAP, LIST), "coverage": _TEXT, "dast_configuration": (MAP,),
    "dependencies": (LIST,), "environment": (SCALAR, MAP), "except": (LIST, MAP), "extends": (SCALAR, LIST),
    "hooks": (MAP,), "id_tokens": (MAP,), "identity": _TEXT, "image": (SCALAR, MAP), "inherit": (MAP,),
    "inputs": (MAP,), "interruptible": _TEXT, "manual_confirmation": _TEXT, "needs": (LIST, MAP), "only": (LIST, MAP),
    "pages": (SCALAR, MAP), "parallel": (SCALAR, MAP), "publish": _TEXT, "release": (MAP,), "resource_group": _TEXT,
    "retry": (SCALAR, MAP), "rules": (LIST,), "run": (LIST,), "script": (SCALAR, LIST), "secrets": (MAP,),
    "services": (LIST,), "stage": _TEXT, "start_in": _TEXT, "tags": (LIST,), "timeout": _TEXT,
    "trigger": (SCALAR, MAP), "variables": (MAP,), "when": _TEXT,
}  # fmt: skip
#: Keys of the mappings that jobs hold, where GitLab refuses all others.
INSIDE: dict[str, frozenset[str]] = {
    "artifacts": frozenset(
        ("access", "exclude", "expire_in", "expose_as", "name", "paths", "public", "reports", "untracked", "when")
    ),
    "cache": frozenset(("fallback_keys", "key", "paths", "policy", "unprotect", "untracked", "when")),
    "environment": frozenset(
        ("action", "auto_stop_in", "deployment_tier", "kubernetes", "name", "on_stop", "url")
    ),
    "retry": frozenset(("exit_codes", "max", "when")),
    "allow_failure": frozenset(("exit_codes",)),
    "inherit": frozenset(("default", "variables")),
    "image": frozenset(("docker", "entrypoint", "kubernetes", "name", "ports", "pull_policy")),
    "trigger": frozenset(("branch", "forward", "include", "inputs", "project", "strategy")),
    "release": frozenset(
        ("assets", "description", "milestones", "name", "ref", "released_at", "tag_message", "tag_name")
    ),
    "hooks": frozenset(("pre_get_sources_script",)),
    "parallel": frozenset(("matrix",)),
}  # fmt: skip
_JOB_WHENS = tuple(each for each in WHENS if each != "never")
_RETRY = frozenset(
    ("always", "unknown_failure", "script_failure", "api_failure", "stuck_or_timeout_failure",
     "stuck_pending_with_matching_runners", "stuck_pending_no_matching_runners", "no_updates_running",
     "no_updates_canceling", "runner_system_failure", "runner_configuration_error",
     "runner_external_dependency_failure", "runner_interrupted", "runner_unsupported", "stale_schedule",
     "job_execution_timeout", "server_timeout_running", "server_timeout_canceling", "archived_failure",
     "unmet_prerequisites", "scheduler_failure", "data_integrity_failure")
)  # fmt: skip
_WORDS: dict[tuple[str, str], frozenset[str]] = {
    ("artifacts", "when"): frozenset(("on_success", "on_failure", "always")),
    ("cache", "when"): frozenset(("on_success", "on_failure", "always")),
    ("environment", "action"): frozenset(("start", "prepare", "stop", "verify", "access")),
    ("trigger", "strategy"): frozenset(("depend", "mirror")),
}
_LISTS = frozenset((("artifacts", "paths"), ("artifacts", "exclude"), ("cache", "paths"), ("cache", "fallback_keys")))
_SHOWN_KINDS = {SCALAR: "text", LIST: "a list", MAP: "a mapping"}


def is_job(name: str, node: Node) -> bool:
    """Whether an entry of a file is a job. `default` and `workflow` are where they have a script."""
    if node.kind != MAP or name.startswith("."):
        return False
    return name not in GLOBALS or (name in ("default", "workflow") and node.get("script") is not None)


def check_root(reading: Reading, root: Node) -> None:
    for name, key, value in root.items():
        if name.startswith(".") or name in GLOBALS or value.kind == MAP:
            continue
        if value.is_null:
            reading.problem(key, "job", f"job {shorten(name)} is empty; it takes `script`, `run` or `trigger`")
        else:
            reading.problem(key, "unknown-key", f"`{shorten(name)}` is neither a keyword nor a job, which is a mapping")
    default = root.get("default")
    if default is not None and not default.is_null and not is_job("default", default):
        if default.kind != MAP:
            reading.problem(default, "type", "`default` takes a mapping")
        for name, key, value in default.items():
            if name not in DEFAULTS:
                reading.problem(key, "unknown-key", f"`default` has no key `{shorten(name)}`")
            else:
                _check(reading, "default", name, value)
    for name in ("image", "services", "before_script", "after_script", "cache", "variables"):
        node = root.get(name)
        if node is not None:
            _check(reading, "the file", name, node)
    workflow = root.get("workflow")
    if workflow is None or is_job("workflow", workflow):
        return
    for name, key, value in workflow.items():
        if name not in ("rules", "name", "auto_cancel"):
            reading.problem(key, "unknown-key", f"`workflow` has no key `{shorten(name)}`")
        elif name == "rules":
            check_rules(reading, value, "workflow")


def check_job(reading: Reading, name: str, key: Node, job: Node, lacks_base: bool) -> None:
    """`lacks_base`: it extends what could not be read, which may have what it needs."""
    if not name.strip() or not is_nameable(name):
        reading.problem(key, "name", f"job {shorten(name)!r}: a name is text without control characters")
    elif len(name) > NAME_MAX:
        reading.problem(key, "name", f"job {shorten(name)}: a name has at most {NAME_MAX} characters")
    for word, at, value in job.items():
        if word not in JOB:
            reading.problem(at, "unknown-key", f"job {shorten(name)} contains an unknown key: {shorten(word)}")
        else:
            _check(reading, f"job {shorten(name)}", word, value)
    made = [word for word in ("script", "run", "trigger") if (node := job.get(word)) is not None and not node.is_null]
    if not made and not lacks_base and not mirrors(job.get("needs")):
        said = f"job {shorten(name)} has neither `script` nor `run` nor `trigger`"
        reading.absent(key, "job", said)
    elif len(made) > 1:
        reading.problem(key, "job", f"job {shorten(name)} has {made[0]} and {made[1]}, which exclude each other")
    when, start = job.entry("when"), job.get("start_in")
    if when is not None and when[1].text == "delayed" and (start is None or start.is_null):
        reading.problem(when[0], "value", f"job {shorten(name)}: `when: delayed` takes `start_in` beside it")
    rules = job.get("rules")
    if rules is not None and rules.kind == LIST:
        check_rules(reading, rules, f"job {shorten(name)}")
        for word in ("only", "except"):
            found = job.entry(word)
            if found is not None and not found[1].is_null:
                reading.problem(found[0], "rules", f"job {shorten(name)} has `rules`, which cannot go with `{word}`")


def mirrors(needs: Node | None) -> bool:
    """Whether the needs of a job are for it to show how another project's pipeline ends."""
    entries = list(needs) if needs is not None and needs.kind == LIST else [needs] if needs is not None else []
    return any(each.get("pipeline") is not None and each.get("job") is None for each in entries)


def check_environments(reading: Reading, jobs: dict[str, Node]) -> None:
    """That the jobs which stop environments are there, and do."""
    for name, job in jobs.items():
        environment = job.get("environment")
        on_stop = environment.get("on_stop") if environment is not None else None
        stop = on_stop.text if on_stop is not None else None
        if environment is None or on_stop is None or stop is None:
            continue
        what = f"job {shorten(name)}: `on_stop` names {shorten(stop)}, which"
        other = jobs[stop].get("environment") if stop in jobs else None
        if stop not in jobs:
            reading.absent(on_stop, "environment", f"{what} does not exist")
        elif other is None:
            reading.absent(on_stop, "environment", f"{what} has no environment")
        elif (other.get("action") or other).text != "stop":
            reading.problem(on_stop, "environment", f"{what} does not have `action: stop`")
        elif (other.get("name") or other).text != (environment.get("name") or environment).text:
            reading.problem(on_stop, "environment", f"{what} has another environment")


def _check(reading: Reading, what: str, word: str, value: Node) -> None:
    """The value of one key."""
    kinds = JOB[word]
    if value.is_null or (value.kind == SCALAR and "$[[" in value.value):
        return
    if value.kind not in kinds:
        wanted = " or ".join(_SHOWN_KINDS[kind] for kind in kinds)
        reading.problem(value, "type", f"{what}: `{word}` takes {wanted}, not {_SHOWN_KINDS[value.kind]}")
        return
    if value.kind == MAP and word in INSIDE:
        _check_inside(reading, what, word, value)
    elif word == "cache":
        for each in value:
            if each.kind == MAP:
                _check_inside(reading, what, word, each)
    elif word in ("only", "except"):
        check_policy(reading, value, what, word)
    elif word in ("script", "before_script", "after_script"):
        _check_script(reading, what, word, value)
    elif word == "when" and value.text not in _JOB_WHENS:
        reading.problem(
            value, "value", f"{what}: `when: {shorten(value.text or '')}` is none of {', '.join(_JOB_WHENS)}"
        )
    elif word == "interruptible" and value.kind == SCALAR and truth(value) is None:
        reading.problem(value, "value", f"{what}: `interruptible` is true or false")
    elif word == "allow_failure" and value.kind == SCALAR and truth(value) is None:
        reading.problem(value, "value", f"{what}: `allow_failure` is true, false or has `exit_codes`")
    elif word == "retry" and not re.fullmatch(r"[0-2]", value.text or ""):
        reading.problem(value, "value", f"{what}: `retry` is 0, 1 or 2")
    elif word == "coverage" and not (value.text or "").startswith("/"):
        reading.problem(value, "value", f"{what}: `coverage` is a pattern between slashes")


def _check_inside(reading: Reading, what: str, word: str, value: Node) -> None:
    for key, at, inner in value.items():
        if key not in INSIDE[word]:
            reading.problem(at, "unknown-key", f"{what}: `{word}` has no key `{shorten(key)}`")
        words = _WORDS.get((word, key))
        text = inner.text
        if (word, key) in _LISTS and inner.kind != LIST and not inner.is_null:
            reading.problem(inner, "type", f"{what}: `{word}:{key}` takes a list")
        if words is not None and text is not None and text not in words and "$" not in text:
            shown = ", ".join(sorted(words))
            reading.problem(inner, "value", f"{what}: `{word}:{key}: {shorten(text)}` is none of {shown}")
    codes = value.get("exit_codes") if word in ("retry", "allow_failure") else None
    for text in codes.texts if codes is not None else ():
        if text.isdigit() and whole(text) is None:
            reading.problem(codes, "value", f"{what}: `{word}:exit_codes: {shorten(text)}` is no exit code")
    if word == "retry":
        most, when = value.get("max"), value.get("when")
        if most is not None and not re.fullmatch(r"[0-2]", most.text or ""):
            reading.problem(most, "value", f"{what}: `retry:max` is 0, 1 or 2")
        for text in when.texts if when is not None else ():
            if text not in _RETRY:  # the list grows with each version of GitLab
                reading.warn(when, "value", f"{what}: `retry:when` knows no {shorten(text)}, as far as is known here")
    elif word == "cache":
        key_node = value.get("key")
        files = key_node.get("files") if key_node is not None else None
        if files is not None and not 1 <= len(files.texts) <= KEY_FILES_MAX:
            reading.problem(files, "value", f"{what}: `cache:key:files` takes between 1 and {KEY_FILES_MAX} files")
    elif word == "artifacts":
        reports = value.get("reports")
        for name, _, inner in reports.items() if reports is not None else ():
            if inner.kind == SCALAR and inner.plain and re.fullmatch(r"\d+|true|false", inner.text or ""):
                reading.problem(inner, "type", f"{what}: `artifacts:reports:{shorten(name)}` takes paths")


def _check_script(reading: Reading, what: str, word: str, value: Node, depth: int = 1) -> None:
    if depth == 1 and word == "script" and value.kind != MAP and not value.value:
        reading.absent(value, "type", f"{what}: `script` is empty")
    if value.kind == MAP:
        reading.problem(value, "type", f"{what}: a line of `{word}` is text; quote what holds a colon and a space")
    elif value.kind == LIST:
        if depth > 10:
            reading.problem(value, "limit", f"{what}: `{word}` has lists more than 10 deep in one another")
            return
        for each in value:
            _check_script(reading, what, word, each, depth + 1)
