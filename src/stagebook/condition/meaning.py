"""What an expression speaks of, and what is wrong with it before anything is known: names, types, patterns. Pure.

Types are words: `bool`, `int`, `string`, `list:string` …; the empty word is a type that cannot be told. A mistake is
said only where it cannot but be one.
"""

from __future__ import annotations

from stagebook.condition import cel
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Collection, Mapping

OUTCOMES = ("success", "failure", "error", "timeout", "cancellation", "skip")
COMMIT = ("message", "branch", "sha", "files")
#: What stands for itself in a condition.
ROOTS = ("params", "env", "branch", "event", "commit", "stages", "run")

_WORDS = {
    "bool": "true or false", "string": "text", "int": "a whole number", "uint": "a whole number",
    "double": "a number", "bytes": "bytes", "null": "null", "map": "a mapping", "type": "a type",
    "duration": "a duration", "timestamp": "a time",
}  # fmt: skip
_RESULTS = {
    "size": "int", "type": "type", "bool": "bool", "bytes": "bytes", "double": "double", "duration": "duration",
    "int": "int", "string": "string", "timestamp": "timestamp", "uint": "uint", "dyn": "",
}  # fmt: skip
_OF_TEXT = ("contains", "startsWith", "endsWith", "matches")


class Names(NamedTuple):
    """What the pipeline knows: parameters with their choices, and names that must not be read."""

    params: Mapping[str, Collection[str]]
    secrets: Collection[str] = ()
    is_early: bool = False  #: judged before the run begins: there are no outcomes yet


class Reading(NamedTuple):
    """`stages` are those asked for, each with the line and column of its name; `atoms` the facts, as paths."""

    mistakes: tuple[cel.Mistake, ...]
    stages: tuple[tuple[str, int, int], ...]
    atoms: tuple[tuple[str, ...], ...]


def read(tree: Any, names: Names) -> Reading:
    reader = _Reader(names)
    kind = reader.kind(tree)
    if kind not in ("", "bool"):
        reader.wrong(tree, f"a condition is true or false, this is {words(kind)}")
    return Reading(tuple(reader.mistakes), tuple(reader.stages), tuple(dict.fromkeys(reader.atoms)))


def words(kind: str) -> str:
    return "a list" if kind.startswith("list") else _WORDS.get(kind, kind)


def nearest(word: str, known: Collection[str]) -> str:
    """`, did you mean 'branch'?` or nothing."""
    import difflib

    found = difflib.get_close_matches(word[:100], sorted(known)[:1000], 1, 0.6)
    return f", did you mean '{found[0]}'?" if found else ""


