"""Pipelines with a secret: two stages in a row whose order matters in a way that no declaration says, though both
declare some of their files. And some in which it does not, and all is declared. Each can stand alone, or with others
in one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple


class Planted(NamedTuple):
    """`files` are there before the first run. A stage is its command and what it declares of inputs and outputs.
    `more` are further keys of both."""

    name: str
    files: dict[str, str]
    stages: dict[str, tuple[str, list[str], list[str]]]
    duration: str = "2s"
    links: dict[str, str] = {}

    def write(self, folder: Path, prefix: str = "") -> dict[str, Any]:
        """The files in a folder, and the stages as the native format has them; `prefix` is the folder's name from the
        pipeline's on."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            if text.startswith("#!") and "+x" in name:
                path.chmod(0o755)
        for name, target in self.links.items():
            (folder / name).symlink_to(target)
        made: dict[str, Any] = {}
        before: str | None = None
        for name, (command, inputs, outputs) in self.stages.items():
            stage: dict[str, Any] = {
                "run": command,
                "inputs": inputs,
                "outputs": outputs,
                "duration": self.duration,
            }
            if prefix:
                stage["dir"] = prefix
                name = f"{self.name}-{name}"
            stage["needs"] = [before] if before else []
            made[name] = stage
            before = name
        return made


def text_of(stages: dict[str, Any]) -> str:
    lines = ["version: 1", "name: planted", "limits: {jobs: 4}", "stages:"]
    for name, stage in stages.items():
        lines += [f"  {name}:", *(f"    {key}: {json.dumps(value)}" for key, value in stage.items() if value != [])]
    return "\n".join(lines) + "\n"


IN = {"one.in": "b\na\n", "two.in": "d\nc\n"}
ONE, TWO = (["one.in"], ["one.out"]), (["two.in"], ["two.out"])


def planted(name: str, first: str, second: str, files: dict[str, str] | None = None, **inputs: list[str]) -> Planted:
    """`first` and `second` stand for what the two stages do beside their own work."""
    return Planted(
        name,
        {**IN, **(files or {})},
        {
            "first": (f"sort one.in > one.out\n{first}", [*ONE[0], *inputs.get("one", [])], ONE[1]),
            "second": (f"sort two.in > two.out\n{second}", [*TWO[0], *inputs.get("two", [])], TWO[1]),
        },
    )


OWN = "from pathlib import Path\nPath('{0}.out').write_text(''.join(sorted(Path('{0}.in').open())))\n"


def scripts(name: str, first: str, second: str, **files: str) -> Planted:
    """Two scripts in Python, declared and all."""
    return Planted(
        name,
        {**IN, **files, "one.py": OWN.format("one") + first, "two.py": OWN.format("two") + second},
        {
            "first": ("python3 one.py", ["one.py", "one.in"], ["one.out"]),
            "second": ("python3 two.py", ["two.py", "two.in"], ["two.out"]),
        },
    )


TOOL = """
import sys
from pathlib import Path

if sys.argv[1] == "build":
    Path("one.out").write_text(Path("one.in").read_text().upper())
    Path("built.bin").write_text("built")
else:
    Path("two.out").write_text(Path("two.in").read_text() + Path({0!r}).read_text())
"""

