"""How much each key of a file means here: a table. Where it is given its meaning is elsewhere; a key that is not in the
table is as good as the one it stands in.
"""

from __future__ import annotations

from stagebook.formats.gitlab.keywords import DEFAULTS, GLOBALS, JOB
from stagebook.formats.source.nodes import LIST, MAP, Node
from stagebook.model.job import Grade

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

KEYS_MAX = 200_000
EXACT, APPROXIMATED, IGNORED, SERVER = "exact", "approximated", "ignored", "server"

_IMAGE = (APPROXIMATED, "jobs run on this machine, or by the command that `[images]` of the settings names for it")
_OTHER = (SERVER, "it is of another project")
_KEPT = (SERVER, "only what the server keeps or shows after the run")

#: Keys of a job, and those in them, to a grade and why it is not exact. `*` stands for names of the user's.
_JOB: dict[str, tuple[str, str]] = {
    "script": (EXACT, ""), "before_script": (EXACT, ""), "after_script": (EXACT, ""), "stage": (EXACT, ""),
    "extends": (EXACT, ""), "variables": (EXACT, ""), "inherit": (EXACT, ""), "only": (EXACT, ""),
    "except": (EXACT, ""), "needs": (EXACT, ""), "dependencies": (EXACT, ""), "parallel": (EXACT, ""),
    "timeout": (EXACT, ""), "allow_failure": (EXACT, ""), "resource_group": (EXACT, ""), "rules": (EXACT, ""),
    "when": (EXACT, ""), "inputs": (SERVER, "they are asked for where the job is started by hand"),
    "rules.changes": (APPROXIMATED, "which files have changed is asked of git when it runs, against --base"),
    "rules.exists.project": _OTHER, "rules.auto_cancel": (SERVER, "it is about other pipelines"),
    "rules.start_in": (APPROXIMATED, "it starts without the delay"),
    "only.changes": (APPROXIMATED, "which files have changed is asked of git when it runs, against --base"),
    "except.changes": (APPROXIMATED, "taken not to hold: which files have changed is not known"),
    "only.kubernetes": (SERVER, "no cluster is known"), "except.kubernetes": (SERVER, "no cluster is known"),
    "needs.pipeline": _OTHER, "needs.project": _OTHER, "needs.ref": _OTHER,
    "start_in": (APPROXIMATED, "it starts without the delay"),
    "manual_confirmation": (EXACT, ""), "retry": (APPROXIMATED, "reasons of the runner itself do not occur here"),
    "image": _IMAGE, "services": (APPROXIMATED, "by a container where an engine is, or a command of the settings"),
    "tags": (APPROXIMATED, "this machine is the runner, whatever its tags"),
    "artifacts": (EXACT, ""), "artifacts.expire_in": _KEPT, "artifacts.expose_as": _KEPT, "artifacts.public": _KEPT,
    "artifacts.access": _KEPT, "artifacts.name": _KEPT, "artifacts.reports": (EXACT, ""),
    "artifacts.reports.*": _KEPT, "artifacts.reports.dotenv": (EXACT, ""),
    "cache": (EXACT, ""), "cache.unprotect": (SERVER, "protected branches are the server's"),
    "environment": (APPROXIMATED, "its name and address are variables; deployments are the server's"),
    "environment.name": (EXACT, ""), "environment.url": (EXACT, ""), "environment.on_stop": _KEPT,
    "environment.auto_stop_in": _KEPT, "environment.kubernetes": (SERVER, "no cluster is known"),
    "environment.deployment_tier": (EXACT, ""),
    "trigger": (EXACT, ""), "trigger.project": _OTHER, "trigger.branch": _OTHER,
    "trigger.include.artifact": (SERVER, "it is known only at run time"),
    "trigger.include.project": _OTHER, "trigger.forward.pipeline_variables": (SERVER, "there are none here"),
    "interruptible": (SERVER, "it is about newer pipelines of the same branch"),
    "coverage": _KEPT, "pages": _KEPT, "publish": _KEPT,
    "release": (SERVER, "releases are made on the server"),
    "secrets": (APPROXIMATED, "each is a secret of the environment here, empty with a warning where it is not set"),
    "id_tokens": (APPROXIMATED, "each is a secret of the environment here, empty with a warning where it is not set"),
    "identity": (SERVER, "it signs in to a cloud by the server"),
    "dast_configuration": (SERVER, "profiles are kept on the server"),
    "hooks": (EXACT, ""), "run": (SERVER, "its steps need GitLab's step runner"),
}  # fmt: skip
_TOP: dict[str, tuple[str, str]] = {
    "stages": (EXACT, ""), "variables": (EXACT, ""),
    "variables.*.description": (SERVER, "shown where a person starts it"),
    "variables.*.options": (SERVER, "shown where a person starts it"),
    "default": (EXACT, ""), "workflow": (EXACT, ""), "workflow.name": _KEPT,
    "workflow.auto_cancel": (SERVER, "it is about other pipelines"),
    "workflow.rules.auto_cancel": (SERVER, "it is about other pipelines"),
    "workflow.rules.changes": (APPROXIMATED, "taken to hold: which files have changed is not known"),
    "include": (EXACT, ""),
    "include.project": (APPROXIMATED, "read from a checkout that --include names"),
    "include.file": (APPROXIMATED, "read from a checkout that --include names"),
    "include.ref": (IGNORED, "the checkout that --include names is taken as it is"),
    "include.component": (APPROXIMATED, "read from a checkout that --include names"),
    "include.remote": (APPROXIMATED, "read from a copy that --include names"),
    "include.template": (APPROXIMATED, "read from a copy that --include names"),
    "include.integrity": (IGNORED, "the copy that --include names is taken as it is"),
    "include.cache": (SERVER, "nothing is fetched here"),
    "include.artifact": (SERVER, "it is known only at run time"),
    "include.job": (SERVER, "it is known only at run time"),
    "include.rules.changes": (APPROXIMATED, "taken to hold: which files have changed is not known"),
    "spec": (EXACT, ""), "$schema": (IGNORED, "it is for editors"),
    "types": (IGNORED, "GitLab has removed it: `stages` is its name"),
}  # fmt: skip
#: Where the keys of a mapping are names of the user's.
_NAMED = frozenset(
    ("variables", "secrets", "id_tokens", "needs.parallel.matrix", "parallel.matrix", "rules.variables",
     "services.variables", "workflow.rules.variables", "include.inputs", "trigger.inputs", "trigger.include.inputs",
     "spec.inputs", "inputs", "hidden")
)  # fmt: skip


