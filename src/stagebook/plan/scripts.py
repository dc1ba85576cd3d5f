"""Which files a script in Python speaks of, by its syntax tree: texts that look like places, and what its calls that
take a place are given, as far as it can be worked out. Runs nothing, reads no file itself."""

from __future__ import annotations

import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Collection, Iterable

#: What is larger is not looked through.
BYTES_MAX = 500_000

#: A name with an ending, or with folders: nothing with spaces or without a letter.
_PLACE = re.compile(
    r"(?=.*[A-Za-z])(?:[^\s:|;<>&\"'`()]*/[^\s:|;<>&\"'`()]*|\.?[\w*@+%~-][\w.*@+%~-]*\.[A-Za-z*]\w{0,9})\Z"
)

#: Modules by which a script reaches what no file declares.
_REACHING = frozenset(
    "socket socketserver http urllib requests httpx aiohttp ftplib smtplib imaplib xmlrpc psycopg psycopg2 pymysql"
    " MySQLdb redis pymongo sqlalchemy boto3 docker paramiko kubernetes grpc subprocess pty importlib runpy ctypes"
    " fcntl mmap shelve dbm tempfile site signal posix webbrowser multiprocessing asyncio fileinput mailbox venv"
    " ensurepip zipapp compileall py_compile code pdb".split()
)
_REACHING_CALLS = frozenset(
    "system popen spawnl spawnv spawnlp spawnvp execv execvp execl execlp fork kill killpg getenv putenv expanduser"
    " expandvars home gettempdir eval exec __import__ import_module symlink symlink_to link hardlink_to mkfifo setxattr"
    " utime chdir listdir scandir iterdir walk rglob rmtree copytree getattr vars".split()
)
#: Modules that touch no file by themselves, or only those that they are given open.
_HARMLESS = frozenset(
    "__future__ abc argparse base64 binascii bisect calendar cmath collections contextlib copy csv dataclasses datetime"
    " decimal difflib enum fractions functools hashlib heapq hmac html itertools json keyword math numbers operator"
    " pprint random re secrets statistics string struct sys textwrap time types typing unicodedata uuid zlib".split()
)
#: Of these modules nothing else is used.
_FUNCTIONS = {
    "os": frozenset(
        "remove unlink rename replace mkdir makedirs rmdir stat truncate chmod getpid cpu_count path sep linesep fspath"
        " PathLike".split()
    ),
    "path": frozenset("join exists isfile isdir basename dirname abspath realpath normpath getsize getmtime".split()),
    "shutil": frozenset("copy copy2 copyfile move copyfileobj".split()),
    "sqlite3": frozenset("connect Row Error OperationalError IntegrityError Connection Cursor".split()),
    "io": frozenset("StringIO BytesIO open TextIOBase".split()),
    "gzip": frozenset("open compress decompress".split()),
    "bz2": frozenset("open compress decompress".split()),
    "lzma": frozenset("open compress decompress".split()),
    "codecs": frozenset(("open",)),
    "glob": frozenset(("glob",)),
    "pathlib": frozenset("Path PurePath PosixPath".split()),
    "sys": frozenset(
        "argv stdin stdout stderr exit version_info platform maxsize byteorder version executable".split()
    ),
}
#: Names that say nothing of a place by themselves, and may be passed on.
_NAMES = frozenset(
    "path sep linesep PathLike fspath Row Error OperationalError IntegrityError Connection Cursor".split()
)
#: Methods that make another place of one.
_REMAKING = frozenset("with_suffix with_stem relative_to expanduser samefile iterdir rglob link_to".split())
#: By these a function is found that nothing names.
_LOOKING_UP = frozenset(("globals", "locals", "getattr", "vars"))
#: Keywords that take a place.
_KEYWORDS = frozenset(("file", "filename", "path", "database", "dst", "src", "dir", "directory", "fname"))
#: Calls of which the first argument is a place, by what they are called on; and methods of a path.
_OF_MODULES = frozenset(
    ("os", "path", "shutil", "sqlite3", "io", "codecs", "gzip", "bz2", "lzma", "zipfile", "tarfile", "glob")
)
_OPEN_ALREADY = frozenset("copyfileobj StringIO BytesIO compress decompress getpid cpu_count".split())
_BY_NAME = frozenset(("open", "Path", "PurePath", "PosixPath"))
_TWO_PLACES = frozenset(("rename", "replace", "copy", "copy2", "copyfile", "move", "link"))
_OF_PATHS = frozenset(("rename", "joinpath", "with_name", "glob"))
_ON_PATHS = frozenset(
    "joinpath with_name"
    " read_text read_bytes write_text write_bytes open unlink touch mkdir rmdir exists is_file is_dir stat chmod rename"
    " replace glob".split()
)
_WRITING = frozenset(
    "write_text write_bytes unlink remove rename rmdir mkdir makedirs touch chmod truncate connect copy copy2 copyfile"
    " move dump".split()
)
_DEPTH_MAX = 20


