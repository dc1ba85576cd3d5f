"""What a message says: title, text, and the same as members for programs. Pure: a run's document goes in.

What stages printed and are called has passed the mask of the run's secrets before it comes here; `harmless` sees to it
that nothing of it acts where it is read.
"""

from __future__ import annotations

from stagebook.model.value import NamedTuple
from stagebook.report import failure, summary
from stagebook.report.durations import plural, span
from stagebook.report.failure import quoted
from stagebook.report.harmless import harmless
from stagebook.report.style import GLYPHS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence, TypeAlias

    Document: TypeAlias = "Mapping[str, Any]"

TITLE_MAX = 160
LINE_MAX = 200
LINES_MAX = 10  #: of what a stage printed
BODIES_MAX = 3  #: failed stages that are told with what they printed
NAMES_MAX = 8


class Occasion(NamedTuple):
    """What is to be told. `event` is a word of `on`; `about` is `run` (at its end), `stage` (while it goes on), `gone`
    (its engine is), `risk` or `late`. Each is told once: `key` is what it is told from others by."""

    event: str
    about: str = "run"
    stages: tuple[str, ...] = ()
    more: Mapping[str, Any] = {}

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """One for each stage, or for the run as a whole."""
        if self.about in ("gone", "risk", "late"):
            return ((self.event, f"\0{self.about}"),)
        return tuple((self.event, stage) for stage in self.stages) or ((self.event, ""),)


class Past(NamedTuple):
    """How a stage did in earlier runs of the file, newest first: its outcomes, and those on the same commit."""

    outcomes: tuple[str, ...] = ()
    same_commit: tuple[str, ...] = ()
    flaky: int = 0  #: in how many it passed on a later attempt only


class Facts(NamedTuple):
    """What beside the document goes into a message. `tails` are the last lines of stages, `before` the run before
    (id, outcome), `failing` how many runs in a row had failed before this one, `since` the first of them."""

    document: Document
    branch: str | None = None
    commit: str | None = None
    host: str = ""
    folder: str = ""
    option: str = ""  #: what a command needs to find the run from that folder
    tails: Mapping[str, Sequence[str]] = {}
    pasts: Mapping[str, Past] = {}
    before: tuple[str, str] | None = None
    failing: int = 0
    since: str | None = None


class Message(NamedTuple):
    """`facts` are members of JSON."""

    title: str
    body: str
    facts: Mapping[str, Any]

    @property
    def type(self) -> str:
        """Apprise's word for how bad it is."""
        return {"failure": "failure", "dead-letter": "failure", "recovery": "success", "success": "success"}.get(
            str(self.facts["event"]), "warning"
        )


def compose(occasion: Occasion, facts: Facts) -> Message:
    """The message that tells of an occasion."""
    title, parts = _TEXTS[occasion.event](occasion, facts)
    title = _cut(title, TITLE_MAX)
    body = "\n\n".join("\n".join(part) for part in (*parts, _where(occasion, facts)) if part)
    return Message(title, body, _members(occasion, facts, title, body))


def trial(pipeline: str, name: str, host: str) -> Message:
    """What `notify test` sends: marked, so that nobody takes it for news."""
    title = f"test: Stagebook can reach you about {harmless(pipeline)}"
    sent = f"sent by `stagebook notify test` on {harmless(host)}"
    body = f"This is a test message to {harmless(name)}, {sent}. No run failed."
    members = {"event": "test", "test": True, "pipeline": pipeline, "target": name, "host": host}
    return Message(_cut(title, TITLE_MAX), body, {**members, "title": title, "body": body})


def more_message(pipeline: str, titles: Sequence[str], limit: int, host: str) -> Message:
    """What stands for all that an hour had no room for."""
    title = f"{len(titles)} more messages about {harmless(pipeline)} were not sent"
    lines = [f"More than {limit} messages in an hour; these were left out:", *[f"- {one}" for one in titles[:20]]]
    if len(titles) > 20:
        lines.append(f"- and {len(titles) - 20} more")
    lines += ["", f"on {harmless(host)}: stagebook runs"]
    body = "\n".join(lines)
    return Message(title, body, {"event": "more", "pipeline": pipeline, "titles": list(titles), "title": title,
                                 "body": body})  # fmt: skip


# One text an event ------------------------------------------------------------------------------------------------


def _failure(occasion: Occasion, facts: Facts) -> tuple[str, list[list[str]]]:
    document = facts.document
    by_id = {one["stage"]: one for one in document["stages"]}
    failed = [by_id[name] for name in occasion.stages if name in by_id]
    parts = [_stage(stage, facts) for stage in failed[:BODIES_MAX]]
    rest = failed[BODIES_MAX:]
    if rest:
        names = [f"{harmless(one['stage'])} ({failure.how(one)})" for one in rest]
        parts.append([f"also failed: {_listed(names)}"])
    if occasion.about == "stage":
        first = f"{harmless(failed[0]['stage'])} failed, {failure.how(failed[0])}" if failed else "a stage failed"
        more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
        now = "waits for a person" if document.get("state") == "waiting" else "goes on"
        return f"{_glyph('failure')} {_name(document)}: {first}{more}; the run {now}", parts
    skipped = sum(one["outcome"] == "skip" for one in document["stages"])
    if skipped and document["outcome"] is not None:
        parts.append([f"{plural(skipped, 'stage')} skipped"])
    glyph = _glyph(str(document["outcome"] or "error"))
    return f"{glyph} {_name(document)} {summary.verdict(document, str(document['run']))}", parts


