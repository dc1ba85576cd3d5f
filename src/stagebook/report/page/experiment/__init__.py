"""An experiment as one HTML page that needs nothing else: no script, no fetching. All that anybody wrote goes in as
escaped text."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from pkgutil import get_data

from stagebook.report import experiment as words
from stagebook.report.durations import span, tick_label
from stagebook.report.export.experiment import runs
from stagebook.report.harmless import harmless
from stagebook.report.page.experiment import picture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping, Sequence


def render(document: Mapping[str, Any]) -> str:
    style = _part("page.css")
    digest = b64encode(sha256(style.encode()).digest()).decode()
    verdict = _text(document["verdict"])
    left = [_every_run(document), *(_difference(document, each) for each in document["comparisons"]), _order(document)]
    right = [_predicted(document), _decision(document), _set_up(document)]
    marks = {
        "policy": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        "style": style,
        "title": f"{verdict} · {_text(document['pipeline'])}",
        "pipeline": _text(document["pipeline"]),
        "verdict": verdict,
        "sub": _text(f"{words.about(document)}. Rule, fixed beforehand: {words.RULE}."),
        "left": "".join(left),
        "right": "".join(right),
        "runs": _table("Every run, in order", *runs(document), "runs"),
    }
    first, *rest = _part("page.html").split("@@")
    return "".join([first, *(marks[text] if at % 2 == 0 else text for at, text in enumerate(rest))])


def _part(name: str) -> str:
    data = get_data("stagebook.report.page.experiment", name)
    assert data is not None, "files of the page lie beside this module"
    return data.decode()


def _text(text: str) -> str:
    return escape(harmless(text))


def _card(title: str, caption: str, body: str) -> str:
    told = f'<span class="cap">{caption}</span>' if caption else ""
    return f'<section class="card"><div class="hd"><h2>{_text(title)}</h2>{told}</div>{body}</section>'


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    cells = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in head)
    lines = "".join(
        f'<tr><th scope="row">{_text(row[0])}</th>' + "".join(f"<td>{_text(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    body = f"<table{f' class={kind}' if kind else ''}><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"
    return _card(title, "", f'<div class="wide">{body}</div>')


def _counted(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [run for run in document["runs"] if run["kind"] == "pair"]


def _every_run(document: Mapping[str, Any]) -> str:
    told = _counted(document)
    if not told:
        return _card("Every run", "", '<p class="d">No run has been counted yet.</p>')
    rows = [
        picture.Row(
            _text(arm["name"]),
            [(run["wall_s"], run["outcome"] == "success") for run in told if run["arm"] == arm["name"]],
            arm["median_s"],
            _text(f"median {span(arm['median_s'])}") if arm["median_s"] is not None else "no run passed",
        )
        for arm in document["arms"]
    ]
    return _card("Every run", 'time per run · <span class="f">✕</span> failed', picture.dots(rows, _ticks(told)))


def _ticks(told: Sequence[Mapping[str, Any]]) -> list[tuple[float, str]]:
    """Where lines stand in a picture of times, in seconds, from 0 on."""
    from stagebook.report.durations import _STEPS_US

    most_us = max(run["wall_s"] for run in told) * 1e6
    step = next((step for step in _STEPS_US if most_us / step <= 5), _STEPS_US[-1])
    return [(0.0, "0"), *((at / 1e6, tick_label(at)) for at in range(step, int(most_us) + 1, step))]


def _difference(document: Mapping[str, Any], each: Mapping[str, Any]) -> str:
    head = ("measure", each["over"], each["arm"], "difference", "what it says")
    rows = words.differs(document, each)
    cells = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in head)
    lines = "".join(
        f'<tr><th scope="row">{_text(name)}</th><td>{_text(first)}</td><td>{_text(second)}</td>'
        f"<td>{_text(apart)}</td><td>{_text(says)}</td></tr>"
        for name, first, second, apart, says in rows
    )
    drawn = [("time", each["ratio"]), *((name, each["resources"].get(key)) for key, name, _ in words.RESOURCES)]
    known = [(name, found) for name, found in drawn if found is not None]
    confidence = f"{each['failure_rate']['confidence'] * 100:.4g} % intervals"
    body = f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div>'
    if known:
        body += picture.intervals([(_text(name), found) for name, found in known], _text(f"same as {each['over']}"))
    return _card("What differs", confidence, body)


def _order(document: Mapping[str, Any]) -> str:
    told = _counted(document)
    if not told:
        return ""
    names = [arm["name"] for arm in document["arms"]]
    keys = " &nbsp;".join(f'<i class="key {picture.tint(at)}"></i>{_text(name)}' for at, name in enumerate(names))
    bars = [
        (names.index(run["arm"]), run["wall_s"], _text(f"run {at}, {run['arm']}: {span(run['wall_s'])}"))
        for at, run in enumerate(told, start=1)
    ]
    drift = document["drift"]
    said = "" if drift is None else f" · {'no drift shown' if drift['p'] >= 0.05 else 'drift'} (p = {drift['p']:.2g})"
    return _card(f"Order of the {len(told)} runs", f"{keys}{said}", picture.bars(bars))


def _predicted(document: Mapping[str, Any]) -> str:
    rows = words.predicted(document)
    if not rows:
        return ""
    return _table("Predicted and observed", ("arm", "predicted", "observed", "error", "runs"), rows)


def _decision(document: Mapping[str, Any]) -> str:
    return _card("Decision", "", "".join(f"<p>{_text(sentence)}</p>" for sentence in words.decided(document)))


def _set_up(document: Mapping[str, Any]) -> str:
    rows = "".join(f"<dt>{_text(what)}</dt><dd>{_text(told)}</dd>" for what, told in words.set_up(document))
    data = f'<dt>data</dt><dd><a href="pairs.jsonl">{len(document["runs"])} runs, a line each</a></dd>'
    return _card("Set-up", "", f'<dl class="su">{rows}{data}</dl>')
