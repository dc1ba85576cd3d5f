"""Documents of runs in the door's shape, made by hand: the run that DESIGN shows, and others for tests of reports."""

from __future__ import annotations

from typing import Any

DAY = "2026-07-12"


def at(seconds: float) -> str:
    """That long after 07:12:03, as a record writes it."""
    us = round(seconds * 1e6) + (7 * 3600 + 12 * 60 + 3) * 1_000_000
    second, rest = divmod(us, 1_000_000)
    return f"{DAY}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{rest:06d}+00:00"


def attempt(
    begin: float,
    end: float | None,
    *,
    wait: float = 0.0,
    waited: str | None = None,
    outcome: str | None = "success",
    exit: int | None = 0,
    signal: int | None = None,
    reason: str | None = None,
    number: int = 1,
    log: str | None = "logs/x.1.log",
) -> dict[str, Any]:
    return {
        "attempt": number,
        "outcome": outcome,
        "reason": reason,
        "exit": exit,
        "signal": signal,
        "started": at(begin),
        "finished": None if end is None else at(end),
        "wait_s": wait,
        "waited": waited,
        "log": log,
        "usage": {
            "cpu_s": 1.5,
            "cpu_user_s": 1.25,
            "cpu_system_s": 0.25,
            "max_rss_bytes": 300 << 20,
            "read_bytes": None,
            "write_bytes": 12_345,
            "ctx_voluntary": 1200,
            "ctx_involuntary": 4,
            "method": "cgroup",
        },
    }


def stage(
    name: str,
    *attempts: dict[str, Any],
    needs: tuple[str, ...] = (),
    outcome: str | None = "",
    reason: str | None = None,
    line: int = 7,
    level: int = 0,
    end: float | None = None,
    waiting: str | None = None,
) -> dict[str, Any]:
    """Its outcome is that of its last attempt unless said."""
    last = attempts[-1] if attempts else None
    ended = last["outcome"] if last is not None and outcome == "" else outcome or None
    finished = last["finished"] if last is not None else at(end) if end is not None else None
    return {
        "stage": name,
        "outcome": ended,
        "flaky": ended == "success" and len(attempts) > 1,
        "reason": reason,
        "started": attempts[0]["started"] if attempts else None,
        "finished": finished if ended is not None else None,
        "wall_s": None,
        "wait_s": sum(one["wait_s"] for one in attempts) if attempts else None,
        "waiting": waiting,
        "waited": next((one["waited"] for one in attempts if one["waited"]), None),
        "attempts": list(attempts),
        "attempts_max": max(1, len(attempts)),
        "kind": "run",
        "needs": list(needs),
        "level": level,
        "line": line,
        "critical": False,
        "tolerated": False,
    }


def run(stages: list[dict[str, Any]], wall: float | None, **more: Any) -> dict[str, Any]:
    """A run around them that succeeded, unless `more` says otherwise."""
    return {
        "run": "01KYAK7Q3V8W9XAYBZC0D1E2F3",
        "pipeline": "release",
        "outcome": "success",
        "reason": None,
        "mode": "parallel",
        "jobs": 4,
        "policy": "strict",
        "file": "/work/release/stagebook.yaml",
        "started": at(0),
        "finished": None if wall is None else at(wall),
        "wall_s": wall,
        "waiting": None,
        "critical_planned": [],
        "critical_path": [],
        "critical_path_s": 0.0,
        "max_parallel": 4,
        "sum_s": 0.0,
        "cpu_s": None,
        "effective_parallel": {"stages": None, "cpu": None},
        "bound_by": None,
        "waiting_by": {},
        "clock_jump_s": None,
        "stages": stages,
        "warnings": [],
        **more,
    }


def release(**more: Any) -> dict[str, Any]:
    """The failed run of the mock, second for second."""
    failed = {"outcome": "failure", "exit": 1}
    stages = [
        stage("checkout", attempt(0, 9)),
        stage("lint", attempt(9, 47), needs=("checkout",), level=1),
        stage("unit[python=3.11]", attempt(9, 131), needs=("checkout",), level=1),
        stage("unit[python=3.13]", attempt(9, 140), needs=("checkout",), level=1),
        stage("build", attempt(9, 116), needs=("checkout",), level=1),
        stage("scan", attempt(47, 98, wait=38, waited="slot"), needs=("checkout",), level=1),
        stage("docs", attempt(98, 130, wait=89, waited="slot"), needs=("checkout",), level=1),
        stage("image", attempt(116, 174), needs=("build",), level=2),
        stage("migrate", attempt(130, 196, wait=14, waited="slot"), needs=("build",), level=2),
        stage("package", attempt(140, 163), needs=("build",), level=2),
        stage("e2e", attempt(174, 212, **failed), attempt(216, 333, wait=2, waited="slot", number=2), needs=("image",),
              level=3),
        stage("contract", attempt(174, 226), needs=("image",), level=3),
        stage("integration", attempt(196, 354, wait=22, waited="pool:db", **failed), needs=("image", "lint"), level=3,
              line=41),
        *skipped(("deploy-staging", "needs integration (failure)"), ("smoke", "needs deploy-staging (skip)"),
                 ("approve", "needs smoke (skip)"), ("deploy", "needs approve (skip)")),
        stage("cleanup", attempt(354, 361), needs=("deploy",), level=8),
    ]  # fmt: skip
    facts: dict[str, Any] = {
        "outcome": "failure",
        "critical_path": ["checkout", "build", "image", "integration"],
        "critical_path_s": 332.0,
        "sum_s": 1009.0,
        "effective_parallel": {"stages": 2.795, "cpu": 2.5},
        "bound_by": "critical path",
        "waiting_by": {"slot": 143.0, "pool:db": 22.0, "backoff": 2.0},
        "coupling": [{"stages": ["e2e", "integration"], "resource": "db:orders", "evidence": [], "level": "possible"}],
    }
    return run(stages, 361.0, **{**facts, **more})


