"""A stage that is known to be flaky: until a day its failure is a warning that names who looks into it, then it counts
again and everybody is told why (R40)."""

from __future__ import annotations

import pytest
from tests.door.place import Place, by_stage, note, noted, outcomes

HOLDS = {"owner": "ops", "until": "2999-12-31"}
EXPIRED = {"owner": "ops", "until": "2020-01-31"}


def test_r040_its_failure_is_a_warning_and_others_go_on(place: Place) -> None:
    place.pipeline({
        "flaky": {"run": noted("exit 1"), "quarantine": HOLDS},
        "after": {"run": noted(), "needs": "flaky"},
    })  # fmt: skip
    done = place.run("run")
    assert done.code == 0, done
    assert place.began() == ["flaky", "after"]
    assert "warning: flaky: failure, quarantined: ops, until 2999-12-31" in done.out
    assert "passed with 1 allowed failure: flaky" in done.out
    document = place.show()
    assert document["warnings"] == ["flaky: failure, quarantined: ops, until 2999-12-31"]
    stage = by_stage(document)["flaky"]
    assert (stage["outcome"], stage["reason"]) == ("failure", "exit 1, quarantined: ops, until 2999-12-31")
    assert stage["tolerated"] is True


def test_r040_after_its_day_the_failure_counts_and_the_stage_says_so(place: Place) -> None:
    place.pipeline({
        "flaky": {"run": noted("exit 1"), "quarantine": EXPIRED},
        "after": {"run": noted(), "needs": "flaky"},
    })  # fmt: skip
    done = place.run("run")
    assert done.code == 1, done
    assert place.began() == ["flaky"]
    assert "✗ flaky: exit 1, quarantine expired on 2020-01-31 after" in done.out
    assert "failed: flaky, exit 1, quarantine expired on 2020-01-31." in done.out
    assert "warning: flaky: failure, quarantine expired on 2020-01-31; owner: ops" in done.out
    document = place.show()
    stage = by_stage(document)["flaky"]
    assert (stage["reason"], stage["tolerated"]) == ("exit 1, quarantine expired on 2020-01-31", False)
    assert outcomes(document)["after"] == "skip"


def test_r040_lint_and_a_dry_run_say_so_beforehand(place: Place) -> None:
    place.pipeline({
        "old": {"run": noted(), "quarantine": EXPIRED}, "new": {"run": noted(), "quarantine": HOLDS}, "none": noted(),
    })  # fmt: skip
    done = place.run("lint")
    assert done.code == 0
    assert "warning: `old`: quarantine expired on 2020-01-31, so a failure counts again; owner: ops" in done.err
    assert "`new`" not in done.err
    rows = {row["stage"]: row["reason"] for row in place.run("run", "--dry-run", "--json").json["stages"]}
    assert rows == {
        "old": "needs nothing; quarantine expired on 2020-01-31",
        "new": "needs nothing; quarantined: ops, until 2999-12-31",
        "none": "needs nothing",
    }


@pytest.mark.parametrize("quarantine", [HOLDS, EXPIRED])
def test_what_passes_is_not_spoken_of(place: Place, quarantine: dict[str, str]) -> None:
    place.pipeline({"flaky": {"run": noted(), "quarantine": quarantine}})
    done = place.run("run")
    assert done.code == 0
    assert "quarantine" not in done.out
    assert by_stage(place.show())["flaky"]["reason"] is None


def test_a_run_that_goes_on_keeps_the_day_on_which_it_began(place: Place) -> None:
    """What the plan was made with is in the journal, and so the end of a quarantine is the same after a resume."""
    place.pipeline({
        "flaky": {"run": noted("exit 1"), "quarantine": HOLDS},
        "long": {"run": f'{note("begin")}\n[ "$STAGEBOOK_ATTEMPT" = 2 ] || sleep 900', "needs": "flaky"},
    })  # fmt: skip
    command = place.start("run")
    place.wait_for("long")
    command.kill()
    choice = place.journal()[0]["choice"]
    assert choice["today"] < "2999-12-31"
    done = place.run("run", "--resume")
    assert done.code == 0, done
    assert place.show()["warnings"] == ["flaky: failure, quarantined: ops, until 2999-12-31"]
