"""Documents of maps made by hand: a release with one finding of each kind, wide and deep ones, hostile ones."""

from __future__ import annotations

import random
from typing import Any, Iterable

from stagebook.graph.shape import shape

_RELEASE: list[tuple[str, list[str], float | None]] = [
    ("checkout", [], 9), ("lint", ["checkout"], 38), ("unit[python=3.11]", ["checkout"], 120),
    ("unit[python=3.13]", ["checkout"], 131), ("build", ["checkout"], 107), ("scan", ["checkout"], 51),
    ("docs", ["checkout"], 32), ("package", ["unit[python=3.11]", "unit[python=3.13]", "build"], 23),
    ("image", ["build"], 58), ("migrate", ["build"], 66), ("integration", ["image", "lint"], 158),
    ("e2e", ["image"], 117), ("contract", ["image"], 52), ("deploy-staging", ["integration", "e2e", "package"], 48),
    ("smoke", ["deploy-staging"], 25), ("approve", ["smoke"], None), ("deploy", ["approve"], 61),
    ("cleanup", ["deploy"], 7),
]  # fmt: skip


def document(
    stages: Iterable[tuple[str, list[str], float | None]], pipeline: str = "release", **keys: Any
) -> dict[str, Any]:
    """Of stages with needs and known seconds, in the shape of `map --json`; None is a gate."""
    some = list(stages)
    at = {name: index for index, (name, _, _) in enumerate(some)}
    found = shape([[at[need] for need in needs] for _, needs, _ in some], [took or 0 for *_, took in some])
    critical = set(found.critical)
    return {
        "pipeline": pipeline,
        "file": "/home/somebody/stagebook.yaml",
        "format": "native",
        "stages": [
            stage(name, needs, took, level=found.level[index], line=10 + 2 * index, critical=index in critical,
                  slack_s=float(found.slack[index]))
            for index, (name, needs, took) in enumerate(some)
        ],
        "edges": [edge(need, name) for name, needs, _ in some for need in needs],
        "width": found.width,
        "depth": found.depth,
        "widest": {"stages": found.width, "names": [], "but_for": []},
        "sets": [],
        "critical_path": [some[index][0] for index in found.critical],
        "critical_path_s": float(found.length),
        "sequential_s": float(sum(took or 0 for *_, took in some)),
        "figures": {"source": "history", "history": len(some), "declared": 0, "others": 0},
        "findings": [],
        "unsaid": [],
        "notes": [],
    } | keys  # fmt: skip


def stage(name: str, needs: list[str], took: float | None, **keys: Any) -> dict[str, Any]:
    return {
        "stage": name, "level": 0, "needs": needs, "line": 1, "kind": "run" if took is not None else "gate",
        "condition": None, "matrix": None, "group": None, "duration_s": None, "known_s": took, "took_s": took or 0.0,
        "slack_s": 0.0, "slack": None, "critical": False, "alone": False, "is_test": False, "outside": None,
        "tolerance": "fails the run", "ordering": None, "mode": "parallel",
    } | keys  # fmt: skip


def edge(need: str, name: str, *reasons: tuple[str, str]) -> dict[str, Any]:
    known = [{"kind": kind, "text": text} for kind, text in reasons]
    return {"from": need, "to": name, "kind": "needs", "line": 3, "reasons": known, "implied": False, "finding": None}


def finding(number: int, code: str, *stages: str, **keys: Any) -> dict[str, Any]:
    return {
        "number": number, "code": code, "level": "warning", "line": 40 + number, "message": f"said of {stages[0]}",
        "stages": list(stages), "shared": None, "saves_s": None, "costs_s": None, "evidence": None, "fix": "do this",
        "edges": [{"from": stages[0], "to": stages[1]}] if code in ("needless-order", "implied-need") else [],
        "instead": [], "minor": False,
    } | keys  # fmt: skip


def release() -> dict[str, Any]:
    found = document(_RELEASE)
    for one in found["edges"]:
        if (one["from"], one["to"]) != ("image", "integration"):
            one["reasons"] = [{"kind": "artifact", "text": f"dist/{one['from']}.tar"}]
        else:
            one["finding"] = 1
    found["findings"] = [
        finding(1, "needless-order", "image", "integration", saves_s=41.0, evidence="declared",
                message="integration reads nothing that image makes; would save 41 s",
                fix="let integration follow build"),
        finding(2, "possible-coupling", "integration", "e2e", shared="port 5432",
                message="both use port 5432, with no order between them", fix="give each a port of its own"),
        finding(3, "possible-coupling", "unit[python=3.11]", "unit[python=3.13]", shared="file out.log",
                message="both write out.log", fix="isolate: {workspace: copy}"),
        finding(4, "missing-guard", "deploy-staging", "contract", "migrate", "scan", level="error",
                message="no path leads to it from contract, migrate and scan", fix="add the three to its needs"),
    ]  # fmt: skip
    return found


def layered(count: int, seed: int = 1, **keys: Any) -> dict[str, Any]:
    """Random levels of up to the square root of all; each stage needs one of the level before, some a further one."""
    chance = random.Random(seed)
    stages: list[tuple[str, list[str], float | None]] = []
    before: list[str] = []
    while len(stages) < count:
        level = [f"s{len(stages) + index}" for index in range(chance.randint(1, max(2, int(count**0.5))))]
        for name in level[: count - len(stages)]:
            needs = {chance.choice(before)} if before else set()
            if before and chance.random() < 0.3:
                needs.add(chance.choice(stages)[0])
            stages.append((name, sorted(needs), float(chance.randint(1, 300))))
        before = level
    return document(stages, **keys)


def changed() -> dict[str, Any]:
    """A release against its base: `audit` is new, `lint` has changed, `spell` is gone, and so is one edge."""
    found = document([
        ("build", [], 5), ("lint", ["build"], 3), ("audit", ["build"], 4), ("ship", ["lint", "audit"], 2),
    ])  # fmt: skip
    found["diff"] = {
        "base": "HEAD~1",
        "stages": {
            "added": ["audit"],
            "removed": [stage("spell", ["build"], 2, level=1)],
            "changed": [{"stage": "lint", "what": ["run"]}],
        },
        "edges": {
            "added": [{"from": "build", "to": "audit"}, {"from": "audit", "to": "ship"}],
            "removed": [{"from": "build", "to": "spell"}, {"from": "spell", "to": "ship"}],
            "changed": [],
        },
    }
    return found


def hostile(names: Iterable[str]) -> dict[str, Any]:
    """A chain of such names, with each of them wherever a text may stand."""
    some = list(names)
    found = document([(name, [before] if before is not None else [], 2.0) for before, name in zip([None, *some], some)])
    for one, name in zip(found["stages"], some):
        one |= {"condition": name, "group": name, "outside": name, "ordering": name, "mode": name}
    for one, name in zip(found["edges"], some):
        one["reasons"] = [{"kind": kind, "text": name} for kind in ("artifact", "stated", "other")]
    found["pipeline"] = "".join(some)
    found["unsaid"] = some
    codes = ("needless-order", "possible-coupling", "missing-guard", "other")
    found["findings"] = [
        finding(number, codes[number % 4], name, some[0], shared=name, message=name, fix=name)
        for number, name in enumerate(some[1:], 1)
    ]
    return found
