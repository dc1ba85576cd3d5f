"""`stagebook audit`: who decided at gates and what was refused, and whether that record is as it was written."""

from __future__ import annotations

import os
import sys

from stagebook.cli import output, place
from stagebook.model.problem import FAILED, OK, InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from stagebook.approval.audit import Chain
    from stagebook.approval.votes import Journals

EXAMPLE = """
stagebook audit
stagebook audit --verify
stagebook audit --run last --json"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--run", metavar="RUN", help="entries of this run only")
    parser.add_argument(
        "--verify", action="store_true", help="hold the votes in all journals against the chain: none may be missing"
    )


def execute(args: Namespace) -> int:
    """0; 1 where the chain does not hold, or with `--verify` a journal has a vote that the chain lacks."""
    from stagebook.approval import audit, votes

    state = place.state_directory(args)
    if not os.path.exists(audit.path_of(state)):
        below = [path for path in place.runs_below(args, args.run) if os.path.exists(audit.path_of(path))]
        place.one_of(args, below, "decisions are on record")
        state = place.state_directory(args)
    # Journals first: a vote that comes meanwhile is in the chain before it is in its journal.
    found = votes.of_runs(state) if args.verify else votes.Journals([], [], [])
    chain = audit.read(state)
    lacking = set() if chain.fault else set(audit.missing(chain, [vote.audit for vote in found.votes]))
    entries = chain.entries if args.run is None else _of_run(state, chain, args.run)
    document = {
        "path": chain.path,
        "holds": chain.fault is None and not lacking,
        "length": len(chain.entries),
        "counts": _counts(chain.entries),
        "fault": None if chain.fault is None else chain.fault._asdict(),
        "torn_bytes": chain.torn_bytes,
        "last": chain.entries[-1]["hash"] if chain.entries else None,
        "verified": args.verify,
        "journals": len(found.runs),
        "votes": len(found.votes),
        "missing": [
            {"run": vote.run, "gate": vote.gate, "by": vote.by, "hash": vote.audit}
            for vote in found.votes
            if vote.audit in lacking
        ],
        "uncounted": _uncounted(state, chain, found),
        "unread": found.unread,
        "entries": entries,
    }
    is_well = document["holds"] and not found.unread
    if args.json:
        output.say_json(document)
    elif not (args.quiet and is_well):
        from stagebook.report import audit as report

        style = output.style_for(sys.stdout, args)
        output.say(report.listing(document, style, args.quiet, place.short_ids(state)))
    return OK if is_well else FAILED


def _uncounted(state: str, chain: Chain, found: Journals) -> list[dict[str, Any]]:
    """Votes in the chain that no journal has: whoever gave them was ended before they counted."""
    from stagebook.approval import votes

    kept = {vote.audit for vote in found.votes}
    left = [
        entry
        for entry in chain.entries
        if entry["what"] in ("approved", "rejected") and entry.get("run") in found.runs and entry["hash"] not in kept
    ]
    if left:  # one that is in the chain may have come to its journal since
        kept = {vote.audit for vote in votes.of_runs(state, {entry["run"] for entry in left}).votes}
    return [
        {"run": entry["run"], "gate": entry.get("gate"), "by": entry.get("by"), "hash": entry["hash"]}
        for entry in left
        if entry["hash"] not in kept
    ]


def _counts(entries: list[dict[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry["what"]] = counts.get(entry["what"], 0) + 1
    return counts


def _of_run(state: str, chain: Chain, text: str) -> list[dict[str, Any]]:
    """The entries of the run that is meant, which may be removed by now: the chain outlives it."""
    from stagebook.record import runs

    known = {entry["run"] for entry in chain.entries if entry.get("run", "").startswith(text.upper())}
    if len(known) == 1 and text:
        run = known.pop()
    elif len(known) > 1:
        raise InputError(f"`{text}` is the beginning of {len(known)} runs")
    else:
        run = os.path.basename(runs.resolve(state, text))
    return [entry for entry in chain.entries if entry.get("run") == run]
