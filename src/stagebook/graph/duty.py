"""What a job of a CI system is for: whether it tests something, whether it deploys or publishes. By its environment,
the actions that it uses, its commands and its name, in this order; so it is a guess that a reader can check. Pure.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagebook.model.job import JobStep
    from stagebook.model.pipeline import Stage

#: Actions of GitHub that change what lies outside, by what their names hold.
_PUBLISHERS = re.compile(
    r"^(?:pypa/gh-action-pypi-publish|(?:softprops|ncipollo)/(?:action-gh-release|release-action)|actions/deploy-pages|"
    r"(?:peaceiris/actions-gh-pages|JamesIves/github-pages-deploy-action|crazy-max/ghaction-github-pages)|"
    r"js-devtools/npm-publish|goreleaser/goreleaser-action|cycjimmy/semantic-release-action|"
    r"(?:azure/webapps-deploy|aws-actions/amazon-ecs-deploy-task-definition|google-github-actions/deploy-[\w-]+)|"
    r"(?:rust-lang/crates-io-auth-action|katyo/publish-crates)|svenstaro/upload-release-action|"
    r"actions/(?:create-release|upload-release-asset))@",
    re.IGNORECASE,
)
_ACTS = "deploy|deployment|release|publish|promote|rollout|upload|migrate"
#: Words beside these that make a job one that only prepares, tries or reports.
_BUT = re.compile(
    r"(?:^|[^a-z])(build|builds|test|tests|check|checks|prepare|draft|dry-?run|verify|validate|coverage|lint|review|"
    r"preview|notify|notification|setup|init|start|stop|artifacts?|results?|report|reports|sarif|cache|logs?|e2e|debug|"
    r"nightly|compile|plan|changes)(?:[^a-z]|$)",
    re.IGNORECASE,
)
_act = re.compile(rf"(?:^|[^a-z])({_ACTS})(?:[^a-z]|$)", re.IGNORECASE)
_DRY = re.compile(r"--(?:dry-?run|no-push)\b|\bnpm publish .*--dry-run")
_NO_DEPLOYMENT = re.compile(
    r"(?:^|[^a-z])(review|preview|tests?|testing|ci|build|benchmarks?)(?:[^a-z]|$)", re.IGNORECASE
)
_DOCUMENTS = re.compile(r"(?:^|[^a-z])(docs?|documentation|pages|gh-pages|github-pages|site|website|book|storybook)(?:[^a-z]|$)", re.IGNORECASE)  # fmt: skip  # noqa: E501


def acts(stage: Stage, command_says: str | None) -> str | None:
    """Why a job is taken to deploy or publish; None: it is not. `command_says`: what its commands tell."""
    job = stage.job
    if job is None:
        return None
    named = _act.search(stage.name)
    is_other = _BUT.search(stage.name) is not None
    if job.environment and not _NO_DEPLOYMENT.search(job.environment) and not is_other:
        return f"environment {job.environment}"
    if (step := next((each for each in job.steps if _publishes(each)), None)) is not None:
        return f"it uses {step.text.partition('@')[0]}"
    if command_says is not None and not _DRY.search(stage.command if isinstance(stage.command, str) else ""):
        return f"its command: {command_says}"
    if named is not None and not is_other and job.unplayable is None:
        return f"its name: {named[1].lower()}"
    return None


def _publishes(step: JobStep) -> bool:
    return step.kind == "uses" and _PUBLISHERS.match(step.text) is not None


def is_of_documents(stage: Stage) -> bool:
    """Whether what it publishes is documentation, which need not wait for tests."""
    environment = stage.job.environment if stage.job is not None else None
    return _DOCUMENTS.search(stage.name) is not None or _DOCUMENTS.search(environment or "") is not None
