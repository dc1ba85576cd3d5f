"""What the line `output.published` says of files: their paths, sizes and digests, or of very many one digest."""

from __future__ import annotations

from stagebook.record.line import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Sequence, TypeAlias

Row: TypeAlias = "tuple[str, int, str]"

LISTED_MAX = 1000  #: so many files are named


def rows(files: Iterable[Any]) -> list[Row]:
    """(path, size, digest) of each."""
    return [(file.path, file.size, file.digest) for file in files]


def members_of(files: Sequence[Row]) -> str:
    """As members of a line."""
    if len(files) > LISTED_MAX:
        return f'"count":{len(files)},"digest":"{digest_of(files)}"'
    listed = ",".join([f'[{quote(path)},{size},"{digest}"]' for path, size, digest in files])
    return f'"outputs":[{listed}]'


def digest_of(files: Sequence[Row]) -> str:
    """One digest for many files, in the order of their paths: BLAKE3 of `DIGEST SIZE PATH` and a NUL for each."""
    from blake3 import blake3

    text = "".join([f"{digest} {size} {path}\0" for path, size, digest in sorted(files)])
    digest: str = blake3(text.encode("utf-8", "surrogateescape")).hexdigest()
    return digest


def read(record: dict[str, Any]) -> list[Row] | int:
    """From a line: the files, or only how many there were."""
    if "outputs" not in record:
        return int(record["count"])
    return [(path, size, digest) for path, size, digest in record["outputs"]]
