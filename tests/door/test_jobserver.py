"""R53: tools inside a stage stay within the cores that the stage reserves."""

from __future__ import annotations

import os
import subprocess

import pytest
from tests.door.place import Place, outcomes

#: Each compiler notes its begin and its end, and waits for company, so that more than are allowed would meet.
MAKEFILE = r"""
objects := $(foreach n,1 2 3 4 5 6,one$(n).o)
.PHONY: all deep broken
all: $(objects)
%.o:
	@echo "$(STAGEBOOK_STAGE) $* $$PPID begin" >> "$(LEDGER)"; sleep 0.1; \
	echo "$(STAGEBOOK_STAGE) $* $$PPID end" >> "$(LEDGER)"
deep:
	@$(MAKE) -f Makefile all
broken:
	@sleep 0.05; kill -9 $$PPID
"""


def most_at_once(place: Place) -> dict[str, int]:
    """The most compilers that ran at the same time, by stage."""
    now: dict[str, int] = {}
    most: dict[str, int] = {}
    for line in place.ledger_path.read_text().splitlines():
        stage, _, _, word = line.split()
        now[stage] = now.get(stage, 0) + (1 if word == "begin" else -1)
        most[stage] = max(most.get(stage, 0), now[stage])
    return most


COMMANDS = {
    "direct": "make -j",
    "shell": "test -e Makefile && make --jobs all",
    "plain": "make",
    "recursive": "make -j deep",
    "nproc": "make -j$(nproc)",
    "cmd": ["make", "-kj"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_r053_at_most_as_many_compilers_at_once_as_cores_are_reserved(place: Place, name: str) -> None:
    place.write(MAKEFILE, "Makefile")
    command = COMMANDS[name]
    kind = "run" if isinstance(command, str) else "cmd"
    place.pipeline({
        f"two-{name}": {kind: command, "resources": {"cpu": 2}},
        f"one-{name}": {kind: command, "resources": {"cpu": 0.5}, "needs": f"two-{name}"},
    })  # fmt: skip
    done = place.run("run")
    assert done.code == 0, done
    assert most_at_once(place) == {f"two-{name}": 2, f"one-{name}": 1}
    assert [*place.runs_folder.rglob("*.jobs")] == []


def test_r053_tokens_that_a_dead_make_held_are_missed_by_no_other_attempt(place: Place) -> None:
    place.write(MAKEFILE, "Makefile")
    place.pipeline({
        "killed": {
            "run": 'if [ $STAGEBOOK_ATTEMPT = 1 ]; then make -j broken one1.o one2.o one3.o; fi; make -j',
            "resources": {"cpu": 2}, "retry": {"attempts": 2},
        },
        "after": {"run": "make -j", "resources": {"cpu": 2}, "needs": "killed"},
    })  # fmt: skip
    assert place.run("run").code == 0
    assert [len(stage["attempts"]) for stage in place.show()["stages"]] == [2, 1]
    assert most_at_once(place)["after"] == 2


def test_r053_a_stage_is_told_its_cores_and_keeps_what_is_set(place: Place) -> None:
    place.pipeline({
        "told": {"run": "env > told", "resources": {"cpu": 2}, "env": {"GOMAXPROCS": "5"}},
        "own": {"run": "env > own", "resources": {"cpu": 2}, "env": {"MAKEFLAGS": "-j7"}},
        "none": {"run": "env > none"},
    })  # fmt: skip
    assert place.run("run", env={"MAKEFLAGS": "-j9 --no-print-directory", "CARGO_BUILD_JOBS": "3"}).code == 0
    said = {name: dict(line.partition("=")[::2] for line in (place.folder / name).read_text().splitlines())
            for name in ("told", "own", "none")}  # fmt: skip
    told = said["told"]
    assert (told["STAGEBOOK_CPUS"], told["OMP_NUM_THREADS"], told["CMAKE_BUILD_PARALLEL_LEVEL"]) == ("2", "2", "2")
    assert (told["GOMAXPROCS"], told["CARGO_BUILD_JOBS"]) == ("5", "3")
    assert told["MAKEFLAGS"].startswith(" --no-print-directory -j2 --jobserver-auth=")
    assert said["own"]["MAKEFLAGS"] == "-j7"
    assert said["none"]["MAKEFLAGS"] == "-j9 --no-print-directory"
    assert not {"STAGEBOOK_CPUS", "OMP_NUM_THREADS"} & said["none"].keys()


def test_r053_the_jobserver_of_an_outer_make_is_passed_on_only_if_it_lives(place: Place) -> None:
    place.pipeline({"inner": 'echo "flags $MAKEFLAGS"; make'})
    place.write("all:\n\t@true\n", "Makefile")
    place.write(
        f"plain:\n\t@{place.command} run --output group\nlive:\n\t+@{place.command} run --output group\n", "Outer"
    )
    for goal, style in (("plain", "pipe"), ("live", "pipe"), ("live", "fifo")):
        done = subprocess.run(
            ["make", "-f", "Outer", "-j2", f"--jobserver-style={style}", goal],
            cwd=place.folder, env=place.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
        )  # fmt: skip
        assert "jobserver unavailable" not in done.stdout, done.stdout
        assert ("--jobserver-auth" in done.stdout) == (goal == "live"), done.stdout


def test_r053_more_stages_than_descriptors_each_have_their_jobserver(place: Place) -> None:
    place.pipeline([{f"s{i}": {"run": "true $MAKEFLAGS", "resources": {"cpu": 2}}} for i in range(60)])
    done = place.run("run", prefix=("sh", "-c", 'ulimit -n 40; exec "$@"', "sh"))
    assert done.code == 0, done
    assert set(outcomes(place.show()).values()) == {"success"}


def test_r053_a_jobserver_in_a_folder_with_an_odd_name(place: Place) -> None:
    place.write(MAKEFILE, "Makefile")
    place.pipeline({"odd": {"run": "make -j deep", "resources": {"cpu": 2}}})
    state = place.base / "a b$c"
    assert place.run("run", "--dir", os.fspath(state)).code == 0
    assert most_at_once(place) == {"odd": 2}
