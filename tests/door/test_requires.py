"""Tools that stages require: R56, checked before the run starts, named with what was found and what is wanted."""

from __future__ import annotations

import os

import pytest
from tests.door.place import Place, noted


def tool(place: Place, name: str, says: str) -> None:
    path = place.write(f"#!/bin/sh\n{says}\n", f"bin/{name}")
    path.chmod(0o755)


def with_tools(place: Place) -> dict[str, str]:
    return {"PATH": f"{place.folder / 'bin'}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("says", "wanted", "why"),
    [
        ("echo v18.2.0", ">=20", "stage `unit` requires node >=20, found 18.2.0 ("),
        ("echo v22.1", ">=20,<22", "stage `unit` requires node >=20,<22, found 22.1 ("),
        ("echo nothing", ">=1", "does not say its version"),
        ("echo v20.11.0", ">=20,<21", ""),
        ("echo 'node version 20'", "==20", ""),
        ("echo v20 >&2; exit 3", ">=20", ""),
        ("exit 1", "*", ""),
    ],
)
def test_r056_a_tool_is_asked_before_the_first_stage(place: Place, says: str, wanted: str, why: str) -> None:
    tool(place, "node", says)
    place.pipeline({"first": noted(), "unit": {"run": noted(), "needs": "first", "requires": {"node": wanted}}})
    done = place.run("run", env=with_tools(place))
    assert done.code == (4 if why else 0), done
    assert why in done.err
    assert place.began() == ([] if why else ["first", "unit"])
    if why:
        assert "stagebook.yaml:" in done.err
        assert place.run_ids() == []
    assert place.run("run", "--dry-run", env=with_tools(place)).code == 0, "which checks nothing"


def test_r056_a_missing_tool_is_named_and_all_of_them_at_once(place: Place) -> None:
    place.pipeline({
        "a": {"run": noted(), "requires": {"no-such-tool": "*"}},
        "b": {"run": noted(), "requires": {"python3": ">=99", "no-such-tool": ">=2"}},
    })  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 4
    messages = [error["message"] for error in done.json["errors"]]
    assert [message.split(",")[0] for message in messages] == [
        "stage `a` requires no-such-tool", "stage `b` requires python3 >=99", "stage `b` requires no-such-tool >=2",
    ]  # fmt: skip
    assert all(error["line"] > 1 for error in done.json["errors"])
    assert place.run("run", "--only", "a").code == 4
    assert place.run("run", "--skip", "a", "--skip", "b").code == 0, "nobody needs it then"


def test_the_version_of_a_required_tool_belongs_to_the_key(place: Place) -> None:
    place.write("x", "src")
    place.pipeline({"unit": {"run": "true", "inputs": ["src"], "requires": {"node": ">=20"}}})
    for version, because in [
        ("20.1", "never succeeded here"),
        ("20.1", "up to date"),
        ("21.0", "node version changed"),
    ]:
        tool(place, "node", f"echo v{version}")
        done = place.run("run", "--json", env=with_tools(place))
        stage = done.json["stages"][0]
        assert (stage.get("because") or stage["reason"]) == because
    tool(place, "node", "echo v22")
    assert "node version changed" in place.run("why", "unit", env=with_tools(place)).out


def test_a_tool_that_hangs_is_not_waited_for_for_ever(place: Place) -> None:
    tool(place, "node", "sleep 60")
    place.pipeline({"unit": {"run": noted(), "requires": {"node": ">=20"}}})
    done = place.run("run", env=with_tools(place), within_s=30)
    assert done.code == 4
    assert "does not say its version" in done.err
    assert place.left(1) == []


def test_a_resume_asks_for_what_is_still_to_do_only(place: Place) -> None:
    tool(place, "node", "echo v20")
    place.pipeline({
        "one": {"run": noted(), "requires": {"node": ">=20"}},
        "two": {"run": noted("test -e go || kill -9 $PPID"), "needs": "one"},
    })  # fmt: skip
    assert place.run("run", env=with_tools(place)).code != 0
    (place.folder / "bin" / "node").unlink()
    place.write("", "go")
    assert place.run("run", "--resume").code == 0


@pytest.mark.parametrize("wanted", ["20", "~20", ">=", ">=20 <22", "latest"])
def test_a_range_that_says_nothing_is_a_mistake_of_the_file(place: Place, wanted: str) -> None:
    place.pipeline({"unit": {"run": "true", "requires": {"node": wanted}}})
    done = place.run("lint")
    assert done.code == 2
    assert "`*`, or versions such as `>=20`" in done.err
