"""The steps of one job of a CI system: what passes between them, and which could be a job of their own. Pure.

All steps of a job work in one folder, so one may use what another leaves without a word in the file. Only what plainly
checks and leaves nothing is said to be free.
"""

from __future__ import annotations

import re
from functools import lru_cache

from stagebook.graph import intent
from stagebook.graph.coupling import written
from stagebook.graph.findings import Finding
from stagebook.graph.jobs import in_words, meet
from stagebook.graph.shape import shape
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Mapping, Sequence

    from stagebook.graph.shape import Shape
    from stagebook.model.job import Job, JobStep
    from stagebook.model.pipeline import Pipeline, Stage

_TEXT_MAX = 20_000
_STEPS_MAX = 300
_NAMED_MAX = 3
_WORTH_MS = 5_000
_sets_variable = re.compile(r"([A-Za-z_]\w*)=[^\n]*>>\s*[\"']?\$\{?GITHUB_ENV|^([A-Za-z_]\w*)<<", re.MULTILINE)
_path = re.compile(r"[\w.@+-]*(?:/[\w.@+-]+)+|[\w@+-]+\.[A-Za-z]\w*")
#: Checks of the text of a program: they need neither what was built nor each other.
_READS_ONLY = re.compile(
    r"(?:^|[\n;&|(]\s*)(?:(?:\w+=\S*|(?:poetry|uv|pipenv|hatch|pdm) run|npx|yarn|pnpm exec|bundle exec|"
    r"python3? -m)\s+)*"
    r"(?:ruff (?:check|format --check)|ruff|flake8|pylint|mypy|pyright|black --check|isort --check|codespell|yamllint|"
    r"shellcheck|hadolint|actionlint|eslint|prettier --check|rubocop|golangci-lint|gofmt|cargo fmt|"
    r"(?:npm|yarn|pnpm)(?: run)? (?:lint|typecheck|type-check|format:check|check:format)|bandit|typos|"
    r"clang-format|cpplint|ktlint|swiftlint|terraform (?:fmt|validate)|markdownlint)\b"
)
_lints = re.compile(r"(?:^|[^a-z])(?:lint|linting|linters?|code style|check formatting)(?:[^a-z]|$)", re.IGNORECASE)
_tries = re.compile(r"test|smoke", re.IGNORECASE)
_LEAVES = re.compile(r"--fix\b|--write\b|>\s*\S+\.\w+|git (?:add|commit|push)|cov|report|junit|--output|-o ")


class Link(NamedTuple):
    """Why a step needs an earlier one, by places. `kind`: `setup`, `value`, `artifact`, `file` or `order` (it is
    written so, where steps may run beside each other)."""

    need: int
    step: int
    kind: str
    text: str


def links(job: Job) -> list[Link]:
    """In order of steps, then of needs; none of a job with more than 300 steps."""
    return [] if len(job.steps) > _STEPS_MAX else list(_links(job.steps))


@lru_cache(maxsize=256)  # the cells of a matrix have the same steps
def _links(steps: tuple[JobStep, ...]) -> tuple[Link, ...]:
    made = [_Left(step) for step in steps]
    found = []
    for place, step in enumerate(steps):
        text = f"{step.text}\n{step.condition or ''}"[:_TEXT_MAX]
        paths = set(_path.findall(text))
        for need in range(place):
            if (why := made[need].why(step, text, paths)) is not None:
                found.append(Link(need, place, *why))
    return tuple(found)


