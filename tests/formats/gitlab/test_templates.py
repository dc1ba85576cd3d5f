"""What stands for something else: extends, !reference, anchors, defaults, variables."""

from __future__ import annotations

from tests.formats.gitlab.reading import Project, spec


def test_extends_merges_deeply_and_the_last_is_strongest(project: Project) -> None:
    stages = project.stages("""
        .one: {image: one, variables: {A: one, B: one}, script: [one], tags: [x]}
        .two: {extends: .one, variables: {B: two}, tags: []}
        .three: {variables: {C: three}, before_script: [three]}
        job: {extends: [.two, .three], variables: {D: job}, before_script: [own], image: null}
    """)
    made = spec(stages["job"])
    assert made["variables"] == {"A": "one", "B": "two", "C": "three", "D": "job"}
    assert (made["script"], made["before_script"], made["tags"], made["image"]) == (["one"], ["own"], [], None)


def test_extends_of_a_job(project: Project) -> None:
    stages = project.stages("a: {script: x, stage: build}\nb: {extends: a, stage: test}\n")
    assert stages["b"].needs == ("a",)


def test_wrong_extends(project: Project) -> None:
    assert project.errors("j: {extends: .a, script: x}") == [(1, "j: `extends` names .a, which is not there")]
    [(_, said)] = project.errors(".a: {extends: .b}\n.b: {extends: .a}\nj: {extends: .a, script: x}")
    assert "`extends` goes in a circle" in said
    chain = ".a0: {script: x}\n" + "".join(f".a{n}: {{extends: .a{n - 1}}}\n" for n in range(1, 13))
    assert project.pipeline(chain.partition(".a12")[0] + "j: {extends: .a10}\n")
    assert "more than 11 templates" in project.errors(chain + "j: {extends: .a12}\n")[0][1]


def test_references(project: Project) -> None:
    stages = project.stages("""
        .setup:
          script: [apt-get update, !reference [.more, script]]
          variables: {URL: u}
          rules: [{if: $CI_COMMIT_TAG, when: never}, {when: always}]
        .more: {script: [make tools]}
        .services: [postgres, {name: redis, alias: cache}]
        job:
          script: [!reference [.setup, script], make]
          variables: {OWN: !reference [.setup, variables, URL]}
          rules: [!reference [.setup, rules]]
          services: [!reference [.services, 1]]
    """)
    made = spec(stages["job"])
    assert made["script"] == ["apt-get update", "make tools", "make"]
    assert made["variables"] == {"OWN": "u"}
    assert [(each["name"], each["alias"]) for each in made["services"]] == [("redis", ["cache"])]
    assert stages["job"].always


def test_wrong_references(project: Project) -> None:
    assert "there is no such key" in project.errors("a:\n  script:\n  - !reference [b, script]\n")[0][1]
    assert project.errors("a:\n  script: [!reference [a, script]]\n")[0] == (
        2, "!reference [a, script] is part of what it stands for",
    )  # fmt: skip
    assert "takes a list of keys" in project.errors("a: {script: [!reference x]}")[0][1]
    assert "tag !vault is unknown" in project.errors("a: {script: [!vault x]}")[0][1]


def test_references_that_multiply_end(project: Project) -> None:
    text = ".r0: [x]\n"
    for at in range(1, 10):
        text += f".r{at}: [{', '.join(f'!reference [.r{at - 1}]' for _ in range(30))}]\n"
    [(_, said)] = project.errors(text + "a: {script: [!reference [.r9]]}\n")
    assert said == "references and templates make more than 1000000 values, the limit"


def test_anchors_and_keys_that_are_given_twice(project: Project) -> None:
    text = """
        .a: &a {script: first}
        .b: &a {script: second}
        one: {<<: *a, image: x}
        two: {image: y, <<: [{image: z, tags: [t]}, *a]}
        one: {<<: *a}
    """
    stages = project.stages(text)
    assert spec(stages["one"])["script"] == ["second"]
    assert spec(stages["one"])["image"] is None
    assert spec(stages["two"])["image"] == {"name": "y", "entrypoint": []}
    [(line, said)] = project.said(text, "warning")
    assert (line, said) == (6, "`one` is given twice, first on line 4")


def test_defaults_and_what_is_inherited(project: Project) -> None:
    stages = project.stages("""
        default: {image: base, before_script: [setup], tags: [big], timeout: 2h}
        image: old
        cache: {key: k, paths: [p]}
        variables: {A: "1", B: "2"}
        all: {script: x}
        own: {script: x, image: mine, before_script: [], tags: null}
        none: {script: x, inherit: {default: false, variables: false}}
        some: {script: x, inherit: {default: [image], variables: [B]}}
    """)
    everything, own, none, some = (spec(stages[name]) for name in ("all", "own", "none", "some"))
    assert (everything["image"]["name"], everything["before_script"], everything["tags"]) == (
        "base",
        ["setup"],
        ["big"],
    )
    assert stages["all"].timeouts.attempt_ms == 7_200_000
    assert everything["cache"][0]["key"] == "k"
    assert (own["image"]["name"], own["before_script"], own["tags"]) == ("mine", [], ["big"])
    assert (none["image"], none["variables"]) == (None, {})
    assert (some["image"]["name"], some["before_script"], some["variables"]) == ("base", [], {"B": "2"})


def test_default_with_a_script_is_a_job(project: Project) -> None:
    assert list(project.stages("default: {script: x, stage: build}\nb: {script: y}\n")) == ["default", "b"]


def test_variables(project: Project) -> None:
    text = """
        variables:
          PLAIN: a
          TOLD: {value: b, description: which, options: [b, c]}
          RAW: {value: $PLAIN, expand: false}
          MODE: 0755
          NONE:
        job: {script: x, resource_group: "to-$TARGET", environment: {name: $TARGET}, variables: {TARGET: "${PLAIN}1"}}
    """
    pipeline = project.pipeline(text)
    made = spec(pipeline.stages[0])
    assert made["variables"] == {
        "PLAIN": "a", "TOLD": "b", "RAW": "$PLAIN", "MODE": "493", "NONE": "", "TARGET": "${PLAIN}1",
    }  # fmt: skip
    assert made["raw"] == ["RAW"]
    assert pipeline.stages[0].locks == {"to-a1": "exclusive"}
    assert pipeline.machine_locks == ("to-a1",)
    assert pipeline.stages[0].job is not None and pipeline.stages[0].job.environment == "$TARGET"


def test_variables_that_speak_of_each_other_end(project: Project) -> None:
    lines = [f"  V{at}: '{f'$V{at + 1}' * 20}'" for at in range(40)]
    text = "variables:\n" + "\n".join(lines) + "\na: {script: x, rules: [{if: '$V0 == $NONE'}]}\n"
    assert project.stages(text) == {}
    circle = "variables: {A: $B, B: '${C}x', C: $A$C, PATH: 'x:$PATH'}\na: {script: x}\n"
    [(line, said)] = project.errors(circle)
    assert line == 2
    assert said == "job a: variables speak of each other in a circle: $A → $B → $C → $A"
    assert project.stages("a: {script: x, variables: {PATH: 'x:$PATH'}}")
