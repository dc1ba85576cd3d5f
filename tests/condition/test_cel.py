"""What expressions mean, and that no expression, however it is made, takes long or much memory."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.condition.reading import NAMES, value, why_not

from stagebook.condition import cel, meaning

VALUES = cel.values({**NAMES, "commit": {"message": "Fix it", "files": ("a", "b.py", "\udcff")}})


@pytest.mark.parametrize(
    "text",
    [
        "branch == 'main' && params.channel != 'beta'",
        'branch == "main" ? event == "push" : false',
        "params['channel'] in ['stable', 'beta']",
        "stages['build'].outcome == 'success' && stages.build.outputs.version == '1.2'",
        "has(env.CI) && !has(env.NIX)",
        "commit.message.contains('Fix') && commit.message.startsWith('F') && commit.message.endsWith('it')",
        "commit.message.matches('^Fix +it$') && matches(branch, 'ai')",
        "commit.files.exists(f, f.endsWith('.py')) && !commit.files.all(f, f.startsWith('docs/'))",
        "commit.files.filter(f, f.contains('part77/')).size() == 1",
        "commit.files.exists_one(f, f == 'src/part1/module.py')",
        "['a', 'b'].map(x, x + '!') == ['a!', 'b!'] && [1, 2, 3].map(n, n > 1, n * 2) == [4, 6]",
        "size(commit.files) == 10000 && commit.files[0] == 'src/part0/module.py'",
        "int('12') + 3 * 2 == 18 && 7 / 2 == 3 && -7 % 3 == -1 && 1.5 < 2.0",
        "string(7) == '7' && 0x10 == 16 && 'a' < 'b'",
        "{'a': 1, 'b': 2}.a == 1 && 'a' in {'a': 1}",
        "null == null",
        "'\\u00e9' == 'é' && r'\\d' == '\\\\d' && '''a\nb'''.contains('\\n')",
        "// all is well\ntrue",
        "[1].all(x, [2].all(y, x < y)) && ['x'].exists(branch, branch == 'x') && branch == 'main'",
        "type(1) == int",
    ],
)
def test_what_is_true(text: str) -> None:
    assert value(text) is True


@pytest.mark.parametrize("text", ["true || 1 / 0 == 1", "1 / 0 == 1 || true", "!(false && 1 / 0 == 1)"])
def test_an_error_on_one_side_does_not_count_where_the_other_decides(text: str) -> None:
    assert value(text) is True


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 / 0 == 1", "division by zero"),
        ("1 % 0 == 1", "division by zero"),
        ("false || 1 / 0 == 1", "division by zero"),
        ("stages['build'].outputs.name == 'x'", "no such key: name"),
        ("stages['test'].outcome == 'success'", "no such key: test"),
        ("env.HOME == '/'", "no such key: HOME"),
        ("commit.files[10000] == ''", "no such index: 10000"),
        ("9223372036854775807 + 1 == 0", "+: out of range"),
        ("9223372036854775808 == 0", "9223372036854775808 is out of range"),
        ("int(branch) == 1", "int: the value cannot be converted"),
        ("branch && true", "&&: true or false expected"),
        ("!branch", "!: true or false expected"),
        ("branch.matches('(')", "bad pattern: missing ): ("),
        ("branch < 1", "<: the values are of types that do not fit"),
        ("branch.size().x", ".x: the value has no fields"),
        ("commit.files.exists(f, 1 / 0 == 1)", "division by zero"),
        ("commit.files.map(f, f.x) == []", ".x: the value has no fields"),
        ("{[1]: 2} == {}", "a list or mapping cannot be a key"),
        ("nothing", "unknown name nothing"),
        ("f(1)", "unknown function f()"),
        ("branch.f()", "unknown function f()"),
        ("branch.exists(x, true)", "exists: a list expected"),
        ("timestamp('yesterday') == timestamp('today')", "timestamp: the value cannot be converted"),
    ],
)
def test_what_has_no_value_says_why(text: str, why: str) -> None:
    assert why_not(text) == why


@pytest.mark.parametrize(
    ("text", "line", "col", "said"),
    [
        ("", 1, 1, "the expression is empty"),
        ("branch ==", 1, 10, "the expression ends too early"),
        ("branch = 'x'", 1, 8, "unexpected '=', did you mean '=='?"),
        ("branch == 'x' and true", 1, 15, "unexpected 'and', did you mean '&&'?"),
        ("a &\n  b", 1, 3, "unexpected '&', did you mean '&&'?"),
        ("a &&\n  )", 2, 3, "unexpected ')'"),
        ("branch == 'x", 1, 11, "a text begins here with ' and does not end"),
        ("(((", 1, 4, "the expression ends too early"),
        ("${{ branch }}", 1, 1, "unexpected '$'"),
        ("x" * 5000, 1, 1, "the expression has 5000 characters, the limit is 4096"),
        ("(" * 300 + "true" + ")" * 300, 1, 101, "the expression is nested more than 200 deep"),
        ("!" * 300 + "true", 1, 201, "the expression is nested more than 200 deep"),
        ("||".join(["a"] * 300), 1, None, "the expression is nested more than 200 deep"),
        ("[" + ",".join("1" * 1500) + "].size() == 1", 1, None, "the expression is made of more than 2000 parts"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(text: str, line: int, col: int | None, said: str) -> None:
    with pytest.raises(cel.Mistake) as refused:
        cel.parse(text)
    assert str(refused.value).startswith(said)
    assert refused.value.line == line
    assert col is None or refused.value.col == col


def test_a_megabyte_is_refused_at_once() -> None:
    cel.parse("true")
    began = time.process_time()
    with pytest.raises(cel.Mistake, match="1048576 characters, the limit is 4096"):
        cel.parse("(" * 2**20)
    assert time.process_time() - began < 0.05


def test_deep_chains_below_the_limit_are_read_and_evaluated() -> None:
    assert value("(" * 95 + "true" + ")" * 95) is True
    assert value(" || ".join(["false"] * 198 + ["true"])) is True


@pytest.mark.parametrize("text", ["'a'", "1", "null", "[true]", "branch", "commit"])
def test_an_answer_that_is_no_bool_is_told_from_one(text: str) -> None:
    assert not isinstance(value(text), bool)


HOSTILE = [
    "commit.files.all(f, commit.files.all(g, commit.files.all(h, f + g != h)))",
    "commit.files.all(f, f in commit.files)",
    "commit.files.exists(f, commit.files == commit.files.map(g, g))",
    "commit.files.map(f, commit.files) == commit.files.map(f, commit.files)",
    "commit.files.map(f, commit.message + commit.message).size() > 1",
    "commit.files.all(f, !commit.message.matches('(x+x+)+y'))",
    "commit.files.all(f, 1 / 0 == 1)",
    "commit.files.exists(f, f.nothing == commit.files)",
    "commit.files.map(f, commit.files + commit.files).size() > 1",
    "['a'].exists(a, " * 60 + "commit.files.exists(f, 1 / 0 == 1)" + ")" * 60,
]


def test_hostile_expressions_end_soon_and_in_little_memory() -> None:
    """In a process of its own, with as little memory as it may need and a minute of processor time for all."""
    program = f"""
