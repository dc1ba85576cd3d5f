"""What a stage is for, as far as its declaration tells: whether it tests something, whether it acts outside. Pure.

It is told by words of its name, its group and its command, so it is a guess that a reader can check; `retry-safe:
false` and a gate before it are statements. Nothing is decided by it but what is said to people; what must not be run
for a measurement goes by more words, those of `acting`.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection

    from stagebook.model.pipeline import Pipeline, Stage

DEPLOYS = "deploy|deployment|release|publish|promote|rollout|upload"
MIGRATES = "migrate|migration|migrations"
_deployment = re.compile(rf"(^|[^a-z])({DEPLOYS})([^a-z]|$)", re.IGNORECASE)

TESTS = (
    "test|tests|testing|unit|units|unittest|unittests|integration|e2e|end-?to-?end|smoke|spec|specs|contract|accept|"
    "acceptance|regression|fuzz|qa|lint|linter|linters|lints|check|checks|verify|validate|scan|audit|type-?check"
)
#: Programs that test or check, where a command begins or after what begins another.
_TESTERS = (
    r"pytest|py\.test|tox|nox|mypy|pyright|ruff check|flake8|pylint|eslint|jest|vitest|mocha|rspec|phpunit|ctest|bats|"
    r"shellcheck|codespell|hadolint|yamllint|golangci-lint|rubocop|cypress run|playwright test|go (?:test|vet)|"
    r"cargo (?:test|clippy|nextest)|(?:npm|yarn|pnpm)(?: run)? (?:test|lint)|dotnet test|mix test|"
    r"(?:mvnw?|\./mvnw) (?:\S+ )*(?:test|verify)|(?:gradle|\./gradlew) (?:\S+ )*(?:test|check)|"
    r"make (?:\S+ )*(?:test|tests|check|lint)|python3? -m (?:pytest|unittest|mypy|doctest)"
)
#: Programs that change what lies outside.
_ACTORS = (
    r"kubectl (?:\S+ )*(?:apply|rollout|set image)|helm (?:\S+ )*(?:upgrade|install)|terraform (?:\S+ )*apply|"
    r"pulumi up|twine upload|(?:npm|yarn|pnpm|cargo|poetry|uv|flit|hatch) publish|gem push|(?:docker|podman) push|"
    r"skopeo copy|aws (?:s3 (?:cp|sync)|ecs update|lambda update)|gh release|git push|ansible-playbook|"
    r"serverless deploy|fly(?:ctl)? deploy|gcloud (?:\S+ )+deploy|alembic (?:\S+ )*upgrade|flyway (?:\S+ )*migrate|"
    r"liquibase (?:\S+ )*update|(?:rake|rails) db:migrate|python3? manage\.py migrate|prisma migrate deploy"
)
_COMMAND_MAX = 4000
_JOB_MAX = 40_000
_WORKS = frozenset(("run", "cmd", "python", "pipeline", "generate", "each", "split"))


def words(any_of: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|[^a-z])({any_of})(?:[^a-z]|$)", re.IGNORECASE)


#: What may stand before a program without being one.
_RUNNERS = (
    r"(?:(?:\w+=\S{0,999}+|(?:poetry|uv|pipenv|hatch) run|npx|yarn|pnpm exec|bundle exec|xvfb-run|time|timeout \S+|"
    r"env|sudo|exec)\s+)*"
)


def _programs(programs: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|[\n;&|(][^\S\n]*){_RUNNERS}(?:[^\s;&|()]*/)?({programs})(?=[\s;&|)]|$)")


def _short(words: str) -> str:
    """The program and what it is to do: what stands between may be anything, a token too."""
    first, *rest = words.split()
    return f"{first} {rest[-1]}" if rest else first


class _Reader:
    """Keeps what names and commands have been found to say: cells of a matrix, and most stages of large files, share
    them."""

    def __init__(self) -> None:
        self.outside_words = words(f"{DEPLOYS}|{MIGRATES}")
        self.test_words = words(TESTS)
        self.testers = _programs(_TESTERS)
        self.actors = _programs(_ACTORS)
        #: `./deploy.sh`, `python3 tools/deploy.py`, `make publish`: such a word is the whole name of a program
        self.acting_scripts = re.compile(rf"(?:^|[\s/;&|])(({DEPLOYS}|{MIGRATES})(?:\.[a-z]+)?)(?=[\s;&|)]|$)")
        self.known: dict[tuple[object, ...], tuple[bool, str | None]] = {}

    def said(self, stage: Stage) -> tuple[bool, str | None]:
        """Whether it tests; by which words it acts outside. Never both; neither where its name says both."""
        key: tuple[object, ...] = (stage.name, stage.group, stage.command, stage.kind)
        if stage.job is not None:
            key = (*key, stage.job.environment, stage.job.steps)
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self._read(stage)
        return found

    def _read(self, stage: Stage) -> tuple[bool, str | None]:
        if stage.kind == "job":
            return self._read_job(stage)
        if stage.kind not in _WORKS:
            return False, None
        word = self.outside_words.search(stage.name)
        tests = self.test_words.search(stage.name) is not None
        if word is not None:
            return False, None if tests else f"its name: {word[1]}"
        if tests or stage.kind == "split" or (stage.group and self.test_words.search(stage.group)):
            return True, None
        command = stage.command if type(stage.command) is str else " ".join(stage.command)
        command = command[:_COMMAND_MAX]
        if self.testers.search(command):
            return True, None
        acts = self.actors.search(command) or self.acting_scripts.search(command)
        return False, None if acts is None else f"its command: {_short(acts[1])}"

    def _read_job(self, stage: Stage) -> tuple[bool, str | None]:
        from stagebook.graph import duty  # a native file has no such stage, and should not pay for it

        command = str(stage.command)[:_JOB_MAX]
        found = self.actors.search(command)
        why = duty.acts(stage, None if found is None else _short(found[1]))
        if why is not None:
            return False, why
        return self.test_words.search(stage.name) is not None or self.testers.search(command) is not None, None


_reader: _Reader | None = None


def _said(stage: Stage) -> tuple[bool, str | None]:
    global _reader
    if _reader is None or len(_reader.known) > 200_000:
        _reader = _Reader()
    return _reader.said(stage)


def looks_like_deployment(name: str) -> bool:
    """By its name alone: what `lint` asks to be marked `retry-safe`."""
    return _deployment.search(name) is not None


def tests(command: str) -> bool:
    """Whether a command is one that tests or checks, by the programs that it calls."""
    global _reader
    _reader = _reader or _Reader()
    return _reader.testers.search(command) is not None


def is_test(stage: Stage) -> bool:
    """Whether it is taken to test or check something."""
    return stage.retry_safe and _said(stage)[0]


def acts_outside(stage: Stage, gates: Collection[str] = ()) -> str | None:
    """Why a stage is taken to deploy, publish or migrate: `retry-safe: false`, that it is right behind one of `gates`
    (ids), or words of its name or command. None: it is not."""
    if stage.kind != "job" and stage.kind not in _WORKS:
        return None
    if not stage.retry_safe:
        return "retry-safe: false"
    tests, words = _said(stage)
    if gates and not tests and not stage.always and stage.job is None:
        for need in stage.needs:
            if need in gates:
                return f"behind gate {need}"
    return words


def outside(pipeline: Pipeline) -> dict[str, str]:
    """The stages that act outside, each with why."""
    gates = frozenset(stage.id for stage in pipeline.stages if stage.kind == "gate")
    found = {}
    for stage in pipeline.stages:
        why = acts_outside(stage, gates)
        if why is not None:
            found[stage.id] = why
    return found
