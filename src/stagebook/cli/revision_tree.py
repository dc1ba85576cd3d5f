"""The YAML files of a git revision in a folder of their own, for a pipeline that is made of several. Only those that
differ from the work tree are asked of git; nothing is checked out."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from hashlib import new

from stagebook.model.problem import InputError
from stagebook.record.state import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from stagebook.condition.git import Git

FILES_MAX = 3000
ASKED_MAX = 300  #: of those that differ
BYTES_MAX = 4 << 20  #: of one
_LIST_MAX = 32 << 20


@contextmanager
def tree(git: Git, revision: str, root: str) -> Iterator[str]:
    """A folder that has the `.yml` and `.yaml` files of `revision` where they lie below `root`, which is a work tree,
    and that git takes for another work tree of it. It is gone afterwards. InputError where there are too many."""
    listed = git.ask("ls-tree", "-r", "-z", "--full-tree", revision, most=_LIST_MAX)
    files = [] if listed.code or listed.is_cut else list(_files(listed.out))
    if len(files) > FILES_MAX:
        raise InputError(f"the revision has {len(files)} YAML files, more than {FILES_MAX}: too many to look through")
    with tempfile.TemporaryDirectory(prefix="stagebook-") as folder:
        with open(os.path.join(folder, ".git"), "w", encoding="utf-8") as file:
            file.write(f"gitdir: {_git_folder(root)}\n")
        asked = 0
        for name, blob in files:
            data = _same(os.path.join(root, name), blob)
            if data is None:
                asked += 1
                if asked > ASKED_MAX:
                    raise InputError(f"more than {ASKED_MAX} YAML files differ from that revision: too many to look at")
                answer = git.ask("cat-file", "blob", blob, most=BYTES_MAX)
                if answer.code or answer.is_cut:
                    continue
                data = answer.out
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as out:
                out.write(data)
        yield folder


def _files(listed: bytes) -> Iterator[tuple[str, str]]:
    """Name and blob of each regular file of YAML."""
    for entry in listed.split(b"\0"):
        about, _, name = entry.partition(b"\t")
        words = about.split()
        if len(words) == 3 and words[0].startswith(b"100") and name.endswith((b".yml", b".yaml")):
            text = os.fsdecode(name)
            if not text.startswith("/") and ".." not in text.split("/") and ".git" not in text.split("/"):
                yield text, words[2].decode("ascii")


def _same(path: str, blob: str) -> bytes | None:
    """What the work tree has, if that is the very same."""
    try:
        with open_regular(path) as file:
            data = file.read(BYTES_MAX + 1)
    except OSError:
        return None
    made = new("sha1" if len(blob) == 40 else "sha256", b"blob %d\0" % len(data), usedforsecurity=False)
    made.update(data)
    return data if made.hexdigest() == blob else None


def _git_folder(root: str) -> str:
    path = os.path.join(root, ".git")
    if os.path.isdir(path):
        return os.path.realpath(path)
    with open_regular(path) as file:
        said = os.fsdecode(file.read(4096)).removeprefix("gitdir:").strip()
    return os.path.realpath(os.path.join(root, said))
