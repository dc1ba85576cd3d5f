"""The chain: what is appended holds, and whatever happens to it afterwards is found."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.approval import audit
from stagebook.approval.audit import Entry
from stagebook.model.problem import SurroundingsError
from stagebook.record import faults


def filled(folder: Path, count: int = 5) -> list[str]:
    return [
        audit.append(str(folder), Entry("approved", f"p{at}", {"via": "command", "uid": at}, "01RUN", "ship", "d"))
        for at in range(count)
    ]


def test_entries_are_read_as_they_were_written_and_follow_each_other(tmp_path: Path) -> None:
    hashes = filled(tmp_path)
    chain = audit.read(str(tmp_path))
    assert (chain.fault, chain.torn_bytes) == (None, 0)
    assert [entry["hash"] for entry in chain.entries] == hashes
    assert [entry["previous"] for entry in chain.entries] == [audit.FIRST, *hashes[:-1]]
    assert [entry["n"] for entry in chain.entries] == [1, 2, 3, 4, 5]
    assert chain.entries[2]["from"] == {"via": "command", "uid": 2}
    assert (tmp_path / audit.NAME).stat().st_mode & 0o777 == 0o600


def test_nothing_there_is_an_empty_chain(tmp_path: Path) -> None:
    assert audit.read(str(tmp_path)).entries == []


@given(st.data())
def test_any_change_of_any_byte_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("chain")
    filled(folder, 3)
    path = folder / audit.NAME
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 2))  # the last newline alone is what a crash may take
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    chain = audit.read(str(folder))
    line = content[:at].count(b"\n") + 1
    assert chain.fault is not None or chain.torn_bytes
    if chain.fault is not None:
        assert chain.fault.line <= line
        assert len(chain.entries) == chain.fault.line - 1


@pytest.mark.parametrize("line", [0, 1, 3])
def test_a_line_taken_out_doubled_or_moved_is_found_at_its_place(line: int, tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / audit.NAME
    lines = path.read_bytes().splitlines(keepends=True)
    for changed in (
        [*lines[:line], *lines[line + 1 :]],
        [*lines[: line + 1], *lines[line:]],
        [*lines[:line], lines[line + 1], lines[line], *lines[line + 2 :]],
    ):
        path.write_bytes(b"".join(changed))
        fault = audit.read(str(tmp_path)).fault
        assert fault is not None
        assert fault.line in (line + 1, line + 2)
        assert fault.offset == sum(map(len, changed[: fault.line - 1]))


def test_a_cut_off_end_is_found_by_the_hashes_that_journals_hold(tmp_path: Path) -> None:
    hashes = filled(tmp_path)
    path = tmp_path / audit.NAME
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    chain = audit.read(str(tmp_path))
    assert chain.fault is None, "a chain cannot tell by itself"
    assert audit.missing(chain, hashes) == hashes[3:]


@pytest.mark.parametrize("kept", [1, 40, -2])
def test_a_torn_last_line_is_told_and_the_chain_goes_on(kept: int, tmp_path: Path) -> None:
    hashes = filled(tmp_path, 3)
    path = tmp_path / audit.NAME
    *whole, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole) + last[:kept])
    chain = audit.read(str(tmp_path))
    assert (len(chain.entries), chain.fault, chain.torn_bytes) == (2, None, len(last[:kept]))
    new = audit.append(str(tmp_path), Entry("rejected", "ann"))
    chain = audit.read(str(tmp_path))
    assert (chain.fault, chain.torn_bytes) == (None, 0)
    repaired, rejected = chain.entries[2:]
    assert (repaired["what"], repaired["cut_bytes"], repaired["previous"]) == ("repaired", len(last[:kept]), hashes[1])
    assert (rejected["what"], rejected["hash"]) == ("rejected", new)


def test_a_line_that_lacks_its_newline_only_is_kept(tmp_path: Path) -> None:
    hashes = filled(tmp_path, 2)
    path = tmp_path / audit.NAME
    path.write_bytes(path.read_bytes()[:-1])
    audit.append(str(tmp_path), Entry("rejected", "ann"))
    chain = audit.read(str(tmp_path))
    assert [entry["hash"] for entry in chain.entries][:2] == hashes
    assert chain.fault is None


def test_a_torn_first_line_is_told_too(tmp_path: Path) -> None:
    (tmp_path / audit.NAME).write_bytes(b'{"v":1,"n":1')
    audit.append(str(tmp_path), Entry("approved", "ann"))
    assert [entry["what"] for entry in audit.read(str(tmp_path)).entries] == ["repaired", "approved"]


def test_after_a_changed_end_the_chain_goes_on_and_the_change_stays_found(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    path = tmp_path / audit.NAME
    path.write_bytes(path.read_bytes().replace(b'"by":"p2"', b'"by":"p9"'))
    audit.append(str(tmp_path), Entry("approved", "ann"))
    chain = audit.read(str(tmp_path))
    assert chain.fault is not None
    assert (chain.fault.line, len(path.read_bytes().splitlines())) == (3, 4)


def test_a_link_a_folder_and_a_pipe_are_refused_and_nothing_is_written_through_them(tmp_path: Path) -> None:
    path = tmp_path / audit.NAME
    target = tmp_path / "target"
    target.write_text("mine\n")
    path.symlink_to(target)
    for act in (lambda: audit.append(str(tmp_path), Entry("approved")), lambda: audit.read(str(tmp_path))):
        with pytest.raises(SurroundingsError, match="is a link"):
            act()
    assert target.read_text() == "mine\n"
    path.unlink()
    os.mkfifo(path)
    for act in (lambda: audit.append(str(tmp_path), Entry("approved")), lambda: audit.read(str(tmp_path))):
        with pytest.raises(SurroundingsError, match="no regular file"):
            act()


def test_what_could_not_be_written_leaves_the_chain_as_it_was(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    before = (tmp_path / audit.NAME).read_bytes()
    faults.arm("audit.append:1:ENOSPC")
    try:
        with pytest.raises(SurroundingsError, match="No space left"):
            audit.append(str(tmp_path), Entry("approved"))
    finally:
        faults.arm(None)
    assert (tmp_path / audit.NAME).read_bytes() == before


APPEND = """
import sys
from stagebook.approval.audit import Entry, append
for at in range(int(sys.argv[2])):
    append(sys.argv[1], Entry("refused", f"p{at}", {"via": "link"}, "01RUN", "ship", "d", "used", "x" * 50))
