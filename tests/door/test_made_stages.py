"""Stages that are made while the run goes on: what a stage generates is held against the same rules as a pipeline's
file, joins the run, and is on record. A mistake in it is the end of the stage that made it, and of nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.door import waiting
from tests.door.place import Place, by_stage, noted, outcomes, reasons


def writes(stages: object, then: str = "") -> str:
    """Shell text of a stage that generates these."""
    text = json.dumps(stages if isinstance(stages, list) else {"stages": stages}, indent=1)
    return f"cat > $STAGEBOOK_GENERATE <<'THE-END'\n{text}\nTHE-END\n{then}"


def generate(stages: object, then: str = "", **more: Any) -> dict[str, Any]:
    return {"generate": {"run": writes(stages, then)}, **more}


def log_of(place: Place, stage: str) -> str:
    return Path(by_stage(place.show())[stage]["attempts"][-1]["log"]).read_text()


def added(place: Place) -> list[str]:
    return [record["stage"] for record in place.events("stages.added")]


FIVE = {f"test-{name}": noted() for name in "abcde"}


def test_r017_five_stages_come_up_while_the_run_goes_on(place: Place) -> None:
    place.pipeline({
        "plan": generate(FIVE),
        "beside": noted(),
        "ship": {"run": noted(), "needs": "plan"},
    })  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 0, done
    stages = by_stage(done.json)
    assert [name for name, stage in stages.items() if stage.get("made_by") == "plan"] == list(FIVE)
    assert set(outcomes(done.json).values()) == {"success"} and len(stages) == 8
    assert "made_by" not in stages["beside"]
    began = place.began()
    assert sorted(began) == sorted([*FIVE, "beside", "ship"]) and began[-1] == "ship"
    assert stages["ship"]["needs"] == ["plan", *FIVE]
    shown = place.show()
    assert by_stage(shown)["test-a"]["made_by"] == "plan" and outcomes(shown) == outcomes(done.json)
    names = [record["event"] for record in place.journal() if record.get("stage") == "plan"]
    assert names[-3:] == ["stages.added", "stage.exited", "stage.ended"]
    batches = {record["batch"] for record in place.journal() if record["event"] in ("stages.added", "stage.exited")
               and record["stage"] == "plan"}  # fmt: skip
    assert len(batches) == 1
    assert "plan: generated 5 stages: test-a" in place.run("run").out


def test_a_list_runs_in_order_and_what_stands_after_the_generator_waits_for_it(place: Place) -> None:
    place.pipeline([{"plan": generate([{"one": noted()}, {"two": noted()}])}, {"after": noted()}])
    assert place.run("run", "-j", "4").code == 0
    assert place.began() == ["one", "two", "after"]


def test_in_sequence_they_come_right_after_who_made_them(place: Place) -> None:
    place.pipeline({
        "plan": generate({"one": noted(), "two": {"run": noted(), "needs": "later"}}),
        "ship": {"run": noted(), "needs": "plan"},
        "later": noted(),
        "last": noted(),
    })  # fmt: skip
    assert place.run("run", "--sequential").code == 0
    assert place.began() == ["one", "later", "two", "ship", "last"]


def test_a_circle_fails_that_stage_only_and_is_shown(place: Place) -> None:
    place.pipeline({
        "plan": generate({"a": {"run": noted(), "needs": "b"}, "b": {"run": noted(), "needs": "a"}}),
        "beside": noted("sleep 0.5"),
        "ship": {"run": noted(), "needs": "plan"},
    })  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 1, done
    assert outcomes(done.json) == {"plan": "failure", "beside": "success", "ship": "skip"}
    reason = reasons(done.json)["plan"] or ""
    assert "generated stages: generated/plan.1.json:3:3: cycle: a → b → a" in reason
    assert "b needs a on line 9; a needs b on line 5" in reason
    assert place.began() == ["beside"] and added(place) == []


def test_a_circle_through_a_stage_that_waits_for_all_of_them_is_one(place: Place) -> None:
    place.pipeline({
        "plan": generate({"a": {"run": noted(), "needs": "after"}}),
        "ship": {"run": noted(), "needs": "plan"},
        "after": {"run": noted(), "needs": "ship"},
    })  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 1
    said = "cycle: ship → after → a → ship (after needs ship; a needs after on line 5; ship waits for all that plan"
    assert said in (reasons(done.json)["plan"] or "")
    assert place.began() == []


def test_all_mistakes_are_in_the_log_and_the_first_in_the_reason(place: Place) -> None:
    place.pipeline({
        "plan": generate({
            "beside": noted(), "x": {"runn": "true"}, "y": {"run": "true", "outputs": ["../out"]},
            "z": {"run": "true", "dir": "/etc"}, "s": {"run": "true", "secrets": ["NONE"]},
            "p": {"run": "true", "resources": {"pools": {"none": 1}}},
        }, "echo printed"),
        "beside": noted(),
    })  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 1 and outcomes(done.json) == {"plan": "failure", "beside": "success"}
    assert "the name `beside` is taken" in (reasons(done.json)["plan"] or "")
    assert "more; see its log" in (reasons(done.json)["plan"] or "")
    log = log_of(place, "plan")
    for words in ("printed", "did you mean 'run'", "leads out of the pipeline's folder", "`dir: /etc` leads out",
                  "unknown secret 'NONE'", "unknown pool 'none'", "stage plan: generated/plan.1.json:"):  # fmt: skip
        assert words in log, words


def test_what_is_no_stages_at_all_is_said(place: Place) -> None:
    place.write("<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n", "page.html")
    place.pipeline({
        "html": {"generate": {"run": "cat page.html > $STAGEBOOK_GENERATE"}},
        "missing": {"generate": {"run": "true"}},
        "empty": {"generate": {"run": ": > $STAGEBOOK_GENERATE"}},
        "link": {"generate": {"run": "ln -s /etc/passwd $STAGEBOOK_GENERATE"}},
        "fifo": {"generate": {"run": "mkfifo $STAGEBOOK_GENERATE"}},
        "huge": {"generate": {"run": "truncate -s 1G $STAGEBOOK_GENERATE"}},
        "nothing": generate({}),
        "said-no": generate({"never": noted()}, "exit 3"),
    })  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 1
    assert {name for name, outcome in outcomes(done.json).items() if outcome == "success"} == {"nothing"}
    assert "never" not in outcomes(done.json)
    said = {name: reason or "" for name, reason in reasons(done.json).items()}
    assert "a mapping with `stages`, or a list of stages, expected" in said["html"]
    assert "it is not there" in said["missing"] and '{"stages": {}}' in said["missing"]
    assert "it is empty" in said["empty"]
    assert "it is a link" in said["link"] and "not a regular file" in said["fifo"]
    assert "1073741824 bytes, the limit is 16777216" in said["huge"]
    kept = {path.name for path in (place.runs_folder / done.json["run"] / "generated").iterdir()}
    assert "html.1.json" in kept and "huge.1.json" not in kept


def test_a_flood_of_stages_is_refused_while_others_go_on(place: Place) -> None:
    """As many as fit into the largest file that is read; the loop goes on meanwhile."""
    flood = "python3 -c \"import os; f = open(os.environ['STAGEBOOK_GENERATE'], 'w'); f.write('stages:\\n');"
    flood += "f.writelines('  s%d: x\\n' % n for n in range(200000))\""
    place.pipeline({"plan": {"generate": {"run": flood}}, "beside": noted("sleep 0.1"), "more": {"run": noted(),
                   "needs": "beside"}})  # fmt: skip
    done = place.run("run", "--json", "-j", "2")
    assert done.code == 1
    assert outcomes(done.json) == {"plan": "failure", "beside": "success", "more": "success"}
    assert "the limit" in (reasons(done.json)["plan"] or "")


def test_generated_stages_may_generate_to_a_depth_that_is_named(place: Place) -> None:
    place.write(
        """\
