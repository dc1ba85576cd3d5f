"""What a stage sees in its environment, and where its program is found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stagebook.engine.environment import Environment, variable
from stagebook.model.pipeline import Pipeline, Stage
from stagebook.record import trace

RUN = "01KYAMB2WQ4V7T0C9E8R5N3ZXD"


def environment(
    pipeline_env: dict[str, str] | None = None, traceparent: str | None = None, **params: str
) -> Environment:
    pipeline = Pipeline("p", "/p/stagebook.yaml", "native", "d", (), env=pipeline_env or {})
    return Environment(pipeline, RUN, params, traceparent)


def test_a_stage_sees_run_stage_attempt_parameters_cells_and_env() -> None:
    stage = Stage(
        "unit[os=a b]", "unit", 1, 1, "run", "x", cell={"os": "a b", "py-v": "3.10"}, env={"A": "stage", "B": "2"}
    )
    env = environment({"A": "pipeline", "C": "3"}, channel="beta $(x)").of(4, stage, 2, b"/w", b"/o")
    wanted = {
        "STAGEBOOK_RUN": RUN, "STAGEBOOK_STAGE": "unit[os=a b]", "STAGEBOOK_ATTEMPT": "2", "STAGEBOOK_WORKSPACE": "/w",
        "STAGEBOOK_OUTPUT": "/o", "MATRIX_OS": "a b", "MATRIX_PY_V": "3.10", "PARAM_CHANNEL": "beta $(x)",
        "A": "stage", "B": "2", "C": "3",
    }  # fmt: skip
    assert {name: env[name.encode()].decode() for name in wanted} == wanted


def test_each_attempt_has_the_span_that_the_record_gives_it() -> None:
    made = environment()
    for stage in (Stage(name, name, 1, 1, "run", "x") for name in ("a", "b[x=1]", "c")):
        for attempt in (1, 2, 256, 257):
            told = made.of(0, stage, attempt, b"/", b"/o")[b"TRACEPARENT"].decode()
            version, trace_id, span, flags = told.split("-")
            assert (version, trace_id, flags) == ("00", trace.of_run(RUN, None).id, "01")
            assert span == trace.span(RUN, stage.id, attempt)


def test_a_run_joins_the_trace_of_its_caller() -> None:
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    env = environment(traceparent=caller).of(0, Stage("s", "s", 1, 1, "run", "x"), 1, b"/", b"/o")
    span = trace.span(RUN, "s", 1)
    assert env[b"TRACEPARENT"].decode() == f"00-0af7651916cd43dd8448eb211c80319c-{span}-00"


def test_programs_are_found_by_the_stages_own_path_and_directory(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "prog"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "bin" / "folder").mkdir()
    made = environment()
    assert made.find("prog", {b"PATH": b"/nowhere:bin"}, os.fsencode(tmp_path)) == os.fsencode(program)
    assert made.find("prog", {b"PATH": b"/nowhere"}, os.fsencode(tmp_path)) is None
    assert made.find("folder", {b"PATH": os.fsencode(program.parent)}, b"/") is None
    assert made.find("./x", {}, b"/") == b"./x"


def test_a_program_that_an_earlier_stage_installs_is_found(tmp_path: Path) -> None:
    made = environment()
    path = {b"PATH": os.fsencode(tmp_path)}
    assert made.find("late", path, b"/") is None
    (tmp_path / "late").write_text("#!/bin/sh\n")
    (tmp_path / "late").chmod(0o755)
    assert made.find("late", path, b"/") == os.fsencode(tmp_path / "late")


@pytest.mark.parametrize(
    ("name", "made"), [("python-version", "MATRIX_PYTHON_VERSION"), ("a.b c", "MATRIX_A_B_C"), ("ü", "MATRIX__")]
)
def test_variable_names(name: str, made: str) -> None:
    assert variable("MATRIX_", name) == made


def test_what_python_adds_to_its_own_environment_does_not_reach_a_stage(tmp_path: Path) -> None:
    code = (
        "from stagebook.engine.environment import inherited; import os; print(os.environ.get('LC_CTYPE'), inherited())"
    )
    source = str(Path(__file__).parents[2] / "src")
    said = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": source}, capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("C.UTF-8 ") and "LC_CTYPE" not in said
