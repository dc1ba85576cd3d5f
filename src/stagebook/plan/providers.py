"""What providers allow, by name: jobs at once, minutes a month, how minutes are counted. Data, each with its date.

The tables are `providers/NAME.toml` beside this module; a user may write one of their own and name it by its path.
What a table does not say is unknown, never 0. Prices are not here.

    title = "whose cap this is, in words"
    as_of = 2026-01-31           # the day that the figures are known to be of
    source = "where they were read"
    jobs = 20                    # at once, all pipelines of the account together
    minutes = 2000               # included a month
    rounding = "job"             # of each job, up to a minute; `second`: to a second; `none`; `sum`: of all, down
    classes = {macos = {jobs = 5, factor = 10}}
"""

from __future__ import annotations

import os

from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import InputError, Problem
from stagebook.model.value import NamedTuple
from stagebook.scheduler.plan import Cap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

#: Of each job up to a whole minute, or second; not at all; of the sum of all jobs down to a whole minute.
ROUNDINGS = ("job", "second", "none", "sum")

#: A provider without its plan means the smallest one, which is said.
_SMALLEST = "-free"
_UNKNOWN_DAY = "an unknown day"
_HERE = os.path.join(os.path.dirname(__file__), "providers")
_BYTES_MAX = 64 * 1024
_KEYS = ("title", "as_of", "source", "jobs", "minutes", "rounding", "classes")


class Machine(NamedTuple):
    """A class of machines: how many of its jobs at once, and how many minutes one minute on it counts for."""

    name: str
    jobs: int | None = None
    factor: float | None = None


class Table(NamedTuple):
    """What one provider allows under one plan. `name` is how the user called it, with what it was taken for."""

    name: str
    as_of: str = _UNKNOWN_DAY
    title: str | None = None
    source: str | None = None
    jobs: int | None = None
    minutes: int | None = None
    rounding: str | None = None
    classes: tuple[Machine, ...] = ()


def names() -> list[str]:
    """The providers that come along, without the short names that mean their smallest plan."""
    return sorted(file[:-5] for file in os.listdir(_HERE) if file.endswith(".toml"))


def table(name: str, folder: str = "") -> Table:
    """The table called `name`; a name with `/` or `.toml` is a file, found from `folder`.

    Raises InputError for an unknown name, with the nearest one and all of them, and for a file that is no table.
    """
    if "/" in name or name.endswith(".toml"):
        return _read(os.path.join(folder, name), name)
    known = names()
    if name in known:
        return _read(os.path.join(_HERE, f"{name}.toml"), name)
    if name + _SMALLEST in known:
        return _read(os.path.join(_HERE, f"{name}{_SMALLEST}.toml"), f"{name} (taken as {name}{_SMALLEST})")
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1, 0.6)
    hint = f", did you mean `{near[0]}`?" if near else ";"
    listed = ", ".join(known)
    raise InputError(f"unknown provider `{name}`{hint} known are {listed}; or name a file such as ./caps.toml")


def cap(name: str, folder: str = "") -> Cap | None:
    """How many jobs a provider runs at once; None where its table does not say. Raises InputError as `table`."""
    found = table(name, folder)
    return None if found.jobs is None else Cap(found.name, found.jobs, found.as_of)


def of(pipeline: Pipeline) -> Table | None:
    """The table that a pipeline names, None where it names none. Raises InputError at the line where it does."""
    found = problem(pipeline)
    if found is not None and found.level == "error":
        raise InputError(found.message, [found])
    provider = pipeline.limits.provider
    return None if provider is None else table(provider, pipeline.folder)


def cap_of(pipeline: Pipeline) -> Cap | None:
    """The cap under which a pipeline runs: for `Choice.cap`. Raises InputError at its line."""
    found = of(pipeline)
    return None if found is None or found.jobs is None else Cap(found.name, found.jobs, found.as_of)