import json, os, sys
depth = int(sys.argv[1])
deeper = {"generate": {"run": f"python3 deeper.py {depth + 1}"}}
json.dump({"stages": {f"level-{depth}": deeper}}, open(os.environ["STAGEBOOK_GENERATE"], "w"))
""",
        "deeper.py",
    )
    place.pipeline({"plan": {"generate": {"run": "python3 deeper.py 1"}}, "ship": {"run": noted(), "needs": "plan"}})
    done = place.run("run", "--json")
    assert done.code == 1
    ends = outcomes(done.json)
    assert ends["level-7"] == "success" and ends["level-8"] == "failure" and "level-9" not in ends
    assert "nested deeper than 8 levels, the limit" in (reasons(done.json)["level-8"] or "")
    assert reasons(done.json)["ship"] == "needs level-8 (failure)" and place.began() == []


def test_who_needs_the_group_waits_for_what_its_members_generate(place: Place) -> None:
    place.pipeline({
        "plan": generate({"inner": generate({"deep": noted("sleep 0.1")})}),
        "ship": {"run": noted(), "needs": "plan"},
    })  # fmt: skip
    done = place.run("run", "--json", "-j", "4")
    assert done.code == 0 and place.began() == ["deep", "ship"]
    assert by_stage(done.json)["deep"]["made_by"] == "inner"


def test_a_failed_one_skips_who_needs_the_group(place: Place) -> None:
    place.pipeline({
        "plan": generate({"good": noted(), "bad": "exit 7"}),
        "ship": {"run": noted(), "needs": "plan"},
        "clean": {"run": noted(), "needs": "plan", "always": True},
    })  # fmt: skip
    done = place.run("run", "--json")
    assert done.code == 1
    assert reasons(done.json)["ship"] == "needs bad (failure)" and outcomes(done.json)["clean"] == "success"
    assert "made_by" in by_stage(done.json)["bad"]
    place.pipeline({
        "plan": generate({"good": noted(), "bad": "true"}),
        "ship": {"run": noted(), "needs": "plan"},
        "clean": {"run": noted(), "needs": "plan", "always": True},
    })  # fmt: skip
    place.ledger_path.write_text("")
    again = place.run("run", "--failed-of", "last", "--json")
    assert again.code == 0, again
    assert place.began()[0] == "good" and sorted(place.began()[1:]) == ["clean", "ship"]


def test_what_failed_runs_again_without_its_generator(place: Place) -> None:
    once = "echo . >> $BASE/times"
    place.pipeline({
        "plan": generate({"good": noted(), "bad": noted("[ -e $BASE/fine ]")}, once),
        "ship": {"run": noted(), "needs": "plan"},
    })  # fmt: skip
    done = place.run("run")
    assert done.code == 1 and f"again  stagebook run --failed-of {place.run_ids()[0][:8]}" in done.out, done.out
    (place.base / "fine").touch()
    place.ledger_path.write_text("")
    again = place.run("run", "--failed-of", "last", "--json")
    assert again.code == 0, again
    assert place.began() == ["bad", "ship"] and reasons(again.json)["plan"] == "not selected"
    assert by_stage(again.json)["bad"]["made_by"] == "plan" and (place.base / "times").read_text() == ".\n"
    assert place.run("run", "--failed-of", place.run_ids()[0], "--dry-run").code == 0


def test_they_have_all_that_stages_of_the_file_have(place: Place) -> None:
    """Matrix, group, files, locks, pools, conditions, outputs of others, a suite in parts."""
    place.write("a\nb\n", "tests.txt")
    place.pipeline({
        "base": {"run": "echo base > base.txt; echo value=7 >> $STAGEBOOK_OUTPUT", "outputs": ["base.txt"]},
        "unit": {"run": noted(), "matrix": {"v": ["1", "2"]}},
        "plan": generate({
            "cells": {"run": noted('test -n "$MATRIX_K"'), "matrix": {"k": ["x", "y"]}, "needs": "unit[v=1]"},
            "both": {"parallel": [{"p": noted()}, {"q": noted()}]},
            "reads": {"run": noted("cp base.txt made.txt"), "inputs": ["base.txt"], "outputs": ["made.txt"]},
            "given": {"run": noted('test "$GIVEN" = 7'), "env": {"GIVEN": {"from": 'stages["base"].outputs.value'}}},
            "not": {"run": noted(), "when": "false"},
            "asked": {"run": noted(), "when": 'stages["unit[v=2]"].outcome == "success"', "needs": "unit"},
            "alone": {"run": noted(), "locks": {"l": "exclusive"}},
            "shared": {"run": noted(), "locks": {"l": "shared"}, "resources": {"cpu": 1}},
            "after": {"run": noted(), "needs": ["both", "cells"]},
            "items": {"each": {"items": {"range": [1, 3]}, "steps": [{"s": {"run": "true"}}]}},
            "ask": {"gate": {"prompt": "ok?", "timeout": "100ms", "default": "approve"}},
            "suite": {"split": {"run": noted('test -s "$STAGEBOOK_SPLIT"'), "list": "cat tests.txt", "shards": 2}},
        }),
        "holds": {"run": noted(), "locks": {"l": "shared"}},
    }, pools={"db": 1})  # fmt: skip
    done = place.run("run", "--json", "-j", "4")
    assert done.code == 0, done
    ends = outcomes(done.json)
    assert ends.pop("not") == "skip" and set(ends.values()) == {"success"}, ends
    assert {"cells[k=x]", "cells[k=y]", "p", "q", "suite[shard=1]", "suite[shard=2]"} <= set(ends)
    assert "base" in by_stage(done.json)["reads"]["needs"]
    assert by_stage(done.json)["items"]["items"]["done"] == 3 and "nobody decided" in (reasons(done.json)["ask"] or "")
    assert by_stage(done.json)["after"]["needs"] == ["plan", "p", "q", "cells[k=x]", "cells[k=y]"]


def test_the_defaults_of_the_file_are_theirs_too_also_after_a_resume(place: Place) -> None:
    stages = {
        "given": noted('test "$GIVEN$OWN" = xz && test "$(basename "$PWD")" = sub'),
        "again": noted('test "$STAGEBOOK_ATTEMPT" -ge 3'),
        "once": {"run": noted("false"), "retry": {"attempts": 1}, "allow-failure": True},
        "made": generate({"below": noted('test "$GIVEN" = x')}, "while [ ! -e $BASE/go ]; do sleep 0.02; done"),
    }
    stages["given"] = {"run": stages["given"], "env": {"OWN": "z"}}
    defaults = {
        "dir": "sub", "env": {"GIVEN": "x", "OWN": "y"}, "retry": {"attempts": 3, "backoff": "10ms", "jitter": "10%"},
        "timeout": {"attempt": "20s"}, "resources": {"cpu": 0.5, "memory": "1MiB"},
    }  # fmt: skip
    (place.folder / "sub").mkdir()
    place.pipeline({"plan": generate(stages), "last": {"run": noted(), "needs": "plan"}}, defaults=defaults)
    command = place.start("run", "--quiet", "-j", "2")
    place.wait_for("given")
    command.kill()
    (place.base / "go").touch()
    done = place.run("run", "--resume", "--json")
    assert done.code == 0, done.said
    failed = [attempt["outcome"] for attempt in by_stage(done.json)["once"]["attempts"]].count("failure")
    assert failed == 1
    assert len(by_stage(done.json)["again"]["attempts"]) >= 3
    assert set(outcomes(done.json).values()) == {"success", "failure"}


def test_a_condition_that_cannot_be_is_a_mistake(place: Place) -> None:
    place.pipeline({"plan": generate({"x": {"run": "true", "when": "parms.a == 1"}})})
    done = place.run("run", "--json")
    assert done.code == 1 and "parms" in (reasons(done.json)["plan"] or "")


def test_a_retry_starts_without_the_file_of_the_attempt_before(place: Place) -> None:
    first = "[ $STAGEBOOK_ATTEMPT = 1 ] && { echo garbage > $STAGEBOOK_GENERATE; exit 1; }"
    first += "; [ -e $STAGEBOOK_GENERATE ] && exit 9"
    place.pipeline({"plan": {"generate": {"run": f"{first}\n{writes({'a': noted()})}"}, "retry": {"attempts": 2}}})
    done = place.run("run", "--json")
    assert done.code == 0 and by_stage(done.json)["plan"]["flaky"], done
    assert place.began() == ["a"]


def test_a_mistake_is_tried_again_like_any_failure(place: Place) -> None:
    bad = '[ $STAGEBOOK_ATTEMPT = 1 ] && { echo "[" > $STAGEBOOK_GENERATE; exit 0; }'
    place.pipeline({"plan": {"generate": {"run": f"{bad}\n{writes({'a': noted()})}"}, "retry": {"attempts": 2}}})
    done = place.run("run", "--json")
    assert done.code == 0 and place.began() == ["a"], done
    assert "generated stages: generated/plan.1.json" in by_stage(done.json)["plan"]["attempts"][0]["reason"]


def test_a_killed_run_goes_on_with_the_same_stages(place: Place) -> None:
    once = "echo . >> $BASE/times"
    place.pipeline({
        "plan": generate({"a": noted(), "b": noted("[ $STAGEBOOK_ATTEMPT = 2 ] || sleep 971")}, once),
        "ship": {"run": noted(), "needs": "plan"},
    })  # fmt: skip
    command = place.start("run", "-j", "4")
    place.wait_for("b")
    waiting.until(lambda: [end for end in place.events("stage.ended") if end["stage"] == "a"], "the end of a")
    command.kill("both")
    done = place.run("run", "--resume", "last", "--json")
    assert done.code == 0, done
    assert set(outcomes(done.json).values()) == {"success"} and len(done.json["stages"]) == 4
    assert place.began() == ["a", "b", "b", "ship"] or place.began() == ["b", "a", "b", "ship"]
    assert (place.base / "times").read_text() == ".\n"


def test_a_journal_that_ends_between_joining_and_the_end_goes_on(place: Place) -> None:
    """The line that tells of the stages is whole, that of the generator's end is not: it runs again, to the same."""
    place.pipeline({"plan": generate({"a": noted()}), "ship": {"run": noted(), "needs": "plan"}})
    assert place.run("run").code == 0
    path = place.journal_path()
    lines = path.read_bytes().split(b"\n")
    at = next(number for number, line in enumerate(lines) if b'"event":"stages.added"' in line)
    path.write_bytes(b"\n".join(lines[: at + 1]) + b"\n" + lines[at + 1][:40])
    place.ledger_path.write_text("")
    done = place.run("run", "--resume", "last", "--json")
    assert done.code == 0, done
    assert place.began() == ["a", "ship"] and added(place) == ["plan"]
    assert len(by_stage(done.json)["plan"]["attempts"]) == 2


