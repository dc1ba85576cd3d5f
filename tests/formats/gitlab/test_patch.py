"""Changes of a GitLab file: needs in place of the order of stages above all, with the artifacts that go with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stagebook.formats.changes import (
    Change,
    FailFast,
    Interruptible,
    Lock,
    Needs,
    NeedsOnly,
    Split,
    Timeout,
)
from stagebook.formats.patch import by_name, patched
from stagebook.model.problem import InputError

FILE = """stages: [build, check, test, ship]   # in order

.base: &base
  tags: [linux]

build:
  <<: *base
  stage: build
  script: make
  artifacts: {paths: [out]}

style:
  stage: check
  script: ruff check .
  dependencies: []   # nothing

reviewed:
  stage: check
  script: ./review.sh
  rules: [{if: '$CI_PIPELINE_SOURCE == "merge_request_event"'}]

press:
  stage: check
  script: ./press.sh
  when: manual

unit:
  stage: test
  extends: .base
  script: make test
  interruptible: false  # yet

web:
  stage: test
  needs:
    - job: build   # what it serves
      artifacts: true
    - style
  script: npx jest

ship:
  stage: ship
  script: ./ship.sh
"""


def made(*changes: Change, text: str = FILE, rename_ok: bool = False) -> str:
    return patched(text.encode(), "/r/.gitlab-ci.yml", changes, rename_ok=rename_ok).data.decode()


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (NeedsOnly("style", ()), "  stage: check\n  script: ruff", "  stage: check\n  needs: []\n  script: ruff"),
        (Needs("web", ("unit",), ("style",)), "    - style\n", "    - unit\n"),
        (Timeout("style", 20), "stage: check\n  script: ruff", "stage: check\n  timeout: 20 minutes\n  script: ruff"),
        (Lock("ship", "production"), "stage: ship\n", "stage: ship\n  resource_group: production\n"),
        (Interruptible("unit", True), "interruptible: false  # yet", "interruptible: true  # yet"),
    ],
)
def test_a_change_is_that_change_and_nothing_else(change: Change, old: str, new: str) -> None:
    assert made(change) == FILE.replace(old, new, 1)
    assert made(change, text=FILE.replace("\n", "\r\n")) == FILE.replace(old, new, 1).replace("\n", "\r\n")


def test_needs_keep_artifacts_and_jobs_of_other_events_but_no_manual_one() -> None:
    done = patched(FILE.encode(), "/r/.gitlab-ci.yml", [NeedsOnly("unit", ("style",))])
    assert b"  needs: [build, style, {job: reviewed, optional: true}]\n" in done.data
    assert by_name(done.after)["unit"] == {"build", "style"}
    assert b"  needs: [build, {job: reviewed, optional: true}]\n" in patched(
        FILE.encode(), "/r/.gitlab-ci.yml", [Needs("unit", (), ("style",))]
    ).data  # fmt: skip


def test_what_a_job_is_given_stays_a_need() -> None:
    with pytest.raises(InputError, match="given artifacts of `build`"):
        made(Needs("unit", (), ("build",)))
    assert "  needs: []\n" in made(Needs("style", (), ("build",)))


def test_the_last_need_that_goes_leaves_an_empty_list() -> None:
    said = made(Needs("web", (), ("style",)))
    assert "    - job: build   # what it serves\n      artifacts: true\n  script: npx jest\n" in said
    assert "  needs: []\n    # what it serves\n  script: npx jest\n" in made(Needs("web", (), ("build",)), text=said)


def test_a_suite_is_split_by_the_variables_that_gitlab_sets() -> None:
    said = made(Split("web", 4), rename_ok=True)
    assert "  script: npx jest --shard=$CI_NODE_INDEX/$CI_NODE_TOTAL\n" in said
    assert "  parallel: 4\n" in said
    with pytest.raises(InputError, match="--rename-ok"):
        made(Split("web", 4))
    with pytest.raises(InputError, match="no one line"):
        made(Split("unit", 4), rename_ok=True)


@pytest.mark.parametrize(
    ("change", "more", "why"),
    [
        (Timeout("style", 5), "\nlater:\n  extends: style\n  stage: test\n", "`later`: its `timeouts` would differ"),
        (NeedsOnly("unit", ()), "\ninclude: {project: a/b, file: x.yml}\n", "includes others"),
        (NeedsOnly("web", ()), "", "has `needs` already"),
        (NeedsOnly("ship", ()), "\nodd:\n  stage: test\n  script: a\n  rules: [{if: $X, when: manual}]\n", "rules"),
        (Needs("unit", ("style",)), "", "waits for `style` already"),
        (FailFast("unit", True), "", "no way to say"),
        (Timeout("nobody", 5), "", "no job `nobody`"),
    ],
)
def test_what_would_change_more_or_cannot_be_is_refused(change: Change, more: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        made(change, text=FILE + more)


def test_jobs_of_included_files_count_and_are_not_written(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "more.yml").write_text("lint:\n  stage: build\n  script: lint\n  artifacts: {paths: [lint.txt]}\n")
    file = tmp_path / ".gitlab-ci.yml"
    file.write_text("include: more.yml\nunit:\n  script: make test\n")
    done = patched(file.read_bytes(), str(file), [NeedsOnly("unit", ())])
    assert done.data == b"include: more.yml\nunit:\n  script: make test\n  needs: [lint]\n"
    with pytest.raises(InputError, match="comes from another"):
        patched(file.read_bytes(), str(file), [Timeout("lint", 5)])
