"""`stagebook cache ls`, `verify`, `restore`: what is kept of outputs, whether it is whole, and putting it back."""

from __future__ import annotations

import os
import sys
import time

from stagebook.cli import output, place
from stagebook.cli.words import nearest, usage_error
from stagebook.model import quantity
from stagebook.model.problem import FAILED, OK, SurroundingsError
from stagebook.record.clock import stamp
from stagebook.report import cache as report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from stagebook.artifact.paths import Folders

EXAMPLE = """
stagebook cache ls
stagebook cache verify --json
stagebook cache restore build
stagebook cache restore build --set-aside last"""

_SILENT_S = 1.0


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "action", metavar="ls|verify|restore",
        help="list what is kept; read all of it and remove the damaged; put back what a stage last made",
    )  # fmt: skip
    parser.add_argument("stage", nargs="?", metavar="STAGE", help="restore: whose outputs")
    parser.add_argument(
        "--set-aside", metavar="RUN", help="restore: what attempts of the stage left in this run that did not succeed"
    )
    parser.add_argument("--force", action="store_true", help="restore --set-aside: also over what stands there")


def execute(args: Namespace) -> int:
    """0; for `verify` 1 where something was damaged, for `restore` where something could not be put back."""
    actions = {"ls": _list, "verify": _verify, "restore": _restore}
    action = actions.get(args.action)
    if action is None:
        near = nearest(args.action, list(actions))
        raise usage_error(
            f"unknown argument '{args.action}'", f"did you mean '{near}'?" if near else "ls, verify or restore"
        )
    if (args.stage is not None) != (args.action == "restore"):
        raise usage_error("restore needs a STAGE" if args.stage is None else f"`cache {args.action}` takes no STAGE")
    if args.set_aside is None and args.force:
        raise usage_error("--force belongs to `cache restore STAGE --set-aside RUN`")
    if args.set_aside is not None:
        if action is not _restore:
            raise usage_error(f"`cache {args.action}` takes no --set-aside")
        return _put_back(args)
    return action(args)


def _list(args: Namespace) -> int:
    from stagebook.artifact import state
    from stagebook.artifact.store import Store

    folder = os.path.join(place.state_directory(args), "cache")
    limit = quantity.size_bytes(args.settings.cache_limit)
    named = state.named(folder)
    now = time.time()
    objects: list[dict[str, Any]] = []
    for entry in sorted(Store(folder).entries(), key=lambda entry: (-entry.used, entry.digest)):
        stage, path = named.get(entry.digest, (None, None))
        objects.append({
            "digest": entry.digest,
            "size_bytes": entry.size,
            "used": stamp(int(entry.used * 1e6)),
            "age_s": round(max(0.0, now - entry.used), 3),
            "stage": stage,
            "path": path,
        })  # fmt: skip
    document = {
        "objects": objects,
        "size_bytes": sum(each["size_bytes"] for each in objects),
        "limit_bytes": limit,
    }
    if args.json:
        output.say_json(document)
    else:
        output.say(report.listing(document, output.style_for(sys.stdout, args)))
    return OK


def _verify(args: Namespace) -> int:
    from stagebook.artifact.store import Store

    folder = os.path.join(place.state_directory(args), "cache")
    try:
        found = Store(folder).verify(None if args.quiet else _Progress())
    except OSError as error:
        raise SurroundingsError(f"cannot remove {error.filename}: {error.strerror}") from None
    document = {
        "objects": found.objects,
        "size_bytes": found.size,
        "damaged": [{"digest": digest, "got": got} for digest, got in found.damaged.items()],
    }
    if args.json:
        output.say_json(document)
    elif not args.quiet or found.damaged:
        output.say(report.verified(document, output.style_for(sys.stdout, args)))
    return FAILED if found.damaged else OK


