"""R116: a recovery is told of what ran and passed, and of nothing else."""

from __future__ import annotations

from typing import Any, Iterator

import pytest
from tests.door.place import Place
from tests.door.post import Post


@pytest.fixture
def post() -> Iterator[Post]:
    made = Post()
    yield made
    made.close()


def told(place: Place, post: Post, *words: str, code: int = 0) -> list[dict[str, Any]]:
    """What the receiver got of one command, once no more is tried."""
    before = len(post.got)
    done = place.run(*words)
    assert done.code == code, done
    assert place.run("notify", "wait").code == 0
    return [said for _, said in post.got[before:]]


def test_r116_a_run_of_another_stage_mends_nothing(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    stages = {"work": 'test -e "$BASE/ok"', "lint": "true"}
    place.pipeline(stages, name="release", notify=[{"to": "$HOOK", "on": ["failure", "recovery"]}])
    assert len(told(place, post, "run", code=1)) == 1
    assert told(place, post, "run", "--only", "lint") == []
    (place.base / "ok").touch()
    [said] = told(place, post, "run")
    assert said["title"] == "✓ release passes again after 1 failed run"
    assert "work passes again" in said["message"]
    assert told(place, post, "run") == []


def test_r116_a_part_that_passes_again_says_what_still_fails(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    stages = {name: {"run": f'test -e "$BASE/{name}"'} for name in ("unit", "integration")}
    place.pipeline(stages, name="release", notify=[{"to": "$HOOK", "on": "recovery"}])
    assert told(place, post, "run", code=1) == []
    for name in stages:
        (place.base / name).touch()
    [said] = told(place, post, "run", "--only", "unit")
    assert said["title"] == "✓ release: unit passes again after 1 failed run"
    assert "not run since it failed: integration" in said["message"]
    assert "release passes again" not in str(said) and "integration passes again" not in said["message"]
    [said] = told(place, post, "run")
    assert said["title"] == "✓ release passes again after 1 failed run"
    assert "integration passes again" in said["message"] and "unit passes again" not in said["message"]


def test_r116_dead_items_done_later_do_not_mend_a_rejected_gate(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    step = {"run": 'test "$ITEM" != 2 || test -e "$BASE/ok"'}
    work = {"each": {"items": {"range": [1, 3]}, "on-item-failure": "dead-letter", "steps": [{"s": step}]}}
    place.pipeline(
        {"work": work, "ship": {"gate": {}, "needs": "work"}, "deploy": {"run": "true", "needs": "ship"}},
        name="release", notify=[{"to": "$HOOK", "on": "recovery"}],
    )  # fmt: skip
    assert told(place, post, "run", "--no-wait", code=3) == []
    assert told(place, post, "reject", "last", "ship", code=1) == []
    (place.base / "ok").touch()
    assert told(place, post, "items", "last", "work", "--retry") == []
