"""What is wrong with a workflow beyond its shape, said at its place: expressions, names, events, patterns, shells.
Each module knows one of these; none changes what is read."""

from __future__ import annotations

from stagebook.formats.github.checks import actions, events, expressions, globs, matrices, names, running, schedule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.formats.github.local import Files
    from stagebook.formats.github.shape import Walk
    from stagebook.formats.source.nodes import Node


def all_of(walk: Walk, root: Node, triggers: Mapping[str, Any], files: Files) -> None:
    """All checks of one file."""
    names.check(walk, root)
    events.check(walk, root)
    schedule.check(walk, root)
    globs.check(walk, root)
    matrices.check(walk, root)
    running.check(walk, root)
    actions.check(walk, root, files)
    expressions.check(walk, root, triggers, files)
