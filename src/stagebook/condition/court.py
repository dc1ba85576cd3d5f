"""Judges whether stages take part, by their conditions and what is known at that time. Asks nobody, starts nothing.

A user's mistake is a verdict here, never an exception: `error` with the reason that the stage then ends with.
"""

from __future__ import annotations

from stagebook.condition import cel
from stagebook.condition.expression import Compiled, compiler_of, secrets
from stagebook.condition.facts import Facts
from stagebook.condition.foreign import Foreign, Past, shown
from stagebook.model.globs import Globs
from stagebook.model.pipeline import Condition, Pipeline, Stage
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

#: The key under which a CI system's file has a condition.
_WORDS = {"github": "if", "gitlab": "when"}
#: Longest piece of an expression, or of a fact, in a reason.
TEXT_MAX = 200
FACT_MAX = 60


class Verdict(NamedTuple):
    """`verdict` is `run`, `skip` or `error`. `reason` says more; for `run` only where git could not say what has
    changed, so that the stage runs to be on the safe side."""

    verdict: str
    reason: str | None = None


class _Unknown(Exception):
    """It depends on stages that have not run."""


class Court:
    """The judge of one run."""

    def __init__(self, pipeline: Pipeline, facts: Facts) -> None:
        self._pipeline = pipeline
        self._facts = facts
        self._compiler = compiler_of(pipeline)
        self._secrets = secrets(pipeline)
        self._common: dict[str, Any] | None = None
        self._globs: dict[tuple[str, ...], str | None] = {}
        self._foreign = Foreign(pipeline)

    def verdict(
        self,
        stage_index: int,
        outcome_of: Callable[[str], str | None],
        outputs_of: Callable[[str], Mapping[str, str]],
        run_outcome: str,
    ) -> Verdict:
        """What is to become of a stage whose needs are done. `outcome_of` gives None for a stage that has not ended,
        `run_outcome` is how the run would end if it ended now."""

        if self._is_foreign(stage_index):
            return self._foreign_verdict(stage_index, Past(outcome_of, outputs_of, run_outcome)) or Verdict("run")

        def stages(name: str) -> Any:
            outcome = outcome_of(name)
            return None if outcome is None else {"outcome": outcome, "outputs": dict(outputs_of(name))}

        return self._judge(stage_index, stages, run_outcome)

    def foresee(self, stage_index: int) -> Verdict | None:
        """The verdict before anything has run; None where it depends on what stages do."""
        if self._is_foreign(stage_index):
            return self._foreign_verdict(stage_index, None)
        try:
            return self._judge(stage_index, None, None)
        except _Unknown:
            return None

    def explain(self, stage_index: int) -> str:
        """One sentence for `--dry-run`; empty for a stage without a condition."""
        stage = self._pipeline.stages[stage_index]
        if stage.when is None and not stage.changed:
            return ""
        verdict = self.foresee(stage_index)
        if verdict is None:
            return self._decided_later(stage)
        facts = self._facts_of(stage)
        if verdict.verdict == "run":
            found = self._match(stage) if stage.changed else None
            parts = [verdict.reason] if verdict.reason else []
            parts += [f"changed matches {found}"] if found is not None else []
            word = "when" if stage.when is None else _WORDS.get(stage.when.language, "when")
            parts += [f"{word}: {one_line(shown(stage.when))}{facts}"] if stage.when is not None else []
            return f"runs: {'; '.join(parts)}"
        reason = verdict.reason or ""
        said = f"{reason}{facts}" if reason.startswith(("when: ", "if: ")) and verdict.verdict == "skip" else reason
        return f"{'skipped' if verdict.verdict == 'skip' else 'error'}: {said}"

    def warnings(self) -> tuple[str, ...]:
        """What git could not say, or was cut: to be told once, before the run begins."""
        facts = self._facts
        asked = any(stage.changed for stage in self._pipeline.stages)
        said = [
            facts.note,
            f"changed: {facts.unsaid}, so stages with `changed` run" if asked and facts.unsaid else None,
        ]
        if facts.note == facts.unsaid and asked:
            del said[0]
        return tuple(each for each in said if each)

    # Judging

    def _is_foreign(self, index: int) -> bool:
        when = self._pipeline.stages[index].when
        return when is not None and when.language != "cel"

    def _foreign_verdict(self, index: int, past: Past | None) -> Verdict | None:
        """By a CI system's own rules. `past` None: nothing has run; the verdict may be None then, and only then."""
        stage = self._pipeline.stages[index]
        assert stage.when is not None
        answer = self._foreign.foresee(index) if past is None else self._foreign.judge(stage, past)
        text = f"{_WORDS.get(stage.when.language, 'when')}: {one_line(shown(stage.when))}"
        if answer.mistake is not None:
            return Verdict("error", f"{text}: {one_line(answer.mistake)}")
        if answer.holds is None and past is None:
            return None
        if answer.holds is None:
            return Verdict("error", f"{text}: it speaks of what is not known here")
        because = f": {answer.because}" if answer.because is not None else ""
        return Verdict("run") if answer.holds else Verdict("skip", text + because)

    def _judge(self, index: int, stages: Callable[[str], Any] | None, run_outcome: str | None) -> Verdict:
        """`stages` None: nothing has run. Raises _Unknown, then only."""
        stage = self._pipeline.stages[index]
        reason = None
        if stage.changed:
            if self._facts.changed is None:
                reason = f"changed: {self._facts.unsaid or 'git was not asked'}"
            elif self._match(stage) is None:
                globs = one_line(", ".join(stage.changed))
                return Verdict("skip", f"changed: no file matches {globs} since {self._facts.base}")
        if stage.when is None:
            return Verdict("run", reason)
        text = f"when: {one_line(stage.when.text)}"
        compiled = self._compiler.compile(stage.when)
        if compiled.mistakes:
            return Verdict("error", f"{text}: {compiled.mistakes[0]}")
        try:
            value = cel.evaluate(compiled.tree, self._values(stage, compiled, stages, run_outcome))
        except cel.NoAnswer as why:
            if stages is None and (compiled.stages or compiled.needs("run")):
                raise _Unknown from None
            return Verdict("error", f"{text}: {why}")
        if not isinstance(value, bool):
            return Verdict("error", f"{text}: the answer is neither true nor false")
        return Verdict("run", reason) if value else Verdict("skip", text)

    def _values(
        self, stage: Stage, compiled: Compiled, stages: Callable[[str], Any] | None, run_outcome: str | None
    ) -> dict[str, Any]:
        if self._common is None:
            self._common = common_values(self._facts)
        values = dict(self._common)
        if compiled.needs("env"):
            values.update(cel.values({"env": environment(self._pipeline, self._facts, self._secrets, stage)}))
        if stages is not None:
            named = {name for name, _, _ in compiled.stages}
            known = {name: found for name in named if (found := stages(name)) is not None}
            values.update(cel.values({"stages": known, "run": {"outcome": run_outcome or ""}}))
        return values

    def _match(self, stage: Stage) -> str | None:
        """The first changed file that a glob of the stage matches."""
        if stage.changed not in self._globs:
            self._globs[stage.changed] = Globs(stage.changed).first(self._facts.changed or ())
        return self._globs[stage.changed]

    # Explaining

    def _decided_later(self, stage: Stage) -> str:
        assert stage.when is not None
        names = list(dict.fromkeys(name for name, _, _ in self._compiler.compile(stage.when).stages))
        if not names:
            return "decided when its needs have ended"
        if len(names) == 1:
            return f"decided when {names[0]} has ended"
        return f"decided when {', '.join(names[:-1])} and {names[-1]} have ended"

    def _facts_of(self, stage: Stage) -> str:
        """`: branch is 'dev', event is 'push'`: what the condition speaks of, as it is."""
        if stage.when is None:
            return ""
        if stage.when.language != "cel":
            return self._foreign_facts(stage.when)
        compiled = self._compiler.compile(stage.when)
        env = environment(self._pipeline, self._facts, self._secrets, stage) if compiled.needs("env") else {}
        return facts_in_words(compiled, self._facts, env)

    def _foreign_facts(self, condition: Condition) -> str:
        said = []
        for path in self._foreign.speaks_of(condition):
            value: Any = self._pipeline.context
            for name in path:
                value = value.get(name) if isinstance(value, dict) else None
            if isinstance(value, (str, bool, int, float)):
                said.append(f"{'.'.join(path)} is {repr_of(value)}")
        return f": {', '.join(said[:6])}" if said else ""


