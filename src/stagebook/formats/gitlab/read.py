"""The way in: a pipeline file's bytes to a `Pipeline`. What its keys mean is in the modules beside this one."""

from __future__ import annotations

import os

from stagebook.formats.gitlab import compose, event, grading, remarks
from stagebook.formats.gitlab.compose import Composer
from stagebook.formats.gitlab.drafts import Config, known_occasions
from stagebook.formats.gitlab.files import Project
from stagebook.formats.gitlab.include import Includer
from stagebook.formats.gitlab.reading import Reading, scalar
from stagebook.formats.gitlab.repository import git_root, repository, spoken_of
from stagebook.formats.gitlab.stages import Made
from stagebook.formats.gitlab.variables import Occasion, predefined
from stagebook.formats.native import cache
from stagebook.formats.native.nodes import is_nameable
from stagebook.formats.request import Request
from stagebook.formats.source.nodes import SCALAR, Node
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import InputError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

_LEVELS = {"error": 0, "warning": 1, "note": 2}


def parse(data: bytes, file: str, request: Request) -> tuple[Pipeline | None, tuple[Problem, ...]]:
    """The pipeline of a file, or None; and all problems with it, errors first."""
    reading = _reading(file, request)
    try:
        pipeline = _Parser(reading, data).pipeline()
    except InputError as refused:
        return None, _sorted([*refused.problems, *(each for each in reading.problems if each not in refused.problems)])
    except RecursionError:
        said = "nested too deeply: references, templates or files in one another"
        return None, (Problem(file, 0, 0, "limit", "error", said),)
    if reading.is_wrong:
        return None, _sorted(reading.problems)
    return pipeline._replace(problems=_sorted(reading.problems)), _sorted(reading.problems)


def whole(data: bytes, file: str, request: Request) -> Config | None:
    """All jobs of a file and of what it includes, whichever of them a pipeline has; None where it holds nothing.
    InputError where there is no use in reading on."""
    reading = _reading(file, request)
    parser = _Parser(reading, data)
    occasion = (
        event.asked(reading, parser.current, parser.default)
        or known_occasions(parser.default, parser.current or parser.default)[0]
    )
    includer = parser.includer(occasion)
    root = includer.content(data, file, None, parser.inputs())
    return None if root is None else compose.config(reading, includer, root)


def _reading(file: str, request: Request) -> Reading:
    folder = os.path.dirname(file)
    root = git_root(folder)
    reading = Reading(file, root or folder, request)
    reading.is_part = reading.is_fragment = not is_whole(file)
    reading.is_at_hand = not reading.is_part and root == folder
    return reading


def is_whole(file: str) -> bool:
    """Whether a file is a pipeline by its name, and not what others include."""
    name = os.path.basename(file)
    return name in (".gitlab-ci.yml", ".gitlab-ci.yaml")


