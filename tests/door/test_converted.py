"""What `import SYSTEM FILE` prints does no more than its file would: run, as the system would run it or not at all."""

from __future__ import annotations

import subprocess

import pytest
from tests.door.place import Place, outcomes

GITHUB = """\
on: {push: {tags: ["v*"]}}
jobs:
  build:
    runs-on: ubuntu-latest
    strategy: {fail-fast: false, matrix: {v: [1, 2]}}
    steps:
      - uses: actions/checkout@v4
      - run: |
          rm -rf out; mkdir out; sleep 0.1; echo ${{ matrix.v }} > out/x; sleep 0.1
          test "$(cat out/x)" = ${{ matrix.v }}
      - run: echo "A=b c" >> $GITHUB_ENV
      - run: test "$A" = "b c"
      - id: say
        run: echo word=hey >> $GITHUB_OUTPUT
      - if: matrix.v == 2 && steps.say.outputs.word == 'hey'
        run: exit 3
      - if: failure()
        run: echo failed-${{ matrix.v }} >> log
      - if: always() && steps.say.outcome == 'success'
        run: echo always-${{ matrix.v }} >> log
      - run: echo normal-${{ matrix.v }} >> log
      - if: startsWith(github.ref, 'refs/tags')
        run: echo tag-${{ matrix.v }}-$GITHUB_REF_NAME >> log
  release:
    if: github.event_name == 'release'
    runs-on: ubuntu-latest
    steps: [{run: echo DEPLOY >> log}]
  after:
    needs: release
    runs-on: ubuntu-latest
    steps: [{run: echo DEPLOY >> log}]
  unknown:
    if: fromJSON(vars.LIST)[0] == 'x'
    runs-on: ubuntu-latest
    steps: [{run: echo DEPLOY >> log}]
  other:
    if: github.repository == 'owner/name'
    runs-on: ubuntu-latest
    steps: [{run: echo DEPLOY >> log}]
  step:
    runs-on: ubuntu-latest
    steps: [{if: "hashFiles('x') != ''", run: echo DEPLOY >> log}]
  token:
    runs-on: ubuntu-latest
    steps: [{run: 'echo DEPLOY $GITHUB_REPOSITORY >> log'}]
  foreign:
    runs-on: ubuntu-latest
    steps: [{uses: some/deploy@v1}]
"""
GITLAB = """\
stages: [build, test, deploy]
build: {stage: build, script: ["exit 1"]}
say: {stage: build, script: ["echo 'WORD=two words' > build.env"], artifacts: {reports: {dotenv: build.env}}}
hear: {stage: test, needs: [say], script: ['echo "$WORD" >> log']}
test: {stage: test, script: ["true"]}
tell: {stage: deploy, script: [echo told >> log], when: on_failure}
never: {stage: build, script: [echo DEPLOY >> log], when: on_failure}
deploy:
  stage: build
  script: [echo DEPLOY >> log]
  rules: [{if: '$CI_COMMIT_BRANCH == "main"'}]
tagged: {stage: build, script: [echo DEPLOY >> log], only: [tags]}
"""


def _repository(place: Place, branch: str) -> None:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    for words in (("init", "-q", "-b", branch), ("add", "."), (*who, "commit", "-qm", "x")):
        subprocess.run(["git", *words], cwd=place.folder, check=True)


def _read(place: Place, name: str) -> str:
    return (place.folder / name).read_text(encoding="utf-8")


def test_a_workflow_does_no_more_than_it_does_there(place: Place) -> None:
    place.write(GITHUB, "ci.yml")
    _repository(place, "main")
    made = place.run("import", "github", "ci.yml", "--strict", "-o", "stagebook.yaml")
    assert made.code == 1
    untagged = place.run("run", "--json")
    assert set(outcomes(untagged.json).values()) == {"skip"}, "it starts for tags only"
    done = place.run("run", "--json", "-j", "4", "--param", "git_tag=v1")
    assert outcomes(done.json) == {
        "build[v=1]": "success", "build[v=2]": "failure", "release": "skip", "after": "skip", "unknown": "skip",
        "other": "skip", "step": "failure", "token": "failure", "foreign": "skip",
    }, (done, _read(place, "stagebook.yaml"))  # fmt: skip
    log = sorted(_read(place, "log").split())
    assert log == ["always-1", "always-2", "failed-2", "normal-1", "tag-1-v1"]
    text = _read(place, "stagebook.yaml")
    assert "there it starts on push (tags v*)" in text and text.count("work-tree: exclusive") > 5


def test_a_pipeline_of_gitlab_does_no_more_than_it_does_there(place: Place) -> None:
    place.write(GITLAB, "ci.yml")
    _repository(place, "other")
    made = place.run("import", "gitlab", "ci.yml", "--ref", "main", "-o", "stagebook.yaml")
    assert made.code == 0
    text = _read(place, "stagebook.yaml")
    assert "by their rules, and so not here: tagged" in text and "here it runs on that only" in text
    done = place.run("run", "--json", "-j", "4")
    assert outcomes(done.json) == {
        "build": "failure", "test": "skip", "tell": "success", "never": "skip", "deploy": "skip",
        "say": "success", "hear": "success",
    }, (done, text)  # fmt: skip
    assert sorted(_read(place, "log").splitlines()) == ["told", "two words"]


