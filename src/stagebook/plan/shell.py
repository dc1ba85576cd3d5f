"""Which files a shell command speaks of, word by word: what is read, what is written, and what cannot be told. Runs
nothing, and knows of each program only what it does with the files it is given."""

from __future__ import annotations

import re
import shlex
import sys
from itertools import pairwise
from posixpath import basename, dirname, join, normpath

from stagebook.plan import scripts
from stagebook.plan.scripts import Said, looks_like_a_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Mapping, Sequence

_DEPTH_MAX = 5
_ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)\Z", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{(\w+|[@*#?$!-])[^}]*\}|(\w+|[@*#?$!-]))")
_ADDRESS = re.compile(r"://|:\d{2,5}\b|--?port\b|\blocalhost\b|\b127\.0\.")
#: Variables that say which programs and modules are run.
_STEERING = frozenset(
    ("PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONSTARTUP", "BASH_ENV", "ENV", "IFS")
)
_OWN = ("STAGEBOOK_", "PARAM_", "MATRIX_")
_NOWHERE = frozenset(("/dev/null", "/dev/stdin", "/dev/stdout", "/dev/stderr"))
_RESERVED = frozenset("if then else elif fi while until do done { } ! time".split())

_WORDS_ONLY = frozenset(
    "echo printf true false : sleep date seq exit set expr shift break continue return local read getopts unset type"
    " hash pwd whoami uname nproc id yes tr basename dirname usleep umask ulimit wait bc esac".split()
)
_READERS = frozenset(
    "cat sort head tail wc cmp diff md5sum sha1sum sha224sum sha256sum sha512sum cksum b2sum sum od xxd hexdump nl tac"
    " rev cut paste join comm uniq fold fmt stat file readlink realpath strings base64 ls column expand shuf".split()
)
_PATTERN_FIRST = frozenset("grep egrep fgrep zgrep sed awk gawk mawk jq".split())
_CHANGERS = frozenset("touch rm rmdir mkdir truncate tee unlink shred gzip gunzip xz unxz bzip2 bunzip2 mv".split())
_MODE_FIRST = frozenset("chmod chown chgrp".split())
_COPIERS = frozenset(("cp", "install"))
_FOLDER_MAKERS = frozenset(("mkdir", "install", "cp", "tar", "unzip", "mv"))
_SHELLS = frozenset("sh bash dash zsh ksh".split())
_INTERPRETERS = frozenset("node ruby perl php lua Rscript deno bun tsx ts-node".split())
_PREFIXES = frozenset("env nice time timeout exec command stdbuf builtin ionice".split())
#: They touch what no file declares: a repository's state, a network, a database, a daemon, what is installed.
_REACHING = frozenset(
    "git hg svn docker docker-compose podman buildah kubectl helm terraform ansible psql pg_ctl createdb dropdb mysql"
    " mysqladmin redis-cli redis-server mongo mongosh curl wget nc ncat socat telnet ssh scp sftp rsync systemctl"
    " service kill pkill killall crontab at batch mkfifo flock ipcs ipcrm ipcmk tmux screen setsid nohup disown mount"
    " umount ln link pip pip3 pipx uv poetry conda npm npx yarn pnpm apt apt-get dpkg yum dnf apk brew gem bundle xargs"
    " eval sudo su find patch split csplit aws gcloud az gh ip iptables sysctl dd tar unzip cpio alias hostname"
    " ssh-agent ssh-add gpg mktemp make gmake ninja cmake tox nox just rake gradle mvn ant bazel"
    " cargo go dotnet sbt swift mix stack cabal composer zip ed ex vi vim sponge expect tclsh trap strip objcopy"
    " useradd ssh-keygen ldconfig logger crontab busybox chroot runuser script m4 openssl".split()
)
#: Checkers and compilers: they read what they are given, and write what they are told to.
_TAME = frozenset(
    "ruff mypy flake8 black isort pylint eslint prettier tsc shellcheck shfmt codespell yamllint markdownlint lychee"
    " cc gcc g++ clang clang++ ld ar rustc javac ghc ocamlfind pdflatex pandoc dot minify sass lessc protoc".split()
)
_WRITTEN_OPTIONS = re.compile(
    r"--?(?:o|out|output|outfile|out-file|outdir|dest|report|junit\w*|junit-?xml|log|log-file)\Z"
)