def _sorted(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(
        sorted(dict.fromkeys(problems), key=lambda each: (_LEVELS[each.level], each.file, each.line, each.col))
    )


class _Parser:
    def __init__(self, reading: Reading, data: bytes) -> None:
        self.reading = reading
        self.data = data
        self.home = Project(reading.root)
        known, spoken = repository(reading.root), spoken_of(data)
        self.current, self.commit = known.branch, known.commit
        self.default = known.default or spoken.default or "main"
        self.path = known.path or spoken.path or f"local/{os.path.basename(reading.root) or 'project'}"
        self.left_out: list[str] = []
        self.head: Node | None = None
        self._jobs_of: dict[Occasion, set[str]] = {}
        self.facts_of = compose.facts_maker(reading, self.home, self.predefined)

    def predefined(self, occasion: Occasion) -> dict[str, str]:
        told = event.variables(self.reading.request.payload)
        return {**predefined(occasion, self.reading.root, self.reading.file, self.path), **told}

    def includer(self, occasion: Occasion) -> Includer:
        sha = self.commit or "0" * 40
        known = {"CI_COMMIT_SHA": sha, "CI_COMMIT_SHORT_SHA": sha[:8], **self.facts_of(occasion).values}
        return Includer(self.reading, self.home, known)

    def pipeline(self) -> Pipeline:
        """InputError where there is no use in reading on."""
        reading = self.reading
        wanted = event.asked(reading, self.current, self.default)
        occasion = wanted or known_occasions(self.default, self.current or self.default)[0]
        includer = self.includer(occasion)
        root = includer.content(self.data, reading.file, None, self.inputs())
        self.head = includer.head
        if root is None:
            reading.refuse(None, "empty", "the file holds no pipeline: neither a job nor a keyword")
        config = compose.config(reading, includer, root)
        if not reading.is_wrong and not config.jobs:
            self.no_jobs(root)
        if wanted is None and not reading.is_wrong:
            occasion = self.usual(config)
        made = Composer(reading, self.facts_of, self.includer).pipeline(config, occasion)
        if not reading.is_wrong:
            self.remarks(config, occasion, wanted is not None)
            whole_file = os.path.join(reading.root, ".gitlab-ci.yml")
            if reading.missing and not is_whole(reading.file) and os.path.isfile(whole_file):
                said = "this is a part of a pipeline, and .gitlab-ci.yml beside it may be the whole: name that file"
                reading.note(None, "part", said)
        return self.built(made, occasion, root, config)

    def no_jobs(self, root: Node) -> None:
        reading = self.reading
        if reading.is_fragment or reading.missing:
            reading.note(root, "no-jobs", "it has no jobs of its own, only what others include or extend")
        else:
            reading.problem(root, "no-jobs", "the file has no job: one whose name does not begin with a dot")

    def inputs(self) -> dict[str, Node]:
        at = Node(SCALAR, "", 0, 0, 0)
        found = {}
        for name, text in self.reading.request.inputs.items():
            found[name] = scalar(at, text, plain=True)
        return found

    # The occasion -------------------------------------------------------------------------------------------------

    def usual(self, config: Config) -> Occasion:
        """The first of the usual occasions in which there is a pipeline with jobs."""
        occasions = known_occasions(self.default, self.current or self.default)
        return next((each for each in occasions if self.jobs_of(config, each)), occasions[0])

    def jobs_of(self, config: Config, occasion: Occasion) -> set[str]:
        known = self._jobs_of.get(occasion)
        if known is None:
            facts = self.facts_of(occasion)
            verdict = config.workflow(facts)
            drafts = config.drafts(facts, verdict.variables) if verdict.included else ()
            known = self._jobs_of[occasion] = {draft.name for draft, is_in in drafts if is_in}
        return known

    def remarks(self, config: Config, occasion: Occasion, is_asked: bool) -> None:
        usual = known_occasions(self.default, self.current or self.default)
        others = {each: self.jobs_of(config, each) for each in usual if each != occasion}
        jobs = self.jobs_of(config, occasion)
        if config.jobs:
            remarks.which(self.reading, jobs, occasion, () if is_asked else usual, others)
        if not self.reading.missing:
            remarks.twice(self.reading, config)
        self.left_out = remarks.left_out(self.reading, config, jobs, occasion, others)

    # The pipeline -------------------------------------------------------------------------------------------------

    def built(self, made: Made, occasion: Occasion, root: Node, config: Config) -> Pipeline:
        reading = self.reading
        folder = os.path.basename(reading.root.rstrip("/"))
        context: Mapping[str, object] = {
            "predefined": self.predefined(occasion),
            "project": dict(reading.request.variables),
            "source": occasion.source,
            "ref": occasion.ref,
            "left_out": self.left_out,
            "stages": config.stages,
        }
        return Pipeline(
            folder if folder and is_nameable(folder) else "pipeline", reading.file, "gitlab", cache.digest(self.data),
            made.stages, secrets=made.secrets, machine_locks=made.locks, matrices=made.matrices,
            root=reading.root, files=dict(reading.digests), context=context, missing=tuple(reading.missing),
            grades=grading.grades(root, self.head),
        )  # fmt: skip
