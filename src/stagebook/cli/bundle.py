"""`stagebook bundle RUN`: what somebody else needs to look into a run, in one archive, without secrets or artifacts.

The journal stays one that Stagebook reads: lines from which something was taken out are sealed anew.
"""

from __future__ import annotations

import io
import json
import os
import sys
from zlib import crc32

from stagebook import __version__
from stagebook.cli import doctor, output, place, redaction, settings
from stagebook.model.problem import InputError, SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record import reader, retelling, runs, state
from stagebook.record.line import BrokenLine, decode
from stagebook.report.durations import size
from stagebook.report.harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, BinaryIO, Iterator

    from stagebook.record.mask import Mask

EXAMPLE = """
stagebook bundle last
stagebook bundle last -o bug.tar.gz --json"""

JOURNAL_MAX = 64 << 20
LOG_MAX = 128 << 10
LOGS_MAX = 32 << 20  #: of all logs together; those of what did not succeed come first
PIPELINE_MAX = 16 << 20
GROWTH_MAX = 1 << 20

_README = """\
A run of Stagebook, for whoever looks into a bug.

Look at it before you send it: what stages printed is in logs/, the commands in stagebook.yaml and journal.jsonl.
Values of declared secrets are masked (***). What only looks like a credential is taken out ([removed]), but that is
a guess: what nobody declared, and what looks like any other text, is still there. There are no artifacts.

{members}
"""


class Member(NamedTuple):
    """One file of the archive. `left_out` are bytes of the original that are not in it."""

    name: str
    about: str
    data: bytes
    left_out: int = 0


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, its beginning, or last")
    parser.add_argument("-o", "--out", metavar="FILE", help="default: stagebook-RUN.tar.gz here; must not exist yet")


def execute(args: Namespace) -> int:
    directory = place.run_directory(args, args.run)
    run = os.path.basename(directory)
    path = args.out or f"stagebook-{run}.tar.gz"
    members, lacking = collect(args, directory)
    _write(path, run, members)
    found = [member for member in members if member.name != "README.txt"]
    if args.json:
        output.say_json({
            "run": run, "file": os.path.abspath(path), "size_bytes": os.stat(path).st_size,
            "members": [
                {"name": name, "about": about, "size_bytes": len(data), "left_out_bytes": left_out}
                for name, about, data, left_out in found
            ],
            "left_out": lacking,
        })  # fmt: skip
    elif not args.quiet:
        lines = [harmless(f"  {_row(member)}") for member in found]
        lines += [f"  not in it: {harmless(text)}" for text in lacking]
        lines += [f"{harmless(path)}, {size(os.stat(path).st_size)}; nobody but you can read it"]
        lines += [f"look at it before you send it: tar -xOzf {harmless(path)} | less"]
        style = output.style_for(sys.stdout, args)
        output.say([style.plain(line) for line in lines])
    return 0


def _row(member: Member) -> str:
    left_out = f", {size(member.left_out)} left out" if member.left_out else ""
    return f"{member.name:<28} {size(len(member.data)):>9}  {member.about}{left_out}"


def collect(args: Namespace, directory: str) -> tuple[list[Member], list[str]]:
    """What the archive holds, by name, and what could not be taken up."""
    journal = state.journal_path(directory)
    head, mask = _known(journal)
    lacking: list[str] = []
    members = [_journal(journal, mask), _versions(), _doctor(args, mask)]
    if head is not None and head.file:
        try:
            with state.open_regular(head.file) as file:
                text = file.read(PIPELINE_MAX).decode("utf-8", "surrogateescape")
            about = "the pipeline's file as it is now" + ("" if _is_same(head) else ", which the run did not have")
            data = _masked(mask, redaction.source(text).encode("utf-8", "surrogateescape"))
            members.append(Member(os.path.basename(head.file), about, data))
        except OSError as error:
            lacking.append(f"{head.file}: {error.strerror}")
    members += _logs(directory, mask, lacking)
    members.sort(key=lambda member: member.name)
    text = _README.format(members="\n".join(_row(member) for member in members))
    return [Member("README.txt", "", text.encode("utf-8", "surrogateescape")), *members], lacking


def _known(journal: str) -> tuple[retelling.Header | None, Mask | None]:
    """The journal's head, and what hides the secrets that its pipeline declares, as far as they are there now."""
    try:
        first = next(iter(reader.read(journal)), None)
        if first is None:
            return None, None
        head = retelling.header(first, journal)
        pipeline = retelling.pipeline_of(head)
    except SurroundingsError:  # damaged, which may be the very reason for the bundle
        return None, None
    if not pipeline.secrets:
        return head, None
    from stagebook.engine import secrets

    return head, secrets.mask_of(pipeline)


def _is_same(head: retelling.Header) -> bool:
    from stagebook.formats.native import cache

    with open(head.file, "rb") as file:
        return cache.digest(file.read()) == head.digest


def _masked(mask: Mask | None, data: bytes) -> bytes:
    return data if mask is None else mask.data(data)


