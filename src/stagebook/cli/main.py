"""The command line's one door: picks a command, imports only its module, and turns every ending into an exit code.

No command's work is here, and nothing is imported at the top but what Python has loaded anyway: `--help` and
`--version` answer from this file alone. A command module offers `add_arguments(parser)`, `execute(args) -> int` and
`EXAMPLE`; what it raises is rendered here, so that no traceback reaches a user.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

#: New objects until Python looks for circular garbage. By its own measure, 700, that takes a sixth of a short run, and
#: finds nothing: there are few circles here.
GARBAGE_MIN = 50_000

#: command: (module, what its help says in one line), in the order of the help
COMMANDS: dict[str, tuple[str, str]] = {
    "lint": ("lint", "find problems in pipeline files"),
    "map": ("map", "show the DAG: needs, levels, width, critical path"),
    "run": ("run", "run a pipeline, in sequence or in parallel"),
    "measure": ("measure", "record one command of any existing pipeline"),
    "runs": ("runs", "list recorded runs"),
    "show": ("show", "show one run: outcome, timeline, causes, figures"),
    "logs": ("logs", "print what stages printed"),
    "timeline": ("timeline", "draw the timeline of a run"),
    "flaky": ("flaky", "tests and stages that passed and failed on the same commit"),
    "stats": ("stats", "show how a stage did in all its runs, alone and in company"),
    "diff": ("diff", "compare two runs: what got slower, what had been changed"),
    "history": ("history", "rebuild, prune or export the index of all runs"),
    "why": ("why", "say why a stage ran or did not, and what it would do now"),
    "import": ("import_", "a CI file to a native one; its recorded runs to history"),
    "plan": ("plan", "what more jobs would gain, what to change, and what if"),
    "patch": ("patch", "the recommended change of a CI file, as a diff for git"),
    "experiment": ("experiment", "compare two ways to run it, by real runs in random pairs"),
    "cache": ("cache", "list or verify what is kept of outputs"),
    "gc": ("gc", "make room: old objects of the cache, and old runs"),
    "items": ("items", "show what became of items, and try the dead ones again"),
    "cancel": ("cancel", "stop a run, or one stage of it"),
    "notify": ("notify", "send a test message to those whom a file names"),
    "approve": ("approve", "say yes at a gate that waits for a person"),
    "reject": ("reject", "say no at a gate that waits for a person"),
    "gate-link": ("gate_link", "serve a link that answers a gate once"),
    "audit": ("audit", "who decided at gates, and whether that record still holds"),
    "bundle": ("bundle", "put a run into one archive, for a bug report"),
    "schema": ("schema", "print a JSON Schema: of stagebook.yaml, journal or logs"),
    "doctor": ("doctor", "tell what works here and where each setting comes from"),
}

#: commands of the door that a later version brings
LATER = "init diagnose review serve wait env examples completion".split()

_HELP = """\
usage: stagebook COMMAND [OPTIONS] …

Should these stages run one after another, or in parallel?
Map them, run them, measure, and see.

commands:
{commands}

options of every command:
  --help                     its arguments, and an example
  --json                     one JSON document on standard output
  --quiet, --verbose         say less, say more
  --color auto|always|never  NO_COLOR is honoured
  --ascii                    no character beyond ASCII
  --dir DIR                  the state directory, instead of .stagebook

example:
  stagebook run stagebook.yaml -j 4
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command and give its exit code: 0 to 5 as documented, 130 where an interrupt ended it."""
    words = sys.argv[1:] if argv is None else list(argv)
    _open_closed_streams()
    if words and words[0] in COMMANDS:
        import gc

        gc.set_threshold(GARBAGE_MIN)
    try:
        if words[:1] == ["run"] and not {"--help", "-h", "--dry-run"}.intersection(words):
            # The pair that ends all stages should this process die is made first, while the process is still small.
            from stagebook.engine.keeper import keep

            keep()
        code = _printed(words)
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        try:
            from stagebook.cli import trouble
        except OSError as another:  # not even a descriptor is left to read our own files
            os.write(2, f"error: the system gave way: {another.strerror}\n".encode())
            return _own_trouble(4, words)
        code = _own_trouble(trouble.explain(error, words), words)
    if argv is None and words[:1] == ["run"] and sys.gettrace() is None and sys.getprofile() is None:
        _leave_at_once(code)
    return code


def _own_trouble(code: int, words: list[str]) -> int:
    """The code for trouble of ours: that of `measure` must be told from its command's, so it is what `env` has."""
    return 125 if words[:1] == ["measure"] and code > 2 else code


def _leave_at_once(code: int) -> NoReturn:
    """Without Python's tear-down, which takes every object apart: a tenth of a small run. What it does beside that is
    done here: what was said goes out. Everything else of a run is closed and on disk."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(code)


def _printed(words: list[str]) -> int:
    """The exit code of a command whose answer has been written to its end, or of why it could not be."""
    code: int | None = None
    try:
        try:
            code = _answer(words)
        except SystemExit as end:  # argparse has printed its help
            code = end.code if isinstance(end.code, int) else 2
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        from stagebook.cli.streams import give_up

        give_up(sys.stdout)  # `| head -1`: whoever read has seen enough
        return code or 0
    except OSError as error:
        if not _is_of_stdout(error):
            raise
        from stagebook.cli.streams import complain, give_up

        give_up(sys.stdout)
        complain(f"error: standard output: {error.strerror}\n")
        return code or 4


def _answer(words: list[str]) -> int:
    first = words[0] if words else "--help"
    if first in ("--help", "-h", "help") and len(words) < 2:
        table = "\n".join(f"  {name:<10} {text}" for name, (_, text) in COMMANDS.items())
        text = _HELP.format(commands=table)
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:
            sys.stdout.write(text.replace("…", "..."))
        return 0
    if first == "--version":
        from stagebook import __version__

        sys.stdout.write(f'{{"version": "{__version__}"}}\n' if "--json" in words else f"stagebook {__version__}\n")
        return 0
    if first == "help":
        first, words = words[1], [words[1], "--help"]
    try:
        os.getcwd()
    except OSError as error:
        from stagebook.model.problem import SurroundingsError

        raise SurroundingsError(f"the current directory cannot be used: {error.strerror}") from None
    if first not in COMMANDS:
        from stagebook.cli import trouble

        raise trouble.unknown_command(first, list(COMMANDS), LATER)
    from stagebook.cli import arguments

    # As importlib.import_module does, which is more to import than some commands are.
    module = __import__(f"stagebook.cli.{COMMANDS[first][0]}", fromlist=("execute",))
    args = arguments.parse(first, COMMANDS[first][1], module, words[1:])
    code: int = module.execute(args)
    return code


def _open_closed_streams() -> None:
    """A closed descriptor 0, 1 or 2 would be taken by the next file opened, and a journal would then get our words."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _is_of_stdout(error: OSError) -> bool:
    """Whether writing our answer is what failed: a command wrote, and to no file that has a name."""
    if error.filename is not None:
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("stagebook.cli.")
