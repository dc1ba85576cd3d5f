"""What is wrong with how jobs run: shells that their machine does not have, labels that contradict each other or are
gone, commands that GitHub has given up, passwords in plain text."""

from __future__ import annotations

import re
from itertools import islice

from stagebook.formats.github.checks.names import steps_of
from stagebook.formats.github.shape import Walk
from stagebook.formats.github.values import At, place_of
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node

_SHELLS = {
    "windows": ("bash", "cmd", "powershell", "pwsh", "python"),
    "unix": ("bash", "pwsh", "python", "sh"),
    "": ("bash", "cmd", "powershell", "pwsh", "python", "sh"),
}
#: Old commands on standard output; those that GitHub does not obey any more are `gone`.
_COMMAND = re.compile(r"::(set-output|save-state|set-env|add-path)(?: name=[^:]+)?::")
_INSTEAD = {
    "set-output": 'echo "NAME=VALUE" >> "$GITHUB_OUTPUT"',
    "save-state": 'echo "NAME=VALUE" >> "$GITHUB_STATE"',
    "set-env": 'echo "NAME=VALUE" >> "$GITHUB_ENV"',
    "add-path": 'echo "PATH" >> "$GITHUB_PATH"',
}
_GONE = ("set-env", "add-path")
_HOSTED = re.compile(r"(ubuntu|windows|macos)-[a-z0-9.]+(?:-[a-z0-9]+)*")
_ACTION = re.compile(r"docker://\S*|(?:\.|\$)[/\\].*|\.|[\w-][\w. -]*[/\\][\w. -]+(?:[/\\][^@]+)?@\S+")
#: Labels of GitHub's own machines that are no more.
_RETIRED = re.compile(
    r"ubuntu-(?:16\.04|18\.04|20\.04)|windows-(?:2016|2019)|macos-10(?:\.\d+)?|macos-1[123](?:-large|-xlarge|\.0)?"
)


def check(walk: Walk, root: Node) -> None:
    jobs = root.get("jobs")
    _shell_of(walk, root, "")
    for _, _, body in jobs.items() if jobs is not None else ():
        if body.kind != MAP:
            continue
        system = _labels(walk, body)
        _shell_of(walk, body, system)
        for step in steps_of(body):
            _shell(walk, step.get("shell"), system)
            _commands(walk, step.get("run"))
            _action(walk, step.get("uses"))
        _credentials(walk, body.get("container"), "container")
        services = body.get("services")
        for name, _, service in services.items() if services is not None else ():
            _credentials(walk, service, name)


def _shell_of(walk: Walk, node: Node, system: str) -> None:
    defaults = node.get("defaults")
    run = defaults.get("run") if defaults is not None else None
    if run is not None:
        _shell(walk, run.get("shell"), system)


def _shell(walk: Walk, node: Node | None, system: str) -> None:
    if node is None or node.kind != SCALAR or not node.text or "${{" in node.text or "{0}" in node.text:
        return
    known = _SHELLS[system]
    if node.text.lower() not in known:
        where = {"windows": " on Windows", "unix": " on Linux and macOS", "": ""}[system]
        said = f"there is no shell `{shorten(node.text)}`{where}: {', '.join(known)}, or a command with {{0}}"
        walk.problem(node, "shell", said, "warning")


def _group(walk: Walk, node: Node | None) -> None:
    text = node.text if node is not None and node.kind == SCALAR else None
    if node is None or not text or "/" not in text or "${{" in text:
        return
    if not re.fullmatch(r"(?:org|organization|ent|enterprise)/[^/]+", text):
        said = f"`{shorten(text)}` is no group of runners: it is NAME, organization/NAME or enterprise/NAME"
        walk.problem(node, "label", said)


def _labels(walk: Walk, body: Node) -> str:
    """Says what is wrong with labels. `windows` or `unix`, where they tell."""
    node = body.get("runs-on")
    if node is not None and node.kind == MAP:
        _group(walk, node.get("group"))
        node = node.get("labels")
    nodes = [] if node is None else [node] if node.kind == SCALAR else list(node) if node.kind == LIST else []
    systems: dict[str, Node] = {}
    is_own = any(each.kind == SCALAR and str(each.value).lower() == "self-hosted" for each in nodes)
    for each in [] if is_own else nodes:
        text = (each.text or "").lower() if each.kind == SCALAR else ""
        if _RETIRED.fullmatch(text):
            walk.problem(each, "label", f"GitHub has no `{text}` machines any more", "warning")
        found = _HOSTED.fullmatch(text)
        if found is not None:
            other = next((label for system, label in systems.items() if system != found[1]), None)
            systems.setdefault(found[1], each)
            if other is not None:
                said = f"no machine is both `{text}` and `{shorten(str(other.value))}`; a matrix runs a job on each"
                walk.problem(each, "label", said, "warning")
    if is_own:
        systems = {word: each for each in nodes if each.kind == SCALAR for word in [str(each.value).lower()]}
        return "windows" if "windows" in systems else "unix" if systems.keys() & {"linux", "macos"} else ""
    if len(systems) != 1:
        return ""
    return "windows" if "windows" in systems else "unix"


def _commands(walk: Walk, node: Node | None) -> None:
    if node is None or node.kind != SCALAR or "::" not in str(node.value):
        return
    for found in islice(_COMMAND.finditer(str(node.value)), 100):
        line, col = place_of(walk.source, node, found.start())
        name = found[1]
        how = "does nothing any more" if name in _GONE else "is deprecated"
        said = f"the command `{name}` {how}; write {_INSTEAD[name]}"
        level = "warning" if name in _GONE else "note"
        walk.problem(At(line, col), "command", said, level)  # type: ignore[arg-type]


def _action(walk: Walk, node: Node | None) -> None:
    if node is None or node.kind != SCALAR or not node.text or "${{" in node.text:
        return
    if not _ACTION.fullmatch(node.text):
        said = f"`{shorten(node.text)}` is no action: it must be OWNER/REPO[/PATH]@REF, ./PATH or docker://IMAGE"
        walk.problem(node, "uses", said)


def _credentials(walk: Walk, node: Node | None, name: str) -> None:
    credentials = node.get("credentials") if node is not None else None
    password = credentials.get("password") if credentials is not None else None
    if password is None or password.kind != SCALAR or not password.text:
        return
    if not re.fullmatch(r"\s*\$\{\{.*\}\}\s*", password.text, re.DOTALL):
        said = f"the password of `{shorten(name)}` stands in the file; take it from `secrets`"
        walk.problem(password, "credentials", said, "warning")
