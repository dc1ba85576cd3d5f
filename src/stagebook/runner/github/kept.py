"""What stands for the actions that keep files: caches from one run to the next, artifacts between the jobs of one."""

from __future__ import annotations

import glob
import os
import re

from stagebook.model.globs import Globs
from stagebook.runner import matching
from stagebook.runner.artifacts import Artifacts
from stagebook.runner.caches import Caches
from stagebook.runner.github.step import Running
from stagebook.runner.github.work import SUCCESS, Post, Wrong

THROUGH_MAX = 50_000  #: files and folders reached by links to folders: such links to each other multiply
_WILD = re.compile(r"[*?\[{]")
_NAME_WRONG = re.compile(r"[\"*:<>?|\r\n\\/]")


# Caches


def cache(running: Running, given: dict[str, str]) -> str:
    """Restores, and keeps the files when all steps are over and well."""
    hit = _restore(running, given)
    if not hit:
        running.work.posts.append(Post(f"save cache {given['key']}", lambda: _save(running, given)))
    return SUCCESS


def restore(running: Running, given: dict[str, str]) -> str:
    _restore(running, given)
    return SUCCESS


def save(running: Running, given: dict[str, str]) -> str:
    _save(running, given)
    return SUCCESS


def _restore(running: Running, given: dict[str, str]) -> bool:
    """Whether that very key was there."""
    key = _sayable(running, "cache: `key`", given.get("key", ""))
    if not key:
        raise Wrong("cache: input `key` is missing")
    store, into = Caches(running.work.here.state), running.work.workspace
    keys = _lines(given.get("restore-keys", ""))
    _outside(running, given)
    found = store.find(key, keys) if given.get("lookup-only") == "true" else store.restore(key, into, keys)
    running.effects.outputs.update(
        {"cache-hit": "true" if found == key else "" if found is None else "false", "cache-primary-key": key}
    )
    running.effects.outputs["cache-matched-key"] = found or ""
    running.say(f"cache {key}: {'nothing kept yet' if found is None else f'restored from {found}'}")
    if found is None and given.get("fail-on-cache-miss") == "true":
        raise Wrong(f"cache {key}: nothing is kept under it")
    return found == key


def _save(running: Running, given: dict[str, str]) -> None:
    key = _sayable(running, "cache: `key`", given.get("key", ""))
    root = running.work.workspace
    kept = Caches(running.work.here.state).save(key, root, _inside(running, given), replace=False)
    running.say(f"cache {key}: {'nothing new to keep' if kept is None else f'{kept.files} files kept'}")


def _inside(running: Running, given: dict[str, str]) -> list[str]:
    root = running.work.workspace
    return [path for path in _lines(given.get("path", "")) if matching.inside(root, _home(running, path)) is not None]


def _outside(running: Running, given: dict[str, str]) -> None:
    for path in _lines(given.get("path", "")):
        if matching.inside(running.work.workspace, _home(running, path)) is None:
            running.say(f"note: {path} lies outside the workspace, where this machine keeps it by itself")


# Artifacts


def upload(running: Running, given: dict[str, str]) -> str:
    name = _name(_sayable(running, "artifact: `name`", given.get("name", "")) or "artifact")
    store = Artifacts(running.work.here.directory)
    if store.has(name) and given.get("overwrite") != "true":
        raise Wrong(f"artifact {name}: this run has one of that name already; give it another, or `overwrite: true`")
    root, files = _found(running, given)
    if not files:
        said = f"artifact {name}: no file fits {', '.join(_lines(given.get('path', ''))) or 'an empty path'}"
        how = given.get("if-no-files-found", "warn")
        if how == "error":
            raise Wrong(said)
        if how != "ignore":
            running.say(f"warning: {said}")
        return SUCCESS
    plain = [glob.escape(each) for each, origin in files.items() if origin is None]
    linked = {each: origin for each, origin in files.items() if origin is not None}
    put = store.put(name, root, plain, linked=linked)
    for note in put.notes:
        running.say(f"warning: artifact {name}: {note}")
    running.effects.outputs.update({"artifact-id": name, "artifact-url": "", "artifact-digest": ""})
    running.say(f"artifact {name}: {put.files} files, {put.size_bytes} bytes")
    return SUCCESS


