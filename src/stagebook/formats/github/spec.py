"""What `Job.spec` holds of a GitHub job: the job as its file has it, for whoever runs it or judges its conditions.
Made by the reader, read by the runner and by the court. Shapes only.

Texts are as in the file, `${{ }}` included, and are evaluated when the job runs. All of it is JSON.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypedDict

    class Need(TypedDict, total=False):
        """One entry of the job's `needs`. `stages`: ids of the stages that it is made of (cells of a matrix; jobs of a
        called workflow). Of a called workflow beside: `outputs`, those of `on.workflow_call`, as texts over `jobs`;
        and `jobs`, its job ids to theirs, for these texts."""

        stages: list[str]
        outputs: dict[str, str]
        jobs: dict[str, Need]

    #: `with` of the job that calls, its own `if` (the text without `${{ }}`, judged before that of the called job, with
    #: the contexts of the calling one), `needs`, matrix and strategy, and the call around it, if any. `inputs` are the
    #: declared ones of the called workflow: {"default": …, "type": "string" | "boolean" | "number"}. `contexts`: known
    #: when read, in place of those of `Pipeline.context`.
    Call = TypedDict(
        "Call",
        {
            "with": dict[str, Any],
            "inputs": dict[str, dict[str, Any]],
            "if": str,
            "needs": dict[str, Need],
            "contexts": dict[str, Any],
            "matrix": dict[str, Any],
            "strategy": dict[str, Any],
            "call": "Call | None",
        },
        total=False,
    )

    #: A step as the file has it, all keys with their own values (`id`, `name`, `if`, `run`, `uses`, `with`, `env`,
    #: `shell`, `working-directory`, `continue-on-error`, `timeout-minutes`, `background`, `wait`, `wait-all`,
    #: `cancel`, `parallel`), and `line`, where it begins. Scalars are text, but for true, false and numbers. The steps
    #: of `parallel` are steps themselves. `if` may be text or a boolean.
    Step = dict[str, Any]

    class JobSpec(TypedDict, total=False):
        """All keys may be missing; then the file does not have them."""

        job: str  #: the id in its file
        file: str  #: the workflow's file that has it (a called one's, if it is called), from the root on
        workflow: str  #: its name
        workflow_env: dict[str, Any]  #: `env` at the top of the file
        env: dict[str, Any]  #: `env` of the job
        defaults: dict[str, str]  #: of `run`: `shell` and `working-directory`, the job's before the file's
        steps: list[Step]
        outputs: dict[str, Any]
        container: Any
        services: Any
        environment: Any
        runs_on: Any
        timeout_minutes: Any
        continue_on_error: Any
        matrix: dict[str, Any]  #: of this cell, with values of the types that they have in the file
        strategy: dict[str, Any]  #: `fail-fast`, `job-index`, `job-total`, `max-parallel`
        open_strategy: Any  #: `strategy` as the file has it, where its matrix is known only when the job runs
        needs: dict[str, Need]  #: by the ids in the file
        call: Call | None  #: of a job in a called workflow
        contexts: dict[str, Any]  #: known when read, in place of those of `Pipeline.context`: `inputs`, `github`, …
        #: names in the job's `secrets` to those of the variables that hold the values; as they are where left out
        secrets: dict[str, str]
