"""What a workflow file looks like: which keys stand where, of which kind, where expressions may stand. A table; the
walk along it is in `shape`, the places of expressions in `sites`."""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, TypeAlias


class Text(NamedTuple):
    """A scalar. `type`: text, bool, number, integer or labels (text that may become a list). `site` None: no
    expression may stand there. `condition`: the text is an expression even without `${{ }}`. `allowed`: the only
    texts."""

    type: str = "text"
    site: str | None = None
    may_be_empty: bool = False
    condition: bool = False
    allowed: tuple[str, ...] = ()
    is_hollow: bool = False  #: it may be empty text, which is hardly meant


class List(NamedTuple):
    """`single`: one item may stand without the list around it."""

    item: Shape
    single: bool = False
    site: str | None = None  #: where the whole list may be one expression
    may_be_empty: bool = False


class Map(NamedTuple):
    """A mapping with known keys. `name` is what it is called in messages. `open`: others mean
    nothing; `lenient`: they mean nothing, and are hardly meant so."""

    name: str
    keys: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    site: str | None = None
    open: bool = False
    may_be_empty: bool = False
    lenient: bool = False


class Names(NamedTuple):
    """A mapping whose keys the user chooses; `known` of them have a shape of their own."""

    name: str
    value: Shape
    known: Mapping[str, Shape] = {}
    site: str | None = None
    may_be_empty: bool = False


class Any(NamedTuple):
    """Whatever stands there; expressions may, if there is a site."""

    site: str | None = None


class Later(NamedTuple):
    """What is walked along on its own, since its shape depends on what it has."""


class Either(NamedTuple):
    """By the kind of the node. `null`: nothing may stand there."""

    name: str
    text: Text | None = None
    list: List | None = None
    map: Map | Names | None = None
    null: bool = False


Shape: TypeAlias = "Text | List | Map | Names | Any | Later | Either"


def _env(site: str) -> Names:
    return Names("env", Text(site=site, may_be_empty=True), site=site, may_be_empty=True)


def _text(site: str | None = None, may_be_empty: bool = False) -> Text:
    return Text(site=site, may_be_empty=may_be_empty)


_FILTER = List(_text(), single=True)
_TYPES = List(_text(), single=True)

# Triggers -------------------------------------------------------------------------------------------------------------

EVENT = Map(
    "event",
    {
        "types": _TYPES,
        "branches": _FILTER,
        "branches-ignore": _FILTER,
        "tags": _FILTER,
        "tags-ignore": _FILTER,
        "paths": _FILTER,
        "paths-ignore": _FILTER,
        "workflows": _FILTER,
    },
    may_be_empty=True,
    lenient=True,
)
_DISPATCH_INPUT = Map(
    "inputs",
    {
        "description": _text(may_be_empty=True),
        "required": Text("bool"),
        "default": Any(),
        "type": _text(),
        "options": List(_text()),
        "deprecationMessage": _text(),
    },
    may_be_empty=True,
    lenient=True,
)
_CALL_INPUT = Map(
    "inputs at workflow_call event",
    {
        "description": _text(may_be_empty=True),
        "required": Text("bool"),
        "default": Any("call-default"),
        "type": Text(allowed=("boolean", "number", "string")),
    },
    required=("type",),
)
_CALL_SECRET = Map(
    "secrets", {"description": _text(may_be_empty=True), "required": Text("bool")}, may_be_empty=True
)  # fmt: skip
_CALL_OUTPUT = Map(
    "outputs at workflow_call event",
    {"description": _text(may_be_empty=True), "value": Text(site="call-output")},
    required=("value",),
)
_SCHEDULE = List(Map("schedule", {"cron": _text(), "timezone": _text()}, required=("cron",)))
_CALL = Map(
    "workflow_call",
    {
        "inputs": Names("inputs", _CALL_INPUT, may_be_empty=True),
        "secrets": Names("secrets", _CALL_SECRET, may_be_empty=True),
        "outputs": Names("outputs", _CALL_OUTPUT, may_be_empty=True),
    },
    may_be_empty=True,
)
_IMAGE_VERSION = Map("image_version", {"names": _FILTER, "versions": _FILTER, "types": _TYPES}, may_be_empty=True, lenient=True)  # fmt: skip  # noqa: E501
_ON = Either(
    "on",
    text=_text(),
    list=List(_text()),
    map=Names(
        "on",
        EVENT,
        known={
            "schedule": _SCHEDULE,
            "workflow_call": _CALL,
            "workflow_dispatch": Map(
                "workflow_dispatch",
                {"inputs": Names("inputs", _DISPATCH_INPUT, may_be_empty=True)},
                open=True,
                may_be_empty=True,
            ),
            "repository_dispatch": Map("repository_dispatch", {"types": _TYPES}, may_be_empty=True, lenient=True),
            "image_version": _IMAGE_VERSION,
        },
    ),
)

# Common parts ---------------------------------------------------------------------------------------------------------

PERMISSIONS = Either("permissions", text=_text(), map=Names("permissions", _text(), may_be_empty=True))


def _concurrency(site: str) -> Either:
    keys = {
        "group": _text(site),
        "cancel-in-progress": Text("bool", site),
        "queue": Text(site=site, allowed=("single", "max")),
    }
    return Either("concurrency", text=_text(site), map=Map("concurrency", keys, required=("group",)))


def _defaults(site: str | None) -> Map:
    run = Map("run", {"shell": _text(site), "working-directory": _text(site)})
    return Map("defaults", {"run": run})


