"""Steps with `uses`: equivalents, actions of the workspace, and all others."""

from __future__ import annotations

import pytest
from tests.runner.github.playing import Player

from stagebook.formats.github.equivalents import EQUIVALENTS
from stagebook.runner.github import actions, kept
from stagebook.runner.github.tools import fits


def test_what_is_said_to_have_an_equivalent_has_one() -> None:
    assert set(actions.EQUIVALENTS) == EQUIVALENTS


def test_checkout_brings_the_files_of_the_folder(player: Player) -> None:
    player.write("README.md", "hello\n")
    done = player.steps("""\
        - run: ls
        - uses: actions/checkout@v4
        - {uses: Actions/Checkout@v3, with: {path: below, ref: v1}}
        - run: cat README.md below/README.md; echo changed > README.md
        """)
    assert done.code == 0, done.log
    done.says("hello\nhello\n", "note: ref v1")
    assert (player.folder / "README.md").read_text() == "hello\n", "the user's own folder is not touched"


def test_a_cache_is_kept_for_the_next_run_and_an_exact_hit_is_not_kept_again(player: Player) -> None:
    text = """\
        - {id: c, uses: actions/cache@v4, with: {path: "dep\\n~/away", key: "k-${{ github.event_name }}", restore-keys: k-}}
        - run: echo "hit=[${{ steps.c.outputs.cache-hit }}]"; mkdir -p dep; cat dep/x || echo built > dep/x
        """  # noqa: E501
    first = player.steps(text)
    assert first.code == 0, first.log
    first.says("nothing kept yet", "hit=[]", "== Post: save cache k-push", "1 files kept", "outside the workspace")
    player.run = "r2"
    second = player.steps(text)
    second.says("restored from k-push", "hit=[true]", "built")
    assert "Post" not in second.log
    third = player.steps(text.replace("k-$", "k-new-$"))
    third.says("restored from k-push", "hit=[false]", "save cache k-new-push")


def test_a_job_that_failed_keeps_no_cache(player: Player) -> None:
    done = player.steps("""\
        - {uses: actions/cache@v4, with: {path: dep, key: k}}
        - run: mkdir dep; echo x > dep/x; exit 1
        """)
    assert done.code == 1
    assert "Post" not in done.log


def test_artifacts_pass_from_job_to_job(player: Player) -> None:
    done = player.steps("""\
        - run: mkdir -p out/sub .hidden && echo a > out/a.txt && echo b > out/sub/b.txt && echo c > out/sub/c.log && echo h > out/.h; echo > "$RUNNER_TEMP/away.sh"
        - {uses: actions/upload-artifact@v4, with: {name: all, path: out}}
        - {uses: actions/upload-artifact@v4, with: {name: some, path: "out/**/*.txt\\n!out/sub/c.log"}}
        - {uses: actions/upload-artifact@v4, with: {name: one, path: out/a.txt}}
        - {uses: actions/upload-artifact@v4, with: {name: two, path: "out/a.txt\\nout/sub/c.log"}}
        - {uses: actions/upload-artifact@v4, with: {name: away, path: "${{ runner.temp }}/*.sh"}}
        - {uses: actions/upload-artifact@v4, with: {name: none, path: nothing}}
        - {uses: actions/upload-artifact@v4, with: {name: none, path: nothing, if-no-files-found: error}, continue-on-error: true}
        - {uses: actions/upload-artifact@v4, with: {name: all, path: out}, continue-on-error: true}
        - {uses: actions/upload-artifact@v4, with: {name: "a/b", path: out}, continue-on-error: true}
        """)  # noqa: E501
    assert done.code == 0, done.log
    done.says("warning: artifact none: no file fits nothing", "ERROR: artifact none", "one of that name already")
    done.says("a name must not hold")
    done = player.steps("""\
        - {uses: actions/download-artifact@v4, with: {path: got}}
        - {uses: actions/download-artifact@v4, with: {name: all}}
        - {uses: actions/download-artifact@v4, with: {pattern: "{one,two}", path: m, merge-multiple: true}}
        - run: find got a.txt sub m -type f | sort
        - {uses: actions/download-artifact@v4, with: {name: nope}}
        """)
    assert done.code == 1
    done.says("artifact nope: this run has none of that name; it has ")
    found = [line for line in done.log.splitlines() if line.startswith(("got/", "a.txt", "sub/", "m/"))]
    assert [each for each in found if not each.startswith("got/away")] == [
        "a.txt", "got/all/a.txt", "got/all/sub/b.txt", "got/all/sub/c.log", "got/one/a.txt", "got/some/a.txt",
        "got/some/sub/b.txt", "got/two/a.txt", "got/two/sub/c.log", "m/a.txt", "m/sub/c.log", "sub/b.txt", "sub/c.log",
    ]  # fmt: skip
    assert any(each.startswith("got/away/") for each in found)


