"""Recordings that nobody has recorded: answers of the APIs of GitHub and GitLab in their published shape, made by
chance from a seed. Times, queues, failures and attempts are drawn; nothing of it is of a real repository.

    python tests/recordings/synthetic.py github DIR          runs.json and jobs.json of 40 runs
    python tests/recordings/synthetic.py gitlab DIR --runs 12 --seed 7
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any, Mapping, NamedTuple

BEGIN_S = 1_767_225_600  #: 2026-01-01
REPO = "octo/app"


class Job(NamedTuple):
    """`takes_s` give or take a tenth. With `runs_with` beside it, it fails: a race."""

    name: str
    takes_s: float
    needs: tuple[str, ...] = ()
    stage: str = "test"
    races_with: str | None = None


JOBS = (
    Job("lint", 40, stage="test"),
    Job("build", 180, stage="build"),
    Job("unit (3.11)", 300, ("build",)),
    Job("unit (3.13)", 280, ("build",)),
    Job("deploy", 60, ("lint", "unit (3.11)", "unit (3.13)"), "deploy"),
)


class Timed(NamedTuple):
    job: Job
    queued_s: float
    started_s: float
    finished_s: float
    outcome: str  #: success, failure or skipped


def course(
    jobs: tuple[Job, ...], at_s: float, chance: random.Random, failing: float = 0.05, queue_s: float = 8.0
) -> list[Timed]:
    """One run on as many runners as it wants, each of which has to be waited for."""
    done: dict[str, Timed] = {}
    for job in jobs:
        needs = [done[need] for need in job.needs]
        ready_s = max([need.finished_s for need in needs], default=at_s)
        if any(need.outcome != "success" for need in needs):
            done[job.name] = Timed(job, ready_s, ready_s, ready_s, "skipped")
            continue
        started_s = ready_s + chance.expovariate(1 / queue_s)
        finished_s = started_s + job.takes_s * chance.uniform(0.9, 1.1)
        other = done.get(job.races_with or "")
        meets = other is not None and other.started_s < finished_s and started_s < other.finished_s
        fails = meets or chance.random() < failing
        done[job.name] = Timed(job, ready_s, started_s, finished_s, "failure" if fails else "success")
    return list(done.values())


def stamp(at_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))


def github_run(number: int, timed: list[Timed], attempt: int = 1, **more: Any) -> dict[str, Any]:
    """As `GET /repos/{owner}/{repo}/actions/runs` lists one."""
    begun_s = min(each.queued_s for each in timed)
    failed = any(each.outcome == "failure" for each in timed)
    return {
        "id": 9_000_000 + number, "name": "CI", "node_id": f"WFR_{number}", "head_branch": "main",
        "head_sha": f"{number:040x}", "path": ".github/workflows/ci.yml", "run_number": number, "event": "push",
        "display_title": f"Change {number}", "status": "completed", "conclusion": "failure" if failed else "success",
        "workflow_id": 77, "url": f"https://api.github.com/repos/{REPO}/actions/runs/{9_000_000 + number}",
        "html_url": f"https://github.com/{REPO}/actions/runs/{9_000_000 + number}", "pull_requests": [],
        "created_at": stamp(begun_s), "updated_at": stamp(max(each.finished_s for each in timed)),
        "actor": {"login": "octocat", "id": 1}, "run_attempt": attempt, "run_started_at": stamp(begun_s), **more,
    }  # fmt: skip


def github_jobs(run: Mapping[str, Any], timed: list[Timed], attempt: int = 1) -> list[dict[str, Any]]:
    """As `GET /repos/{owner}/{repo}/actions/runs/{id}/jobs` lists them."""
    return [
        {
            "id": run["id"] * 1000 + attempt * 100 + number, "run_id": run["id"], "run_attempt": attempt,
            "run_url": run["url"], "head_sha": run["head_sha"], "workflow_name": run["name"],
            "head_branch": run["head_branch"], "status": "completed", "conclusion": each.outcome,
            "created_at": stamp(each.queued_s), "started_at": stamp(each.started_s),
            "completed_at": stamp(each.finished_s), "name": each.job.name, "labels": ["ubuntu-latest"],
            "runner_id": 5, "runner_name": "" if each.outcome == "skipped" else f"GitHub Actions {number}",
            "runner_group_id": 0, "runner_group_name": "GitHub Actions",
            "html_url": f"{run['html_url']}/job/{run['id'] * 1000 + attempt * 100 + number}",
            "steps": [] if each.outcome == "skipped" else _steps(each),
        }
        for number, each in enumerate(timed)
    ]  # fmt: skip


def _steps(each: Timed) -> list[dict[str, Any]]:
    middle_s = each.started_s + (each.finished_s - each.started_s) / 4
    return [
        {"name": name, "status": "completed", "conclusion": outcome, "number": number,
         "started_at": stamp(from_s), "completed_at": stamp(to_s)}
        for number, (name, outcome, from_s, to_s) in enumerate(
            [
                ("Set up job", "success", each.started_s, middle_s),
                ("Run it", each.outcome, middle_s, each.finished_s),
            ],
            1,
        )
    ]  # fmt: skip


def gitlab_pipeline(number: int, timed: list[Timed], **more: Any) -> dict[str, Any]:
    """As `GET /projects/:id/pipelines` lists one."""
    failed = any(each.outcome == "failure" for each in timed)
    return {
        "id": 5_000_000 + number, "iid": number, "project_id": 42, "sha": f"{number:040x}", "ref": "main",
        "status": "failed" if failed else "success", "source": "push", "created_at": stamp(timed[0].queued_s),
        "updated_at": stamp(max(each.finished_s for each in timed)),
        "web_url": f"https://gitlab.com/{REPO}/-/pipelines/{5_000_000 + number}", "name": None, **more,
    }  # fmt: skip


def gitlab_jobs(pipeline: Mapping[str, Any], timed: list[Timed]) -> list[dict[str, Any]]:
    """As `GET /projects/:id/pipelines/:pipeline_id/jobs` lists them, the latest first."""
    words = {"success": "success", "failure": "failed", "skipped": "skipped"}
    return [
        {
            "id": pipeline["id"] * 1000 + number, "status": words[each.outcome], "stage": each.job.stage,
            "name": each.job.name, "ref": pipeline["ref"], "tag": False, "coverage": None, "allow_failure": False,
            "created_at": pipeline["created_at"],
            "started_at": None if each.outcome == "skipped" else stamp(each.started_s),
            "finished_at": None if each.outcome == "skipped" else stamp(each.finished_s), "erased_at": None,
            "duration": None if each.outcome == "skipped" else round(each.finished_s - each.started_s, 3),
            "queued_duration": None if each.outcome == "skipped" else round(each.started_s - each.queued_s, 3),
            "commit": {"id": pipeline["sha"], "short_id": pipeline["sha"][:8]},
            "pipeline": {key: pipeline[key] for key in ("id", "iid", "project_id", "sha", "ref", "status", "source")},
            "failure_reason": "script_failure" if each.outcome == "failure" else None,
            "web_url": f"https://gitlab.com/{REPO}/-/jobs/{pipeline['id'] * 1000 + number}", "tag_list": ["linux"],
            "runner": {"id": 3, "description": "shared-3", "active": True, "is_shared": True},
        }
        for number, each in reversed(list(enumerate(timed)))
    ]  # fmt: skip


def github(
    runs: int = 40, seed: int = 1, jobs: tuple[Job, ...] = JOBS, failing: float = 0.05, queue_s: float = 8.0
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The answers of both calls for so many runs, an hour apart; that about jobs once a run."""
    chance = random.Random(seed)
    listed, found = [], []
    for number in range(runs):
        timed = course(jobs, BEGIN_S + number * 3600, chance, failing, queue_s)
        listed.append(github_run(number, timed))
        jobs_of = github_jobs(listed[-1], timed)
        found.append({"total_count": len(jobs_of), "jobs": jobs_of})
    return {"total_count": runs, "workflow_runs": listed[::-1]}, found


def gitlab(
    runs: int = 40, seed: int = 1, jobs: tuple[Job, ...] = JOBS, failing: float = 0.05, queue_s: float = 8.0
) -> tuple[list[Any], list[Any]]:
    chance = random.Random(seed)
    listed, found = [], []
    for number in range(runs):
        timed = course(jobs, BEGIN_S + number * 3600, chance, failing, queue_s)
        listed.append(gitlab_pipeline(number, timed))
        found += gitlab_jobs(listed[-1], timed)
    return listed[::-1], found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", choices=("github", "gitlab"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    made = (github if args.system == "github" else gitlab)(args.runs, args.seed)
    for name, value in zip(("runs.json", "jobs.json"), made):
        (args.folder / name).write_text(json.dumps(value, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
