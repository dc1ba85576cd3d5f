"""The steps of one job of a CI system: what passes between them, and which could be a job of their own. Pure.

All steps of a job work in one folder, so one may use what another leaves without a word in the file. Only what plainly
checks and leaves nothing is said to be free.
"""

from __future__ import annotations

import re

from stagebook.graph import intent
from stagebook.graph.coupling import written
from stagebook.graph.findings import Finding
from stagebook.graph.jobs import meet
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Mapping, Sequence

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
    if len(job.steps) > _STEPS_MAX:
        return []
    made = [_Left(step) for step in job.steps]
    found = []
    for place, step in enumerate(job.steps):
        text = f"{step.text}\n{step.condition or ''}"[:_TEXT_MAX]
        paths = set(_path.findall(text))
        for need in range(place):
            if (why := made[need].why(step, text, paths)) is not None:
                found.append(Link(need, place, *why))
    return found


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
                    return ("artifact" if left.kind in ("artifact", "cache") else "value"), f"{left.kind} {left.name}"
        if self.variables is not None and (found := self.variables.search(text)):
            return "value", f"variable {found[1]}"
        if common := self.files & paths:
            return "file", min(common)
        if self.step.is_setup and not step.is_setup:
            return "setup", "makes ready what it needs"
        return None


def findings(pipeline: Pipeline, took: Mapping[str, Sequence[float | None]] = {}) -> Iterator[Finding]:
    """Of each job whose checks could run beside the rest. `took`: of a stage, what its steps took in milliseconds."""
    told: set[str] = set()
    for stage in pipeline.stages:
        if stage.job is not None and stage.name not in told:
            told.add(stage.name)
            found = _split(pipeline, stage, stage.job, took.get(stage.id))
            if found is not None:
                yield found


def _split(
    pipeline: Pipeline, stage: Stage, job: Job, took: Sequence[float | None] | None
) -> Finding | None:  # fmt: skip
    moved, setup = movable(job)
    if not moved:
        return None
    times = [each or 0.0 for each in took] if took and len(took) == len(job.steps) else None
    saves = costs = None
    if times is not None:
        again = sum(times[place] for place in setup)
        whole, part = sum(times), sum(times[place] for place in moved)
        saves, costs = whole - max(whole - part, again + part), again
        if saves < _WORTH_MS:
            return None
    names = [f"`{_short(job.steps[place].name)}`" for place in moved[:_NAMED_MAX]]
    names += [f"{len(moved) - _NAMED_MAX} more"] if len(moved) > _NAMED_MAX else []
    is_one = len(moved) == 1
    cells = len(pipeline.matrices[stage.name].cells) if stage.name in pipeline.matrices else 1
    said = f"step{'' if is_one else 's'} {_ranges(moved)} of {stage.name} ({', '.join(names)}) only check{'s' * is_one}"
    said += f", in each of {cells} cells" if cells > 1 else ""
    why = "it needs nothing but the set-up, and no later step uses what it leaves"
    why = why if is_one else "they need nothing but the set-up, and no later step uses what they leave"
    cost = f"which repeats {len(setup)} set-up step{'s' if len(setup) != 1 else ''}"
    if saves is None:
        cost += (
            "; whether that pays, recorded runs tell" if cells == 1 else ", and does it once instead of in each cell"
        )
    return Finding(
        "split-steps",
        "note",
        job.steps[moved[0]].line,
        said,
        (stage.id,),
        why,
        f"move {'it' if is_one else 'them'} to a job of {'its' if is_one else 'their'} own, {cost}",
        saves_ms=saves,
        costs_ms=costs,
        minor=saves is None and cells == 1,
    )


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