def test_other_stages_than_those_that_have_joined_are_refused(place: Place) -> None:
    stages = json.dumps({"stages": {"a": "true"}})
    run = f"echo '{stages}' | sed s/a/a$STAGEBOOK_ATTEMPT/2 > $STAGEBOOK_GENERATE"
    place.pipeline({"plan": {"generate": {"run": run}}})
    assert place.run("run").code == 0
    path = place.journal_path()
    lines = path.read_bytes().split(b"\n")
    at = next(number for number, line in enumerate(lines) if b'"event":"stages.added"' in line)
    path.write_bytes(b"\n".join(lines[: at + 1]) + b"\n")
    done = place.run("run", "--resume", "last", "--json")
    assert done.code == 1 and "which have joined this run" in (reasons(done.json)["plan"] or ""), done


def test_a_changed_file_keeps_what_stands(place: Place) -> None:
    plan = generate({"a": noted(), "b": noted("[ $STAGEBOOK_ATTEMPT = 2 ] || sleep 971")}, "echo . >> $BASE/times")
    place.pipeline({"plan": plan, "ship": {"run": noted(), "needs": "plan"}})
    command = place.start("run", "-j", "4")
    place.wait_for("b")
    waiting.until(lambda: [end for end in place.events("stage.ended") if end["stage"] == "a"], "the end of a")
    command.kill("both")
    place.pipeline({"plan": plan, "ship": {"run": noted("true"), "needs": "plan"}, "more": noted()})
    refused = place.run("run", "--resume", "last")
    assert refused.code == 2 and "began: ship, more;" in refused.err, refused
    done = place.run("run", "--resume", "last", "--accept-changes", "--json")
    assert done.code == 0, done
    assert sorted(place.began()) == ["a", "b", "b", "more", "ship"] and (place.base / "times").read_text() == ".\n"
    assert len(by_stage(done.json)["b"]["attempts"]) == 2 and by_stage(place.show())["b"]["made_by"] == "plan"


