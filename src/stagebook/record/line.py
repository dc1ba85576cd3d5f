"""One line of a journal: its keys, their order, and its checksum. Nothing about files.

A line is compact JSON, its keys in the order `v, seq, batch, run, t, at, event, stage, attempt, …, crc`; `crc` is
the CRC-32 (zlib) of the bytes before `,"crc"`, in eight lower-case hex digits. A line is whole only with its newline.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii
from zlib import crc32

from stagebook.record.clock import stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
_SEAL = b',"crc":"'
_SEAL_LENGTH = len(_SEAL) + 8 + 2  # eight digits, a quote and a brace


class BrokenLine(ValueError):
    """These bytes are not a whole line as it was written."""


def quote(text: str) -> str:
    """`text` as JSON that is safe in UTF-8 and on a terminal: what does not print is escaped, lone surrogates too."""
    if text.isascii():
        return encode_basestring_ascii(text)
    plain = json.dumps(text, ensure_ascii=False)
    if plain.isprintable():
        return plain
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in plain)


def members(**values: Any) -> str:
    """A tail for `encode` from plain values, for lines that are not written often."""
    return json.dumps(values, separators=(",", ":"))[1:-1]


def encode(
    seq: int,
    batch: int,
    run: str,
    us: int,
    epoch_us: int,
    event: str,
    stage: str | None = None,
    attempt: int | None = None,
    tail: str = "",
) -> bytes:
    """One line with its newline. `us` counts from the start of the run, `epoch_us` is the wall clock there.

    `stage` is already JSON (`quote`); `tail` holds further members as JSON, `"pid":7,"start":9`, without a comma
    before or after.
    """
    text = (
        f'{{"v":1,"seq":{seq},"batch":{batch},"run":"{run}","t":{us // 1_000_000}.{us % 1_000_000:06d},'
        f'"at":"{stamp(epoch_us + us)}","event":"{event}"'
    )
    if stage is not None:
        text = f'{text},"stage":{stage}' if attempt is None else f'{text},"stage":{stage},"attempt":{attempt}'
    body = (f"{text},{tail}" if tail else text).encode()
    return b'%b,"crc":"%08x"}\n' % (body, crc32(body))


def decode(line: bytes) -> dict[str, Any]:
    """The record of one line, with or without its newline, `crc` left out. Raises BrokenLine.

    Every change of a single bit is found: CRC-32 finds it in the body, and what follows the body is compared
    byte by byte.
    """
    whole = line[:-1] if line.endswith(b"\n") else line
    body, seal = whole[:-_SEAL_LENGTH], whole[-_SEAL_LENGTH:]
    if seal != b'%b%08x"}' % (_SEAL, crc32(body)):
        raise BrokenLine("its checksum does not match")
    try:
        record = json.loads(body + b"}")
    except (ValueError, RecursionError) as error:
        raise BrokenLine("it is not JSON") from error
    if not isinstance(record, dict):
        raise BrokenLine("it is not a JSON object")
    return record


def time_us(record: dict[str, Any]) -> int:
    """A record's `t` in whole microseconds since the run began."""
    t: float = record["t"]
    return round(t * 1_000_000)
