"""Several runs as one SVG picture: that of each, below each other, on one time scale."""

from __future__ import annotations

from stagebook.report import beside
from stagebook.report.export import svg

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence, TypeAlias

Document: TypeAlias = "Mapping[str, Any]"


def render(documents: Sequence[Document], shorts: Sequence[str], has_style: bool = True) -> list[str]:
    """The whole picture, a line an element; without its style where the page that it goes into has it."""
    pictures = [svg.Picture(document, None) for document in documents]
    told = beside.compared(documents, shorts)
    total_us, begin = max(each.total_us for each in pictures), max(each.begin for each in pictures)
    body: list[str] = []
    height = 0.0
    for index, (picture, one) in enumerate(zip(pictures, told)):
        picture.total_us, picture.begin = total_us, begin
        picture.verdict = f"{one.short}: {one.said()}"
        picture.id += f"-{index}"  # the same run may be there twice
        body += [f'<g transform="translate(0 {height:g})">', *picture.lines(), "</g>"]
        height += round(picture.y) + 8
    title = "; ".join(f"{one.short}: {one.said()}" for one in told)
    said = " ".join(picture.said() for picture in pictures)
    id = "-".join([pictures[0].id, "beside"])
    return [line + "\n" for line in svg.around(body, round(height), id, title, said, has_style)]
