"""Who reads what who makes: in plain cases, against a second implementation that tries everything, and in size."""

from __future__ import annotations

import time
from functools import cache
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.graph.artifacts import Link, TooManyLinksError, TooManyPairsError, links, read_of
from stagebook.model.globs import Globs, is_path
from stagebook.model.pipeline import Output

names = st.sampled_from(["a", "b", "ab", "*", "**", "?", "a*", "*b", "[ab]", "[!a]"])
globs = st.builds("/".join, st.lists(names, min_size=1, max_size=3)) | st.sampled_from(["a/", "b/a/", "a/*/"])
#: Every path of up to four names over two letters: the globs above agree on one of these if they do on any.
PATHS = ["/".join(parts) for depth in range(1, 5) for parts in product(["a", "b", "ab", "c", "cb", "bb"], repeat=depth)]


def meet(one: str, other: str) -> bool:
    return bool(links([[one], []], [[], [Output(other)]], 9)[0])


@pytest.mark.parametrize(
    ("read", "made"),
    [
        ("dist/app.whl", "dist/app.whl"),
        ("dist/*.whl", "dist/app.whl"),
        ("dist/app.whl", "dist/*.whl"),
        ("dist/app.whl", "dist"),
        ("dist", "dist/app.whl"),
        ("dist/*", "dist"),
        ("dist", "dist/*"),
        ("dist/", "dist"),
        ("dist", "dist/"),
        ("dist/", "dist/a/b"),
        ("dist/a/b", "dist/"),
        ("**", "dist/app.whl"),
        ("**/*.whl", "dist/app.whl"),
        ("**/*.whl", "app.whl"),
        ("**/*.whl", "dist/*"),
        ("a/**/z", "a/z"),
        ("a/**/z", "a/*"),
        ("*/x", "a/?"),
        ("dist/app-*", "dist/*-1.0"),
        ("[a-c]x", "[c-e]x"),
        ("[!a]x", "?x"),
        ("a/**", "**/b"),
        ("sub/dist/", "sub"),
    ],
)
def test_these_meet(read: str, made: str) -> None:
    assert meet(read, made)


@pytest.mark.parametrize(
    ("read", "made"),
    [
        ("dist/app.whl", "dist/app.wh"),
        ("dist", "dist2/app.whl"),
        ("dist2/x", "dist"),
        ("dist/*.whl", "dist/*.txt"),
        ("dist/*", "dist/a/b"),
        ("**/*.whl", "dist"),  # nothing is guessed of what a folder may hold
        ("dist/**", "src/**"),
        ("[a-b]x", "[c-e]x"),
        ("[!a]x", "ax"),
        ("a/**/z", "a/b"),
        ("*", "a/b"),
        ("di*/x", "dist"),
    ],
)
def test_these_do_not(read: str, made: str) -> None:
    assert not meet(read, made)


def by_trying(read: str, made: str) -> bool:
    plain = [is_path(each) and not each.endswith("/") for each in (read, made)]
    if all(plain):
        return read == made or read.startswith(made + "/") or made.startswith(read + "/")
    if any(plain):
        path, glob = (read, made) if plain[0] else (made, read)
        lead = glob[: min(glob.find(wild) for wild in "*?[" if wild in glob)] if not is_path(glob) else glob
        return Globs([glob]).first([path]) is not None or lead.startswith(path + "/")
    return not matched(read).isdisjoint(matched(made))


@cache
def matched(glob: str) -> frozenset[str]:
    held = Globs([glob])
    return frozenset(path for path in PATHS if held.first([path]))


@given(globs, globs)
def test_two_globs_meet_where_trying_everything_finds_a_path(read: str, made: str) -> None:
    assert meet(read, made) is by_trying(read, made)


stages = st.lists(
    st.tuples(st.lists(globs, max_size=3), st.lists(st.tuples(globs, st.booleans()), max_size=3)), max_size=7
)


