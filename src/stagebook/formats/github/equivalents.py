"""The actions for which something here stands when a job runs. Names only: what stands for each is in the runner."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

_OWN = ("./", "../", "$/")

#: As `uses` names them before the `@`, in lower case.
EQUIVALENTS = frozenset((
    "actions/checkout", "actions/cache", "actions/cache/restore", "actions/cache/save", "actions/upload-artifact",
    "actions/download-artifact", "actions/setup-python", "actions/setup-node", "actions/setup-go",
    "actions/setup-java", "actions/setup-dotnet", "ruby/setup-ruby", "shivammathur/setup-php", "astral-sh/setup-uv",
    "pnpm/action-setup", "denoland/setup-deno", "oven-sh/setup-bun", "dtolnay/rust-toolchain",
    "actions-rs/toolchain",
))  # fmt: skip


def stands(uses: str, includes: Mapping[str, str]) -> bool:
    """Whether something here stands for what a step uses, as far as its name tells: for actions of the workspace and of
    checkouts that the user names their own files do."""
    return uses.startswith(_OWN) or name_of(uses) in EQUIVALENTS or checkout_of(uses, includes) is not None


def name_of(uses: str) -> str:
    """`actions/cache/restore` of `actions/cache/restore@v4`, in lower case."""
    return uses.partition("@")[0].lower().rstrip("/")


def checkout_of(uses: str, includes: Mapping[str, str]) -> str | None:
    """The folder of an action of another repository, where the user has named a checkout of that (`--include`)."""
    name, _, ref = uses.partition("@")
    owner, _, rest = name.partition("/")
    repository, _, below = rest.partition("/")
    project = f"{owner}/{repository}"
    folder = includes.get(f"{project}@{ref}") or includes.get(project)
    return None if folder is None else f"{folder}/{below}".rstrip("/")
