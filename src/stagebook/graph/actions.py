"""Actions that other people have written, by their names: which surely pass nothing from one job to another. Knows
names only; what a step reads and writes is read by its format.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.model.job import Job

#: They install a tool, look at the source, or tell somebody outside. Whole owners where all that they offer is such.
_SILENT = (
    "8398a7/action-slack|actions-rs/|actions-rust-lang/|aquasecurity/|astral-sh/|awalsh128/cache-apt-pkgs-action|"
    "bufbuild/|cachix/|codecov/|codespell-project/|conda-incubator/|coverallsapp/|crate-ci/|crazy-max/ghaction-|"
    "cypress-io/github-action|davidanson/|deadsnakes/action|determinatesystems/|dorny/paths-filter|"
    "dorny/test-reporter|dtolnay/|easimon/maximize-build-space|embarkstudios/|fkirc/skip-duplicate-actions|"
    "github/codeql-action|golangci/|goreleaser/goreleaser-action|gradle/|hadolint/|hendrikmuhs/ccache-action|"
    "ilammy/msvc-dev-cmd|jetli/wasm-pack-action|jimver/cuda-toolkit|jlumbroso/free-disk-space|jwlawson/|"
    "leafo/gh-actions-|ludeeus/action-shellcheck|lukka/get-cmake|lycheeverse/|mamba-org/|mozilla-actions/sccache-action|"
    "ncipollo/release-action|nick-fields/retry|nick-invision/retry|obi1kenobi/|peaceiris/actions-|peter-evans/|"
    "pre-commit/action|pypa/cibuildwheel|pypa/gh-action-pip-audit|pypa/gh-action-pypi-publish|r-lib/actions|"
    "raven-actions/actionlint|re-actors/alls-green|reactivecircus/android-emulator-runner|reviewdog/|rhysd/actionlint|"
    "rustsec/|slackapi/|snyk/|softprops/action-gh-release|sonarsource/|step-security/harden-runner|styfle/|"
    "subosito/flutter-action|swatinem/rust-cache|tj-actions/|wagoid/commitlint-github-action|webfactory/ssh-agent|"
    "zizmorcore/"
)
_KNOWN = re.compile(
    rf"(?:actions|docker)/|docker://|[\w.-]+/[\w.-]*\b(?:setup|install(?:er)?)\b|{_SILENT}", re.IGNORECASE
)


def unknown_in(job: Job) -> str | None:
    """The first action that a job uses which may leave, or bring, anything; those of the system itself are known, and
    so are those of the repository that were looked into, as their steps stand in their place."""
    for step in job.steps:
        if step.kind == "uses" and not _KNOWN.match(step.text):
            return step.text.partition("@")[0]
    return None
