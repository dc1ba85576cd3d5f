"""The variables that GitLab itself would give a job, as far as they are known here and when it begins. What the reader
of the file knew (the event, the branch, the job's name) is in the pipeline already.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import time

from stagebook.runner.here import Here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
#: By their names, where the file does not say.
_TIERS = (
    ("development", re.compile(r"dev|review|trunk", re.IGNORECASE)),
    ("testing", re.compile(r"test|tst|int|ac(?:ce|)pt|qa|qc|control|quality", re.IGNORECASE)),
    ("staging", re.compile(r"st(?:a|)g|mod(?:e|)l|pre|demo|non", re.IGNORECASE)),
    ("production", re.compile(r"pr(?:o|)d|live", re.IGNORECASE)),
)
_FORMAT = "%H%x00%h%x00%s%x00%cI%x00%an <%ae>%x00%B%x00%P"


def variables(here: Here) -> dict[str, str]:
    """The weakest of all."""
    name = os.path.basename(here.root) or "work"
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    number = int.from_bytes(here.run[-8:].encode(), "big") % 1_000_000_000
    found = {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_SERVER": "yes",
        "CI_SERVER_NAME": "GitLab",
        "CI_SERVER_HOST": "gitlab.local",
        "CI_SERVER_URL": "https://gitlab.local",
        "CI_SERVER_VERSION": "18.0.0",
        "CI_API_V4_URL": "https://gitlab.local/api/v4",
        "CI_PROJECT_NAME": name,
        "CI_PROJECT_TITLE": name,
        "CI_PROJECT_NAMESPACE": "local",
        "CI_PROJECT_PATH": f"local/{name}",
        "CI_PROJECT_PATH_SLUG": slug(f"local/{name}"),
        "CI_PROJECT_ID": "1",
        "CI_PROJECT_URL": f"https://gitlab.local/local/{name}",
        "CI_PROJECT_VISIBILITY": "private",
        "CI_REPOSITORY_URL": f"https://gitlab.local/local/{name}.git",
        "CI_DEFAULT_BRANCH": "main",
        "CI_REGISTRY": "registry.gitlab.local",
        "CI_REGISTRY_IMAGE": f"registry.gitlab.local/local/{name}".lower(),
        "CI_PIPELINE_ID": str(number),
        "CI_PIPELINE_IID": "1",
        "CI_PIPELINE_SOURCE": "push",
        "CI_PIPELINE_CREATED_AT": at,
        "CI_PIPELINE_URL": f"https://gitlab.local/local/{name}/-/pipelines/{number}",
        "CI_CONFIG_PATH": os.path.relpath(here.pipeline.file, here.root),
        "CI_JOB_STARTED_AT": at,
        "CI_JOB_URL": f"https://gitlab.local/local/{name}/-/jobs/{number + here.index + 1}",
        "CI_JOB_ID": str(number + here.index + 1),
        "CI_JOB_STATUS": "running",
        "CI_JOB_TOKEN": "",
        "CI_NODE_TOTAL": "1",
        "CI_RUNNER_DESCRIPTION": "stagebook",
        "CI_RUNNER_EXECUTABLE_ARCH": f"linux/{os.uname().machine}",
        "CI_DISPOSABLE_ENVIRONMENT": "false",
        "GITLAB_USER_LOGIN": here.env.get("USER", "local"),
        "GITLAB_USER_NAME": here.env.get("USER", "local"),
    }
    found.update(_commit(here))
    return found


def places(here: Here) -> dict[str, str]:
    """Where this job works: nothing that the file says of them would be so."""
    return {"CI_PROJECT_DIR": here.workspace, "CI_BUILDS_DIR": here.place, "CI_CONCURRENT_ID": "0"}


def environment(name: str, url: str, action: str, tier: str = "") -> dict[str, str]:
    """Of a job that deploys."""
    found = {
        "CI_ENVIRONMENT_NAME": name,
        "CI_ENVIRONMENT_SLUG": environment_slug(name),
        "CI_ENVIRONMENT_ACTION": action or "start",
        "CI_ENVIRONMENT_TIER": tier or next((known for known, told in _TIERS if told.search(name)), "other"),
    }
    return {**found, "CI_ENVIRONMENT_URL": url} if url else found


def environment_slug(name: str) -> str:
    """At most 24 characters, which are still different for different names."""
    text = re.sub(r"-+", "-", re.sub(r"[^a-z0-9]", "-", name.lower()))
    if not re.match(r"[a-z]", text):
        text = f"env-{text}"
    if len(text) <= 24 and text == name:
        return text
    number, letters = int(hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest(), 16), ""
    while len(letters) < 6:
        number, digit = divmod(number, 36)
        letters = _DIGITS[digit] + letters
    return f"{text[:17].rstrip('-')}-{letters}"


def slug(text: str, most: int = 63) -> str:
    """As in host names: lower-case letters, digits and `-`."""
    return re.sub(r"[^a-z0-9]", "-", text.lower())[:most].strip("-")


def _commit(here: Here) -> Mapping[str, str]:
    said = _git(here.root, "log", "-1", f"--format={_FORMAT}")
    if said is None:
        return {
            "CI_COMMIT_SHA": "0" * 40, "CI_COMMIT_SHORT_SHA": "0" * 8, "CI_COMMIT_REF_NAME": "main",
            "CI_COMMIT_REF_SLUG": "main", "CI_COMMIT_BRANCH": "main",
        }  # fmt: skip
    sha, _, title, at, author, message, parents = said.split("\0")
    branch = (_git(here.root, "symbolic-ref", "-q", "--short", "HEAD") or "").strip()
    found = {
        "CI_COMMIT_SHA": sha,
        "CI_COMMIT_SHORT_SHA": sha[:8],
        "CI_COMMIT_BEFORE_SHA": (parents.split() or ["0" * 40])[0],
        "CI_COMMIT_TITLE": title,
        "CI_COMMIT_MESSAGE": message.strip("\n"),
        "CI_COMMIT_DESCRIPTION": message.strip("\n").partition("\n")[2].strip("\n"),
        "CI_COMMIT_TIMESTAMP": at,
        "CI_COMMIT_AUTHOR": author,
        "CI_COMMIT_REF_NAME": branch or sha[:8],
        "CI_COMMIT_REF_SLUG": slug(branch or sha[:8]),
        "CI_COMMIT_REF_PROTECTED": "false",
    }
    return {**found, "CI_COMMIT_BRANCH": branch} if branch else found


def _git(folder: str, *words: str) -> str | None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ("git", "-C", folder, "-c", "core.fsmonitor=false", *words), env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=False,
        )  # fmt: skip
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
