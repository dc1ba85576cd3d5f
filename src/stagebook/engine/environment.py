"""The environment a stage gets, as bytes, and where its program is found. Values reach a command only here or as argv.

What is the same for all stages is made once; a stage adds its own few variables to a copy.
"""

from __future__ import annotations

import os
import re

from stagebook.engine import kernel
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.record import state, trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

_NOT_NAME = re.compile(r"[^A-Z0-9_]")


def variable(prefix: str, name: str) -> str:
    """`MATRIX_` and `python-version` make `MATRIX_PYTHON_VERSION`."""
    return prefix + _NOT_NAME.sub("_", name.upper())


def inherited() -> dict[bytes, bytes]:
    """What we were given. In the C locale Python adds an `LC_CTYPE` of its own, which is no stage's business."""
    environment = dict(os.environb)
    if b"LC_CTYPE" in environment:
        given = kernel.environment_of(os.getpid())
        if given and b"\0LC_CTYPE=" not in b"\0" + given:
            del environment[b"LC_CTYPE"]
    return environment


class Environment:
    """Makes the environments of one run's stages."""

    def __init__(
        self, pipeline: Pipeline, run: str, params: Mapping[str, str], traceparent: str | None,
        secrets: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """`run` is the run's id, and with it the mark by which its processes are found again; `traceparent` is that
        of whoever started the run, whose trace the stages then join; `secrets` are by name."""
        common = inherited()
        for secret in pipeline.secrets:
            common.pop(os.fsencode(secret.name), None)
        self._secrets = secrets or {}
        if b"MAKEFLAGS" in common:
            from stagebook.engine import jobserver

            common[b"MAKEFLAGS"] = jobserver.inherited_flags(common[b"MAKEFLAGS"])
        common.update(_encoded(pipeline.env))
        common.update(_encoded({variable("PARAM_", name): value for name, value in params.items()}))
        common[b"STAGEBOOK_RUN"] = run.encode()
        common.pop(state.EXPERIMENT_VARIABLE.encode(), None)  # a run that a stage begins is its own
        self._common = common
        self._own = pipeline.env
        self._run = run
        self._trace = trace.of_run(run, traceparent)
        self._found: dict[tuple[str, bytes, bytes], bytes | None] = {}

    def of(self, index: int, stage: Stage, attempt: int, directory: bytes, output: bytes) -> dict[bytes, bytes]:
        """The whole environment of one attempt. `output` is the path of its `STAGEBOOK_OUTPUT` file."""
        env = self._common.copy()
        if stage.env:
            env.update(_encoded(stage.env))
        if stage.cell:
            env.update(_encoded({variable("MATRIX_", name): value for name, value in stage.cell.items()}))
        for name in stage.secrets:
            if name in self._secrets:
                env[os.fsencode(name)] = os.fsencode(self._secrets[name])
        if stage.resources.cpu_milli:
            from stagebook.engine import jobserver

            env.update(jobserver.counts(jobserver.cores(stage.resources.cpu_milli), env))
        env[b"STAGEBOOK_STAGE"] = os.fsencode(stage.id)
        env[b"STAGEBOOK_ATTEMPT"] = b"%d" % attempt
        env[b"STAGEBOOK_WORKSPACE"] = directory
        env[b"STAGEBOOK_OUTPUT"] = output
        span = trace.span(self._run, stage.id, attempt)
        env[trace.VARIABLE.encode()] = trace.traceparent(self._trace, span).encode()
        return env

    def has_own(self, stage: Stage, name: str) -> bool:
        """Whether the pipeline's file says what the variable is for this stage."""
        return name in stage.env or name in stage.env_from or name in self._own

    def find(self, program: str, env: Mapping[bytes, bytes], directory: bytes) -> bytes | None:
        """The path of a program, by the stage's own PATH and from its own directory; None where there is none."""
        if "/" in program:
            return os.fsencode(program)
        path = env.get(b"PATH", b"/usr/local/bin:/usr/bin:/bin")
        key = (program, path, directory)
        found = self._found.get(key)
        if found is None:  # also where it was missing before: a stage may have installed it
            found = self._found[key] = _search(os.fsencode(program), path, directory)
        return found


def _search(program: bytes, path: bytes, directory: bytes) -> bytes | None:
    for folder in path.split(b":"):
        candidate = os.path.join(folder or b".", program)
        if not candidate.startswith(b"/"):
            candidate = os.path.join(directory, candidate)
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            return candidate
    return None


def _encoded(values: Mapping[str, str]) -> dict[bytes, bytes]:
    return {os.fsencode(name): os.fsencode(value) for name, value in values.items()}
