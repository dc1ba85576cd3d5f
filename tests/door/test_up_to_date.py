"""What is up to date is skipped, and why a stage runs is said: R65 (key, early cut-off, `why`), `--force`, dry run."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from tests.door.place import Place, by_stage, noted, outcomes, reasons
from tests.door.terminal import Terminal

#: A compiler that leaves comments out, tests of what it made, and a check that reads the sources only.
SHOP = {
    "lint": {"run": noted("grep -q main src/a.c"), "inputs": ["src/**"]},
    "build": {
        "run": noted("mkdir -p dist; sed 's://.*::' src/a.c > dist/app; echo version=3 >> $STAGEBOOK_OUTPUT"),
        "inputs": ["src/*.c"],
        "outputs": ["dist/app"],
    },
    "test": {
        "run": noted("cat dist/app; echo $V > report.txt"),
        "inputs": ["dist/app"],
        "outputs": ["report.txt"],
        "env": {"V": {"from": 'stages["build"].outputs.version'}},
    },
}


@pytest.fixture
def shop(place: Place) -> Place:
    place.write("int main(){}//a\n", "src/a.c")
    place.pipeline(SHOP)
    assert place.run("run").code == 0
    assert sorted(place.began()) == ["build", "lint", "test"]
    return place


def again(place: Place, *words: str) -> dict[str, tuple[str | None, str | None]]:
    """Run once more: outcome of each stage, and why it ran or did not."""
    done = place.run("run", "--json", *words)
    assert done.code == 0, done
    return {
        stage["stage"]: (stage["outcome"], stage.get("because") or stage["reason"]) for stage in done.json["stages"]
    }


def test_r065_the_second_run_is_up_to_date_also_after_a_touch(shop: Place) -> None:
    nothing = dict.fromkeys(SHOP, ("skip", "up to date"))
    assert again(shop) == nothing
    for age in (0, 10**9, 4 * 10**9):
        os.utime(shop.folder / "src" / "a.c", (age, age))
        assert again(shop) == nothing
    assert len(shop.began()) == 3
    done = shop.run("run")
    assert done.code == 0
    assert "lint: skip, up to date" in done.out


def test_r065_a_changed_byte_is_found_whatever_its_time_says(shop: Place) -> None:
    path = shop.folder / "src" / "a.c"
    before = path.stat()
    path.write_text("int main(){}//b\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert again(shop) == {
        "lint": ("success", "changed: src/a.c"),
        "build": ("success", "changed: src/a.c"),
        "test": ("skip", "up to date"),  # only a comment, so the program is the same
    }
    path.write_text("int main(){1;}\n")
    assert again(shop)["test"] == ("success", "changed: dist/app")


def test_what_is_new_gone_or_said_otherwise_is_a_reason(shop: Place) -> None:
    shop.write("x", "src/b.h")
    assert again(shop)["lint"] == ("success", "new: src/b.h")
    (shop.folder / "src" / "b.h").unlink()
    assert again(shop)["lint"] == ("success", "gone: src/b.h")
    (shop.folder / "report.txt").write_text("forged\n")
    assert again(shop)["test"] == ("success", "output changed: report.txt")
    (shop.folder / "dist" / "app").unlink()
    assert again(shop)["build"] == ("success", "output missing: dist/app")
    shop.pipeline({**SHOP, "lint": {**SHOP["lint"], "run": "true"}})
    assert again(shop)["lint"][1] == "command changed"
    shop.pipeline({**SHOP, "lint": {**SHOP["lint"], "run": "true"}}, env={"MODE": "x"})
    assert again(shop)["lint"][1] == "env MODE changed"


def test_params_and_inherited_variables_that_are_named_belong_to_the_key(place: Place) -> None:
    place.write("a", "a")
    stages = {"one": {"run": "true", "inputs": ["a"], "env-inputs": ["FLAVOUR"]}}
    place.pipeline(stages, params={"channel": {"default": "beta"}})
    for words, flavour, because in [
        ((), "", "never succeeded here"),
        ((), "x", "env FLAVOUR changed"),
        ((), "x", "up to date"),
        (("--param", "channel=stable"), "x", "param channel changed"),
    ]:
        done = place.run("run", "--json", *words, env={"FLAVOUR": flavour, "OTHER": str(time.time())})
        stage = done.json["stages"][0]
        assert (stage.get("because") or stage["reason"]) == because


def test_force_means_that_nothing_is_up_to_date_and_a_resume_keeps_it(shop: Place) -> None:
    assert again(shop, "--force") == dict.fromkeys(SHOP, ("success", "--force"))
    assert len(shop.began()) == 6
    assert shop.events("run.started")[0]["choice"]["force"] is True


def test_a_stage_without_inputs_always_runs(place: Place) -> None:
    place.pipeline({"make": {"run": noted("echo x > out"), "outputs": ["out"]}, "plain": noted()})
    for _ in range(2):
        assert outcomes(place.run("run", "--json").json) == {"make": "success", "plain": "success"}
    assert len(place.began()) == 4


def test_what_did_not_succeed_last_is_not_up_to_date(place: Place) -> None:
    place.write("good", "a")
    place.pipeline({"one": {"run": noted('grep -q good a; test -z "$BROKEN"'), "inputs": ["a"]}})
    assert place.run("run").code == 0
    assert place.run("run", "--force", env={"BROKEN": "1"}).code == 1
    assert again(place) == {"one": ("success", "the last attempt did not succeed")}
    assert again(place) == {"one": ("skip", "up to date")}
    place.write("bad", "a")
    assert place.run("run").code == 1
    place.write("good", "a")
    assert again(place) == {"one": ("success", "the last attempt did not succeed")}


def test_the_dry_run_says_what_is_up_to_date_and_what_that_depends_on(shop: Place) -> None:
    done = shop.run("run", "--dry-run", "--json")
    assert {row["stage"]: (row["action"], row["reason"]) for row in done.json["stages"]} == dict.fromkeys(
        SHOP, ("skip", "up to date")
    )
    shop.write("int main(){2;}\n", "src/a.c")
    done = shop.run("run", "--dry-run", "--json")
    rows = {row["stage"]: (row["action"], row["reason"]) for row in done.json["stages"]}
    assert rows["lint"] == ("run", "needs nothing; changed: src/a.c")
    assert rows["test"] == ("run", "after build; decided when build has ended")
    assert len(shop.began()) == 3
    done = shop.run("run", "--dry-run", "--json", "--force")
    assert all(row["action"] == "run" for row in done.json["stages"])


def test_a_condition_is_asked_first(place: Place) -> None:
    place.write("a", "a")
    place.pipeline({"one": {"run": "true", "inputs": ["a"], "when": "params.on == 'yes'"}},
                   params={"on": {"default": "yes"}})  # fmt: skip
    assert again(place) == {"one": ("success", "never succeeded here")}
    assert again(place) == {"one": ("skip", "up to date")}
    assert again(place, "--param", "on=no") == {"one": ("skip", "when: params.on == 'yes'")}


def test_why_names_each_difference_and_what_it_is_up_to_date_with(shop: Place) -> None:
    done = shop.run("why", "lint")
    assert done.code == 0, done
    assert "never succeeded here" in done.out
    assert "up to date with run" in done.out
    assert "1 input, no outputs" in done.out
    shop.write("int main(){1;}\n", "src/a.c")
    shop.write("x", "src/b.c")
    document = shop.run("why", "build", "--json").json
    assert document["stage"] == "build"
    assert document["now"] == {
        "verdict": "run",
        "reasons": ["changed: src/a.c", "new: src/b.c"],
        "up_to_date_with": None,
    }
    assert document["then"]["reason"] == "never succeeded here"
    out = shop.run("why", "build").out
    assert "changed: src/a.c" in out
    assert "new: src/b.c" in out


def test_why_says_that_an_attempt_failed_before_it_began(place: Place) -> None:
    build = {"run": "mkdir -p dist; echo x > dist/app", "outputs": ["dist/app"]}
    spoil = {"run": "echo y > dist/app", "needs": "build"}
    deploy = {"run": noted(), "inputs": ["dist/app"], "needs": ["spoil"], "retry-safe": False}
    place.pipeline({"build": build, "spoil": spoil, "deploy": deploy})
    done = place.run("run")
    assert done.code == 1
    assert "again  stagebook run --until deploy\n" in done.out
    assert ": it failed before it began: integrity: dist/app changed after build" in place.run("why", "deploy").out
    place.pipeline({"build": build, "deploy": {**deploy, "needs": []}})
    assert place.run("run", "--until", "deploy").code == 0
    place.pipeline({"build": {**build, "run": "true"}})
    (place.folder / "dist" / "app").unlink()
    done = place.run("run")
    assert "again  stagebook run --until build\n" in done.out
    assert "it ran" in place.run("why", "build").out


def test_why_names_the_parameters_that_it_judges_with(place: Place) -> None:
    place.write("a", "a")
    place.pipeline({"a": {"run": "true", "inputs": ["a"]}}, params={"n": {"default": "1"}, "m": {"default": "x"}})
    assert place.run("run").code == 0
    assert "\nnow: up to date with run " in place.run("why", "a").out
    assert place.run("run", "--param", "n=3", "--param", "m=x").code == 0
    assert "\nnow, with --param n=3 as then: up to date with run " in place.run("why", "a").out
    place.write("b", "a")
    assert "\nnow, with --param n=3 as then: it would run\n  changed: a\n" in place.run("why", "a").out
    assert place.run("run", "--param", "n=a b", "--param", "m=2").code == 0
    assert "\nnow, with --param 'n=a b' --param m=2 as then: up to date" in place.run("why", "a").out


def test_why_speaks_of_stages_that_are_never_up_to_date_and_of_unknown_ones(place: Place) -> None:
    place.pipeline({"plain": "true"})
    assert "never up to date: it declares no inputs" in place.run("why", "plain").out
    assert place.run("run").code == 0
    assert "never up to date: it declares no inputs" in place.run("why", "plain").out
    done = place.run("why", "plan")
    assert done.code == 2
    assert "did you mean `plain`?" in done.err


def test_what_must_not_run_twice_by_itself_runs_when_it_is_asked_for_unless_its_outputs_show_that_it_stands(
    place: Place,
) -> None:
    """A deployment's inputs are checked before it starts; that they are the same says nothing of the site."""
    place.write("1", "in.txt")
    deploy = {"run": noted("cat in.txt"), "inputs": ["in.txt"], "retry-safe": False}
    place.pipeline({"deploy": deploy, "sign": {**deploy, "run": noted("cp in.txt out.txt"), "outputs": ["out.txt"]}})
    for _ in range(2):
        assert place.run("run").code == 0
    assert sorted(place.began()) == ["deploy", "deploy", "sign"]
    assert "never up to date: it is `retry-safe: false` and declares no outputs" in place.run("why", "deploy").out


