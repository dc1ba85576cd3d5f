"""Which files a shell command speaks of, word by word: what is read, what is written, and what cannot be told. Runs
nothing, and knows of each program only what it does with the files it is given."""

from __future__ import annotations

import re
import shlex
import sys
from posixpath import basename, dirname, join, normpath

from stagebook.plan import scripts
from stagebook.plan.scripts import Said, looks_like_a_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Mapping, Sequence

_DEPTH_MAX = 5
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)\Z", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{(\w+|[@*#?$!-])([^}]*)\}|(\w+|[@*#?$!-]))")
_LISTED = re.compile(r"[*?]|\[.+\]")  #: a word that the shell makes a list of files of, where there are any
_ADDRESS = re.compile(r"://|:\d{2,5}\b|--?port\b|\blocalhost\b|\b127\.0\.")
#: Variables that say which programs and modules are run.
_STEERING = frozenset(
    ("PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONSTARTUP", "BASH_ENV", "ENV", "IFS")
)
_OWN = ("STAGEBOOK_", "PARAM_", "MATRIX_")
_NOWHERE = frozenset(("/dev/null", "/dev/stdin", "/dev/stdout", "/dev/stderr"))
_RESERVED = frozenset("if then else elif fi while until do done { } ! time".split())
_OPENERS, _CLOSERS = frozenset("if while until for {".split()), frozenset("fi done }".split())
#: Stands for a part of a word that is not known.
_UNKNOWN = "\ue0ff"
#: Marks of the shell that are quoted stand this much higher, so that they are text.
_QUOTED = {mark: chr(0xE000 + ord(mark)) for mark in ";<>|&()\n#"}
_PLAIN = str.maketrans({high: mark for mark, high in _QUOTED.items()})

_WORDS_ONLY = frozenset(
    "echo printf true false : sleep seq exit expr break continue return pwd whoami uname nproc id yes tr basename"
    " dirname usleep umask ulimit wait".split()
)
#: What reads the files it is given and writes none, with the options that change nothing of that: letters that stand
#: alone, and letters that take a value. Any other option makes what is read or written unknown.
_READERS = {
    "cat": ("AbeEnstTuv", ""), "sort": ("bdfghiMnRrVCcmsuz", "kt"), "head": ("qvz", "nc"), "tail": ("qvz", "nc"),
    "wc": ("clmwL", ""), "cmp": ("bls", "in"), "diff": ("qsaibwBuy", "U"), "od": ("bcdfilosxv", "AjNtSw"),
    "hexdump": ("bcCdovx", "ns"), "xxd": ("bipu", "cgls"), "uniq": ("cdiuDz", "fsw"), "nl": ("p", "bdfhilnsvw"),
    "tac": ("b", "s"), "rev": ("", ""), "cut": ("snz", "bcdf"), "paste": ("sz", "d"), "join": ("i", "aevjto12"),
    "comm": ("123iz", ""), "fold": ("bs", "w"), "fmt": ("cstu", "w"), "strings": ("a", "nt"), "base64": ("di", "w"),
    "expand": ("i", "t"), "shuf": ("rz", "n"), "cksum": ("", ""), "sum": ("rs", ""),
    **dict.fromkeys("md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum".split(), ("btz", "")),
    "grep": ("EFGPivwxcLloqsnHhzab", "ABCm"), "egrep": ("ivwxclLoqsnHh", "ABCm"), "fgrep": ("ivwxclLoqsnHh", "ABCm"),
    "sed": ("nErsuz", ""), "awk": ("", "F"), "gawk": ("", "F"), "mawk": ("", "F"), "jq": ("rcsnSMCeja", ""),
}  # fmt: skip
_LONG = re.compile(
    r"--(?:reverse|unique|numeric-sort|version-sort|ignore-case|brief|count|quiet|silent|word-regexp|fixed-strings"
    r"|(?:lines|bytes|chars|delimiter|fields|key|field-separator|max-count)(?:=.*)?)\Z"
)
_PATTERN_FIRST = frozenset("grep egrep fgrep sed awk gawk mawk jq".split())
#: Of two files that these are given they write the second.
_SECOND_IS_WRITTEN = frozenset(("uniq", "xxd"))
_HARMLESS = {
    "sed": re.compile(
        r"(?:[\d,$]*|/[^/]*/)(?:[pdq]|s([/|,#:])(?:(?!\1)[^\n])*\1(?:(?!\1)[^\n])*\1[gpIi\d]*)\Z", re.DOTALL
    ),
    "awk": re.compile(r"(?!.*(?:system|getline|close|ARGV|ENVIRON|[>|@]))", re.DOTALL),
    "jq": re.compile(r"(?!.*(?:import|include|env|ENV|input))", re.DOTALL),
}
_CHANGERS = {"touch": "acm", "rm": "rfRdv", "rmdir": "pv", "mkdir": "pv", "tee": "a", "unlink": "", "mv": "fnv"}
_COPYING = re.compile(r"-[afpRrnuv]+\Z")
_FOLDER_MAKERS = frozenset(("mkdir", "cp", "mv"))
_SHELLS = frozenset("sh bash dash zsh ksh".split())
_PREFIXES = frozenset("env nice time timeout exec command stdbuf builtin ionice".split())


