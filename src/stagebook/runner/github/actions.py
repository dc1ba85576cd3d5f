"""A step with `uses`: an equivalent for the actions that most files use, the steps of an action that lies in the
workspace, and a clear end for all others. What equivalents do is in the modules beside this one.
"""

from __future__ import annotations

import os

from stagebook.formats.github.ended import typed
from stagebook.formats.github.equivalents import checkout_of, name_of
from stagebook.formats.github.expression import to_text
from stagebook.formats.github.manifest import Manifest, manifest
from stagebook.model.problem import InputError
from stagebook.runner.github import kept, sources, tools
from stagebook.runner.github.step import Running, place_of
from stagebook.runner.github.work import CANCELLED, FAILURE, SKIPPED, SUCCESS, Scope, Wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Mapping

NESTED_MAX = 10
_OWN = ("./", "../", "$/")
#: By what `uses` says before the `@`, in lower case.
EQUIVALENTS: Mapping[str, Callable[[Running, dict[str, str]], str]] = {
    "actions/checkout": sources.checkout,
    "actions/cache": kept.cache,
    "actions/cache/restore": kept.restore,
    "actions/cache/save": kept.save,
    "actions/upload-artifact": kept.upload,
    "actions/download-artifact": kept.download,
    **{f"actions/{name}": tools.setup for name in tools.SETUPS if "/" not in name},
    **{name: tools.setup for name in tools.SETUPS if "/" in name},
}


def use(running: Running) -> str:
    """Do what a step uses: how it ended. Raises Wrong, SurroundingsError, OSError."""
    uses = running.text("uses")
    if uses.startswith(_OWN):
        return _own(running, uses)
    known = EQUIVALENTS.get(name_of(uses))
    if known is not None:
        given = running.scope.filled(running.step.get("with") or {}, running.found, "with")
        try:
            return known(running, {str(name).lower(): to_text(value) for name, value in given.items()})
        except OSError as error:
            raise Wrong(f"{uses}: {error.strerror or error}") from None
    checkout = checkout_of(uses, running.work.here.local.get("request", {}).get("includes", {}))
    if checkout is not None:
        return _local(running, uses, checkout)
    return _foreign(running, uses, "a container" if uses.startswith("docker://") else "an action of another repository")


def _foreign(running: Running, uses: str, what: str) -> str:
    """What has no equivalent: as the user chose."""
    if running.work.here.local.get("uses") == "skip":
        running.say(f"warning: {uses} is skipped: {what}, for which nothing here stands")
        running.work.left_out.append(f"{uses} ({place_of(running.scope, running.step)}) is left out: {what}")
        return SKIPPED
    raise Wrong(f"{uses} is {what}, for which nothing here stands; `--uses skip` leaves out such steps")


def _own(running: Running, uses: str) -> str:
    return _local(running, uses, os.path.normpath(os.path.join(running.work.workspace, uses.removeprefix("$/"))))


def _local(running: Running, uses: str, folder: str) -> str:
    scope = running.scope
    try:
        found = manifest(folder)
    except InputError as error:
        raise Wrong(f"{uses}: {error}") from None
    if found is None and not uses.startswith(_OWN):
        raise Wrong(f"{uses}: there is no action.yml in {folder}")
    if found is None:
        raise Wrong(f"{uses}: there is no action.yml in the workspace; is a checkout missing before it?")
    if found.using != "composite":
        return _foreign(running, uses, f"an action that runs by {found.using or 'nothing'}")
    if folder in scope.trail or len(scope.trail) >= NESTED_MAX:
        raise Wrong(f"{uses}: actions that use each other go {NESTED_MAX} deep at most, and not in a circle")
    return _composite(running, found, folder)


def _composite(running: Running, found: Manifest, folder: str) -> str:
    """The steps of an action, in a scope of their own."""
    from stagebook.runner.github.sequence import Sequence

    outer = running.scope
    inner = Scope(outer.work, _inputs(running, found), _own_env(running))
    inner.action_path, inner.trail, inner.stop, inner.prefix = folder, (*outer.trail, folder), outer.stop, outer.prefix
    below = os.path.relpath(found.file, outer.work.workspace)
    inner.file = found.file if below.startswith("..") else below
    Sequence(inner).play(found.steps)
    contexts = inner.contexts()
    for name, entry in found.outputs.items():
        running.effects.outputs[name] = inner.text(entry.get("value"), contexts, f"outputs.{name}")
    running.code = inner.code
    if running.scope.stop.is_asked:
        return CANCELLED
    return SUCCESS if inner.status == SUCCESS else FAILURE


def _own_env(running: Running) -> dict[str, str]:
    """The variables of the step and of the steps around it, without those of the job."""
    own = running.scope.texts(running.step.get("env"), running.found, "env")
    return {**running.scope.env, **own}


def _inputs(running: Running, found: Manifest) -> dict[str, str]:
    given = running.scope.filled(running.step.get("with") or {}, running.found, "with")
    folded = {str(name).lower(): to_text(value) for name, value in given.items()}
    known = {name.lower() for name in found.inputs}
    for name in folded:
        if name not in known:
            running.say(f"warning: {found.name} has no input `{name}`")
    made: dict[str, str] = {}
    for name, entry in found.inputs.items():
        value = folded.get(name.lower())
        if value is None:
            value = running.scope.text(entry.get("default"), {**running.found, "inputs": made}, f"inputs.{name}")
        made[name] = to_text(typed(value, "string"))
    return made
