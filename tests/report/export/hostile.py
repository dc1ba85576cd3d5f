"""Names that are meant to break out of every format, in one run that says each of them wherever a text may stand."""

from __future__ import annotations

from typing import Any

from tests.report import documents

NAMES = (
    "a\"b'c", "</script><script>alert(1)</script>", "</title></svg><image href=//evil>",
    "<b onload=x>&amp;", "<!--", "]]>",
    "\x1b[31mred\x07\n\tx\r\x00", "\u202egnp.exe", "\ufeff\ufffe\udc80", "x" * 10_000, "日本語 ﬂ°°60¶ß #60;img#62;",
    "=cmd|'/c calc'!A0",
    "+1", "-1", "@sum(1)", "\t=1", "\r=1", " =1", "＝1", "a,b\"c", "a;=1", "a\"; -1", "GH-12",
    "a|b`c``d", "a\\|b\\", "```", "[l](http://e.com) https://e.com www.e.com @octocat #12",
    "![i](x)", "*b* _i_ ~s~ $m$",
    "section x", "gantt", "title y", "click a", "a:b;c#d", "2001-01-01",
    '%%{init: {"theme":"dark"}}%%', "---", "done, crit",
)  # fmt: skip


def run() -> dict[str, Any]:
    """A third of the stages fail, each waited for a pool of its own name, and some are skipped for another one."""
    stages = []
    for index, name in enumerate(NAMES, 1):
        failed = {"outcome": "failure", "exit": 1} if index % 3 == 0 else {}
        begun = documents.attempt(index, index + 3, wait=1, waited=f"pool:{name}", reason=name, log=name, **failed)  # type: ignore[arg-type]
        stages.append(documents.stage(name, begun, reason=name))
    stages += documents.skipped(*[(f"{name} later", f"needs {name} (failure)") for name in NAMES])
    return documents.run(
        stages, 60.0, outcome="failure", pipeline="".join(NAMES), critical_path=[*NAMES[:12]], warnings=[*NAMES],
        waiting_by={f"pool:{name}": 1.0 for name in NAMES}, effective_parallel={"stages": 2.0, "cpu": None},
        policy="lenient", critical_planned=[*NAMES], critical_by=NAMES[2], bound_by=f"pool:{NAMES[1]}",
    )  # fmt: skip