def _container(of_service: bool) -> Map:
    keys: dict[str, Shape] = {
        "image": Text(site="job", is_hollow=of_service),
        "credentials": Map(
            "credentials",
            {"username": _text("credentials"), "password": _text("credentials")},
            required=("username", "password"),
            site="credentials",
        ),
        "env": _env("container-env"),
        "ports": List(_text("job"), site="job"),
        "volumes": List(_text("job"), site="job"),
        "options": _text("job", may_be_empty=True),
    }
    if of_service:
        keys |= {"entrypoint": _text("job"), "command": _text("job")}
    return Map("services" if of_service else "container", keys, required=("image",), site="job")


# Steps ----------------------------------------------------------------------------------------------------------------

_STEP_COMMON: dict[str, Shape] = {
    "id": _text(),
    "name": _text("step", may_be_empty=True),
    "continue-on-error": Text("bool", "step"),
}
_STEP_DOES: dict[str, Shape] = {
    **_STEP_COMMON,
    "if": Text(site="step-if", condition=True),
    "env": _env("step"),
    "timeout-minutes": Text("number", "step"),
    "background": Text("bool"),
}
STEP_RUN = Map(
    "step to run shell command",
    {
        **_STEP_DOES,
        "run": Text(site="step", is_hollow=True),
        "shell": _text("none"),
        "working-directory": _text("step"),
    },
)
STEP_USES = Map(
    "step to execute action",
    {
        **_STEP_DOES,
        "uses": _text(),
        "with": Names("with", Text(site="step", may_be_empty=True), site="step", may_be_empty=False),
    },
)
STEP_WAIT = Map("step that waits", {**_STEP_COMMON, "wait": List(_text(), single=True)})
STEP_WAIT_ALL = Map("step that waits for all", {**_STEP_COMMON, "wait-all": Any()})
STEP_CANCEL = Map("step that cancels", {**_STEP_COMMON, "cancel": _text()})
#: The key that tells of which kind a step is, in the order in which they are looked for.
STEPS = {
    "parallel": Map("parallel steps", {"name": _text("step"), "parallel": Later()}),
    "wait": STEP_WAIT,
    "wait-all": STEP_WAIT_ALL,
    "cancel": STEP_CANCEL,
    "uses": STEP_USES,
    "run": STEP_RUN,
}

# Jobs -----------------------------------------------------------------------------------------------------------------

_MATRIX_FILTER = List(Names("matrix combination", Any("strategy"), site="strategy"), site="strategy")
_MATRIX = Names(
    "matrix",
    List(Any("strategy"), site="strategy"),
    known={"include": _MATRIX_FILTER, "exclude": _MATRIX_FILTER},
    site="strategy",
)
_STRATEGY = Map(
    "strategy",
    {"matrix": _MATRIX, "fail-fast": Text("bool", "strategy"), "max-parallel": Text("integer", "strategy")},
    site="strategy",
)
_NEEDS = List(_text(), single=True)
_RUNS_ON = Either(
    "runs-on",
    text=Text("labels", "job"),
    list=List(_text("job")),
    map=Map("runs-on", {"group": _text("job"), "labels": List(Text("labels", "job"), single=True)}),
)
_JOB_COMMON: dict[str, Shape] = {
    "name": _text("job", may_be_empty=True),
    "needs": _NEEDS,
    "if": Text(site="job-if", condition=True),
    "permissions": PERMISSIONS,
    "strategy": _STRATEGY,
    "concurrency": _concurrency("job"),
}
JOB = Map(
    "job",
    {
        **_JOB_COMMON,
        "runs-on": _RUNS_ON,
        "environment": Either(
            "environment",
            text=_text("job", may_be_empty=True),
            map=Map(
                "environment",
                {"name": _text("job"), "url": _text("environment-url"), "deployment": Text("bool", "job")},
                required=("name",),
            ),
            null=True,
        ),
        "outputs": Names("outputs", Text(site="outputs", may_be_empty=True), site=None, may_be_empty=True),
        "env": _env("job-env"),
        "defaults": _defaults("defaults"),
        "steps": List(Later(), may_be_empty=True),
        "timeout-minutes": Text("number", "job"),
        "cancel-timeout-minutes": Text("number", "job"),
        "continue-on-error": Text("bool", "job"),
        "container": Either("container", text=_text("job"), map=_container(False), null=True),
        "services": Names(
            "services",
            Either("services", text=_text("job"), map=_container(True)),
            site="job",
        ),
        "snapshot": Either(
            "snapshot",
            text=_text("none"),
            map=Map(
                "snapshot",
                {"image-name": _text(), "version": _text(), "if": Text(site="job", condition=True)},
                required=("image-name",),
            ),
        ),
    },
)
CALL = Map(
    "job that calls a workflow",
    {
        **_JOB_COMMON,
        "uses": _text("none"),
        "with": Names("with", Text(site="with", may_be_empty=True), site=None, may_be_empty=True),
        "secrets": Either(
            "secrets",
            text=Text(allowed=("inherit",)),
            map=Names("secrets", Text(site="call-secrets", may_be_empty=True), may_be_empty=True),
        ),
    },
)

WORKFLOW = Map(
    "workflow",
    {
        "name": _text(may_be_empty=True),
        "description": _text(may_be_empty=True),
        "run-name": _text("run-name"),
        "on": _ON,
        "permissions": PERMISSIONS,
        "env": _env("env"),
        "defaults": _defaults("none"),
        "concurrency": _concurrency("concurrency"),
        "jobs": Names("jobs", Later()),
    },
    required=("on", "jobs"),
)