from stagebook.condition import cel
from tests.condition.reading import NAMES
names = {{**NAMES, "commit": {{**NAMES["commit"], "message": "x" * 65536}}}}
values = cel.values(names)
for text in {HOSTILE!r}:
    try:
        print(cel.evaluate(cel.parse(text), values))
    except cel.NoAnswer as why:
        print(why)
"""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))

    done = subprocess.run(
        [sys.executable, "-c", program], preexec_fn=limit, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == len(HOSTILE)
    assert said.count("more than 1000000 steps, which is the limit") >= 4


def test_a_pattern_that_would_take_for_ever_elsewhere_is_linear() -> None:
    began = time.process_time()
    text = "x" * 60
    assert cel.evaluate(cel.parse(f"'{text}'.matches('^(x+x+)+y$')"), {}) is False
    assert time.process_time() - began < 1


def test_nothing_is_told_to_standard_error_by_the_library(capfd: pytest.CaptureFixture[str]) -> None:
    assert why_not("branch.matches('(')") == "bad pattern: missing ): ("
    assert capfd.readouterr() == ("", "")


WORDS = st.sampled_from(
    "( ) [ ] { } , . : ? ! - + / % < == in && || 1 0 -9223372036854775808 1.5 2u 'a' b'\\xff' r'\\d' true null branch "
    "params.channel commit commit.files env stages stages['build'] stages['build'].outcome run.outcome f .size() "
    ".matches( .contains( .exists(f, .map(f, .all(f, has( size( int( string( timestamp( type( dyn( ['channel'] [0] .x "
    "// \\ ' \" \n".split(" ")
)
LEAVES = st.sampled_from(
    "1 0 -1 1.5 2u 'a' '(' '1s' '2026-01-01T00:00:00Z' b'x' true null branch params commit.files env [] {} int".split()
)
OPERATORS = st.sampled_from("+ - * / % < <= == != in && ||".split())
METHODS = st.sampled_from("contains matches endsWith startsWith".split())
NO_ARGUMENT = st.sampled_from("size getFullYear getHours getSeconds".split())
FUNCTIONS = st.sampled_from(sorted(set(cel.FUNCTIONS) - {"has", "matches"}))
#: Expressions whose types cannot be told beforehand, so that all that can go wrong does so when they are evaluated.
DYNAMIC = st.recursive(
    LEAVES.map("dyn({})".format),
    lambda inner: st.one_of(
        st.tuples(inner, OPERATORS, inner).map("dyn({0[0]} {0[1]} {0[2]})".format),
        st.tuples(inner, NO_ARGUMENT).map("dyn({0[0]}.{0[1]}())".format),
        st.tuples(inner, METHODS, inner).map("dyn({0[0]}.{0[1]}({0[2]}))".format),
        st.tuples(inner, st.sampled_from(cel.MACROS), inner).map("dyn({0[0]}.{0[1]}(v, {0[2]}))".format),
        st.tuples(FUNCTIONS, inner).map("dyn({0[0]}({0[1]}))".format),
        st.tuples(inner, inner, inner).map("dyn({0[0]} ? {0[1]} : {0[2]})".format),
        st.tuples(inner, inner).map("dyn([{0[0]}, {0[1]}][{0[0]}])".format),
        st.tuples(inner, inner).map("dyn({{{0[0]}: {0[1]}}}[{0[0]}])".format),
        st.sampled_from(["!{}", "-{}", "has({}.x)", "{}.x"]).flatmap(lambda form: inner.map(form.format)),
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(st.one_of(st.lists(WORDS, max_size=12).map(" ".join), DYNAMIC, st.text(max_size=30)))
def test_whatever_is_written_there_is_a_mistake_an_answer_or_a_reason(text: str) -> None:
    """No other exception, and no place before the first character."""
    places, reason = [(1, 1)], "there is an answer"
    try:
        tree = cel.parse(text)
        mistakes = meaning.read(tree, meaning.Names({"channel": ()})).mistakes
        places += [(mistake.line, mistake.col) for mistake in mistakes]
        if not mistakes:
            cel.evaluate(tree, VALUES)
    except cel.Mistake as mistake:
        places.append((mistake.line, mistake.col))
    except cel.NoAnswer as why:
        reason = str(why)
    assert min(min(place) for place in places) >= 1
    assert reason
