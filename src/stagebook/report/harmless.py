"""Text that others wrote, made safe for a terminal: it can show, but it cannot act, hide or pretend.

Every name, reason and line of output passes through here before it is printed. What is not printable becomes a
visible escape (`\\x1b`), so nothing is lost and nothing works; only in output may colours (SGR) stay.
Also how many cells a text takes, since names may be wide.
"""

from __future__ import annotations

#: ASCII and what we draw with, one cell each: most texts are spared the tables of Unicode.
_NARROW = frozenset(map(chr, range(32, 127))) | frozenset("●✓≈✗◷⊘»·◌‖░█▄▒▶╌–←→×│…┏┣┗┃┇∥↔▸▁▂▃▅▆▇−━◀─┊")
#: Not printable for Python, but a plain glyph or a joiner for a terminal.
_KEPT = frozenset("\u00a0\u2002\u2003\u2007\u2009\u202f\u3000\u200c\u200d")


def harmless(text: str) -> str:
    """`text` with each control, bidirectional mark and unassigned character as an escape. One line stays one."""
    if text.isprintable():
        return text
    return "".join([ch if ch.isprintable() or ch in _KEPT else _escape(ch) for ch in text])


def _escape(ch: str) -> str:
    code = ord(ch)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, as `surrogateescape` carries it
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(ch) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def line_of_output(data: bytes | str, color: bool = False) -> str:
    """One line of a stage's output: tabs are spaces, the line's end is dropped, colours stay if `color`.

    A line that was coloured is closed with a reset, so that it cannot colour what follows.
    """
    text = data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data
    text = text.rstrip("\r\n")
    if text.isprintable():
        return text
    if "\t" in text:
        text = text.expandtabs(8)
    if "\x1b[" not in text:
        return harmless(text)
    parts = text.split("\x1b[")
    shown = [harmless(parts[0])]
    colored = False
    for part in parts[1:]:
        length = _sgr_length(part)
        if not length:
            shown.append(harmless("\x1b[" + part))
            continue
        if color:
            shown.append("\x1b[" + part[:length])
            colored = True
        shown.append(harmless(part[length:]))
    return "".join(shown) + ("\x1b[0m" if colored else "")


def _sgr_length(part: str) -> int:
    """How many characters after `ESC [` are a colour change, `m` included; 0 if it is anything else.

    8 (concealed) is not a colour: it hides.
    """
    end = part.find("m", 0, 40)
    if end < 0 or part[:end].strip("0123456789;:"):
        return 0
    if "8" in part[:end].replace(":", ";").split(";"):
        return 0
    return end + 1


def cells(text: str) -> int:
    """How many cells of a terminal `text` takes. It must be harmless; colours in it count as nothing."""
    if "\x1b" in text:
        text = without_color(text)
    return len(text) if text.isascii() or _NARROW.issuperset(text) else sum(map(_cell, text))


def without_color(text: str) -> str:
    if "\x1b" not in text:
        return text
    first, *rest = text.split("\x1b[")
    return first + "".join(part[_sgr_length(part) :] for part in rest)


def _cell(ch: str) -> int:
    if ch in _NARROW:
        return 1
    import unicodedata  # only for text that needs it

    if unicodedata.category(ch) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(ch) in ("W", "F") else 1


def pad(text: str, width: int) -> str:
    """`text` with spaces to `width` cells; longer text stays as it is."""
    if text.isascii() and "\x1b" not in text:
        return text.ljust(width)
    return text + " " * (width - cells(text))


def cut(text: str, width: int, mark: str = "…") -> str:
    """`text` without colours, shortened to `width` cells, with `mark` where something is missing."""
    text = without_color(text)
    if cells(text) <= width:
        return text
    if width < len(mark):
        return ""
    kept: list[str] = []
    left = width - len(mark)
    for ch in text:
        left -= _cell(ch)
        if left < 0:
            break
        kept.append(ch)
    return "".join(kept) + mark


def wrap(text: str, width: int) -> list[str]:
    """`text` without colours, broken at spaces where it can be into lines of at most `width` cells. Nothing is cut."""
    text = without_color(text)
    if cells(text) <= width:
        return [text]
    lines: list[str] = []
    line = ""
    for word in _pieces(text, width):
        if line and cells(line) + cells(word.rstrip(" ")) > width:
            lines.append(line.rstrip(" "))
            line = ""
        line += word
    lines.append(line.rstrip(" "))
    return lines


def _pieces(text: str, width: int) -> list[str]:
    """Words with the spaces after them, each no wider than `width`."""
    pieces: list[str] = []
    piece = ""
    taken = 0
    previous = ""
    for ch in text:
        size = _cell(ch)
        if (previous == " " and ch != " ") or taken + size > width:
            pieces.append(piece)
            piece, taken = "", 0
        piece += ch
        taken += size
        previous = ch
    pieces.append(piece)
    return pieces
