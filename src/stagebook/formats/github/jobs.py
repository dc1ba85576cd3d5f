"""The jobs of one workflow file as stages: cells, needs, conditions, locks, data, and what their runner needs. Called
workflows are in `calls`."""

from __future__ import annotations

import re

from stagebook.formats.github import conditions, data
from stagebook.formats.github.cells import Strategy, filled, strategy_of
from stagebook.formats.github.conditions import When
from stagebook.formats.github.expression import UNKNOWN, Open
from stagebook.formats.github.expression.value import to_text
from stagebook.formats.github.local import Files
from stagebook.formats.github.matrix import Cell
from stagebook.formats.github.order import needs_of, sorted_jobs
from stagebook.formats.github.shape import Walk, whole
from stagebook.formats.github.steps import Steps, joined
from stagebook.formats.github.values import clean, value_of
from stagebook.formats.source.nodes import MAP, Node, Source
from stagebook.model.job import Datum, Job, JobStep
from stagebook.model.pipeline import Matrix, Stage, Timeouts
from stagebook.model.problem import Problem
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.formats.github.order import Need
    from stagebook.formats.github.spec import Call, JobSpec
    from stagebook.formats.github.spec import Need as SpecNeed

STAGES_MAX = 10_000
NEEDS_MAX = 1_000_000
TITLE_MAX = 100  #: characters of a job's name, as GitHub cuts it
_SECRET = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Level(NamedTuple):
    """Where a workflow's jobs stand: at the top, or below a job that calls it. `entry`: the stages that the call waits
    for; `when`: its condition, where it has one or needs. `trail`: the files around, outermost first."""

    contexts: Mapping[str, Any]
    prefix: str = ""
    title: str = ""
    cell: Mapping[str, str] = {}
    entry: tuple[str, ...] = ()
    line: int = 0  #: of the call, in the first file: all that is said of what is below it is said there
    col: int = 0
    when: When = When()
    call: Call | None = None
    secrets: Mapping[str, str] | None = None  #: None: as they are called at the top
    strategy: Strategy | None = None  #: of the innermost call with a matrix
    rights: Mapping[str, str] | None = None  #: what the caller's token may do; None where nobody says
    trail: tuple[str, ...] = ()


