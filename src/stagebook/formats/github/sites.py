"""Where in a workflow which contexts and functions may stand, as GitHub documents it. No parsing, no values."""

from __future__ import annotations

from stagebook.model.value import NamedTuple

STATUS = ("always", "cancelled", "failure", "success")
CONTEXTS = frozenset(
    ("github", "env", "vars", "job", "jobs", "steps", "runner", "secrets", "strategy", "matrix", "needs", "inputs")
)
FUNCTIONS = frozenset(
    ("contains", "startswith", "endswith", "format", "join", "tojson", "fromjson", "hashfiles", "case", *STATUS)
)


class Site(NamedTuple):
    """What may stand in an expression there. `functions` are those beside the ones that may stand everywhere."""

    contexts: frozenset[str]
    functions: frozenset[str] = frozenset()


def _site(contexts: str, *functions: str) -> Site:
    return Site(frozenset(contexts.split()), frozenset(functions))


_JOB = "github needs strategy matrix vars inputs"
_STEP = f"{_JOB} job runner env secrets steps"

#: By the name that `schema` gives to a place. `none`: an expression is no expression there.
SITES = {
    "none": _site(""),
    "run-name": _site("github inputs vars"),
    "env": _site("github secrets inputs vars"),
    "concurrency": _site("github inputs vars"),
    "call-default": _site("github inputs vars"),
    "call-output": _site("github jobs vars inputs"),
    "job-if": _site("github needs vars inputs", *STATUS),
    "strategy": _site("github needs vars inputs"),
    "job": _site(_JOB),
    "job-env": _site(f"{_JOB} secrets"),
    "environment-url": _site(f"{_JOB} job runner env steps"),
    "defaults": _site(f"{_JOB} env"),
    "outputs": _site(_STEP),
    "credentials": _site(f"{_JOB} env secrets"),
    "container-env": _site(f"{_JOB} job runner env secrets steps"),
    "with": _site(_JOB),
    "call-secrets": _site(f"{_JOB} secrets"),
    "step": _site(_STEP, "hashfiles"),
    "step-if": _site(f"{_JOB} job runner env steps", "hashfiles", *STATUS),
}
