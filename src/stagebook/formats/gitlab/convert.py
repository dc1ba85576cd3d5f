"""What a job of GitLab does as the `run` of a native stage, and when it runs as a condition there. Which stages there
are is `formats.convert`.
"""

from __future__ import annotations

import json
import re

from stagebook.formats.native.draft import Lost, Work, variables
from stagebook.formats.native.enclosed import subshell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

    from stagebook.model.pipeline import Pipeline, Stage

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\w+)|\$)")
#: What was decided when the file was read.
_DECIDED = ("GITLAB_CI", "CI_PIPELINE_SOURCE", "CI_DEFAULT_BRANCH", "CI_PROJECT_NAME", "CI_CONFIG_PATH")
_MERGE = ("CI_MERGE_REQUEST_", "CI_EXTERNAL_PULL_REQUEST_")
#: Keys that are lost, whatever else their jobs do.
_SERVERS = frozenset(("jobs.*.pages", "jobs.*.needs.project", "jobs.*.needs.pipeline"))
#: Where the path of a grade goes from a job to what says when it is there.
_RULE = re.compile(r"\.(?:rules\[\d+\]|only|except)(?:\.|\Z)")
_PREDEFINED = re.compile(r"\$\{?(CI_[A-Z0-9_]+|GITLAB_[A-Z0-9_]+)")
#: What a shell can say for itself of what GitLab says to each job.
_KNOWN = {
    "CI": "true",
    "CI_PROJECT_DIR": "$(git rev-parse --show-toplevel)",
    "CI_COMMIT_SHA": "$(git rev-parse HEAD)",
    "CI_COMMIT_SHORT_SHA": "$(git rev-parse --short=8 HEAD)",
    "CI_COMMIT_BRANCH": "$(git rev-parse --abbrev-ref HEAD)",
    "CI_COMMIT_REF_NAME": "$(git rev-parse --abbrev-ref HEAD)",
    "CI_COMMIT_REF_SLUG": "$(git rev-parse --abbrev-ref HEAD | tr 'A-Z/_' 'a-z--')",
    "CI_COMMIT_MESSAGE": "$(git log -1 --format=%B)",
    "CI_PIPELINE_ID": "$STAGEBOOK_RUN",
    "CI_JOB_ID": "$STAGEBOOK_RUN",
}


def head(pipeline: Pipeline) -> list[Lost]:
    """Jobs of the file that its rules keep out of this pipeline, and rules on changed files that have no words here."""
    lost = _by_grades(pipeline)
    names = [str(each) for each in pipeline.context.get("left_out") or ()]
    if not names:
        return lost
    shown = ", ".join(name if name.isprintable() else "?" for name in names[:8]) + (" …" if names[8:] else "")
    said = f"not in this pipeline by their rules, and so not here: {shown[:200]}; see --event, --ref and --var"
    return [*lost, Lost(0, "ignored", said)]


def _by_grades(pipeline: Pipeline) -> list[Lost]:
    """`changes` that no stage has as its `changed`, and what only the server can do."""
    carried = {name for stage in pipeline.stages if stage.changed for name in (stage.name, stage.id)}
    lost = []
    for each in pipeline.grades:
        if each.key in _SERVERS:
            lost.append(Lost(each.line, "server", f"`{each.path.removeprefix('jobs.')[:80]}`: {each.text}"))
        if each.key.endswith("changes.compare_to"):
            said = "`compare_to`: here it is asked against --base"
            lost.append(Lost(each.line, "approximated", said))
        if not each.key.endswith((".rules.changes", ".only.changes", ".except.changes")):
            continue
        of = _RULE.split(each.path.removeprefix("jobs."))[0]
        if "except" not in each.key and (of in carried or (of.startswith(".") and carried)):
            continue
        what = ":".join(each.key.split(".")[-2:])
        taken = "not to hold" if "except" in each.key else "to hold"
        shown = f" of {of[:60]}" if of.isprintable() else ""
        lost.append(Lost(each.line, "ignored", f"`{what}`{shown}: no native words for it here: taken {taken}"))
    return lost


def start(pipeline: Pipeline) -> tuple[str, dict[str, str | None]]:
    """None for the pipeline as a whole: rules are those of jobs."""
    return "", {}


