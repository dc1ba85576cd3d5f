"""The values of declared secrets: read once when a run begins or goes on, held by the engine, written nowhere.

They come from our own environment or from files. What is wrong with them is said before anything is started.
"""

from __future__ import annotations

import os
import stat

from stagebook.model.pipeline import Pipeline, Secret, Stage
from stagebook.model.problem import InputError, Problem, SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record.mask import HIDDEN, SHORT, Mask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Iterable, Iterator, Mapping, Sequence

BYTES_MAX = 1 << 16
#: Formats in which a secret that nobody has set is empty, and no error.
_EMPTY_WHERE_UNSET = ("github", "gitlab")
TELLING = 8  #: characters: a value that has fewer may stand in a file by chance

#: What hides the secrets of this process's run, also from its own complaints.
known: Mask | None = None


class Secrets(NamedTuple):
    """Values by name, of those that are there; `mask` hides them. `warnings` are for the record."""

    values: Mapping[str, str]
    mask: Mask
    warnings: tuple[str, ...] = ()

    def telling(self) -> Mask:
        """Finds those that cannot stand in a file by chance."""
        long = [value for value in self.values.values() if len(value) >= TELLING]
        return self.mask if len(long) == len(self.values) else Mask(long)

    def held(self, texts: Iterable[str]) -> list[str]:
        """The names of those of which a value stands in one of some texts without NULs, in any form."""
        data = "\0".join(texts).encode("utf-8", "surrogateescape")
        if self.mask.first(data) is None:
            return []
        return [name for name, value in self.values.items() if Mask([value]).first(data) is not None]


def read(pipeline: Pipeline, params: Sequence[tuple[str, str]], selected: Collection[str]) -> Secrets:
    """All secrets of a pipeline. `selected` are the ids of the stages that are to run.

    Raises SurroundingsError if one is not there that such a stage lists, InputError if one stands in plain text where
    the record would keep it.
    """
    global known
    values: dict[str, str] = {}
    missing: dict[str, str] = {}
    for secret in pipeline.secrets:
        try:
            value = _value(pipeline, secret)
        except _Absent as absent:
            missing[secret.name] = str(absent)
        else:
            values[secret.name] = value
    known = Mask(values.values())
    problems = list(_lacking(pipeline, missing, selected))
    if pipeline.format in _EMPTY_WHERE_UNSET:
        lacking, problems = problems, []
    else:
        lacking = []
    if problems:
        raise SurroundingsError("secrets are missing, nothing was run", problems)
    _refuse_plain(pipeline, params, values, known)
    warnings = (
        *(f"{each.message}: it is empty there" for each in lacking),
        *_short(values),
    )
    return Secrets(values, known, warnings)


def _short(values: Mapping[str, str]) -> Iterator[str]:
    return (
        f"secret {name} has fewer than {SHORT} characters: hiding it damages logs, and hides it in no other form"
        for name, value in values.items()
        if len(value) < SHORT
    )


def mask_of(pipeline: Pipeline) -> Mask:
    """What hides those of its secrets that are there now."""
    return Mask(values_of(pipeline).values())


def values_of(pipeline: Pipeline) -> dict[str, str]:
    """Those of its secrets that are there now, by name."""
    values = {}
    for secret in pipeline.secrets:
        try:
            values[secret.name] = _value(pipeline, secret)
        except _Absent:
            continue
    return values


def unset(pipeline: Pipeline) -> list[str]:
    """The names of those that are not there."""
    names = []
    for secret in pipeline.secrets:
        try:
            _value(pipeline, secret)
        except _Absent:
            names.append(secret.name)
    return names


class _Absent(Exception):
    """Why a secret has no value."""


def _value(pipeline: Pipeline, secret: Secret) -> str:
    if secret.file is not None and secret.is_one_of:
        return _one_of(secret.file, secret.name)
    if secret.file is None:
        value = os.environ.get(secret.name, "")
        if not value:
            raise _Absent("is not set" if secret.name not in os.environ else "is empty")
        return value
    path = os.path.join(pipeline.folder, secret.file)
    value = os.fsdecode(_content(path))
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise _Absent(f"is empty: {path}")
    if "\0" in value:
        raise _Absent(f"holds a NUL, which no variable can: {path}")
    return value


def _one_of(path: str, name: str) -> str:
    """What stands behind `NAME=` in a file."""
    found = None
    for line in os.fsdecode(_content(path)).splitlines():
        before, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and before.strip() == name:
            found = value.strip()
    if not found:
        raise _Absent(f"is empty: {path}" if found is not None else f"is not in {path} any more")
    if len(found) > 1 and found[0] == found[-1] and found[0] in "\"'":
        found = found[1:-1]
    return found


def _content(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise _Absent(f"cannot be read: {path}: {getattr(error, 'strerror', None) or error}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _Absent(f"cannot be read: {path} is no regular file")
        data = os.read(descriptor, BYTES_MAX + 1)
    except OSError as error:
        raise _Absent(f"cannot be read: {path}: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(data) > BYTES_MAX:
        raise _Absent(f"cannot be read: {path} has more than {BYTES_MAX} bytes (64 KiB)")
    return data


def _lacking(pipeline: Pipeline, missing: Mapping[str, str], selected: Collection[str]) -> Iterator[Problem]:
    """One for each that is missing and wanted, at the stage that wants it first; for a file, where it is named."""
    declared = {secret.name: secret for secret in pipeline.secrets}
    for name, why in missing.items():
        wanting = [stage for stage in pipeline.stages if name in stage.secrets and stage.id in selected]
        if not wanting:
            continue
        stage: Stage = wanting[0]
        line, col = (declared[name].line, 0) if declared[name].file is not None else (stage.line, stage.col)
        others = f" and {len(wanting) - 1} more" if len(wanting) > 1 else ""
        text = f"secret {name} {why}; stage `{stage.id}`{others} on line {stage.line} is given it"
        yield Problem(pipeline.file, line, col, "secret", "error", text)


def _refuse_plain(
    pipeline: Pipeline, params: Sequence[tuple[str, str]], values: Mapping[str, str], mask: Mask
) -> None:  # fmt: skip
    """What stands in the pipeline's file or its path, or is said by a parameter, is kept in the record: that is no
    secret."""
    path = os.fsencode(pipeline.file)
    for name, value in values.items():
        if len(value) >= TELLING and Mask([value]).first(path) is not None:
            raise InputError(
                f"{mask.text(pipeline.file)}: its path holds the value of secret {name}, and the record keeps it; "
                "rename the folder or the file, and change the secret"
            )
    for param, text in params:
        for name, value in values.items():
            masked = Mask([value]).text(text)
            if masked != text and (len(value) >= TELLING or (masked == HIDDEN and len(value) >= SHORT)):
                raise InputError(
                    f"parameter `{param}` holds the value of secret {name}, and parameters are kept in the record; "
                    f"let the stage list `secrets: [{name}]` and read it from its environment"
                )
    try:
        with open(pipeline.file, "rb") as file:
            data = file.read()
    except OSError:
        return
    if mask.first(data) is None:
        return
    for name, value in values.items():
        raw = os.fsencode(value)
        at = data.find(raw) if len(value) >= TELLING else -1
        if at < 0 and len(value) >= TELLING and "\n" not in value:
            at = -1 if (found := Mask([value]).first(data)) is None else found
        if at >= 0:
            line = data.count(b"\n", 0, at) + 1
            text = f"the value of secret {name} stands here, and the record keeps this file; take it out, and change it"
            raise InputError(text, [Problem(pipeline.file, line, 0, "secret", "error", text)])
