"""Settings and where each came from: defaults < user's file < project's file < environment < options.

Files are TOML and read only if they are there. Nothing here acts on a value.
"""

from __future__ import annotations

import os

from stagebook.model.problem import InputError, Problem
from stagebook.model.value import NamedTuple
from stagebook.record.state import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

UNITS_MAX = 1_000_000  #: as in a pipeline file

#: name: (default, allowed words; () for any text, None for a whole number from 1 to UNITS_MAX, `size` or `duration` for
#: text that says one)
KNOWN: dict[str, tuple[Any, tuple[str, ...] | str | None]] = {
    "jobs": (None, None),
    "policy": (None, ("strict", "lenient", "fail-fast")),
    "accounting": ("auto", ("auto", "wait4")),
    "durability": ("normal", ("normal", "full")),
    "admission": ("auto", ("auto", "off")),
    "color": ("auto", ("auto", "always", "never")),
    "dir": (None, ()),
    "output": ("fail-only", ("group", "interleave", "fail-only")),
    "otlp-endpoint": (None, ()),
    "cache-limit": ("10GiB", "size"),
    "cache-age": ("30d", "duration"),
}


class Origin(NamedTuple):
    """`kind` is default, user, project, environment or option; `where` is a file, a variable or an option."""

    kind: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.where}".rstrip()


class Settings:
    """One value a setting, None where the pipeline or the machine decides. `origins` tells where each came from."""

    __slots__ = (
        "jobs", "policy", "accounting", "durability", "admission", "color", "dir", "output", "otlp_endpoint",
        "cache_limit", "cache_age", "images", "origins",
    )  # fmt: skip

    jobs: int | None
    policy: str | None
    accounting: str
    durability: str
    admission: str
    color: str
    dir: str | None
    output: str
    otlp_endpoint: str | None
    cache_limit: str
    cache_age: str

    def __init__(self) -> None:
        self.origins: dict[str, Origin] = {}
        self.images: dict[str, Any] = {}  #: commands that stand for images of containers: see `runner.images`
        for name, (default, _) in KNOWN.items():
            self.take(name, default, Origin("default"))

    def take(self, name: str, value: Any, origin: Origin) -> None:
        setattr(self, _attribute(name), value)
        self.origins[name] = origin

    def value(self, name: str) -> Any:
        return getattr(self, _attribute(name))


def load(
    args: Any = None, cwd: str | None = None, environ: Mapping[str, str] | None = None, own: tuple[str, ...] = ()
) -> Settings:
    """Resolve all settings. `args` holds options by the same names, None where not given; those in `own` mean something
    else to this command.

    Raises InputError, with place, for an unknown key or a value that a setting cannot have.
    """
    environ = os.environ if environ is None else environ
    settings = Settings()
    user = user_file(environ)
    if user is not None and os.path.isfile(user):
        _take_file(settings, user, "user", None)
    project = project_file(cwd or os.getcwd())
    if project is not None:
        _take_file(settings, project, "project", "stagebook" if project.endswith("pyproject.toml") else None)
    for name in KNOWN:
        variable = f"STAGEBOOK_{_attribute(name).upper()}"
        text = environ.get(variable)
        if variable == "STAGEBOOK_OUTPUT" and text and "/" in text:
            continue  # we are called within a stage, for which this is a file
        if text:
            settings.take(name, _checked(name, text, "", 0, variable), Origin("environment", variable))
    for name in KNOWN:
        value = getattr(args, _attribute(name), None)
        if value is not None and name not in own:
            settings.take(name, _checked(name, value, "", 0, f"--{name}"), Origin("option", f"--{name}"))
    return settings


def _attribute(name: str) -> str:
    return name.replace("-", "_")


def user_file(environ: Mapping[str, str]) -> str | None:
    """Where platformdirs puts it on Linux, without the cost of importing platformdirs."""
    base = environ.get("XDG_CONFIG_HOME") or ""
    if not base.startswith("/"):
        home = environ.get("HOME")
        if not home:
            return None
        base = os.path.join(home, ".config")
    return os.path.join(base, "stagebook", "config.toml")