def skipped(*names: tuple[str, str]) -> list[dict[str, Any]]:
    return [stage(name, outcome="skip", reason=reason, level=4, end=354) for name, reason in names]


def wide(count: int, *, levels: int = 10, failing: int = 0) -> dict[str, Any]:
    """`count` stages of 10 ms in `levels` levels of equal size, one critical in each; the last `failing` fail."""
    per_level = count // levels
    stages = []
    for index in range(count):
        level = min(index // per_level, levels - 1)
        begin = level * 0.012
        fails = index >= count - failing
        stages.append(
            stage(
                f"stage-{index:04d}",
                attempt(begin, begin + 0.010, outcome="failure" if fails else "success", exit=1 if fails else 0),
                level=level,
                needs=(f"stage-{index - per_level:04d}",) if level else (),
            )
        )
    return run(
        stages,
        levels * 0.012,
        outcome="failure" if failing else "success",
        critical_path=[f"stage-{level * per_level:04d}" for level in range(levels)],
        critical_path_s=levels * 0.010,
        sum_s=count * 0.010,
    )


def output(stage_id: str, number: int, count: int) -> list[tuple[int, bytes]]:
    """What the failing stage of the mock printed last."""
    lines = [
        (1200, b">   row = db.execute(SELECT_ORDER, [order_id]).one()"),
        (1201, b"E   sqlalchemy.exc.NoResultFound: No row was found when one was required"),
        (1202, b"tests/integration/test_orders.py:88: NoResultFound"),
        (1204, b"==== 1 failed, 211 passed in 154.22s ===="),
    ]
    return lines[-count:]


def step(name: str, workers: int, done: int, busy: float, at_once: list[float], begin: float = 5.0) -> dict[str, Any]:
    """A step whose pieces are two seconds long."""
    return {
        "step": name, "workers": workers, "done": done, "failed": 0, "retried": 0, "calls": done,
        "wall_s": sum(at_once) * 2, "cpu_s": 0.0, "queue_max": 2, "logs": [], "busy": busy,
        "course": {"from_s": begin, "grain_s": 2.0, "at_once": at_once} if at_once else None,
    }  # fmt: skip


def gate(name: str, begin: float | None, end: float | None, **more: Any) -> dict[str, Any]:
    """A gate; who decided it and how is in `reason` and `outcome`."""
    outcome, reason = more.pop("outcome", None), more.pop("reason", None)
    waiting = "gate" if outcome is None and begin is not None else None
    made = stage(name, outcome=outcome, reason=reason, level=2, end=end, waiting=waiting)
    asked = {
        "prompt": "Ship it?", "needed": 2, "approvals": [], "decision": None, "approvers": [], "green": [],
        "warnings": [],
        "asked": None if begin is None else at(begin), "expires": None, "default": None, "from_s": begin, "to_s": end,
    }  # fmt: skip
    return {**made, "kind": "gate", "gate": {**asked, **more}}


def assembly(**more: Any) -> dict[str, Any]:
    """A run with a stage that works through items, a gate that was answered, and one that is not."""
    segments = stage("segments", attempt(5, 45), needs=("checkout",), level=1)
    segments["items"] = {
        "total": 20, "known": 20, "done": 20, "failed": 0, "skipped": 0, "dead": 0, "per_s": 0.5,
        "latency_s": {"median": 12.0, "p95": 14.0, "max": 15.0}, "failures": [], "binds": "segments.transcode",
    }  # fmt: skip
    segments["steps"] = [
        step("segments.fetch", 1, 20, 0.75, [1.0] * 15),
        step("segments.transcode", 4, 20, 0.9, [0.0, 1.0, 2.0, 3.0] + [4.0] * 14 + [1.0]),
        step("segments.package", 1, 20, 0.35, [0.0] * 4 + [0.4] * 10 + [0.02] + [1.0] * 5),
    ]
    ballots = [{"by": "ann", "at": at(50), "comment": "good"}]
    stages = [
        stage("checkout", attempt(0, 5)),
        segments,
        gate("ship", 45, 70, outcome="success", reason="approved by ann and bob: good"),
        gate("audit", 45, None, approvals=ballots),
        stage("deploy", attempt(70, 80), needs=("ship",), level=3),
        stage("publish", needs=("audit",), level=3, waiting="needs"),
    ]
    for each in stages:
        for one in each["attempts"]:
            (begun,) = [second for second in (0, 5, 70) if at(second) == one["started"]]
            one["from_s"], one["to_s"] = begun, {0: 5, 5: 45, 70: 80}[begun]
    facts: dict[str, Any] = {
        "outcome": None, "waiting": "gate", "state": "waiting", "critical_path": ["checkout", "segments", "deploy"],
        "critical_path_s": 55.0, "sum_s": 55.0, "max_parallel": 1,
    }  # fmt: skip
    return run(stages, None, **{**facts, **more})
