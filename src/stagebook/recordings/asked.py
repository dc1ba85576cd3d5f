"""Recorded runs, asked of a CI system's API run by run. What has come is kept beside the history (`cache/recorded`), so
that whoever asks again is only asked for what is new. How answers come over the wire is `web`.
"""

from __future__ import annotations

import json
import os
from urllib.parse import quote

from stagebook.formats.source.documents import Item, number_of, text_of
from stagebook.model.problem import SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.record import state
from stagebook.recordings.web import Client, Denied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

FOLDER = "recorded"
PAGE = 100
_DEPTH_MAX = 3  #: of pipelines that pipelines start
_SEARCH_MAX = 1000  #: runs that GitHub lists for one search
_RUN_KEYS = (
    "id", "name", "path", "status", "conclusion", "event", "head_branch", "head_sha", "run_attempt", "run_number",
    "workflow_id", "run_started_at", "html_url",
)  # fmt: skip
_JOB_KEYS = (
    "id", "run_id", "run_attempt", "name", "status", "conclusion", "created_at", "started_at", "completed_at", "labels",
    "runner_name", "workflow_name", "head_branch", "head_sha", "html_url",
)  # fmt: skip
_STEP_KEYS = ("name", "conclusion", "started_at", "completed_at")
_PIPELINE_KEYS = ("id", "status", "ref", "sha", "source", "created_at", "updated_at", "web_url", "name")
_GITLAB_JOB_KEYS = (
    "id", "name", "stage", "status", "created_at", "started_at", "finished_at", "queued_duration", "allow_failure",
    "failure_reason", "ref", "tag", "tag_list", "downstream_pipeline",
)  # fmt: skip


class Wanted(NamedTuple):
    """Which runs: of a repository, those that began at `since` (ISO 8601) or later, of a branch, the latest `limit`."""

    repo: str
    since: str
    branch: str | None = None
    limit: int | None = None


def github(client: Client, wanted: Wanted, kept: Kept, skips: Callable[[str], bool]) -> Iterator[list[Item]]:
    """The documents of one run after the other, latest first. Runs of workflow files that `skips` says so of are not
    asked for. Raises Denied, SurroundingsError."""
    base = f"/repos/{quote(wanted.repo, safe='/')}/actions/runs"
    for run in _listed(_github_runs(client, base, wanted), wanted.limit):
        id = number_of(run.get("id"))
        if skips(str(run.get("path") or "").partition("@")[0]):
            continue
        if id is None or run.get("status") != "completed":
            yield _items([run])
            continue
        name = f"{id}.{number_of(run.get('run_attempt')) or 1}"
        found = kept.read(name)
        if found is None:
            jobs = _all(client, f"{base}/{id}/jobs", "jobs", filter="all")
            found = [_of(run, _RUN_KEYS), *[_job(job) for job in jobs if isinstance(job, dict)]]
            if all(job.get("status") == "completed" for job in found[1:]):
                kept.write(name, found)
        yield _items(found)


