"""What exactly is executed for a stage: argv, the shell question, the files of a Python module. Starts nothing.

One line without shell syntax is started directly, as GNU make does, for a shell doubles the cost of a small stage;
anything that a shell might read in its own way goes to `/bin/sh -e -c`. When in doubt it is the shell.
"""

from __future__ import annotations

import os
import re
import sys

from stagebook.model.pipeline import Stage

#: A line made of these alone means the same to a shell and to us: words between blanks.
PLAIN = re.compile(r"[A-Za-z0-9_@%+:,./-]+(?:[ \t]+[A-Za-z0-9_@%+=:,./-]+)*", re.ASCII)

#: First words that only a shell knows, or that a shell means otherwise than a program of that name: the POSIX special
#: and regular built-ins and reserved words, and those that dash and bash add.
SHELL_WORDS = frozenset(
    ". : alias bg bind break builtin caller case cd command compgen complete continue declare dirs disown do done echo"
    " elif else enable esac eval exec exit export false fc fg fi for function getopts hash help history if in jobs"
    " kill let local logout mapfile popd printf pushd pwd read readarray readonly return select set shift shopt source"
    " suspend test then time times trap true type typeset ulimit umask unalias unset until wait while".split()
)

RUN_FUNCTION = (
    "import importlib, sys; sys.path.insert(0, '');"
    "module, _, name = sys.argv[1].partition(':');"
    "getattr(importlib.import_module(module), name)()"
)

#: The program around a job. Neither the folder it starts in nor variables of the job may change what it imports.
RUNNER = (sys.executable, "-E", "-P", "-m", "stagebook.runner")


def is_direct(text: str) -> bool:
    """Whether a command line can be started without a shell."""
    line = text.strip(" \t\n")
    return PLAIN.fullmatch(line) is not None and line.split(None, 1)[0] not in SHELL_WORDS


def argv_of(stage: Stage) -> tuple[str, ...]:
    """The argument vector of a stage that is a command; its first word may still have to be looked up."""
    command = stage.command
    kind = stage.generates or stage.kind
    if kind == "job":
        return RUNNER
    if kind == "cmd":
        return tuple(command)
    assert isinstance(command, str)
    if kind == "python":
        return (sys.executable, "-c", RUN_FUNCTION, command)
    if stage.shell == "bash":
        return ("bash", "-e", "-o", "pipefail", "-c", command)
    if stage.shell == "auto" and is_direct(command):
        return tuple(command.split())
    return ("/bin/sh", "-e", "-c", command)


def module_files(command: str, folder: str, path: str) -> dict[str, str]:
    """The files that Python runs of the module in `module:function`, packages around it included, with hashes of what
    they hold: from `folder` or the first of PYTHONPATH that has it. Empty where it is installed, or nowhere.
    Imports nothing."""
    names = command.partition(":")[0].split(".")
    for above in (folder, *(os.path.join(folder, each) for each in path.split(os.pathsep) if each)):
        found: dict[str, str] = {}
        at = above
        for name in names:
            at = os.path.join(at, name)
            for file in (os.path.join(at, "__init__.py"), f"{at}.py"):
                held = _hash_of(file)
                if held is not None:
                    found[file] = held
                    break
        if found:
            return found
    return {}


def _hash_of(file: str) -> str | None:
    from hashlib import blake2b

    from stagebook.record.state import open_regular

    try:
        with open_regular(file) as source:
            return blake2b(source.read(), digest_size=16).hexdigest()
    except (OSError, ValueError):
        return None