def test_a_generator_that_is_changed_generates_anew(place: Place) -> None:
    place.pipeline(
        {"plan": generate({"a": noted(), "b": noted("sleep 971")}), "ship": {"run": "true", "needs": "plan"}}
    )
    command = place.start("run", "-j", "4")
    place.wait_for("b")
    command.kill("both")
    place.pipeline({"plan": generate({"a": noted(), "c": noted()}), "ship": {"run": noted(), "needs": "plan"}})
    done = place.run("run", "--resume", "last", "--accept-changes", "--json")
    assert done.code == 0, done
    assert outcomes(done.json) == dict.fromkeys(("plan", "ship", "a", "c"), "success")
    assert by_stage(done.json)["a"]["attempts"][-1]["log"].endswith("a.2.log")
    assert place.run("run", "--resume", "last").code == 0
    assert outcomes(place.show()) == outcomes(done.json)


def test_one_that_is_up_to_date_brings_the_same_stages(place: Place) -> None:
    place.write("1", "in.txt")
    place.pipeline({
        "plan": {**generate({"a": noted(), "b": noted()}, "echo . >> $BASE/times"), "inputs": ["in.txt"]},
        "ship": {"run": noted(), "needs": "plan"},
    })  # fmt: skip
    assert place.run("run").code == 0
    done = place.run("run", "--json")
    assert done.code == 0 and reasons(done.json)["plan"] == "up to date"
    assert place.began().count("a") == 2 and added(place) == ["plan"]
    assert (place.base / "times").read_text() == ".\n"
    assert by_stage(done.json)["a"]["made_by"] == "plan" and by_stage(done.json)["ship"]["needs"] == ["plan", "a", "b"]
    for run in place.run_ids():
        for path in (place.runs_folder / run / "generated").iterdir():
            path.unlink()
    done = place.run("run", "--json")
    assert done.code == 0 and outcomes(done.json)["plan"] == "success"
    assert "what it generated before is not kept" in by_stage(done.json)["plan"]["because"]


