"""Files that a file includes, read and merged under it. What is not at hand is named; nothing is ever fetched.

Local files lie below the root of their project; files of other projects, components, templates and remote files are
looked for in the checkouts that the user names.
"""

from __future__ import annotations

import os
import re

from stagebook.formats.gitlab import files as project_files
from stagebook.formats.gitlab.expression import ExpressionError, holds, names
from stagebook.formats.gitlab.files import Project
from stagebook.formats.gitlab.inputs import Inputs, is_head
from stagebook.formats.gitlab.reading import Reading, map_of, merged
from stagebook.formats.gitlab.variables import expanded
from stagebook.formats.native import cache
from stagebook.formats.native.nodes import shorten
from stagebook.formats.source.nodes import LIST, MAP, SCALAR, Node, read
from stagebook.model.problem import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

INCLUDES_MAX = 150
DEPTH_MAX = 20
_WORD_MAX = 300
_KINDS = ("local", "project", "remote", "template", "component", "artifact")
_KEYS = frozenset((*_KINDS, "file", "ref", "rules", "inputs", "job", "integrity", "cache"))
_COMPONENT = re.compile(r"\A(?P<host>[^/]+)/(?P<path>.+)/(?P<name>[^/@]+)@(?P<version>[^@]+)\Z")


class Includer:
    """`variables`: those that paths and `rules:if` of an include may speak of."""

    def __init__(self, reading: Reading, home: Project, variables: Mapping[str, str]) -> None:
        self.reading = reading
        self.home = home
        self.variables = variables
        self.count = 0
        self.head: Node | None = None  #: of the user's own file
        self._projects: dict[str, Project] = {}

    def content(
        self,
        data: bytes,
        path: str,
        at: Node | None,
        values: Mapping[str, Node],
        component: dict[str, str] | None = None,
    ) -> Node | None:
        """The root of a file with its inputs put in; None where it holds nothing. InputError if it is not YAML.
        `at`: the include that brings it in, None for the user's own file."""
        source = read(data, path)
        for each in source.problems:
            self.reading.problems.append(each._replace(level="warning") if each.code == "duplicate-key" else each)
        documents = source.documents
        if at is not None:
            for document in documents:
                _mark(document, path)
        head = documents[0] if len(documents) > 1 and is_head(documents[0]) else None
        if documents and len(documents) == 1 and is_head(documents[0]):
            head, documents = documents[0], []
        if len(documents) > (2 if head is not None else 1):
            self.reading.warn(documents[-1], "documents", "only the first document after the head counts")
        root = documents[1 if head is not None else 0] if documents else None
        if root is None:
            return None
        if root.kind != MAP:
            self.reading.problem(root, "type", "a pipeline file is a mapping of keys and jobs")
            return None
        if at is None:
            self.head = head
        inputs = Inputs(self.reading, head, at, self.variables)
        inputs.component = component or {}
        inputs.given(values, is_open=at is None and self.reading.name != ".gitlab-ci.yml")
        return inputs.into(root) if head is not None or b"$[[" in data else root

    def merged(self, root: Node, project: Project, stack: tuple[str, ...]) -> Node:
        """A root with all that it includes under it."""
        node = root.get("include")
        if node is None or node.is_null:
            return root
        under: Node | None = None
        for each in node if node.kind == LIST else (node,):
            for found in self.included(each, project, stack):
                under = found if under is None else merged(under, found, self.reading)
        own = map_of(root, [(key, value) for key, value in root.entries() if key.value != "include"])
        return own if under is None else merged(under, own, self.reading)

    def included(self, node: Node, project: Project, stack: tuple[str, ...]) -> list[Node]:
        """What one entry of `include:` brings."""
        reading = self.reading
        if node.kind == LIST:
            return [found for each in node for found in self.included(each, project, stack)]
        if node.kind == SCALAR:
            text = self.text(node)
            if not text:
                reading.problem(node, "include", "an include is empty")
                return []
            if text.startswith(("http://", "https://")):
                return self.elsewhere(node, node, text, f"remote file {shorten(text)}", stack)
            return self.local(node, node, text, project, stack)
        for name, key, _ in node.items():
            if name not in _KEYS:
                reading.problem(key, "unknown-key", f"include: unknown key `{shorten(name)}`")
        if not self.applies(node, project):
            return []
        kinds = [kind for kind in _KINDS if node.get(kind) is not None]
        if len(kinds) != 1 and kinds != ["component"]:
            words = ", ".join(_KINDS)
            reading.problem(node, "include", f"an include takes exactly one of {words}")
            return []
        value = node.get(kinds[0])
        assert value is not None
        text = self.text(value)
        if kinds[0] == "local":
            return self.local(node, value, text, project, stack)
        if kinds[0] == "project":
            return self.of_project(node, value, text, stack)
        if kinds[0] == "component":
            return self.component(node, value, text, project, stack)
        if kinds[0] == "artifact":
            reading.lacks(value, "include", f"what a job makes, {shorten(text)}, is known only at run time")
            return []
        if kinds[0] == "remote":
            return self.elsewhere(node, value, text, f"remote file {shorten(text)}", stack)
        return self.elsewhere(node, value, "template", f"template {shorten(text)}", stack, text)

    def text(self, node: Node) -> str:
        return expanded(node.text or "", self.variables).strip()

    def applies(self, node: Node, project: Project) -> bool:
        rules = node.get("rules")
        if rules is None or rules.is_null:
            return True
        for rule in rules if rules.kind == LIST else (rules,):
            condition, exists, when = rule.get("if"), rule.get("exists"), rule.get("when")
            if condition is not None and condition.text is not None:
                try:
                    if not holds(condition.text, self.variables):
                        continue
                except ExpressionError as error:
                    self.reading.problem(condition, "expression", f"include:rules:if: {error}")
                    continue
            if exists is not None:
                paths = exists.get("paths") if exists.kind == MAP else exists
                globs = [expanded(each, self.variables) for each in paths.texts] if paths is not None else []
                if not any(project.has(glob) for glob in globs):
                    continue
            return when is None or when.text != "never"
        return False

    # Where they lie -----------------------------------------------------------------------------------------------

    def local(self, node: Node, at: Node, text: str, project: Project, stack: tuple[str, ...]) -> list[Node]:
        reading = self.reading
        if "$" in (at.text or "") and self.lacks_variable(at.text or ""):
            said = f"local file {shorten(at.text or '')}: what its variables are is not known; set them with --var"
            reading.lacks(at, "include", said)
            return []
        if not text.endswith((".yml", ".yaml")):
            reading.problem(at, "include", f"local file {shorten(text)}: the name of an included file ends in .yml")
            return []
        if text.startswith(("./", "../")) or "/../" in text:
            reading.problem(at, "include", f"local file {shorten(text)}: write its path from the project's root on")
            return []
        if "*" in text:
            glob = re.sub(r"/\*\*/", "/*/**/", text)
            found = [project.path(each) for each in project.matching(glob)]
            paths = [path for path in found if path is not None and path != reading.file]
            if not paths:
                self.gone(at, f"local files {shorten(text)}: no file matches", project)
            return [root for path in paths for root in self.one(node, at, path, project, stack)]
        path = project.path(text)
        if path is None and project is self.home and self.home.root != os.path.dirname(reading.file):
            beside = Project(os.path.dirname(reading.file))
            path = beside.path(text) if self.home.holds(beside.root) else None
        if path is None:
            where = f" in project {shorten(project.name)}" if project.name else ""
            what = f"local file {shorten(text)}"
            self.gone(at, f"{what} does not exist{where}", project, f"{what} is not at hand{where}")
            return []
        return self.one(node, at, path, project, stack)

    def gone(self, at: Node, said: str, project: Project, brief: str = "") -> None:
        """A file is not where it has to be: an error, as to GitLab, where all files of the project are at hand; else
        it is only missing here, by `brief`."""
        if self.reading.is_at_hand or (project is not self.home and not self.reading.is_part):
            self.reading.problem(at, "include", said)
        else:
            self.reading.lacks(at, "include", brief or said)

    def lacks_variable(self, text: str) -> bool:
        return any(name not in self.variables for name in names(text))

    def of_project(self, node: Node, at: Node, name: str, stack: tuple[str, ...]) -> list[Node]:
        wanted = node.get("file")
        if wanted is None or not wanted.texts:
            self.reading.problem(node, "include", f"project {shorten(name)}: `file` is missing")
            return []
        folder = self.reading.request.includes.get(name)
        found: list[Node] = []
        for text in wanted.texts:
            path = expanded(text, self.variables)
            if folder is None:
                said = f"file {shorten(path)} of project {shorten(name)} is not at hand"
                self.reading.lacks(at, "include", f"{said}; name a checkout with --include {_word(name)}=DIR")
                continue
            found += self.local(node, at, path.removeprefix("./"), self.project(name, folder), stack)
        return found

    def component(self, node: Node, at: Node, text: str, project: Project, stack: tuple[str, ...]) -> list[Node]:
        parts = _COMPONENT.match(text)
        if parts is None:
            self.reading.problem(at, "include", f"component {shorten(text)}: expected HOST/PROJECT/NAME@VERSION")
            return []
        path, name = parts["path"], parts["name"]
        known = {"name": name, "version": parts["version"], "reference": text, "sha": parts["version"]}
        if path == self.variables.get("CI_PROJECT_PATH"):
            return self.of_component(node, at, self.home, known, stack, text)
        for key, folder in self.reading.request.includes.items():
            if key in (path, f"{parts['host']}/{path}", text, text.partition("@")[0], f"{path}/{name}"):
                return self.of_component(node, at, self.project(key, folder), known, stack, text)
        said = f"component {shorten(at.text or text)} is not at hand"
        self.reading.lacks(at, "include", f"{said}; name a checkout with --include {_word(path)}=DIR")
        return []

    def of_component(
        self, node: Node, at: Node, project: Project, known: dict[str, str], stack: tuple[str, ...], text: str
    ) -> list[Node]:
        for relative in (f"templates/{known['name']}.yml", f"templates/{known['name']}/template.yml"):
            path = project.path(relative)
            if path is not None:
                return self.one(node, at, path, project, stack, known)
        self.gone(at, f"component {shorten(text)}: no templates/{shorten(known['name'])}.yml", project)
        return []

    def elsewhere(
        self, node: Node, at: Node, key: str, what: str, stack: tuple[str, ...], inside: str = ""
    ) -> list[Node]:
        """A file that the user may have at hand under a name of its own: a remote one, or a template."""
        given = self.reading.request.includes.get(key)
        if given is not None and os.path.isfile(given) and not inside:
            return self.one(node, at, given, self.project(key, os.path.dirname(given)), stack)
        if given is not None and inside:
            project = self.project(key, given)
            path = project.path(inside)
            if path is not None:
                return self.one(node, at, path, project, stack)
        hint = f"--include {_word(key)}={'DIR' if inside else 'FILE'}"
        self.reading.lacks(at, "include", f"{what} is not at hand; name a copy with {hint}")
        return []

    def project(self, name: str, folder: str) -> Project:
        return self._projects.setdefault(name, Project(folder, name))

    # Reading ------------------------------------------------------------------------------------------------------

    def one(
        self,
        node: Node,
        at: Node,
        path: str,
        project: Project,
        stack: tuple[str, ...],
        component: dict[str, str] | None = None,
    ) -> list[Node]:
        reading = self.reading
        self.count += 1
        if path in stack or path == reading.file:
            reading.problem(at, "include", f"{shorten(_shown(reading, path))} includes itself")
            return []
        if self.count > INCLUDES_MAX or len(stack) > DEPTH_MAX:
            reading.refuse(at, "limit", f"more than {INCLUDES_MAX} files, or {DEPTH_MAX} one in another, are included")
        reading.spots.setdefault(path, reading.spot(at))
        given = node.get("inputs")
        values = {name: value for name, _, value in given.items()} if given is not None else {}
        try:
            data = project_files.content(path)
            reading.digests[path] = cache.digest(data)
            root = self.content(data, path, node, values, component)
        except OSError as error:
            said = error.strerror or str(error)
            reading.problem(at, "include", f"{shorten(_shown(reading, path))} cannot be read: {said}")
            return []
        except InputError as error:
            reading.problems += error.problems
            return []
        return [] if root is None else [self.merged(root, project, (*stack, path))]


def _word(text: str) -> str:
    """Text to be typed again, so whole wherever that is harmless."""
    return text if text.isascii() and text.isprintable() and len(text) <= _WORD_MAX else shorten(text)


def _shown(reading: Reading, path: str) -> str:
    return os.path.relpath(path, reading.root) if path.startswith(reading.root) else path


def _mark(node: Node, path: str) -> None:
    """Say of each node of an included file where it stands."""
    todo = [node]
    while todo:
        each = todo.pop()
        if each.file is not None:
            continue
        each.file = path
        if each.kind == LIST:
            todo += each.value
        elif each.kind == MAP:
            for key, value in (*each.value, *each.merged):
                todo += (key, value)