def _recovery(occasion: Occasion, facts: Facts) -> tuple[str, list[list[str]]]:
    times = f" after {plural(facts.failing, 'failed run')}" if facts.failing else ""
    since = f", the first of them {_minute(facts.since)}" if facts.since and facts.failing > 1 else ""
    mended = [f"{harmless(name)} passes again" for name in occasion.stages[:NAMES_MAX]]
    left = [harmless(name) for name in occasion.more.get("left", ())]
    who = _name(facts.document)
    if left:
        mended.append(f"not run since it failed: {_listed(left)}")
        who += f": {_listed([harmless(name) for name in occasion.stages])}"
    passes = "pass" if left and len(occasion.stages) > 1 else "passes"
    return f"{_glyph('success')} {who} {passes} again{times}{since}", [mended]


def _success(occasion: Occasion, facts: Facts) -> tuple[str, list[list[str]]]:
    document = facts.document
    return f"{_glyph('success')} {_name(document)} {summary.verdict(document, str(document['run']))}", []


def _cancel(occasion: Occasion, facts: Facts) -> tuple[str, list[list[str]]]:
    document = facts.document
    return f"{_glyph('cancellation')} {_name(document)} {summary.verdict(document, str(document['run']))}", []


def _gate(occasion: Occasion, facts: Facts) -> tuple[str, list[list[str]]]:
    asked = occasion.more
    name = harmless(occasion.stages[0]) if occasion.stages else "a gate"
    prompt = harmless(str(asked.get("prompt") or "")).strip()
    lines = [prompt] if prompt else []
    lines += [
        harmless(f"warned: {one['stage']}: {one['warning']}") for one in (asked.get("warnings") or ())[:NAMES_MAX]
    ]
    needed = asked.get("quorum") or 1
    if isinstance(needed, int) and needed > 1:
        lines.append(f"needs {needed} approvals")
    if asked.get("approvers"):
        lines.append(f"who may answer: {_listed([harmless(str(one)) for one in asked['approvers']])}")
    default = harmless(str(asked.get("default", "reject")))
    if asked.get("expires"):
        lines.append(f"without an answer by {_minute(str(asked['expires']))}: {default}")
    elif asked.get("timeout_s"):
        lines.append(f"without an answer in {span(asked['timeout_s'])}: {default}")
    said = f": {prompt}" if prompt else ""
    return f"{_glyph('gate')} {_name(facts.document)} waits for you: {name}{said}", [lines]


def _sla(occasion: Occasion, facts: Facts) -> tuple[str, list[list[str]]]:
    more = occasion.more
    name, sla = _name(facts.document), span(more["sla_s"])
    running = [harmless(one["stage"]) for one in facts.document["stages"] if one["outcome"] is None and one["attempts"]]
    lines = [f"running: {_listed(running)}"] if running else []
    if occasion.about == "late":
        return f"{_glyph('timeout')} {name} is late: it should have been over in {sla}", [lines]
    lines.insert(0, f"{span(more['gone_s'])} gone, ~{span(more['rest_s'])} to go at least, by what stages took before")
    return f"{_glyph('timeout')} {name} may miss its time: {sla}", [lines]


def _dead(occasion: Occasion, facts: Facts) -> tuple[str, list[list[str]]]:
    name = harmless(occasion.stages[0]) if occasion.stages else "a stage"
    count = occasion.more.get("count") or 1
    steps = next((one.get("steps", ()) for one in facts.document["stages"] if one["stage"] in occasion.stages), ())
    dead = (occasion.more.get("items") or ())[:NAMES_MAX]
    lines = [f"- {_cut(harmless(_item(one, steps)), LINE_MAX)}" for one in dead]
    return f"{_glyph('failure')} {_name(facts.document)}: {plural(count, 'item')} of {name} could not be done", [lines]


