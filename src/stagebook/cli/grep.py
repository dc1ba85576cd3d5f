"""Lines that match a pattern of a user's, by RE2: the time is linear in the text, whatever the pattern."""

from __future__ import annotations

from stagebook.cli.words import usage_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

_MEMORY = 64 << 20
_OF_TEXT = ("\\A", "\\z", "\\Z", "?-")  #: what has another meaning where many lines stand together


class Grep:
    """A pattern. Raises InputError for one that is none."""

    def __init__(self, pattern: str) -> None:
        import re2  # type: ignore[import-untyped,unused-ignore]

        options = re2.Options()
        options.log_errors = False
        options.max_mem = _MEMORY
        raw = pattern.encode("utf-8", "surrogateescape")
        try:
            self._line: Any = re2.compile(raw, options)
            self._block: Any = re2.compile(b"(?m:" + raw + b")", options)
        except re2.error as error:
            why = error.args[0] if error.args else ""
            text = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
            raise usage_error(f"--grep {pattern}: {text}", "patterns are those of RE2") from None
        self._is_by_line = not any(part in pattern for part in _OF_TEXT)

    def may_be_in(self, block: bytes) -> bool:
        """Whether any line of a block may match; to look at it as a whole is a hundred times as fast."""
        return not self._is_by_line or self._block.search(block) is not None

    def is_in(self, line: bytes) -> bool:
        return self._line.search(line) is not None

    def spans(self, line: bytes) -> Iterator[tuple[int, int]]:
        """Where the matches stand."""
        return (match.span() for match in self._line.finditer(line) if match.start() < match.end())
