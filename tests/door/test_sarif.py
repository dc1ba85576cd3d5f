"""`lint --sarif`: what lint finds as code scanners read it, in the shape that SARIF 2.1.0 has for it."""

from __future__ import annotations

import json
import subprocess
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
from tests.door.place import Place

TEXT = {"type": "object", "properties": {"text": {"type": "string", "minLength": 1}}, "required": ["text"],
        "additionalProperties": False}  # fmt: skip
URI = {"type": "string", "pattern": r"^([A-Za-z0-9._~/%-]+|file:///[A-Za-z0-9._~/%-]*)$"}
#: The parts of the standard's schema that are used, and stricter: nothing else may be there.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["$schema", "version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "minItems": 1, "maxItems": 1, "items": {"$ref": "#/$defs/run"}},
    },
    "$defs": {
        "run": {
            "type": "object",
            "required": ["tool", "results"],
            "additionalProperties": False,
            "properties": {
                "tool": {
                    "type": "object",
                    "required": ["driver"],
                    "additionalProperties": False,
                    "properties": {
                        "driver": {
                            "type": "object",
                            "required": ["name", "version", "rules"],
                            "additionalProperties": False,
                            "properties": {
                                "name": {"const": "Stagebook"},
                                "version": {"type": "string"},
                                "rules": {"type": "array", "uniqueItems": True, "items": {
                                    "type": "object",
                                    "required": ["id", "shortDescription", "fullDescription", "help"],
                                    "additionalProperties": False,
                                    "properties": {"id": {"type": "string"}, "shortDescription": TEXT,
                                                   "fullDescription": TEXT, "help": TEXT},
                                }},
                            },
                        }
                    },
                },
                "columnKind": {"const": "unicodeCodePoints"},
                "originalUriBaseIds": {"type": "object", "additionalProperties": {
                    "type": "object", "required": ["uri"], "additionalProperties": False,
                    "properties": {"uri": {"type": "string", "pattern": "^file:///.*/$"}},
                }},
                "results": {"type": "array", "items": {"$ref": "#/$defs/result"}},
            },
        },
        "result": {
            "type": "object",
            "required": ["ruleId", "ruleIndex", "level", "message"],
            "additionalProperties": False,
            "properties": {
                "ruleId": {"type": "string"},
                "ruleIndex": {"type": "integer", "minimum": 0},
                "level": {"enum": ["error", "warning", "note"]},
                "message": TEXT,
                "locations": {"type": "array", "minItems": 1, "maxItems": 1, "items": {
                    "type": "object", "required": ["physicalLocation"], "additionalProperties": False,
                    "properties": {"physicalLocation": {
                        "type": "object", "required": ["artifactLocation"], "additionalProperties": False,
                        "properties": {
                            "artifactLocation": {"type": "object", "required": ["uri"], "additionalProperties": False,
                                                 "properties": {"uri": URI, "uriBaseId": {"const": "%SRCROOT%"}}},
                            "region": {"type": "object", "required": ["startLine"], "additionalProperties": False,
                                       "properties": {"startLine": {"type": "integer", "minimum": 1},
                                                      "startColumn": {"type": "integer", "minimum": 1}}},
                        },
                    }},
                }},
            },
        },
    },
}  # fmt: skip

WRONG = """\
version: 1
stages:
  build: {run: make, need: x}
  trap: {run: "true", env: {ON: yes}}
"""


def checked(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    jsonschema.validate(document, SCHEMA)
    run: dict[str, Any] = document["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
    assert {result["ruleId"] for result in run["results"]} == set(rules)
    return run


@pytest.mark.parametrize("words", [["--sarif"], ["--format", "sarif"]])
def test_r087_findings_are_results_with_rule_level_and_place(words: list[str], place: Place) -> None:
    place.write(WRONG)
    done = place.run("lint", *words)
    assert (done.code, done.err) == (2, "")
    run = checked(done.out)
    notes = place.run("lint", "--json").json["notes"]
    assert len(notes) >= 2
    told = [
        (
            result["ruleId"],
            result["level"],
            result["message"]["text"],
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            result["locations"][0]["physicalLocation"]["region"].get("startLine"),
            result["locations"][0]["physicalLocation"]["region"].get("startColumn"),
        )
        for result in run["results"]
    ]
    assert told == [
        (note["code"], note["level"], note["message"], note["file"], note["line"], note["col"]) for note in notes
    ]


def test_a_sound_file_has_no_results_and_exits_0(place: Place) -> None:
    place.pipeline({"a": "true"})
    done = place.run("lint", "--sarif")
    assert done.code == 0
    assert checked(done.out)["results"] == []


def test_places_are_told_from_the_root_of_the_work_tree(place: Place) -> None:
    subprocess.run(["git", "init", "-q", str(place.folder)], check=True)
    deep = place.folder / "deep ä#%" / "er"
    deep.mkdir(parents=True)
    (deep / "bad one.yaml").write_text(WRONG)
    outside = place.base / "outside.yaml"
    outside.write_text(WRONG)
    run = checked(place.run("lint", "--sarif", "bad one.yaml", str(outside), "none.yaml", cwd=deep).out)
    found = [result["locations"][0]["physicalLocation"]["artifactLocation"] for result in run["results"]]
    inside = {unquote(one["uri"]) for one in found if "uriBaseId" in one}
    assert inside == {"deep ä#%/er/bad one.yaml", "deep ä#%/er/none.yaml"}
    assert {one["uri"] for one in found if "uriBaseId" not in one} == {f"file://{outside}"}
    assert unquote(run["originalUriBaseIds"]["%SRCROOT%"]["uri"]) == f"file://{place.folder}/"


def test_it_goes_to_a_file_that_is_named(place: Place) -> None:
    place.write(WRONG)
    done = place.run("lint", "--sarif", "-o", "lint.sarif")
    assert (done.code, done.out, done.err) == (2, "", "")
    checked((place.folder / "lint.sarif").read_text())
    done = place.run("lint", "--sarif", "-o", "no/such/folder/x")
    assert done.code == 4
    assert "cannot write no/such/folder/x" in done.err


@pytest.mark.parametrize("words", [["--sarif", "--json"], ["--format", "sarif", "--json"], ["-o", "x"],
                                   ["--format", "xml"]])  # fmt: skip
def test_words_that_do_not_fit_are_refused(words: list[str], place: Place) -> None:
    place.pipeline({"a": "true"})
    done = place.run("lint", *words)
    assert done.code == 2
    assert not (place.folder / "x").exists()


def test_names_are_text_and_no_links(place: Place) -> None:
    name = "[x](http://evil.example) \u202e"
    place.pipeline({name: {"run": "true", "needs": ["[y](http://evil.example)"]}})
    done = place.run("lint", "--sarif")
    run = checked(done.out)
    assert done.code == 2
    assert run["results"]
    for result in run["results"]:
        text = result["message"]["text"]
        assert "](" not in text.replace("\\](", "")
        assert "\u202e" not in text
