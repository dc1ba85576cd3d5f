"""One job, from its first step to its last: services, steps, what is left to do after them, outputs for other jobs."""

from __future__ import annotations

import json
import os

from stagebook.formats.github.cells import opened
from stagebook.formats.github.expression import to_text
from stagebook.model.problem import SurroundingsError
from stagebook.record import state
from stagebook.runner import images, log, shell, workspace
from stagebook.runner.github.sequence import Sequence
from stagebook.runner.github.work import SUCCESS, Scope, Work, Wrong
from stagebook.runner.here import Here
from stagebook.runner.service import Service, Services

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

STOPPED = 143


def play(here: Here) -> int:
    """The exit status of the job: that of the first step that failed."""
    stop = shell.Stop()
    said = here.spec.get("open_strategy")
    if said is None:
        return _cell(here, stop, None)
    try:
        found = opened(said, Work(here, stop).base)
    except ValueError as error:
        log.say(f"ERROR: {error}")
        return 1
    first = 0
    for place, cell in enumerate(found.cells or ()):
        log.say(f"== Cell {place + 1} of {len(found.cells or ())}: {cell.title}")
        strategy = {"fail-fast": found.fail_fast, "job-index": place, "job-total": len(found.cells or ())}
        code = _cell(here, stop, {"matrix": cell.values, "strategy": strategy})
        first = first or code
        if stop.is_asked or (code and found.fail_fast):
            break
    return first


def _cell(here: Here, stop: shell.Stop, contexts: Mapping[str, Any] | None) -> int:
    """The job, in a workspace of its own. `contexts`: those of this cell, where they were not known when its file was
    read."""
    workspace.make(here)
    code = 1
    try:
        code = _Job(here, stop, contexts or {}).play()
    except Wrong as error:
        log.say(f"ERROR: {error}")
    except SurroundingsError as error:
        code = log.unable(here.output, error)
    finally:
        kept = workspace.finish(here, code == 0)
        if kept is not None:
            log.say(kept)
    return code