def test_jobs_for_tags_run_for_a_tag_only(place: Place) -> None:
    place.write(GITLAB.replace("echo DEPLOY >> log], only", 'echo "$CI_COMMIT_TAG" >> log], only'), "ci.yml")
    place.run("import", "gitlab", "ci.yml", "--ref", "refs/tags/v1", "-o", "stagebook.yaml")
    assert "tagged" in _read(place, "stagebook.yaml")
    place.run("run", "--only", "tagged")
    assert not (place.folder / "log").exists()
    place.run("run", "--only", "tagged", "--param", "git_tag=v1")
    assert _read(place, "log") == "v1\n"


def test_what_a_release_starts_does_not_run_for_anything_else(place: Place) -> None:
    place.write(
        "on: {release: {types: [created]}}\njobs:\n  a:\n    runs-on: ubuntu-latest\n"
        "    steps: [{run: 'echo ${{ inputs.tag || github.event_name }} >> log'}]\n",
        "ci.yml",
    )
    place.run("import", "github", "ci.yml", "-o", "stagebook.yaml")
    assert outcomes(place.run("run", "--json").json) == {"a": "skip"}
    done = place.run("run", "--json", env={"STAGEBOOK_EVENT": "release"})
    assert outcomes(done.json) == {"a": "success"} and _read(place, "log") == "release\n"


def test_a_condition_on_a_secret_never_holds(place: Place) -> None:
    place.write(
        "on: push\njobs:\n  a:\n    if: vars.TOKEN == 'x'\n    runs-on: ubuntu-latest\n"
        "    steps: [{run: 'echo ${{ secrets.TOKEN }}'}]\n",
        "ci.yml",
    )
    done = place.run("import", "github", "ci.yml")
    assert done.code == 0 and 'when: "false"' in done.out and "asks for the secret TOKEN" in done.out


def test_what_is_within_a_value_of_the_matrix_is_there_for_each_cell(place: Place) -> None:
    place.write(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    strategy:\n      matrix:\n"
        "        is: [{name: one, cc: 'g $X', slow: true}, {name: two, cc: clang}]\n"
        "    steps:\n      - run: echo '${{ matrix.is.name }}' \"${{ matrix.is.cc }}\" >> log\n"
        "      - if: matrix.is.slow\n        run: echo slow >> log\n",
        "ci.yml",
    )
    place.run("import", "github", "ci.yml", "-o", "stagebook.yaml")
    done = place.run("run", "--json", "-j", "1")
    assert done.code == 0, (done, _read(place, "stagebook.yaml"))
    assert sorted(_read(place, "log").splitlines()) == ["one g $X", "slow", "two clang"]


def test_a_called_workflow_has_the_values_that_its_caller_gives(place: Place) -> None:
    place.write(
        "on: push\n"
        "jobs:\n"
        "  call:\n"
        "    uses: ./.github/workflows/called.yml\n"
        "    with: {word: 'it is $HOME', flag: true, ref: \"${{ github.event_name == 'x' }}\"}\n"
        "  not:\n"
        "    if: github.event_name == 'release'\n"
        "    uses: ./.github/workflows/called.yml\n"
        "    with: {word: no}\n",
        ".github/workflows/ci.yml",
    )
    place.write(
        "on:\n"
        "  workflow_call:\n"
        "    inputs:\n"
        "      {word: {type: string}, flag: {type: boolean}, ref: {type: string},\n"
        "       usual: {type: string, default: as ever}}\n"
        "jobs:\n"
        "  a:\n"
        "    runs-on: ubuntu-latest\n"
        "    steps: [{run: 'echo \"${{ inputs.word }}, ${{ inputs.usual }}\" >> log'}]\n"
        "  b:\n"
        "    if: inputs.flag\n"
        "    needs: a\n"
        "    runs-on: ubuntu-latest\n"
        "    steps: [{run: echo flag >> log}]\n",
        ".github/workflows/called.yml",
    )
    _repository(place, "main")
    place.run("import", "github", ".github/workflows/ci.yml", "-o", "stagebook.yaml")
    done = place.run("run", "--json")
    assert sorted(outcomes(done.json).values()) == ["skip", "skip", "success", "success"], (
        done,
        _read(place, "stagebook.yaml"),
    )
    assert _read(place, "log") == "it is $HOME, as ever\nflag\n"


@pytest.mark.parametrize(("version", "said"), [("${{ matrix.py }}", True), ("3.11", False), ("${{ env.PY }}", False)])
def test_a_version_for_each_cell_is_not_lost_without_a_word(place: Place, version: str, said: bool) -> None:
    place.write(
        "on: push\nenv: {PY: '3.12'}\njobs:\n  a:\n    runs-on: ubuntu-latest\n    strategy: {matrix: {py: ['3.9']}}\n"
        f"    steps:\n      - uses: actions/setup-python@v5\n        with: {{python-version: '{version}'}}\n"
        "      - run: make\n",
        "ci.yml",
    )
    done = place.run("import", "github", "ci.yml", "--strict")
    assert done.code == said and ("python-version is" in done.out) is said
    assert said or 'requires: {python3: ">=3.1' in done.out
