"""What is said when a run is over, in a fixed order: timeline, totals, warnings, failure block, closing line.

The failure block is near the end so that it is what stays on screen: its last fifteen lines tell the first stage that
failed, how, the end of its output, and the command that runs it alone.
"""

from __future__ import annotations

import time

from stagebook.report import failure, gate, timeline, words
from stagebook.report import rows as shapes
from stagebook.report.durations import plural, size, span, span_us
from stagebook.report.harmless import cells, harmless, wrap
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, TypeAlias

Document: TypeAlias = "Mapping[str, Any]"

_LIST_LINES = 3
_NAMES_MAX = 20
_TOLD = 0.01  #: the share of a run from which on it is said that a person took it
_ORDER = ("success", "failure", "timeout", "error", "cancellation", "skip")
_COUNTED = {"slot": "waiting", "needs": "waiting for needs", "person": "waiting for you"}


def render(
    document: Document, style: Style, *, excerpt: failure.Tail | None = None, short: str | None = None
) -> list[str]:
    """All of it, as lines. `short` is the run's id as it may be typed."""
    short = short or str(document["run"])[:8]
    lines = picture(document, style)
    lines += ["", *totals(document, style), *_against(document, style), *warnings(document, style)]
    lines += set_aside(document, style, short)
    block = failure.block(document, style, excerpt, short)
    if block:
        lines += ["", *block]
    lines += closing(document, style, short)
    return lines


def picture(document: Document, style: Style) -> list[str]:
    """Timeline, the skipped in one line a cause, legend."""
    rows, total_us = shapes.shape(document)
    return timeline.draw(rows, total_us, style, waited_kinds(document), below=skipped(document, style))


_CAPACITIES = ("slot", "cpu", "memory", "pool", "lock", "matrix")


def waited_kinds(document: Document) -> list[str]:
    """What kinds of things attempts waited for; a retry last, which waits for its time."""
    kinds: set[str] = set()
    retried = False
    for stage in document["stages"]:
        for attempt in stage["attempts"]:
            if attempt.get("waited"):
                kinds.add(str(attempt["waited"]).partition(":")[0])
            retried = retried or attempt.get("attempt", 1) > 1
    found = [kind for kind in _CAPACITIES if kind in kinds] + sorted(kinds.difference(_CAPACITIES))
    return found + (["retry"] if retried else [])