def work(
    stage: Stage, ids: Mapping[str, str], stages: Mapping[str, Stage], context: Mapping[str, Any]
) -> Work:  # fmt: skip
    """`stages`: all of the pipeline, by their ids; `context`: what it knows."""
    assert stage.job is not None
    spec: Mapping[str, Any] = stage.job.spec
    lost: list[Lost] = []
    script = [*_texts(spec, "before_script"), *_texts(spec, "script")]
    after = _texts(spec, "after_script")
    env, head = _variables(stage, spec, lost)
    text = "\n".join([*script, *after, *head])
    head = [*_predefined(stage, spec, text, env, lost, context.get("predefined") or {}), *head, *_told(spec, stages)]
    is_idle = False
    if not script:
        lost.append(
            Lost(stage.line, "server", stage.job.unplayable or "it has no commands: what it starts is GitLab's")
        )
        script, is_idle = ["echo 'what this job does there is yet to be written here' >&2; exit 1"], True
    elif any("windows" in str(tag).lower() for tag in spec.get("tags", ())):
        lost.append(Lost(stage.line, "server", "its runner is a Windows machine: what is written for that fails here"))
        head, after, script = [], [], ["echo 'written for another system' >&2", "false"]
    if after:
        ending = subshell("\n".join(after), "", "set +e\n")
        head += ["stagebook_after() {", f"{ending} || true", "}", "trap stagebook_after EXIT"]
    lost += _around(stage, spec)
    run = "\n".join([*head, *script])
    if len(head) + len(script) > 1 or "\n" in run:
        run = run.rstrip("\n") + "\n"
    keys: dict[str, Any] = {}
    if "\n" in run or "|" in run or "[[" in run:
        keys["shell"] = "bash"
    if env:
        keys["env"] = env
    if is_idle:
        keys["when"] = "false"
    return Work(run, keys, {"git_tag": None} if "PARAM_GIT_TAG" in run else {}, tuple(lost))


def condition(
    stage: Stage, ids: Mapping[str, str], before: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, str | None], list[Lost]]:  # fmt: skip
    """`before`: those whose failure counts. Rules were decided when the file was read; what is left is what becomes of
    jobs before it."""
    keys: dict[str, Any] = {"always": True} if stage.always else {"join": stage.join} if stage.join != "all" else {}
    if stage.when is None:
        return keys, {}, []
    if stage.when.text == "on_failure" and before:
        names = [json.dumps(name, ensure_ascii=False) for name in before]
        keys["when"] = " || ".join(f'stages[{name}].outcome in ["failure", "timeout", "error"]' for name in names)
        return keys, {}, []
    if stage.when.text == "manual":
        keys["when"] = "false"
        said = "manual: nobody starts it here; take `when` out, or put a gate before it, to run it"
        return keys, {}, [Lost(stage.line, "approximated", said)]
    keys["when"] = "false"
    said = f"`when: {stage.when.text[:60]}`: nothing before it can fail, so it never runs"
    return keys, {}, [Lost(stage.when.line or stage.line, "ignored", said)]


def _variables(stage: Stage, spec: Mapping[str, Any], lost: list[Lost]) -> tuple[dict[str, Any], list[str]]:
    """Those with plain values as `env`, those that speak of others as assignments; those of the matrix by its cell."""
    env: dict[str, Any] = {}
    head: list[str] = []
    texts: dict[str, str] = {}
    cell = variables(stage.cell or {})
    for name, value in spec.get("variables", {}).items():
        if not _VARIABLE.fullmatch(name) or name.startswith("STAGEBOOK_") or not isinstance(value, str):
            shown = "".join(letter if letter.isprintable() else "?" for letter in name[:40])
            lost.append(Lost(stage.line, "ignored", f"`{shown}` is no name of a variable here"))
        elif name in cell:
            head.append(f'export {name}="$MATRIX_{cell[name]}"')
            if "$" in (stage.cell or {})[name]:
                said = f"{name} of a cell of the matrix stays as it is written, with its dollar signs"
                lost.append(Lost(stage.line, "approximated", said))
        elif "$" in value and name not in spec.get("raw", ()):
            texts[name] = value
        else:
            env[name] = value
    return env, head + [f"export {name}={_quoted(texts[name])}" for name in _ordered(texts)]


def _ordered(texts: Mapping[str, str]) -> list[str]:
    """Each after those that its text speaks of."""
    found: dict[str, None] = {}
    for first in texts:
        open_ones, begun = [first], set[str]()
        while open_ones:
            name = open_ones[-1]
            begun.add(name)
            spoken = (match[1] or match[2] for match in _REFERENCE.finditer(texts[name]))
            wanted = [each for each in spoken if each in texts and each not in found and each not in begun]
            open_ones += wanted
            if not wanted:
                found[open_ones.pop()] = None
    return list(found)


