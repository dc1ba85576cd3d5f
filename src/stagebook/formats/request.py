"""What a user says beside a file of a CI system, as far as it decides what the file means. No reading, no defaults of a
format."""

from __future__ import annotations

from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


class Request(NamedTuple):
    """`event`: what started the pipeline, in the system's own word (`push`, `pull_request`, `schedule`, …; of GitLab
    `push`, `merge_request_event`, `web`, …); empty: what the file is mostly for. `ref`: a branch, or a tag as
    `refs/tags/…`; None: the branch at hand. `payload`: the event as the system would tell it. `variables`: of `--var`,
    `inputs`: of `--input`. `includes`: where checkouts of other projects lie, by project or component. `play`: manual
    jobs that a person starts."""

    event: str = ""
    ref: str | None = None
    payload: Mapping[str, Any] = {}
    variables: Mapping[str, str] = {}
    inputs: Mapping[str, str] = {}
    includes: Mapping[str, str] = {}
    play: tuple[str, ...] = ()


NOTHING = Request()