def project_file(start: str) -> str | None:
    """The first `stagebook.toml`, or `pyproject.toml` with our table, from `start` up to the root of the work tree."""
    folder = start
    while True:
        own = os.path.join(folder, "stagebook.toml")
        if os.path.isfile(own):
            return own
        shared = os.path.join(folder, "pyproject.toml")
        try:
            with open_regular(shared) as file:
                if b"tool.stagebook" in file.read():
                    return shared
        except OSError:
            pass
        parent = os.path.dirname(folder)
        if parent == folder or os.path.exists(os.path.join(folder, ".git")):
            return None
        folder = parent


def _take_file(settings: Settings, path: str, kind: str, tool: str | None) -> None:
    import tomllib

    try:
        with open_regular(path) as file:
            text = file.read()
        table: Any = tomllib.loads(text.decode("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(str(error), [Problem(path, 0, 0, "toml", "error", f"not TOML: {error}")]) from None
    if tool is not None:
        table = table.get("tool", {}).get(tool, {})
    if not isinstance(table, dict):
        raise InputError("settings are a table", [Problem(path, 0, 0, "type", "error", "settings must be a table")])
    for name, value in table.items():
        line = _line_of(text.decode("utf-8"), name)
        if name == "images":
            settings.images.update(_images(value, path, line))
            continue
        if name not in KNOWN:
            raise _unknown(name, path, line)
        settings.take(name, _checked(name, value, path, line, name), Origin(kind, path))


def _images(value: Any, path: str, line: int) -> dict[str, Any]:
    """Images to a command, or to a table of `command`, `ready` (a port) and `env`."""

    def is_sound(said: Any) -> bool:
        if not isinstance(said, dict):
            return isinstance(said, str)
        return set(said) <= {"command", "ready", "env"} and isinstance(said.get("command"), (str, list)) and (
            said.get("ready") is None or type(said["ready"]) is int
        ) and isinstance(said.get("env", {}), dict)  # fmt: skip

    if isinstance(value, dict) and all(map(is_sound, value.values())):
        return value
    text = 'images: expected "IMAGE" = "COMMAND", or "IMAGE" = {command = "…", ready = PORT, env = {…}}'
    raise InputError(text, [Problem(path, line, 1 if line else 0, "value", "error", text)])


def _line_of(text: str, name: str) -> int:
    for number, line in enumerate(text.splitlines(), 1):
        if line.split("=", 1)[0].strip().strip("\"'[] ").removeprefix("tool.stagebook.") == name:
            return number
    return 0


def _unknown(name: str, path: str, line: int) -> InputError:
    from stagebook.cli.words import nearest

    near = nearest(name, [*KNOWN, "images"])
    text = f"unknown setting '{name}'" + (f", did you mean '{near}'?" if near else "")
    return InputError(text, [Problem(path, line, 1 if line else 0, "unknown-key", "error", text)])


def _checked(name: str, value: Any, path: str, line: int, said: str) -> Any:
    allowed = KNOWN[name][1]
    if allowed is None:
        is_short = isinstance(value, str) and value.isdecimal() and len(value) < 20  # Python refuses very long ones
        number = int(value) if is_short else value
        if isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= UNITS_MAX:
            return number
        wanted = f"a whole number from 1 to {UNITS_MAX}"
    elif isinstance(allowed, str):
        wanted = _misfit(allowed, value)
        if not wanted:
            return value
    elif isinstance(value, str) and (value in allowed or not allowed):
        return value
    else:
        wanted = "one of " + ", ".join(allowed) if allowed else "text"
    text = f"{said}: {value!r} is not {wanted}"
    raise InputError(text, [Problem(path, line, 1 if line else 0, "value", "error", text)])


def _misfit(kind: str, value: Any) -> str:
    """What is wanted instead of a value that says no size or duration; empty where it says one."""
    from stagebook.model import quantity

    read = quantity.size_bytes if kind == "size" else quantity.duration_ms
    try:
        read(value if isinstance(value, str) else "")
    except ValueError:
        return "a size such as 512MiB or 10GiB" if kind == "size" else "a duration such as 12h or 30d"
    return ""
