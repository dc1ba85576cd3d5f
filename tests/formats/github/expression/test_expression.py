"""Expressions of GitHub Actions through the package's door: what is known when it is read, places, limits, texts."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.formats.github.expression import (
    UNKNOWN,
    ExpressionError,
    Open,
    calls,
    condition,
    evaluate,
    fill,
    has_status,
    parse,
    references,
    template,
    to_json,
    truth,
)


def value(text: str, **contexts: Any) -> Any:
    return evaluate(parse(text), contexts)


# What is known before a run


def test_a_context_that_is_not_given_is_unknown_and_a_key_that_is_missing_is_null() -> None:
    assert value("needs.a.outputs.x") is UNKNOWN
    assert value("github.nothing", github={}) is None
    assert value("github.token", github=Open(ref="x")) is UNKNOWN
    assert value("github.REF", github=Open(ref="x")) == "x"


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("github.ref == 'a' && needs.x.result == 'y'", None),
        ("github.ref == 'b' && needs.x.result == 'y'", False),
        ("needs.x.result == 'y' && github.ref == 'b'", False),
        ("needs.x.result == 'y' || github.ref == 'a'", True),
        ("!(needs.x.result == 'y' || github.ref == 'a')", False),
        ("!needs.x.result", None),
        ("always()", None),
        ("hashFiles('x') && false", False),
        ("contains(needs.*.result, 'failure')", None),
        ("format('{0}', needs.x.result) == 'y'", None),
        ("fromJSON(github.list)[1]", True),
    ],
)
def test_what_is_known_may_decide_though_the_rest_is_not(text: str, held: bool | None) -> None:
    assert truth(parse(text), {"github": {"ref": "a", "list": "[0, 1]"}}) is held


def test_functions_are_answered_by_whoever_can() -> None:
    functions = {"hashfiles": lambda *globs: "-".join(globs), "success": lambda: False}
    assert evaluate(parse("HashFiles('a', 'b')"), {}, functions) == "a-b"
    assert truth(parse("success() || failure()"), {}, functions) is None


@given(st.sampled_from(["&&", "||"]), st.lists(st.sampled_from([True, False, None]), min_size=2, max_size=5))
def test_truth_is_what_holds_whatever_the_unknown_turns_out_to_be(operator: str, parts: list[bool | None]) -> None:
    tree = parse(f" {operator} ".join(f"c.v{place}" for place in range(len(parts))))
    known = Open({f"v{place}": part for place, part in enumerate(parts) if part is not None})
    found = truth(tree, {"c": known})
    worlds = {
        truth(tree, {"c": {f"v{place}": guess if part is None else part for place, part in enumerate(parts)}})
        for guess in (True, False)
    }
    if found is not None:
        assert worlds == {found}
    else:
        assert None in parts


# What it speaks of


def test_references_are_whole_paths_with_their_places() -> None:
    tree = parse("a.b['c-d'].*.e || f(g[h.i]).j == x[0]", functions={"f": (1, 1)})
    assert [(each.path, each.offset) for each in references(tree)] == [
        (("a", "b", "c-d", "*", "e"), 0),
        (("g", "[]"), 20),
        (("h", "i"), 22),
        (("x", "0"), 33),
    ]


def test_calls_and_status_functions() -> None:
    tree = parse("contains(github.ref, 'x') && !Cancelled()")
    assert [(each.name, each.offset, each.arguments) for each in calls(tree)] == [
        ("contains", 0, 2),
        ("cancelled", 30, 0),
    ]
    assert has_status(tree)
    assert not has_status(parse("github.ref == 'success()'"))


# What is wrong


@pytest.mark.parametrize(
    ("text", "offset", "said"),
    [
        ("a ==", 2, "ends after `==`"),
        ("a b", 2, "unexpected `b`"),
        ('github.ref == "x"', 14, "quoted with '…'"),
        ("'open", 0, "closing quote"),
        ("nope('x')", 0, "unknown function `nope`"),
        ("contains('x')", 0, "at least 2"),
        ("toJSON(1, 2)", 0, "at most 1"),
        ("case(true, 1)", 0, "at least 3"),
        ("(a", 1, "ends after `a`"),
        ("github.", 6, "ends after `.`"),
        ("a = b", 2, "unexpected `=`"),
    ],
)
def test_errors_name_the_place(text: str, offset: int, said: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse(text)
    assert refused.value.offset == offset
    assert said in str(refused.value)


def test_names_that_have_no_meaning_in_a_place_are_refused_there() -> None:
    with pytest.raises(ExpressionError, match="unknown name `secrets`") as refused:
        parse("github.ref && secrets.X", contexts=("github",))
    assert refused.value.offset == 14


def test_errors_in_a_text_are_placed_in_the_whole_text() -> None:
    with pytest.raises(ExpressionError) as refused:
        template("ab ${{ x }} ${{ y ! }}")
    assert refused.value.offset == 18
    with pytest.raises(ExpressionError, match="closing") as refused:
        template("ab ${{ x")
    assert refused.value.offset == 3
    with pytest.raises(ExpressionError, match="nothing between") as refused:
        template("ab ${{ }}")
    assert refused.value.offset == 6


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "1" + ")" * 10_000,
        "!" * 20_000 + "1",
        "a" + "[a" * 5_000 + "]" * 5_000,
        "a" + ".b" * 9_000,
        "x" * 30_000,
        "-" * 20_000,
        "1 == " * 3_000 + "1",
        "f(" * 9_000,
    ],
)
def test_bombs_of_syntax_are_refused_quickly(text: str) -> None:
    began = time.process_time()
    with pytest.raises(ExpressionError):
        parse(text)
    assert time.process_time() - began < 1


def test_bombs_of_memory_are_refused() -> None:
    text = "'0123456789'"
    for _ in range(40):
        text = f"format('{{0}}{{0}}', {text})"
    with pytest.raises(ExpressionError, match="10 MiB"):
        value(text)
    deep = "[" * 50_000
    with pytest.raises(ExpressionError):
        value("fromJSON(x.y)", x={"y": deep})
    wide: Any = ["x" * 1000]
    for _ in range(30):
        wide = [wide, wide]
    with pytest.raises(ExpressionError):
        value("toJSON(x)", x=wide)


@given(st.text(max_size=40))
def test_any_text_has_a_tree_or_an_error_with_its_place(text: str) -> None:
    refused: ExpressionError | None = None
    try:
        evaluate(parse(text), {})
    except ExpressionError as error:
        refused = error
    assert refused is None or refused.offset is None or 0 <= refused.offset <= len(text)


# Texts with expressions in them


def test_an_expression_alone_keeps_its_kind_and_others_make_text() -> None:
    contexts = {"matrix": {"n": 3, "list": [1], "none": None, "yes": True}}
    assert fill("${{ matrix.n }}", contexts) == 3
    assert fill("${{ matrix.list }}", contexts) == [1]
    assert fill("v${{ matrix.n }}-${{ matrix.yes }}${{ matrix.none }}", contexts) == "v3-true"
    assert fill("${{ matrix.n }} ", contexts) == "3 "
    assert fill("no expression, $x {{ y }}", contexts) == "no expression, $x {{ y }}"
    assert fill("${{ '}}' }}", contexts) == "}}"
    assert fill("a${{ needs.x.result }}", contexts) is UNKNOWN


def test_a_condition_is_with_or_without_braces() -> None:
    for text in ("github.ref == 'x'", "${{ github.ref == 'x' }}"):
        assert truth(condition(text), {"github": {"ref": "y"}}) is False
    assert truth(condition("${{ false }} && true"), {}) is True, "as the system has it: a text that is not empty"
    assert truth(condition(""), {}) is False


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**14), 10**14) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=12,
    )
)
def test_json_comes_back_as_it_went(thing: Any) -> None:
    assert evaluate(parse("fromJSON(x.text)"), {"x": {"text": to_json(thing)}}) == thing
