"""The actions for which something here stands when a job runs. Names only: what stands for each is in the runner."""

from __future__ import annotations

#: As `uses` names them before the `@`, in lower case.
EQUIVALENTS = frozenset((
    "actions/checkout", "actions/cache", "actions/cache/restore", "actions/cache/save", "actions/upload-artifact",
    "actions/download-artifact", "actions/setup-python", "actions/setup-node", "actions/setup-go",
    "actions/setup-java", "actions/setup-dotnet", "ruby/setup-ruby", "shivammathur/setup-php", "astral-sh/setup-uv",
    "pnpm/action-setup", "denoland/setup-deno", "oven-sh/setup-bun", "dtolnay/rust-toolchain",
    "actions-rs/toolchain",
))  # fmt: skip
