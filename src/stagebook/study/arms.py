"""The arms of an experiment: ways to run a pipeline that are compared, and in which order they take their turns. Pure:
what options mean is the command line's business."""

from __future__ import annotations

from stagebook.model.problem import InputError
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

#: What is compared where nobody says otherwise.
DEFAULT = ("sequential=--sequential", "parallel=")
NAME_MAX = 40


class Arm(NamedTuple):
    """`options` is what the user wrote, `words` the same as words of `run`; `file` the absolute path of what it runs,
    `names_file` whether the words say so. `params` are its `--param`, by which its needs are prepared too."""

    name: str
    options: str
    words: tuple[str, ...]
    file: str
    names_file: bool = False
    params: tuple[str, ...] = ()


def from_plain(plain: Mapping[str, Any]) -> Arm:
    """The inverse of `_asdict`, also after a way through JSON, where tuples are lists."""
    return Arm._make(tuple(plain[name]) if isinstance(plain[name], list) else plain[name] for name in Arm._fields)


def split(text: str) -> tuple[str, str, list[str]]:
    """Name, options and words of `NAME=OPTIONS`. Raises InputError."""
    from shlex import split as words_of

    name, equals, options = text.partition("=")
    if not equals or not name.strip():
        raise InputError(f"--arm '{text}': expected NAME=OPTIONS, such as `four=-j 4`")
    if not name.isprintable() or len(name) > NAME_MAX:
        raise InputError(f"--arm '{name}': a name has at most {NAME_MAX} characters, all of them printable")
    try:
        return name, options.strip(), words_of(options)
    except ValueError as error:
        raise InputError(f"--arm {name}: {error} in `{options}`") from None


def check(names: Sequence[str]) -> None:
    """Raises InputError where there is nothing to compare."""
    if len(names) < 2:
        raise InputError(f"an experiment has at least two arms, and there is only `{names[0]}`; add --arm NAME=OPTIONS")
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise InputError(f"two arms are called `{twice}`; each needs a name of its own")


def apart(first: Sequence[str], other: Sequence[str]) -> tuple[list[str], list[str]]:
    """The stages that only the first of two arms runs, and those that only the other does."""
    in_first, in_other = frozenset(first), frozenset(other)
    return [each for each in first if each not in in_other], [each for each in other if each not in in_first]


def order(count: int, seed: int, pair: int, attempt: int) -> list[int]:
    """Which arm is first in a pair (with more than two arms: in a block), by a coin that the seed fixes. A pair that
    was broken off is begun again with a new coin, as its first one has been seen."""
    from random import Random

    arms = list(range(count))
    Random(f"stagebook {seed} {pair} {attempt}").shuffle(arms)
    return arms
