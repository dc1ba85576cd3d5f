"""What the result of a stage depends on, as a mapping, and what differs between two of those. Reads no file.

Two successes with the same key are taken to have made the same. Values of variables and parameters are there as hashes
only, and of secrets nothing but the names: what is easily guessed is easily found by its hash.
"""

from __future__ import annotations

from stagebook.artifact.digest import File
from stagebook.artifact.state import Last
from stagebook.model.pipeline import Stage

try:
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

NEVER = "never succeeded here"
NOT_ENDED = "the last attempt did not end"


def parts(
    stage: Stage,
    inputs: Sequence[File],
    environ: Mapping[str, str],
    params: Mapping[str, str],
    versions: Mapping[str, str] | None = None,
    program: File | None = None,
    outputs: Sequence[File] = (),
) -> dict[str, Any]:
    """The key of a stage, in plain values that go through JSON unchanged.

    `environ` is what the stage is given, all of it: what is declared is taken from there. `versions` are those found
    for `requires`; `program` is what is started directly. `outputs` are there as they lie now: with a key that is held
    against an earlier one; they are not part of what a result depends on.
    """
    declared = {*stage.env, *stage.env_from, *stage.env_inputs} - set(stage.secrets)
    return {
        "kind": stage.kind,
        "command": _hash(repr((stage.command, sorted(stage.cmd_from)))),
        "shell": stage.shell,
        "dir": stage.dir,
        "env": {name: _hash(environ[name]) if name in environ else None for name in sorted(declared)},
        "params": {name: _hash(value) for name, value in sorted(params.items())},
        "cell": dict(stage.cell or {}),
        "secrets": sorted(stage.secrets),
        "requires": dict(sorted((versions or {}).items())),
        "declared": sorted(output.path for output in stage.outputs),
        "program": None if program is None else [program.path, program.digest],
        "inputs": {file.path: file.word for file in inputs},
        "outputs": {file.path: file.word for file in outputs},
    }


def difference(before: Last | None, now: Mapping[str, Any]) -> list[str]:
    """Why a stage is not up to date, in words, the same for the same reasons; empty where it is."""
    if before is None or before.parts is None:
        return [NEVER] if before is None or before.ended else [NOT_ENDED]
    was = before.parts
    if before.ended and all(was.get(name) == part for name, part in now.items()):
        return []
    said = [] if before.ended else [NOT_ENDED]
    said += _files(was["inputs"], now["inputs"])
    for name, words in _WORDS.items():
        if was.get(name) != now.get(name):
            said.append(words)
    said += _named("env", was.get("env", {}), now["env"])
    said += _named("param", was.get("params", {}), now["params"])
    said += _named("matrix value", was.get("cell", {}), now["cell"])
    said += [
        f"{tool} version changed"
        for tool in sorted({*was.get("requires", {}), *now["requires"]})
        if was.get("requires", {}).get(tool) != now["requires"].get(tool)
    ]
    said += _outputs(was["outputs"], now["outputs"])
    return said


#: parts that differ as a whole, in the order in which they are told
_WORDS = {
    "command": "command changed",
    "kind": "kind of stage changed",
    "shell": "shell changed",
    "dir": "dir changed",
    "program": "program changed",
    "module": "module changed",
    "declared": "declared outputs changed",
    "secrets": "secrets changed",
}


def _files(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    if was == now:
        return []
    said = []
    for path in sorted({*was, *now}):
        if path not in was:
            said.append(f"new: {path}")
        elif path not in now:
            said.append(f"gone: {path}")
        elif was[path] != now[path]:
            said.append(f"changed: {path}")
    return said


def _outputs(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    if was == now:
        return []
    said = []
    for path in sorted({*was, *now}):
        if path not in now:
            said.append(f"output missing: {path}")
        elif was.get(path) != now[path]:
            said.append(f"output changed: {path}")
    return said


def _named(kind: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [f"{kind} {name} changed" for name in sorted({*was, *now}) if was.get(name, "") != now.get(name, "")]


def _hash(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16, person=b"stagebook-key").hexdigest()
