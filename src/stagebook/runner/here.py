"""What a job finds when its process begins: itself, the whole pipeline, how other jobs ended and what they said, its
directory. Read from the run's journal, where all of it stands before the job is started. Changes nothing.
"""

from __future__ import annotations

import os
import re

from stagebook.model.pipeline import Pipeline, Stage
from stagebook.model.problem import SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record import reader, retelling, state
from stagebook.record.reasons import is_no_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.model.job import Job

#: By which git would work on another repository than the job's: a hook that starts a run has them.
_OF_GIT = frozenset(
    ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
     "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_CEILING_DIRECTORIES", "GIT_SHALLOW_FILE")
)  # fmt: skip
NAME_MAX = 40  #: of a job's name in the path of its workspace
_SPECIAL = re.compile(r"[^A-Za-z0-9._-]+")
#: What the engine tells a job's process, and the processes of its steps need not know.
_OURS = ("STAGEBOOK_OUTPUT", "STAGEBOOK_WORKSPACE")


class End(NamedTuple):
    """How a stage ended: one of Stagebook's outcomes, `is_allowed` where a failure is. `outputs`: what it
    said, by name."""

    outcome: str
    is_allowed: bool
    outputs: Mapping[str, str]
    is_left_out: bool = False  #: no part of this run


class Here:
    """Everything about one attempt of one job."""

    def __init__(
        self, run: str, directory: str, pipeline: Pipeline, index: int, attempt: int, ends: Mapping[str, End],
        environ: Mapping[str, str], output: str,
    ) -> None:  # fmt: skip
        self.run = run
        self.directory = directory  #: of the run
        self.state = os.path.dirname(os.path.dirname(directory))  #: `.stagebook`
        self.pipeline = pipeline
        self.index = index
        self.attempt = attempt
        self.stage: Stage = pipeline.stages[index]
        assert self.stage.job is not None
        self.job: Job = self.stage.job
        self.ends = ends  #: of all stages that had ended when this one began, by id
        self.output = output  #: the STAGEBOOK_OUTPUT file: lines NAME=VALUE
        #: By name, of those that the job is given; not in `env`.
        self.secrets = {name: environ[name] for name in self.stage.secrets if name in environ}
        #: What its processes are given, before the job's own variables.
        self.env = {
            name: value
            for name, value in environ.items()
            if name not in _OURS and name not in _OF_GIT and name not in self.secrets and not name.startswith("MATRIX_")
        }
        # Tools take paths apart at commas, blanks and the like (`-Wl,…`): no letter of a name that is special to any.
        plain = _SPECIAL.sub("-", self.stage.id)[:NAME_MAX].strip("-.")
        stem = f"{index}-{plain}.{attempt}" if plain else f"{index}.{attempt}"
        #: The job's own directory, not there yet: `workspace` and whatever it needs beside.
        self.place = os.path.join(state.workspaces_directory(self.state), run, stem)
        self.workspace = os.path.join(self.place, os.path.basename(pipeline.folder) or "work")

    @property
    def root(self) -> str:
        """The folder whose content the job works on a copy of."""
        return self.pipeline.folder

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.job.spec

    @property
    def local(self) -> Mapping[str, Any]:
        """How the run was asked to do jobs here: `images`, `uses`, …"""
        return self.pipeline.local

    def end(self, stage: str) -> End | None:
        """How a stage ended; None if it had not when this job began."""
        return self.ends.get(stage)


def find(environ: Mapping[str, str]) -> Here:
    """Raises SurroundingsError where this is no process of a job."""
    run, id, output = (environ.get(f"STAGEBOOK_{name}", "") for name in ("RUN", "STAGE", "OUTPUT"))
    if not (run and id and output):
        raise SurroundingsError("this is the process of a job, which `stagebook run` starts")
    directory = os.path.dirname(os.path.dirname(output))
    journal = state.journal_path(directory)
    story = retelling.retell(reader.read(journal), journal)
    pipeline = story.pipeline
    places = [index for index, stage in enumerate(pipeline.stages) if stage.id == id]
    if not places or pipeline.stages[places[0]].job is None:
        raise SurroundingsError(f"{journal}: `{id}` is no job")
    ends = {
        stage.id: End(
            end.outcome,
            stage.allow_failure,
            _outputs(directory, index, len(story.attempts[index])),
            is_no_part(end.reason),
        )
        for index, (stage, end) in enumerate(zip(pipeline.stages, story.ends))
        if end is not None
    }
    return Here(run, directory, pipeline, places[0], int(environ["STAGEBOOK_ATTEMPT"]), ends, environ, output)


def _outputs(directory: str, index: int, attempt: int) -> dict[str, str]:
    if not attempt:
        return {}
    from stagebook.condition import outputs

    return outputs.read(os.path.join(directory, "outputs", f"{index}.{attempt}"))[0]
