"""G22: values never become code. They reach a stage as environment or argument, literally."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.door.place import Place, by_stage

PAYLOADS = [
    "$(touch canary)", "`touch canary`", "; touch canary", "&& touch canary", "| touch canary", "|| touch canary",
    "\ntouch canary\n", "\r\ntouch canary", "'; touch canary; '", '"; touch canary; "', "${{ touch canary }}",
    "${PATH}", "$PATH", "$((1+1))", "{{ 7*7 }}", "%0atouch canary", "-rf", "--help", "-c touch canary",
    "> canary", ">> canary", "< /etc/passwd", "*", "?", "~", "~root", "{a,b}", "!!", "\\", "\\n$(touch canary)",
    "a b  c", "", " ", "\t", "ü€😀", "'", '"', "''", '""', "#", "canary\\;touch", "A=B", "%s%n",
    "() { :; }; touch canary", "\x1b[2J", "$'\\x74ouch canary'",
]  # fmt: skip

#: What a stage saw, as JSON, so that every byte of it can be compared.
SAW = "import json, os, sys; print(json.dumps([dict(os.environ), sys.argv[1:]]))"


def saw(document: dict[str, Any], stage: str) -> tuple[dict[str, str], list[str]]:
    env, argv = json.loads(Path(by_stage(document)[stage]["attempts"][-1]["log"]).read_text())
    return env, argv


def is_clean(place: Place) -> bool:
    names = {path.name for path in place.folder.iterdir()}
    return names <= {"stagebook.yaml", ".stagebook"}


def passes(value: str) -> bool:
    """Whether YAML text and an argument can hold it at all."""
    return "\x1b" not in value


def test_g22_a_parameter_reaches_stages_literally(place: Place) -> None:
    values = {f"x{number}": value for number, value in enumerate(PAYLOADS)}
    shells = {name: {"run": f'printf "%s" "$PARAM_{name.upper()}"', "shell": "always"} for name in values}
    place.pipeline(
        {"direct": {"cmd": ["python3", "-c", SAW]}, **shells}, params={name: {"default": "none"} for name in values}
    )
    done = place.run("run", "--json", *[word for name in values for word in ("--param", f"{name}={values[name]}")])
    assert done.code == 0, done
    seen = saw(done.json, "direct")[0]
    for name, value in values.items():
        assert seen[f"PARAM_{name.upper()}"] == value
        assert Path(by_stage(done.json)[name]["attempts"][0]["log"]).read_bytes().decode() == value
    assert is_clean(place)


def test_g22_values_of_env_matrix_and_cmd_reach_stages_literally(place: Place) -> None:
    values = [value for value in PAYLOADS if passes(value)]
    plain = [value for value in values if "\n" not in value and "\r" not in value and "\t" not in value]
    axis = [value for value in plain if "[" not in value and "]" not in value]
    place.pipeline({
        "env": {"cmd": ["python3", "-c", SAW], "env": {f"V{i}": value for i, value in enumerate(values)}},
        "argv": {"cmd": ["python3", "-c", SAW, *values]},
        "cell": {"cmd": ["python3", "-c", SAW], "matrix": {"x": axis}},
        "shell": {"run": 'printf "%s" "$MATRIX_X"', "matrix": {"x": axis}},
    }, env={f"TOP{i}": value for i, value in enumerate(values)})  # fmt: skip
    done = place.run("run", "--json", "-j", "4")
    assert done.code == 0, done.err[-2000:]
    env, _ = saw(done.json, "env")
    assert [env[f"V{i}"] for i in range(len(values))] == values
    assert [env[f"TOP{i}"] for i in range(len(values))] == values
    assert saw(done.json, "argv")[1] == values
    seen = [
        saw(done.json, stage["stage"])[0]["MATRIX_X"] for stage in done.json["stages"] if stage["stage"][:4] == "cell"
    ]
    assert seen == axis
    texts = [
        Path(stage["attempts"][0]["log"]).read_text()
        for stage in done.json["stages"] if stage["stage"].startswith("shell")
    ]  # fmt: skip
    assert texts == axis
    assert is_clean(place)


def test_g22_stage_names_reach_stages_literally_and_no_shell(place: Place) -> None:
    names = [value for value in PAYLOADS if value.strip() and value.isprintable() and not set("[]") & set(value)]
    place.pipeline({name: {"cmd": ["python3", "-c", SAW]} for name in names}, name="$(touch canary)")
    done = place.run("run", "-j", "4")
    assert done.code == 0, done
    document = place.show()
    for name in names:
        assert saw(document, name)[0]["STAGEBOOK_STAGE"] == name
    assert is_clean(place)
    for words in (("show", "last"), ("logs", "last"), ("timeline", "last"), ("map",)):
        assert place.run(*words).code == 0, words
    assert is_clean(place)


def test_g22_a_value_from_our_own_environment_is_never_read_as_text_of_a_command(place: Place) -> None:
    place.pipeline({"a": {"run": 'printf "%s" "$BRANCH"', "shell": "always"}})
    for value in ("$(touch canary)", "`touch canary`", "x; touch canary"):
        done = place.run("run", "--json", env={"BRANCH": value})
        assert done.code == 0
        assert Path(by_stage(done.json)["a"]["attempts"][0]["log"]).read_text() == value
    assert is_clean(place)


@pytest.mark.parametrize("text", ["echo ${{ params.x }}", "echo ${{ github.event.title }}", "echo '${{ x }}'"])
def test_g22_an_expression_in_a_command_is_a_check_error(place: Place, text: str) -> None:
    place.pipeline({"a": text})
    for command in ("lint", "run"):
        done = place.run(command)
        assert done.code == 2, done
        assert "${{" in done.err


@pytest.mark.parametrize("name", ["STAGEBOOK_RUN", "STAGEBOOK_STAGE", "STAGEBOOK_OUTPUT", "STAGEBOOK_ATTEMPT"])
def test_g22_reserved_variables_cannot_be_set_by_a_file(place: Place, name: str) -> None:
    place.pipeline({"a": {"run": "true", "env": {name: "x"}}})
    assert place.run("run").code == 2
    place.pipeline({"a": "true"}, env={name: "x"})
    assert place.run("run").code == 2


@pytest.mark.parametrize("name", ["A=B", "", "A\nB"])
def test_g22_names_that_are_no_variable_names_are_refused(place: Place, name: str) -> None:
    place.pipeline({"a": {"run": "true", "env": {name: "x"}}})
    done = place.run("run")
    assert done.code == 2, done


def test_g22_names_that_meet_in_one_variable_are_an_error(place: Place) -> None:
    place.pipeline({"a": "true"}, params={"a-b": {"default": "1"}, "a_b": {"default": "2"}})
    done = place.run("lint")
    assert done.code == 2
    assert "PARAM_A_B" in done.err
    place.pipeline({"a": {"run": "true", "matrix": {"x-y": ["1"], "x.y": ["2"]}}})
    assert "MATRIX_X_Y" in place.run("lint").err


def test_a_stage_sees_the_variables_of_the_door(place: Place) -> None:
    place.pipeline({
        "a": {"cmd": ["python3", "-c", SAW], "matrix": {"python-version": ["3.11"]}, "dir": "sub"}
    }, params={"channel": {"default": "beta"}})  # fmt: skip
    (place.folder / "sub").mkdir()
    done = place.run("run", "--json", env={"INHERITED": "yes"})
    assert done.code == 0
    env, _ = saw(done.json, "a[python-version=3.11]")
    assert env["STAGEBOOK_RUN"] == done.json["run"]
    assert env["STAGEBOOK_STAGE"] == "a[python-version=3.11]"
    assert env["STAGEBOOK_ATTEMPT"] == "1"
    assert os.path.samefile(env["STAGEBOOK_WORKSPACE"], place.folder / "sub")
    assert os.path.isabs(env["STAGEBOOK_OUTPUT"])
    assert env["MATRIX_PYTHON_VERSION"] == "3.11"
    assert env["PARAM_CHANNEL"] == "beta"
    assert env["INHERITED"] == "yes"
    version, trace, span, flags = env["TRACEPARENT"].split("-")
    assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")


def test_spans_differ_by_attempt_and_share_the_trace_of_the_run(place: Place) -> None:
    place.pipeline({"a": {"run": "echo $TRACEPARENT; [ $STAGEBOOK_ATTEMPT = 2 ]", "retry": {"attempts": 2}},
                    "b": {"run": "echo $TRACEPARENT"}})  # fmt: skip
    above = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    done = place.run("run", "--json", env={"TRACEPARENT": above})
    texts = [Path(attempt["log"]).read_text().strip() for stage in done.json["stages"] for attempt in stage["attempts"]]
    assert {text.split("-")[1] for text in texts} == {above.split("-")[1]}
    assert len({text.split("-")[2] for text in texts} | {above.split("-")[2]}) == 4
