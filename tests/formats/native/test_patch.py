"""Small edits of native files: what they say afterwards, what stays untouched, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.formats.native.patch import Edits, diff, patched
from stagebook.formats.native.read import parse
from stagebook.model.problem import InputError

LIST = """\
version: 1
# top
stages:
  - checkout: git status   # get
  - lint: ruff check
  # tests
  - unit:
      run: pytest   # run
  - "odd, name": "echo 'a'"
  - script: |
      echo a
      echo b
  - package: make
"""
DAG = """\
version: 1
limits:
  # as many
  share: 80%
stages:
  build: {run: make, outputs: [out]}
  a:
    run: x
    needs: build
  b:
    needs: [build,   a] # c
    run: |
      foo
    when: branch == 'main'
  g: {parallel: [{g1: one}, {g2: two}]}
  c:
    run: z
    needs:
      - a
      # why b
      - b   # this
      - g
    locks: {x: shared}
  d: {run: y, needs: [c], }
"""


def edited(text: str, **edits: Any) -> str:
    return patched(text.encode(), "/x/stagebook.yaml", Edits(**edits)).decode()


def test_an_order_of_a_list_is_loosened_and_the_rest_of_it_kept() -> None:
    text = edited(LIST, without=(("lint", "unit"),), with_=(("checkout", "unit"), ("lint", "odd, name")))
    assert text == LIST.replace(
        "      run: pytest   # run\n", "      run: pytest   # run\n      needs: [checkout]\n"
    ).replace(
        '  - "odd, name": "echo \'a\'"\n', '  - "odd, name":\n      run: "echo \'a\'"\n      needs: [unit, lint]\n'
    )


def test_a_script_of_lines_stays_the_same_script() -> None:
    text = edited(LIST, without=(("odd, name", "script"),), with_=(("unit", "script"), ("odd, name", "package")))
    assert "  - script:\n      needs: [unit]\n      run: |\n        echo a\n        echo b\n  - package:\n" in text


def test_needs_go_where_they_stand() -> None:
    gone = (("build", "a"), ("a", "b"), ("a", "c"), ("g1", "c"), ("c", "d"))
    text = edited(DAG, without=gone, jobs=4)
    assert "  a:\n    run: x\n  b:\n    needs: [build] # c\n" in text
    assert "    needs:\n      # why b\n      - b   # this\n      - g2\n" in text
    assert "  d: {run: y, needs: [], }\n" in text
    assert "  # as many\n  share: 80%\n  jobs: 4\n" in text


def test_jobs_are_set_where_there_are_none_and_where_there_are() -> None:
    text = edited(LIST, jobs=3)
    assert text == LIST.replace("stages:\n", "limits: {jobs: 3}\nstages:\n")
    assert edited(text, jobs=12) == text.replace("jobs: 3", "jobs: 12")


def test_a_lock_joins_others() -> None:
    text = edited(DAG, locks=(("c", "table x"), ("a", "table x"), ("g1", "table x")))
    assert '    locks: {x: shared, "table x": exclusive}\n' in text
    assert '{g1: {run: one, locks: {"table x": exclusive}}}' in text
    assert '  a:\n    run: x\n    locks: {"table x": exclusive}\n    needs: build\n' in text


LINE = """\
version: 1
stages:
  s:
    each:
      items: {range: [1, 9]}
      steps:
        - one: {run: a}   # flows
        - two:
            run: b
            workers: 2   # so far
        - three: c
        - four:
            run: |
              d
  t: {each: {items: {range: [1, 2]}, steps: [{one: x}]}}
