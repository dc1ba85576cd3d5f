"""`plan --probe`: the one run that tells what no sequential run can, made before the plan. How is `plan.probe`'s."""

from __future__ import annotations

import sys

from stagebook.cli import output
from stagebook.cli.voice import note
from stagebook.plan import probe as probes
from stagebook.plan import profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from stagebook.history.samples import Samples
    from stagebook.model.pipeline import Pipeline


def probe(args: Any, pipeline: Pipeline, samples: Samples | None) -> int:
    """Says what it will run, then runs it. The exit code of that run; InputError for stages that must not run."""
    only = [pipeline.stages[at].id for name in args.only for at in _named(pipeline, name)]
    probes.require_safe(pipeline, profile.build(pipeline, samples), only, agreed=args.yes)
    if not args.quiet:
        output.say([probes.sentence(pipeline, only)], sys.stderr)
        sys.stderr.flush()
    state = args.settings.dir
    probed = probes.make(probes.words(pipeline.file, state, only, args.param))
    if probed.document is None or "run" not in probed.document:
        for error in (probed.document or {}).get("errors", ()):
            note(f"the probe: {error['message']}")
        note("the probe began no run; what is said now is without it")
    elif probed.document["outcome"] != "success":
        note(f"the probe, run {probed.document['run']}, ended as {probed.document['outcome']} and teaches nothing")
    return probed.exit


def _named(pipeline: Pipeline, name: str) -> list[int]:
    from stagebook.scheduler import select

    return select.named(pipeline, "--only", name)