def _github_runs(client: Client, base: str, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """A search ends after a thousand runs, so the next one begins where the last one has ended."""
    until = ""
    seen: set[int] = set()
    while True:
        created = f"{wanted.since}..{until}" if until else f">={wanted.since}"
        count = fresh = 0
        for page in client.pages(base, created=created, branch=wanted.branch, per_page=PAGE):
            for run in _list(page, "workflow_runs"):
                count += 1
                id = number_of(run.get("id")) if isinstance(run, dict) else None
                if id is None:
                    raise SurroundingsError("the server lists a run without a number; is this address that of its API?")
                if id not in seen:
                    seen.add(id)
                    fresh += 1
                    until = text_of(run.get("created_at")) or until
                    yield run
        if count < _SEARCH_MAX or not fresh or not until:
            return


def gitlab(client: Client, wanted: Wanted, kept: Kept) -> Iterator[list[Item]]:
    """The documents of one pipeline after the other, latest first. Raises Denied, SurroundingsError."""
    base = f"/projects/{quote(wanted.repo, safe='')}/pipelines"
    listed = client.pages(
        base, updated_after=wanted.since, ref=wanted.branch, order_by="id", sort="desc", per_page=PAGE
    )
    pipelines = (each for page in listed for each in _list(page, "") if isinstance(each, dict))
    for pipeline in _listed(pipelines, wanted.limit):
        id = number_of(pipeline.get("id"))
        if id is None or pipeline.get("status") not in ("success", "failed", "canceled", "skipped"):
            yield _items([pipeline])
            continue
        name = f"{id}.{text_of(pipeline.get('updated_at'), 40) or 0}"
        found = kept.read(name)
        if found is None:
            found = _of_pipeline(client, base, pipeline, id, 0)
            kept.write(name, found)
        yield _items(found)


class Kept:
    """Documents that have come of one repository, by name."""

    def __init__(self, directory: str, system: str, base: str, repo: str) -> None:
        self._state = directory
        self._folder = os.path.join(directory, "cache", FOLDER, system, state.log_stem(f"{base} {repo}"))

    def read(self, name: str) -> list[dict[str, Any]] | None:
        try:
            with state.open_regular(self._path(name)) as file:
                found = json.loads(file.read())
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, list) and all(isinstance(each, dict) for each in found) else None

    def write(self, name: str, documents: list[dict[str, Any]]) -> None:
        """As a whole or not at all. Raises SurroundingsError."""
        path = self._path(name)
        state.make(self._state)
        try:
            os.makedirs(self._folder, 0o700, exist_ok=True)
            draft = f"{path}.{os.getpid()}"
            with open(draft, "w", encoding="utf-8") as file:
                json.dump(documents, file, separators=(",", ":"))
            os.replace(draft, path)
        except OSError as error:
            raise SurroundingsError(f"cannot write {path}: {error.strerror}") from error

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, f"{state.log_stem(name)}.json")


def _of_pipeline(client: Client, base: str, pipeline: dict[str, Any], id: int, depth: int) -> list[dict[str, Any]]:
    """A pipeline with its jobs and bridges, and those of pipelines that it has started in the same project."""
    jobs = _all(client, f"{base}/{id}/jobs", "", include_retried="true") + _all(client, f"{base}/{id}/bridges", "")
    found = [_of(pipeline, _PIPELINE_KEYS), *[_gitlab_job(job, id) for job in jobs if isinstance(job, dict)]]
    for job in jobs if depth < _DEPTH_MAX else ():
        child = job.get("downstream_pipeline") if isinstance(job, dict) else None
        of = number_of(child.get("id")) if isinstance(child, dict) else None
        if of is not None and child is not None and child.get("source") == "parent_pipeline":
            found += _of_pipeline(client, base, child, of, depth + 1)
    return found


def _all(client: Client, path: str, key: str, **query: Any) -> list[Any]:
    """What all pages hold; nothing of what has been deleted since it was listed."""
    found: list[Any] = []
    try:
        for page in client.pages(path, **query, per_page=PAGE):
            found += _list(page, key)
    except Denied as error:
        if error.status != 404:
            raise
    return found


def _listed(runs: Iterator[dict[str, Any]], limit: int | None) -> Iterator[dict[str, Any]]:
    for number, run in enumerate(runs):
        if limit is not None and number >= limit:
            return
        yield run


def _list(page: Any, key: str) -> list[Any]:
    value = page.get(key) if key and isinstance(page, dict) else page
    if not isinstance(value, list):
        expected = f"a page of {key}" if key else "a list"
        raise SurroundingsError(f"the server answers with something else than {expected}")
    return value


def _of(value: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value[key] for key in keys if key in value}


def _job(job: dict[str, Any]) -> dict[str, Any]:
    steps = job.get("steps")
    listed = [_of(step, _STEP_KEYS) for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    return {**_of(job, _JOB_KEYS), "steps": listed}


def _gitlab_job(job: dict[str, Any], pipeline: int) -> dict[str, Any]:
    runner = job.get("runner")
    named = {"description": runner.get("description")} if isinstance(runner, dict) else None
    return {**_of(job, _GITLAB_JOB_KEYS), "pipeline": {"id": pipeline}, "runner": named}


def _items(documents: list[dict[str, Any]]) -> list[Item]:
    return [Item("the server's answer", 0, each) for each in documents]