def problem(pipeline: Pipeline) -> Problem | None:
    """What is wrong with the provider that a pipeline names, at its line: an error for one that is not known, a
    warning for one without a known cap on jobs."""
    provider = pipeline.limits.provider
    if provider is None:
        return None
    try:
        found = table(provider, pipeline.folder)
    except InputError as error:
        return Problem(pipeline.file, *_place(pipeline), "unknown-provider", "error", str(error))
    if found.jobs is None:
        text = f"no cap on jobs at once is known of {found.name}; the number of jobs comes from this machine"
        return Problem(pipeline.file, *_place(pipeline), "no-cap", "warning", text)
    return None


def _place(pipeline: Pipeline) -> tuple[int, int]:
    """Line and column of `limits.provider`, which the model does not carry; (0, 0) where the file cannot tell."""
    from stagebook.formats.native.nodes import col_of, line_of, read_nodes

    if pipeline.format != "native":
        return 0, 0
    try:
        with open(pipeline.file, "rb") as file:
            root, _ = read_nodes(file.read(), pipeline.file)
        place: int = root[0]["limits"][1][0]["provider"][1][1]
    except (OSError, InputError, KeyError, TypeError, IndexError):
        return 0, 0
    return line_of(place), col_of(place)


def _read(path: str, name: str) -> Table:
    import tomllib

    try:
        with open(
            path, "rb", opener=lambda of, flags: os.open(of, flags | os.O_NONBLOCK)
        ) as file:  # a FIFO must not block
            data = file.read(_BYTES_MAX + 1)
        if len(data) > _BYTES_MAX:
            raise InputError(f"{name} is larger than {_BYTES_MAX // 1024} KiB, which no table of caps is")
        plain = tomllib.loads(data.decode())
    except OSError as error:
        raise InputError(
            f"cannot read the caps in {name}: {error.strerror}; it is looked for from the pipeline's folder"
        ) from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise InputError(f"the caps in {name} are not TOML: {' '.join(str(error).split())}") from None
    return _table(plain, name)


def _table(plain: Mapping[str, Any], name: str) -> Table:
    for key in plain:
        if key not in _KEYS:
            raise InputError(f"{name}: unknown key `{key}`, one of {', '.join(_KEYS)}")
    rounding = _text(plain, "rounding", name)
    if rounding is not None and rounding not in ROUNDINGS:
        raise InputError(f"{name}: unknown rounding `{rounding}`, one of {', '.join(ROUNDINGS)}")
    classes = plain.get("classes", {})
    if not isinstance(classes, dict) or not all(isinstance(one, dict) for one in classes.values()):
        raise InputError(f"{name}: `classes` is a table of tables such as macos = {{jobs = 5, factor = 10}}")
    for of, one in classes.items():
        for key in one:
            if key not in ("jobs", "factor"):
                raise InputError(f"{name}: unknown key `{key}` of class `{of}`, one of jobs, factor")
    return Table(
        name,
        _UNKNOWN_DAY if plain.get("as_of") is None else _day(plain["as_of"], name),
        _text(plain, "title", name),
        _text(plain, "source", name),
        _count(plain, "jobs", name),
        _count(plain, "minutes", name),
        rounding,
        tuple(Machine(of, _count(one, "jobs", name), _factor(one, name)) for of, one in classes.items()),
    )


def _text(plain: Mapping[str, Any], key: str, name: str) -> str | None:
    value = plain.get(key)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{name}: `{key}` is text")
    return value


def _day(value: Any, name: str) -> str:
    text = str(value)
    if len(text) != 10 or text[4:8:3] != "--" or not text.replace("-", "").isdigit():
        raise InputError(f"{name}: `as_of` is a day such as 2026-01-31")
    return text


def _count(plain: Mapping[str, Any], key: str, name: str) -> int | None:
    value = plain.get(key)
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= 10**9:
        raise InputError(f"{name}: `{key}` is a whole number from 1; leave it out where it is not known")
    return value


def _factor(plain: Mapping[str, Any], name: str) -> float | None:
    value = plain.get("factor")
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value <= 10**6:
        raise InputError(f"{name}: `factor` is a number such as 2 or 0.5")
    return float(value)
