"""What a job of a CI system is for: whether it tests something, whether it deploys or publishes. By its environment,
the actions that it uses, its commands and its name, in this order; so it is a guess that a reader can check. Pure.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from stagebook.model.job import JobStep
    from stagebook.model.pipeline import Stage

#: Actions of GitHub that change what lies outside, by what their names hold.
_PUBLISHERS = re.compile(
    r"^(?:pypa/gh-action-pypi-publish|(?:softprops|ncipollo)/(?:action-gh-release|release-action)|actions/deploy-pages|"
    r"(?:peaceiris/actions-gh-pages|JamesIves/github-pages-deploy-action|crazy-max/ghaction-github-pages)|"
    r"js-devtools/npm-publish|goreleaser/goreleaser-action|cycjimmy/semantic-release-action|"
    r"(?:azure/webapps-deploy|aws-actions/amazon-ecs-deploy-task-definition|google-github-actions/deploy-[\w-]+)|"
    r"(?:rust-lang/crates-io-auth-action|katyo/publish-crates)|svenstaro/upload-release-action|"
    r"actions/(?:create-release|upload-release-asset)|snapcore/action-publish|haaleo/publish-vscode-extension|"
    r"[\w.-]+/(?:bump-homebrew-formula-action|(?:[\w.-]+-)?(?:releaser|publisher)(?:-action)?))@",
    re.IGNORECASE,
)
#: Those that may, as they are told to.
_MAY_PUBLISH = re.compile(
    r"^(?:docker/(?:build-push|bake)-action|redhat-actions/push-to-registry|google-github-actions/upload-cloud-storage|"
    r"aws-actions/|azure/|google-github-actions/)",
    re.IGNORECASE,
)
_TEXT_MAX = 40_000
_SIGNS_IN = re.compile(r"login|auth|credentials|configure|setup|get-|secrets", re.IGNORECASE)
_ACTS = "deploy|deploys|deployment|release|publish|promote|rollout|upload|migrate"
_act = re.compile(rf"(?:^|[^a-z])({_ACTS})(?:[^a-z]|$)", re.IGNORECASE)
#: Places and words that are no verbs of deployment, but name a job or a stage that does it. Beside a word of tests or
#: of building they say what is tested or built.
_HINTS = "staging|production|prod|preprod|uat|canary|live|go-?live|ship|shipping|deliver|delivery|distribute|rollback"
_hint = re.compile(rf"(?:^|[^a-z])({_HINTS})(?:[^a-z]|$)", re.IGNORECASE)
_MAKES = re.compile(
    r"(?:^|[^a-z])(build|builds|compile|package|bundle|test|tests|testing|e2e|smoke|lint|check|checks|verify|validate|"
    r"scan|audit|image|images|docs?)(?:[^a-z]|$)",
    re.IGNORECASE,
)
#: Where all jobs of a stage of GitLab act outside, by its name.
_stage_acts = re.compile(rf"(?:^|[^a-z])({_ACTS}|{_HINTS})(?:[^a-z]|$)", re.IGNORECASE)
_DEPLOYS_STAGE = re.compile(
    r"(?:^|[^a-z])(?:deploy|deploys|deployment|rollout|production|prod|staging)(?:[^a-z]|$)", re.IGNORECASE
)
#: Scripts, targets and programs whose whole name says it, where a command begins: `./bin/rollout staging`.
_SCRIPT = re.compile(
    r"(?:^|[\n;&|({]|\b(?:then|do|else))[ \t]*"
    r"(?:(?:\w+=\S*|sudo|exec|time|env|timeout \S+|(?:poetry|uv|pipenv|hatch) run|npx|bundle exec|"
    r"(?:ba|da|z)?sh(?: -\w+)*|python3?(?: -\w+)*|node|ruby|php|perl|make(?: -\S+)*|just|task|rake|"
    r"npm run|yarn(?: run)?|pnpm(?: run)?|mvnw?|gradle|[^\s=]*/(?:gradlew|mvnw)(?: -\S+)*)[ \t]+)*"
    rf"[\"']?(?:[^\s;&|()\"']*/)?((?:{_ACTS}|{_HINTS})(?:[-_.:][\w.:-]+)?)(?=[\s;&|)\"']|$)",
    re.IGNORECASE,
)
_DRY = re.compile(r"--(?:dry-?run|no-push|snapshot)\b")
_NO_DEPLOYMENT = re.compile(
    r"(?:^|[^a-z])(review|preview|tests?|testing|ci|build|benchmarks?)(?:[^a-z]|$)", re.IGNORECASE
)
_DOCUMENTS = re.compile(
    r"(?:^|[^a-z])(docs?|documentation|pages|gh-pages|github-pages|site|website|book|storybook|blog|demo)(?:[^a-z]|$)",
    re.IGNORECASE,
)
#: Environments that are a place where people use what was deployed, or a registry.
_PLACE = re.compile(
    r"(?:^|[^a-z])(prod|production|staging|stage|stg|live|canary|uat|preprod|pre-prod|demo|pages|github-pages|"
    r"marketplace|pypi|npm|npmjs|crates-io|crates\.io|rubygems|maven|sonatype|nuget|app-?store|"
    r"deploy|deployment|release|publish)(?:[^a-z]|$)",
    re.IGNORECASE,
)
#: A name that begins with what it does, or is nothing else.
_DOES = re.compile(
    r"^(?:(?:auto|gh|github|make|create|do|cut)[-_. ])?(deploy|publish|promote|rollout|release)(?:[^a-z]|$)|"
    r"(?:^|[^a-z])(deploy|publish|promote|rollout)$",
    re.IGNORECASE,
)
#: Words beside these that make a job one that only prepares, tries or reports.
_BUT = re.compile(
    r"(?:^|[^a-z])(build|builds|tests?|checks?|prepare|prep|draft|dry-?run|verify|validate|coverage|lint|clippy|review|"
    r"preview|notify|notification|notes|setup|init|start|stop|artifacts?|results?|reports?|sarif|cache|logs?|e2e|"
    r"debug|nightly|snapshots?|dev|compile|plan|changes|changelog|version|gate|info|status|pack|"
    r"package|packages|bundle)(?:[^a-z]|$)",
    re.IGNORECASE,
)
#: Commands that change what people use. A push of an image or a commit, or a copy into a bucket, may be anything.
_COMMAND = re.compile(
    r"^(?:kubectl|helm|terraform|pulumi|twine|npm|yarn|pnpm|cargo|poetry|uv|flit|hatch|gem|serverless|fly|flyctl|gcloud|"
    r"ansible-playbook|aws update)\b"
)


def acts(stage: Stage, command_says: str | None) -> str | None:
    """Why a job may deploy, publish or migrate, told generously: what comes before it has a reason then. None: it does
    not. `command_says`: what its commands tell."""
    job = stage.job
    if job is None:
        return None
    if job.environment and not _NO_DEPLOYMENT.search(job.environment):
        return f"environment {job.environment}"
    if (step := next((each for each in job.steps if _publishes(each)), None)) is not None:
        return f"it uses {step.text.partition('@')[0]}"
    if (step := next((each for each in job.steps if _may_publish(each)), None)) is not None:
        return f"it may publish by {step.text.partition('@')[0]}"
    if command_says is not None:
        return f"its command: {command_says}"
    if job.system == "gitlab" and stage.name.partition(":")[0] == "pages":
        return "it publishes pages"
    named = _act.search(stage.name)
    if named is not None:
        return f"its name: {named[1].lower()}"
    return _hinted(stage, job.stage)


def _hinted(stage: Stage, of_stage: str | None) -> str | None:
    """What says it less plainly: a script that it calls, the stage of GitLab that it is in, a place in its name."""
    makes = _MAKES.search(stage.name) is not None
    called = None if makes else _SCRIPT.search(str(stage.command)[:_TEXT_MAX])
    if called is not None and not _MAKES.search(called[1]):
        return f"its script: {called[1]}"
    if of_stage and _stage_acts.search(of_stage) and not _MAKES.search(of_stage):
        return f"its stage: {of_stage}"
    named = None if makes else _hint.search(stage.name)
    return None if named is None else f"its name: {named[1].lower()}"


def deploys(stage: Stage, why: str) -> bool:
    """Whether a job that may act outside for this reason plainly changes what people use, so that it should wait for
    tests: told sparingly."""
    job = stage.job
    if job is None or stage.allow_failure or _BUT.search(stage.name):
        return False
    name = stage.name.rpartition("/")[2].rpartition(".")[2]
    word, _, rest = why.partition(": ")
    if why.startswith("environment "):
        return "$" not in why and _PLACE.search(why.removeprefix("environment ")) is not None
    if word == "its stage":
        return _DEPLOYS_STAGE.search(rest) is not None
    if word == "its script":
        return _DEPLOYS_STAGE.search(rest.partition(".")[0]) is not None and not _DRY.search(str(stage.command))
    if word == "its command":
        return _COMMAND.match(rest) is not None and not _DRY.search(str(stage.command))
    if why.startswith("it may publish"):
        return _DOES.search(name) is not None
    return why.startswith("it uses ") or _DOES.search(name) is not None or _is_place(name)


def _is_place(name: str) -> bool:
    """Whether a job is called like a place, and nothing else: `staging`, `production-eu`."""
    return re.match(r"(?:staging|production|prod)(?![a-z])", name, re.IGNORECASE) is not None


def _publishes(step: JobStep) -> bool:
    return step.kind == "uses" and _PUBLISHERS.match(step.text) is not None


#: What a deployment should wait for: a check of the text, or of how the pipeline is set up, is less than that.
_TRIES = re.compile(
    r"(?:^|[^a-z])(test|tests|testing|units?|unittests?|integration|e2e|smoke|specs?|acceptance|regression)(?:[^a-z]|$)",
    re.IGNORECASE,
)
_TRIES_NOT = re.compile(
    r"(?:^|[^a-z])(build|configure|generate|setup|start|create|publish|upload|download|prepare|report|reports|results?|"
    r"counts?|params?|matrix|image|images|docs?|aggregate|trigger|coverage|naming|published|json)(?:[^a-z]|$)",
    re.IGNORECASE,
)


def _may_publish(step: JobStep) -> bool:
    return step.kind == "uses" and _MAY_PUBLISH.match(step.text) is not None and not _SIGNS_IN.search(step.text)


def tries(stage: Stage) -> bool:
    """Whether a job that tests or checks something plainly tries out what is to be deployed."""
    if _TRIES.search(stage.name):
        return not _TRIES_NOT.search(stage.name)
    return False


_OF_TAGS = re.compile(
    r"refs/tags|ref_type\s*==\s*'tag'|event_name\s*==\s*'release'|github\.event\.release|CI_COMMIT_TAG"
)
_NOT_OF_TAGS = re.compile(r"!\s*(?:startsWith|contains|\()|!=")


def of_versions(stages: Sequence[Stage]) -> frozenset[str]:
    """Ids of jobs that take part, or do a part of what they do, for tags or releases alone, as conditions read, and of
    those that need such a job: each version comes once, and none makes another one old."""
    found: set[str] = set()
    dependents: dict[str, list[str]] = {}
    for stage in stages:
        own = stage.when.text if stage.when is not None else ""
        steps = stage.job.steps if stage.job is not None else ()
        if _is_of_tags(own) or any(_is_of_tags(step.condition or "") for step in steps):
            found.add(stage.id)
        for need in stage.needs if stage.join == "all" else ():
            dependents.setdefault(need, []).append(stage.id)
    todo = list(found)
    while todo:
        for each in dependents.pop(todo.pop(), ()):
            if each not in found:
                found.add(each)
                todo.append(each)
    return frozenset(found)


def _is_of_tags(text: str) -> bool:
    return _OF_TAGS.search(text) is not None and _NOT_OF_TAGS.search(text) is None


def group_of(stage: Stage, places: Sequence[str | None]) -> str:
    """What to call the group in which runs of a deployment wait for each other. `places`: the environments of all jobs.
    GitLab lets all wait, so what deploys to one place is one group there; of GitHub's group only one job waits, so
    each job has its own."""
    job = stage.job
    place = (job.environment or "") if job is not None else ""
    is_plain = place.isascii() and bool(place) and all(ch.isalnum() or ch in "-_./ " for ch in place)
    if is_plain and job is not None and job.system == "gitlab":
        return place
    own = place if is_plain and places.count(place) == 1 else stage.name
    return own if own.startswith("deploy") else f"deploy-{own}"


def is_of_documents(stage: Stage) -> bool:
    """Whether what it publishes is documentation, which need not wait for tests."""
    environment = stage.job.environment if stage.job is not None else None
    return _DOCUMENTS.search(stage.name) is not None or _DOCUMENTS.search(environment or "") is not None