def _journal(path: str, mask: Mask | None) -> Member:
    try:
        lines, left_out = _bounded(path, JOURNAL_MAX)
    except OSError as error:
        raise SurroundingsError(f"cannot read {path}: {error.strerror}") from None
    data = b"".join(_sealed(line, mask) for line in lines.splitlines(keepends=True))
    return Member("journal.jsonl", "the record, with credentials taken out of plan and parameters", data, left_out)


def _sealed(line: bytes, mask: Mask | None) -> bytes:
    """A line of a journal with a checksum that fits what is left of it; one that is broken is text like any other."""
    try:
        record = decode(line)
    except BrokenLine:
        text = redaction.source(line.decode("utf-8", "surrogateescape"))
        return _masked(mask, text.encode("utf-8", "surrogateescape"))
    cleaned = redaction.value(record)
    if cleaned == record and (mask is None or mask.first(line) is None):
        return line
    body = json.dumps(cleaned, separators=(",", ":"))[:-1]
    if mask is not None:
        body = mask.json_text(body + "}")[:-1]
    sealed = body.encode()
    return b'%b,"crc":"%08x"}\n' % (sealed, crc32(sealed))


def _versions() -> Member:
    from importlib import metadata

    names = ("PyYAML", "cel-python", "google-re2", "watchfiles", "blake3", "SQLAlchemy", "alembic")
    parts: dict[str, str | None] = {}
    for name in names:
        try:
            parts[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            parts[name] = None
    system = os.uname()
    document = {
        "stagebook": __version__, "python": sys.version, "system": f"{system.sysname} {system.release}",
        "machine": system.machine, "parts": parts,
    }  # fmt: skip
    return Member("versions.json", "of Stagebook, Python, system and libraries", _json(document))


def _doctor(args: Namespace, mask: Mask | None) -> Member:
    document = {
        "settings": [
            {"name": name, "value": redaction.value(args.settings.value(name)), "origin": str(origin)}
            for name in settings.KNOWN
            for origin in [args.settings.origins[name]]
        ],
        "probes": [probe(args)._asdict() for probe in doctor.PROBES],
    }
    return Member("doctor.json", "what `stagebook doctor` says here", _masked(mask, _json(document)))


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()


def _logs(directory: str, mask: Mask | None, lacking: list[str]) -> Iterator[Member]:
    """Heads and tails of logs, those of attempts that did not succeed first, until there are enough."""
    folder = state.logs_directory(directory)
    room = LOGS_MAX
    names = _by_weight(directory)
    try:
        there = os.listdir(folder)
    except OSError as error:
        lacking.append(f"{folder}: {error.strerror}")
        return
    left = 0
    for name in sorted(there, key=lambda name: (names.get(name, 1), name)):
        try:
            data, left_out = _bounded(os.path.join(folder, name), GROWTH_MAX if name == "growth" else LOG_MAX)
        except OSError as error:
            lacking.append(f"logs/{name}: {error.strerror}")
            continue
        room -= len(data)
        if room < 0:
            left += 1
            continue
        text = redaction.printed(data.decode("utf-8", "surrogateescape"))
        about = "when which log grew" if name == "growth" else "what it printed"
        yield Member(f"logs/{name}", about, _masked(mask, text.encode("utf-8", "surrogateescape")), left_out)
    if left:
        lacking.append(f"{left} logs: those that are here take {size(LOGS_MAX)} already")


def _by_weight(directory: str) -> dict[str, int]:
    """0 for logs of attempts that did not succeed."""
    try:
        document = runs.document(directory)
    except SurroundingsError:
        return {}
    return {
        os.path.basename(attempt["log"]): int(attempt["outcome"] == "success")
        for stage in document["stages"]
        for attempt in stage["attempts"]
        if attempt["log"]
    }


def _bounded(path: str, most: int) -> tuple[bytes, int]:
    """A file, or its head and its tail in whole lines with a line between them that says how much is left out."""
    with state.open_regular(path) as file:
        length = os.fstat(file.fileno()).st_size
        if length <= most:
            return file.read(most), 0
        head = file.read(most // 2)
        file.seek(length - most // 2)
        tail = file.read(most // 2)
    head = head[: head.rfind(b"\n") + 1] or head
    tail = tail[tail.find(b"\n") + 1 :] or tail
    left_out = length - len(head) - len(tail)
    return head + b"[stagebook: %d bytes left out here]\n" % left_out + tail, left_out


def _write(path: str, run: str, members: list[Member]) -> None:
    """The archive, the same for the same content; nothing is overwritten."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise InputError(f"{path} is there already; name another with -o, or remove it") from None
    except OSError as error:
        raise SurroundingsError(f"cannot write {path}: {error.strerror}") from None
    try:
        with open(descriptor, "wb") as file:
            _archive(file, run, members)
    except BaseException as error:
        os.unlink(path)
        if isinstance(error, OSError):
            raise SurroundingsError(f"cannot write {path}: {error.strerror}") from None
        raise


def _archive(file: BinaryIO, run: str, members: list[Member]) -> None:
    import gzip
    import tarfile

    with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed, tarfile.open(
        fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape"
    ) as archive:  # fmt: skip
        for member in members:
            entry = tarfile.TarInfo(f"stagebook-{run}/{member.name}")
            entry.size = len(member.data)
            entry.mode = 0o600
            archive.addfile(entry, io.BytesIO(member.data))