def test_an_action_of_the_workspace_has_steps_inputs_and_outputs_of_its_own(player: Player) -> None:
    player.write(
        "act/say/action.yml",
        """\
        name: say
        inputs: {word: {required: true}, end: {default: "${{ github.event_name }}!"}}
        outputs: {said: {value: "${{ steps.inner.outputs.said }}"}}
        runs:
          using: composite
          steps:
            - {id: inner, shell: sh, run: 'echo "said=${{ inputs.word }} ${{ inputs.end }} $AROUND" >> $GITHUB_OUTPUT'}
            - {shell: bash, run: 'echo "SET=by action" >> $GITHUB_ENV; basename "$GITHUB_ACTION_PATH"'}
            - {shell: bash, if: "steps.outer.outputs.x", run: echo never}
        """,
    )
    player.write(
        "act/fail/action.yaml",
        """\
        runs:
          using: composite
          steps:
            - {uses: ./act/say, with: {word: inner}}
            - {shell: sh, run: exit 4}
            - {shell: sh, run: echo never}
            - {shell: sh, if: failure(), run: echo cleaning}
        """,
    )
    done = player.steps("""\
        - {uses: ./act/say, continue-on-error: true}
        - uses: actions/checkout@v4
        - {id: outer, run: echo x=1 >> $GITHUB_OUTPUT}
        - {id: say, uses: ./act/say, with: {word: hello, typo: x}, env: {AROUND: around}}
        - run: echo "${{ steps.say.outputs.said }} [$SET] [$AROUND]"
        - {id: fail, uses: ./act/fail}
        - {if: failure(), run: "echo ${{ steps.fail.outcome }}"}
        """)
    assert done.code == 4
    done.says("is a checkout missing before it?", "hello push! around [by action] []", "say has no input `typo`")
    done.says("act/fail/action.yaml:5) failed with exit 4", "cleaning\n", "failure\n", "say\n")
    assert "\nnever" not in done.log


def test_an_action_of_another_repository_runs_from_a_checkout_that_the_user_names(player: Player) -> None:
    player.write(
        "elsewhere/sub/action.yml",
        """\
        runs:
          using: composite
          steps: [{shell: sh, run: echo from elsewhere}]
        """,
    )
    player.local["request"] = {"includes": {"owner/repo": str(player.folder / "elsewhere")}}
    done = player.steps("- uses: owner/repo/sub@v1\n")
    assert done.code == 0
    done.says("from elsewhere\n")


def test_an_action_below_a_checkout_with_a_path_is_found_and_one_that_was_not_read_is_refused(player: Player) -> None:
    player.write("act/action.yml", "runs: {using: composite, steps: [{uses: ./sub/inner}]}\n")
    player.write("inner/action.yml", "runs: {using: composite, steps: [{shell: sh, run: echo from inner}]}\n")
    done = player.steps("- {uses: actions/checkout@v4, with: {path: sub}}\n- uses: ./sub/act\n")
    assert done.code == 0, done.log
    done.says("from inner\n")
    assert {path.rpartition("/repo/")[2] for path in done.here.pipeline.files} == {"act/action.yml", "inner/action.yml"}
    for text in (
        '- {uses: actions/checkout@v4, with: {path: "${{ github.job }}"}}\n- uses: ./it/inner\n',
        "- uses: actions/checkout@v4\n- run: echo >> act/action.yml\n- uses: ./act\n",
    ):
        done = player.steps(text)
        assert done.code == 1
        done.says("/action.yml is not among the files that were trusted")
        assert "from inner" not in done.log


def test_an_action_that_a_link_leads_to_from_a_step_is_refused(player: Player) -> None:
    player.write("../out/action.yml", "runs: {using: composite, steps: [{shell: sh, run: echo stolen}]}\n")
    done = player.steps(f"- run: ln -s {player.folder.parent}/out act\n- uses: ./act\n")
    assert done.code == 1
    done.says("./act leads out of the workspace")
    assert "stolen" not in done.log


