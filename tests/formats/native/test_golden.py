"""Whole files and exactly what is said about them: `err/` is refused, `said/` is taken with warnings or notes, `ok/`
is taken in silence. After a change of words `python tests/formats/native/test_golden.py` writes the `.out` files anew;
read the difference before it is committed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from stagebook.formats.native.read import load, parse
from stagebook.model.problem import InputError

HERE = Path(__file__).parent


def files(folder: str) -> list[Path]:
    found = sorted((HERE / folder).glob("*.yaml"))
    assert found
    return found


def said(path: Path) -> str:
    _, problems = parse(path.read_bytes(), path.name)
    return "".join(f"{each.file}:{each.line}:{each.col}: {each.level}: {each.message}\n" for each in problems)


@pytest.mark.parametrize("path", files("err"), ids=lambda path: path.stem)
def test_a_wrong_file_is_refused_with_all_its_mistakes(path: Path) -> None:
    assert said(path) == path.with_suffix(".out").read_text()
    pipeline, problems = parse(path.read_bytes(), path.name)
    assert pipeline is None
    assert any(each.level == "error" for each in problems)
    with pytest.raises(InputError) as refused:
        load(str(path), None)
    assert refused.value.problems == tuple(each._replace(file=str(path)) for each in problems if each.level != "note")


@pytest.mark.parametrize("path", files("said"), ids=lambda path: path.stem)
def test_warnings_and_notes_do_not_refuse_a_file(path: Path) -> None:
    assert said(path) == path.with_suffix(".out").read_text()
    pipeline = load(str(path), None)
    assert pipeline.problems or pipeline.unbuilt
    assert {each.level for each in pipeline.problems} <= {"warning"}
    assert {each.code for each in pipeline.unbuilt} <= {"not-built"}


@pytest.mark.parametrize("path", files("ok"), ids=lambda path: path.stem)
def test_a_sound_file_is_taken_in_silence(path: Path) -> None:
    pipeline, problems = parse(path.read_bytes(), str(path))
    assert problems == ()
    assert pipeline is not None
    assert pipeline.stages
    assert pipeline.unbuilt == ()


def test_every_place_lies_in_its_file() -> None:
    for path in files("err") + files("said"):
        lines = path.read_bytes().decode("utf-8-sig", "replace").splitlines() or [""]
        for each in parse(path.read_bytes(), path.name)[1]:
            assert 1 <= each.line <= len(lines) + 1, (path, each)
            if each.line <= len(lines):
                assert 1 <= each.col <= len(lines[each.line - 1]) + 1, (path, each)


def test_pyyaml_without_its_c_parser_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = {path: parse(path.read_bytes(), path.name) for path in files("ok") + files("said") + files("err")}
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    for path, (pipeline, problems) in fast.items():
        slow, said = parse(path.read_bytes(), path.name)
        assert (slow is None) == (pipeline is None)
        if slow is not None and pipeline is not None:
            assert slow._replace(problems=()) == pipeline._replace(problems=())
        if "yaml" not in {each.code for each in problems}:  # the two put their own errors, and nothing, differently
            assert [each._replace(col=0) for each in said] == [each._replace(col=0) for each in problems], path


if __name__ == "__main__":
    for folder in ("err", "said"):
        for each in files(folder):
            each.with_suffix(".out").write_text(said(each))
    sys.exit(0)
