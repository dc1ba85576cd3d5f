"""What a stage's commands name of what one that it needs makes: a declared output, a file that the other's command
writes, or a path that ends in a word which the other was given (`sh bring.sh staging`, then `.work/staging`). Pure:
told by words, so it speaks for an order and never against one.
"""

from __future__ import annotations

import re

from stagebook.graph.coupling import COMMAND_MAX, joined, written
from stagebook.model.globs import Globs, is_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.model.pipeline import Stage

WORDS_MAX = 100  #: of one stage
_NAME_MIN = 3  #: shorter words are the same by chance

_word = re.compile(r"[\w./@+%-]+")
_file = re.compile(r"\w\.[A-Za-z]\w*$")
_KINDS = frozenset(("run", "cmd", "each", "generate", "split"))


class Names:
    """Keeps what has been found of each stage: of a matrix all cells say much the same."""

    def __init__(self) -> None:
        self._words: dict[object, tuple[frozenset[str], frozenset[str], frozenset[str]]] = {}

    def of(self, need: Stage, stage: Stage) -> str | None:
        """The path that the stage names and the need makes; None where there is none."""
        _, paths, own = self._said(stage)
        paths -= own
        if not paths:
            return None
        words, _, made = self._said(need)
        if found := paths & made:
            return min(found)
        literal = {output.path.removeprefix("./").rstrip("/") for output in need.outputs if is_path(output.path)}
        if found := paths & literal:
            return min(found)
        if need.outputs and (first := Globs(output.path for output in need.outputs).first(sorted(paths))):
            return first
        if stage.inputs and need.outputs:  # they say themselves what passes between them
            return None
        given = {word for word in (*words, need.name) if len(word) >= _NAME_MIN}
        return min([path for path in paths if "/" in path and path.rpartition("/")[2] in given], default=None)

    def _said(self, stage: Stage) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        """Words, those of them that look like paths, and the paths that it writes; of paths, from the file's folder."""
        texts = _texts(stage)
        key = texts, stage.dir
        known = self._words.get(key)
        if known is None:
            text = "\n".join(texts)[:COMMAND_MAX]
            words = _word.findall(text)[:WORDS_MAX]
            folder = stage.dir or "."
            paths = [joined(folder, word).rstrip("/") for word in words if _looks_like_a_path(word)]
            made = [joined(folder, path) for path in written(text)]
            known = self._words[key] = frozenset(words), frozenset(paths), frozenset(made)
        return known


def _texts(stage: Stage) -> tuple[str, ...]:
    if stage.kind not in _KINDS:
        return ()
    commands = [step.command for step in stage.each.steps] if stage.each is not None else [stage.command]
    return tuple([each if isinstance(each, str) else " ".join(each) for each in commands])


def _looks_like_a_path(word: str) -> bool:
    """A name with an ending, or with folders; no option and no number."""
    return word[0] not in "-/" and (bool(word.strip("./")) if "/" in word else _file.search(word) is not None)