def test_inputs_that_match_no_file_are_said_and_never_up_to_date(place: Place) -> None:
    place.write("ok", "src/a")
    (place.folder / "link").symlink_to(place.folder.parent)
    stages: dict[str, dict[str, object]] = {
        "t": {"run": noted("grep -q ok src/a"), "inputs": ["scr/**"]},
        "part": {"run": noted(), "inputs": ["src/*", "link/**", "src/b"], "retry": {"attempts": 2}},
        "make": {"run": noted("echo > x"), "outputs": ["x"]},
        "use": {"run": noted(), "inputs": ["x", "src"]},
    }
    place.pipeline(stages)
    said = [
        "part: input link/** matches no file",
        "part: input src/b matches no file",
        "t: input scr/** matches no file",
    ]
    for because, part in [
        ("never succeeded here", ("success", "never succeeded here")),
        ("its inputs match no file", ("skip", "up to date")),
        ("its inputs match no file", ("skip", "up to date")),
    ]:
        done = place.run("run", "--json")
        assert sorted(done.json["warnings"]) == said
        found = {
            each["stage"]: (each["outcome"], each.get("because") or each["reason"]) for each in done.json["stages"]
        }
        assert found["t"] == ("success", because)
        assert found["part"] == part
        assert found["use"][0] == ("success" if because.startswith("never") else "skip")
    assert "t: input scr/** matches no file" in place.run("run").out
    assert "it would run\n  its inputs match no file" in place.run("why", "t").out
    rows = {row["stage"]: row["reason"] for row in place.run("run", "--dry-run", "--json").json["stages"]}
    assert rows["t"] == "needs nothing; its inputs match no file"
    stages["part"]["inputs"] = ["src/*"]
    place.pipeline(stages)
    assert place.run("run", "--json").json["warnings"] == said[2:]
    stages["part"]["inputs"] = ["src/*", "src/c"]
    place.pipeline(stages)
    for _ in range(2):
        done = place.run("run", "--json")
        assert outcomes(done.json)["part"] == "skip"
        assert "part: input src/c matches no file" in done.json["warnings"]


