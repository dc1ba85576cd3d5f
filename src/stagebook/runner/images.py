"""What stands here for an image of a container: a command, as the user's settings say. Starts nothing.

`[images]` in stagebook.toml, or `[tool.stagebook.images]` in pyproject.toml, maps images, `*` standing for anything, to
commands. Around a job's shell it is a prefix, as `nix shell nixpkgs#python312 -c`; of a service it is what starts it.
"""

from __future__ import annotations

import fnmatch
import shlex

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


class Command(NamedTuple):
    """`argv` empty: this machine, as it is. `ready`: a port on which a service answers once it is ready."""

    argv: tuple[str, ...]
    ready: int | None = None
    env: Mapping[str, str] = {}


def command(images: Mapping[str, Any], image: str) -> Command | None:
    """What stands for an image; None where the settings say nothing. The longest of the patterns that fit counts."""
    fitting = [pattern for pattern in images if pattern == image or fnmatch.fnmatchcase(image, pattern)]
    if not fitting:
        return None
    said = images[max(fitting, key=lambda pattern: (pattern == image, len(pattern)))]
    if isinstance(said, str):
        return Command(tuple(shlex.split(said)))
    words = said.get("command", "")
    argv = shlex.split(words) if isinstance(words, str) else [str(word) for word in words]
    env = {str(name): str(value) for name, value in (said.get("env") or {}).items()}
    return Command(tuple(argv), said.get("ready"), env)
