"""R116: who is named under `notify` is told what the file says, once, with what matters, by real servers."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Iterator

import pytest
from tests.door import waiting
from tests.door.place import Place, by_stage
from tests.door.post import Mail, Post

TOKEN = "tok-5f2c8e1d"


@pytest.fixture
def post() -> Iterator[Post]:
    made = Post()
    yield made
    made.close()


def all_told(place: Place, code: int = 0) -> list[dict[str, Any]]:
    """What became of the messages of the last run, once no more is tried."""
    done = place.run("notify", "wait", "--json")
    assert done.code == code, done
    told: list[dict[str, Any]] = done.json["notices"]
    return told


def test_r116_one_message_with_run_stage_and_what_to_type(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    place.pipeline(
        {
            "build": "echo built",
            "unit": {"run": "seq 30; exit 3", "needs": "build"},
            "next": {"run": "true", "needs": "unit"},
        },
        name="release", notify=[{"to": "$HOOK", "name": "ops"}],
    )  # fmt: skip
    done = place.run("run")
    assert done.code == 1, done
    told = all_told(place)
    run = place.run_ids()[0]
    assert [(one["event"], one["stages"], one["target"], one["state"]) for one in told] == [
        ("failure", ["unit"], "ops", "delivered")
    ]
    assert post.titles() == ["✗ release failed: unit, exit 3"]
    text = post.got[0][1]["message"]
    for part in (run, "unit: exit 3", "| 21\n", "| 30\n", "1 stage skipped", f"stagebook show {run}",
                 f"stagebook logs {run} unit", str(place.folder)):  # fmt: skip
        assert part in text, text
    assert "| 20\n" not in text
    assert post.got[0][1]["type"] == "failure"
    shown = place.show()
    assert shown["notices"] == told
    assert shown["warnings"] == []
    assert place.run(*text.partition(f"stagebook logs {run}")[1].split()[1:], "unit").out.startswith("1\n2\n")


def test_r116_a_mail(place: Place) -> None:
    mail = Mail()
    try:
        place.pipeline({"unit": "echo '<b>bold</b>'; exit 1"}, name="release", notify=[{"to": mail.url}])
        assert place.run("run").code == 1
        [(to, said)] = mail.wait()
        assert to == ["ops@example.org"]
        assert said["subject"] == "✗ release failed: unit, exit 1"
        assert "<b>bold</b>" in said.get_content()
        assert said.get_content_type() == "text/plain"
        assert [one["target"] for one in all_told(place)] == ["mailto"]
    finally:
        mail.close()


def test_r116_a_command_gets_it_on_its_standard_input(place: Place) -> None:
    place.env.update(PAGER=TOKEN, OTHER="another-5f2c8e1d")
    (place.folder / "page.sh").write_text('cat > "$BASE/told.json"; echo "$PAGER,$OTHER,$PWD" > "$BASE/had"\n')
    place.pipeline(
        {"unit": "echo why; exit 1"}, name="release", secrets=["PAGER", "OTHER"],
        notify=[{"command": ["sh", "page.sh"], "secrets": ["PAGER"], "name": "pager"}],
    )  # fmt: skip
    assert place.run("run").code == 1
    assert [one["state"] for one in all_told(place)] == ["delivered"]
    said = json.loads((place.base / "told.json").read_text())
    assert said["event"] == "failure" and said["pipeline"] == "release" and said["run"] == place.run_ids()[0]
    assert said["stages"] == [
        {"stage": "unit", "outcome": "failure", "reason": "exit 1", "lines": ["why"], "flaky": None}
    ]  # fmt: skip
    assert (place.base / "had").read_text() == f"{TOKEN},,{place.folder}\n"


def test_r116_recovery_is_told_once_and_success_only_to_whom_wants_it(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    place.pipeline(
        {"unit": "test -e ok", "lint": "true"},
        name="release",
        notify=[{"to": "$HOOK"}, {"command": ["sh", "-c", 'cat >> "$BASE/all"'], "on": ["success", "recovery"]}],
    )
    assert place.run("run").code == 1
    all_told(place)
    assert place.run("run").code == 1
    all_told(place)
    assert "it failed in the run before too" in post.got[1][1]["message"]
    (place.folder / "ok").touch()
    for _ in range(2):
        assert place.run("run").code == 0
        all_told(place)
    assert [title.partition(", the first")[0] for title in post.titles()] == [
        "✗ release failed: unit, exit 1",
        "✗ release failed: unit, exit 1",
        "✓ release passes again after 2 failed runs",
    ]
    assert "unit passes again" in post.got[2][1]["message"]
    told = [json.loads(line) for line in (place.base / "all").read_text().splitlines()]
    assert [one["event"] for one in told] == ["recovery", "success"]


def test_r116_flaky_or_not_is_said(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        (place.folder / ".gitignore").write_text(".stagebook\n")
        subprocess.run(["git", *words], cwd=place.folder, check=True)
    place.pipeline({"unit": "test -e $BASE/ok"}, notify=[{"to": "$HOOK"}])
    (place.base / "ok").touch()
    assert place.run("run").code == 0
    (place.base / "ok").unlink()
    assert place.run("run").code == 1
    assert "flaky: on this commit it passed once before" in post.wait()[0]["message"]


def test_r116_a_stage_that_fails_early_is_told_while_the_run_goes_on(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    hold = 'while [ ! -e "$BASE/go" ]; do sleep 0.05; done'
    place.pipeline({"unit": "exit 1", "long": hold}, name="release", notify=[{"to": "$HOOK"}])
    running = place.start("run", "-j", "2")
    assert post.wait()[0]["title"] == "✗ release: unit failed, exit 1; the run goes on"
    (place.base / "go").touch()
    assert running.wait().code == 1
    assert [one["stages"] for one in all_told(place)] == [["unit"]]
    assert len(post.got) == 1, post.titles()


def test_r116_a_time_that_will_not_be_kept_is_told_before_and_after(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    hold = {"run": 'while [ ! -e "$BASE/go" ]; do sleep 0.05; done', "duration": "10m"}
    place.pipeline({"long": hold}, name="release", sla="3s", notify=[{"to": "$HOOK", "on": "sla-risk"}])
    running = place.start("run")
    assert post.wait()[0]["title"] == "◷ release may miss its time: 3 s"
    assert "~10 m 00 s to go at least" in post.got[0][1]["message"]
    assert post.wait(2)[1]["title"] == "◷ release is late: it should have been over in 3 s"
    (place.base / "go").touch()
    assert running.wait().code == 0
    all_told(place)
    assert len(post.got) == 2


def test_r116_who_gets_what_by_event_stage_and_branch(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    keep = ["sh", "-c", 'cat > "$BASE/$0"']
    place.pipeline(
        {
            "unit": {"run": "exit 1", "matrix": {"p": ["1", "2"], "fail-fast": False}},
            "lint": "exit 1",
            "spell": {"run": "exit 1", "allow-failure": True},
        },
        notify=[
            {"command": [*keep, "units"], "stages": "un*"},
            {"command": [*keep, "deploys"], "stages": ["deploy", "spell"]},
            {"command": [*keep, "main"], "branches": ["main"]},
            {"command": [*keep, "other"], "branches": ["release/*"]},
            {"command": [*keep, "cancels"], "on": "cancel"},
            {"command": [*keep, "all"]},
        ],
    )  # fmt: skip
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=place.folder, check=True)
    commit = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"]
    subprocess.run(commit, cwd=place.folder, check=True)
    assert place.run("run").code == 1
    all_told(place)
    stages = {
        path.name: sorted(one["stage"] for one in json.loads(path.read_text())["stages"])
        for path in place.base.iterdir()
        if path.name in ("units", "deploys", "main", "other", "cancels", "all")
    }
    both = ["unit[p=1]", "unit[p=2]"]
    assert stages == {"units": both, "main": ["lint", *both], "all": ["lint", *both]}


def test_what_lenient_puts_up_with_is_no_failure_and_an_end_by_hand_is_a_cancel(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    notify = [{"to": "$HOOK", "on": ["failure", "cancel"]}]
    place.pipeline({"a": {"run": "true", "critical": True}, "b": "exit 1"}, policy="lenient", notify=notify)
    assert place.run("run").code == 0
    assert all_told(place) == []
    place.pipeline({"a": 'touch "$BASE/began"; sleep 60'}, name="release", notify=notify)
    running = place.start("run")
    waiting.until((place.base / "began").exists, "a stage that runs")
    assert place.run("cancel", "last").code == 0
    assert running.wait().code == 1
    assert post.wait()[0]["title"].startswith("⊘ release cancelled")
    assert len(all_told(place)) == 1


def test_nobody_is_told_of_runs_of_an_experiment(place: Place, post: Post) -> None:
    place.env.update(HOOK=post.url, STAGEBOOK_EXPERIMENT="x")
    place.pipeline({"a": "exit 1"}, notify=[{"to": "$HOOK"}])
    assert place.run("run").code == 1
    assert not (place.runs_folder / place.run_ids()[0] / "notices.jsonl").exists()


def test_secrets_and_addresses_are_in_no_message_and_on_no_disk(place: Place, post: Post) -> None:
    place.env.update(HOOK=post.url, API=TOKEN + "-api")
    show = 'echo "${HOOK-none}"; echo "$API"; echo "$API" | base64; exit 1'
    place.pipeline(
        {"a": {"run": show, "secrets": ["API"]}, "b": f"echo {post.url}; exit 1"},
        secrets=["API"], notify=[{"to": "$HOOK"}],
    )  # fmt: skip
    assert place.run("run").code == 2  # an address that stands in the file is as good as told
    place.write(place.write("").parent.joinpath("stagebook.yaml").read_text())
    place.pipeline(
        {"a": {"run": show, "secrets": ["API"]}, "b": "cat address; exit 1"}, secrets=["API"], notify=[{"to": "$HOOK"}]
    )
    (place.folder / "address").write_text(post.url)
    done = place.run("run", "--json")
    assert done.code == 1, done
    all_told(place)
    text = post.wait()[0]["message"]
    assert "| none\n  | ***\n  | ***" in text and "b: exit 1" in text, text
    said = done.said + json.dumps(post.got[0][1]) + place.run("show", "last", "--json").out
    assert TOKEN not in said
    for path in (place.folder / ".stagebook").rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path


def test_a_test_message_says_so_and_fails_where_one_does_not_arrive(place: Place, post: Post) -> None:
    place.env.update(HOOK=post.url, WRONG="https://example.org/tok-5f2c8e1d")
    place.pipeline(
        {"a": "true"}, name="release",
        notify=[
            {"to": "$HOOK"}, {"to": "$NOT_SET"}, {"to": "$WRONG"}, {"command": ["no-such-program"], "name": "pager"},
            {"command": ["sh", "-c", 'echo "no $HOOK"; exit 7'], "name": "seven"},
        ],
    )  # fmt: skip
    done = place.run("notify", "test")
    assert done.code == 1
    assert done.out.splitlines() == [
        "✓ HOOK: told",
        "✗ NOT_SET: not told: NOT_SET is not set",
        "✗ WRONG: not told: apprise knows no such address; one of your own for JSON over HTTP begins with json:// or "
        "jsons://",
        "✗ pager: not told: cannot start no-such-program: No such file or directory",
        "✗ seven: not told: exit 7: no",
    ]
    assert post.titles() == ["test: Stagebook can reach you about release"]
    assert "No run failed" in post.got[0][1]["message"]
    done = place.run("notify", "test", "--to", "HOOK", "--json")
    assert (done.code, done.json["notices"]) == (0, [{"target": "HOOK", "ok": True, "error": None}])
    done = place.run("notify", "test", "--to", "hook")
    assert done.code == 2 and "HOOK" in done.err
    assert place.run_ids() == []
    place.pipeline({"a": "true"})
    done = place.run("notify", "test")
    assert done.code == 2 and "has no `notify`" in done.err


def test_a_message_goes_through_the_harmless_filter(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    place.pipeline({"a": "printf '\\033]0;evil\\007\\033[31mred\\n'; exit 1"}, notify=[{"to": "$HOOK"}])
    assert place.run("run").code == 1
    text = post.wait()[0]["message"]
    assert "\x1b" not in text and "\\x1b]0;evil\\x07" in text and "red" in text


def test_a_run_that_is_gone_on_with_tells_no_more_than_is_new(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    place.pipeline(
        {"a": "exit 1", "b": {"run": 'touch "$BASE/began"; sleep 60', "retry-safe": True}}, name="release",
        notify=[{"to": "$HOOK"}],
    )  # fmt: skip
    running = place.start("run", "-j", "2")
    waiting.until((place.base / "began").exists, "a stage that runs")
    running.send(2)
    assert running.wait().code == 130
    all_told(place)
    first = len(post.got)
    os.unlink(place.base / "began")
    running = place.start("run", "--resume")
    waiting.until((place.base / "began").exists, "a stage that runs again")
    place.run("cancel", "last", "b")
    assert running.wait().code == 1
    all_told(place)
    assert [title for title in post.titles() if "a" in title.split(": ", 1)[-1][:2]], post.titles()
    keys = [(one["event"], stage) for one in place.show()["notices"] for stage in one["stages"]]
    assert len(keys) == len(set(keys)), keys
    assert first <= 1
    assert by_stage(place.show())["a"]["outcome"] == "failure"


def test_r116_a_gate_is_told_with_what_answers_it(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    place.pipeline(
        {"build": "true", "ship": {"gate": {"prompt": "Ship it?", "timeout": "2h"}, "needs": "build"},
         "deploy": {"run": "true", "needs": "ship", "retry-safe": False}},
        name="release", notify=[{"to": "$HOOK"}],
    )  # fmt: skip
    assert place.run("run", "--no-wait").code == 3
    said = post.wait()[0]
    assert said["title"] == "‖ release waits for you: ship: Ship it?"
    assert "without an answer by " in said["message"]
    assert [(one["event"], one["state"]) for one in all_told(place)] == [("gate", "delivered")]
    command = next(line for line in said["message"].split("\n") if "stagebook approve" in line)
    assert place.run(*command.split()[1:]).code == 0
    all_told(place)
    assert len(post.got) == 1


def test_r116_a_failure_is_told_when_only_a_person_is_waited_for_and_never_again(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    place.pipeline(
        {"unit": "exit 1", "ship": {"gate": {"prompt": "Ship it?"}}}, name="release",
        notify=[{"to": "$HOOK", "on": ["failure", "gate"]}],
    )  # fmt: skip
    assert place.run("run", "--no-wait").code == 3
    assert sorted((one["event"], one["stages"]) for one in all_told(place)) == [
        ("failure", ["unit"]), ("gate", ["ship"]),
    ]  # fmt: skip
    assert "✗ release: unit failed, exit 1; the run waits for a person" in post.titles()
    assert place.run("approve", "last", "ship").code == 1
    all_told(place)
    assert len(post.got) == 2, post.titles()


def test_r116_dead_letters_are_told_together(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    steps = [{"fetch": 'case "$ITEM" in *[789]) exit 4;; esac'}]
    for number in range(1, 10):
        (place.folder / f"in{number}").write_text("x")
    work = {"each": {"items": {"glob": "in*"}, "on-item-failure": "dead-letter", "steps": steps}}
    place.pipeline({"work": work}, name="release", notify=[{"to": "$HOOK", "on": "dead-letter"}])
    assert place.run("run").code == 0
    said = post.wait()[0]
    assert said["title"] == "✗ release: 3 items of work could not be done"
    assert "in8 (item 8), fetch: exit 4" in said["message"]
    assert f"stagebook items {place.run_ids()[0]} work --dead" in said["message"]
    assert len(all_told(place)) == 1


def test_r116_a_failure_by_an_item_is_told_with_the_item_and_what_it_printed(place: Place, post: Post) -> None:
    place.env["HOOK"] = post.url
    steps = [{"fetch": "true"}, {"pack": 'test "$ITEM" != b || { echo BROKEN; exit 5; }'}]
    work = {"each": {"items": {"lines": "list"}, "steps": steps}, "needs": "list"}
    place.pipeline({"list": "printf 'a\\nb\\nc\\n'", "work": work}, name="release", notify=[{"to": "$HOOK"}])
    assert place.run("run").code == 1
    said = post.wait()[0]
    assert "item 2 (b) failed in pack (exit 5)" in said["title"] + said["message"]
    assert "| BROKEN" in said["message"]
    assert f"stagebook items {place.run_ids()[0]} work --dead" in said["message"]


def test_a_variable_that_is_not_set_is_said_once_and_not_tried_again(place: Place) -> None:
    place.pipeline({"unit": "exit 1"}, notify=[{"to": "$HOOK", "name": "ops"}])
    done = place.run("run")
    assert done.code == 1 and "HOOK is not set, so whom it stands for is told nothing" in done.err
    [told] = all_told(place, 1)
    assert (told["state"], told["attempts"], told["error"]) == ("failed", 1, "HOOK is not set")
    assert place.show()["warnings"] == ["ops could not be told of failure of unit: HOOK is not set"]