def test_many_inputs_are_read_by_a_child_and_found_again(place: Place) -> None:
    folder = place.folder / "in"
    folder.mkdir()
    for number in range(1000):
        (folder / f"{number:04}").write_text(str(number))
    place.pipeline({"all": {"run": "true", "inputs": ["in/**"]}})
    assert again(place) == {"all": ("success", "never succeeded here")}
    assert again(place) == {"all": ("skip", "up to date")}
    (folder / "0500").write_text("x")
    assert again(place) == {"all": ("success", "changed: in/0500")}


def test_two_runs_side_by_side_do_not_spoil_what_is_known(new_place: object, place: Place) -> None:
    place.write("a", "a")
    place.pipeline({f"s{number}": {"run": f"cp a o{number}", "inputs": ["a"], "outputs": [f"o{number}"]}
                    for number in range(12)})  # fmt: skip
    runs = [place.start("run", "--json") for _ in range(3)]
    for run in runs:
        assert run.wait().code in (0, 1)
    place.run("run")
    assert set(again(place).values()) == {("skip", "up to date")}


def test_failed_of_goes_on_working(place: Place) -> None:
    place.write("bad", "a")
    place.pipeline({
        "one": {"run": noted("grep -q good a; cp a b"), "inputs": ["a"], "outputs": ["b"]},
        "two": {"run": noted("cat b"), "inputs": ["b"]},
    })  # fmt: skip
    assert place.run("run").code == 1
    place.write("good", "a")
    done = place.run("run", "--failed-of", "last", "--json")
    assert outcomes(done.json) == {"one": "success", "two": "success"}, done


