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
        "x=a; cp $x.in ${x}.out",
        "sort a.in > a.out  # don't (ask)",
        "sort -k2,2 -t '#' --reverse --output=a.out a.in; sha256sum a.in",
        "(cd sub; cat ../a.in) > a.out",
        "sed 's/a/b/g' a.in > a.out 2> /dev/null",
        "sh -c 'sort a.in > a.out'",
        "env LANG=C timeout 5 sort -o a.out a.in",
        "if [ -s a.in ]; then cp a.in a.out; fi",
        "n=$(wc -l < a.in); echo $n > a.out",
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
        "echo '#' > b.out", 'grep "#" b.in > a.out', "(cd sub; cat ../a.in); echo > a.in", "(cd sub); cat b.in",
        "cd sub && true; cat ../a.in", "cd sub | cat ../a.in", "if true; then cd sub; fi; cat ../a.in",
        "sort -ob.out a.in",
        "sort --output=b.out a.in", "[ a.in -nt b ]", "[ b -nt a.in ]", "gcc -c a.in -o a.out",
        "black a.in", "tsc a.in",
        "ruff check --fix a.in", "prettier --write a.in", "gzip -c a.in > a.out", "pytest a.in", "unknown a.in > a.out",
        "uniq a.in b.out", "xxd a.in b.out", "md5sum -c a.in", "sed s/a/b/w a.in", "sed 's/a/b/gw b' a.in",
        "wc --files0-from=a.in",
        "date -r b", "bc b", "chmod -w b", "cp -t b a.in", "shift; cat $1", "set -- b; cat a.in",
        "f=a.in; read f; cat $f",
        "for f in a; do cat $f.in; done", "true && x=b; cat ${x}.in", "sh -c 'cd sub'; cat ../a.in", "./not-there.sh",
        "cat < b.in", "cat 2<b.in", "echo a >&b", "awk '{print > $1}' a.in", "grep -f b a.in", "diff -r a.in b.in",
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
        ("import pathlib as p, shutil as sh\nsh.copy('a.in', 'a.out')\np.Path('a.in').read_text()", True),
        ("def f(file) -> None:\n    print('b', file=file)\nf(open('a.out', 'w'))", True),
        ("import pathlib\npathlib.Path('VERSION').read_text()", False),
        ("from pathlib import Path as P\nP('VERSION').write_text('1')", False),
        ("import shutil as sh\nsh.copy('a.in', 'VERSION')", False),
        ("from shutil import copy as c\nc('a.in', 'VERSION')", False),
        ("from pathlib import Path\nf = Path\nf('VERSION').read_text()", False),
        ("from pathlib import Path\ndef w(d, n):\n    f = d / n\n    f.write_text('')\nw(Path('.'), 'VERSION')", False),
        ("from pathlib import Path\nfor n in ['VERSION']:\n    Path(n).read_text()", False),
        ("from pathlib import Path\nlist(map(Path.read_text, [Path('a.in')]))", False),
        ("from pathlib import Path\nPath('a.in').with_suffix('.x').read_text()", False),
        ("import shutil\nf = shutil.copy\nf('a.in', 'b')", False),
        ("import os as o\no.replace('a.in', 'VERSION')", False),
        ("import os\nm = os\nm.remove('VERSION')", False),
        ("import io\nio.open('VERSION')", False),
        ("import sys\nsys.path.append('lib')", False),
        ("import zipfile\nzipfile.ZipFile('a.in').extractall()", False),
        ("import logging\nlogging.basicConfig(filename='VERSION')", False),
        ("import configparser\nconfigparser.ConfigParser().read('VERSION')", False),
        (
            "import argparse\np = argparse.ArgumentParser()\np.add_argument('--to', default='VERSION')\n"
            "open(p.parse_args().to, 'w')",
            False,
        ),
        ("import sqlite3\nsqlite3.connect('a.out').execute(\"ATTACH 'x' AS x\")", False),
        ("import subprocess\nsubprocess.run(['a'])", False),
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
