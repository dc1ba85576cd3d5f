"""Which policy holds here: the first rule of the file that is true. What a policy means: `scheduler`."""

from __future__ import annotations

from stagebook.condition import cel
from stagebook.condition.court import common_values, environment, facts_in_words, one_line
from stagebook.condition.expression import compiler_of, secrets
from stagebook.condition.facts import Facts
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import InputError, Problem


def choose(pipeline: Pipeline, facts: Facts) -> tuple[str, str] | None:
    """The policy and why, as `branch == 'main' (line 4): branch is 'main'`; None where the file has no rules or none
    holds, so that `Pipeline.policy` does. Raises InputError for a rule that has no answer."""
    if not pipeline.policies:
        return None
    compiler, hidden = compiler_of(pipeline), secrets(pipeline)
    values = common_values(facts)
    env = environment(pipeline, facts, hidden)
    values.update(cel.values({"env": env}))
    for rule in pipeline.policies:
        if rule.when is None:
            return rule.use, "no rule before it holds"
        compiled = compiler.compile(rule.when, is_early=True)
        text = one_line(rule.when.text)
        try:
            if compiled.mistakes:
                raise cel.NoAnswer(str(compiled.mistakes[0]))
            value = cel.evaluate(compiled.tree, values)
            if not isinstance(value, bool):
                raise cel.NoAnswer("the answer is neither true nor false")
        except cel.NoAnswer as why:
            message = f"policy: when: {text}: {why}"
            place = (pipeline.file, rule.when.line, rule.when.col)
            raise InputError(message, [Problem(*place, "condition", "error", message)]) from None
        if value:
            return rule.use, f"{text} (line {rule.when.line}){facts_in_words(compiled, facts, env)}"
    return None
