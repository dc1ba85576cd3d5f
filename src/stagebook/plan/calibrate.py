"""What runs in parallel teach of a pipeline: how much dearer CPU time is in company, how many at once the disk and
what is waited for can serve. Found by replaying those runs; draws no conclusion for the reader."""

from __future__ import annotations

from stagebook.plan.contention import Calibration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.history.samples import Samples
    from stagebook.model.pipeline import Pipeline
    from stagebook.plan.profile import Profile


def calibrate(pipeline: Pipeline, profile: Profile, samples: Samples | None, cores: int) -> Calibration:
    """Of the runs in which stages ran at once; `UNTAUGHT` but for `by_group` where there is none."""
    return Calibration({}, 1.0, None, 1, 0)
