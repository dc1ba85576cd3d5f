"""Makes .work/origin.git, the repository that the pipeline checks out: the files of project/ as one commit.

The same files make the same repository, byte for byte, so that what depends on it stays up to date.
"""

import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORK = os.path.join(HERE, ".work")
# Nothing of the surroundings: neither a hook's GIT_DIR nor anyone's configuration, and always the same commit.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
ENVIRONMENT.update(
    GIT_CONFIG_GLOBAL=os.devnull,
    GIT_CONFIG_NOSYSTEM="1",
    GIT_AUTHOR_NAME="Example",
    GIT_AUTHOR_EMAIL="example@invalid",
    GIT_AUTHOR_DATE="2026-01-01T00:00:00Z",
    GIT_COMMITTER_NAME="Example",
    GIT_COMMITTER_EMAIL="example@invalid",
    GIT_COMMITTER_DATE="2026-01-01T00:00:00Z",
)


def git(*words):
    subprocess.run(["git", *words], env=ENVIRONMENT, check=True)


def main():
    draft, origin = os.path.join(WORK, "draft"), os.path.join(WORK, "origin.git")
    for old in (draft, origin):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(os.path.join(HERE, "project"), draft, ignore=shutil.ignore_patterns("__pycache__", "dist"))
    git("-C", draft, "-c", "init.defaultBranch=main", "init", "--quiet")
    git("-C", draft, "add", "--all")
    git("-C", draft, "commit", "--quiet", "--message", "The shop as it is")
    git("clone", "--quiet", "--bare", draft, origin)
    shutil.rmtree(draft)


if __name__ == "__main__":
    main()
