"""A job of a CI system, as its file has it: steps, what passes between jobs, and how much of the file has a meaning
here. What a stage of a pipeline is: `pipeline`.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

#: From best to worst. `exact`: means here what it means there. `approximated`: nearly, the text says how. `ignored`:
#: has no effect here. `server`: only the system itself can do it.
GRADES = ("exact", "approximated", "ignored", "server")


class Grade(NamedTuple):
    """How much of one key of the file has a meaning here. `path` is the way to it, as `jobs.build.runs-on`; `key` is
    the same with names that the user chose left out, as `jobs.*.runs-on`."""

    path: str
    key: str
    line: int
    grade: str
    text: str = ""  #: why it is not exact


class Datum(NamedTuple):
    """Something that one job or step leaves and another finds. `kind`: `artifact`, `cache`, `output`, `dotenv` or
    `workspace`. `name` may be a glob, or hold an expression where it is known only at run time; then `is_open`. `file`
    as of a step. `is_sure`: whether its step takes part in this cell, None where that is not known."""

    kind: str
    name: str
    line: int
    is_open: bool = False
    file: str | None = None
    is_sure: bool | None = True


class JobStep(NamedTuple):
    """One step of a job. `kind`: `run` (shell text), `uses` (an action, by its reference), `script` (a part of a GitLab
    job), `wait` or `cancel` (of steps that run in the background). `after`: places, in `Job.steps`, of the steps that
    must be over before it begins; the one before it, as a rule. `file`: that in which its lines are, from the
    pipeline's root on, if it is not the pipeline's own."""

    name: str
    line: int
    end_line: int
    kind: str
    text: str = ""
    after: tuple[int, ...] = ()
    condition: str | None = None
    id: str | None = None
    is_setup: bool = False  #: makes ready what later steps need: a checkout, a tool, a cache, an installation
    reads: tuple[Datum, ...] = ()
    writes: tuple[Datum, ...] = ()
    file: str | None = None


class Job(NamedTuple):
    """`system`: github or gitlab. `title`: the name under which the system shows it, as in its records of runs. `steps`
    are those that its file has. `unplayable`: why it cannot run here at all. `spec` is what its runner needs beside
    (`stagebook.runner`), as JSON."""

    system: str
    title: str
    steps: tuple[JobStep, ...] = ()
    reads: tuple[Datum, ...] = ()
    writes: tuple[Datum, ...] = ()
    by_order: tuple[str, ...] = ()  #: those of the stage's needs that only the order of GitLab's stages makes
    runner: str = ""  #: labels or tags of the machine it asks for
    image: str | None = None
    stage: str | None = None  #: of GitLab
    environment: str | None = None  #: where it deploys to
    unplayable: str | None = None
    spec: Mapping[str, Any] = {}
