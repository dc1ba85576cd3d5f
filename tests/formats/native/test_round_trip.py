"""What is written comes back: any stage, as JSON and as YAML, with hostile text in every place that takes text."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.formats.native.reading import read

from stagebook.model import plain
from stagebook.model.quantity import size_text

#: Anything that a file can hold: no control characters but tab and line feed, which quotes escape.
letters = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029\ufeff\ufffe\uffff")
words = st.text(letters, min_size=1, max_size=12).filter(lambda text: not text.isspace())
values = st.text(letters | st.sampled_from("\t\n\"'\\$`{}[]:#&*!|>%@-"), max_size=12)
names = words.filter(lambda name: not set(name) & set("[]") and name not in ("parallel", "sequence", "<<"))
variables = st.text(st.sampled_from("ABCXYZ_0189"), min_size=1, max_size=8)
durations = st.integers(1, 10**9)

stages = st.fixed_dictionaries(
    {"run": words.filter(lambda text: "${{" not in text)},
    optional={
        "priority": st.integers(-(10**6), 10**6),
        "env": st.dictionaries(variables, values, max_size=3),
        "timeout": durations.map(lambda ms: f"{ms}ms"),
        "grace": durations.map(lambda ms: f"{ms}ms"),
        "resources": st.fixed_dictionaries(
            {},
            optional={
                "cpu": st.integers(1, 9000).map(lambda milli: milli / 1000),
                "memory": st.integers(1, 2**50).map(size_text),
            },
        ),
        "retry": st.fixed_dictionaries({"attempts": st.integers(1, 100)}, optional={"only": st.just(["timeout"])}),
        "locks": st.dictionaries(words, st.sampled_from(["exclusive", "shared"]), max_size=2),
        "join": st.sampled_from(["all", "any", "done"]),
        "shell": st.sampled_from(["auto", "always", "bash"]),
        "dir": words,
        "always": st.booleans(),
        "critical": st.booleans(),
        "allow-failure": st.booleans(),
        "ordering": words.map(lambda text: {"strict": text}),
    },
)


@given(st.dictionaries(names, stages, min_size=1, max_size=4), st.booleans(), st.data())
def test_a_file_comes_back_as_it_was_written(written: dict[str, dict[str, Any]], as_json: bool, data: Any) -> None:
    order = list(written)
    for index, name in enumerate(order):
        if index:
            written[name]["needs"] = data.draw(st.lists(st.sampled_from(order[:index]), unique=True))
    document = {"stages": written}
    if as_json:
        text = json.dumps(document, ensure_ascii=False)
    else:
        text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    pipeline = read(text)
    assert [each.id for each in pipeline.stages] == order
    for stage in pipeline.stages:
        said = written[stage.id]
        assert (stage.kind, stage.command) == ("run", said["run"])
        assert list(stage.needs) == said.get("needs", [])
        assert stage.priority == said.get("priority", 0)
        assert stage.env == said.get("env", {})
        assert stage.timeouts.attempt_ms == (int(said["timeout"][:-2]) if "timeout" in said else None)
        assert stage.grace_ms == (int(said["grace"][:-2]) if "grace" in said else 10_000)
        demand = said.get("resources", {})
        assert stage.resources.cpu_milli == round(demand.get("cpu", 0) * 1000)
        assert size_text(stage.resources.memory_bytes) == demand.get("memory", "0B")
        assert stage.retry.attempts == said.get("retry", {}).get("attempts", 1)
        assert list(stage.retry.only) == said.get("retry", {}).get("only", [])
        assert stage.locks == said.get("locks", {})
        assert (stage.join, stage.shell) == (said.get("join", "all"), said.get("shell", "auto"))
        assert stage.dir == said.get("dir")
        assert (stage.always, stage.critical) == (said.get("always", False), said.get("critical", False))
        assert stage.allow_failure == said.get("allow-failure", False)
        assert stage.ordering == said.get("ordering", {}).get("strict")
    assert plain.from_plain(json.loads(json.dumps(plain.to_plain(pipeline)))) == pipeline