class Said:
    """What is named. `writes` are those that may be changed, `loose` those that a script names, of which the folder is
    not known; `folders` those that are only made sure to be there. `why_open`: why there may be more."""

    __slots__ = (
        "folders", "loose", "makes_folders", "mentions", "reads", "scripts", "why_open", "words", "writes",
        "writes_at_large",
    )  # fmt: skip

    def __init__(self) -> None:
        self.reads: set[str] = set()
        self.writes: set[str] = set()
        self.loose: set[str] = set()
        self.folders: set[str] = set()
        self.scripts: set[str] = set()
        self.mentions: set[str] = set()  #: texts of scripts, and words they are given, that look like no place
        self.words: set[str] = set()  #: other words that a program is given of which nothing is known
        self.makes_folders = False
        self.writes_at_large = False  #: a script changes files, and it is not known which of those that it names
        self.why_open: str | None = None

    def open(self, why: str) -> None:
        if self.why_open is None:
            self.why_open = why


def looks_like_a_place(text: str) -> bool:
    return text.startswith(("~", "/")) or bool(_PLACE.match(text))


def python(text: str, path: str, found: Said, parts: Collection[str] = ()) -> list[str]:
    """What a script in Python names, added to `found`. Gives the modules that it imports.

    `parts` are words by which others run another part of it: a function of such a name counts for nothing here, unless
    it is named for another use than to be looked up by that word.
    """
    import ast

    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        found.open(f"{path} is not understood")
        return []
    return _Script(ast, tree, path, found, parts).modules()