def repr_of(value: str | bool | float) -> str:
    """`'dev'`, `true`, `3`."""
    return f"'{one_line(value, FACT_MAX)}'" if isinstance(value, str) else str(value).lower()


def common_values(facts: Facts) -> dict[str, Any]:
    """What is the same for all conditions of a run, as values of the language."""
    is_there = bool(facts.sha)
    commit = {
        "message": facts.message,
        "branch": facts.branch if is_there else "",
        "sha": facts.sha,
        "files": facts.files,
    }
    return cel.values({"params": facts.params, "branch": facts.branch, "event": facts.event, "commit": commit})


def environment(pipeline: Pipeline, facts: Facts, hidden: frozenset[str], stage: Stage | None = None) -> dict[str, str]:
    """The variables that a stage would see, but for secrets and what only an attempt has."""
    env = {**facts.env, **pipeline.env}
    env.update({_variable("PARAM_", name): value for name, value in facts.params.items()})
    if stage is not None:
        env.update(stage.env)
        env.update({_variable("MATRIX_", name): value for name, value in (stage.cell or {}).items()})
    for name in hidden:
        env.pop(name, None)
    return env


def _variable(prefix: str, name: str) -> str:
    """As the engine names them: `MATRIX_` and `python-version` make `MATRIX_PYTHON_VERSION`."""
    return prefix + "".join(c if c.isascii() and c.isalnum() else "_" for c in name.upper())


def facts_in_words(compiled: Compiled, facts: Facts, env: Mapping[str, str]) -> str:
    """`: branch is 'dev'` and so on, of what the expression speaks of and is known before the run."""
    known: dict[tuple[str, ...], object] = {
        ("branch",): facts.branch,
        ("event",): facts.event,
        ("commit", "message"): facts.message,
        ("commit", "branch"): facts.branch if facts.sha else "",
        ("commit", "sha"): facts.sha,
        ("commit", "files"): facts.files,
    }
    said = []
    for atom in compiled.atoms:
        value: object = known.get(atom)
        if len(atom) == 2 and atom[0] in ("params", "env"):
            value = (facts.params if atom[0] == "params" else env).get(atom[1])
        if isinstance(value, str):
            said.append(f"{'.'.join(atom)} is '{one_line(value, FACT_MAX)}'")
        elif isinstance(value, tuple):
            said.append(f"{'.'.join(atom)} has {len(value)} file{'s' if len(value) != 1 else ''}")
    return f": {', '.join(said[:6])}" if said else ""


def one_line(text: str, most: int = TEXT_MAX) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
