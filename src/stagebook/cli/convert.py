"""`stagebook import SYSTEM FILE`: a CI system's file as a native one."""

from __future__ import annotations

from stagebook.cli.words import usage_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def execute(args: Any, system: str, file: str) -> int:
    raise usage_error(f"import {system} FILE is not built yet")