"""


def test_a_disk_that_is_full_half_way_through_a_line_leaves_whole_lines(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    limit = (tmp_path / audit.NAME).stat().st_size + 100
    done = subprocess.run(
        [sys.executable, "-c", APPEND, str(tmp_path), "1"], stderr=subprocess.PIPE, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert b"SurroundingsError" in done.stderr
    chain = audit.read(str(tmp_path))
    assert (len(chain.entries), chain.fault, chain.torn_bytes) == (2, None, 0)


def test_many_writers_at_once_make_one_chain(tmp_path: Path) -> None:
    command = [sys.executable, "-c", APPEND, str(tmp_path), "25"]
    for writer in [subprocess.Popen(command) for _ in range(4)]:
        assert writer.wait(60) == 0
    chain = audit.read(str(tmp_path))
    assert (chain.fault, len(chain.entries)) == (None, 100)


@given(st.text(max_size=3000), st.text(max_size=3000), st.dictionaries(st.text(), st.text(), max_size=15))
def test_whatever_is_said_is_one_line_of_limited_length_that_holds(
    tmp_path_factory: pytest.TempPathFactory, by: str, comment: str, origin: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("chain")
    for _ in range(2):
        audit.append(str(folder), Entry("approved", by, origin, by, by, by, by, comment, comment))
    data = (folder / audit.NAME).read_bytes()
    chain = audit.read(str(folder))
    assert (chain.fault, chain.torn_bytes, len(chain.entries)) == (None, 0, 2)
    assert data.count(b"\n") == 2
    assert len(data) < 2 * audit.LINE_MAX
    assert json.loads(data.splitlines()[0])["by"][:900] == by[:900]


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"7", b'{"v":1}', b'{"v":2,"n":1}', b'{"v":1,"n":"1","at":"","what":"","previous":""}',
        b'{"v":1,"n":1,"at":"","what":"","run":7,"previous":""}',
        b'{"v":1,"n":1,"at":"","what":"","from":[],"previous":""}', b"[" * 5000,
    ],
    ids=range(8),
)  # fmt: skip
def test_a_line_with_a_right_hash_that_is_no_entry_is_a_fault(body: bytes, tmp_path: Path) -> None:
    body = body.replace(b'"previous":""', b'"previous":"%b"' % audit.FIRST.encode())[:-1]
    (tmp_path / audit.NAME).write_bytes(
        b'%b,"hash":"%b"}\n' % (body, blake2b(body, digest_size=32).hexdigest().encode())
    )
    fault = audit.read(str(tmp_path)).fault
    assert fault is not None
    assert (fault.line, fault.why.startswith("it is")) == (1, True)
    audit.append(str(tmp_path), Entry("approved", "ann"))
    assert audit.read(str(tmp_path)).fault == fault, "it goes on, and the fault stays where it was"