"""


def test_workers_are_set_where_steps_stand() -> None:
    text = edited(
        LINE, workers=(("s", "one", 3), ("s", "two", 4), ("s", "three", 5), ("s", "four", 6), ("t", "one", 7))
    )
    assert text == LINE.replace("{run: a}", "{run: a, workers: 3}").replace("workers: 2 ", "workers: 4 ").replace(
        "        - three: c\n", "        - three:\n            run: c\n            workers: 5\n"
    ).replace("        - four:\n", "        - four:\n            workers: 6\n").replace(
        "[{one: x}]", "[{one: {run: x, workers: 7}}]"
    )


def test_other_line_ends_stay() -> None:
    text = edited(LIST.replace("\n", "\r\n"), without=(("checkout", "lint"),), with_=(("checkout", "unit"),))
    assert "\r\n      needs: [lint, checkout]\r\n" in text
    assert text.count("\n") == text.count("\r\n")


def test_a_key_that_says_that_it_is_one_has_the_other_before_it() -> None:
    text = "version: 1\nstages:\n  - a: x\n  - b:\n      ? run\n      : sort x\n      inputs: [x]\n"
    assert edited(text, without=(("a", "b"),)) == text.replace("      ? run\n", "      needs: []\n      ? run\n")


def test_a_file_that_is_json_stays_json() -> None:
    text = json.dumps({"version": 1, "stages": [{"a": "x"}, {"b": {"run": "x"}}, {"c": {"run": "z", "needs": ["b"]}}]})
    made = edited(text, without=(("a", "b"),), with_=(("a", "c"),), jobs=2, locks=(("c", "t"),))
    assert json.loads(made) == {
        "version": 1, "stages": [{"a": "x"}, {"b": {"run": "x", "needs": []}},
                                 {"c": {"run": "z", "needs": ["b", "a"], "locks": {"t": "exclusive"}}}],
        "limits": {"jobs": 2},
    }  # fmt: skip
    scalar = json.dumps({"version": 1, "stages": [{"a": "x"}, {"b": "y"}]})
    assert json.loads(edited(scalar, without=(("a", "b"),)))["stages"][1] == {"b": {"run": "y", "needs": []}}


def test_a_diff_has_the_lines_that_git_and_patch_know() -> None:
    before = b"version: 1\rstages:\r  - a: x\r"
    assert diff(before, before + b"  - b: y\r", "f") == (
        "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-version: 1\rstages:\r  - a: x\r\n\\ No newline at end of file\n"
        "+version: 1\rstages:\r  - a: x\r  - b: y\r\n\\ No newline at end of file\n"
    )
    assert diff("a: '\u2028'\n".encode(), "a: '\u2028b'\n".encode(), "f").count("\n") == 5


@pytest.mark.parametrize(
    ("text", "edits"),
    [
        ("version: 1\nstages:\n  a: x\n  g: {needs: a, parallel: [b: x, c: x]}\n", {"without": (("a", "b"),)}),
        (
            "version: 1\nstages:\n  a: x\n  b: {run: x, needs: &n [a]}\n  c: {run: x, needs: *n}\n",
            {"without": (("a", "c"),)},
        ),
        (
            "version: 1\nstages:\n  a: x\n  m: {run: x, needs: a, matrix: {v: ['1', '2']}}\n",
            {"without": (("a", "m[v=1]"),)},
        ),
        (
            "version: 1\nstages:\n  a: {run: x, outputs: [o]}\n  b: {run: x, inputs: [o]}\n",
            {"without": (("a", "b"),)},
        ),
    ],
)  # fmt: skip
def test_what_no_small_edit_says_is_refused_with_what_to_change(text: str, edits: dict[str, Any]) -> None:
    with pytest.raises(InputError) as refused:
        edited(text, **edits)
    assert "change it by hand so that" in str(refused.value)


def test_a_cycle_is_not_made() -> None:
    with pytest.raises(InputError, match="cycle: odd"):
        edited(LIST, with_=(("script", "odd, name"),))


def test_an_unknown_stage_and_a_file_with_errors_are_refused() -> None:
    with pytest.raises(InputError, match="no stage `nobody`"):
        edited(LIST, without=(("nobody", "unit"),))
    with pytest.raises(InputError, match="has errors"):
        edited("version: 1\nstages: {a: {rum: x}}\n", jobs=3)


@st.composite
def files(draw: Any) -> tuple[str, list[str], list[tuple[str, str]]]:
    """A file, its comments, and its needs."""
    count = draw(st.integers(2, 7))
    names = [draw(st.sampled_from(("s", "on", "a b", "ö", "1.5", "x,y"))) + str(number) for number in range(count)]
    lines, comments, edges = ["version: 1", "stages:"], [], []
    for number, name in enumerate(names):
        needs = sorted(draw(st.sets(st.sampled_from(names[:number]), max_size=3))) if number else []
        edges += [(need, name) for need in needs]
        comment = f"# about {number}"
        comments.append(comment)
        quoted = [f'"{need}"' for need in needs]
        style = draw(st.sampled_from(("block", "flow", "braces", "single")))
        lines.append(f"  {comment}")
        if style == "braces":
            lines.append(f'  "{name}": {{run: "true", needs: [{", ".join(quoted)}]}}')
        elif style == "block" and needs:
            lines += [
                f'  "{name}":',
                "    needs:",
                *(f"    - {need}" for need in quoted),
                "    run: |",
                "      true",
                "",
            ]
        elif style == "single" and len(needs) == 1:
            lines += [f"  '{name}':", "    run: true", f"    needs: {quoted[0]}"]
        elif not needs:
            lines.append(f"  '{name}': echo {number}")
        else:
            lines += [f"  '{name}':", f"    needs: [{' , '.join(quoted)} ]", "    run: >-", "      true"]
    return "\n".join(lines) + draw(st.sampled_from(("\n", ""))), comments, edges


@given(files(), st.data())
def test_any_needs_go_and_all_else_stays(
    made: tuple[str, list[str], list[tuple[str, str]]], data: st.DataObject
) -> None:
    text, comments, edges = made
    gone = data.draw(st.sets(st.sampled_from(edges))) if edges else set()
    jobs = data.draw(st.none() | st.integers(1, 9))
    after = edited(text, without=tuple(sorted(gone)), jobs=jobs)
    pipeline, problems = parse(after.encode(), "/x/stagebook.yaml")
    assert pipeline is not None, problems
    assert {(need, stage.id) for stage in pipeline.stages for need in stage.needs} == set(edges) - gone
    assert [line.strip() for line in after.splitlines() if line.strip().startswith("#")] == comments
    assert pipeline.limits.jobs == jobs
    if not gone and jobs is None:
        assert after == text
