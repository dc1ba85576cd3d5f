"""One job of GitLab CI from its sources to its artifacts, in the order of GitLab's own runner: sources, caches,
artifacts of earlier jobs, script, after_script, caches, artifacts.
"""

from __future__ import annotations

import os
import shlex
import shutil

from stagebook.model.problem import SurroundingsError
from stagebook.runner import images, log, shell, workspace
from stagebook.runner.gitlab import data, predefined, variables
from stagebook.runner.here import Here
from stagebook.runner.service import Service, Services

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

AFTER_S = 300.0  #: how long an after_script may take


def play(here: Here) -> int:
    """The exit status of the job: that of its script."""
    stop = shell.Stop()
    if here.spec.get("trigger"):
        log.say("a trigger: its pipeline's jobs are stages of their own")
        return 0
    workspace.make(here)
    is_well = False
    try:
        job = _Job(here, stop)
        code = job.play()
        is_well = code == 0
        return code
    except SurroundingsError as error:
        return log.unable(here.output, error)
    finally:
        kept = workspace.finish(here, is_well)
        if kept is not None:
            log.say(kept)


class _Job:
    def __init__(self, here: Here, stop: shell.Stop) -> None:
        self._here = here
        self._stop = stop
        self._spec: Mapping[str, Any] = here.spec
        self._values = self._variables()
        self._env = {**here.env, **self._values, **here.secrets}
        self._prefix: tuple[str, ...] = ()
        self._temp = os.path.join(here.place, "_temp")

    def play(self) -> int:
        self._tell_image()
        self._tell_server()
        self._sources()
        store = data.Store(self._here, self._values, self._env)
        store.pull()
        services = Services(
            os.path.join(self._here.place, "_services"), self._here.local.get("images", {}), self._env, self._stop
        )
        try:
            for service in self._spec.get("services") or ():
                services.start(self._service(service))
            ended = self._main()
            self._after(ended)
        finally:
            services.close()
        is_well = store.push(ended.is_well) and ended.is_well
        return self._code(ended, is_well)

    def _variables(self) -> dict[str, str]:
        """All of them, expanded. They are what GitLab would have them, but for the places."""
        here, spec = self._here, self._spec
        context = here.pipeline.context
        base = predefined.variables(here)
        known = dict(context.get("predefined", {}))
        if known:
            base.pop("CI_COMMIT_BRANCH", None)
        reported = data.reported(here)
        own = {name: here.env[name] for name in here.pipeline.env}
        project = {**context.get("project", {}), **own}
        raw = [*spec.get("raw", ()), *own, *reported, *here.secrets]
        around: dict[str, str] = {name: here.env[name] for name in ["HOME", "PATH"] if name in here.env}

        def found(deployed: Mapping[str, str]) -> dict[str, str]:
            merged = variables.merged(
                base, known, spec.get("predefined", {}), deployed, predefined.places(here), spec.get("variables", {}),
                reported, project,
            )  # fmt: skip
            values = variables.expanded({**around, **merged, **here.secrets}, raw)
            return {name: values[name] for name in merged}

        environment = spec.get("environment")
        if not environment:
            return found({})
        values = found({})
        name, url = (variables.filled(environment.get(key) or "", values) for key in ("name", "url"))
        return found(predefined.environment(name, url, environment.get("action", ""), environment.get("tier", "")))

    def _tell_image(self) -> None:
        image = self._spec.get("image")
        name = variables.filled(image["name"], self._values) if image else ""
        if not name:
            return
        known = images.command(self._here.local.get("images", {}), name)
        if known is None:
            log.say(f"note: image {name} is not used: this machine is (map it to a command under [images])")
        else:
            self._prefix = known.argv
            self._env.update(known.env)

    def _tell_server(self) -> None:
        """What GitLab would do around the script."""
        if self._spec.get("start_in_ms"):
            log.say(f"note: there it starts after {self._spec['start_in_ms'] / 1000:g} s, here at once")
        release = self._spec.get("release")
        if release:
            log.say(f"note: release {variables.filled(release['tag_name'], self._values)} is made by GitLab, not here")

    def _sources(self) -> None:
        strategy = variables.filled(self._spec.get("git_strategy") or "", self._values)
        hooks = self._spec.get("pre_get_sources") or []
        if hooks:
            self._shell("pre_get_sources", hooks, shell.Ended(0))
        if strategy in ("none", "empty"):
            return
        notes = workspace.checkout(self._here)
        if self._values.get("GIT_SUBMODULE_STRATEGY") in ("normal", "recursive"):
            notes += workspace.submodules(self._here)
        for note in notes:
            log.say(f"note: {note}")

    def _service(self, spec: Mapping[str, Any]) -> Service:
        image = variables.filled(spec["name"], self._values)
        own = {name: variables.filled(value, self._values) for name, value in spec.get("variables", {}).items()}
        alias = (spec.get("alias") or [image.rpartition(":")[0].rpartition("/")[2] or image])[0]
        passed = {name: value for name, value in self._values.items() if name.startswith(("POSTGRES_", "MYSQL_"))}
        return Service(
            alias, image, {**passed, **own}, (), tuple(spec.get("command") or ()), tuple(spec.get("entrypoint") or ())
        )

    def _main(self) -> shell.Ended:
        commands = [*(self._spec.get("before_script") or ()), *(self._spec.get("script") or ())]
        return self._shell("script", commands, None)

    def _after(self, ended: shell.Ended) -> None:
        commands = self._spec.get("after_script") or []
        if not commands:
            return
        status = "canceled" if ended.is_stopped else "success" if ended.is_well else "failed"
        log.say("Running after_script")
        self._env["CI_JOB_STATUS"] = status
        over = self._shell("after_script", commands, ended, AFTER_S)
        if not over.is_well:
            why = f"takes more than {AFTER_S:.0f} s" if over.is_timeout else f"ended with exit {over.code}"
            log.say(f"WARNING: after_script {why}; the job goes by its script alone")

    def _shell(
        self, name: str, commands: Sequence[str], before: shell.Ended | None, timeout_s: float | None = None
    ) -> shell.Ended:  # fmt: skip
        """Commands in one shell, each told before it is done. `before`: how what ran before ended."""
        program = shutil.which("bash", path=self._env.get("PATH")) or "/bin/sh"
        is_bash = program.endswith("bash")
        path = shell.script_file(self._temp, name, script(commands, is_bash))
        cwd = self._here.workspace
        return shell.run((*self._prefix, program, path), self._env, cwd, self._stop, timeout_s=timeout_s)

    def _code(self, ended: shell.Ended, is_well: bool) -> int:
        allowed = self._spec.get("allow_exit_codes") or ()
        if ended.code in allowed and ended.code:
            log.warn(self._here.output, f"exit {ended.code}, with which it may end (allow_failure: exit_codes)")
            return 0
        if ended.code:
            log.say(f"ERROR: Job failed: exit code {ended.code}")
            return ended.code
        return 0 if is_well else 1


def script(commands: Sequence[str], is_bash: bool = True) -> str:
    """A program for a shell: commands one after the other, the first that fails ends it, each told as `$ COMMAND`."""
    lines = ["set -eo pipefail", "set +o noclobber"] if is_bash else ["set -e"]
    for command in commands:
        told, _, more = command.strip("\n").partition("\n")
        said = f"$ {told} # collapsed multi-line command" if more else f"$ {told}"
        lines += [f"printf '%s\\n' {shlex.quote(said)}", command]
    return "\n".join([*lines, ""])
