"""What stands for the actions that set up a tool: the tool that is on the PATH, with a word on its version. Installs
nothing.
"""

from __future__ import annotations

import re
import shutil
import subprocess

from stagebook.model.value import NamedTuple
from stagebook.runner.github.step import Running
from stagebook.runner.github.work import SUCCESS, Wrong

VERSION_S = 20
_NUMBER = re.compile(r"\d+(?:\.\d+)*")


class Tool(NamedTuple):
    """`programs`: the first that is there stands for it. `input` has the version that is asked for."""

    programs: tuple[str, ...]
    input: str
    words: tuple[str, ...] = ("--version",)


#: By the name of the action, of `actions/` where no owner is said.
SETUPS = {
    "setup-python": Tool(("python", "python3"), "python-version"),
    "setup-node": Tool(("node",), "node-version"),
    "setup-go": Tool(("go",), "go-version", ("version",)),
    "setup-java": Tool(("java",), "java-version"),
    "setup-dotnet": Tool(("dotnet",), "dotnet-version"),
    "ruby/setup-ruby": Tool(("ruby",), "ruby-version"),
    "shivammathur/setup-php": Tool(("php",), "php-version"),
    "astral-sh/setup-uv": Tool(("uv",), "version"),
    "pnpm/action-setup": Tool(("pnpm",), "version"),
    "denoland/setup-deno": Tool(("deno",), "deno-version"),
    "oven-sh/setup-bun": Tool(("bun",), "bun-version"),
    "dtolnay/rust-toolchain": Tool(("rustc",), "toolchain"),
    "actions-rs/toolchain": Tool(("rustc",), "toolchain"),
}


def setup(running: Running, given: dict[str, str]) -> str:
    """Raises Wrong where the tool is not there."""
    action = re.sub("@.*", "", running.text("uses")).lower().removeprefix("actions/")
    tool = SETUPS[action]
    env = running.work.process_env(running.env, running.found)
    path = next((found for name in tool.programs if (found := shutil.which(name, path=env.get("PATH")))), None)
    if path is None:
        raise Wrong(f"{action}: {tool.programs[0]} is not on the PATH of this machine; install it, nothing else does")
    there = _version((path, *tool.words), env)
    wanted = given.get(tool.input, "").strip()
    name = tool.programs[0]
    if wanted and there and not fits(there, wanted):
        running.say(f"warning: {name} is {there} here, and {wanted} is asked for")
    else:
        running.say(f"{name} {there or 'of unknown version'}: {path}")
    running.effects.outputs.update({f"{name}-version": there, f"{name}-path": path, "cache-hit": "false"})
    return SUCCESS


def _version(argv: tuple[str, ...], env: dict[str, str]) -> str:
    try:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=VERSION_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = _NUMBER.search(done.stdout.decode("utf-8", "replace"))
    return found.group() if found is not None else ""


def fits(there: str, wanted: str) -> bool:
    """Whether a version is one of those asked for: `3.11`, `20.x`, `>=18`, several lines. What cannot be read fits."""
    for line in re.split(r"[\s,|]+", wanted):
        numbers = _NUMBER.search(line)
        if numbers is None:
            return True
        asked, found = _parts(numbers.group()), _parts(there)
        if line.startswith((">=", ">")):
            if found >= asked:
                return True
        elif line.startswith("^"):
            if found[:1] == asked[:1] and found >= asked:
                return True
        elif line.startswith("~"):
            if found[: max(1, min(2, len(asked)))] == asked[:2] and found >= asked:
                return True
        elif line.startswith("<"):
            if found < asked:
                return True
        elif found[: len(asked)] == asked:
            return True
    return False


def _parts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