def test_names_that_nobody_can_know_yet_are_refused_with_the_reason(place: Place) -> None:
    place.pipeline({"plan": generate({"a": noted(), "b": noted()}), "ship": {"run": noted(), "needs": "plan"}})
    done = place.run("run", "--only", "a")
    assert done.code == 2 and "what `plan` generates takes part as it does" in done.err, done
    assert place.run("run", "--only", "plan").code == 0
    assert sorted(place.began()) == ["a", "b"]
    assert place.run("run", "--skip", "plan").code == 0
    assert place.began()[2:] == ["ship"]


def test_a_stage_that_is_ended_joins_nothing(place: Place) -> None:
    place.pipeline({
        "plan": generate({"a": noted()}, f"{noted()}; trap 'exit 0' TERM; sleep 971 & wait"),
        "slow": generate({"z": noted()}, "sleep 971", timeout="200ms", grace="0s"),
    })  # fmt: skip
    command = place.start("run", "--json")
    place.wait_for("plan", "end")
    waiting.until(lambda: place.events("stage.ended"), "the end of slow")
    assert place.run("cancel", "last").code == 0
    done = command.wait()
    assert outcomes(done.json) == {"plan": "cancellation", "slow": "timeout"} and added(place) == []


def test_a_secret_that_is_written_out_is_refused_and_not_kept(place: Place) -> None:
    place.pipeline(
        {
            "plan": {
                "generate": {"run": 'echo "{stages: {a: echo $TOKEN}}" > $STAGEBOOK_GENERATE'},
                "secrets": ["TOKEN"],
            },
            "fine": generate({"b": {"run": noted('test -n "$TOKEN"'), "secrets": ["TOKEN"]}}),
        },
        secrets=["TOKEN"],
    )
    done = place.run("run", "--json", env={"TOKEN": "wholly-secret-word"})
    assert done.code == 1
    assert outcomes(done.json) == {"plan": "failure", "fine": "success", "b": "success"}
    assert "holds the value of the secret TOKEN" in (reasons(done.json)["plan"] or "")
    for folder, _, names in os.walk(place.folder / ".stagebook"):
        for name in names:
            assert b"wholly-secret" not in Path(folder, name).read_bytes(), name


