"""What actions and commands are known for: those that make a job ready, pass files on, or keep them. Names only."""

from __future__ import annotations

import re

#: Actions, without owner and version, that only make ready what later steps need.
_SETUP_ACTION = re.compile(
    r"(?:^|/)(?:checkout|cache|restore|setup-[\w.-]+|[\w.-]*-setup|setup|install-[\w.-]+|[\w.-]*-install(?:er)?|"
    r"(?:[\w.-]*-)?toolchain|rust-cache|[\w.-]*-cache(?:-action)?|login-action|[\w.-]*-login|login|"
    r"configure-[\w.-]+|auth|harden-runner|free-disk-space|[\w.-]*disk-space[\w.-]*|action-setup|"
    r"gradle-build-action|setup|ssh-agent|maximize-build-space)(?:@|$)"
)
_INSTALL = re.compile(
    r"(?:sudo\s+)?(?:"
    r"apt(?:-get)?\s+(?:-\S+\s+)*(?:update|install|upgrade)|apk\s+add|(?:dnf|yum|zypper|pacman)\s+\S+|brew\s+(?:install|update|upgrade)|"
    r"choco\s+install|scoop\s+install|winget\s+install|(?:python\d?(?:\.\d+)?\s+-m\s+)?pip\d?\s+install|pipx\s+install|"
    r"poetry\s+install|pdm\s+(?:install|sync)|uv\s+(?:sync|venv|pip\s+install|tool\s+install|python\s+install)|conda\s+(?:install|env)|mamba\s+install|"
    r"npm\s+(?:ci|i|install)\b|yarn(?:\s+install)?(?:\s+--\S+)*\s*$|yarn\s+--frozen|pnpm\s+(?:i|install)\b|corepack\s+enable|bun\s+install|"
    r"bundle\s+install|gem\s+install|composer\s+install|go\s+(?:mod\s+download|install)|cargo\s+(?:fetch|install|binstall)|"
    r"rustup\s+\S+|dotnet\s+(?:restore|tool\s+install)|nuget\s+restore|git\s+(?:config|submodule|fetch|clone)|mkdir|chmod|"
    r"docker\s+(?:login|pull)|(?:bash\s+|sh\s+|sudo\s+)?\S*(?:install|setup|prerequisites?|bootstrap)[\w-]*\.(?:sh|ps1|bat)\b|export\s|set\s|cd\s|source\s|\.\s|echo\s"
    r")"
)
_FILLER = re.compile(r"(?:export|set|cd|source|echo|mkdir|chmod|\.)\s|#|$")

_env_write = re.compile(
    r"(?:^|[\s;\"'({])([A-Za-z_][A-Za-z0-9_]*)(?:=|<<)[^\n;>]{0,400}(?:>>|\|\s*tee\s+(?:-a|--append))"
    r"\s*[\"']?\$\{?GITHUB_ENV",
    re.MULTILINE,
)
_env_read = re.compile(r"\$(?:env:)?\{?([A-Za-z_][A-Za-z0-9_]*)")


SCRIPT_MAX = 100_000  #: characters of a script that is looked into


def is_setup_action(uses: str) -> bool:
    return not uses.startswith(("docker://",)) and _SETUP_ACTION.search(uses.rstrip("/")) is not None


def is_setup_script(text: str) -> bool:
    """Whether every line of a script installs something or stands beside such a line."""
    if len(text) > SCRIPT_MAX:
        return False
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    parts = [part.strip() for line in lines if line and not line.startswith("#") for part in line.split("&&")]
    parts = [part for part in parts if part]
    if not parts or len(parts) > 200:
        return False
    return all(_INSTALL.match(part) for part in parts) and not all(_FILLER.match(part) for part in parts)


def variables_written(text: str) -> list[str]:
    """Names that a script appends to GITHUB_ENV."""
    if "GITHUB_ENV" not in text or len(text) > SCRIPT_MAX:
        return []
    return list(dict.fromkeys(_env_write.findall(text)))


def variables_read(text: str) -> set[str]:
    return set(_env_read.findall(text))


def action_name(uses: str) -> str:
    """`actions/cache/restore` of `actions/cache/restore@v4`, in lower case."""
    return uses.partition("@")[0].lower().rstrip("/")
