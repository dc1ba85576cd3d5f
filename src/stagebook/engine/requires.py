"""The tools that stages require: asked for their versions before a run starts, `TOOL --version`. Starts no stage."""

from __future__ import annotations

import os
import select
import signal
from time import monotonic, sleep

from stagebook.model import versions
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.problem import Problem, SurroundingsError
from stagebook.scheduler.plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Container, Mapping

TIMEOUT_S = 10.0
SAID_MAX = 64 * 1024

#: Tools that say their version to another word.
WORDS = {"go": "version", "java": "-version", "javac": "-version", "openssl": "version", "ssh": "-V", "lua": "-v"}


def check(pipeline: Pipeline, plan: Plan | None = None, over: Container[int] = ()) -> dict[str, str]:
    """The versions found of all tools that are required by stages which may run, that is neither deselected by the
    plan nor `over`. Raises SurroundingsError, with a problem for each that is missing or will not do."""
    asked: dict[tuple[str, str], tuple[str, str] | None] = {}
    secrets = {secret.name for secret in pipeline.secrets}
    environ = {name: value for name, value in os.environ.items() if name not in secrets}
    found: dict[str, str] = {}
    problems = []
    for index, stage in enumerate(pipeline.stages):
        if not stage.requires or index in over or (plan is not None and plan.stages[index].skip is not None):
            continue
        path = _path(pipeline, stage)
        for tool, wanted in stage.requires.items():
            if (tool, path) not in asked:
                asked[tool, path] = _version(tool, {**environ, "PATH": path}, pipeline.folder)
            why = _refusal(tool, wanted, asked[tool, path])
            if why is not None:
                said = f"stage `{stage.id}` requires {tool}{'' if wanted == '*' else f' {wanted}'}, {why}"
                problems.append(Problem(pipeline.file, stage.line, stage.col, "requires", "error", said))
            answer = asked[tool, path]
            if answer is not None:
                found[tool] = answer[1]
    if problems:
        count = len(problems)
        raise SurroundingsError(
            f"{'a tool is' if count == 1 else f'{count} tools are'} missing or will not do, nothing was started",
            problems,
        )
    return found


def _refusal(tool: str, wanted: str, answer: tuple[str, str] | None) -> str | None:
    if answer is None:
        return f"and there is no program `{tool}`; install it, or set PATH"
    program, version = answer
    if wanted == "*" or (version and versions.holds(wanted, version)):
        return None
    if not version:
        return f"and {program} does not say its version"
    return f"found {version} ({program})"


def _path(pipeline: Pipeline, stage: Stage) -> str:
    for env in (stage.env, pipeline.env, os.environ):
        if "PATH" in env:
            return env["PATH"]
    return os.defpath


def _version(tool: str, environ: Mapping[str, str], folder: str) -> tuple[str, str] | None:
    """The program and its version, empty where it says none; None where there is no such program."""
    program = _find(tool, environ["PATH"], folder)
    if program is None:
        return None
    said = _ask(program, WORDS.get(tool, "--version"), environ)
    return program, versions.first_in(said.replace(program, "")) or ""


def _find(tool: str, path: str, folder: str) -> str | None:
    folders = [folder] if "/" in tool else path.split(os.pathsep)
    for each in folders:
        program = os.path.join(folder, each, tool)
        if os.access(program, os.X_OK) and not os.path.isdir(program):
            return program
    return None


def _ask(program: str, word: str, environ: Mapping[str, str]) -> str:
    """What it says on both its outputs; empty where it cannot be started or takes too long."""
    pipe, mouth = os.pipe2(os.O_CLOEXEC)
    actions = (
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, mouth, 1),
        (os.POSIX_SPAWN_DUP2, mouth, 2),
    )
    try:
        pid = os.posix_spawn(
            program, (program, word), environ, file_actions=actions, setpgroup=0, setsigdef=[signal.SIGPIPE]
        )  # fmt: skip
    except OSError:
        os.close(pipe)
        return ""
    finally:
        os.close(mouth)
    deadline = monotonic() + TIMEOUT_S
    said = b""
    try:
        while len(said) < SAID_MAX and select.select([pipe], [], [], max(0.0, deadline - monotonic()))[0]:
            more = os.read(pipe, 4096)
            if not more:
                break
            said += more
        while monotonic() < deadline and not os.waitpid(pid, os.WNOHANG)[0]:
            sleep(0.001)
    except ChildProcessError:
        pass
    finally:
        os.close(pipe)
        _end(pid)
    return said.decode("utf-8", "replace")


def _end(pid: int) -> None:
    """Whatever of it still lives."""
    try:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
