"""CEL: text to a tree, a tree and values to an answer, both under limits. No names of ours, no places in files.

Grammar, types and functions are the library's, imported on first use, as that takes as long as a run's whole start-up.
The walk over the tree is ours, for its own keeps errors as values that hold the errors before them, each twice as long
as the last: `files.exists(f, 1/0 == 1)` takes all memory there is. Ours is metered: each step, and each piece of text
or list that an operation looks over, costs; so no expression takes more than a few seconds. Patterns go through RE2,
which is linear in the text.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from lark import Tree

#: Limits, each named in the message that refuses an expression. The longest conditions of public pipelines have a few
#: hundred characters.
TEXT_MAX = 4096
DEPTH_MAX = 200
PARTS_MAX = 2000
STEPS_MAX = 1_000_000

#: The grammar has one rule for each level of precedence; where a rule stands for nothing but its child it is left out.
_PASSING = frozenset({
    "expr", "conditionalor", "conditionaland", "relation", "addition", "multiplication", "unary", "member",
})  # fmt: skip

#: What people write who think in another language.
_MEANT = {
    "=": "==", "&": "&&", "|": "||", "and": "&&", "or": "||", "not": "!", "is": "==", "<>": "!=",
}  # fmt: skip


class Mistake(Exception):
    """The text is no expression, or is beyond a limit. `line` and `col` count from 1 within the text."""

    def __init__(self, line: int, col: int, message: str, code: str = "condition") -> None:
        super().__init__(message)
        self.line = line
        self.col = col
        self.code = code


class NoAnswer(Exception):
    """Why an expression has no value: division by zero, a key that is not there, values of types that do not fit."""


class _TooMuch(Exception):
    """The meter has run out. No `NoAnswer`, which `||` would swallow."""


def parse(text: str) -> Tree[Any]:
    """The tree of an expression, without passing rules. Raises Mistake."""
    if len(text) > TEXT_MAX:
        raise Mistake(1, 1, f"the expression has {len(text)} characters, the limit is {TEXT_MAX}", "limit")
    if not text.strip():
        raise Mistake(1, 1, "the expression is empty")
    library = _library()
    try:
        tree = library.environment.compile(text)
    except library.parse_error as error:
        raise _explained(error, text) from None
    except RecursionError:
        raise Mistake(1, 1, "the expression is nested too deeply", "limit") from None
    return _collapsed(tree)


def _explained(error: Any, text: str) -> Mistake:
    """The library's complaint in words for people."""
    cause = error.__context__
    token = getattr(cause, "token", None)
    line, col = error.line or 1, error.column or 1
    if token is not None and token.type == "$END":
        lines = text.rstrip().split("\n")
        return Mistake(len(lines), len(lines[-1]) + 1, "the expression ends too early; something is missing here")
    found = str(token) if token is not None else text.split("\n")[line - 1][col - 1 : col]
    if found in ("'", '"'):
        return Mistake(line, col, f"a text begins here with {found} and does not end")
    hint = f", did you mean '{_MEANT[found]}'?" if found in _MEANT else ""
    return Mistake(line, col, f"unexpected '{found[:40]}'{hint}")


def _collapsed(root: Tree[Any]) -> Tree[Any]:
    """Without recursion, as it judges the depth."""

    def passed(tree: Tree[Any]) -> Tree[Any]:
        while tree.data in _PASSING and len(tree.children) == 1 and type(tree.children[0]) is type(tree):
            tree = tree.children[0]
        return tree

    root = passed(root)
    todo, parts = [(root, 1)], 0
    while todo:
        tree, depth = todo.pop()
        parts += 1
        if depth > DEPTH_MAX or parts > PARTS_MAX:
            said = f"nested more than {DEPTH_MAX} deep" if depth > DEPTH_MAX else f"made of more than {PARTS_MAX} parts"
            raise Mistake(*place_of(tree), f"the expression is {said}", "limit")
        for place, child in enumerate(tree.children):
            if type(child) is type(tree):
                child = tree.children[place] = passed(child)
                todo.append((child, depth + 1))
    return root


def place_of(tree: Any) -> tuple[int, int]:
    """Line and column of a tree or token within the text; the library loses those of `true` and `false`."""
    todo = [tree]
    while todo:
        found = todo.pop()
        at = getattr(found, "meta", found)
        line, col = getattr(at, "line", None), getattr(at, "column", None)
        if line and col:
            return line, col
        todo += reversed(getattr(found, "children", ()))
    return 1, 1


