"""What `Job.spec` of a GitLab job holds: all that its runner needs beside the stage. JSON values only. Neither how it
is found in the file nor how it is run.

Variables have their `$` still in them: only at run time is all known that they may speak of. From the weakest on:
`Pipeline.context["predefined"]` (`CI_PIPELINE_SOURCE`, …), `Spec.predefined`, `Spec.variables`, dotenv files of the
jobs in `artifacts_from`, `Pipeline.context["project"]` (what the user sets by `--var`). Those in `raw` are not
expanded.

A `Condition` of the language `gitlab` is one word: `on_failure` (a need has failed) or `manual` (nobody plays it: it
does not run, nor does what needs it).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    class Image(TypedDict):
        name: str
        entrypoint: list[str]

    class Service(TypedDict):
        name: str
        alias: list[str]  #: host names; empty: made of the image's name
        entrypoint: list[str]
        command: list[str]
        variables: dict[str, str]

    class Artifacts(TypedDict):
        """Globs begin at the project's folder. `reports`: kind (`dotenv`, `junit`, …) to globs."""

        name: str | None
        paths: list[str]
        exclude: list[str]
        untracked: bool
        when: str  #: on_success, on_failure or always
        expire_in: str | None
        reports: dict[str, list[str]]

    class Cache(TypedDict):
        """The key is `key`, or the content of `key_files` behind `prefix`; both empty: `default`."""

        key: str | None
        key_files: list[str]
        prefix: str | None
        fallback_keys: list[str]
        paths: list[str]
        untracked: bool
        policy: str  #: pull-push, pull or push; may hold a variable
        when: str  #: on_success, on_failure or always

    class Retry(TypedDict):
        max: int
        when: list[str]  #: as `always`, `script_failure`; empty: always
        exit_codes: list[int]

    class Environment(TypedDict):
        name: str
        url: str | None
        action: str  #: start, prepare, stop, verify or access
        tier: str  #: deployment_tier
        on_stop: str | None

    class Release(TypedDict):
        tag_name: str
        description: str

    class Spec(TypedDict):
        """`when`: on_success, manual, delayed, always or on_failure, as decided when the file was read."""

        name: str  #: CI_JOB_NAME
        stage: str  #: CI_JOB_STAGE
        before_script: list[str]
        script: list[str]
        after_script: list[str]
        pre_get_sources: list[str]  #: of hooks
        variables: dict[str, str]  #: of the file, the rules and the matrix: the strongest is left
        raw: list[str]  #: names of those whose `$` mean nothing
        predefined: dict[str, str]  #: CI_JOB_NAME, CI_JOB_STAGE, CI_NODE_INDEX, CI_NODE_TOTAL, …
        image: Image | None
        services: list[Service]
        artifacts: Artifacts | None
        cache: list[Cache]
        artifacts_from: list[str]  #: ids of the stages whose artifacts and dotenv variables it gets
        retry: Retry
        allow_failure: bool
        allow_exit_codes: list[int]  #: exits that are allowed where `allow_failure` is not
        environment: Environment | None
        git_strategy: str  #: clone, fetch, none or empty; may hold a variable
        when: str
        start_in_ms: int
        tags: list[str]
        coverage: str | None
        release: Release | None
        timeout_ms: int | None
        trigger: str | None  #: `child` (its jobs are stages of their own), `project` or `artifact`: no script then
