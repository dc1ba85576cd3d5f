"""What runs the function of a `python` step: a program of its own that reads items as JSON lines and answers each.

It imports nothing of Stagebook. What the function prints goes to the log, as the answers have a descriptor to
themselves; it sees the item as its argument, and what a command would see in the environment.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


def main() -> None:
    """`sys.argv[1]` is `module:function`."""
    sys.path[0] = ""  # the stage's directory, and not ours
    answers = os.dup(1)
    os.dup2(2, 1)
    module, _, name = sys.argv[1].partition(":")
    function: Any = importlib.import_module(module)
    for part in name.split("."):
        function = getattr(function, part)
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        said = _batch(function, asked["items"]) if "items" in asked else _one(function, asked)
        sys.stdout.flush()
        data = memoryview(json.dumps(said).encode() + b"\n")
        while data:
            data = data[os.write(answers, data) :]


_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def _one(function: Callable[[Any], Any], asked: dict[str, Any]) -> dict[str, Any]:
    variables = {
        **{f"ITEM_{name.upper()}": value for name, value in asked["outputs"].items()},
        "ITEM": asked["item"] if type(asked["item"]) is str else _compact(asked["item"]),
        "ITEM_DIR": asked["dir"],
        "ITEM_NUMBER": str(asked["number"]),
    }
    try:
        os.environ.update(variables)
        given = function(asked["item"])
        if given is None or type(given) is dict:
            return {"ok": True, "outputs": _outputs(given)}
        return {"ok": True, "warning": f"a function returns a dict of outputs or None, not {_kind(given)}"}
    except (Exception, SystemExit) as error:
        return _failure(error)
    finally:
        for variable in variables:
            os.environ.pop(variable, None)


def _batch(function: Callable[[Any], Any], asked: list[dict[str, Any]]) -> dict[str, Any]:
    """The function gets a list, and gives None or a list as long."""
    try:
        given = function([each["item"] for each in asked])
        if given is None:
            return {"ok": True}
        if type(given) is not list or len(given) != len(asked):
            shown = f"a list of {len(given)} for {len(asked)}" if type(given) is list else _kind(given)
            return {"ok": True, "warning": f"a batch returns a list with a dict or None for each item, not {shown}"}
        said = {"ok": True, "outputs": [_outputs(each) for each in given]}
        odd = next((each for each in given if each is not None and type(each) is not dict), None)
        if odd is not None:
            said["warning"] = f"a batch returns a list with a dict or None for each item, not {_kind(odd)}"
        return said
    except (Exception, SystemExit) as error:
        return _failure(error)


def _kind(given: Any) -> str:
    return f"a {type(given).__name__}"[:80]


def _outputs(given: Any) -> dict[str, str]:
    if type(given) is not dict:
        return {}
    return {str(name): value if type(value) is str else json.dumps(value) for name, value in given.items()}


def _failure(error: BaseException) -> dict[str, Any]:
    import traceback

    traceback.print_exc()
    sys.stderr.flush()
    return {"ok": False, "error": f"{type(error).__name__}: {error}"[:500]}


if __name__ == "__main__":
    main()
