"""What the line `output.published` says of files: their paths, sizes and digests, or of very many one digest."""

from __future__ import annotations

from stagebook.record.line import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Sequence, TypeAlias

Row: TypeAlias = "tuple[str, int, str]"

LISTED_MAX = 1000  #: so many files are named


def rows(files: Iterable[Any]) -> list[Row]:
    """(path, size, digest) of each."""
    return [(file.path, file.size, file.digest) for file in files]


def members_of(files: Sequence[Row], hashed: Callable[[bytes], str]) -> str:
    """As members of a line. Of very many, one digest, which `hashed` makes: of `DIGEST SIZE PATH` and a NUL for each,
    in the order of their paths."""
    if len(files) > LISTED_MAX:
        text = "".join([f"{digest} {size} {path}\0" for path, size, digest in sorted(files)])
        return f'"count":{len(files)},"digest":"{hashed(text.encode("utf-8", "surrogateescape"))}"'
    listed = ",".join([f'[{quote(path)},{size},"{digest}"]' for path, size, digest in files])
    return f'"outputs":[{listed}]'


def read(record: dict[str, Any]) -> list[Row] | int:
    """From a line: the files, or only how many there were."""
    if "outputs" not in record:
        return int(record["count"])
    return [(path, size, digest) for path, size, digest in record["outputs"]]