def test_two_that_generate_the_same_name_at_once(place: Place) -> None:
    place.pipeline({"one": generate({"x": noted()}), "two": generate({"x": noted()})})
    done = place.run("run", "--json", "-j", "2")
    ends = outcomes(done.json)
    assert done.code == 1 and sorted([ends["one"] or "", ends["two"] or ""]) == ["failure", "success"]
    assert place.began() == ["x"] and len(added(place)) == 1


def test_a_lenient_run_fails_by_those_that_are_marked(place: Place) -> None:
    place.pipeline({
        "plan": {**generate({"odd": "exit 1", "must": {"run": "true", "critical": True}}), "critical": True},
    })  # fmt: skip
    done = place.run("run", "--policy", "lenient", "--json")
    assert done.code == 0 and done.json["critical_planned"] == ["plan", "must"]
    assert "odd: failure, off the critical path" in done.json["warnings"]


def test_history_tells_of_them_as_of_stages(place: Place) -> None:
    place.pipeline({"plan": generate({"a": noted()})})
    assert place.run("run").code == 0
    done = place.run("stats", "a")
    assert done.code == 0 and "1 run" in done.out, done
    assert "now: plan generated it" in place.run("why", "a").out
    assert "what plan generates: 1 stage, as in run" in " ".join(place.run("plan").out.split())
    assert "plan ⇢" in place.run("map", env={"LC_ALL": "C.UTF-8"}).out