def _item(record: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> str:
    """`in/17.txt (item 17), transcode: exit 1`."""
    at, number = record["step"], f"item {record['item']}"
    text = number if record.get("text") in (None, str(record["item"])) else f"{record['text']} ({number})"
    step = str(steps[at]["step"]).rpartition(".")[2] if at < len(steps) else f"step {at + 1}"
    why = record.get("reason") or ("" if record.get("exit") is None else f"exit {record['exit']}")
    return f"{text}, {step}: {why or record['outcome']}"


_TEXTS = {
    "failure": _failure, "recovery": _recovery, "success": _success, "cancel": _cancel, "gate": _gate,
    "sla-risk": _sla, "dead-letter": _dead,
}  # fmt: skip


# Parts ------------------------------------------------------------------------------------------------------------


def _stage(stage: Mapping[str, Any], facts: Facts) -> list[str]:
    """How one failed, the end of what it printed, and whether it does that often."""
    attempts = stage["attempts"]
    text = f"{harmless(stage['stage'])}: {failure.how(stage)}"
    if stage.get("wall_s") is not None:
        text += f" after {span(stage['wall_s'])}"
    if len(attempts) > 1:
        text += f", attempt {len(attempts)}"
    lines = [text]
    lines += [f"  | {_cut(one, LINE_MAX)}" for one in list(facts.tails.get(stage["stage"], ()))[-LINES_MAX:]]
    lines += said_of_past(facts.pasts.get(stage["stage"]))
    return lines


def said_of_past(past: Past | None) -> list[str]:
    """Whether a stage that failed now does so often: a sentence, or none where nothing is known."""
    if past is None or not past.outcomes:
        return []
    good = past.same_commit.count("success")
    if good:
        return [f"flaky: on this commit it passed {_times(good)} before"]
    passed = past.outcomes.count("success")
    runs = len(past.outcomes)
    if past.flaky:
        return [f"flaky: in {past.flaky} of the last {plural(runs, 'run')} it passed on a later attempt only"]
    row = next((at for at, outcome in enumerate(past.outcomes) if outcome == "success"), runs)
    if row:
        return [
            f"it failed in the {plural(row, 'run')} before as well" if row > 1 else "it failed in the run before too"
        ]
    if passed == runs:
        return [f"it passed in the last {plural(runs, 'run')}" if runs > 1 else "it passed in the run before"]
    return [f"it passed in {passed} of the last {plural(runs, 'run')}"]


def _where(occasion: Occasion, facts: Facts) -> list[str]:
    """Which run, where it lies, and what to type there."""
    document = facts.document
    run = str(document["run"])
    head = f"run {run}"
    if facts.branch:
        head += f", branch {harmless(facts.branch)}"
    if facts.commit:
        head += f", commit {harmless(facts.commit)[:9]}"
    if document["wall_s"] is not None:
        head += f", took {span(document['wall_s'])}"
    if facts.before is not None:
        head += f"; the run before: {harmless(facts.before[1])}"
    lines = [head, f"on {harmless(facts.host)} in {harmless(facts.folder)}:"]
    return lines + [f"  {command}{facts.option}" for command in commands(occasion, document)]


def commands(occasion: Occasion, document: Document) -> list[str]:
    """What to type to look, or to answer, most wanted first; `--dir` is added by who knows."""
    run = str(document["run"])
    name = quoted(occasion.stages[0]) if occasion.stages else ""
    look = [f"stagebook show {run}"]
    if occasion.event == "gate" and name:
        return [f"stagebook approve {run} {name}", f"stagebook reject {run} {name}", *look]
    if occasion.event == "dead-letter" and name:
        return [f"stagebook items {run} {name} --dead", *look]
    if occasion.event == "failure" and name:
        has_items = any(one["stage"] == occasion.stages[0] and "items" in one for one in document["stages"])
        look.append(f"stagebook items {run} {name} --dead" if has_items else f"stagebook logs {run} {name}")
    if occasion.about == "gone":
        look.append(f"stagebook run --resume {run}")
    return look


def _members(occasion: Occasion, facts: Facts, title: str, body: str) -> dict[str, Any]:
    document = facts.document
    by_id = {one["stage"]: one for one in document["stages"]}
    stages = []
    for name in occasion.stages:
        one = by_id.get(name)
        past = facts.pasts.get(name)
        stages.append({
            "stage": name,
            "outcome": None if one is None else one["outcome"],
            "reason": None if one is None or one["outcome"] is None else failure.how(one),
            "lines": list(facts.tails.get(name, ()))[-LINES_MAX:],
            "flaky": None if past is None else bool(past.flaky or "success" in past.same_commit),
        })  # fmt: skip
    return {
        "event": occasion.event, "about": occasion.about, "title": title, "body": body, "test": False,
        "pipeline": document["pipeline"], "run": document["run"], "outcome": document["outcome"],
        "wall_s": document["wall_s"], "started": document["started"], "stages": stages,
        "before": None if facts.before is None else {"run": facts.before[0], "outcome": facts.before[1]},
        "branch": facts.branch, "commit": facts.commit, "host": facts.host, "folder": facts.folder,
        "commands": [command + facts.option for command in commands(occasion, document)],
        **({"prompt": occasion.more.get("prompt")} if occasion.event == "gate" else {}),
    }  # fmt: skip


def _name(document: Document) -> str:
    return harmless(str(document["pipeline"]))


def _glyph(state: str) -> str:
    return GLYPHS[state][0]


def _minute(at: str) -> str:
    """`2026-07-12 09:15 UTC`, of a record's time stamp."""
    return f"{harmless(at)[:16].replace('T', ' ')} UTC"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return ", ".join(names[:NAMES_MAX]) + more


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