class _Reader:
    def __init__(self, names: Names) -> None:
        self.names = names
        self.mistakes: list[cel.Mistake] = []
        self.stages: list[tuple[str, int, int]] = []
        self.atoms: list[tuple[str, ...]] = []
        self._variables: dict[str, str] = {}

    def wrong(self, tree: Any, message: str, code: str = "condition") -> str:
        """Note a mistake; gives the type of what has none."""
        self.mistakes.append(cel.Mistake(*cel.place_of(tree), message, code))
        return ""

    def kind(self, tree: Any) -> str:
        """The type of an expression, with all mistakes in it noted."""
        case: Callable[[Any], str] = getattr(self, "_" + tree.data)
        return case(tree)

    # Logic and operators

    def _conditionalor(self, tree: Any) -> str:
        operator = "||" if tree.data == "conditionalor" else "&&"
        for child in tree.children:
            self._needs_bool(child, operator)
        return "bool"

    _conditionaland = _conditionalor

    def _needs_bool(self, tree: Any, operator: str) -> None:
        kind = self.kind(tree)
        if kind not in ("", "bool"):
            self.wrong(tree, f"`{operator}` needs true or false, this is {words(kind)}")

    def _expr(self, tree: Any) -> str:
        self._needs_bool(tree.children[0], "?:")
        yes, no = self.kind(tree.children[1]), self.kind(tree.children[2])
        return yes if yes == no else ""

    def _relation(self, tree: Any) -> str:
        operator, right = tree.children
        left = operator.children[0]
        kinds = self.kind(left), self.kind(right)
        if operator.data == "relation_in":
            if kinds[1] and kinds[1] != "map" and not kinds[1].startswith("list"):
                hint = "; a text is asked with text.contains('…')" if kinds[1] == "string" else ""
                self.wrong(right, f"`in` looks into a list or mapping, this is {words(kinds[1])}{hint}")
            return "bool"
        said = {"_lt": "<", "_le": "<=", "_gt": ">", "_ge": ">=", "_eq": "==", "_ne": "!="}[operator.data[-3:]]
        if said in ("==", "!="):
            self._possible(left, right)
            self._possible(right, left)
        if all(kinds) and "null" not in kinds and _family(kinds[0]) != _family(kinds[1]):
            self.wrong(tree, f"`{said}` compares {words(kinds[0])} with {words(kinds[1])}{_advice(kinds)}")
        return "bool"

    def _possible(self, asked: Any, given: Any) -> None:
        """A text that what is asked for never is."""
        path, text = self._path(asked), _text(given)
        if path is None or text is None:
            return
        if (path[0], path[-1]) in (("stages", "outcome"), ("run", "outcome")) and text not in OUTCOMES:
            self.wrong(given, f"no outcome is '{text[:60]}'{nearest(text, OUTCOMES) or _one_of(OUTCOMES)}")
        elif path[0] == "params" and len(path) == 2:
            choices = self.names.params.get(path[1], ())
            if choices and text not in choices:
                said = f"parameter '{path[1]}' is never '{text[:60]}'"
                self.wrong(given, f"{said}{nearest(text, choices) or _one_of(choices)}")

    def _addition(self, tree: Any) -> str:
        operator, right = tree.children
        left = operator.children[0]
        kinds = self.kind(left), self.kind(right)
        said = {"_add": "+", "_sub": "-", "_mul": "*", "_div": "/", "_mod": "%"}[operator.data[-4:]]
        for each, part in zip(kinds, (left, right)):
            allowed = ("int", "uint", "double", "duration", "timestamp", "")
            if each not in allowed and not (said == "+" and (each in ("string", "bytes") or each.startswith("list"))):
                self.wrong(part, f"`{said}` does not work with {words(each)}")
                return ""
        times = ("duration", "timestamp")
        if all(kinds) and kinds[0] != kinds[1] and not any(each in times for each in kinds):
            if not all(each.startswith("list") for each in kinds):
                self.wrong(tree, f"`{said}` joins {words(kinds[0])} and {words(kinds[1])}{_advice(kinds)}")
            return ""
        if said in "/%" and _number(right) == 0 and kinds[1] != "double":
            self.wrong(right, "division by zero")
        return kinds[0] if kinds[0] == kinds[1] else ""

    _multiplication = _addition

    def _unary(self, tree: Any) -> str:
        operator, operand = tree.children
        if operator.data == "unary_not":
            self._needs_bool(operand, "!")
            return "bool"
        kind = self.kind(operand)
        if kind not in ("", "int", "double", "duration"):
            self.wrong(operand, f"`-` does not work with {words(kind)}")
        return kind

    # Names

    def _path(self, tree: Any) -> tuple[str, ...] | None:
        """`a.b["c"]` as its parts, where it begins with a name that stands for itself."""
        parts: list[str] = []
        while True:
            if tree.data == "member_dot":
                parts.append(str(tree.children[1]))
                tree = tree.children[0]
            elif tree.data == "member_index" and (text := _text(tree.children[1])) is not None:
                parts.append(text)
                tree = tree.children[0]
            else:
                break
        name = cel.variable_of(tree)
        if name is None or name in self._variables or name not in ROOTS:
            return None
        return (name, *reversed(parts))

    def _member_dot(self, tree: Any) -> str:
        path = self._path(tree)
        if path is not None:
            return self._fact(path, tree)
        return self._field_of(tree, self.kind(tree.children[0]), str(tree.children[1]))

    def _field_of(self, tree: Any, kind: str, name: str) -> str:
        if kind not in ("", "map"):
            hint = f", did you mean '{name}()'?" if name in cel.METHODS else ""
            self.wrong(tree.children[1], f"{words(kind)} has no '{name}'{hint}")
        return ""

    def _member_index(self, tree: Any) -> str:
        path = self._path(tree)
        if path is not None:
            return self._fact(path, tree)
        holder, index = tree.children
        inner = self.kind(index)
        if cel.variable_of(holder) == "stages" and "stages" not in self._variables:
            return self.wrong(index, 'stages[…] takes the name of a stage as text, as in stages["build"]')
        kind = self.kind(holder)
        if kind.startswith("list"):
            if inner not in ("", "int", "uint"):
                self.wrong(index, f"a list is asked for a number, this is {words(inner)}")
            return kind.partition(":")[2]
        if kind not in ("", "map"):
            self.wrong(index, f"{words(kind)} has no parts")
        return "string" if cel.variable_of(holder) in ("params", "env") else ""

    def _ident(self, tree: Any) -> str:
        name = str(tree.children[0])
        if name in self._variables:
            return self._variables[name]
        if name in cel.TYPES:
            return "type"
        if name not in ROOTS:
            near = nearest(name, [*ROOTS, *self._variables]) or self._elsewhere(name) or _one_of(ROOTS)
            return self.wrong(tree, f"unknown name '{name[:60]}'{near}", "unknown-name")
        return self._fact((name,), tree)

    def _elsewhere(self, name: str) -> str:
        if name in self.names.params:
            return f", did you mean 'params.{name}'?"
        if name in COMMIT:
            return f", did you mean 'commit.{name}'?"
        return f", did you mean the text '{name}', in quotes?" if name in OUTCOMES else ""

    def _fact(self, path: tuple[str, ...], tree: Any) -> str:
        """The type of what a path leads to. `tree` is the path's last step."""
        root = path[0]
        self.atoms.append(path)
        if root in ("branch", "event"):
            return "string" if len(path) == 1 else self._beyond(path, 1, tree)
        if root in ("params", "env"):
            return self._of_map(path, tree)
        if root == "commit":
            if len(path) == 1:
                return "map"
            if path[1] not in COMMIT:
                near = nearest(path[1], COMMIT) or _one_of(COMMIT)
                return self.wrong(_step(tree, path, 1), f"commit has no '{path[1][:60]}'{near}", "unknown-name")
            kind = "list:string" if path[1] == "files" else "string"
            return kind if len(path) == 2 else self._beyond(path, 2, tree)
        if self.names.is_early:
            return self.wrong(tree, f"`{root}` is not known before the run begins", "unknown-name")
        return self._run(path, tree) if root == "run" else self._stage(path, tree)

    def _of_map(self, path: tuple[str, ...], tree: Any) -> str:
        if len(path) == 1:
            return "map"
        name = path[1]
        if path[0] == "params" and name not in self.names.params:
            near = nearest(name, self.names.params)
            return self.wrong(_step(tree, path, 1), f"unknown parameter '{name[:60]}'{near}", "unknown-param")
        if path[0] == "env" and name in self.names.secrets:
            return self.wrong(_step(tree, path, 1), f"'{name[:60]}' is a secret; a condition cannot read it", "secret")
        return "string" if len(path) == 2 else self._beyond(path, 2, tree)

    def _run(self, path: tuple[str, ...], tree: Any) -> str:
        if len(path) == 1:
            return "map"
        if path[1] != "outcome":
            return self.wrong(_step(tree, path, 1), f"run has no '{path[1][:60]}', only 'outcome'", "unknown-name")
        return "string" if len(path) == 2 else self._beyond(path, 2, tree)

    def _stage(self, path: tuple[str, ...], tree: Any) -> str:
        if len(path) == 1:
            return self.wrong(tree, 'a stage is named, as in stages["build"].outcome')
        self.stages.append((path[1], *cel.place_of(_step(tree, path, 1))))
        if len(path) == 2:
            return "map"
        if path[2] == "outputs":
            return "map" if len(path) == 3 else "string" if len(path) == 4 else self._beyond(path, 4, tree)
        if path[2] != "outcome":
            near = nearest(path[2], ("outcome", "outputs")) or ", only 'outcome' and 'outputs'"
            return self.wrong(_step(tree, path, 2), f"a stage has no '{path[2][:60]}'{near}", "unknown-name")
        return "string" if len(path) == 3 else self._beyond(path, 3, tree)

    def _beyond(self, path: tuple[str, ...], at: int, tree: Any) -> str:
        if path[:2] == ("commit", "files"):
            return self.wrong(_step(tree, path, at), "a list is asked for a number, or with `exists` and `all`")
        name = path[at]
        hint = f", did you mean '{name}()'?" if name in cel.METHODS else ""
        return self.wrong(_step(tree, path, at), f"text has no '{name[:60]}'{hint}")

    # Calls

    def _member_dot_arg(self, tree: Any) -> str:
        holder, name = tree.children[0], str(tree.children[1])
        arguments = tree.children[2].children if len(tree.children) > 2 else []
        if name in cel.MACROS:
            return self._macro(tree, name, self.kind(holder), arguments)
        kind = self.kind(holder)
        if name not in cel.METHODS:
            known = (*cel.METHODS, *cel.MACROS)
            near = nearest(name, known) or _one_of((*_OF_TEXT, "size", *cel.MACROS))
            return self.wrong(tree.children[1], f"unknown function '{name[:60]}()'{near}", "unknown-name")
        given = [self.kind(each) for each in arguments]
        if name == "size":
            return self._sized(tree, kind, arguments)
        if name not in _OF_TEXT:
            return "int"
        if kind not in ("", "string"):
            hint = ", did you mean 'exists'?" if kind.startswith("list") else ""
            self.wrong(tree.children[1], f"`{name}` is for text, this is {words(kind)}{hint}")
        if len(given) != 1:
            self.wrong(tree.children[1], f"`{name}` takes one text")
        elif given[0] not in ("", "string"):
            self.wrong(arguments[0], f"`{name}` takes a text, this is {words(given[0])}")
        elif name == "matches":
            self._pattern(arguments[0])
        return "bool"

    def _pattern(self, tree: Any) -> None:
        text = _text(tree)
        if text is not None and (why := cel.pattern_error(text)) is not None:
            self.wrong(tree, why, "pattern")

    def _sized(self, tree: Any, kind: str, extra: list[Any]) -> str:
        if extra:
            self.wrong(tree, "`size` takes nothing here: text.size() or size(text)")
        elif kind not in ("", "string", "bytes", "map") and not kind.startswith("list"):
            self.wrong(tree, f"{words(kind)} has no size")
        return "int"

    def _macro(self, tree: Any, name: str, kind: str, arguments: list[Any]) -> str:
        most = 3 if name == "map" else 2
        if not 2 <= len(arguments) <= most or (variable := cel.variable_of(arguments[0])) is None:
            return self.wrong(tree.children[1], f"`{name}` takes a name and a condition, as in {name}(f, f != '')")
        if kind not in ("", "map") and not kind.startswith("list"):
            self.wrong(tree.children[1], f"`{name}` is for a list, this is {words(kind)}")
        outside = self._variables
        self._variables = {**outside, variable: "string" if kind == "list:string" else ""}
        kinds = [self.kind(each) for each in arguments[1:]]
        self._variables = outside
        is_map = name == "map"
        if not (is_map and len(kinds) == 1) and kinds[0] not in ("", "bool"):
            self.wrong(arguments[1], f"`{name}` takes a condition, this is {words(kinds[0])}")
        if is_map:
            return f"list:{kinds[-1]}" if kinds[-1] == "string" else "list"
        return kind if name == "filter" and kind.startswith("list") else "list" if name == "filter" else "bool"

    def _ident_arg(self, tree: Any) -> str:
        name = str(tree.children[0])
        arguments = tree.children[1].children if len(tree.children) > 1 else []
        if name == "has":
            if len(arguments) != 1 or arguments[0].data != "member_dot":
                return self.wrong(tree, "`has` takes a field, as in has(env.CI)")
            self.kind(arguments[0])
            return "bool"
        if name not in cel.FUNCTIONS:
            near = nearest(name, (*cel.FUNCTIONS, *cel.METHODS)) or _one_of(("size", "has", "int", "string", "matches"))
            return self.wrong(tree, f"unknown function '{name[:60]}()'{near}", "unknown-name")
        kinds = [self.kind(each) for each in arguments]
        if len(arguments) != (2 if name == "matches" else 1):
            return self.wrong(tree, f"`{name}` takes {'a text and a pattern' if name == 'matches' else 'one value'}")
        if name == "matches":
            self._pattern(arguments[1])
            return "bool"
        return self._sized(tree, kinds[0], []) if name == "size" else _RESULTS[name]

    # What is written down

    def _primary(self, tree: Any) -> str:
        return self.kind(tree.children[0])

    _paren_expr = _primary

    def _literal(self, tree: Any) -> str:
        token = tree.children[0]
        kinds = {"INT_LIT": "int", "UINT_LIT": "uint", "FLOAT_LIT": "double", "BOOL_LIT": "bool", "NULL_LIT": "null",
                 "BYTES_LIT": "bytes"}  # fmt: skip
        kind = kinds.get(token.type, "string")
        if kind != "null" and cel.literal(token) is None:
            self.wrong(tree, f"{str(token)[:40]} is out of range")
        return kind

    def _list_lit(self, tree: Any) -> str:
        kinds = {self.kind(each) for each in (tree.children[0].children if tree.children else [])}
        return "list:string" if kinds == {"string"} else "list"

    def _map_lit(self, tree: Any) -> str:
        for each in tree.children[0].children if tree.children else []:
            self.kind(each)
        return "map"

    def _foreign(self, tree: Any) -> str:
        return self.wrong(tree, "messages and names with a leading dot have no meaning here")

    _member_object = _dot_ident = _dot_ident_arg = _foreign


def _text(tree: Any) -> str | None:
    """A text that is written down."""
    if tree.data == "primary" and tree.children[0].data == "literal":
        token = tree.children[0].children[0]
        if token.type in ("STRING_LIT", "MLSTRING_LIT"):
            text = cel.literal(token)
            return None if text is None else str(text)
    return None


def _number(tree: Any) -> object:
    if tree.data == "primary" and tree.children[0].data == "literal":
        return cel.literal(tree.children[0].children[0])
    return None


def _step(tree: Any, path: tuple[str, ...], at: int) -> Any:
    """The tree or token that wrote step `at` of a path; `tree` wrote the last."""
    for _ in range(len(path) - 1 - at):
        tree = tree.children[0]
    return tree.children[1]


def _family(kind: str) -> str:
    return "number" if kind in ("int", "uint", "double") else "list" if kind.startswith("list") else kind


def _advice(kinds: tuple[str, str]) -> str:
    if "string" in kinds and ("int" in kinds or "double" in kinds):
        return "; write the number in quotes, or int(…) around the text"
    return "; write 'true' or 'false' in quotes" if "string" in kinds and "bool" in kinds else ""


def _one_of(known: Collection[str]) -> str:
    return f", there are {', '.join(list(known)[:12])}"