PLANTED = [
    planted("undeclared-file", "echo 7 > state", "cat state >> two.out"),
    scripts(
        "database-table",
        "import sqlite3\nwith sqlite3.connect('app.db') as db: db.execute('CREATE TABLE IF NOT EXISTS item (name)')\n",
        "import sqlite3\nwith sqlite3.connect('app.db') as db: db.execute('INSERT INTO item VALUES (1)')\n",
    ),
    scripts("port-in-a-file", "Path('port').write_text('8123')\n", "print(int(Path('port').read_text()))\n"),
    planted("variables", "echo 'LEVEL=3' > .env", '. ./.env\necho "$LEVEL" >> two.out'),
    planted("cache-folder", "mkdir -p cache && cp one.out cache/a", "cat cache/a >> two.out"),
    scripts(
        "migration",
        "import sqlite3\nname = 'shop' + '.db'\ndb = sqlite3.connect(name)\ndb.execute('CREATE TABLE t (a)')\n",
        "import sqlite3\nname = 'shop' + '.db'\ndb = sqlite3.connect(name)\ndb.execute('SELECT a FROM t')\n",
    ),
    scripts(
        "warm-up",
        "import os\nPath(os.environ['HOME'], 'warm').write_text('')\n",
        "import os\nassert Path(os.environ['HOME'], 'warm').exists(), 'too slow when cold'\n",
    ),
    Planted(
        "checkout",
        {**IN, "source.txt": "old\n"},
        {
            "first": (
                "git init -q . && git add one.in && git -c user.name=a -c user.email=a@b commit -qm a &&"
                " git tag v1 && sort one.in > one.out",
                ["one.in"],
                ["one.out"],
            ),
            "second": ("git describe --tags > two.out", ["two.in"], ["two.out"]),
        },
    ),
    planted(
        "mode",
        "chmod +x tool.sh",
        "./tool.sh >> two.out",
        {"tool.sh": "#!/bin/sh\necho x\n"},
        one=["tool.sh"],
        two=["tool.sh"],
    ),
    planted("link", "ln -sfn v2 current", "cat current/name >> two.out", {"v1/name": "1", "v2/name": "2"}),
    planted("temporary-file", "echo hand-over > ../planted.tmp", "cat ../planted.tmp >> two.out"),
    scripts("seed", "Path('seeds.json').write_text('[1]')\n", "print(Path('seeds.json').read_text())\n"),
    planted("credentials", 'echo token > "$HOME/.planted"', 'cat "$HOME/.planted" >> two.out'),
    planted("version-by-glob", "echo 1 > version-1.txt", "cat version-*.txt >> two.out"),
    planted("deletion", "rm -f stale", "test ! -e stale", {"stale": ""}, one=["stale"]),
    planted(
        "in-place-edit",
        "sed -i s/old/new/ settings.txt",
        "grep new settings.txt >> two.out",
        {"settings.txt": "old\n"},
        one=["settings.txt"],
        two=["settings.txt"],
    ),
    planted("rename", "mv raw ready", "cat ready >> two.out", {"raw": "r\n"}, one=["raw"]),
    planted("lock-file", "touch go-on", "test -e go-on"),
    planted("append-order", "echo first >> log.txt", "echo second >> log.txt"),
    Planted(
        "one-tool",
        {**IN, "tool.py": TOOL.format("one.out")},
        {
            "first": ("python3 tool.py build", ["tool.py", "one.in"], ["one.out", "built.bin"]),
            "second": ("python3 tool.py pack", ["tool.py", "two.in"], ["two.out"]),
        },
    ),
    scripts("module", "Path('options.py').write_text('LEVEL = 3')\n", "import options\nprint(options.LEVEL)\n"),
    planted("folder", "mkdir -p out", "cp two.in out/two.copy"),
    Planted(
        "folder-of-outputs",
        IN,
        {
            "first": ("mkdir -p out && sort one.in > out/one.out", ["one.in"], ["out/one.out"]),
            "second": ("sort two.in > out/two.out", ["two.in"], ["out/two.out"]),
        },
    ),
    Planted(
        "edit-of-an-input-by-a-script",
        {
            **IN,
            "conf.json": "{}",
            "one.py": "from pathlib import Path\nPath('conf.json').write_text('{\"a\": 1}')\n"
            "Path('one.out').write_text('x')\n",
            "two.py": "import json\nfrom pathlib import Path\n"
            "Path('two.out').write_text(str(json.loads(Path('conf.json').read_text())['a']))\n",
        },
        {
            "first": ("python3 one.py", ["one.py", "conf.json"], ["one.out"]),
            "second": ("python3 two.py", ["two.py", "conf.json"], ["two.out"]),
        },
    ),
    Planted(
        "script-of-a-script",
        {
            **IN,
            "one.sh": "sort one.in > one.out\nsh inner.sh\n",
            "inner.sh": "echo 1 > hidden\n",
            "two.sh": "sort two.in > two.out\ncat hidden >> two.out\n",
        },
        {
            "first": ("sh one.sh", ["*.sh", "one.in"], ["one.out"]),
            "second": ("sh two.sh", ["*.sh", "two.in"], ["two.out"]),
        },
    ),
]

#: They say that they read what they change, so no run of them ends well.
UNSOUND = ("deletion", "in-place-edit", "rename", "edit-of-an-input-by-a-script", "mode", "through-a-link")