class _Left:
    """What a step leaves for later ones."""

    def __init__(self, step: JobStep) -> None:
        text = step.text[:_TEXT_MAX]
        self.step = step
        names = {one or other for one, other in _sets_variable.findall(text)} if "GITHUB_ENV" in text else set()
        self.variables = (
            re.compile(rf"(?:\$\{{?|env\.)({'|'.join(map(re.escape, sorted(names)))})\b") if names else None
        )
        self.output = re.compile(rf"\bsteps\.{re.escape(step.id)}\.") if step.id else None
        self.files = {path for path in written(text) if "GITHUB_" not in path} if step.kind != "uses" else set()

    def why(self, step: JobStep, text: str, paths: set[str]) -> tuple[str, str] | None:
        if self.output is not None and self.output.search(text):
            return "value", f"outputs of {self.step.id}"
        for given in step.reads:
            for left in self.step.writes:
                if meet(left, given):
                    return ("artifact" if left.kind in ("artifact", "cache") else "value"), in_words(left)
        if self.variables is not None and (found := self.variables.search(text)):
            return "value", f"variable {found[1]}"
        if common := self.files & paths:
            return "file", min(common)
        if self.step.is_setup and not step.is_setup:
            return "setup", "makes ready what it needs"
        return None


class _Split(NamedTuple):
    """Steps that could be a job of their own, the set-up that it would have too, and of both what they take: `saved` of
    the job itself, `again` for the set-up; None where that is not known."""

    moved: list[int]
    setup: list[int]
    saved: float | None
    part: float
    again: float


def findings(
    pipeline: Pipeline,
    step_ms: Mapping[str, Sequence[float | None]] = {},
    took: Sequence[float] | None = None,
    found: Shape | None = None,
) -> Iterator[Finding]:
    """Of each job whose checks could run beside the rest. `step_ms`: of a stage, what its steps took; `took`: what the
    stages did, and `found` the shape with that. Milliseconds."""
    by_name: dict[str, list[int]] = {}
    for index, stage in enumerate(pipeline.stages):
        if stage.job is not None:
            by_name.setdefault(stage.name, []).append(index)
    for places in by_name.values():
        stage = pipeline.stages[places[0]]
        assert stage.job is not None
        split = _split(stage.job, step_ms.get(stage.id))
        if split is None:
            if len(places) > 1:
                yield from _repeated(stage, stage.job, len(places))
            continue
        saves = split.saved
        if saves is not None and took is not None and found is not None:
            saves = _saved(pipeline, places, saves, took, found)
        yield _finding(stage, stage.job, split, len(places), saves)


def _split(job: Job, took: Sequence[float | None] | None) -> _Split | None:
    moved, setup = movable(job)
    if not moved:
        return None
    if not took or len(took) != len(job.steps):
        return _Split(moved, setup, None, 0.0, 0.0)
    times = [each or 0.0 for each in took]
    again, part, whole = (sum(times[place] for place in some) for some in (setup, moved, range(len(times))))
    saved = whole - max(whole - part, again + part)
    return None if saved < _WORTH_MS else _Split(moved, setup, saved, part, again)


def _saved(pipeline: Pipeline, places: Sequence[int], saved: float, took: Sequence[float], found: Shape) -> float:
    """How much shorter the longest path is where each cell of the job is so much shorter."""
    at = {stage.id: index for index, stage in enumerate(pipeline.stages)}
    needs = [[at[need] for need in stage.needs] for stage in pipeline.stages]
    shorter = list(took)
    for place in places:
        shorter[place] = max(0.0, shorter[place] - saved)
    return max(0.0, found.length - shape(needs, shorter).length)


def _finding(stage: Stage, job: Job, split: _Split, cells: int, saves: float | None) -> Finding:
    moved = split.moved
    names = [f"`{_short(job.steps[place].name)}`" for place in moved[:_NAMED_MAX]]
    names += [f"{len(moved) - _NAMED_MAX} more"] if len(moved) > _NAMED_MAX else []
    is_one = len(moved) == 1
    said = f"step{'' if is_one else 's'} {_ranges(moved)} of {stage.name} ({', '.join(names)}) only check{'s' * is_one}"
    said += f", in each of {cells} cells" if cells > 1 else ""
    why = "it needs nothing but the set-up, and no later step uses what it leaves"
    why = why if is_one else "they need nothing but the set-up, and no later step uses what they leave"
    fix = f"move {'it' if is_one else 'them'} to a job of {'its' if is_one else 'their'} own, "
    fix += f"which repeats {len(split.setup)} set-up step{'s' if len(split.setup) != 1 else ''}"
    if cells > 1:
        fix += ", and does it once instead of in each cell"
    elif saves is None:
        fix += "; whether that pays, recorded runs tell"
    if cells == 1 and job.system == "github":
        fix += f"; or let {'it' if is_one else 'them'} run beside the others here (`background: true`)"
    costs = None if split.saved is None else max(0.0, split.again - (cells - 1) * split.part)
    return Finding(
        "split-steps", "note", job.steps[moved[0]].line, said, (stage.id,), why, fix, saves_ms=saves, costs_ms=costs,
        minor=not saves and cells == 1, file=job.steps[moved[0]].file,
    )  # fmt: skip


