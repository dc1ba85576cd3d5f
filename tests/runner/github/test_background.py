"""Steps that run beside others. What is waited for is a file that another step makes, never a time."""

from __future__ import annotations

from tests.runner.github.playing import Player


def until(name: str) -> str:
    return f"while ! test -e {name}; do sleep 0.02; done"


def test_a_step_in_the_background_is_waited_for_where_its_file_says(player: Player) -> None:
    done = player.steps(f"""\
        - {{id: slow, background: true, run: "{until("go")}; echo v=1 >> $GITHUB_OUTPUT; echo SET=1 >> $GITHUB_ENV; echo done"}}
        - run: echo "before [${{{{ steps.slow.outputs.v }}}}] [$SET]"; touch go
        - wait: slow
        - run: echo "after [${{{{ steps.slow.outputs.v }}}}] [$SET]"
        """)  # noqa: E501
    assert done.code == 0, done.log
    done.says("before [] []", "after [1] [1]", "] done\n", "== Wait: slow")


def test_steps_of_a_group_run_at_once_and_all_are_waited_for(player: Player) -> None:
    done = player.steps(f"""\
        - parallel:
            - {{id: a, name: one, run: "touch a; {until("b")}; echo here"}}
            - {{id: b, name: two, run: "touch b; {until("a")}; echo here; exit 5"}}
        - run: echo never
        - {{if: failure(), run: "echo ${{{{ steps.a.outcome }}}} ${{{{ steps.b.outcome }}}}"}}
        """)
    assert done.code == 5
    done.says("[one] here", "[two] here", "success failure")
    assert "\nnever" not in done.log


def test_steps_without_an_id_may_stand_in_one_line(player: Player) -> None:
    done = player.steps(f"""\
        - parallel: [{{run: "{until("go")}; exit 4"}}, {{run: "touch go"}}, {{run: "echo third"}}]
        - run: echo never
        """)
    assert done.code == 4, done.log
    done.says("third\n")
    assert "\nnever" not in done.log


def test_a_background_step_that_is_cancelled_fails_nothing(player: Player) -> None:
    done = player.steps(f"""\
        - {{id: server, background: true, run: "touch up; sleep 600"}}
        - run: {until("up")}
        - cancel: server
        - run: echo "went on ${{{{ steps.server.outcome }}}}"
        """)
    assert done.code == 0, done.log
    done.says("went on cancelled")


def test_failures_show_where_they_are_waited_for_or_at_the_end(player: Player) -> None:
    done = player.steps("""\
        - {id: bad, background: true, run: exit 9}
        - run: echo went on
        - wait-all: true
        - run: echo never
        """)
    assert done.code == 9
    done.says("went on")
    assert "\nnever" not in done.log
    done = player.steps("- {background: true, run: exit 9}\n- run: echo went on\n")
    assert done.code == 9