class _Script:
    """One syntax tree. `values` holds what is assigned to each name, None among it for what a caller gives."""

    def __init__(self, ast: Any, tree: Any, path: str, found: Said, parts: Collection[str]) -> None:
        self.ast = ast
        self.path = path
        self.found = found
        others = self._of_others(tree, parts) if parts else ()
        tree.body = [each for each in tree.body if getattr(each, "name", None) not in others]
        self.nodes = list(ast.walk(tree))
        #: What the names of modules and of what comes from them stand for: module, or module and name.
        self.means: dict[str, tuple[str, str]] = {}
        for node in self.nodes:
            self._means(node)
        self.values: dict[str, list[Any]] = {}
        for node in self.nodes:
            self._assigned(node)

    def _of_others(self, tree: Any, parts: Collection[str]) -> set[str]:
        """Functions that only other parts of the script come to: of such a name, and not used by what is left."""
        ast = self.ast
        if any(isinstance(node, ast.Name) and node.id in _LOOKING_UP for node in ast.walk(tree)):
            return set()
        others = {each.name for each in tree.body if isinstance(each, ast.FunctionDef)} & set(parts)
        while others:
            left = [each for each in tree.body if getattr(each, "name", None) not in others]
            looked_up: set[int] = set()
            used: set[str] = set()
            for node in (node for each in left for node in ast.walk(each)):
                if isinstance(node, ast.Dict):
                    for key, value in zip(node.keys, node.values):
                        if isinstance(key, ast.Constant) and getattr(value, "id", None) == key.value:
                            looked_up.add(id(value))
                elif isinstance(node, ast.Name):
                    used |= {node.id} if id(node) not in looked_up else set()
            if not used & others:
                break
            others -= used
        return others

    def modules(self) -> list[str]:
        ast, found = self.ast, self.found
        told = {id(node.value) for node in self.nodes if isinstance(node, ast.Expr)}
        for node in self.nodes:
            for kind in ("annotation", "returns"):
                told |= {id(each) for each in ast.walk(getattr(node, kind, None) or ast.Pass())}
        for node in self.nodes:
            if isinstance(node, ast.JoinedStr):
                told |= {id(part) for part in node.values}
        named: list[str] = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                named += [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom):
                prefix = f"{node.module}." if node.module else ""
                named += [prefix.rstrip("."), *(prefix + each.name for each in node.names)]
                self._imported([each.name for each in node.names])
            elif isinstance(node, ast.Call):
                self._call(node)
                told.add(id(node.func))
            elif isinstance(node, (ast.Name, ast.Attribute)) and id(node) not in told:
                self._passed_on(node)
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                self._divided(node)
            elif isinstance(node, (ast.Constant, ast.JoinedStr)) and id(node) not in told:
                self._add(self._texts(node), False)
        for module in named:
            first = module.partition(".")[0]
            if first in _REACHING or (
                first in sys.stdlib_module_names and first not in _HARMLESS and first not in _FUNCTIONS
            ):
                found.open(f"{self.path} uses {module}, by which it may reach what no file declares")
        return named

    def _imported(self, names: Iterable[str]) -> None:
        for name in names:
            if name in _REACHING_CALLS or name == "*":
                self.found.open(f"{self.path} uses {name}, so what it touches is not told by its words")

    def _means(self, node: Any) -> None:
        ast = self.ast
        if isinstance(node, ast.Import):
            for each in node.names:
                name = each.name.rpartition(".")[2] if each.asname else each.name.partition(".")[0]
                self.means[each.asname or name] = (name, "")
        elif isinstance(node, ast.ImportFrom):
            for each in node.names:
                module = (node.module or "").rpartition(".")[2]
                self.means[each.asname or each.name] = ("path", "") if each.name == "path" else (module, each.name)

    def _stands_for(self, node: Any) -> tuple[str, str]:
        """Module and name that an expression stands for; no module where it is none of an imported one."""
        ast = self.ast
        if isinstance(node, ast.Name):
            return self.means.get(node.id, ("", node.id))
        if isinstance(node, ast.Attribute):
            module, name = self._stands_for(node.value)
            if module and not name and (module in _FUNCTIONS or module in _HARMLESS):
                return ("path", "") if (module, node.attr) == ("os", "path") else (module, node.attr)
            return "", node.attr
        return "", ""

    def _passed_on(self, node: Any) -> None:
        """A name that is used, and not called at once: what takes a place may then be given any."""
        module, name = self._stands_for(node)
        is_taker = name in _BY_NAME if not module else module in _FUNCTIONS and name and name not in _NAMES
        if module == "sys":
            is_taker = name not in _FUNCTIONS["sys"] and bool(name)
        if isinstance(node, self.ast.Attribute) and not module:
            is_taker = name in _ON_PATHS - {"replace"} or name in _REMAKING or name in ("environ", "environb")
        if is_taker or name in _REACHING_CALLS or name in ("__builtins__", "builtins", "__loader__", "__dict__"):
            self.found.open(f"{self.path} uses {name} by another name")
        if not name and module in _FUNCTIONS and not self._is_base(node):
            self.found.open(f"{self.path} uses {module} by another name")

    def _is_base(self, node: Any) -> bool:
        return any(isinstance(each, self.ast.Attribute) and each.value is node for each in self.nodes)

    def _assigned(self, node: Any) -> None:
        ast = self.ast
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for each in ast.walk(target):
                    if isinstance(each, ast.Name):
                        self.values.setdefault(each.id, []).append(node.value if each is target else None)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and isinstance(node.target, ast.Name):
            self.values.setdefault(node.target.id, []).append(node.value)
        elif isinstance(node, (ast.AugAssign, ast.For, ast.comprehension)):
            for each in ast.walk(node.target):
                if isinstance(each, ast.Name):
                    self.values.setdefault(each.id, []).append(None)
        elif isinstance(node, ast.arg):
            self.values.setdefault(node.arg, []).append(None)

    def _call(self, node: Any) -> None:
        ast, found = self.ast, self.found
        on = node.func.value if isinstance(node.func, ast.Attribute) else None
        module, name = self._stands_for(node.func)
        if name in _REACHING_CALLS or name in _REMAKING or (module and name not in _FUNCTIONS.get(module, (name,))):
            found.open(f"{self.path} uses {name}, so what it touches is not told by its words")
        if name in _WRITING or (name == "replace" and len(node.args) == 1) or (name == "open" and self._writes(node)):
            found.writes_at_large = True
        if name in ("mkdir", "makedirs"):
            found.makes_folders = True
        is_taker = (module in _OF_MODULES and name not in _OPEN_ALREADY) or (
            not module and on is None and name in _BY_NAME
        )
        is_taker = is_taker or (module == "pathlib" and name in _BY_NAME)
        if any(isinstance(each, ast.Starred) for each in node.args) or any(each.arg is None for each in node.keywords):
            if is_taker:
                found.open(f"{self.path} works out the name of a file, line {node.lineno}")
        for keyword in node.keywords:
            is_text = isinstance(keyword.value, (ast.Constant, ast.JoinedStr, ast.BinOp))
            if keyword.arg in _KEYWORDS and (is_taker or is_text):
                self._place(keyword.value)
        if is_taker:
            many = len(node.args) if name in ("join", *_BY_NAME) and name != "open" else 2 if name in _TWO_PLACES else 1
            for given in node.args[:many]:
                self._place(given)
        elif on is not None and not module and name in _ON_PATHS:
            if name != "replace" or len(node.args) == 1:
                self._place(on)
            if name in _OF_PATHS or (name == "replace" and len(node.args) == 1):
                for given in node.args[:1]:
                    self._place(given)

    def _writes(self, node: Any) -> bool:
        ast = self.ast
        given = [*node.args, *(each.value for each in node.keywords if each.arg == "mode")]
        modes = [each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        odd = [each for each in given[1:] if not isinstance(each, ast.Constant)]
        return bool(odd) or any(set(mode) & set("wax+") and set(mode) <= set("rwaxbt+") for mode in modes)

    # Places

    def _place(self, node: Any) -> None:
        """What is given where a place is taken."""
        ast = self.ast
        if isinstance(node, ast.Constant) and not isinstance(node.value, str):
            return
        texts = self._texts(node)
        if texts is None or not all(text in ("", ".") or re.search(r"\w", text) for text in texts):
            self.found.open(f"{self.path} works out the name of a file, line {getattr(node, 'lineno', '?')}")
        else:
            self._add(texts, True)

    def _divided(self, node: Any) -> None:
        """A division, unless it is of numbers: what is joined to a path."""
        left, right = self._texts(node.left), self._texts(node.right)
        if right is not None:
            self._add(right, True)
        elif left is not None:
            self._place(node.right)

    def _texts(self, node: Any, depth: int = 0) -> list[str] | None:
        """What an expression may come to, `*` for a part that is not known; empty for what the command itself has
        given (`sys.argv`) or where the script lies; None where nothing is known."""
        ast = self.ast
        if depth > _DEPTH_MAX:
            return None
        if isinstance(node, ast.Constant):
            return [node.value] if isinstance(node.value, str) else None
        if isinstance(node, ast.JoinedStr):
            texts: list[str] | None = [""]
            for part in node.values:
                inner = part if isinstance(part, ast.Constant) else part.value
                known = self._texts(inner, depth + 1)
                texts = _crossed(texts, ["*"] if known in (None, [""]) else known, "")
            return texts
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Div, ast.Mod)):
            left, right = self._texts(node.left, depth + 1), self._texts(node.right, depth + 1)
            if isinstance(node.op, ast.Mod):
                return None if left is None else [re.sub(r"%[sd]", "*", text) for text in left]
            if left is None and right is None:
                return None
            if isinstance(node.op, ast.Div):
                return right if left in (None, [""]) else _crossed(left, right, "/")
            return None if [""] in (left, right) else _crossed(left or ["*"], right or ["*"], "")
        if isinstance(node, ast.Name):
            return self._of_name(node.id, depth)
        if isinstance(node, ast.Subscript):
            return [""] if self._stands_for(node.value) == ("sys", "argv") else None
        if isinstance(node, ast.Attribute):
            return self._texts(node.value, depth + 1) if node.attr in ("parent", "parents") else None
        if isinstance(node, ast.Call):
            return self._called(node, depth)
        return None

    def _of_name(self, name: str, depth: int) -> list[str] | None:
        if name == "__file__":
            return [""]
        texts: list[str] = []
        for value in self.values.get(name, [None]):
            found = None if value is None else self._texts(value, depth + 1)
            if found is None:
                return None
            texts += found
        return texts

    def _called(self, node: Any, depth: int) -> list[str] | None:
        name = self._stands_for(node.func)[1]
        if name in ("resolve", "absolute", "open", "strip") and not node.args and hasattr(node.func, "value"):
            return self._texts(node.func.value, depth + 1)
        if name in ("Path", "PurePath", "str", "abspath", "realpath", "dirname", "fspath") and len(node.args) == 1:
            return self._texts(node.args[0], depth + 1)
        if (
            name in ("Path", "join", "joinpath")
            and node.args
            and not isinstance(getattr(node.func, "value", None), self.ast.Constant)
        ):
            texts: list[str] | None = [""]
            for given in node.args:
                part = self._texts(given, depth + 1)
                if part is None:
                    return None
                texts = part if texts == [""] else _crossed(texts, part, "/")
            return texts
        return None

    def _add(self, texts: Iterable[str] | None, is_place: bool) -> None:
        for text in texts or ():
            if re.search(r"\b(?:attach|vacuum\s+into|load_extension)\b", text, re.IGNORECASE):
                self.found.open(f"{self.path} may attach another database")
            elif "://" in text:
                self.found.open(f"{self.path} speaks to {text[:60]}")
            elif not is_place and text and not looks_like_a_place(text):
                self.found.mentions.add(text)
            elif text.strip("*./") and (looks_like_a_place(text) or (is_place and not re.search(r"\s", text))):
                place = re.sub(r"\*+", "*", re.sub(r"\{[^{}]*\}", "*", text)).removeprefix("./").rstrip("/")
                self.found.reads.add(place)
                self.found.loose.add(place)


def _crossed(left: list[str] | None, right: list[str] | None, between: str) -> list[str] | None:
    if left is None or right is None or len(left) * len(right) > 100:
        return None
    return [f"{one}{between}{other}" for one in left for other in right]
