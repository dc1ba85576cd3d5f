"""`stagebook import`: what a CI system has. Its recorded runs become runs of the history (`import_runs`), its file a
native one (`convert`)."""

from __future__ import annotations

from stagebook.cli import foreign
from stagebook.cli.words import nearest, usage_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLE = """
stagebook import github .github/workflows/ci.yml > stagebook.yaml
stagebook import gitlab .gitlab-ci.yml --report
stagebook import github .github/workflows/ci.yml --instrument | git apply
stagebook import runs github runs.json jobs-*.json
stagebook import runs measured stagebook-*/journal.jsonl
stagebook import runs github --repo octo/app --since 30d --branch main
stagebook import runs gitlab --repo a/b --base-url https://git.example.org"""

SYSTEMS = ("github", "gitlab")
MEASURED = "measured"  #: not a system but journals that `stagebook measure` has left on others' machines


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", metavar="SYSTEM", help=f"{' or '.join(SYSTEMS)}: convert a file; `runs SYSTEM`: import")
    parser.add_argument("words", nargs="*", metavar="FILE", help="a pipeline file; after `runs SYSTEM` saved answers")
    runs = parser.add_argument_group("recorded runs")
    runs.add_argument(
        "--file", metavar="FILE", help="the pipeline file they are of; default: those at the usual places"
    )
    runs.add_argument("--repo", metavar="REPO", help="ask the system for runs of this repository, such as octo/app")
    runs.add_argument("--since", metavar="AGE", help="with --repo, how far back, as 30d or a date; default: 30d")
    runs.add_argument("--branch", metavar="NAME", help="with --repo, only runs of this branch")
    runs.add_argument("--limit", type=int, metavar="N", help="with --repo, no more than the latest N runs")
    runs.add_argument("--base-url", metavar="URL", help="with --repo, another server than the public one")
    made = parser.add_argument_group("conversion")
    made.add_argument("--report", action="store_true", help="say of each key how much of its meaning is kept instead")
    made.add_argument("--strict", action="store_true", help="exit 1 if anything is lost")
    made.add_argument("--instrument", action="store_true", help="print a diff that has each job measured instead")
    made.add_argument("-o", "--out", metavar="FILE", help="write to FILE instead of standard output")
    foreign.add_arguments(parser)


def execute(args: Namespace) -> int:
    """0; 1 under `--strict` where something is lost; InputError for wrong words and files, SurroundingsError where a
    server does not answer as it should, or nothing can be written."""
    if args.what == "runs":
        if not args.words:
            raise usage_error(f"of which system? write `import runs {'` or `import runs '.join(SYSTEMS)}`")
        system, *files = args.words
        if system != MEASURED:
            _known(system)
        elif args.repo is not None:
            raise usage_error("--repo asks a CI system; `import runs measured` takes journals")
        from stagebook.cli import import_runs

        return import_runs.execute(args, system, files)
    _known(args.what)
    for option in ("repo", "since", "branch", "limit", "base_url", "file"):
        if getattr(args, option) is not None:
            raise usage_error(f"--{option.replace('_', '-')} belongs to `import runs {args.what}`")
    if len(args.words) != 1:
        raise usage_error(f"import {args.what} takes one file, such as `stagebook import {args.what} FILE`")
    from stagebook.cli import convert

    return convert.execute(args, args.what, args.words[0])


def _known(system: str) -> None:
    if system not in SYSTEMS:
        near = nearest(system, [*SYSTEMS, "runs"])
        raise usage_error(
            f"import {system}: unknown; " + (f"did you mean {near}?" if near else f"{', '.join(SYSTEMS)}")
        )
