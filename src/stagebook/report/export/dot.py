"""A map as a DOT graph, for Graphviz and what else reads it: every stage a node, nothing folded.

Names go in as quoted text with all that DOT gives a meaning to escaped; nodes are numbered: no name is an identifier.
"""

from __future__ import annotations

from stagebook.report.durations import span
from stagebook.report.harmless import cut, harmless
from stagebook.report.map_fold import Arrow, Node, fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

_NAME_MAX = 80
_INK = {"added": "#15756F", "removed": "#9A2710", "changed": "#966108"}
_SIGN = {"added": "+ ", "removed": "- ", "changed": "~ ", "": ""}


def render(document: Mapping[str, Any]) -> str:
    """The graph of a `map` document. The critical path is bold, needless order dashed in amber; with a difference what
    was added is green, what was removed red and dashed, what changed amber, each with its sign."""
    folded = fold(document, None, matrices=False)
    lines = [
        f"digraph {_quoted(document['pipeline'])} {{",
        "  rankdir=LR;",
        '  node [shape=box, style=rounded, fontname="Inter, sans-serif", fontsize=11];',
        '  edge [color="#8C8880", fontname="Inter, sans-serif", fontsize=9];',
    ]
    lines += [f"  n{number} [{_of_node(node)}];" for number, node in enumerate(folded.nodes)]
    levels: dict[int, list[int]] = {}
    for number, node in enumerate(folded.nodes):
        levels.setdefault(node.level, []).append(number)
    for _, numbers in sorted(levels.items()):
        if len(numbers) > 1:
            lines.append(f"  {{ rank=same; {' '.join(f'n{number};' for number in numbers)} }}")
    lines += [f"  n{arrow.start} -> n{arrow.end}{_of_arrow(arrow)};" for arrow in folded.arrows]
    return "\n".join([*lines, "}"]) + "\n"


def _of_node(node: Node) -> str:
    text = _SIGN[node.change] + cut(harmless(node.name), _NAME_MAX)
    small = "gate" if node.kind == "gate" else span(node.took_s) if node.took_s is not None else ""
    small = " ".join([small, *(f"[{number}]" for number in node.numbers)]).strip()
    said = [f'label="{_escaped(text)}{chr(92) + "n" + _escaped(small) if small else ""}"']
    if node.kind == "gate":
        said.append("shape=octagon")
    if node.critical:
        said.append("penwidth=2")
    if node.change:
        dashed = ', style="rounded,dashed"' if node.change == "removed" else ""
        said.append(f'color="{_INK[node.change]}", fontcolor="{_INK[node.change]}"{dashed}')
    return ", ".join(said)


def _of_arrow(arrow: Arrow) -> str:
    said = []
    if arrow.change:
        said.append(f'color="{_INK[arrow.change]}", fontcolor="{_INK[arrow.change]}"')
        if arrow.change == "removed":
            said.append("style=dashed")
    elif arrow.needless:
        said.append(f'color="{_INK["changed"]}", style=dashed')
    elif arrow.critical:
        said.append('color="#1B1F24"')
    if arrow.critical:
        said.append("penwidth=2")
    label = _SIGN[arrow.change].strip() + (f" {cut(harmless(arrow.via), _NAME_MAX)}" if arrow.via else "")
    if label.strip():
        said.append(f'label="{_escaped(label.strip())}"')
    return f" [{', '.join(said)}]" if said else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _quoted(text: str) -> str:
    return f'"{_escaped(cut(harmless(text), _NAME_MAX))}"'