def _restore(args: Namespace) -> int:
    """Put the outputs of a stage's last success back where they were, but for those that are whole."""
    from stagebook.artifact.digest import hash_files
    from stagebook.artifact.paths import Unsound
    from stagebook.artifact.state import State, named
    from stagebook.artifact.store import Store

    file = place.pipeline_file(args)
    folder, root = place.cache_directory(args, file), os.path.dirname(os.path.abspath(file))
    last = State(folder, file).last(args.stage)
    if last is None or not last.outputs:
        near = nearest(args.stage, [stage for stage, _ in named(folder).values()])
        hint = f"did you mean '{near}'?" if near else "stagebook cache ls shows what is kept"
        raise usage_error(f"no success of a stage '{args.stage}' that made anything is on record", hint)
    store = Store(folder)
    for wanted in last.outputs:
        if store.is_odd(wanted.digest):
            path = store.path(wanted.digest)
            raise SurroundingsError(
                f"{path} is no regular file, as all that is kept is; stagebook cache verify removes it"
            )
    files = []
    for wanted in last.outputs:
        try:
            is_whole = [found.digest for found in hash_files(root, [wanted.path])] == [wanted.digest]
        except (Unsound, OSError):
            is_whole = False
        why = None if is_whole else store.get(root, wanted)
        files.append(
            {"path": wanted.path, "size_bytes": wanted.size, "restored": not is_whole and why is None, "why": why}
        )
    document = {"stage": args.stage, "run": last.run, "files": files}
    if args.json:
        output.say_json(document)
    else:
        output.say(report.restored(document, output.style_for(sys.stdout, args)))
    return FAILED if any(each["why"] for each in files) else OK


def _put_back(args: Namespace) -> int:
    """Put back what attempts of a stage left in a run, of each path the latest; over something only with --force."""
    from stagebook.artifact.paths import Folders
    from stagebook.record import runs, set_aside

    directory = place.run_directory(args, args.set_aside)
    document = runs.document(directory)
    latest: dict[str, set_aside.Entry] = {}
    for entry in set_aside.entries(directory, [args.stage]):
        latest.setdefault(entry.path, entry)
    if not latest:
        others = sorted({each["stage"] for each in document["set_aside"]})
        hint = f"set aside there: {', '.join(others)}" if others else "nothing is set aside in that run"
        raise usage_error(f"run {document['run']} has nothing set aside of a stage '{args.stage}'", hint)
    root = os.path.dirname(os.path.abspath(document["file"]))
    files = []
    with Folders(root) as folders:
        for path, entry in sorted(latest.items()):
            try:
                why = _copied_back(folders, entry.at, path, args.force)
            except OSError as error:
                why = error.strerror or str(error)
            files.append({"path": path, "size_bytes": entry.bytes, "restored": why is None, "why": why})
    told = {"stage": args.stage, "run": document["run"], "files": files}
    if args.json:
        output.say_json(told)
    else:
        output.say(report.restored(told, output.style_for(sys.stdout, args)))
    return FAILED if any(each["why"] for each in files) else OK


def _copied_back(folders: Folders, source: str, path: str, is_forced: bool) -> str | None:
    """Copy a file, or a link as a link, to where it lay; why not, else None. No link is followed. Raises OSError."""
    import shutil
    import stat

    folders.make(path)
    folder, name = folders.of(path)
    status = os.lstat(source)
    try:
        there: os.stat_result | None = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        there = None
    if there is not None and (not is_forced or stat.S_ISDIR(there.st_mode)):
        return "something stands there" + ("; --force replaces it" if not is_forced else ", a folder")
    draft = f".{os.getpid()}.{time.time_ns():x}.stagebook"
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), draft, dir_fd=folder)
    elif stat.S_ISREG(status.st_mode):
        with open(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as held:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
            with open(fd, "wb") as out:
                shutil.copyfileobj(held, out)
    else:
        return "it is neither a file nor a link"
    try:
        if is_forced:
            os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
        else:
            os.link(draft, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    finally:
        try:
            os.unlink(draft, dir_fd=folder)
        except FileNotFoundError:
            pass
    return None


class _Progress:
    """Says on standard error how far it is, once a second from the first on."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _SILENT_S
        self._is_terminal = sys.stderr.isatty()

    def __call__(self, files: int, size: int, total: int) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _SILENT_S
        text = f"verified {files} objects, {size * 100 // max(1, total)} %"
        from stagebook.cli.streams import complain

        complain(f"\r{text}" + ("\r\n" if size >= total else "") if self._is_terminal else f"{text}\n")
