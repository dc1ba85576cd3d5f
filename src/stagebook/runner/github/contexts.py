"""What expressions in a running job speak of, and the variables that GitHub gives to every step."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess

from stagebook.formats.github.ended import Ended, contexts, result_of
from stagebook.model.globs import Globs
from stagebook.runner import matching

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.runner.here import Here

_ARCHITECTURES = {"x86_64": "X64", "aarch64": "ARM64", "arm64": "ARM64"}
#: Of the github context, those that are variables too.
_VARIABLES = (
    "action", "action_path", "action_repository", "actor", "actor_id", "api_url", "base_ref", "event_name",
    "event_path", "graphql_url", "head_ref", "job", "ref", "ref_name", "ref_protected", "ref_type", "repository",
    "repository_id", "repository_owner", "repository_owner_id", "retention_days", "run_attempt", "run_id",
    "run_number", "server_url", "sha", "triggering_actor", "workflow", "workflow_ref", "workflow_sha", "workspace",
)  # fmt: skip
GIT_S = 30


def base(here: Here, secrets: Mapping[str, str], temp: str) -> dict[str, Any]:
    """All contexts of the job but `env`, `job` and `steps`."""

    def ended(stage: str) -> Ended | None:
        end = here.end(stage)
        if end is None:
            return None
        return Ended("success" if end.is_left_out else result_of(end.outcome, end.is_allowed), end.outputs)

    found = contexts(here.pipeline.context, here.spec, ended)  # type: ignore[arg-type]
    found["needs"] = {
        name: need if need else {"result": "success", "outputs": {}} for name, need in found["needs"].items()
    }
    found["github"] = {**_github(here, temp), **_known(found.get("github")), "workspace": here.workspace}
    found["github"]["token"] = secrets.get("GITHUB_TOKEN", "")
    found["secrets"] = dict(secrets)
    found["runner"] = {
        "name": "stagebook", "os": "macOS" if platform.system() == "Darwin" else "Linux",
        "arch": _ARCHITECTURES.get(platform.machine(), platform.machine()), "temp": temp,
        "tool_cache": os.path.join(here.place, "tools"), "workspace": here.place, "environment": "self-hosted",
        "debug": "",
    }  # fmt: skip
    for name in ("vars", "inputs"):
        found.setdefault(name, {})
    return found


def _known(github: Any) -> dict[str, Any]:
    return {name: value for name, value in (github or {}).items() if value is not None}


def _github(here: Here, temp: str) -> dict[str, Any]:
    """What is so in any run here; what was known when the file was read goes before it."""
    user = here.env.get("USER") or here.env.get("LOGNAME") or "stagebook"
    number = int(hashlib.sha256(here.run.encode()).hexdigest()[:12], 16) % 10**10
    file = here.spec.get("file", "")
    return {
        "action": "", "actor": user, "triggering_actor": user, "api_url": "https://api.github.com",
        "base_ref": "", "event": {}, "event_name": "push", "event_path": os.path.join(temp, "event.json"),
        "graphql_url": "https://api.github.com/graphql", "head_ref": "", "job": here.spec.get("job", here.stage.name),
        "ref": "", "ref_name": "", "ref_protected": False, "ref_type": "branch",
        "repository": "", "repository_owner": "",
        "retention_days": "90", "run_attempt": str(here.attempt), "run_id": str(number), "run_number": "1",
        "server_url": "https://github.com", "sha": _sha(here.root), "workflow": here.spec.get("workflow", file),
        "workflow_ref": file,
    }  # fmt: skip


def _sha(root: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    words = ("git", "-C", root, "rev-parse", "-q", "--verify", "HEAD")
    try:
        done = subprocess.run(
            words, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=GIT_S, check=False
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("ascii", "replace").strip() if done.returncode == 0 else ""


def variables(found: Mapping[str, Any]) -> dict[str, str]:
    """`CI`, `GITHUB_…` and `RUNNER_…` for the processes of a step."""
    github, runner = found["github"], found["runner"]
    env = {"CI": "true", "GITHUB_ACTIONS": "true"}
    for name in _VARIABLES:
        value = github.get(name)
        if isinstance(value, (str, bool, int, float)):
            env[f"GITHUB_{name.upper()}"] = str(value).lower() if isinstance(value, bool) else str(value)
    for name in ("name", "os", "arch", "temp", "tool_cache", "workspace", "environment"):
        env[f"RUNNER_{name.upper()}"] = runner[name]
    return env


def hash_files(root: str, patterns: list[str]) -> str:
    """The hash of the hashes of all files that patterns name; empty where they name none. `!PATTERN` takes out again
    what those before it name."""
    names: set[str] = set()
    for line in (line.strip() for pattern in patterns for line in pattern.splitlines()):
        if line.startswith("!"):
            out = matching.inside(root, line[1:].strip())
            globs = Globs(matching.alternatives(out)) if out else None
            names = {name for name in names if globs is None or globs.first([name]) is None}
        elif line and not line.startswith("#"):
            names |= set(matching.find(root, [line])[0])
    whole = hashlib.sha256()
    count = 0
    for name in sorted(names):
        path = os.path.join(root, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
            count += 1
    return whole.hexdigest() if count else ""