def _predefined(
    stage: Stage,
    spec: Mapping[str, Any],
    text: str,
    env: Mapping[str, str],
    lost: list[Lost],
    decided: Mapping[str, Any],
) -> list[str]:
    """Of what GitLab tells each job, that which this one speaks of."""
    head = []
    known = {**spec.get("predefined", {}), **{name: decided[name] for name in _DECIDED if name in decided}}
    is_tag, is_merge = "CI_COMMIT_TAG" in decided, decided.get("CI_PIPELINE_SOURCE") == "merge_request_event"
    for name in dict.fromkeys(_PREDEFINED.findall(text)):
        if name in env or (name == "CI_COMMIT_TAG" and not is_tag) or (name.startswith(_MERGE) and not is_merge):
            continue  # which is not set there either
        if name == "CI_NODE_INDEX" and "index" in (stage.cell or {}):
            head.append('export CI_NODE_INDEX="$MATRIX_INDEX"')
        elif is_tag and name in ("CI_COMMIT_TAG", "CI_COMMIT_REF_NAME"):
            head.append(f'export {name}="$PARAM_GIT_TAG"')
        elif name in _KNOWN:
            head.append(f'export {name}="{_KNOWN[name]}"')
        elif name in known and (stage.cell is None or name in ("CI_NODE_TOTAL", "CI_JOB_STAGE", *_DECIDED)):
            head.append(f"export {name}={_quoted(str(known[name]).replace('$', '$$'))}")
        elif not text.count(f"export {name}="):
            lost.append(Lost(stage.line, "server", f"${name} is known to GitLab only"))
    return head


def _told(spec: Mapping[str, Any], stages: Mapping[str, Stage]) -> list[str]:
    """Variables of the dotenv files that earlier jobs have left in the folder."""
    files: dict[str, None] = {}
    for id in spec.get("artifacts_from", ()):
        job = stages[id].job if id in stages else None
        artifacts = job.spec.get("artifacts") if job is not None else None
        found = artifacts.get("reports", {}).get("dotenv") if isinstance(artifacts, dict) else None
        files.update(dict.fromkeys(map(str, found or ())))
    head = []
    for file in files:
        if file.isprintable():
            each = 'while IFS= read -r line; do case "$line" in [A-Za-z_]*=*) export "${line?}" ;; esac; done'
            head.append(f"if [ -f {_quoted(file)} ]; then {each} < {_quoted(file)}; fi")
    return head


def _around(stage: Stage, spec: Mapping[str, Any]) -> list[Lost]:
    line, found = stage.line, []
    image = spec.get("image")
    if isinstance(image, dict):
        found.append(Lost(line, "ignored", f"image {str(image.get('name'))[:80]}: it runs on this machine"))
    if spec.get("services"):
        found.append(Lost(line, "ignored", "services: start what it needs yourself"))
    environment = spec.get("environment")
    if isinstance(environment, dict):
        found.append(Lost(line, "server", f"environment {str(environment.get('name'))[:60]}: nobody has to agree here"))
    if spec.get("allow_exit_codes"):
        found.append(Lost(line, "ignored", f"allowed exit codes {spec['allow_exit_codes']}: they fail it here"))
    if spec.get("start_in_ms"):
        found.append(Lost(line, "ignored", "delayed: here it starts at once"))
    if spec.get("pre_get_sources"):
        found.append(Lost(line, "ignored", "hooks: there is no checkout here that they could go before"))
    if spec.get("release"):
        found.append(Lost(line, "server", "release: only GitLab makes one"))
    return found


def _texts(spec: Mapping[str, Any], key: str) -> list[str]:
    return [str(each).rstrip("\n") for each in spec.get(key, ())]


def _quoted(value: str) -> str:
    """In double quotes for a shell; `$$` is a dollar sign, and a dollar before no name stays one."""

    def reference(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return f"${{{name}}}" if name else r"\$"

    made, at = "", 0
    for match in _REFERENCE.finditer(value):
        made += _escaped(value[at : match.start()]) + reference(match)
        at = match.end()
    return f'"{made}{_escaped(value[at:])}"'


def _escaped(text: str) -> str:
    return re.sub(r"([\\\"$`])", r"\\\1", text)