class _Job:
    def __init__(self, here: Here, stop: shell.Stop, contexts: Mapping[str, Any]) -> None:
        self._here = here
        self._spec = here.spec
        self._stop = stop
        self._work = Work(here, stop)
        self._work.base.update(contexts)
        self._scope = Scope(self._work)

    def play(self) -> int:
        """Raises Wrong, SurroundingsError."""
        work, scope = self._work, self._scope
        for folder in (work.temp, work.base["runner"]["tool_cache"]):
            os.makedirs(folder, 0o700, exist_ok=True)
        with open(os.path.join(work.temp, "event.json"), "w", encoding="utf-8") as file:
            json.dump(work.base["github"].get("event") or {}, file)
        self._variables()
        self._image()
        services = Services(
            os.path.join(self._here.place, "_services"), self._here.local.get("images", {}),
            work.process_env(work.env, work.base), self._stop,
        )  # fmt: skip
        sequence = Sequence(scope)
        try:
            self._serve(services)
            sequence.play(list(self._spec.get("steps") or ()))
            self._after()
        finally:
            services.close()
            self._tell(sequence)
        self._summary()
        if self._stop.is_asked:
            return STOPPED
        self._outputs()
        if scope.status != SUCCESS and scope.is_buried and scope.blame:
            log.say(f"the job failed by {scope.blame}: exit {scope.code or 1}")
        return 0 if scope.status == SUCCESS else scope.code or 1

    def _tell(self, sequence: Sequence) -> None:
        """How long each step took, and what was left out, for the record."""
        folder = os.path.join(self._here.directory, "steps")
        os.makedirs(folder, 0o700, exist_ok=True)
        with open(os.path.join(folder, f"{self._here.index}.{self._here.attempt}"), "a", encoding="utf-8") as file:
            for text in dict.fromkeys(self._work.left_out):
                file.write(json.dumps([text]) + "\n")
            for each in sequence.times:
                file.write(json.dumps(each) + "\n")

    def _variables(self) -> None:
        """`env` of the workflow, then of the job; and what `defaults` says."""
        scope, work = self._scope, self._work
        work.env = scope.texts(self._spec.get("workflow_env"), scope.contexts(), "env")
        work.env = {**work.env, **scope.texts(self._spec.get("env"), scope.contexts(), "env")}
        scope.defaults = self._spec.get("defaults") or {}

    def _image(self) -> None:
        scope, work = self._scope, self._work
        said = scope.filled(self._spec.get("container"), scope.contexts(), "container")
        container: Mapping[str, Any] = said if isinstance(said, dict) else {"image": said}
        image = to_text(container.get("image"))
        if not image:
            return
        work.env = {**work.env, **{name: to_text(value) for name, value in (container.get("env") or {}).items()}}
        known = images.command(self._here.local.get("images", {}), image)
        if known is None:
            log.say(f"note: image {image} is not used: this machine is (map it to a command under [images])")
            return
        work.prefix, work.image_env = known.argv, dict(known.env)

    def _serve(self, services: Services) -> None:
        scope = self._scope
        said = scope.filled(self._spec.get("services") or {}, scope.contexts(), "services")
        for name, entry in said.items():
            entry = entry if isinstance(entry, dict) else {"image": entry}
            image = to_text(entry.get("image"))
            if not image:
                continue
            ports = tuple(to_text(port) for port in entry.get("ports") or ())
            env = {key: to_text(value) for key, value in (entry.get("env") or {}).items()}
            argv, entrypoint = (_words(entry.get(key)) for key in ("command", "entrypoint"))
            services.start(Service(name, image, env, ports, argv, entrypoint))
            self._work.services[name] = {"id": name, "network": "", "ports": dict(map(_port, ports))}

    def _after(self) -> None:
        """What steps have left to do, the last first, where all went well."""
        if self._scope.status != SUCCESS or self._stop.is_asked:
            return
        for post in reversed(self._work.posts):
            try:
                log.say(f"== Post: {post.title}")
                post.do()
            except (Wrong, OSError) as error:
                log.say(f"warning: {post.title}: {error}")

    def _summary(self) -> None:
        """What steps wrote into GITHUB_STEP_SUMMARY, kept with the run."""
        text = self._work.masks.text(self._work.summary)
        if not text:
            return
        folder = os.path.join(self._here.directory, "summaries")
        os.makedirs(folder, 0o700, exist_ok=True)
        path = os.path.join(folder, f"{state.log_stem(self._here.stage.id)}.{self._here.attempt}.md")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        log.say(f"summary: {os.path.relpath(path, self._here.state)}, in the state directory")

    def _outputs(self) -> None:
        """For other jobs. One that holds a secret is left out, as GitHub does."""
        scope = self._scope
        found = scope.contexts()
        lines = []
        for name, said in (self._spec.get("outputs") or {}).items():
            try:
                value = scope.text(said, found, f"outputs.{name}")
            except Wrong as error:
                log.say(f"ERROR: {error}")
                scope.failed(1)
                continue
            if self._work.masks.hides(value):
                log.say(f"warning: output {name} is left out, for it holds a secret")
            elif "\n" in value:
                word = "END"
                while word in value:
                    word += "_"
                lines.append(f"{name}<<{word}\n{value}\n{word}\n")
            else:
                lines.append(f"{name}={value}\n")
        if lines:
            with open(self._here.output, "a", encoding="utf-8", errors="surrogateescape") as file:
                file.writelines(lines)


def _words(value: Any) -> tuple[str, ...]:
    import shlex

    if isinstance(value, list):
        return tuple(to_text(each) for each in value)
    return tuple(shlex.split(to_text(value)))


def _port(text: str) -> tuple[str, str]:
    """The port inside, and the one by which it is reached."""
    parts = text.split("/")[0].split(":")
    return parts[-1], parts[-2] if len(parts) > 1 else parts[0]
