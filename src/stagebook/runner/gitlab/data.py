"""What a GitLab job finds of other jobs and leaves for them: artifacts, dotenv reports, caches."""

from __future__ import annotations

import glob
import hashlib
import os
import subprocess

from stagebook.model.problem import SurroundingsError
from stagebook.runner import log
from stagebook.runner.artifacts import Artifacts
from stagebook.runner.caches import Caches
from stagebook.runner.gitlab import variables
from stagebook.runner.here import Here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

REPORT_BYTES_MAX = 1 << 20
LOOKED_MAX = 200  #: runs, for artifacts of a job that is no part of this one


def reported(here: Here) -> dict[str, str]:
    """The variables of the dotenv reports that a job gets: a later job's are stronger."""
    found: dict[str, str] = {}
    for stage in here.spec.get("artifacts_from") or ():
        store, _ = store_of(here, stage, "dotenv")
        if store is None:
            continue
        folder = store.files(stage)
        for path in sorted(glob.glob("**", root_dir=folder, recursive=True, include_hidden=True)):
            full = os.path.join(folder, path)
            if os.path.isfile(full) and not os.path.islink(full):
                found.update(_of_report(full))
    return found


def _of_report(path: str) -> dict[str, str]:
    with open(path, encoding="utf-8", errors="replace") as file:
        return variables.dotenv(file.read(REPORT_BYTES_MAX))


def store_of(here: Here, stage: str, kind: str) -> tuple[Artifacts | None, str]:
    """Where the artifacts of a stage are, and the run they are of: this one; of a stage that is no part of it, the
    latest run that has some. None where there are none."""
    own = Artifacts(here.directory, kind)
    if own.has(stage):
        return own, here.run
    end = here.end(stage)
    if end is not None and end.is_left_out:
        runs = os.path.dirname(here.directory)
        for run in sorted(os.listdir(runs), reverse=True)[:LOOKED_MAX]:
            earlier = Artifacts(os.path.join(runs, run), kind)
            if run < here.run and earlier.has(stage):
                return earlier, run
    return None, ""


