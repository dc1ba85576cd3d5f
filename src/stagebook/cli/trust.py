"""Whether a file of somebody else may run commands here: asked once for each content, and remembered where only the
user can write. A digest stands for the file and all that it was made of.
"""

from __future__ import annotations

import os
import stat
import sys

from stagebook.formats.load import FOREIGN
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import InputError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


def require(args: Any, pipeline: Pipeline) -> None:
    """Ask, unless it is known, `--yes` says so, or it is the user's own format. InputError where it may not run."""
    if pipeline.format not in FOREIGN:
        return
    folder = directory(os.environ)
    name = digest(pipeline)
    if folder is not None and _is_known(folder, name):
        return
    if not args.yes and not _asked(args, pipeline):
        raise InputError(f"{pipeline.file} is not trusted, nothing was run")
    if folder is not None:
        _remember(folder, name, pipeline.file)


def digest(pipeline: Pipeline) -> str:
    """Of the content of all files that the pipeline was made of, wherever they lie, and of the commands that stand for
    its images, which a checkout may bring along."""
    import json
    from hashlib import blake2b

    found = blake2b(digest_size=32)
    found.update(f"{pipeline.format}\0{pipeline.digest}\0".encode())
    for path, held in sorted(pipeline.files.items()):
        found.update(f"{os.path.basename(path)}\0{held}\0".encode("utf-8", "surrogateescape"))
    images = pipeline.local.get("images")
    if images:
        found.update(json.dumps(images, sort_keys=True).encode())
    return found.hexdigest()


def directory(environ: Mapping[str, str]) -> str | None:
    """Where what is trusted is remembered: a file for each digest. None where the user has no home."""
    base = environ.get("XDG_STATE_HOME") or ""
    if not base.startswith("/"):
        home = environ.get("HOME") or ""
        if not home.startswith("/"):
            return None
        base = os.path.join(home, ".local", "state")
    return os.path.join(base, "stagebook", "trusted")


def _is_known(folder: str, name: str) -> bool:
    """Only what the user wrote counts, in a folder where nobody else can write."""
    try:
        above, found = os.stat(folder), os.lstat(os.path.join(folder, name))
    except OSError:
        return False
    is_own = above.st_uid == found.st_uid == os.geteuid() and stat.S_ISREG(found.st_mode)
    return is_own and not above.st_mode & 0o022


def _remember(folder: str, name: str, file: str) -> None:
    """It is asked again where it cannot be remembered."""
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        fd = os.open(
            os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            os.write(fd, os.fsencode(file) + b"\n")
        finally:
            os.close(fd)
    except OSError:
        pass


def _asked(args: Any, pipeline: Pipeline) -> bool:
    if args.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        from shlex import quote

        file = os.path.relpath(pipeline.file)
        text = (
            f"{pipeline.file} has not been trusted yet: its jobs would run on this machine, as you. Read it, then say "
            f"so once: stagebook run {quote(file)} --yes"
        )
        raise InputError(text, [Problem(pipeline.file, 0, 0, "trust", "error", text)])
    from stagebook.cli import output
    from stagebook.report.harmless import harmless

    jobs = sum(stage.job is not None for stage in pipeline.stages)
    made_of = f", made of {len(pipeline.files) + 1} files" if pipeline.files else ""
    some = "1 job" if jobs == 1 else f"{jobs} jobs"
    output.say([f"{harmless(pipeline.file)}{made_of}: {some} would run on this machine, as you."], sys.stderr)
    sys.stderr.write("Trust it? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
