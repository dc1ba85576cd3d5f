"""The mistakes of mutants.txt, each put into a fresh copy of the machine's modules under another name.

Vocabulary and plan stay shared, so a broken machine is driven like the real one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import stagebook.scheduler
from stagebook.scheduler.machine import Machine

_ROOM = Path(stagebook.scheduler.__file__).parent
_MODULES = ("moves", "ends", "pace", "lane", "stream", "dispatch", "books", "course", "flow", "growth", "machine")


class Mutant(NamedTuple):
    name: str
    module: str
    old: str
    new: str


def read_mutants(file: str = "mutants.txt") -> list[Mutant]:
    mutants = []
    for paragraph in Path(__file__).with_name(file).read_text().split("\n\n"):
        head, *change = [line for line in paragraph.splitlines() if not line.startswith("#")] or [""]
        if head:
            name, _, module = head.rpartition(": ")
            old = "\n".join(line[1:] for line in change if line.startswith("-"))
            new = "\n".join(line[1:] for line in change if line.startswith("+"))
            mutants.append(Mutant(name, module, old, new))
    return mutants


def load(mutant: Mutant) -> type[Machine]:
    """The machine with that mistake in it."""
    package = ModuleType("stagebook_mutant")
    package.__path__ = []
    made = {"stagebook_mutant": package}
    try:
        for name in _MODULES:
            text = (_ROOM / f"{name}.py").read_text()
            if name == mutant.module:
                found = text.count(mutant.old)
                assert found == 1, f"{mutant.name}: its text stands {found} times in {name}.py"
                text = text.replace(mutant.old, mutant.new)
            for other in _MODULES:
                text = text.replace(f"stagebook.scheduler.{other} ", f"stagebook_mutant.{other} ")
            text = text.replace("from stagebook.scheduler import ends", "from stagebook_mutant import ends")
            module = ModuleType(f"stagebook_mutant.{name}")
            made[module.__name__] = module
            setattr(package, name, module)
            sys.modules.update(made)
            exec(compile(text, f"{name} ({mutant.name})", "exec"), module.__dict__)
    finally:
        for known in made:
            sys.modules.pop(known, None)
    machine: type[Machine] = made["stagebook_mutant.machine"].Machine
    return machine