def skipped(document: Document, style: Style) -> list[str]:
    """`» 4 skipped  deploy-staging, smoke, approve, deploy ← integration failed`, a line for each cause."""
    stages = [stage for stage in document["stages"] if stage["outcome"] == "skip"]
    if not stages:
        return []
    by_id = {stage["stage"]: stage for stage in document["stages"]}
    roots = words.roots_of(by_id)
    causes: dict[str, list[str]] = {}
    for stage in stages:
        root = roots.get(stage["stage"])
        if root is not None:
            text = f" {style.mark('because')} {harmless(root[0])} {words.ended_by(root[1])}"
        else:
            text = f": {harmless(stage['reason'])}" if stage["reason"] else ""
        causes.setdefault(text, []).append(harmless(stage["stage"]))
    lines: list[str] = []
    for text, names in causes.items():
        head = f"{style.paint(style.glyph('skip').ljust(style.glyph_width), 'skip')} {len(names)} skipped"
        indent = max(cells(head) + 2, min(19 + style.glyph_width, style.width * 3 // 10))
        room = style.width - 1 - indent
        body = wrap(style.plain(_listed(names, room) + text), room)
        lines.append(head + " " * (indent - cells(head)) + body[0])
        lines += [" " * indent + part for part in body[1:]]
    return lines


def _listed(names: list[str], room: int) -> str:
    """Names with commas, as many as fit three lines; the rest as a number."""
    taken = 0
    for count, name in enumerate(names):
        taken += cells(name) + 2
        if taken > room * _LIST_LINES and count:
            return f"{', '.join(names[:count])} and {len(names) - count} more"
    return ", ".join(names)


def totals(document: Document, style: Style) -> list[str]:
    """Wall against critical path and work; speed-up and effective parallelism; where waiting went; counts."""
    lines = _wrapped(_extent(document), style)
    lines += [line for text in _parallelism(document) for line in _wrapped(text, style)]
    lines += [line for text in chosen(document) for line in _wrapped(text, style)]
    for stage in document["stages"]:
        if stage.get("items") and stage["attempts"]:
            from stagebook.report import items

            lines += _wrapped(items.summary(stage), style)
    if document.get("skipped_by_conditions"):
        lines += _wrapped(_saved(document["skipped_by_conditions"]), style)
    return lines + wrap_counts(document, style)


def chosen(document: Document) -> list[str]:
    """What was fixed at the start and not by a plain word of the user: `jobs: 16 (80 % of 20, the cap of …)`,
    `policy lenient (no rule before it holds)`, and what is critical under lenient."""
    lines = []
    if document.get("jobs_because"):
        lines.append(f"jobs: {document['jobs']} ({harmless(document['jobs_because'])})")
    if document.get("policy_because"):
        lines.append(f"policy {document['policy']} ({harmless(document['policy_because'])})")
    if document.get("policy") == "lenient" and "critical_planned" in document:
        lines.append(critical_set(document))
    return lines


def _against(document: Document, style: Style) -> list[str]:
    """How this run did against the latest one of the same stages in the other mode, where one was found."""
    other = document.get("against")
    if not other:
        return []
    text = f"against  run {other['short']}, {other['mode']}, {span(other['wall_s'])}: "
    text += f"{words.as_fast(other['wall_s'] / document['wall_s'])}; side by side: stagebook timeline "
    return _wrapped(text + " ".join(other["both"]) + (document.get("from_here") or {}).get("look", ""), style)


def _saved(skips: Mapping[str, Any]) -> str:
    """`skipped by conditions: tests, which took 2 m 3 s before`; how long some took may not be known."""
    took = skips["took_s"]
    known = [name for name in skips["stages"] if name in took]
    unknown = [name for name in skips["stages"] if name not in took]
    parts = []
    if known:
        together = " together" if len(known) > 1 else ""
        parts.append(f"{_few(known)}, which took {span(skips['saved_s'])}{together} before")
    if unknown:
        parts.append(f"{_few(unknown)}, whose time is not known")
    return f"skipped by conditions: {'; '.join(parts)}"


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
    return ", ".join(map(harmless, names[:_NAMES_MAX])) + more


def _extent(document: Document) -> str:
    """How long it took, and why at least so long: its critical path, or all of its work where it was asked to be
    sequential."""
    wall, work = document["wall_s"], document.get("sum_s")
    person = document.get("waiting_for_person_s") or 0
    asked = f", {span(person)} of it waiting for a person" if wall and person >= _TOLD * wall else ""
    if shapes.is_one_by_one(document):
        return f"one after another: {span(work)} of work" + (f" in {span(wall)}{asked}" if wall is not None else "")
    if wall is None and gate.open_gates(document) and (so_far_us := shapes.busy_us(document)):
        return (
            f"{span_us(so_far_us)} so far, waiting for a person left out, critical path "
            + span(document["critical_path_s"])
            + f", work {span(work)}"
        )
    by_id = {stage["stage"]: stage for stage in document["stages"]}
    path = [attempt for name in document["critical_path"] if name in by_id for attempt in by_id[name]["attempts"]]
    path_wait = sum(map(shapes.waited_us, path)) / 1e6
    text = f"wall {span(wall)}{asked}, critical path {span(document['critical_path_s'])}"
    if path_wait >= 0.0005:
        text += f" + {span(path_wait)} waiting"
    return text + (f", work {span(work)}" if work is not None else "")


def _wrapped(text: str, style: Style) -> list[str]:
    """In the letters of the style first, since escapes are longer than what they stand for."""
    return wrap(style.plain(text), style.width - 1)


def _measured(document: Document) -> str:
    """Nobody declared what may run at once, so only what did is told."""
    most = document["max_parallel"]
    effective = (document.get("effective_parallel") or {}).get("stages")
    what = "recorded" if document.get("imported") else "measured"
    text = f"{what}: one at a time" if most < 2 else f"{what}: at most {most} at once"
    return text if effective is None else f"{text}, effective {effective:.1f}"


def _parallelism(document: Document) -> list[str]:
    wall, work = document["wall_s"], document.get("sum_s")
    if wall:
        wall -= document.get("waiting_for_person_s") or 0
    unsaid = ("start", "slot") if shapes.is_one_by_one(document) else ("start",)
    waits = {
        name: seconds
        for name, seconds in (document.get("waiting_by") or {}).items()
        if seconds >= 0.0005 and name not in unsaid
    }
    lines: list[str] = []
    if document.get("measured") or document.get("imported"):
        lines.append(_measured(document))
    elif document["mode"] == "parallel" and wall and wall > 0 and work and document["outcome"] != "cancellation":
        effective = (document.get("effective_parallel") or {}).get("stages")
        text = f"speed-up {work / wall:.2f}× against the sum of stages"
        if effective is not None:
            text += f"; declared parallel {document['jobs']}, effective {effective:.1f}"
            bound = document.get("bound_by")
            if bound:
                text += f": bound by {'the critical path' if bound == 'critical path' else words.resource(bound)}"
        lines.append(text)
    if waits:
        listed = [f"{words.resource(name)} {span(seconds)}" for name, seconds in waits.items()]
        text = "waiting  " + ", ".join(listed[:6]) + (" …" if len(listed) > 6 else "")
        for_needs = document.get("waiting_for_needs_s") or 0
        lines.append(text + (f"; for needs {span(for_needs)}" if for_needs >= 0.0005 else ""))
    return lines


def critical_set(document: Document) -> str:
    """The stages whose failure fails a lenient run, as they were fixed at its start."""
    shown = _few(list(document.get("critical_planned") or ()))
    by = document.get("critical_by")
    how = "" if not by else " (marked)" if by == "marked" else f" (by {harmless(by)})"
    return f"critical {shown or 'nothing'}{how}"


def wrap_counts(document: Document, style: Style) -> list[str]:
    """`✓ 13 success (≈ 1 flaky: e2e)  ✗ 1 failure  » 4 skip`; what runs or waits is counted too."""
    counted: dict[str, int] = {}
    flaky: list[str] = []
    for stage in document["stages"]:
        state = shapes.state_of(stage)
        if state == "flaky":
            flaky.append(style.plain(harmless(stage["stage"])))
            state = "success"
        counted[state] = counted.get(state, 0) + 1
    parts = []
    for state in (*_ORDER, "running", "interrupted", "slot", "gate", "person", "needs"):
        number = counted.get(state)
        if number:
            word = _COUNTED.get(state, state)
            text = f"{style.paint(style.glyph(state), state)} {number} {word}"
            if state == "success" and flaky:
                names = ", ".join(flaky[:5]) + (f" and {len(flaky) - 5} more" if len(flaky) > 5 else "")
                text += f" ({style.paint(style.glyph('flaky'), 'flaky')} {len(flaky)} flaky: {names})"
            parts.append(text)
    text = "  ".join(parts)
    return [text] if cells(text) < style.width else [line for part in parts for line in wrap(part, style.width - 1)]


def warnings(document: Document, style: Style) -> list[str]:
    lines: list[str] = []
    for text in document.get("warnings") or ():
        parts = wrap(style.plain(harmless(text)), style.width - 10)
        lines.append(f"{style.paint('warning', 'warning')}: {parts[0]}")
        lines += ["         " + part for part in parts[1:]]
    return lines


def set_aside(document: Document, style: Style, short: str) -> list[str]:
    """What attempts without success left, where it lies, and how to get it back: a line for each stage."""
    by_stage: dict[str, list[Mapping[str, Any]]] = {}
    for each in document.get("set_aside") or ():
        by_stage.setdefault(each["stage"], []).append(each)
    lines: list[str] = []
    for stage, files in by_stage.items():
        first = files[0]
        folder = first["at"].removesuffix(first["path"]).rstrip("/").rpartition("/")[0]
        more = "; more files lie there" if document.get("set_aside_left_out") else ""
        what = f"{plural(len(files), 'file')} ({size(sum(each['bytes'] for each in files))}) of {stage}"
        text = f"set aside: {what} in {folder}{more}; to put them back: stagebook cache restore "
        lines += _wrapped(harmless(f"{text}{failure.quoted(stage)} --set-aside {short}"), style)
    return lines


def closing(document: Document, style: Style, short: str) -> list[str]:
    """The last line: what it came to, and which run took how long."""
    said = verdict(document, short)
    name = harmless(document["pipeline"])
    took = f"Run {short} took {span(document['wall_s'])}." if document["wall_s"] is not None else f"Run {short}."
    lines = _wrapped(f"{name} {said}. {took}", style)
    if len(lines) > 1:  # what it came to stays the last thing said
        lines = [*_wrapped(took, style), *_wrapped(f"{name} {said}.", style)]
    outcome = document["outcome"]
    token = "success" if outcome == "success" else "mute" if outcome in (None, "cancellation") else "failure"
    lines = [style.paint(line, token) for line in lines]
    if document.get("see"):
        lines.append(style.plain(f"see it: stagebook timeline last{document['from_here']['look']}"))
    return _ways_on(document, style, short) + lines


def _ways_on(document: Document, style: Style, short: str) -> list[str]:
    """Commands that go on with a run that can go on: a signal stopped it, it met an error, its engine is gone
    or a person has to say whether a stage is done or runs again."""
    outcome = document["outcome"]
    asked = [stage for stage in document["stages"] if shapes.state_of(stage) == "person"]
    if outcome is None and (gates := gate.open_gates(document)):
        return _cards(document, gates, style, short)
    look = (document.get("from_here") or {}).get("look", "")
    if outcome is None and asked and document.get("state") != "running":
        name = failure.quoted(asked[0]["stage"])
        words = ("again",) if "items" in asked[0] else ("again", "done")  # some of its items have not even begun
        commands = [f"{word:5}  stagebook run --resume {short} --{word} {name}{look}" for word in words]
    elif _can_go_on(document):
        commands = [f"go on  stagebook run --resume {short}{look}"]
    else:
        return []
    return ["  " + part for text in commands for part in wrap(style.plain(text), style.width - 3)]


def _cards(document: Document, gates: list[Mapping[str, Any]], style: Style, short: str) -> list[str]:
    """What waits for a person, and how to answer."""
    now_us = time.time_ns() // 1000
    look = (document.get("from_here") or {}).get("look", "")
    return [line for stage in gates for line in ["", *gate.card(stage, style, short, now_us, look)]] + [""]


def _can_go_on(document: Document) -> bool:
    outcome = document["outcome"]
    if document.get("imported"):
        return False
    if outcome is None:
        return document.get("state") != "running"
    if outcome == "error":
        return document.get("reason") != "timeout" and not document.get("measured")
    return outcome == "cancellation" and "SIG" in (document.get("reason") or "")


def verdict(document: Document, short: str) -> str:
    outcome = document["outcome"]
    failed = failure.failures(document)
    if outcome is None:
        return _open_verdict(document)
    if outcome == "success":
        return _tolerant_verdict(document, failed) if failed else _clean_verdict(document)
    verb = words.VERBS.get(outcome, str(outcome))
    reason = harmless(document.get("reason") or "")
    if outcome == "cancellation":
        return reason if reason.startswith("cancelled") else f"{verb}: {reason}" if reason else verb
    counting = [stage for stage in failed if not stage.get("tolerated")]
    if not counting:
        return f"{verb}: {reason}" if reason else verb
    more = f", and {len(counting) - 1} more" if len(counting) > 1 else ""
    return f"{verb}: {harmless(counting[0]['stage'])}, {failure.how(counting[0])}{more}"


def _open_verdict(document: Document) -> str:
    stages = document["stages"]
    asked = next((stage for stage in stages if shapes.state_of(stage) == "person"), None)
    if asked is not None:
        last = asked["attempts"][-1]
        how = "was interrupted" if last["reason"] == "interrupted" else f"ran before ({last['outcome']})"
        return f"waits for you: {harmless(asked['stage'])} {how} and is not retry-safe"
    gates = gate.open_gates(document)
    if gates and document.get("state") != "running":
        return gate.verdict(gates)
    if document.get("state") != "interrupted":
        return "is not over"
    cut_off = sum(1 for stage in stages if shapes.state_of(stage) == "interrupted")
    return "was interrupted" + (f": its engine is gone, {plural(cut_off, 'stage')} had no end" if cut_off else "")


def _clean_verdict(document: Document) -> str:
    stages = document["stages"]
    if stages and all(stage["outcome"] == "skip" for stage in stages):
        return f"passed, {plural(len(stages), 'stage')} skipped"
    flaky = sum(1 for stage in stages if stage["flaky"])
    return "passed" + (f", {flaky} flaky" if flaky else "")


def _tolerant_verdict(document: Document, failed: list[Mapping[str, Any]]) -> str:
    """It passed although stages failed: those off the critical path, and those whose failure was allowed."""
    off = [stage for stage in failed if document.get("policy") == "lenient" and not stage.get("critical")]
    allowed = [stage for stage in failed if stage not in off]
    parts = []
    for some, what, where in ((off, "failure", " off the critical path"), (allowed, "allowed failure", "")):
        if some:
            names = ", ".join(harmless(stage["stage"]) for stage in some[:5])
            names += f" and {len(some) - 5} more" if len(some) > 5 else ""
            parts.append(f"{plural(len(some), what)}{where}: {names}")
    return "passed with " + ", and ".join(parts)