def test_the_example_tests_what_a_commit_concerns(place: Place) -> None:
    """Two commits give different stages."""
    example = Path(__file__).resolve().parents[2] / "examples" / "services"
    shutil.copytree(
        example, place.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".stagebook")
    )
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]

    def git(*words: str) -> None:
        subprocess.run(["git", *identity, *words], cwd=place.folder, check=True, capture_output=True, env=place.env)

    def commit(path: str) -> set[str]:
        with open(place.folder / path, "a") as file:
            file.write("\n# changed\n")
        git("add", "-A")
        git("commit", "-qm", path)
        done = place.run("run", "--json")
        assert done.code == 0, done
        assert outcomes(done.json)["report"] == "success"
        return {stage["stage"] for stage in done.json["stages"] if stage.get("made_by") == "find-changed"}

    place.write("__pycache__/\n", ".gitignore")
    git("init", "-q")
    every = {"test-shared", "test-billing", "test-mail", "test-orders"}
    assert commit("README.md") == every  # there is no commit to compare with yet
    assert commit("services/billing/invoice.py") == {"test-billing", "test-orders"}
    assert commit("services/mail/letter.py") == {"test-mail"}
    assert commit("services/shared/money.py") == every
    assert commit("README.md") == set()
    shutil.copytree(place.folder / "services" / "mail", place.folder / "services" / "news")
    told = place.run("run", "--json").json["stages"]
    assert [stage["stage"] for stage in told if stage.get("made_by")] == ["test-news"], "though git does not know it"
    shutil.rmtree(place.folder / "services" / "news")
    assert place.run("run", "--param", "base=--output=written").code == 0
    assert not (place.folder / "written").exists()
    place.run("run", "--param", "base=HEAD~1")
    stages = by_stage(place.show(place.run_ids()[3]))
    assert stages["test-orders"]["needs"] == ["find-changed", "test-billing"]
    assert place.run("lint", "--strict").code == 0


def test_a_generator_waits_for_what_its_stages_may_read(place: Place) -> None:
    place.pipeline({
        "work": "echo ready > made.txt",
        "plan-checks": {**generate({"look": "sh look.sh"}), "needs": "work"},
        "after": {"run": "true", "needs": "plan-checks"},
    })  # fmt: skip
    document = place.run("map", "--json").json
    assert [note for note in document["notes"] if note["code"] == "needless-order"] == []
    [edge] = [edge for edge in document["edges"] if edge["to"] == "plan-checks"]
    assert [reason["text"] for reason in edge["reasons"]] == ["what plan-checks generates may read what work makes"]
