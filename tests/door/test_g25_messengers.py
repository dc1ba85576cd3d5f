"""G25: whom a run tells cannot hurt it. Order, result, exit status and time stay, and what did not arrive is said."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from tests.door import processes, waiting
from tests.door.place import Place, noted, outcomes
from tests.door.post import Post

STAGES = {
    "build": noted("sleep 0.2"),
    "unit": {"run": noted("sleep 0.2; echo no; exit 1"), "needs": "build"},
    "lint": {"run": noted(), "needs": "build"},
}


@pytest.fixture
def posts() -> Iterator[Callable[..., Post]]:
    made: list[Post] = []

    def make(*words: Any) -> Post:
        made.append(Post(*words))
        return made[-1]

    yield make
    for each in made:
        each.close()


def followers(place: Place) -> list[int]:
    return [each.pid for each in processes.mark_processes(place.mark) if "-m stagebook.notify" in each.command]


def end_followers(place: Place) -> None:
    """What they would still try is told elsewhere, on a clock that need not be waited for."""
    processes.end([each for each in processes.mark_processes(place.mark) if "-m stagebook.notify" in each.command])


def notices(place: Place) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = place.show().get("notices", [])
    return told


@pytest.mark.parametrize("fault", ["refuses", "hangs", "answers 500", "redirects", "breaks off"])
def test_g25_a_service_that_fails_changes_nothing(place: Place, posts: Callable[..., Post], fault: str) -> None:
    elsewhere = posts()
    there = {"hangs": (0,), "answers 500": (500,), "redirects": (307, f"http://localhost:{elsewhere.port}/")}.get(fault)
    post = posts(*(there or ()))
    url = post.url
    if fault == "refuses":
        post.close()
    place.env["HOOK"] = "jsons" + url.removeprefix("json") if fault == "breaks off" else url
    place.pipeline(STAGES, notify=[{"to": "$HOOK", "name": "ops"}])
    begin = time.monotonic()
    done = place.run("run", "--json")
    took_s = time.monotonic() - begin
    assert done.code == 1, done
    assert outcomes(done.json) == {"build": "success", "unit": "failure", "lint": "success"}
    assert place.began()[0] == "build" and sorted(place.began()) == ["build", "lint", "unit"]
    assert took_s < done.json["wall_s"] + 2, "the run waited for a messenger"
    assert any("told" in text or "on the way" in text for text in done.json["warnings"]), done.json["warnings"]
    said = {
        "refuses": "connection refused", "hangs": "no answer in time",
        "answers 500": "it answered 500 Internal Server Error",
        "redirects": "it answered 307, and redirects elsewhere, which is not followed",
        "breaks off": "its certificate is not valid here",
    }[fault]  # fmt: skip
    waiting.until(lambda: [one for one in notices(place) if one["error"]], "the first try")
    shown = place.show()
    assert shown["notices"][0]["error"] == said
    assert shown["notices"][0]["state"] == "waiting"
    assert shown["warnings"] == [f"ops has not been told of failure of unit yet: {said}; it is tried again"]
    assert "tok-5f2c8e1d" not in json.dumps(shown)
    assert elsewhere.got == []
    end_followers(place)


def test_g25_a_redirect_that_keeps_host_and_method_is_followed(place: Place, posts: Callable[..., Post]) -> None:
    post = posts(307, "/elsewhere")
    post.answers = {"/elsewhere": 200}
    place.env["HOOK"] = post.url
    place.pipeline({"a": "true"}, notify=[{"to": "$HOOK"}])
    assert place.run("notify", "test").code == 0
    assert [path for path, _ in post.got] == ["/tok-5f2c8e1d", "/elsewhere"]
    assert post.titles()[1].startswith("test: ")
    post.answer = 302  # which would be asked for again by another method, without the message
    done = place.run("notify", "test")
    assert done.code == 1 and "it answered 302" in done.out


def test_g25_a_service_that_redirects_without_end_is_asked_a_few_times_only(
    place: Place, posts: Callable[..., Post]
) -> None:  # fmt: skip
    post = posts(307, "/round")
    place.env["HOOK"] = post.url
    place.pipeline({"a": "true"}, notify=[{"to": "$HOOK"}])
    done = place.run("notify", "test")
    assert done.code == 1 and "it redirects more than 3 times" in done.out, done.said
    assert len(post.got) == 4


def test_g25_a_command_that_hangs_or_floods_is_ended_with_all_that_it_started(place: Place) -> None:
    place.pipeline(
        {"a": "exit 1"},
        notify=[
            {"command": ["sh", "-c", 'echo $$ > "$BASE/pid"; sleep 100 & wait'], "name": "hangs"},
            {"command": ["sh", "-c", "yes | head -c 20000000; exit 3"], "name": "floods"},
        ],
    )
    begin = time.monotonic()
    assert place.run("run").code == 1
    assert time.monotonic() - begin < 5
    told = waiting.until(lambda: [one for one in notices(place) if one["error"]][1:], "both are tried", 60)
    assert told
    assert {one["target"]: one["error"] for one in notices(place)} == {
        "hangs": "no answer in 10 s",
        "floods": "exit 3: y",
    }
    end_followers(place)
    left = [each for each in processes.mark_processes(place.mark) if "sleep 100" in each.command]
    assert left == []


@pytest.mark.parametrize("victim", ["engine", "both"])
def test_g25_an_engine_that_is_killed_is_told_of(place: Place, posts: Callable[..., Post], victim: str) -> None:
    post = posts()
    place.env["HOOK"] = post.url
    work = 'touch "$BASE/began"; test -e "$BASE/go" || sleep 60'
    place.pipeline({"a": work}, name="release", notify=[{"to": "$HOOK"}])
    running = place.start("run")
    waiting.until((place.base / "began").exists, "a stage that runs")
    running.kill(victim)
    said = post.wait()[0]
    assert said["title"] == "! release was interrupted: its engine is gone, 1 stage had no end"
    assert f"stagebook run --resume {place.run_ids()[0]}" in said["message"]
    assert place.run("notify", "wait").code == 0
    (place.base / "go").touch()
    assert place.run("run", "--resume").code == 0
    assert place.run("notify", "wait").code == 0
    assert post.titles()[1:] == ["✓ release passes again"]


def test_g25_it_holds_nothing_of_the_run(place: Place, posts: Callable[..., Post]) -> None:
    post = posts()
    place.env["HOOK"] = post.url
    place.pipeline(
        {"a": 'touch "$BASE/began"; while [ ! -e "$BASE/go" ]; do sleep 0.05; done'}, notify=[{"to": "$HOOK"}]
    )
    running = place.start("run")
    waiting.until((place.base / "began").exists, "a stage that runs")
    [pid] = waiting.until(lambda: followers(place), "the process beside the run")
    waiting.until(lambda: os.readlink(f"/proc/{pid}/cwd") == "/", "it leaves the folder")
    own = str(place.runs_folder / place.run_ids()[0] / "notices.jsonl")
    waiting.until(lambda: descriptors(pid) == {"/dev/null", own, "anon_inode:inotify"}, "it has read what there was")
    assert os.getsid(pid) == pid
    ticks = cpu_ticks(pid)
    time.sleep(1.0)
    assert cpu_ticks(pid) - ticks <= 2, "it should sleep while nothing happens"
    (place.base / "go").touch()
    assert running.wait().code == 0
    waiting.until(lambda: not followers(place), "its end")
    assert post.got == []


def descriptors(pid: int) -> set[str]:
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(os.readlink(path))
    return found


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_g25_whoever_deletes_the_notices_of_a_run_loses_them_alone(place: Place) -> None:
    place.pipeline(
        {"spoil": "rm -f .stagebook/runs/$STAGEBOOK_RUN/notices.jsonl; exit 1"},
        notify=[{"command": ["sh", "-c", 'cat > "$BASE/told"'], "name": "keeper"}],
    )  # fmt: skip
    done = place.run("run")
    assert done.code == 1, done
    waiting.until((place.base / "told").exists, "the message all the same")
    assert place.run("show", "last").code == 0