def test_a_journal_tells_what_was_published(shop: Place) -> None:
    first = shop.run_ids()[0]
    lines = {line["stage"]: line for line in shop.events("output.published", first)}
    assert lines["build"]["outputs"][0][:2] == ["dist/app", 13]
    assert lines["build"]["early"] is False
    document = by_stage(shop.show(first))
    assert document["build"]["published"]["files"][0]["path"] == "dist/app"
    assert document["build"]["because"] == "never succeeded here"
    assert "published" not in document["lint"]
    synced = [line for line in shop.journal(first) if line["event"] in ("journal.synced", "output.published")]
    assert [line["event"] for line in synced][:2] == ["journal.synced", "output.published"]


def test_reasons_are_those_of_outcomes(shop: Place) -> None:
    again(shop)
    assert set(reasons(shop.show()).values()) == {"up to date"}
    assert Path(shop.journal_path()).exists()


SLOW = {"STAGEBOOK_FAULT": "artifact.read:1+:SLOW"}
LARGE = {
    "build": {"run": "head -c 16M /dev/zero > big", "outputs": ["big"]},
    "use": {"run": "true", "needs": ["build"], "inputs": ["big"]},
}


def test_files_that_take_long_to_read_are_spoken_of_once(place: Place) -> None:
    place.pipeline(LARGE)
    done = place.run("run", env=SLOW)
    assert done.code == 0
    said = [line.split(" ", 1)[1] for line in (done.out + done.err).splitlines() if ": reading" in line]
    assert said == ["build: reading 16 MiB of outputs", "use: reading 16 MiB of inputs"]
    again = place.run("run")
    assert again.code == 0 and "reading" not in again.out + again.err


