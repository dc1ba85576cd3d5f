"""The way in: `python -m stagebook.runner`, started by an engine in the environment of a stage."""

from __future__ import annotations

import os
import sys

from stagebook.model.problem import SurroundingsError
from stagebook.runner import here, log


def main() -> int:
    """The exit status of the job. 70: the job could not be done for what is around it, which the log says."""
    output = os.environ.get("STAGEBOOK_OUTPUT", os.devnull)
    try:
        found = here.find(os.environ)
        if found.job.system == "github":
            from stagebook.runner.github import job as github

            return github.play(found)
        from stagebook.runner.gitlab import job as gitlab

        return gitlab.play(found)
    except (SurroundingsError, OSError) as error:
        return log.unable(output, error)


if __name__ == "__main__":
    sys.exit(main())
