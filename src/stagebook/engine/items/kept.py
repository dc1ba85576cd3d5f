"""What a run keeps of the items of a stage, in `items/STAGE/` of its directory: their names in the order of their
numbers, a directory for each that is on its way or has failed, and what its steps have said of themselves.

`names` only grows, a line an item: value, key, and the position in the source behind it. It is durable before the
journal is, as a resume looks there for what the journal calls by number. Memory holds what is on its way.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from stagebook.engine.attempts import hide
from stagebook.engine.items import literal
from stagebook.record.state import log_stem, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

    from stagebook.record.mask import Mask

FOLDER = "items"
NAMES = "names.jsonl"
LISTED = "listed.jsonl"  #: what a source has listed once for the run
PRINTED = "printed"  #: a link to what a stage printed in an earlier run, where items come from that
RESERVED = ("DIR", "NUMBER")  #: no output has such a name: ITEM_DIR and ITEM_NUMBER are the item's
SPARE_MAX = 1024  #: so many empty directories are kept for the next items: to remove one can cost more than all else

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Item:
    """One that is on its way. `outputs` is what its steps have said of themselves so far, None: it is not read yet."""

    __slots__ = ("has_directory", "is_written", "json", "key", "outputs", "value")

    def __init__(self, value: Any, key: bytes | None, text: str) -> None:
        """`text` is the value as JSON."""
        self.value = value
        self.json = text
        self.key = key
        self.has_directory = False
        self.is_written = False  #: some step has a file of what it said
        self.outputs: dict[str, str] | None = {}

    @property
    def text(self) -> str:
        """As a command sees it."""
        return literal.text_of(self.value)


def folder_of(directory: str, stage: str) -> str:
    """Where things of the items of a stage lie, below the directory of a run."""
    return os.path.join(directory, FOLDER, log_stem(stage))


def read_names(folder: str, first: int = 1) -> Iterator[tuple[int, Any, str | None]]:
    """Number, value and key (hex) of the items from that number on; a line that is not whole is passed over."""
    try:
        file = open_regular(os.path.join(folder, NAMES))
    except OSError:
        return
    with file:
        for number, line in enumerate(file, 1):
            if number >= first and line.endswith(b"\n"):
                value, key = literal.read(line)
                yield number, value, key


class Kept:
    """The items of one stage while it runs."""

    def __init__(
        self, directory: str, stage: str, steps: int, known: int, on_way: frozenset[int] | set[int] = frozenset()
    ) -> None:
        """`known` items have numbers, and of these some are on their way. Raises OSError."""
        self.folder = folder_of(directory, stage)
        os.makedirs(self.folder, 0o700, exist_ok=True)
        self.known = known
        self.items: dict[int, Item] = {}
        self._steps = range(steps)
        self._spare: list[str] = []
        self._folder_json = _encode(self.folder)[1:-1]
        path = os.path.join(self.folder, NAMES)
        if on_way:
            for number, value, key in read_names(self.folder):
                if number in on_way:
                    item = Item(value, None if key is None else bytes.fromhex(key), literal.write(value, is_ascii=True))
                    self.items[number] = item
                    item.outputs, item.is_written = None, True  # a dead engine knew it
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._is_dirty = False
        self._cut(known)

    def _cut(self, known: int) -> None:
        """What a dead engine has written and told nobody of is written again."""
        with open(self._fd, "rb", closefd=False) as file:
            for _ in range(known):
                if not file.readline().endswith(b"\n"):
                    raise OSError(5, "names of items are missing", os.path.join(self.folder, NAMES))
            end = file.tell()
        os.ftruncate(self._fd, end)

    def add(self, values: list[tuple[Any, bytes | None]]) -> None:
        """More items have come. Raises OSError."""
        lines = []
        for value, key in values:
            self.known += 1
            text = _encode(value) if type(value) is str else literal.write(value, is_ascii=True)
            self.items[self.known] = Item(value, key, text)
            lines.append(f"[{text},null]\n" if key is None else f'[{text},"{key.hex()}"]\n')
        if lines:
            os.write(self._fd, "".join(lines).encode())
            self._is_dirty = True

    def sync(self) -> None:
        """Before the journal is made durable that speaks of them. Raises OSError."""
        if self._is_dirty:
            os.fdatasync(self._fd)
            self._is_dirty = False

    def seen(self) -> dict[str, str]:
        """Files that a watch has had, by name, with the keys of what they held: they are not had again as they are."""
        return {os.path.basename(value): key for _, value, key in read_names(self.folder) if key is not None}

    def directory(self, number: int) -> str:
        """That of an item, made if it is not there. Raises OSError."""
        path = f"{self.folder}/{number}"
        item = self.items[number]
        if not item.has_directory:
            try:
                if self._spare and not item.is_written:  # where a dead engine has made it, it may hold something
                    os.rename(self._spare.pop(), path)
                else:
                    os.mkdir(path, 0o700)
            except FileExistsError:
                pass
            except FileNotFoundError:
                os.mkdir(path, 0o700)
            item.has_directory = True
        return path

    def asked(self, number: int, step: int, attempt: int) -> str:
        """What a worker is asked of an item, as a line without its end. Raises OSError."""
        item = self.items[number]
        if not item.has_directory:
            self.directory(number)
        outputs = self.outputs(number, step)
        said = _encode(outputs) if outputs else "{}"
        return (
            f'{{"item":{item.json},"dir":"{self._folder_json}/{number}","number":{number},"attempt":{attempt},'
            f'"outputs":{said}}}'
        )

    def output(self, number: int, step: int) -> str:
        """The `STAGEBOOK_OUTPUT` file of a step for an item."""
        return f"{self.folder}/{number}.{step}.out"

    def outputs(self, number: int, before: int) -> dict[str, str]:
        """What the steps before that one have said of themselves for an item."""
        item = self.items[number]
        if item.outputs is None:
            item.outputs = {}
            for step in range(before):
                item.outputs.update(said_in(self.output(number, step)))
        return item.outputs

    def say(self, number: int, step: int, outputs: dict[str, str], is_written: bool) -> None:
        """A step has said something of itself. What is only in memory is written for a resume. Raises OSError."""
        item = self.items[number]
        if item.outputs is not None:
            item.outputs.update(outputs)
        item.is_written = item.is_written or is_written
        if outputs and not is_written and step + 1 < len(self._steps):
            item.is_written = True
            with open(self.output(number, step), "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write("".join(f"{name}={value}\n" for name, value in outputs.items()))

    def unsay(self, number: int, step: int) -> None:
        """A call that went wrong has said nothing."""
        try:
            os.unlink(self.output(number, step))
        except OSError:
            pass  # it is not there, or is no file

    def hide(self, mask: Mask) -> None:
        """What calls of a dead engine have said is as they said it, until now."""
        for name in os.listdir(self.folder):
            if name.endswith(".out"):
                hide(os.path.join(self.folder, name), mask)

    def done(self, numbers: list[int]) -> list[bytes]:
        """These items went well, and nothing is kept of them; the keys of those that have one."""
        keys = []
        for number in numbers:
            item = self.over(number)
            if item is not None:
                self._vacate(f"{self.folder}/{number}")
                if item.key is not None:
                    keys.append(item.key)
        return keys

    def over(self, number: int) -> Item | None:
        """An item is on its way no longer; its directory stays."""
        item = self.items.pop(number, None)
        if item is not None and item.is_written:
            for step in self._steps:
                self.unsay(number, step)
        return item

    def _vacate(self, path: str) -> None:
        if len(self._spare) < SPARE_MAX and _is_empty(path):
            self._spare.append(path)
        else:
            _remove(path)

    def tidy(self, is_dead: Callable[[int], bool]) -> None:
        """Nothing is kept of items that a dead engine had done; what is not empty of an item that failed for good is.
        What cannot be removed stays. Nothing runs. Raises OSError."""
        for name in os.listdir(self.folder):
            number, _, rest = name.partition(".")
            if name in (NAMES, LISTED, PRINTED) or (number.isdigit() and int(number) in self.items):
                continue
            path = f"{self.folder}/{name}"
            if rest or not number.isdigit() or _is_empty(path) or not is_dead(int(number)):
                _remove(path)

    def unlist(self) -> None:
        """What was listed for the run was so before its file was changed. Raises OSError."""
        for name in (LISTED, PRINTED):
            with suppress(FileNotFoundError):
                os.unlink(f"{self.folder}/{name}")

    def close(self) -> None:
        """No call runs any more."""
        for path in self._spare:
            try:
                os.rmdir(path)
            except OSError:
                pass  # whoever put something there after the end of an item may keep it
        self._spare = []
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _is_empty(path: str) -> bool:
    """Of a directory; no other thing is."""
    try:
        return not os.listdir(path)
    except OSError:
        return False


def _remove(path: str) -> None:
    from stagebook.isolate.workspace import remove

    remove(path)


def said_in(path: str) -> dict[str, str]:
    """The `name=value` lines of a file, as stages write them; empty where there is none."""
    from stagebook.condition import outputs

    if not os.path.exists(path):
        return {}
    return {name: value for name, value in outputs.read(path)[0].items() if name.upper() not in RESERVED}