def grades(root: Node, head: Node | None = None) -> tuple[Grade, ...]:
    """One for each key of the file and its head, in their order. Keys that GitLab refuses are errors and not here."""
    found: list[Grade] = list(grades(head)) if head is not None else []
    for name, key, value in root.items():
        if name in GLOBALS:
            under = name == "default"
            if under:
                found.append(Grade(name, name, key.line, *_TOP[name]))
                for inner, at, each in value.items():
                    if inner in DEFAULTS:
                        grade = _JOB.get(inner, (EXACT, ""))
                        found.append(Grade(f"{name}.{inner}", f"{name}.{inner}", at.line, *grade))
                        found += _inside(each, f"{name}.{inner}", f"{name}.", inner, grade, _JOB)
            else:
                table = _TOP if name in _TOP else _JOB
                grade = table.get(name, (EXACT, ""))
                found.append(Grade(name, name, key.line, *grade))
                found += _inside(value, name, "", name, grade, table)
            continue
        found.append(Grade(f"jobs.{name}", "jobs.*", key.line, EXACT))
        if value.kind != MAP:
            continue
        for inner, at, each in value.items():
            if inner not in JOB and not name.startswith("."):
                continue
            grade = _JOB.get(inner, (EXACT, ""))
            found.append(Grade(f"jobs.{name}.{inner}", f"jobs.*.{inner}", at.line, *grade))
            found += _inside(each, f"jobs.{name}.{inner}", "jobs.*.", inner, grade, _JOB)
            if len(found) > KEYS_MAX:
                return tuple(found[:KEYS_MAX])
    return tuple(found)


def _inside(
    node: Node, path: str, before: str, key: str, grade: tuple[str, str], table: dict[str, tuple[str, str]]
) -> Iterator[Grade]:
    """Those of what a key holds. `key` is its way in the table, `before` what stands before it in a grade."""
    if node.kind == LIST:
        for at, each in enumerate(node):
            yield from _inside(each, f"{path}[{at}]", before, key, grade, table)
        return
    for name, at_node, value in node.items():
        word = "*" if key in _NAMED else name
        inner = f"{key}.{word}"
        own = table.get(inner) or table.get(f"{key}.{name}") or table.get(f"{key}.*", grade)
        yield Grade(f"{path}.{name}", before + inner, at_node.line, *own)
        yield from _inside(value, f"{path}.{name}", before, inner, own, table)


def table() -> str:
    """Of the keys that are not exact, in Markdown, for the documentation."""
    rows: dict[tuple[str, str], list[str]] = {}
    for grades_of in (_JOB, _TOP):
        for key, (grade, why) in sorted(grades_of.items()):
            if grade != EXACT:
                rows.setdefault((grade, why), []).append(f"`{key.replace('.', ':')}`")
    lines = ["| keys | meaning here | why |", "|---|---|---|"]
    for grade in (APPROXIMATED, IGNORED, SERVER):
        lines += [f"| {', '.join(keys)} | {grade} | {why} |" for (word, why), keys in rows.items() if word == grade]
    return "\n".join(lines)