def literal(token: Any) -> Any:
    """The value of a literal's token; None where it is out of range."""
    try:
        return _library().literal(token)
    except ValueError:
        return None


def pattern_error(pattern: str) -> str | None:
    """Why RE2 refuses a pattern; None where it does not."""
    try:
        _library().pattern(pattern)
    except NoAnswer as error:
        return str(error)
    return None


def values(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Texts, lists of texts and mappings as the library has them, made once for many expressions."""
    types = _library().types
    text, new = types.StringType, str.__new__

    def made(value: Any) -> Any:
        if isinstance(value, str):
            return new(text, value)
        if isinstance(value, (tuple, list)):
            return types.ListType([made(each) for each in value])
        return types.MapType({new(text, key): made(each) for key, each in value.items()})

    return {name: made(value) for name, value in plain.items()}


def evaluate(tree: Tree[Any], names: Mapping[str, Any]) -> object:
    """The value over `values` of an expression in which `meaning` finds no mistake: a `bool` for every condition that
    makes sense. Raises NoAnswer."""
    library = _library()
    try:
        value = _Walk(library, names).value(tree)
    except _TooMuch:
        raise NoAnswer(f"more than {STEPS_MAX} steps, which is the limit") from None
    except RecursionError:
        raise NoAnswer("nested too deeply") from None
    return bool(value) if isinstance(value, library.types.BoolType) else value


class _Walk:
    """One evaluation of a tree. `names` grows and shrinks with the variables of `all`, `exists` and the like."""

    def __init__(self, library: _Library, names: Mapping[str, Any]) -> None:
        self._library = library
        self._names = dict(names)
        self._left = STEPS_MAX
        self._literals: dict[int, Any] = {}
        self._true, self._false = library.types.BoolType(True), library.types.BoolType(False)

    def value(self, tree: Any) -> Any:
        """Raises NoAnswer, _TooMuch."""
        self._left -= 1
        if self._left < 0:
            raise _TooMuch
        return getattr(self, "_" + tree.data)(tree)

    def _look_over(self, value: object) -> None:
        """Pay for an operation that goes through a whole value."""
        if isinstance(value, (str, bytes)):
            self._left -= 1 + (len(value) >> 6)
        elif isinstance(value, (list, dict)):
            self._left -= len(value)
            for each in value:
                if isinstance(each, (list, dict)):
                    self._look_over(each)
        if self._left < 0:
            raise _TooMuch

    def _call(self, name: str, *given: Any) -> Any:
        function = self._library.functions[name]
        if name not in _INSTANT:
            for each in given:
                self._look_over(each)
        try:
            result = function(*given)
        except ZeroDivisionError:
            raise NoAnswer("division by zero") from None
        except KeyError:
            raise NoAnswer(f"no such key: {str(given[1])[:100]}") from None
        except IndexError:
            raise NoAnswer(f"no such index: {str(given[1])[:100]}") from None
        except (ValueError, OverflowError) as error:
            said = "out of range" if "overflow" in str(error) else "the value cannot be converted"
            raise NoAnswer(f"{_shown(name)}: {said}") from None
        except (TypeError, AttributeError):
            result = NotImplemented
        if result is NotImplemented or isinstance(result, self._library.error):
            raise NoAnswer(f"{_shown(name)}: the values are of types that do not fit")
        return result

    def _bool(self, value: Any, where: str) -> bool:
        if not isinstance(value, self._library.types.BoolType):
            raise NoAnswer(f"{where}: true or false expected")
        return bool(value)

    # Logic: an error on one side does not count where the other side decides.

    def _decide(self, tree: Any, decisive: bool, where: str) -> Any:
        trouble: NoAnswer | None = None
        for child in tree.children:
            try:
                if self._bool(self.value(child), where) is decisive:
                    return self._true if decisive else self._false
            except NoAnswer as error:
                trouble = trouble or error
        if trouble is not None:
            raise trouble
        return self._false if decisive else self._true

    def _conditionalor(self, tree: Any) -> Any:
        return self._decide(tree, True, "||")

    def _conditionaland(self, tree: Any) -> Any:
        return self._decide(tree, False, "&&")

    def _expr(self, tree: Any) -> Any:
        condition, yes, no = tree.children
        return self.value(yes if self._bool(self.value(condition), "?:") else no)

    # Operators

    def _binary(self, tree: Any) -> Any:
        operator, right = tree.children
        return self._call(OPERATORS[operator.data], self.value(operator.children[0]), self.value(right))

    _relation = _addition = _multiplication = _binary

    def _unary(self, tree: Any) -> Any:
        operator, operand = tree.children
        if operator.data == "unary_not":
            return self._false if self._bool(self.value(operand), "!") else self._true
        return self._call("-_", self.value(operand))

    # What can be looked up, called and written down

    def _member_dot(self, tree: Any) -> Any:
        return self._field(self.value(tree.children[0]), tree.children[1].value)

    def _field(self, holder: Any, name: str) -> Any:
        if not isinstance(holder, self._library.types.MapType):
            raise NoAnswer(f".{name[:100]}: the value has no fields")
        if name not in holder:
            raise NoAnswer(f"no such key: {name[:100]}")
        return holder[name]

    def _member_index(self, tree: Any) -> Any:
        return self._call("_[_]", *map(self.value, tree.children))

    def _member_dot_arg(self, tree: Any) -> Any:
        name = tree.children[1].value
        arguments = tree.children[2].children if len(tree.children) > 2 else []
        if name in MACROS:
            return self._macro(name, self.value(tree.children[0]), arguments)
        if name not in METHODS:
            raise NoAnswer(f"unknown function {name[:100]}()")
        return self._call(name, self.value(tree.children[0]), *map(self.value, arguments))

    def _macro(self, name: str, items: Any, arguments: list[Any]) -> Any:
        if not isinstance(items, (self._library.types.ListType, self._library.types.MapType)):
            raise NoAnswer(f"{name}: a list expected")
        variable = variable_of(arguments[0]) or ""
        outside = self._names
        self._names = dict(outside)
        try:
            return self._loop(name, items, variable, arguments[1:])
        finally:
            self._names = outside

    def _loop(self, name: str, items: Any, variable: str, bodies: list[Any]) -> Any:
        found: list[Any] = []
        trouble: NoAnswer | None = None
        for item in items:
            self._names[variable] = item
            if name == "map" and len(bodies) == 1:
                found.append(self.value(bodies[0]))
                continue
            try:
                holds = self._bool(self.value(bodies[0]), name)
            except NoAnswer as error:
                if name not in ("all", "exists"):
                    raise
                trouble = trouble or error
                continue
            if holds is (name == "exists") and name in ("all", "exists"):
                return self._true if holds else self._false
            if holds:
                found.append(self.value(bodies[1]) if name == "map" else item)
        if trouble is not None:
            raise trouble
        if name in ("map", "filter"):
            return self._library.types.ListType(found)
        decided = len(found) == 1 if name == "exists_one" else name == "all"
        return self._true if decided else self._false

    def _primary(self, tree: Any) -> Any:
        return self.value(tree.children[0])

    def _paren_expr(self, tree: Any) -> Any:
        return self.value(tree.children[0])

    def _literal(self, tree: Any) -> Any:
        token = tree.children[0]
        made = self._literals.get(id(token), self)
        if made is self:
            try:
                made = self._literals[id(token)] = self._library.literal(token)
            except ValueError:
                raise NoAnswer(f"{token.value[:40]} is out of range") from None
        return made

    def _ident(self, tree: Any) -> Any:
        name = tree.children[0].value
        if name in self._names:
            return self._names[name]
        if name in TYPES:
            return self._library.functions[name]
        raise NoAnswer(f"unknown name {name[:100]}")

    def _ident_arg(self, tree: Any) -> Any:
        name = tree.children[0].value
        arguments = tree.children[1].children if len(tree.children) > 1 else []
        if name == "has":
            holder = self.value(arguments[0].children[0])
            if not isinstance(holder, self._library.types.MapType):
                raise NoAnswer("has: the value has no fields")
            return self._true if arguments[0].children[1].value in holder else self._false
        if name == "dyn":
            return self.value(arguments[0])
        if name not in FUNCTIONS:
            raise NoAnswer(f"unknown function {name[:100]}()")
        return self._call(name, *map(self.value, arguments))

    def _list_lit(self, tree: Any) -> Any:
        items = tree.children[0].children if tree.children else []
        return self._library.types.ListType([self.value(item) for item in items])

    def _map_lit(self, tree: Any) -> Any:
        parts = tree.children[0].children if tree.children else []
        made = self._library.types.MapType()
        for key, value in zip(parts[::2], parts[1::2]):
            try:
                made[self.value(key)] = self.value(value)
            except TypeError:
                raise NoAnswer("a list or mapping cannot be a key") from None
        return made


def _shown(name: str) -> str:
    return "[]" if name == "_[_]" else name.strip("_")


def variable_of(tree: Any) -> str | None:
    """The name that `all`, `exists` and the like give to each item; None where there is no plain name."""
    if tree.data == "primary" and tree.children[0].data == "ident":
        return str(tree.children[0].children[0].value)
    return None


#: What the operators of the grammar are called in the library.
OPERATORS = {
    "relation_lt": "_<_", "relation_le": "_<=_", "relation_ge": "_>=_", "relation_gt": "_>_", "relation_eq": "_==_",
    "relation_ne": "_!=_", "relation_in": "_in_", "addition_add": "_+_", "addition_sub": "_-_",
    "multiplication_mul": "_*_", "multiplication_div": "_/_", "multiplication_mod": "_%_",
}  # fmt: skip
MACROS = ("all", "exists", "exists_one", "filter", "map")
METHODS = (
    "contains", "startsWith", "endsWith", "matches", "size", "getDate", "getDayOfMonth", "getDayOfWeek",
    "getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds",
)  # fmt: skip
TYPES = ("bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint")
FUNCTIONS = (
    "size", "matches", "bool", "bytes", "double", "duration", "int", "string", "timestamp", "type", "uint",
    "has", "dyn",
)  # fmt: skip
#: Operations that take the same time whatever the size of their values.
_INSTANT = frozenset(("_[_]", "size", "type", "_-_", "_*_", "_/_", "_%_", "-_"))


class _Library:
    """What is used of the library, made once."""

    def __init__(self) -> None:
        import celpy
        import re2  # type: ignore[import-untyped,unused-ignore]
        from celpy import celparser, celtypes, evaluation

        self.environment = celpy.Environment()
        self.parse_error = celparser.CELParseError
        self.error = evaluation.CELEvalError
        self.types: Any = celtypes
        self.functions: dict[str, Any] = {**evaluation.base_functions, "matches": self._matches}
        self._text = evaluation.celstr
        self._bytes = evaluation.celbytes
        self._re2 = re2
        self._quiet = re2.Options()
        self._quiet.log_errors = False
        self._patterns: dict[str, Any] = {}

    def literal(self, token: Any) -> Any:
        """ValueError for a number that is out of range."""
        kind, text = token.type, token.value
        if kind == "INT_LIT":
            return self.types.IntType(text)
        if kind in ("STRING_LIT", "MLSTRING_LIT"):
            if not text.startswith(("r", "R")):
                token = token.update(value=text.replace("\n", "\\n"))  # which the library would drop
            return self._text(token)
        if kind == "BOOL_LIT":
            return self.types.BoolType(text == "true")
        if kind == "UINT_LIT":
            return self.types.UintType(text[:-1])
        if kind == "FLOAT_LIT":
            return self.types.DoubleType(text)
        return self._bytes(token) if kind == "BYTES_LIT" else None

    def pattern(self, pattern: str) -> Any:
        """A compiled pattern; raises NoAnswer."""
        made = self._patterns.get(pattern)
        if made is None:
            try:
                made = self._re2.compile(pattern, self._quiet)
            except self._re2.error as error:
                said = error.args[0] if error.args else ""
                said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
                raise NoAnswer(f"bad pattern: {said[:100]}") from None
            if len(self._patterns) < 1000:
                self._patterns[pattern] = made
        return made

    def _matches(self, text: Any, pattern: Any) -> Any:
        if not isinstance(text, str) or not isinstance(pattern, str):
            raise TypeError("matches")
        return self.types.BoolType(self.pattern(pattern).search(text) is not None)


_made: list[_Library] = []


def _library() -> _Library:
    if not _made:
        _made.append(_Library())
    return _made[0]
