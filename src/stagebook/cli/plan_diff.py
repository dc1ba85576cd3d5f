"""`plan --diff BASE`: what a change of a pipeline file comes to in time, for a pull request. Its words are among those
of `plan`; what is compared is in `plan.against`."""

from __future__ import annotations

import sys

from stagebook.cli import foreign, output, pipelines, place, revision
from stagebook.cli.words import usage_error
from stagebook.model.problem import FAILED, OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from stagebook.model.pipeline import Pipeline

FORMATS = ("text", "json", "markdown")


def execute(args: Namespace) -> int:
    """0; 1 where it gets slower than `--max-slower` allows. InputError as `plan`, and for a base that is none."""
    from stagebook.plan import against
    from stagebook.report import against as report

    format = "json" if args.json else args.format
    if format not in FORMATS:
        raise usage_error(f"--diff has no format '{format}', one of {', '.join(FORMATS)}")
    most = against.limit(args.max_slower) if args.max_slower is not None else None
    file = pipelines.find(args.file, "plan")
    pipeline = foreign.load(args, file, place.cache_directory(args, file))
    before = revision.pipeline_at(args.diff, file, foreign.request(args), pipeline.format, True)
    before = before or pipeline._replace(stages=(), matrices={}, groups={})
    took = {**_took(args, before), **_took(args, pipeline)}
    document = against.document(before, pipeline, took, args.diff, most)
    if format == "json" and args.out is None:
        output.say_json(document)
    else:
        import json

        style = output.style_for(sys.stdout, args)
        text = {
            "json": lambda: json.dumps(document) + "\n",
            "markdown": lambda: report.markdown(document),
            "text": lambda: "\n".join(report.render(document, style)) + "\n",
        }[format]()
        if args.out is None:
            output.say([text.rstrip("\n")])
        else:
            output.write_file(args.out, text)
    return FAILED if document["is_slower"] else OK


def _took(args: Namespace, pipeline: Pipeline) -> dict[str, float]:
    """What runs on record say of its stages, else what the file declares; nothing is guessed."""
    from stagebook.cli import plan as planning
    from stagebook.plan import profile

    found = profile.build(pipeline, planning.samples(args, pipeline))
    return {each.stage: each.median_s for each in found.stages if each.source in ("history", "declared")}