PLANTED += [
    planted("undeclared-deletion", "rm -f stale", "test ! -e stale", {"stale": ""}),
    planted(
        "undeclared-edit",
        "sed -i s/old/new/ settings.txt",
        "grep new settings.txt >> two.out",
        {"settings.txt": "old\n"},
        two=["settings.txt"],
    ),
    planted("undeclared-rename", "mv raw ready", "cat ready >> two.out", {"raw": "r\n"}),
    planted("all-below", "true", "grep -rlw a --exclude=two.out --exclude-dir='.stage*' > two.out || true"),
    planted("whole-folder", "true", "ls > two.out"),
    scripts(
        "another-name", "o = open\nwith o('state', 'w') as f: f.write('1')\n", "o = open\nprint(o('state').read())\n"
    ),
    scripts(
        "by-keyword", "with open(file='state', mode='w') as f: f.write('1')\n", "print(open(file='state').read())\n"
    ),
    scripts(
        "worked-out",
        "name = ''.join(['st', 'ate'])\nopen(name, 'w').write('1')\n",
        "name = ''.join(['st', 'ate'])\nprint(open(name).read())\n",
    ),
    planted("trap", "trap 'touch state' EXIT", "test -e state"),
    Planted(
        "quoted-hash",
        {**IN, "g/v.h": "old\n", "src/m.c": "m\n"},
        {
            "first": ("printf '#define V 1\\n' > g/v.h; sort one.in > one.out", *ONE),
            "second": ("cat src/* g/v.h > two.out", ["src/*", "g/*"], ["two.out"]),
        },
    ),
    scripts(
        "bare-name-by-its-module",
        "import pathlib\npathlib.Path('VERSION').write_text('1')\n",
        "import pathlib\nprint(pathlib.Path('VERSION').read_text())\n",
    ),
    scripts(
        "bare-name-by-an-alias",
        "from pathlib import Path as P\nimport shutil as sh\nsh.copy('one.in', 'VERSION')\n",
        "from pathlib import Path as P\nprint(P('VERSION').read_text())\n",
    ),
    planted("after-a-subshell", "(cd app; true); echo 3 > READY", "cat READY >> two.out", {"app/x": ""}),
    planted("output-option", "sort --output=state one.in", "cat state >> two.out"),
    planted("output-letter", "sort -ostate one.in", "cat state >> two.out"),
    planted("newer", "touch stamp", "[ stamp -nt old ]", {"old": ""}),
    Planted(
        "not-there-yet",
        IN,
        {
            "first": ("printf '#!/bin/sh\\ncat state\\n' > app; sort one.in > one.out; cp app bin; chmod +x bin", *ONE),
            "second": ("./bin || cat app > two.out", ["two.in", "bin"], ["two.out"]),
        },
    ),
    planted("variable-in-both", "F=sta; F=${F}te; echo 1 > $F", "F=sta; cat ${F}te >> two.out"),
    Planted(
        "through-a-link",
        {**IN, "real/x.in": "old\n", "link.sh": ""},
        {
            "first": ("cp one.in real/x.in", ["one.in"], ["real/x.in"]),
            "second": ("sort alias/x.in > two.out", ["alias/x.in"], ["two.out"]),
        },
        links={"alias": "real"},
    ),
]

UPPER = "import sys\nfrom pathlib import Path\n\nPath(sys.argv[2]).write_text(Path(sys.argv[1]).read_text().upper())\n"


def needless(name: str, files: dict[str, str], **stages: tuple[str, list[str], list[str]]) -> Planted:
    return Planted(name, {**IN, **files}, stages)


NEEDLESS = [
    needless("sorts", {}, first=("sort one.in > one.out", *ONE), second=("sort two.in > two.out", *TWO)),
    needless("copies", {}, first=("cp one.in one.out", *ONE), second=("cp two.in two.out", *TWO)),
    needless("options", {}, first=("sort -o one.out one.in", *ONE), second=("sort -r -o two.out two.in", *TWO)),
    needless(
        "a-script-each",
        {"one.py": OWN.format("one"), "two.py": OWN.format("two")},
        first=("python3 one.py", ["one.py", "one.in"], ["one.out"]),
        second=("python3 two.py", ["two.py", "two.in"], ["two.out"]),
    ),
    needless(
        "one-script-with-arguments",
        {"upper.py": UPPER},
        first=("python3 upper.py one.in one.out", ["upper.py", "one.in"], ["one.out"]),
        second=("python3 upper.py two.in two.out", ["upper.py", "two.in"], ["two.out"]),
    ),
    needless(
        "shell-scripts",
        {"one.sh": "# sorts\nsort one.in > one.out\n", "two.sh": "tr a-z A-Z < two.in > two.out\n"},
        first=("sh one.sh", ["one.sh", "one.in"], ["one.out"]),
        second=("sh two.sh", ["two.sh", "two.in"], ["two.out"]),
    ),
    needless(
        "folders-of-their-own",
        {"a/x.txt": "x\n", "b/y.txt": "y\n"},
        first=("mkdir -p made/a && cp a/x.txt made/a/x.txt", ["a/**"], ["made/a/**"]),
        second=("mkdir -p made/b && cp b/y.txt made/b/y.txt", ["b/**"], ["made/b/**"]),
    ),
    needless(
        "a-check-after",
        {},
        first=("sort one.in > one.out", *ONE),
        second=("grep -q c two.in", ["two.in"], []),
    ),
    needless(
        "a-common-source",
        {"words.txt": "b\na\n"},
        first=("sort words.txt > one.out", ["words.txt"], ["one.out"]),
        second=("wc -l < words.txt > two.out", ["words.txt"], ["two.out"]),
    ),
    needless(
        "three-in-a-row",
        {"three.in": "f\n"},
        first=("sort one.in > one.out", *ONE),
        second=("sort two.in > two.out", *TWO),
        third=("cat one.out three.in > three.out", ["one.out", "three.in"], ["three.out"]),
    ),
]
