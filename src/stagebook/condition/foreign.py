"""Conditions in the languages of CI systems: `if` of GitHub's jobs, `when: on_failure` of GitLab's. Knows no CEL and
no git; who asks is `court`.
"""

from __future__ import annotations

from stagebook.model.pipeline import Condition, Pipeline, Stage
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Mapping

    from stagebook.formats.github import ended as ends

GITHUB, GITLAB = "github", "gitlab"
MANUAL = "manual"  #: GitLab's word for what only a person starts: one that is not started does not hold


_DID = {"failure": "failed", "cancelled": "was cancelled", "skipped": "was skipped"}


class Answer(NamedTuple):
    """`holds` None: it depends on what is not known yet. `mistake`: why there is no answer. `because`: which job before
    it is to blame, where it does not hold as not all went well."""

    holds: bool | None
    mistake: str | None = None
    because: str | None = None


class Past(NamedTuple):
    """What is known of other stages when a condition is judged. `outcome_of` is None for one that has not ended."""

    outcome_of: Callable[[str], str | None]
    outputs_of: Callable[[str], Mapping[str, str]]
    run_outcome: str | None  #: None: nothing has run


_PUT_BEFORE = "success() && ("


def shown(condition: Condition) -> str:
    """The text as its file has it, without what a reader has put before it for needs that may be left out."""
    text = condition.text
    if condition.language == GITHUB and text.startswith(_PUT_BEFORE) and text.endswith(")"):
        return text[len(_PUT_BEFORE) : -1]
    return text