@given(stages)
def test_no_pair_is_lost_among_many(held: list[tuple[list[str], list[tuple[str, bool]]]]) -> None:
    found = links([each[0] for each in held], [[Output(*output) for output in each[1]] for each in held], 10_000)
    for stage, (inputs, _) in enumerate(held):
        wanted = {}
        for maker, (_, outputs) in enumerate(held):
            met = [
                (entry, number, early)
                for entry, glob in enumerate(inputs)
                for number, (path, early) in enumerate(outputs)
                if by_trying(glob, path)
            ]
            if met and maker != stage:
                wanted[maker] = (min(met)[0], all(early for _, _, early in met))
        assert {maker: (link.entry, link.early) for maker, link in found[stage].items()} == wanted


def test_a_link_tells_by_which_input_over_which_path_and_whether_all_of_it_is_early() -> None:
    outputs = [[Output("dist/a.whl", True), Output("dist/b.whl", True)], [Output("log/*.txt")], [Output("dist/c.whl")]]
    inputs: list[list[str]] = [[], [], [], ["dist/*", "log/x.txt"], ["dist/a.whl", "dist"], ["**/*.txt"]]
    found = links(inputs, [*outputs, [], [], []], 99)
    assert found[3] == {
        0: Link(0, "dist/a.whl", True),
        1: Link(1, "log/x.txt", False),
        2: Link(0, "dist/c.whl", False),
    }
    assert found[4] == {0: Link(0, "dist/a.whl", True), 2: Link(1, "dist/c.whl", False)}
    assert found[5] == {1: Link(0, "log/*.txt", False)}


def test_what_is_read_early_and_late_is_late() -> None:
    found = links([[], ["a", "b"]], [[Output("a", True), Output("b")], []], 9)
    assert found[1] == {0: Link(0, "a", False)}


def test_the_outputs_of_one_stage_that_another_reads() -> None:
    outputs = [Output("dist/a.whl", True), Output("log/*.txt"), Output("dist/b.zip", True)]
    assert read_of(["dist/*.whl", "log/"], outputs) == outputs[:2]
    assert read_of(["src"], outputs) == []


def test_nobody_reads_from_itself() -> None:
    found = links([["a*"], ["a*"]], [[Output("a1")], [Output("a2")]], 9)
    assert [list(each) for each in found] == [[1], [0]]


CHAINS = {
    "paths": ("out/{before}.o", "out/{at}.o"),
    "globs of paths": ("out/{before}/*.o", "out/{at}/x.o"),
    "paths of globs": ("out/{before}/x.o", "out/{at}/*.o"),
    "globs": ("out/{before}/**/*.o", "out/{at}/*.o"),
    "ends": ("**/x{before}.o", "**/x{at}.o"),
    "names": ("**/x{before}_*.o", "gen/x{at}_.o"),
}


@pytest.mark.parametrize("kind", CHAINS)
def test_ten_thousand_are_not_held_against_each_other(kind: str) -> None:
    """Whatever tells them apart: about ten thousand comparisons, not a hundred million."""
    read, made = CHAINS[kind]
    count = 10_000
    start = time.process_time()
    found = links(
        [[read.format(before=at - 1)] if at else [] for at in range(count)],
        [[Output(made.format(at=at))] for at in range(count)],
        count,
    )
    assert all(list(each) == [at - 1] for at, each in enumerate(found) if at)
    assert time.process_time() - start < 5


def test_more_than_is_allowed_is_refused_soon() -> None:
    many = [[Output(f"out/{at}")] for at in range(2000)]
    with pytest.raises(TooManyLinksError):
        links([["out/*"]] * 2000, many, 100_000)
    start = time.process_time()
    with pytest.raises(TooManyPairsError):
        links([[f"*a{at}b*"] for at in range(20_000)], [[Output(f"*b{at}a*")] for at in range(20_000)], 10**9)
    with pytest.raises(TooManyPairsError):
        links(
            [["*a" * 1000 + f"{at}/*"] for at in range(300)],
            [[Output("*b" * 1000 + f"{at}/*")] for at in range(300)],
            9,
        )
    assert time.process_time() - start < 30