def _repeated(stage: Stage, job: Job, cells: int) -> Iterator[Finding]:
    """A check of the program's text, told by its name alone, that each cell of a matrix does beside its work."""
    if _lints.search(stage.name):
        return
    for place, step in enumerate(job.steps):
        is_lint = _lints.search(step.name) is not None and _tries.search(step.name) is None
        if is_lint and step.kind in ("run", "script") and step.condition is None:
            yield Finding(
                "repeated-check",
                "note",
                step.line,
                f"step {place + 1} of {stage.name} (`{_short(step.name)}`) is done in each of {cells} cells",
                (stage.id,),
                "by its name it checks the text of the program, which is the same in all of them",
                "let one cell do it, or a job of its own, unless it depends on what the cells differ in",
                file=step.file,
            )
            return


def movable(job: Job) -> tuple[list[int], list[int]]:
    """The steps that could be a job of their own, and the set-up steps that it would have too. Empty where nothing of
    weight would stay, or where that is not plain."""
    steps = job.steps
    if len(steps) > _STEPS_MAX:
        return [], []
    used = {link.need for link in links(job)} - {place for place, step in enumerate(steps) if step.is_setup}
    given = {link.step for link in links(job) if link.kind not in ("setup",)}
    work = [place for place, step in enumerate(steps) if not step.is_setup]
    free = [
        place for place in work
        if place not in used and place not in given and steps[place].condition is None and is_check(steps[place])
    ]  # fmt: skip
    stays = [place for place in work if place not in free]
    if not any(steps[place].kind in ("run", "script") for place in stays):
        tests = [place for place in free if not _only_reads(steps[place])] or free[-1:]
        free = [place for place in free if place not in tests]
    else:
        free = [place for place in free if _only_reads(steps[place])]
    if not free:
        return [], []
    return free, [place for place, step in enumerate(steps[: free[-1]]) if step.is_setup]


def is_check(step: JobStep) -> bool:
    """Whether it runs programs that check and does nothing else that a later step may want."""
    if step.kind not in ("run", "script") or not step.text.strip():
        return False
    return _only_reads(step) or intent.tests(step.text[:_TEXT_MAX])


def _only_reads(step: JobStep) -> bool:
    """Whether each of its commands is a check of the program's text."""
    text = step.text[:_TEXT_MAX].replace("\\\n", " ")
    if _LEAVES.search(text):
        return False
    lines = [line.strip() for line in text.split("\n")]
    lines = [line for line in lines if line and not line.startswith(("#", "set ", "echo ", "cd "))]
    return bool(lines) and all(_READS_ONLY.search(line) for line in lines)


def _ranges(places: list[int]) -> str:
    """`4`, `4 and 6`, `4–6`: steps count from 1."""
    if len(places) > 2 and places[-1] - places[0] == len(places) - 1:
        return f"{places[0] + 1}–{places[-1] + 1}"
    numbers = [str(place + 1) for place in places]
    return numbers[0] if len(numbers) == 1 else f"{', '.join(numbers[:-1])} and {numbers[-1]}"


def _short(name: str) -> str:
    line = name.strip().partition("\n")[0]
    return line if len(line) <= 40 else f"{line[:39]}…"