def test_on_a_terminal_it_is_seen_how_far_they_are_read(place: Place) -> None:
    place.pipeline(LARGE)
    with Terminal(place, "run", env=SLOW, size=(80, 24)) as terminal:
        assert terminal.wait() == 0
        shown = terminal.text()
    for words in ("reading outputs", "reading inputs"):
        done = [int(found) for found in re.findall(rf"{words}, (\d+) of 16 MiB", shown)]
        assert len(done) > 1 and done == sorted(done)


def test_why_tells_what_is_certain_though_what_it_reads_will_be_made_anew(place: Place) -> None:
    gen = {"run": "cat seed > made", "inputs": ["seed"], "outputs": ["made"]}
    slow = {"run": "cat made", "inputs": ["made"], "env": {"LEVEL": "1"}}
    (place.folder / "seed").write_text("one")
    place.pipeline({"gen": gen, "slow": slow})
    assert place.run("run").code == 0
    (place.folder / "seed").write_text("two")
    assert place.run("why", "slow", "--json").json["now"]["verdict"] == "later"
    place.pipeline({"gen": gen, "slow": {**slow, "run": "cat made made", "env": {"LEVEL": "2"}}})
    now = place.run("why", "slow", "--json").json["now"]
    assert (now["verdict"], now["reasons"]) == ("run", ["command changed", "env LEVEL changed"])


def test_diff_blames_the_stage_that_was_up_to_date_before(place: Place) -> None:
    (place.folder / "seed").write_text("one")
    place.pipeline({"slow": {"run": "sleep 0.5", "inputs": ["seed"]}, "other": "true"})
    assert place.run("run").code == 0
    before = place.run("run", "--json").json["run"]
    (place.folder / "seed").write_text("two")
    after = place.run("run", "--json").json["run"]
    done = place.run("diff", before, after)
    assert "slow +" in " ".join(done.out.split()).rpartition(" took ")[2], done.out
    (slower,) = place.run("diff", before, after, "--json").json["slower"]
    assert (slower["stage"], slower["before_s"]) == ("slow", None)
    assert slower["change_s"] == slower["after_s"]


def test_what_another_stage_published_is_no_output_of_one_whose_glob_matches_it(place: Place) -> None:
    one = {"run": noted("mkdir -p d; echo 1 > d/1"), "inputs": ["a"], "outputs": ["d/1"]}
    two = {"run": noted("echo 2 > d/2"), "inputs": ["b"], "outputs": ["d/*"], "needs": "one"}
    place.write("a", "a")
    place.write("b", "b")
    place.pipeline({"one": one, "two": two})
    assert place.run("run").code == 0
    assert "up to date with" in place.run("why", "two").out
    for _ in range(2):
        assert {each["outcome"] for each in place.run("run", "--json").json["stages"]} == {"skip"}
    (place.folder / "d" / "3").write_text("of nobody")
    assert "output changed: d/3" in place.run("why", "two").out
    (place.folder / "d" / "3").unlink()
    (place.folder / "d" / "2").write_text("other")
    assert outcomes(place.run("run", "--json").json) == {"one": "skip", "two": "success"}


@pytest.mark.parametrize("where", ["m.py", "lib/m.py", "lib/m/__init__.py"])
def test_the_module_of_a_python_stage_belongs_to_its_key(place: Place, where: str) -> None:
    (place.folder / where).parent.mkdir(parents=True, exist_ok=True)
    place.write("def f(): pass\n", where)
    place.write("a", "a")
    place.pipeline({"call": {"python": "m:f", "inputs": ["a"], "env": {"PYTHONPATH": "lib"}}})
    assert outcomes(place.run("run", "--json").json) == {"call": "success"}
    assert outcomes(place.run("run", "--json").json) == {"call": "skip"}
    place.write("def f(): print(1)\n", where)
    assert "module changed" in place.run("why", "call").out
    assert outcomes(place.run("run", "--json").json) == {"call": "success"}
    assert outcomes(place.run("run", "--json").json) == {"call": "skip"}