class Store:
    """Both directions, of one job."""

    def __init__(self, here: Here, values: Mapping[str, str], env: Mapping[str, str]) -> None:
        self._here = here
        self._values = values
        self._env = env
        self._artifacts = Artifacts(here.directory)
        self._caches = Caches(here.state)
        #: What the key of each cache was before the script: its files may change.
        self._keys = [self._key(cache) for cache in here.spec.get("cache") or ()]

    def pull(self) -> None:
        """Caches, then artifacts: before the script."""
        root = self._here.workspace
        self._keys = [self._key(cache) for cache in self._here.spec.get("cache") or ()]
        for cache, key in zip(self._here.spec.get("cache") or (), self._keys):
            if self._policy(cache) == "push":
                continue
            tries = [key, *[variables.filled(each, self._values) for each in cache.get("fallback_keys") or ()]]
            found = next((each for each in tries if self._caches.restore(each, root) is not None), None)
            log.say(f"cache {key}: {'nothing kept yet' if found is None else f'restored from {found}'}")
        for stage in self._here.spec.get("artifacts_from") or ():
            store, run = store_of(self._here, stage, "artifacts")
            if store is not None:
                count = store.get(stage, root)
                of_run = "" if run == self._here.run else f", of run {run}"
                log.say(f"artifacts of {stage}: {_count(count)}{of_run}")
            elif (end := self._here.end(stage)) is not None and end.outcome == "skip" and _promises(self._here, stage):
                log.say(f"artifacts of {stage}: none, it did not run here")

    def push(self, is_well: bool) -> bool:
        """Caches, then artifacts: after the script. False where the job fails for it."""
        root = self._here.workspace
        for cache, key in zip(self._here.spec.get("cache") or (), self._keys):
            if self._policy(cache) == "pull" or not _is_due(cache.get("when"), is_well):
                continue
            paths = [variables.filled(each, self._values) for each in cache.get("paths") or ()]
            paths += self._untracked(cache)
            kept = self._caches.save(key, root, paths)
            log.say(f"cache {key}: {'no files to keep' if kept is None else f'{_count(kept.files)} kept'}")
        artifacts = self._here.spec.get("artifacts")
        if not artifacts or not _is_due(artifacts.get("when"), is_well):
            return True
        self._put(artifacts, root)
        return self._report(artifacts, root)

    def _put(self, artifacts: Mapping[str, Any], root: str) -> None:
        paths = [variables.filled(each, self._values) for each in artifacts.get("paths") or ()]
        paths += self._untracked(artifacts)
        if not paths:
            return
        exclude = [variables.filled(each, self._values) for each in artifacts.get("exclude") or ()]
        put = self._artifacts.put(self._here.stage.id, root, paths, exclude)
        for each in put.barren:
            log.say(f"WARNING: {each}: no matching files")
        for note in put.notes:
            log.say(f"WARNING: artifacts: {note}")
        log.say(f"artifacts: {_count(put.files)} kept")

    def _report(self, artifacts: Mapping[str, Any], root: str) -> bool:
        globs = [variables.filled(each, self._values) for each in (artifacts.get("reports") or {}).get("dotenv") or ()]
        if not globs:
            return True
        store = Artifacts(self._here.directory, "dotenv")
        put = store.put(self._here.stage.id, root, globs)
        for each in put.barren:
            log.say(f"WARNING: {each}: no matching files")
        try:
            for name in put.files and store.names() or ():
                if name == self._here.stage.id:
                    for path in _files(store.files(name)):
                        _of_report(path)
        except ValueError as error:
            store.remove(self._here.stage.id)
            log.say(f"ERROR: dotenv report: {error}")
            return False
        return True

    def _key(self, cache: Mapping[str, Any]) -> str:
        """Raises SurroundingsError."""
        key = self._key_of(cache)
        if any(value.strip() and value in key for value in self._here.secrets.values()):
            raise SurroundingsError("cache:key holds a secret, and is not kept secret: use another variable for it")
        return key

    def _key_of(self, cache: Mapping[str, Any]) -> str:
        files = cache.get("key_files") or ()
        if not files:
            return variables.filled(cache.get("key") or "", self._values) or "default"
        digest = hashlib.sha256()
        for name in sorted(variables.filled(each, self._values) for each in files):
            for path in sorted(glob.glob(name, root_dir=self._here.workspace, recursive=True)):
                full = os.path.join(self._here.workspace, path)
                if os.path.isfile(full):
                    digest.update(path.encode("utf-8", "surrogateescape") + b"\0")
                    with open(full, "rb") as file:
                        digest.update(hashlib.sha256(file.read()).digest())
        prefix = variables.filled(cache.get("prefix") or "", self._values)
        return f"{prefix}-{digest.hexdigest()}" if prefix else digest.hexdigest()

    def _policy(self, cache: Mapping[str, Any]) -> str:
        return variables.filled(cache.get("policy") or "", self._values) or "pull-push"

    def _untracked(self, spec: Mapping[str, Any]) -> list[str]:
        """As exact names, of which no character is a wildcard."""
        if not spec.get("untracked"):
            return []
        words = ("git", "-C", self._here.workspace, "ls-files", "-z", "--others")
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        names = [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]
        return [glob.escape(name) for name in names]


def _is_due(when: str | None, is_well: bool) -> bool:
    return {"always": True, "on_failure": not is_well}.get(when or "on_success", is_well)


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files} files"


def _promises(here: Here, stage: str) -> bool:
    job = next((each.job for each in here.pipeline.stages if each.id == stage), None)
    return job is not None and bool((job.spec.get("artifacts") or {}).get("paths"))


def _files(folder: str) -> list[str]:
    return [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
