"""Files that stages read and make: the order that follows from them, on the map and in a run."""

from __future__ import annotations

from tests.door.place import Document, Place, by_stage, noted, outcomes


def joined(document: Document) -> list[tuple[str, ...]]:
    return [(edge["from"], edge["to"], edge["kind"], edge["via"]) for edge in document["edges"]]


def test_r064_a_reader_needs_the_maker_without_saying_so(place: Place) -> None:
    place.pipeline({
        "unit": {"run": noted("test -s dist/app.whl"), "inputs": ["dist/*.whl"]},
        "build": {"run": noted("mkdir -p dist; sleep 0.1; echo x > dist/app.whl"), "outputs": ["dist/app.whl"]},
        "lint": noted(),
    })  # fmt: skip
    found = place.run("map", "--json").json
    assert joined(found) == [("build", "unit", "artifact", "dist/app.whl")]
    assert by_stage(found)["unit"]["needs"] == ["build"]
    assert "build via dist/app.whl" in place.run("map").out
    assert place.run("lint").code == 0
    done = place.run("run", "--json", "-j", "4")
    assert (done.code, set(outcomes(done.json).values())) == (0, {"success"})
    assert place.began().index("build") < place.began().index("unit")
    place.ledger_path.write_text("")
    assert place.run("run", "--sequential", "--force").code == 0
    assert place.began() == ["build", "unit", "lint"]


def test_r064_paths_begin_at_the_stages_folder(place: Place) -> None:
    place.pipeline({
        "build": {"run": "echo x > app.whl", "dir": "dist", "outputs": ["app.whl"]},
        "unit": {"run": "true", "dir": "tests", "inputs": ["../dist/app.whl"]},
        "declared": {"run": "true", "inputs": ["dist/app.whl"], "needs": "build"},
    })  # fmt: skip
    assert joined(place.run("map", "--json").json) == [
        ("build", "unit", "artifact", "dist/app.whl"),
        ("build", "declared", "needs", "dist/app.whl"),
    ]


def test_r064_a_circle_through_files_is_told_with_them(place: Place) -> None:
    place.write(
        """\
        stages:
          - pack: {run: x, inputs: [key.pem]}
          - sign: {run: x, outputs: [key.pem]}
        """.replace("        ", "")
    )
    done = place.run("run", "--json")
    assert done.code == 2
    error = done.json["errors"][0]
    assert (error["line"], error["code"]) == (2, "cycle")
    assert error["message"] == (
        "cycle: pack → sign → pack (sign needs pack on line 3; pack reads key.pem of sign on line 2)"
    )


def test_two_makers_of_one_path_are_refused_by_name(place: Place) -> None:
    place.write("stages:\n  a: {run: x, outputs: [dist/x]}\n  b: {run: x, outputs: [./dist/x]}\n")
    done = place.run("lint", "--json")
    assert done.code == 2
    note = next(note for note in done.json["notes"] if note["level"] == "error")
    assert (note["line"], note["col"], note["code"]) == (3, 25, "output-clash")
    assert note["message"] == "output 'dist/x' is declared by two stages, `b` and `a`, there on line 2"


def test_no_path_leads_out_of_the_folder_or_into_what_is_kept_there(place: Place) -> None:
    for path in ("/etc/passwd", "../x", ".git/config", ".stagebook/runs/**", "a/../../b", "!x", r"a\b"):
        place.pipeline({"a": {"run": "true", "inputs": [path]}})
        done = place.run("run", "--json")
        assert (done.code, [error["code"] for error in done.json["errors"]]) == (2, ["glob"]), path


def test_an_input_that_nobody_makes_and_an_output_that_nobody_reads_are_fine(place: Place) -> None:
    place.pipeline({"a": {"run": "echo x > out.txt", "inputs": ["not/there/*"], "outputs": ["out.txt"]}})
    assert place.run("lint", "--strict").code == 0
    assert place.run("run").code == 0
