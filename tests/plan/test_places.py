"""What a command names, and whether what is declared is all of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.plan.planned import read

from stagebook.plan.places import Places


def why_open(
    folder: Path, command: str, inputs: str = "a.in s.py s.sh", outputs: str = "a.out", **more: str
) -> str | None:
    stage = {"run": command, "inputs": inputs.split(), "outputs": outputs.split()}
    text = f"version: 1\nstages:\n  one: {json.dumps(stage)}\n"
    return Places(read(text, str(folder / "stagebook.yaml"))).account(0).why_open


@pytest.mark.parametrize(
    "command",
    [
        "sort a.in > a.out",
        "sort -o a.out -k 2 -t , a.in",
        "cat a.in | tr a b | tee a.out",
        "test -f a.in && head -n 3 a.in > a.out 2>&1",
        "awk -F, '{print $1}' a.in > a.out",
        "grep -v '^#' a.in > a.out || true",
        "gzip -c a.in > a.out",
        "x=a; cp $x.in ${x}.out",
        "for f in a; do sort $f.in > $f.out; done  # all of them",
        "sh -c 'sort a.in > a.out'",
        "env LANG=C timeout 5 sort -o a.out a.in",
        "if [ -s a.in ]; then cp a.in a.out; fi",
        "n=$(wc -l < a.in); echo $n > a.out",
        "gcc -c a.in -o a.out",
        """python3 -c "open('a.out', 'w').write(open('a.in').read())" """,
        "sleep 1; date > /dev/null",
    ],
)
def test_a_command_that_names_only_what_is_declared_is_known(tmp_path: Path, command: str) -> None:
    assert why_open(tmp_path, command) is None


@pytest.mark.parametrize(
    "command",
    [
        "sort a.in > b.out", "cat a.in b.in > a.out", "echo >> a.in", "rm -f a.in", "touch a.in", "chmod +x a.in",
        "sed -i s/a/b/ a.in", "sed -n 'w b.out' a.in", "awk '{print > \"b\"}' a.in", "mv a.in a.out", "ln a.in b",
        "cat ~/a.in", "cat /tmp/a.in", "cat ../a.in", "cat $HOME/a.in", "PATH=.:$PATH a", "PATH=bin a", "cat a.in &",
        "nohup cat a.in", "git status", "curl localhost:80", "nc db 5432", "docker ps", "pip install a", "make a.out",
        "sudo true", "eval cat a.in", "find . -delete", "trap 'touch b' EXIT", "cat <<E\nx\nE", "f() { cat a.in; }; f",
        "cat `echo a.in`", "node s.js", "perl -e 1", "python3", "sh", ". ./.env", "cd .. && cat a.in", "tool --port 80",
        "tool --out=b.out a.in", "cat 'a.in", "sh b.sh", "python3 b.py", "./b.sh", "exec > b.out", "sqlite3 b.db .dump",
    ],
)  # fmt: skip
def test_what_is_not_declared_or_not_understood_makes_a_stage_open(tmp_path: Path, command: str) -> None:
    assert why_open(tmp_path, command) is not None


@pytest.mark.parametrize(
    ("script", "is_known"),
    [
        ("open('a.out', 'w').write(open('a.in').read())", True),
        ("from pathlib import Path\nHERE = Path(__file__).parent\n(HERE / 'a.out').write_text('x')", True),
        ("import os.path\nopen(os.path.join('.', 'a.out'), 'w')", True),
        ("for end in ('in',):\n    open(f'a.{end}')", True),
        ("print('hello, world: 1/2 is 50 %')", True),
        ("import json, re\nre.compile('x')\njson.dumps({})", True),
        ("open('b.out', 'w')", False),
        ("open('state', 'w')", False),
        ("def f(name):\n    open(name)\nf('state')", False),
        ("import json\nopen(json.load(open('a.in'))['db'])", False),
        ("import os\nos.environ['DB']", False),
        ("import os\nos.remove('state')", False),
        ("from os import system as s\ns('touch state')", False),
        ("import socket", False),
        ("import sqlite3\nsqlite3.connect('b')", False),
        ("import third_party", False),
        ("import beside", False),
        ("from pathlib import Path\nlist(Path('.').iterdir())", False),
        ("import tempfile", False),
        ("exec('1')", False),
        ("o = open\no('a.in')", False),
        ("def", False),
    ],
)
def test_a_script_in_python_is_read(tmp_path: Path, script: str, is_known: bool) -> None:
    (tmp_path / "s.py").write_text(script)
    (tmp_path / "beside.py").write_text("")
    assert (why_open(tmp_path, "python3 s.py") is None) == is_known


def test_a_script_of_the_shell_is_read_with_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "s.sh").write_text("#!/bin/sh\nset -e\nsort $1.in > $1.out\n")
    assert why_open(tmp_path, "sh s.sh a") is None
    assert why_open(tmp_path, "sh s.sh b") is not None
    assert why_open(tmp_path, "./s.sh a") is None


def test_a_binary_and_a_link_make_a_stage_open(tmp_path: Path) -> None:
    (tmp_path / "s.sh").write_bytes(b"\x7fELF\0\0")
    assert why_open(tmp_path, "./s.sh") is not None
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to("real")
    assert why_open(tmp_path, "cat alias/x > a.out", "alias/x") is not None
    assert why_open(tmp_path, "cat real/x > a.out", "real/x") is None