class Foreign:
    """The judge of the conditions of one pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._places = {stage.id: index for index, stage in enumerate(pipeline.stages)}
        self._trees: dict[str, Any] = {}
        self._foreseen: dict[int, Answer] = {}

    def judge(self, stage: Stage, past: Past) -> Answer:
        """Whether the condition of a stage holds."""
        assert stage.when is not None
        if stage.when.language == GITLAB:
            if stage.when.text == MANUAL:
                return Answer(False)
            return self._on_failure(stage, past)
        return self._github(stage, stage.when, past)

    def foresee(self, index: int) -> Answer:
        """The same before anything has run. A stage that is foreseen to be left out is known to those after it."""
        past = Past(self._foreseen_outcome, lambda name: {}, None)
        for each in self._unforeseen(index):
            self._foreseen[each] = self.judge(self._pipeline.stages[each], past)
        return self._foreseen[index]

    def _unforeseen(self, index: int) -> Iterator[int]:
        """This stage and those before it that have conditions of this room and are not foreseen yet, needs first."""
        todo = [(index, False)]
        seen: set[int] = set()
        while todo:
            at, is_ready = todo.pop()
            if is_ready:
                yield at
            elif at not in seen and at not in self._foreseen:
                seen.add(at)
                stage = self._pipeline.stages[at]
                if stage.when is not None and stage.when.language in (GITHUB, GITLAB):
                    todo.append((at, True))
                todo += [(self._places[need], False) for need in stage.needs if need in self._places]

    def speaks_of(self, condition: Condition) -> list[tuple[str, ...]]:
        """The paths that a condition speaks of; none where it is wrong."""
        from stagebook.formats.github import expression

        if condition.language != GITHUB:
            return []
        tree = self._tree(condition.text)
        if isinstance(tree, expression.ExpressionError):
            return []
        return list(dict.fromkeys(each.path for each in expression.references(tree)))

    def _foreseen_outcome(self, name: str) -> str | None:
        index = self._places.get(name)
        if index is None:
            return None
        known = self._foreseen.get(index)
        return "skip" if known is not None and known.holds is False else None

    # GitLab

    def _on_failure(self, stage: Stage, past: Past) -> Answer:
        """Whether a stage before it has failed that may not."""
        outcomes = [
            past.outcome_of(name)
            for name in self._before(stage.needs, _needs)
            if not self._pipeline.stages[self._places[name]].allow_failure
        ]
        if any(outcome in ("failure", "error", "timeout") for outcome in outcomes):
            return Answer(True)
        return Answer(None if None in outcomes and past.run_outcome is None else False)

    # GitHub

    def _github(self, stage: Stage, condition: Condition, past: Past) -> Answer:
        from stagebook.formats.github import ended as ends

        spec: Any = stage.job.spec if stage.job is not None else {}
        base = self._pipeline.context
        ended = self._ended(past)
        outer: list[Any] = []
        call = spec.get("call")
        while call and len(outer) < 20:
            outer.append(call)
            call = call.get("call")
        for call in reversed(outer):
            if call.get("if"):
                answer = self._holds(call["if"], ends.around(base, call, ended), self._stages_of(call), past)
                if answer.holds is not True:
                    return answer
        found = ends.contexts(base, spec, ended)
        before = self._stages_of(spec) if "needs" in spec else list(stage.needs)
        return self._holds(condition.text, found, before, past)

    def _ended(self, past: Past) -> Callable[[str], ends.Ended | None]:
        from stagebook.formats.github.ended import Ended, result_of

        def ended(name: str) -> Ended | None:
            outcome = past.outcome_of(name)
            index = self._places.get(name)
            if outcome is None or index is None:
                return None
            return Ended(result_of(outcome, self._pipeline.stages[index].allow_failure), past.outputs_of(name))

        return ended

    def _holds(self, text: str, contexts: Mapping[str, Any], needs: list[str], past: Past) -> Answer:
        from stagebook.formats.github import expression

        tree = self._tree(text)
        if isinstance(tree, expression.ExpressionError):
            return Answer(False, str(tree))
        ended = self._ended(past)
        before = {name: ended(name) for name in self._before(needs, self._needs_of)}
        results = [None if end is None else end.result for end in before.values()]
        functions = status_functions(results, past.run_outcome)
        try:
            holds = expression.truth(tree, contexts, functions)
            if holds is not False and not expression.has_status(tree):
                is_well = functions["success"]()
                holds = False if is_well is False else None if is_well is expression.UNKNOWN else holds
        except expression.ExpressionError as error:
            return Answer(False, str(error))
        blamed = next((each for each, end in before.items() if end is not None and end.result != "success"), None)
        if holds is False and blamed is not None and (text.startswith("success()") or not expression.has_status(tree)):
            return Answer(False, because=f"{blamed} {_DID[before[blamed].result]}")  # type: ignore[union-attr]
        return Answer(holds)

    def _tree(self, text: str) -> Any:
        """The tree, or the error that it has none."""
        from stagebook.formats.github import expression

        if text not in self._trees:
            try:
                self._trees[text] = expression.condition(text)
            except expression.ExpressionError as error:
                self._trees[text] = error
        return self._trees[text]

    # What comes before

    def _stages_of(self, spec: Mapping[str, Any]) -> list[str]:
        return [name for need in (spec.get("needs") or {}).values() for name in need.get("stages", ())]

    def _needs_of(self, stage: Stage) -> list[str]:
        """The needs that its file has for it: those of a called workflow end at its call."""
        if stage.job is not None and "needs" in stage.job.spec:
            return self._stages_of(stage.job.spec)
        return list(stage.needs)

    def _before(self, names: tuple[str, ...] | list[str], needs_of: Callable[[Stage], Any]) -> list[str]:
        """These and all before them."""
        found: dict[str, None] = {}
        todo = [name for name in names if name in self._places]
        while todo:
            name = todo.pop()
            if name not in found:
                found[name] = None
                todo += [each for each in needs_of(self._pipeline.stages[self._places[name]]) if each in self._places]
        return list(found)


def _needs(stage: Stage) -> tuple[str, ...]:
    return stage.needs


def status_functions(results: list[str | None], run_outcome: str | None) -> dict[str, Callable[..., Any]]:
    """`success()` and its like over results of jobs, None for one not known. `run_outcome` None: nothing has run."""
    from stagebook.formats.github.expression import UNKNOWN

    is_cancelled = run_outcome == "cancellation"

    def success(*_: Any) -> Any:
        if any(each not in (None, "success") for each in results) or is_cancelled:
            return False
        return UNKNOWN if None in results else True

    def failure(*_: Any) -> Any:
        if "failure" in results and not is_cancelled:
            return True
        return UNKNOWN if None in results and not is_cancelled else False

    def cancelled(*_: Any) -> Any:
        return UNKNOWN if run_outcome is None and results else is_cancelled

    return {"success": success, "failure": failure, "cancelled": cancelled, "always": lambda *_: True}
