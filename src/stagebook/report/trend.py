"""How pipelines go, out of the document of `runs --trend`: how often they succeed, how long they take, what changed."""

from __future__ import annotations

from stagebook.report.durations import count as counted
from stagebook.report.durations import plural, span
from stagebook.report.harmless import harmless, wrap
from stagebook.report.stats import insufficient, share
from stagebook.report.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

BLOCKS = ("▁▂▃▄▅▆▇█", "_.-=+*%#")


def render(trends: Sequence[Mapping[str, Any]], style: Style, enough: int) -> list[str]:
    lines: list[str] = []
    for trend in trends:
        if lines:
            lines.append("")
        lines += _one(trend, style, enough)
    return lines or ["no runs on record"]


def _one(trend: Mapping[str, Any], style: Style, enough: int) -> list[str]:
    name = harmless(trend["pipeline"]) or "(no name)"
    if trend["stage"] is not None:
        name += f", {harmless(trend['stage'])}"
    runs = plural(trend["runs"], "run") if trend["runs"] == 1 else f"{counted(trend['runs'])} runs"
    said = f"{name}: {runs}, {share(trend['success'], 'succeeded')}"
    if trend["parts"]:
        said += f"; {plural(trend['parts'], 'run')} of a part left out"
    head = wrap(style.plain(said), style.width - 1)
    lines = [style.paint(line, "bold") for line in head]
    wall = trend["wall_s"]
    if wall["median"] is None:
        said = insufficient(wall["n"], enough)
    else:
        said = f"median {span(wall['median'])}, p95 {span(wall['p95'])}"
    lines.append(style.plain(f"  wall    {said}"))
    if trend["lately"]:
        lines.append(f"  lately  {spark(trend['lately'], style)}")
        said = _words(trend["change"], len(trend["lately"]), style.plain)
        lines += ["          " + line for line in wrap(said, style.width - 11)]
    return lines


def spark(lately: Sequence[Mapping[str, Any]], style: Style) -> str:
    """One cell a run, oldest first: as high as it took long, from the shortest to the longest; what failed has its
    own sign."""
    blocks = BLOCKS[style.ascii]
    walls = [run["wall_s"] for run in lately if run["outcome"] == "success" and run["wall_s"] is not None]
    low, high = min(walls, default=0.0), max(walls, default=0.0)
    drawn = []
    for run in lately:
        if run["outcome"] != "success" or run["wall_s"] is None:
            drawn.append(style.paint("x" if style.ascii else "✗", "failure"))
            continue
        # A spread below a tenth of the longest is not worth a picture of mountains.
        reach = max(high - low, 0.1 * high)
        drawn.append(blocks[min(7, int((run["wall_s"] - low) / reach * 8)) if reach else 0])
    return "".join(drawn)


def _words(change: Mapping[str, Any], number: int, plain: Any) -> str:
    """What changed from the earlier half of these runs to the later one, and how that is known."""
    before, after = change["before"], change["after"]
    old, new = before["wall_s"]["median"], after["wall_s"]["median"]
    sizes = f"{before['wall_s']['n']} and {after['wall_s']['n']} successes"
    if change["ran"] is not None:
        sizes += f" in which {plural(change['ran'], 'stage')} ran"
    if change["wall"] is None or old is None or new is None:
        wall = "too few runs to say whether it changes"
    elif change["wall"] == "none shown":
        wall = f"no difference shown between its halves ({sizes})"
    else:
        word = "slower" if change["wall"] == "more" else "faster"
        wall = f"{word}: median {span(new)} instead of {span(old)}, {new / old:.2f}× ({sizes})"
    failed = f"{after['failed']} of {after['runs']} failed, {before['failed']} of {before['runs']} before"
    if change["failures"] in ("more", "less"):
        failed = f"{change['failures']} failures: {failed}"
    told = f"last {plural(number, 'run')}: {wall}"
    if before["failed"] or after["failed"]:
        told += f"; {failed}"
    text: str = plain(told)
    return text
