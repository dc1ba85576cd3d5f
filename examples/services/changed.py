"""Writes a stage for each service that a change concerns, the services that use it included."""

import json
import os
import subprocess
from pathlib import Path

#: What each service imports of others: a change there concerns it too.
USES = {"billing": ["shared"], "mail": ["shared"], "orders": ["billing"], "shared": []}


def changed(base: str) -> set[str]:
    """The services with files that differ from `base`, or that git does not know yet; all where it cannot say."""
    services = {path.name for path in Path("services").iterdir() if path.is_dir() and path.name != "__pycache__"}
    files = ""
    for words in (["diff", "--name-only", "--relative", "--end-of-options", base, "--"],
                  ["ls-files", "--others", "--exclude-standard", "--"]):  # fmt: skip
        done = subprocess.run(["git", *words, "services"], check=False, capture_output=True, text=True)
        if done.returncode:
            print(f"git cannot compare with {base}, so every service is tested")
            return services
        files += done.stdout
    return {Path(line).parts[1] for line in files.splitlines()} & services


def concerned(services: set[str]) -> list[str]:
    """With those that use them, in any number of steps."""
    found = set(services)
    while more := {name for name, uses in USES.items() if found.intersection(uses)} - found:
        found |= more
    return sorted(found)


names = concerned(changed(os.environ["PARAM_BASE"]))
print("concerned:", ", ".join(names) or "none")
stages = {
    f"test-{name}": {
        "run": f"python3 -m unittest discover -q -s services/{name} -t .",
        "needs": [f"test-{used}" for used in USES.get(name, []) if used in names],
    }
    for name in names
}
with open(os.environ["STAGEBOOK_GENERATE"], "w") as file:
    json.dump({"stages": stages}, file, indent=2)