def _found(running: Running, given: dict[str, str]) -> tuple[str, dict[str, str | None]]:
    """The folder that all searched paths have in common, and the files below it: where their content is, of those that
    are links or reached by one."""
    names: dict[str, str | None] = {}
    bases: list[str] = []
    is_hidden = given.get("include-hidden-files") == "true"
    for line in _lines(given.get("path", "")):
        is_out = line.startswith("!")
        root, path = _searched(running, line[1:].strip() if is_out else line)
        if is_out:
            globs = Globs(matching.alternatives(path))
            names = {
                each: origin for each, origin in names.items() if globs.first([os.path.relpath(each, root)]) is None
            }  # fmt: skip
            continue
        base = _base(root, path)
        found = _followed(running, [os.path.join(root, each) for each in matching.find(root, [path or "."])[0]])
        names |= {
            each: origin for each, origin in found.items() if is_hidden or not _is_hidden(os.path.relpath(each, base))
        }  # fmt: skip
        bases.append(base)
    if not names:
        return "/", {}
    root = os.path.commonpath(bases)
    while not os.path.isdir(root):
        root = os.path.dirname(root)
    return root, {os.path.relpath(each, root): names[each] for each in sorted(names)}


def _followed(running: Running, paths: list[str]) -> dict[str, str | None]:
    """The files among these, and those that links among them lead to inside the workspace: what they are called, and
    where their content is if elsewhere."""
    top = os.path.realpath(running.work.workspace)
    found: dict[str, str | None] = {}
    todo: list[tuple[str, tuple[str, ...]]] = [(each, ()) for each in reversed(paths)]
    through = 0
    while todo:
        path, trail = todo.pop()
        through += bool(trail)
        if through > THROUGH_MAX:
            raise Wrong(f"artifact: links to folders lead to more than {THROUGH_MAX} files, such as {path[:200]}")
        real = os.path.realpath(path)
        if not trail and not os.path.islink(path):
            if os.path.isfile(path):
                found[path] = None
        elif not real.startswith(top + "/") or not os.path.exists(real):
            running.say(f"warning: {path} is left out: it links to nothing in the workspace")
        elif os.path.isfile(real):
            found[path] = real
        elif os.path.isdir(real) and real not in trail:
            todo += [(os.path.join(path, each), (*trail, real)) for each in sorted(os.listdir(real), reverse=True)]
    return found


def _searched(running: Running, line: str) -> tuple[str, str]:
    """The folder from which a path is searched, the workspace where it lies in it, and the path from there on."""
    root = running.work.workspace
    path = _home(running, line)
    below = matching.inside(root, path)
    if below is not None:
        return root, below
    return "/", os.path.normpath(os.path.join(root, path)).lstrip("/")


def _base(root: str, path: str) -> str:
    """What of a searched path has no wildcard."""
    wild = _WILD.search(path)
    return os.path.normpath(os.path.join(root, path if wild is None else path[: wild.start()].rpartition("/")[0]))


def _is_hidden(below: str) -> bool:
    """Whether a file is, or a folder around it, below what was searched."""
    return any(part.startswith(".") and part != "." for part in below.split("/"))


def download(running: Running, given: dict[str, str]) -> str:
    store = Artifacts(running.work.here.directory)
    target = os.path.normpath(os.path.join(running.work.workspace, _home(running, given.get("path", ""))))
    name = given.get("name", "")
    if given.get("run-id") or given.get("artifact-ids"):
        raise Wrong("download-artifact: artifacts of other runs, and by id, are not here")
    if name:
        if not store.has(name):
            there = ", ".join(store.names()[:8])
            raise Wrong(f"artifact {name}: this run has none of that name{f'; it has {there}' if there else ''}")
        count = store.get(name, target)
        running.say(f"artifact {name}: {count} files")
    else:
        pattern = Globs(matching.alternatives(given.get("pattern", "") or "*"))
        for each in store.names():
            if pattern.first([each]) is not None:
                into = target if given.get("merge-multiple") == "true" else os.path.join(target, each)
                running.say(f"artifact {each}: {store.get(each, into)} files")
    running.effects.outputs["download-path"] = target
    return SUCCESS


def _name(name: str) -> str:
    if _NAME_WRONG.search(name):
        raise Wrong(f'artifact {name!r}: a name must not hold any of " * : < > ? | \\ / or a line break')
    return name


def _sayable(running: Running, what: str, value: str) -> str:
    """It names a folder on disk, where nothing is masked. Raises Wrong."""
    if running.work.masks.hides(value):
        raise Wrong(f"{what} holds a secret, and is not kept secret: leave it out, or use a hash of it")
    return value


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _home(running: Running, path: str) -> str:
    home = running.work.here.env.get("HOME", "")
    return f"{home}{path[1:]}" if path == "~" or path.startswith("~/") else path
