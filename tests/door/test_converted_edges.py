"""What a native file cannot hold is told by `import SYSTEM FILE`, in the file or as an error with its line."""

from __future__ import annotations

import pytest
from tests.door.place import Place, outcomes

JOB = "on: push\njobs:\n  first: {runs-on: ubuntu-latest, steps: [{run: make}]}\n  a:\n    runs-on: ubuntu-latest\n"


def test_rules_on_changed_files_are_carried_over_or_told(place: Place) -> None:
    place.write(
        "a: {script: ./a, only: {changes: ['infra/**']}}\n"
        "b: {script: ./b, rules: [{changes: [infra/**]}, {changes: [docs/*]}]}\n"
        "c: {script: ./c, rules: [{changes: [infra/**]}, {when: on_success}]}\n"
        "d: {script: ./d, except: {changes: [docs/**]}}\n",
        "ci.yml",
    )
    place.run("import", "gitlab", "ci.yml", "-o", "stagebook.yaml")
    stages = place.run("plan", "--json", "--base", "HEAD")
    text = (place.folder / "stagebook.yaml").read_text(encoding="utf-8")
    assert text.count("changed:") == 2 and 'changed: ["infra/**", docs/*]' in text.replace('"docs/*"', "docs/*"), stages
    assert "line 3: `rules:changes` of c" in text and "line 4: `except:changes` of d" in text
    place.write("a: {script: ./a, rules: [{changes: [infra/**]}, {when: on_success}]}\n", "one.yml")
    assert place.run("import", "gitlab", "one.yml", "--strict").code == 1


@pytest.mark.parametrize("timeout", ["0", "99999h"])
def test_a_timeout_that_cannot_be_is_left_out(place: Place, timeout: str) -> None:
    place.write(f"a: {{script: x, timeout: {timeout}}}\n", "ci.yml")
    done = place.run("import", "gitlab", "ci.yml", "--strict")
    assert done.code == 1 and "# line 1: timeout" in done.out and "    timeout:" not in done.out


def test_a_condition_that_is_too_long_never_holds(place: Place) -> None:
    place.write(f"{JOB}    if: ${{{{ {' && '.join(['true'] * 1000)} }}}}\n    steps: [{{run: make}}]\n", "ci.yml")
    done = place.run("import", "github", "ci.yml")
    assert done.code == 0 and 'when: "false"' in done.out and "line 6: " in done.out


def test_a_variable_of_a_matrix_that_is_no_name_is_told(place: Place) -> None:
    place.write("a:\n  script: make\n  parallel: {matrix: [{']]>': [x, y]}]}\n", "ci.yml")
    done = place.run("import", "gitlab", "ci.yml")
    assert done.code == 0 and "`]]>` is no name of a variable here" in done.out


@pytest.mark.parametrize("steps", ['[{run: "echo \\0"}]', '[{run: make, env: {A: "\\0"}}]'])
def test_what_no_native_file_can_hold_is_an_error_of_the_users(place: Place, steps: str) -> None:
    place.write(f"{JOB}    steps: {steps}\n", "ci.yml")
    done = place.run("import", "github", "ci.yml")
    assert done.code == 2 and "ci.yml:4:1: error: cannot be converted: NUL" in done.err


def test_names_that_differ_in_a_hyphen_stay_apart(place: Place) -> None:
    place.write(
        "on: push\njobs:\n  b:\n    runs-on: ubuntu-latest\n"
        "    outputs: {x-y: '${{ steps.q.outputs.x-y }}', x_y: '${{ steps.q.outputs.x_y }}'}\n"
        "    steps: [{id: q, run: echo x_y=3 >> $GITHUB_OUTPUT}]\n"
        "  a:\n    needs: b\n    runs-on: ubuntu-latest\n    strategy: {matrix: {x-y: [1], x_y: [2]}}\n    steps:\n"
        "      - run: echo ${{ matrix.x-y }} ${{ matrix.x_y }} n${{ needs.b.outputs.x-y }}"
        " ${{ needs.b.outputs.x_y }} >> log\n"
        "      - {id: s-t, run: exit 1, continue-on-error: true}\n"
        "      - {id: s_t, run: 'true'}\n"
        "      - {if: steps.s-t.outcome == 'failure' && steps.s_t.outcome == 'success', run: echo apart >> log}\n",
        "ci.yml",
    )
    place.run("import", "github", "ci.yml", "-o", "stagebook.yaml")
    assert place.run("run").code == 0
    assert (place.folder / "log").read_text(encoding="utf-8") == "1 2 n 3\napart\n"


def test_an_open_heredoc_ends_with_its_step(place: Place) -> None:
    place.write(
        f'{JOB}    steps:\n      - run: "cat >> log <<X\\nhi"\n      - run: echo there >> log\n'
        "      - run: echo ) ; ( echo never >> log\n      - run: echo never >> log\n",
        "ci.yml",
    )
    place.run("import", "github", "ci.yml", "-o", "stagebook.yaml")
    done = place.run("run", "--only", "a", "--json")
    assert outcomes(done.json)["a"] == "failure"
    assert (place.folder / "log").read_text(encoding="utf-8") == "hi\nthere\n"


def test_variables_of_gitlab_have_the_values_that_they_speak_of(place: Place) -> None:
    place.write(
        "a:\n  script: ['echo \"$P $C\" >> log']\n"
        "  variables: {P: $Q/$S, Q: $S/1, S: $R/2, R: r, C: $A-c}\n  parallel: {matrix: [{A: [x, y]}]}\n"
        "  hooks: {pre_get_sources_script: [echo pre]}\n"
        "b: {script: [make], needs: [{project: g/p, job: y, ref: main, artifacts: true}]}\n",
        "ci.yml",
    )
    done = place.run("import", "gitlab", "ci.yml", "-o", "stagebook.yaml")
    text = (place.folder / "stagebook.yaml").read_text(encoding="utf-8")
    assert done.code == 0 and "hooks: there is no checkout" in text and "`b.needs[0].project`" in text
    place.run("run", "--only", "a")
    log = sorted((place.folder / "log").read_text(encoding="utf-8").splitlines())
    assert log == ["r/2/1/r/2 x-c", "r/2/1/r/2 y-c"]
