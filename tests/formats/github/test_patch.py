"""Changes of a workflow file: the change and nothing else, or a refusal that says why."""

from __future__ import annotations

import pytest

from stagebook.formats.changes import Change, FailFast, Interruptible, Lock, MaxParallel, Needs, Split, Timeout
from stagebook.formats.patch import by_name, patched
from stagebook.model.problem import InputError

FILE = """name: CI
on: push   # every one

jobs:
  lint:
    runs-on: ubuntu-latest   # small
    steps:
      - run: make lint
  unit:
    name: Unit tests
    needs: [lint]   # for now
    runs-on: ${{ matrix.os }}
    strategy:
      matrix:
        os: [a, b]   # two
    steps:
      - run: make unit
  e2e:
    runs-on: ubuntu-latest
    steps:
      - run: |
          npm ci
          npx playwright test
  ship:
    needs:
      - unit   # the tests
      - e2e
    if: needs.e2e.result == 'success'
    runs-on: ubuntu-latest
    concurrency: ship
    steps: [{run: ./ship.sh}]
"""


def made(*changes: Change, text: str = FILE, rename_ok: bool = False) -> str:
    return patched(text.encode(), "/r/.github/workflows/ci.yml", changes, rename_ok=rename_ok).data.decode()


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (
            Needs("e2e", ("lint",)),
            "  e2e:\n    runs-on: ubuntu-latest\n",
            "  e2e:\n    runs-on: ubuntu-latest\n    needs: lint\n",
        ),
        (Needs("unit", ("e2e",)), "[lint]", "[lint, e2e]"),
        (Needs("unit", (), ("lint",)), "    needs: [lint]   # for now\n", "    # for now\n"),
        (Needs("unit", ("e2e",), ("lint",)), "[lint]", "[e2e]"),
        (
            Needs("ship", ("lint",), ("unit",)),
            "- unit   # the tests\n      - e2e\n",
            "# the tests\n      - e2e\n      - lint\n",
        ),
        (Timeout("lint", 20), "# small\n", "# small\n    timeout-minutes: 20\n"),
        (FailFast("unit", False), "[a, b]   # two\n", "[a, b]   # two\n      fail-fast: false\n"),
        (MaxParallel("unit", 1), "[a, b]   # two\n", "[a, b]   # two\n      max-parallel: 1\n"),
        (Lock("ship", "deploy"), "concurrency: ship", "concurrency: deploy"),
        (
            Lock("lint", "${{ github.workflow }}-x"),
            "# small\n",
            "# small\n    concurrency:\n      group: ${{ github.workflow }}-x\n      cancel-in-progress: false\n",
        ),
    ],
)
def test_a_change_is_that_change_and_nothing_else(change: Change, old: str, new: str) -> None:
    assert made(change) == FILE.replace(old, new, 1)
    assert made(change, text=FILE.replace("\n", "\r\n")) == FILE.replace(old, new, 1).replace("\n", "\r\n")


def test_several_changes_of_one_file_are_made_at_once_and_read_again() -> None:
    changes = [Needs("e2e", ("lint",)), Timeout("e2e", 9), Needs("unit", (), ("lint",)), MaxParallel("unit", 1),
               FailFast("unit", False)]  # fmt: skip
    done = patched(FILE.encode(), "/r/.github/workflows/ci.yml", changes)
    assert by_name(done.after) == {"lint": set(), "unit": set(), "e2e": {"lint"}, "ship": {"unit", "e2e"}}
    assert done.after.matrices["unit"].max_parallel == 1
    assert not done.after.matrices["unit"].fail_fast
    assert [stage.id for stage in done.after.stages] == [stage.id for stage in done.before.stages]


def test_a_suite_is_split_only_with_a_word_on_names() -> None:
    with pytest.raises(InputError, match="--rename-ok"):
        made(Split("e2e", 3))
    said = made(Split("e2e", 3), rename_ok=True)
    assert "          npx playwright test --shard=${{ matrix.part }}/3\n" in said
    assert "    strategy:\n      matrix:\n        part: [1, 2, 3]\n" in said
    for job, why in (("lint", "no one line"), ("unit", "no one line"), ("ship", "a concurrency group")):
        with pytest.raises(InputError, match=why):
            made(Split(job, 2), rename_ok=True)


def test_a_suite_with_a_matrix_is_split_in_each_of_its_cells() -> None:
    suite = FILE.replace("make unit", "npx vitest run")
    done = patched(suite.encode(), "/r/.github/workflows/ci.yml", [Split("unit", 2)], rename_ok=True)
    assert b"        os: [a, b]   # two\n        part: [1, 2]\n" in done.data
    assert b"      - run: npx vitest run --shard=${{ matrix.part }}/2\n" in done.data
    assert len(done.after.matrices["unit"].cells) == 4
    with pytest.raises(InputError, match="`exclude` of its matrix"):
        made(Split("unit", 2), text=suite.replace("# two\n", "\n        exclude: [{os: a}]\n"), rename_ok=True)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (Needs("ship", (), ("e2e",)), "reads `needs.e2e`"),
        (Needs("lint", ("unit",)), "wait for each other: lint → unit → lint"),
        (Needs("lint", ("nobody",)), "no job `nobody`"),
        (Timeout("nobody", 5), "no job `nobody`"),
        (FailFast("lint", False), "no matrix"),
        (Interruptible("lint", True), "no way to say"),
    ],
)
def test_what_cannot_be_is_refused(change: Change, why: str) -> None:
    with pytest.raises(InputError, match=why):
        made(change)


def test_an_anchor_that_another_job_uses_is_refused_with_its_line() -> None:
    shared = FILE.replace("needs: [lint]", "needs: &after [lint]").replace("  e2e:\n", "  e2e:\n    needs: *after\n")
    with pytest.raises(InputError) as refused:
        made(Needs("unit", ("e2e",), ("lint",)), text=shared)
    assert "anchor" in refused.value.problems[0].message
    assert refused.value.problems[0].line == 11
    own = made(
        Needs("e2e", (), ("lint",)),
        text=shared.replace("[lint]", "[lint, ship]").replace("- unit", "- lint").replace("- e2e", "- lint"),
    )
    assert "  e2e:\n    needs: [ship]\n" in own
    assert "needs: &after [lint, ship]" in own