class Shell:
    """Reads one command into `said`. `text` gives what a script holds, None where there is none; `words` with
    which words any stage runs it. `folder` is the one it
    starts in, from the pipeline's on. `runs_what_it_is_given`: a program was named that is not known, and so runs or
    reads whatever it likes."""

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
        self.runs_what_it_is_given = False
        self._depth = 0

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
            self._read(inner[1], given)
            text = text[: inner.start()] + "*" + text[inner.end() :]
        if "$(" in text or re.search(r"\w\s*\(\s*\)\s*\{", text):
            return self.said.open("a command is not understood")
        lexer = shlex.shlex(text, posix=True, punctuation_chars=";<>|&()\n")
        lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
        try:
            tokens = list(lexer)
        except ValueError:
            return self.said.open("a command is not understood")
        self._commands(tokens, given)

    def _commands(self, tokens: list[str], given: Sequence[str]) -> None:
        words: list[str] = []
        is_comment = False
        at = 0
        while at < len(tokens):
            token = tokens[at]
            at += 1
            marks = token.strip(";<>|&()\n") == ""
            if marks and ("<" in token or ">" in token) and not is_comment:
                at = self._redirected(token, tokens, at, words, given)
            elif marks:
                if token.strip("\n") == "&" or (token.count("&") % 2 and "|" not in token):
                    self.said.open("something is started in the background")
                if not is_comment or "\n" in token:
                    is_comment = False
                self._simple(words, given)
                words = []
            elif token.startswith("#"):
                is_comment = True
            elif not is_comment:
                words.append(token)
        self._simple(words, given)

    def _redirected(self, mark: str, tokens: list[str], at: int, words: list[str], given: Sequence[str]) -> int:
        if words and words[-1].isdigit() and len(words[-1]) == 1:
            words.pop()
        if at >= len(tokens):
            return at
        target = tokens[at]
        if "&" in mark and (target.isdigit() or target == "-") or mark.startswith("<<<"):
            return at + 1
        for place in self._known(target, given):
            self._add(place, ">" in mark)
        return at + 1

    # One command

    def _simple(self, words: list[str], given: Sequence[str]) -> None:
        while words and words[0] in _RESERVED:
            words = words[1:]
        if words[:1] == ["for"] and len(words) > 1:
            self.variables[words[1]] = "*"
            for word in words[3:]:
                self._perhaps(word, given)
            return
        if words[:1] == ["case"] or words[:1] == ["function"]:
            return self.said.open("a command is not understood")
        while words and (assigned := _ASSIGNED.match(words[0])) is not None:
            if assigned[1] in _STEERING:
                self.said.open("a variable says which programs are run")
            values = self._known(assigned[2], given)
            self.variables[assigned[1]] = values[0] if values else ""
            words = words[1:]
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
            while rest and (assigned := _ASSIGNED.match(rest[0])) is not None:
                self.variables[assigned[1]] = assigned[2]
                rest = rest[1:]
            self.program(rest and args[args.index(rest[0]) :])
        elif name == "cd":
            self.folder = normpath(join(self.folder, args[0] if args else "~"))
        elif name == "export":
            for word in args:
                self._simple([word], ())
        elif name in _SHELLS or name in (".", "source"):
            self._shell(name, args)
        elif re.fullmatch(r"(?:python|pypy)[\d.]*", name):
            self._python(args)
        elif name in _INTERPRETERS:
            self.said.open(f"{name} runs what is not read here")
        elif name in _REACHING:
            self.said.open(f"{name} reaches what no file declares")
        else:
            self._files(name, args)

    def _files(self, name: str, args: list[str]) -> None:
        operands = [word for word in args if not word.startswith("-") or word == "-"]
        options = [word for word in args if word.startswith("-") and word != "-"]
        if name in _WORDS_ONLY:
            return
        if name in ("test", "[", "[["):
            for option, word in pairwise(["", *args]):
                if re.fullmatch(r"-[bcdefghkprstuwxLSNGO]", option) or looks_like_a_place(word):
                    self._add(word, False)
        elif name == "sqlite3":
            self._all(operands[:1], True)
        elif name in _PATTERN_FIRST:
            is_given = any(option.startswith(("-e", "-f", "--regexp", "--file", "--expression")) for option in options)
            writes = (
                r"system|getline|>|\|" if "awk" in name else r"(?:^|[\s;/}0-9])[wWe]\s+\S" if name == "sed" else r"\Z."
            )
            if is_given or re.search(writes, "".join(operands[:1])):
                self.said.open(f"{name} may write or start something")
            files = operands if is_given else operands[1:]
            if not files or (re.search(r"-\w*[rR]|--recursive", " ".join(options)) and "grep" in name):
                files = [*files, "**"]  # what is below the folder, or of a pipe
            self._all(files, any(re.match(r"-\w*i|--in-place", option) for option in options) and name == "sed")
        elif name in _READERS:
            written = [args[at + 1] for at, word in enumerate(args[:-1]) if word in ("-o", "--output")]
            self._all(written, True)
            self._all([word for word in operands if word not in written and re.search(r"[A-Za-z*]", word)], False)
            if name == "ls" and not operands:
                self._add("**", False)
        elif name == "mkdir":
            self.said.folders.update(self._path(word) for word in operands)
            self._all(operands, True)
        elif name in _CHANGERS:
            self._all(operands, True)
            if name in ("rm", "mv"):
                for word in operands:
                    self._add(f"{word.rstrip('/')}/**", True) if "-r" in "".join(options).lower() else None
        elif name in _MODE_FIRST:
            self._all(operands[1:], True)
        elif name in _COPIERS:
            self._all(operands[:-1], False)
            self._copied(operands)
        else:
            self._unknown(name, args)

    def _copied(self, operands: list[str]) -> None:
        """What the last one comes to: a file, or the folder in which there is a file of each name then."""
        if not operands:
            return
        target = operands[-1]
        if target.endswith("/") or target in (".", "..") or len(operands) > 2:
            self._all([join(target, basename(word)) for word in operands[:-1]], True)
        else:
            self._add(target, True)

    def _unknown(self, name: str, args: list[str]) -> None:
        """Of a program of which nothing is known. Given no file, it may look at all that is there."""
        is_written = is_given = False
        for word in args:
            option, equals, value = word.partition("=")
            if word.startswith("-") and not equals:
                is_written = bool(_WRITTEN_OPTIONS.match(word))
                continue
            if word.startswith("-"):
                is_written, word = bool(_WRITTEN_OPTIONS.match(option)), value
            if not word.strip("./") and word:
                self._add("**", False)
            elif is_written or looks_like_a_place(word) or self.text(self._path(word)) is not None:
                self._add(word, is_written)
                is_given = is_given or not is_written
            else:
                self.said.words.add(word)
            is_written = False
        if not is_given:
            self._add("**", False)
        if name not in _TAME:
            self.runs_what_it_is_given = True

    # Scripts

    def script(self, path: str, args: Sequence[str], is_from_folder: bool = False) -> None:
        """A file that is run. Where it is not there, only what is declared can be gone by."""
        if path in self.said.scripts:
            return
        self.said.scripts.add(path)
        if not is_from_folder:
            self.said.reads.add(path)
        text = self.text(path)
        if text is None:
            return
        if not text:
            self.said.open(f"{path} cannot be read as a script")
        first = text.partition("\n")[0]
        if path.endswith(".py") or ("python" in first and first.startswith("#!")):
            parts = self.words(path) - set(args) if args else set()
            self._modules(scripts.python(text, path, self.said, parts), path)
        elif path.endswith((".sh", ".bash")) or re.match(r"#!.*sh\b", first):
            self.read(text, args)
        else:
            self.said.open(f"{path} is in a language that is not read here")

    def _modules(self, modules: Sequence[str], path: str) -> None:
        """Modules that lie beside a script are run with it; of others than Python's own nothing is known."""
        for module in dict.fromkeys(modules):
            first, plain = module.partition(".")[0], module.replace(".", "/")
            beside = [normpath(join(dirname(path), name)) for name in (f"{plain}.py", f"{plain}/__init__.py")]
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
                return self.read(args[0], args[2:]) if args else None
            if option.endswith("o"):
                args = args[1:]
        if args:
            self._run_by_shell(self._path(args[0]), args[1:])
        elif name in _SHELLS:
            self.said.open("a shell reads its commands from somewhere else")

    def _run_by_shell(self, path: str, args: list[str]) -> None:
        if path in self.said.scripts:
            return
        self.said.scripts.add(path)
        self.said.reads.add(path)
        text = self.text(path)
        if text is not None:
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
                self._arguments(args[2:])
            elif args[1].partition(".")[0] in ("http", "venv", "pip", "ensurepip", "smtpd", "socketserver"):
                self.said.open(f"{args[1]} reaches what no file declares")
            else:
                self._unknown(args[1], args[2:])
        else:
            self.script(self._path(args[0]), args[1:])
            self._arguments(args[1:])

    def _arguments(self, args: Sequence[str]) -> None:
        """What a script is given; whether it writes there is its own business, if it writes at all."""
        for word in args:
            value = word.partition("=")[2] if word.startswith("-") else word
            if value and (looks_like_a_place(value) or self.text(self._path(value)) is not None):
                self._add(value, False)

    # Words

    def _all(self, words: Sequence[str], is_written: bool) -> None:
        for word in words:
            self._add(word, is_written)

    def _add(self, word: str, is_written: bool) -> None:
        if word and word not in _NOWHERE and word != "-":
            (self.said.writes if is_written else self.said.reads).add(self._path(word))

    def _perhaps(self, word: str, given: Sequence[str]) -> None:
        for value in self._known(word, given):
            if looks_like_a_place(value):
                self._add(value, False)

    def _path(self, word: str) -> str:
        return normpath(join(self.folder, word))

    def _known(self, word: str, given: Sequence[str]) -> list[str]:
        """A word with its variables put in; several where it stands for all arguments. What is not known opens it."""
        if word in ("$@", "$*", "${@}"):
            return list(given)

        def value(found: re.Match[str]) -> str:
            name = found[1] or found[2]
            if name.isdigit() and name != "0":
                return given[int(name) - 1] if int(name) <= len(given) else ""
            if name in self.variables:
                return self.variables[name]
            if name.startswith(_OWN) or not (name[0].isalpha() or name[0] == "_"):
                return "*" if name != "STAGEBOOK_OUTPUT" else "/dev/null"
            if name in ("PWD", "STAGEBOOK_WORKSPACE"):
                return "."
            self.said.open(f"${name} is set outside, and may name anything")
            return "*"

        return [_VARIABLE.sub(value, word)]