class Found:
    """What has been read so far, of all files."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.stages: list[Stage] = []
        self.matrices: dict[str, Matrix] = {}
        self.groups: dict[str, tuple[str, ...]] = {}  #: calls to the stages in their place
        self.locks: dict[str, None] = {}
        self.secrets: dict[str, int] = {}
        self.missing: list[Problem] = []
        self.problems: list[Problem] = []  #: of files beside the first
        self.counted = 0
        self.needs = 0
        self.walks: dict[str, Walk] = {}  #: by file, which several may call
        self.open_jobs: list[str] = []  #: those of the first file with a matrix that is known only at run time


class Unit(NamedTuple):
    """What a job became."""

    stages: tuple[Stage, ...]
    need: SpecNeed
    is_gated: bool


class Jobs:
    """The jobs of one file."""

    def __init__(self, source: Source, root: Node, level: Level, found: Found, walk: Walk | None = None) -> None:
        self.source = source
        self.root = root
        self.level = level
        self.found = found
        if source.file not in found.walks:
            found.walks[source.file] = walk or whole(source, root)
        self.walk = found.walks[source.file]
        self.file = found.files.shown(source.file)
        self.name = (root.get("name") or root).text or self.file
        self.env = value_of(root.get("env"))
        self.units: dict[str, Unit] = {}
        self.needs: dict[str, tuple[Need, ...]] = {}

    def read(self) -> dict[str, Unit]:
        """All of them, by their ids in the file and in its order. Empty where they wait for each other."""
        node = self.root.get("jobs")
        jobs = {name: (key, body) for name, key, body in (node.items() if node is not None else ()) if body.kind == MAP}
        needs = needs_of(self.walk, jobs)
        if needs is None:
            return {}
        self.needs = needs
        for name in sorted_jobs(needs):
            self.units[name] = self.unit(name, *jobs[name])
            if self.is_too_much(jobs[name][0]):
                return {}
        return {name: self.units[name] for name in jobs if name in self.units}

    def is_too_much(self, key: Node) -> bool:
        """Whether there are more stages, or needs between them, than anybody could look at; then it is said."""
        found = self.found
        found.needs += sum(len(stage.needs) for stage in found.stages[found.counted :])
        found.counted = len(found.stages)
        if found.counted <= STAGES_MAX and found.needs <= NEEDS_MAX:
            return False
        said = f"{found.counted} stages with {found.needs} needs so far; {STAGES_MAX} and {NEEDS_MAX} are the limits"
        self.walk.problem(key, "limit", said)
        return True

    def unit(self, name: str, key: Node, body: Node) -> Unit:
        level = self.level
        own = conditions.when_of(self.source, body)
        if self.needs[name]:
            is_gated = any(self.units[need.job].is_gated for need in self.needs[name])
            when = conditions.gated(own, key.line) if is_gated else own
        else:
            is_gated = level.when.condition is not None
            is_called = level.call is not None and "if" in level.call and (is_gated or own.condition is not None)
            when = conditions.within(own, level.when, key.line) if is_called else own
        if level.line and when.condition is not None:
            when = when._replace(condition=when.condition._replace(line=level.line, col=level.col))
        is_gated = is_gated or own.condition is not None
        strategy = strategy_of(self.walk, key, body, level.contexts)
        if strategy.is_open and body.get("strategy") is not None:
            said = "its matrix is known only when it runs: it is one stage here, which does its cells one by one"
            self.walk.problem(body.get("strategy") or key, "open-matrix", said, "note")
            if not level.prefix:
                self.found.open_jobs.append(name)
        paths = tuple(dict.fromkeys(each.path for each in data.references_in([value_of(body), self.env])))
        base = _Base(name, key, body, when, strategy, *self.needed(name), paths)
        if body.get("uses") is not None:
            from stagebook.formats.github import calls

            return calls.unit(self, base, is_gated)
        cells: tuple[Cell | None, ...] = strategy.cells if strategy.cells is not None else (None,)
        stages = tuple(self.stage(base, cell, place, len(cells)) for place, cell in enumerate(cells))
        self.made(base, stages)
        self.shared_lock(base, stages)
        return Unit(stages, {"stages": [each.id for each in stages]}, is_gated)

    def made(self, base: _Base, stages: tuple[Stage, ...]) -> None:
        """Takes down the stages of a job. Cells of the calls around are cells of one matrix with its own."""
        self.found.stages += stages
        strategy = base.strategy if base.strategy.cells is not None else self.level.strategy
        if strategy is None or not stages:
            return
        name = self.level.prefix + base.name
        ids = tuple(each.id for each in stages)
        known = self.found.matrices.get(name)
        self.found.matrices[name] = Matrix(
            ids if known is None else (*known.cells, *ids), strategy.max_parallel, strategy.fail_fast
        )

    def shared_lock(self, base: _Base, stages: tuple[Stage, ...]) -> None:
        """Says where cells wait for each other in a concurrency group, in which GitHub keeps one and cancels others."""
        if len(stages) < 3 or not stages[0].locks or len({tuple(each.locks) for each in stages}) > 1:
            return
        node = base.body.get("concurrency") or base.key
        queue = node.get("queue")
        if queue is None or queue.text != "max":
            said = (
                f"all {len(stages)} cells are in one concurrency group: GitHub lets one run and one wait, and cancels"
            )
            self.walk.problem(node, "shared-concurrency", f"{said} the others; put the matrix into its name", "warning")

    def needed(self, name: str) -> tuple[tuple[str, ...], tuple[int, ...], dict[str, SpecNeed]]:
        """The stages that a job needs, the line of each, and the same as its spec has it."""
        ids: dict[str, int] = {}
        spec: dict[str, SpecNeed] = {}
        for need in self.needs[name]:
            unit = self.units[need.job]
            spec[need.job] = unit.need
            for stage in unit.stages:
                ids.setdefault(stage.id, self.level.line or need.line)
        if not self.needs[name]:
            ids = dict.fromkeys(self.level.entry, self.level.line)
        return tuple(ids), tuple(ids.values()), spec

    # One stage --------------------------------------------------------------------------------------------------------

    def contexts(self, base: _Base, cell: Cell | None, place: int, total: int) -> dict[str, Any]:
        """Those that are known of one cell."""
        strategy = {
            "fail-fast": base.strategy.fail_fast, "job-index": place, "job-total": total,
            "max-parallel": base.strategy.max_parallel or total,
        }  # fmt: skip
        made = {**self.level.contexts, "strategy": strategy}
        made["matrix"] = cell.values if cell is not None else None
        if base.strategy.is_open:
            del made["matrix"]
        made["env"] = env = Open()
        for said in (self.env, value_of(base.body.get("env"))):
            for name, text in said.items() if isinstance(said, dict) else ():
                value = filled(text, made)
                env[name] = value if value is UNKNOWN else to_text(value)
        return made

    def stage(self, base: _Base, cell: Cell | None, place: int, total: int) -> Stage:
        body, key = base.body, base.key
        contexts = self.contexts(base, cell, place, total)
        id_, texts = self.id_of(base, cell)
        steps = self.steps(base, contexts)
        job = self.job(base, cell, contexts, steps)
        secrets = self.secrets(base, key)
        timeout = _number(body.get("timeout-minutes"), contexts)
        lock = self.lock(body, contexts)
        return Stage(
            id_, self.level.prefix + base.name, self.level.line or key.line, self.level.col or key.col, "job",
            command="\n".join(step.text for step in steps if step.kind == "run"),
            needs=base.needs, need_lines=base.need_lines,
            join=base.when.join, always=base.when.always, when=base.when.condition,
            cell=texts or None,
            locks={lock: "exclusive"} if lock else {}, group=self.level.prefix.rstrip("/") or None,
            timeouts=Timeouts(attempt_ms=int(timeout * 60_000)) if timeout else Timeouts(),
            allow_failure=_boolean(body.get("continue-on-error"), contexts),
            secrets=secrets,
            job=job._replace(spec=self.spec(base, cell, contexts)),
        )  # fmt: skip

    def id_of(self, base: _Base, cell: Cell | None) -> tuple[str, dict[str, str]]:
        name = self.level.prefix + base.name
        outer = self.level.cell
        if cell is None:
            texts = dict(outer)
            label = _label(outer)
        else:
            texts = {**{f"{axis}^" if axis in cell.texts else axis: text for axis, text in outer.items()}, **cell.texts}
            label = ",".join(each for each in (_label({k: v for k, v in texts.items() if k not in cell.texts}), cell.label) if each)  # fmt: skip  # noqa: E501
        return (f"{name}[{label}]" if label else name), texts

    def title(self, base: _Base, cell: Cell | None, contexts: Mapping[str, Any]) -> str:
        """The name under which GitHub shows it."""
        node = base.body.get("name")
        named = (node.text if node is not None else None) or base.name
        has_matrix = any(each.path[0].lower() == "matrix" for each in data.references_in(named))
        made = data.shown(named, contexts)
        if cell is not None and cell.title and not has_matrix:
            made = f"{made} ({cell.title})"
        made = " ".join(made.split())
        return clean(self.level.title + (made if len(made) <= TITLE_MAX else f"{made[: TITLE_MAX - 3]}..."))

    def steps(self, base: _Base, contexts: Mapping[str, Any]) -> tuple[JobStep, ...]:
        made = Steps(contexts, self.found.files, self.found.files.beside(self.source))
        for node in base.body.get("steps") or ():
            made.add(node)
        outputs = value_of(base.body.get("outputs"))
        return joined(made, outputs if isinstance(outputs, dict) else {})

    def job(self, base: _Base, cell: Cell | None, contexts: Mapping[str, Any], steps: tuple[JobStep, ...]) -> Job:
        body = base.body
        reads = [each for step in steps for each in step.reads if each.kind in ("artifact", "cache")]
        writes = [each for step in steps for each in step.writes if each.kind in ("artifact", "cache")]
        outputs = body.get("outputs")
        prefix, place = self.level.prefix, self.found.files.beside(self.source)
        writes += [
            Datum("output", f"{prefix}{base.name}.{name.lower()}", key.line, file=place)
            for name, key, _ in (outputs.items() if outputs is not None else ())
        ]
        reads += self.read_outputs(base)
        return Job(
            "github", self.title(base, cell, contexts), steps,
            tuple(dict.fromkeys(reads)), tuple(dict.fromkeys(writes)),
            runner=self.runner(body, contexts),
            image=_named(body.get("container"), "image", contexts),
            environment=_named(body.get("environment"), "name", contexts),
        )  # fmt: skip

    def read_outputs(self, base: _Base) -> list[Datum]:
        """What a job asks of those that it needs."""
        needs = {need.job.lower(): need for need in self.needs[base.name]}
        found = []
        place = self.found.files.beside(self.source)
        for path in base.paths:
            if len(path) < 4 or path[0].lower() != "needs" or path[2].lower() != "outputs":
                continue
            need = needs.get(path[1].lower())
            if need is not None:
                name = f"{self.level.prefix}{need.job}.{path[3].lower()}"
                found.append(Datum("output", name, need.line, path[3] in ("*", "[]"), place))
        return found

    def runner(self, body: Node, contexts: Mapping[str, Any]) -> str:
        node = body.get("runs-on")
        if node is None:
            return ""
        if node.kind == MAP:
            parts = [*(node.get("group") or node).texts, *(each for each in (node.get("labels") or node).texts)]
        else:
            parts = node.texts
        return clean(", ".join(data.shown(each, contexts) for each in parts))

    def lock(self, body: Node, contexts: Mapping[str, Any]) -> str | None:
        """The name of its concurrency group, in lower case as GitHub compares them."""
        name = _named(body.get("concurrency"), "group", contexts)
        if name is None:
            return None
        self.found.locks[name.lower()] = None
        return name.lower()

    def secrets(self, base: _Base, key: Node) -> tuple[str, ...]:
        """Those that the job speaks of, under the names of the variables that hold them."""
        names: dict[str, None] = {}
        for path in base.paths:
            if path[0].lower() == "secrets" and len(path) > 1 and _SECRET.fullmatch(path[1]):
                name = path[1].upper()
                if self.level.secrets is not None:
                    name = self.level.secrets.get(name, "")
                if name:
                    names[name] = None
                    self.found.secrets.setdefault(name, self.level.line or key.line)
        return tuple(names)

    def spec(self, base: _Base, cell: Cell | None, contexts: Mapping[str, Any]) -> dict[str, Any]:
        """What its runner needs. See `spec`."""
        body = base.body
        made: JobSpec = {"job": base.name, "file": self.file, "workflow": self.name}
        for key, name in (
            ("env", "env"), ("outputs", "outputs"), ("container", "container"), ("services", "services"),
            ("environment", "environment"), ("runs-on", "runs_on"), ("timeout-minutes", "timeout_minutes"),
            ("continue-on-error", "continue_on_error"),
        ):  # fmt: skip
            node = body.get(key)
            if node is not None:
                made[name] = value_of(node)  # type: ignore[literal-required]
        if self.env:
            made["workflow_env"] = self.env
        defaults = {**_run_defaults(self.root), **_run_defaults(body)}
        if defaults:
            made["defaults"] = defaults
        steps = body.get("steps")
        made["steps"] = [_step(each) for each in steps or () if each.kind == MAP]
        if cell is not None:
            made["matrix"] = cell.values
        made["strategy"] = contexts["strategy"]
        if base.strategy.is_open:
            made["open_strategy"] = value_of(body.get("strategy"))
        made["needs"] = base.spec_needs
        if self.level.call is not None:
            made["call"] = self.level.call
        if self.level.secrets is not None:
            made["secrets"] = dict(self.level.secrets)
        return dict(made)


class _Base(NamedTuple):
    """What all cells of a job share."""

    name: str
    key: Node
    body: Node
    when: When
    strategy: Strategy
    needs: tuple[str, ...]
    need_lines: tuple[int, ...]
    spec_needs: dict[str, SpecNeed]
    paths: tuple[tuple[str, ...], ...]  #: what its expressions speak of


def _label(cell: Mapping[str, str]) -> str:
    from stagebook.formats.native.matrix import label

    return label(dict(cell))


def _named(node: Node | None, key: str, contexts: Mapping[str, Any]) -> str | None:
    """What a key is given, by itself or as an entry of a mapping, with what is known filled in."""
    if node is not None and node.kind == MAP:
        node = node.get(key)
    return clean(data.shown(node.text, contexts)) if node is not None and node.text else None


def _step(node: Node) -> dict[str, Any]:
    made = value_of(node)
    made["line"] = node.line
    inner = node.get("parallel")
    if inner is not None:
        made["parallel"] = [_step(each) for each in inner if each.kind == MAP]
    return dict(made)


def _run_defaults(node: Node) -> dict[str, str]:
    defaults = node.get("defaults")
    run = defaults.get("run") if defaults is not None else None
    return {name: str(value.value) for name, _, value in (run.items() if run is not None else ()) if value.text}


def _number(node: Node | None, contexts: Mapping[str, Any]) -> float | None:
    value = filled(value_of(node), contexts)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e6 else None


def _boolean(node: Node | None, contexts: Mapping[str, Any]) -> bool:
    return filled(value_of(node), contexts) is True
