"""A pipeline as it was: at a git revision, or in another file. Asks git for the bytes; nothing is checked out."""

from __future__ import annotations

import os

from stagebook.formats.load import FOREIGN, load, parse
from stagebook.formats.native.read import BYTES_MAX, bytes_of
from stagebook.formats.request import NOTHING, Request
from stagebook.model.pipeline import Pipeline
from stagebook.model.problem import InputError, Problem
from stagebook.record.state import git_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.condition.git import Git


def pipeline_at(
    base: str, file: str, request: Request = NOTHING, as_: str | None = None, is_new_fine: bool = False
) -> Pipeline | None:  # fmt: skip
    """The pipeline of `file` at the revision `base`, or the one in the file `base` where there is such a file; of a CI
    system's file as `request` says; `as_`: the format of what git has. None where `is_new_fine`
    and there was no such file yet.

    Raises InputError: no such revision, no such file in it, git says nothing, or what is there is no pipeline.
    """
    if os.path.isfile(base):
        return load(base, None, request)
    from stagebook.condition.git import Git, Silent

    folder, name = os.path.split(file)
    git = Git(folder, os.environ)
    try:
        named = git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
        if named.code:
            why = "git knows no such revision, and there is no such file"
            raise InputError(f"--diff {base}: {why}")
        answer = git.ask("cat-file", "blob", f"{named.line}:./{name}", most=BYTES_MAX + 1)
    except Silent as silent:
        raise InputError(f"--diff {base}: there is no such file, and no revision can be asked for: {silent}") from None
    except ValueError:
        raise InputError(f"--diff {base!r}: that is no name of a revision") from None
    if answer.code and is_new_fine:
        return None
    if answer.code or answer.is_cut or len(answer.out) > BYTES_MAX:
        why = f"has no {name} that can be read" if answer.code else "is larger than 16 MiB"
        raise InputError(
            f"--diff {base}: {name} at that revision {why}" if not answer.code else f"--diff {base}: {base} {why}"
        )
    pipeline, found = parse(answer.out, file, request, as_)
    if pipeline is None or pipeline.files or pipeline.missing:
        pipeline, found = _with_its_files(git, named.line, file, request, as_) or (pipeline, found)
    if pipeline is None:
        errors = [each for each in found if each.level == "error"]
        first = f", the first on line {errors[0].line}: {errors[0].message}" if errors else ""
        count = f"{len(errors)} error{'s' if len(errors) != 1 else ''}"
        raise InputError(f"--diff {base}: {name} at that revision is no pipeline: {count}{first}")
    return pipeline


def _with_its_files(
    git: Git, revision: str, file: str, request: Request, as_: str | None
) -> tuple[Pipeline | None, tuple[Problem, ...]] | None:
    """The same with what it includes, or calls, as that was too; None of a native file, and outside of git."""
    root = git_root(os.path.dirname(file))
    if root is None or as_ not in FOREIGN:
        return None
    from stagebook.cli.revision_tree import tree
    from stagebook.condition.git import Silent

    try:
        with tree(git, revision, root) as folder:
            path = os.path.join(folder, os.path.relpath(file, root))
            return parse(bytes_of(path, path), path, request, as_)
    except (Silent, OSError):
        return None