class Shell:
    """Reads one command into `said`. `text` gives what a script holds, None where there is none; `words` with
    which words any stage runs it. `folder` is the one it
    starts in, from the pipeline's on."""

    def __init__(
        self, text: Callable[[str], str | None], words: Callable[[str], set[str]], said: Said, folder: str,
        variables: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.text = text
        self.words = words
        self.said = said
        self.folder = folder
        self.variables = dict(variables)
        if not _STEERING.isdisjoint(self.variables):
            said.open("a variable says which programs are run")
        self._depth = 0
        self._blocks = 0
        self._is_perhaps_here = False  #: `cd` stood in a list that goes on where it failed

    def read(self, command: str, given: Sequence[str] = ()) -> None:
        """All commands of a text; `given` are its arguments."""
        self._depth += 1
        if self._depth > _DEPTH_MAX or re.search(r"<<(?!<)|`|[<>]\(", command.replace("<<<", "")):
            self.said.open("a command is not understood")
        else:
            self._read(command, given)
        self._depth -= 1

    def _read(self, command: str, given: Sequence[str]) -> None:
        text = re.sub(r"\$\(\((?:[^()]|\([^()]*\))*\)\)", "1", command.replace("\\\n", " "))
        while (inner := re.search(r"\$\(([^()]*)\)", text)) is not None:
            self._apart(inner[1], given)
            text = text[: inner.start()] + _UNKNOWN + text[inner.end() :]
        if "$(" in text or re.search(r"\w\s*\(\s*\)\s*\{", text):
            return self.said.open("a command is not understood")
        lexer = shlex.shlex(_marked(text), posix=True, punctuation_chars=";<>|&()\n")
        lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
        try:
            tokens = list(lexer)
        except ValueError:
            return self.said.open("a command is not understood")
        self._commands(tokens, given)

    def _apart(self, command: str, given: Sequence[str]) -> None:
        """A shell of its own: where it goes and what it sets ends with it."""
        before = self.folder, dict(self.variables), self._blocks, self._is_perhaps_here
        self.read(command, given)
        self.folder, self.variables, self._blocks, self._is_perhaps_here = before

    def _commands(self, tokens: list[str], given: Sequence[str]) -> None:
        words: list[str] = []
        above: list[tuple[str, dict[str, str], bool]] = []
        at, before = 0, ""
        while at < len(tokens):
            token = tokens[at]
            at += 1
            if token.strip(";<>|&()\n"):
                words.append(token.translate(_PLAIN))
            elif "<" in token or ">" in token:
                at = self._redirected(token, tokens, at, given)
            else:
                if token.strip("\n") == "&" or (token.count("&") % 2 and "|" not in token):
                    self.said.open("something is started in the background")
                self._simple(words, given, before, token)
                words, before = [], token
                for mark in token:
                    if mark == "(":
                        above.append((self.folder, dict(self.variables), self._is_perhaps_here))
                    elif mark == ")" and above:
                        self.folder, self.variables, self._is_perhaps_here = above.pop()
                    elif mark in ";\n" and self._is_perhaps_here:
                        self.said.open("where it works depends on whether a `cd` went well")
        self._simple(words, given, before, "")

    def _redirected(self, mark: str, tokens: list[str], at: int, given: Sequence[str]) -> int:
        if mark.strip("<>&|"):
            self.said.open("a command is not understood")
        if at >= len(tokens):
            return at
        target = tokens[at].translate(_PLAIN)
        if "&" in mark and (target.isdigit() or target == "-") or mark.startswith("<<<"):
            return at + 1
        for place in self._known(target, given):
            self._add(place, ">" in mark)
        return at + 1

    # One command

    def _simple(self, words: list[str], given: Sequence[str], before: str = "", after: str = "") -> None:
        """One command between two marks."""
        while words and words[0] in _RESERVED:
            self._blocks += (words[0] in _OPENERS) - (words[0] in _CLOSERS)
            words = words[1:]
        if words[:1] == ["for"] and len(words) > 1:
            self._blocks += 1
            self.variables[words[1]] = _UNKNOWN
            for word in words[3:]:
                self._perhaps(word, given)
            return
        if words[:1] == ["case"] or words[:1] == ["function"]:
            return self.said.open("a command is not understood")
        while words and (assigned := _ASSIGNED.match(words[0])) is not None:
            if assigned[1] in _STEERING:
                self.said.open("a variable says which programs are run")
            values = self._known(assigned[2], given)
            is_sure = self._blocks == 0 and not set("&|") & set(before + after) and len(values) == 1
            self.variables[assigned[1]] = values[0] if is_sure else _UNKNOWN
            words = words[1:]
        if words[:1] == ["cd"]:
            if self._blocks or "|" in before + after or len(words) != 2 or words[1].startswith("-"):
                self.said.open("where it works is not told by its words")
            self._is_perhaps_here = self._is_perhaps_here or "&" in before + after
        if words:
            self.program([value for word in words for value in self._known(word, given)])

    def program(self, words: list[str]) -> None:
        """A program with its arguments, all of them known."""
        if not words:
            return
        name, args = words[0], words[1:]
        address = next(filter(_ADDRESS.search, args), None)
        if address is not None:
            self.said.open(f"it speaks to {address[:60]}")
        if "/" in name and not name.startswith("/"):
            return self.script(self._path(name), args)
        name = basename(name)
        if name in _FOLDER_MAKERS:
            self.said.makes_folders = True
        if name in _PREFIXES:
            rest = [word for word in args if not word.startswith("-") and not re.fullmatch(r"[\d.]+[smhd]?", word)]
            if len(rest) and args[: args.index(rest[0])] and name in ("env", "exec"):
                self.said.open(f"{name} is given options")
            while rest and (assigned := _ASSIGNED.match(rest[0])) is not None:
                if assigned[1] in _STEERING:
                    self.said.open("a variable says which programs are run")
                self.variables[assigned[1]] = assigned[2]
                rest = rest[1:]
            self.program(rest and args[args.index(rest[0]) :])
        elif name == "cd":
            self.folder = normpath(join(self.folder, args[0] if args else "~"))
            if _UNKNOWN in self.folder:
                self.said.open("where it works is not told by its words")
        elif name == "export":
            for word in args:
                self._simple([word], ())
        elif name == "set":
            if not args or not all(re.fullmatch(r"[-+][euxo]+|pipefail", word) for word in args):
                self.said.open("set changes what a command is given")
        elif name == "read":
            self.variables.update(dict.fromkeys(args, _UNKNOWN))
        elif name in _SHELLS or name in (".", "source"):
            self._shell(name, args)
        elif re.fullmatch(r"(?:python|pypy)[\d.]*", name):
            self._python(args)
        else:
            self._files(name, args)

    def _files(self, name: str, args: list[str]) -> None:
        """A program of which all is known that it reads and writes, or one of which it is not."""
        if name in _WORDS_ONLY:
            self._all([word for word in args if _LISTED.search(word)], False)
            if name == "printf" and args and args[0].startswith("-"):
                self.said.open("printf is given options")
        elif name == "date":
            if not all(re.match(r"\+|-u\Z", word) for word in args):
                self.said.open("date is given options")
        elif name in ("test", "[", "[["):
            self._tested(args)
        elif name in _READERS:
            self._read_by(name, args)
        elif name in _CHANGERS:
            self._changed_by(name, args)
        elif name == "chmod" and args and not args[0].startswith("-"):
            self._all(args[1:], True)
        elif name == "cp":
            self._copied(args)
        else:
            self.said.open(f"it is not known of {name} which files it touches")

    def _tested(self, args: list[str]) -> None:
        for before, word, after in zip(["", *args], args, [*args[1:], ""]):
            is_of_two = re.fullmatch(r"-(?:nt|ot|ef)", before) or re.fullmatch(r"-(?:nt|ot|ef)", after)
            if is_of_two or re.fullmatch(r"-[bcdefghkprstuwxLSNGO]", before) or looks_like_a_place(word):
                self._add(word, False)

    def _read_by(self, name: str, args: list[str]) -> None:
        alone, valued = _READERS[name]
        rest, operands = list(args), []
        while rest:
            word = rest.pop(0)
            if word == "--":
                operands += rest
                break
            if name in ("sort", "shuf") and (written := re.match(r"-o(.*)|--output(?:=(.*))?\Z", word)):
                self._all([written[1] or written[2] or (rest.pop(0) if rest else "")], True)
            elif re.fullmatch(rf"-[{alone}]*[{valued or '-'}]", word) and valued:
                rest = rest[1:]
            elif word == "-" or not word.startswith("-"):
                operands.append(word)
            elif not (
                re.fullmatch(r"-\d+", word) or _LONG.match(word) or re.fullmatch(rf"-[{alone or '-'}]+", word)
                or (valued and re.fullmatch(rf"-[{alone}]*[{valued}].+", word))
            ):  # fmt: skip
                return self.said.open(f"{name} {word} may touch other files")
        if name in _PATTERN_FIRST:
            harmless = _HARMLESS.get("awk" if "awk" in name else name)
            if not operands or (harmless is not None and not harmless.match(operands[0])):
                return self.said.open(f"{name} may write or start something")
            operands = operands[1:]
        if name in _SECOND_IS_WRITTEN and len(operands) > 1:
            return self.said.open(f"{name} writes what it is given second")
        self._all(operands, False)

    def _changed_by(self, name: str, args: list[str]) -> None:
        operands = [word for word in args if not word.startswith("-")]
        options = [word[1:] for word in args if word.startswith("-")]
        if not all(option and set(option) <= set(_CHANGERS[name]) for option in options):
            return self.said.open(f"{name} is given options that are not followed")
        if name == "mkdir":
            self.said.folders.update(self._path(word) for word in operands)
        self._all(operands, True)
        if name in ("rm", "mv") and "r" in "".join(options).lower():
            self._all([f"{word.rstrip('/')}/**" for word in operands], True)

    def _copied(self, args: list[str]) -> None:
        """What the last one comes to: a file, or the folder in which there is a file of each name then."""
        operands = [word for word in args if not word.startswith("-")]
        if len(operands) < 2 or not all(_COPYING.match(word) for word in args if word.startswith("-")):
            return self.said.open("cp is given options that are not followed")
        self._all(operands[:-1], False)
        target = operands[-1]
        if target.endswith("/") or target in (".", "..") or len(operands) > 2:
            self._all([join(target, basename(word)) for word in operands[:-1]], True)
        else:
            self._add(target, True)

    # Scripts

    def script(self, path: str, args: Sequence[str]) -> None:
        """A file that is run. What one does that is not there yet, nobody can tell."""
        if path in self.said.scripts:
            if args:
                self.said.open(f"{path} is run more than once")
            return
        self.said.scripts.add(path)
        self.said.reads.add(path)
        self._arguments(args)
        text = self.text(path)
        if text is None:
            return self.said.open(f"{path} is not there yet, so it cannot be read")
        if not text:
            self.said.open(f"{path} cannot be read as a script")
        first = text.partition("\n")[0]
        if path.endswith(".py") or ("python" in first and first.startswith("#!")):
            parts = self.words(path) - set(args) if args else set()
            self._modules(scripts.python(text, path, self.said, parts), path)
        elif path.endswith((".sh", ".bash")) or re.match(r"#!.*sh\b", first):
            self._apart(text, args)
        else:
            self.said.open(f"{path} is in a language that is not read here")

    def _modules(self, modules: Sequence[str], path: str) -> None:
        """Modules that lie beside a script are run with it; of others than Python's own nothing is known."""
        for module in dict.fromkeys(modules):
            first, plain = module.partition(".")[0], module.replace(".", "/")
            names = [f"{plain}.py", f"{plain}/__init__.py"]
            while "/" in plain:
                plain = plain.rpartition("/")[0]
                names.append(f"{plain}/__init__.py")
            beside = [normpath(join(dirname(path), name)) for name in names]
            there = [name for name in beside if plain and self.text(name) is not None]
            for name in there:
                self.script(name, ())
            own = [f"{first}.py", f"{first}/__init__.py"]
            if not there and first and first not in sys.stdlib_module_names:
                if all(self.text(normpath(join(dirname(path), name))) is None for name in own):
                    self.said.open(f"{path} uses {first}, of which it is not known what it touches")

    def _shell(self, name: str, args: list[str]) -> None:
        while args and args[0].startswith("-"):
            option, args = args[0], args[1:]
            if "c" in option and not option.startswith("--"):
                return self._apart(args[0], args[2:]) if args else None
            if option.endswith("o"):
                args = args[1:]
        if args:
            self._run_by_shell(self._path(args[0]), args[1:], name in _SHELLS)
        elif name in _SHELLS:
            self.said.open("a shell reads its commands from somewhere else")

    def _run_by_shell(self, path: str, args: list[str], is_apart: bool) -> None:
        if path in self.said.scripts:
            return self.said.open(f"{path} is run more than once")
        self.said.scripts.add(path)
        self.said.reads.add(path)
        text = self.text(path)
        if text is None:
            self.said.open(f"{path} is not there yet, so it cannot be read")
        elif is_apart:
            self._apart(text, args)
        else:
            self.read(text, args)

    def _python(self, args: list[str]) -> None:
        while args and args[0].startswith("-") and args[0] not in ("-c", "-m"):
            args = args[2:] if args[0] in ("-W", "-X") else args[1:]
        if not args:
            return self.said.open("Python reads its commands from somewhere else")
        if args[0] == "-c" and len(args) > 1:
            self._modules(scripts.python(args[1], "a command", self.said), join(self.folder, "-c"))
            self._arguments(args[2:])
        elif args[0] == "-m" and len(args) > 1:
            path = self._path(f"{args[1].replace('.', '/')}.py")
            if self.text(path) is not None:
                self.script(path, args[2:])
            else:
                self.said.open(f"it is not known of {args[1]} which files it touches")
        else:
            self.script(self._path(args[0]), args[1:])

    def _arguments(self, args: Sequence[str]) -> None:
        """What a script is given; whether it writes there is its own business, if it writes at all."""
        for word in args:
            value = word.partition("=")[2] if word.startswith("-") else word
            if value and (looks_like_a_place(value) or self.text(self._path(value)) is not None):
                self._add(value, False)
            elif value:
                self.said.mentions.add(value)

    # Words

    def _all(self, words: Sequence[str], is_written: bool) -> None:
        for word in words:
            self._add(word, is_written)

    def _add(self, word: str, is_written: bool) -> None:
        if _UNKNOWN in word:
            self.said.open("the name of a file is worked out")
        elif word and word not in _NOWHERE and word != "-":
            (self.said.writes if is_written else self.said.reads).add(self._path(word))

    def _perhaps(self, word: str, given: Sequence[str]) -> None:
        for value in self._known(word, given):
            if looks_like_a_place(value) or _LISTED.search(value):
                self._add(value, False)

    def _path(self, word: str) -> str:
        return normpath(join(self.folder, word))

    def _known(self, word: str, given: Sequence[str]) -> list[str]:
        """A word with its variables put in; several where it stands for all arguments. What is not known opens it."""
        if word in ("$@", "$*", "${@}"):
            return list(given)

        def value(found: re.Match[str]) -> str:
            name = found[1] or found[3]
            if found[2]:
                self.said.open(f"{found[0]} is worked out, and may name anything")
                return _UNKNOWN
            if name.isdigit() and name != "0":
                return given[int(name) - 1] if int(name) <= len(given) else ""
            if name in self.variables:
                return self.variables[name]
            if name.startswith(_OWN) or not (name[0].isalpha() or name[0] == "_"):
                return _UNKNOWN if name != "STAGEBOOK_OUTPUT" else "/dev/null"
            if name in ("PWD", "STAGEBOOK_WORKSPACE"):
                return "."
            self.said.open(f"${name} is set outside, and may name anything")
            return _UNKNOWN

        made = _VARIABLE.sub(value, word)
        if made != word and set(made) & set(" \t\n*?[") - set(word):
            self.said.open(f"{word} may stand for several files")
        return [made]


def _marked(text: str) -> str:
    """Without comments and the numbers of redirections, and with the marks that are quoted as text."""
    made: list[str] = []
    quote, at = "", 0
    while at < len(text):
        char = text[at]
        at += 1
        if quote:
            if char == "\\" and quote == '"' and at < len(text):
                char, at = char + text[at], at + 1
            quote = "" if char == quote else quote
            char = _QUOTED.get(char, char)
        elif char in "'\"":
            quote = char
        elif char == "\\" and at < len(text):
            char, at = _QUOTED.get(text[at], char + text[at]), at + 1
        elif char == "#" and (not made or made[-1] in " \t\n;&|()"):
            end = text.find("\n", at)
            char, at = "", len(text) if end < 0 else end
        elif char in "<>" and made and made[-1].isdigit() and (len(made) < 2 or made[-2] in " \t\n;&|()"):
            made.pop()
        made.append(char)
    return "".join(made)
