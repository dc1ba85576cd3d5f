"""`stagebook import runs SYSTEM --repo R`: recorded runs, asked of the system with the user's token."""

from __future__ import annotations

import os
import time

from stagebook.cli import voice
from stagebook.cli.words import usage_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stagebook.recordings.intake import Intake

_SINCE = "30d"
_PUBLIC = {"github": "https://api.github.com", "gitlab": "https://gitlab.com"}
_API = {"github": "/api/v3", "gitlab": "/api/v4"}
#: Where tokens are, and what they are sent as.
_TOKENS = {
    "github": (("GITHUB_TOKEN", "Authorization", "Bearer "), ("GH_TOKEN", "Authorization", "Bearer ")),
    "gitlab": (("GITLAB_TOKEN", "PRIVATE-TOKEN", ""), ("CI_JOB_TOKEN", "JOB-TOKEN", "")),
}
_VERSION = {"github": {"X-GitHub-Api-Version": "2022-11-28"}, "gitlab": {}}


def take(args: Any, system: str, state: str, intake: Intake) -> tuple[int, list[str]]:
    """How many runs still went on, and what was odd. Raises InputError, SurroundingsError."""
    from stagebook.recordings import asked
    from stagebook.recordings.web import Client

    wanted = _wanted(args, asked)
    base = _base(args.base_url or _PUBLIC[system], system)
    client = Client(base, _headers(system), voice.note)
    client.about(_VERSION[system])
    kept = asked.Kept(state, system, base, wanted.repo)
    reader = __import__(f"stagebook.formats.{system}.runs", fromlist=("parse",))
    runs = (
        asked.github(client, wanted, kept, intake.skips) if system == "github" else asked.gitlab(client, wanted, kept)
    )
    tell = (lambda done, total: None) if args.quiet else voice.progress("took in", "runs so far")
    going, count = 0, 0
    said: dict[str, None] = {}
    for documents in runs:
        found = reader.parse(documents)
        for run in found.runs:
            intake.take(run)
        going += found.going
        count += 1
        said.update(dict.fromkeys(found.said))
        tell(count, count)
    if not count:
        said[f"{wanted.repo} has no run since {wanted.since}"] = None
    return going, list(said)


def _wanted(args: Any, asked: Any) -> Any:
    repo = args.repo.strip("/")
    if "/" not in repo and not repo.isdigit() or not repo.isprintable() or ".." in repo.split("/"):
        raise usage_error(f"--repo {args.repo}: expected OWNER/NAME, or a path of groups and a name")
    if args.limit is not None and args.limit < 1:
        raise usage_error(f"--limit {args.limit} is below 1")
    now_us = time.time_ns() // 1000
    since_us = voice.moment_us("--since", args.since or _SINCE, now_us)
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(max(0, since_us) // 1_000_000))
    return asked.Wanted(repo, since, args.branch, args.limit)


def _base(url: str, system: str) -> str:
    """With the path of the API where only a server is named."""
    bare = url.rstrip("/")
    host = bare.partition("://")[2]
    if "/" in host or host.startswith("api."):
        return bare
    return bare + _API[system]


def _headers(system: str) -> dict[str, str]:
    """With the token that the environment holds, if there is one."""
    for variable, header, word in _TOKENS[system]:
        token = os.environ.get(variable, "").strip()
        if token:
            if not token.isascii() or not token.isprintable() or " " in token:
                raise usage_error(f"{variable} holds something that is no token")
            return {header: f"{word}{token}"}
    return {}
