"""What more than one view says about stages: waits, ends, causes. One wording each, all names made safe."""

from __future__ import annotations

from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence, TypeAlias

#: run outcome: verb in `release failed`
VERBS = {
    "success": "passed",
    "failure": "failed",
    "error": "failed",
    "timeout": "timed out",
    "cancellation": "was cancelled",
    "skip": "was skipped",
}

_SIGNALS = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
    11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ",
}  # fmt: skip


#: what is not called by its name
_RESOURCES = {"rate": "rate of starts", "machine": "a shortage of the machine"}
_WAITS = {"backoff": "waits for its next attempt", "condition": "waits for its condition to be judged"}

NAMES_MAX = 3  #: of several who hold something


def resource(name: str) -> str:
    """`pool:db` as `pool db`, `slot` as `slot`, `rate:api` as `rate of pool api`."""
    kind, _, rest = name.partition(":")
    if kind == "rate" and rest:
        return f"rate of pool {harmless(rest)}"
    return _RESOURCES.get(name) or harmless(name.replace(":", " ", 1))


def names(known: Sequence[str]) -> str:
    """`a, b and 7 more`."""
    shown = ", ".join(map(harmless, known[:NAMES_MAX]))
    return shown + (f" and {len(known) - NAMES_MAX} more" if len(known) > NAMES_MAX else "")


def waiting(name: str, holder: str | None = None, jobs: int | None = None) -> str:
    """`waits for pool db, held by migrate`; `waits for a slot, 4 of 4 in use`; `waits for needs: build`."""
    if name == "slot or pool":
        return "waits for a slot or pool"
    if name == "gate":
        return "waits for a person"
    if name in _WAITS:
        return _WAITS[name]
    if name == "slot":
        text = "waits for a slot"
        if jobs:
            return f"{text}, {jobs} of {jobs} in use"
        return f"{text}, held by {harmless(holder)}" if holder else text
    if name == "needs":
        return f"waits for needs: {harmless(holder)}" if holder else "waits for needs"
    if name == "machine":
        return f"is held: {harmless(holder or 'the machine is short')}"
    if holder is not None and holder.startswith(f"{name} "):  # another run has it, and it is told which
        return f"waits for {resource(holder)}"
    text = f"waits for {resource(name)}"
    return f"{text}, held by {harmless(holder)}" if holder else text


def as_fast(times: float) -> str:
    """`2.00× as fast`, `slower: 0.51× as fast`: in words, as a bare multiple might be one of time."""
    said = f"{times:.2f}× as fast"
    return said if times >= 0.995 else f"slower: {said}"


def signal_name(number: int) -> str:
    name = _SIGNALS.get(number)
    return f"signal {number} ({name})" if name else f"signal {number}"


def ending(outcome: str, reason: str | None, exit: int | None, signal: int | None = None) -> str:
    """What the outcome word leaves open: `exit 1`, `signal 9 (SIGKILL)`, or the reason; may be empty."""
    if reason:
        text = harmless(reason)
        if exit and "exit" not in text and outcome == "failure":
            return f"exit {exit}, {text}"
        return "" if text == outcome else text
    if signal is not None:
        return signal_name(signal)
    return f"exit {exit}" if exit else ""


def cause(reason: str | None) -> tuple[str, str] | None:
    """The stage and the outcome that a skip was for, out of `needs X (failure)`; None for any other reason."""
    if not reason or not reason.startswith("needs ") or not reason.endswith(")"):
        return None
    stage, _, outcome = reason[6:-1].rpartition(" (")
    return (stage, outcome) if stage else None


def ended_by(outcome: str) -> str:
    """The past tense that follows a stage's name: `build failed`."""
    return {"skip": "skipped", "cancellation": "cancelled"}.get(outcome) or VERBS.get(outcome, outcome)


Stages: TypeAlias = "Mapping[str, Mapping[str, Any]]"

LINKS_MAX = 6  #: of a longer chain the middle is left out


def chain(stage: Mapping[str, Any], by_id: Stages, roots: Mapping[str, tuple[str, str]], because: str = "←") -> str:
    """`deploy skipped ← package skipped ← build failed (exit 2)`: from a skipped stage to what began it."""
    parts: list[str] = []
    current: Mapping[str, Any] | None = stage
    while current is not None and len(parts) < LINKS_MAX:
        parts.append(_link(current))
        origin = cause(current.get("reason"))
        if origin is None:
            return f" {because} ".join(parts)
        current = by_id.get(origin[0])
        if current is None:
            parts.append(f"{harmless(origin[0])} {ended_by(origin[1])}")
    if current is not None:
        first = by_id.get(roots[str(stage["stage"])][0], current)
        parts += ["…", _link(first)] if first is not current else [_link(current)]
    return f" {because} ".join(parts)


def roots_of(by_id: Stages) -> dict[str, tuple[str, str]]:
    """For each stage that was skipped for a need: name and outcome of the stage that the skip goes back to. Each link
    is walked once, however long the chains are."""
    found: dict[str, tuple[str, str]] = {}
    for name in by_id:
        path: list[str] = []
        at: str | None = name
        end: tuple[str, str] | None = None
        walked: set[str] = set()
        while at is not None and at not in walked:
            if at in found:
                end = found[at]
                break
            walked.add(at)
            stage = by_id.get(at)
            origin = cause(stage.get("reason")) if stage is not None else None
            if origin is None:
                break
            path.append(at)
            end = origin
            at = origin[0]
        if end is not None:
            found.update(dict.fromkeys(path, end))
    return found


def _link(stage: Mapping[str, Any]) -> str:
    return f"{harmless(str(stage['stage']))} {ended_by(str(stage['outcome']))}" + _detail(stage)


def _detail(stage: Mapping[str, Any]) -> str:
    outcome = str(stage["outcome"])
    reason = stage.get("reason")
    if outcome == "skip":
        return f" ({harmless(str(reason))})" if reason and cause(reason) is None else ""
    attempts = stage.get("attempts") or []
    last = attempts[-1] if attempts else {}
    text = ending(outcome, reason or last.get("reason"), last.get("exit"), last.get("signal"))
    return f" ({text})" if text and outcome != "success" else ""
