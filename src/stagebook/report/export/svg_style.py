"""How the SVG looks: colours for light and dark, and the marks of states. No layout, and no text of anybody's.

Plain rules instead of variables, as not all that draws SVG knows those.
"""

from __future__ import annotations

LIGHT = {
    "ground": "#FAF9F6", "ink": "#1B1F24", "dim": "#565D66", "edge": "#8C8880", "line": "#E3E0D9", "ok": "#3F8E87",
    "tick": "#15756F", "run": "#173F9E", "bad": "#9A2710", "tint": "#FBEDE8", "err": "#5E2650", "gate": "#7A52C6",
    "try": "#966108", "stop": "#5F6975",
}  # fmt: skip
DARK = {
    "ground": "#0F1317", "ink": "#E8EAED", "dim": "#A3ACB6", "edge": "#6B7683", "line": "#2A323B", "ok": "#2B8A81",
    "tick": "#4BD9CC", "run": "#8DB4FF", "bad": "#F75B3D", "tint": "#2B1916", "err": "#D98BBA", "gate": "#9678F2",
    "try": "#EFB65B", "stop": "#929DAA",
}  # fmt: skip
_SHAPES = (
    ("", "font-family:Inter,system-ui,sans-serif;font-size:12.5px;font-variant-numeric:tabular-nums"),
    (".h", "font-size:19px;font-weight:600"),
    (".b", "font-weight:600"),
    (".s", "font-size:11px"),
    (".m", "text-anchor:middle"),
    (".e", "text-anchor:end"),
    (".n", "stroke-width:3;paint-order:stroke"),  # a note: the ground around its letters parts it from lines below
    (".none", "fill:none;pointer-events:all"),
    (".try", "fill:none;stroke-width:1.5"),
    (".stop", "fill:none;stroke-width:1.5"),
    (".hatch", "stroke-width:1.6"),
    (".chain", "stroke-width:2"),
    (".open", "stroke-width:1.5;stroke-dasharray:3 2"),
    (".gate", "fill:none;stroke-width:1.8"),
    (".steps", "opacity:.55"),
    (".l", "fill:none;stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round"),
)
#: which colour fills, and which strokes
_FILL = {
    "ground": ".ground", "ink": "text .ink", "dim": ".d", "ok": ".ok .steps", "run": ".run", "bad": ".bad .bad-t",
    "err": ".err", "tint": ".tint",
}  # fmt: skip
_STROKE = {
    "ground": ".n .l-ground", "line": ".line", "edge": ".wait .hatch", "ink": ".chain", "run": ".open .l-run",
    "try": ".try .l-try", "stop": ".stop .l-stop", "tick": ".l-ok", "bad": ".l-bad", "gate": ".gate .l-gate",
}  # fmt: skip


def _colours(theme: dict[str, str]) -> str:
    return "".join(
        f"{','.join('.stagebook ' + one for one in selectors.split())}{{{what}:{theme[token]}}}"
        for what, table in (("fill", _FILL), ("stroke", _STROKE))
        for token, selectors in table.items()
    )


STYLE = (
    "".join(f".stagebook{' ' * bool(one)}{one}{{{rule}}}" for one, rule in _SHAPES)
    + _colours(LIGHT)
    + f"@media(prefers-color-scheme:dark){{{_colours(DARK)}}}"
)

_CIRCLE = "M7 1.4a5.6 5.6 0 1 0 0 11.2a5.6 5.6 0 1 0 0-11.2"
#: state: its paths of 14 × 14, each with its style
_GLYPHS = {
    "success": '<path class="l l-ok" d="M2.5 7.5 5.6 10.6 11.5 3.8"/>',
    "flaky": '<path class="l l-try" d="M1.5 5.4c1.8-2 3.4-2 5.5 0s3.7 2 5.5 0M1.5 9.6c1.8-2 3.4-2 5.5 0s3.7 2 5.5 0"/>',
    "failure": '<rect class="bad" width="14" height="14" rx="3.5"/>'
    '<path class="l l-ground" d="m4.2 4.2 5.6 5.6m0-5.6-5.6 5.6"/>',
    "error": '<path class="err" d="M7 0l7 7-7 7-7-7z"/><path class="l l-ground" d="M7 3.6v4.2m0 2.1v.2"/>',
    "timeout": f'<path class="l l-bad" d="{_CIRCLE}M7 3.6V7l2.4 1.6"/>',
    "cancellation": f'<path class="l l-stop" d="{_CIRCLE}M3.2 10.8 10.8 3.2"/>',
    "skip": '<path class="l l-stop" d="m2.5 3.5 3.8 3.5-3.8 3.5M7.5 3.5 11.3 7l-3.8 3.5"/>',
    "running": f'<path class="l l-run" d="{_CIRCLE}"/><circle class="run" cx="7" cy="7" r="2.2"/>',
    "slot": f'<path class="l l-stop" stroke-dasharray=".2 3.2" d="{_CIRCLE}"/>',
    "gate": '<path class="l l-gate" d="M2 1h10v12h-10zM5.2 4.2v5.6m3.6-5.6v5.6"/>',
}
_GLYPHS["interrupted"] = _GLYPHS["error"]
_GLYPHS["person"] = _GLYPHS["gate"]
_GLYPHS["needs"] = _GLYPHS["slot"]


def glyph(state: str, x: float, y: float) -> str:
    return f'<g transform="translate({x:g} {y:g})">{_GLYPHS[state]}</g>'