def test_an_artifact_holds_what_links_in_the_workspace_lead_to(player: Player) -> None:
    done = player.steps("""\
        - run: |
            mkdir -p out real/deep && echo one > real/deep/1 && echo two > two
            ln -s ../real out/folder; ln -s ../two out/file; ln -s /etc/passwd out/away; ln -s ../.. real/up
            ln -s .. real/loop; ln -s ../out/file real/again
        - {uses: actions/upload-artifact@v4, with: {name: a, path: "out\\n!out/folder/loop/**"}}
        - run: rm -rf out real two
        - {uses: actions/download-artifact@v4, with: {name: a, path: got}}
        - run: find got ! -type d -printf '%y %P\\n' | sort; cat got/file got/folder/deep/1 got/folder/again
        """)
    assert done.code == 0, done.log
    done.says("f file\nf folder/again\nf folder/deep/1\n", "two\none\ntwo\n", "out/away is left out", "/up is left out")


def test_links_that_multiply_end(player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "THROUGH_MAX", 500)
    done = player.steps("""\
        - run: |
            for n in $(seq 16); do mkdir -p d/$n; ln -s ../$((n + 1)) d/$n/a; ln -s ../$((n + 1)) d/$n/b; done
        - {uses: actions/upload-artifact@v4, with: {name: a, path: d}}
        """)
    assert done.code == 1
    done.says("links to folders lead to more than 500 files")


def test_names_on_disk_hold_no_secret(player: Player) -> None:
    player.environ["TOKEN"] = "hush-hush-hush"
    done = player.steps("""\
        - {uses: actions/upload-artifact@v4, with: {name: "a ${{ secrets.TOKEN }}", path: x}, continue-on-error: true}
        - {uses: actions/cache@v4, with: {key: "k-${{ secrets.TOKEN }}", path: x}, continue-on-error: true}
        - run: |
            echo "A=${{ secrets.TOKEN }}" | tee -a "$GITHUB_ENV" "$GITHUB_OUTPUT" "$GITHUB_STEP_SUMMARY" > /dev/null
            exit 3
        """)
    assert done.code == 3, done.log
    done.says("artifact: `name` holds a secret", "cache: `key` holds a secret")
    kept = list((player.folder / ".stagebook").rglob("*"))
    assert kept
    assert not [each for each in kept if "hush" in each.name or (each.is_file() and "hush" in each.read_text())]


def test_actions_that_use_each_other_in_a_circle_end(player: Player) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        player.write(f"{name}/action.yml", f"runs: {{using: composite, steps: [{{uses: ./{other}}}]}}\n")
    done = player.steps("- uses: actions/checkout@v4\n- uses: ./a\n")
    assert done.code == 1
    done.says("not in a circle")


@pytest.mark.parametrize("uses", ["docker://alpine:3", "owner/action@v1", "./js"])
def test_all_others_fail_with_a_reason_or_are_left_out_as_the_user_says(player: Player, uses: str) -> None:
    player.write("js/action.yml", "runs: {using: node20, main: x.js}\n")
    text = f"- uses: actions/checkout@v4\n- {{id: x, uses: '{uses}'}}\n- run: echo on ${{{{ steps.x.outcome }}}}\n"
    done = player.steps(text)
    assert done.code == 1
    done.says(f"ERROR: {uses} is a", "`--uses skip` leaves out such steps", "ci.yml:7) failed")
    player.local["uses"] = "skip"
    done = player.steps(text)
    assert done.code == 0, done.log
    done.says(f"warning: {uses} is skipped", "on skipped")


def test_a_tool_is_the_one_on_the_path(player: Player) -> None:
    done = player.steps("""\
        - {id: py, uses: actions/setup-python@v5, with: {python-version: "2.7"}}
        - run: echo "${{ steps.py.outputs.python-version }}"
        - {uses: dtolnay/rust-toolchain@stable, env: {PATH: /nowhere}}
        """)
    done.says(
        "warning: python is 3.", "and 2.7 is asked for", "ERROR: dtolnay/rust-toolchain: rustc is not on the PATH"
    )


@pytest.mark.parametrize(
    ("there", "wanted", "does"),
    [
        ("3.11.7", "3.11", True), ("3.11.7", "3.1", False), ("20.1.0", "20.x", True), ("20.1.0", "lts/*", True),
        ("18.2", ">=18", True), ("18.2", ">= 20", True), ("18.2", ">=20", False), ("1.22.3", "^1.20", True),
        ("2.0", "^1.20", False), ("3.11.7", "3.12\n3.11", True), ("1.22.3", "~1.22.1", True),
        ("1.22.3", "~1.21", False),
        ("17.0.1", "<18", True), ("3.11", "3.x", True),
    ],
)  # fmt: skip
def test_versions_fit(there: str, wanted: str, does: bool) -> None:
    assert fits(there, wanted) is does
