"""Who is told of an occasion, with which facts, each once. Reads runs and logs; sends nothing.

Texts come from a journal and logs that were masked when they were written, and are masked once more, by the values that
the run's secrets have now.
"""

from __future__ import annotations

import json
import os

from stagebook.engine import secrets
from stagebook.model.pipeline import Notify, Pipeline
from stagebook.notify import past
from stagebook.notify.message import BODIES_MAX, LINES_MAX, Facts, Message, Occasion, compose
from stagebook.notify.send import To
from stagebook.record import notices, state
from stagebook.record.mask import Mask
from stagebook.record.reasons import is_no_part
from stagebook.report import failure
from stagebook.report.harmless import line_of_output
from stagebook.report.words import VERBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator, Mapping

TAIL_BYTES = 1 << 14
STAGES_MAX = 50  #: in one message
PART_MIN = 6  #: characters: a part of an address that has fewer may stand in a text by chance


def address_of(one: Notify, values: Mapping[str, str]) -> str:
    """The address itself; empty where its variable is not set."""
    return one.to if one.variable is None else values.get(one.variable, "")


def destination(one: Notify, values: Mapping[str, str], folder: str, environ: Mapping[str, str]) -> To:
    """Where to send. A command has no secret but those that it is to have."""
    if not one.command:
        return To(address_of(one, values))
    withheld = values.keys() - set(one.secrets)
    inherited = {name: value for name, value in environ.items() if name not in withheld}
    return To("", one.command, folder, {**inherited, **{name: values[name] for name in one.secrets if name in values}})


def mask_for(one: Notify, values: Mapping[str, str]) -> Mask:
    """What hides the secrets, and the address of one target with all its parts but scheme and host."""
    address = address_of(one, values)
    rest = address.partition("://")[2]
    user, at, after = rest.rpartition("@")
    parts = [
        *user.replace(":", " ").split(),
        *after.replace("?", "/").replace("&", "/").replace("=", "/").split("/")[1:],
    ]
    return Mask([*values.values(), address, *[part for part in parts if len(part) >= PART_MIN]])


class Circle:
    """Those whom one run tells. `told` are the keys of what each was told, from before a resume too."""

    def __init__(
        self, directory: str, pipeline: Pipeline, head: Mapping[str, Any], before: Circle | None = None
    ) -> None:  # fmt: skip
        """`head` is the first line of the journal, `before` who was told until the file was changed."""
        self.directory = directory
        self.pipeline = pipeline
        self.values = secrets.values_of(pipeline)
        self._mask = Mask(self.values.values())
        self._head = head
        self._state = os.path.dirname(os.path.dirname(directory))
        self.folder = pipeline.folder
        self.told: set[tuple[str, str, str]] = set() if before is None else before.told
        self._is_failed = False  #: whether anybody was told that this very run failed
        self._runs: list[past.Before] | None = None
        self._failed: dict[str, list[past.Before]] | None = None
        for one in notices.read(directory):
            if one["state"] == notices.WAITING:
                continue  # whoever was to send it is gone
            known = Occasion(one["event"], one["id"].partition(" ")[0], tuple(map(str, one["stages"])))
            self.told |= {(one["target"], *key) for key in known.keys}
            self._is_failed = self._is_failed or one["event"] == "failure"

    def wants(self, event: str) -> bool:
        """Whether anybody is told of such a thing at all."""
        return any(event in one.on for one in self.pipeline.notify)

    @property
    def has_addresses(self) -> bool:
        """Whether anybody is told otherwise than by a command."""
        return any(one.to for one in self.pipeline.notify)

    def messages(self, occasion: Occasion, document: Mapping[str, Any]) -> Iterator[tuple[Notify, Occasion, Message]]:
        """Who is to be told what of an occasion; what somebody was told of before is left out."""
        whole = self._whole(occasion, document)
        if whole is None:
            return
        branch = self._head.get("branch")
        for one in self.pipeline.notify:
            if whole.event not in one.on or not one.is_on(branch):
                continue
            mine = whole._replace(stages=tuple([stage for stage in whole.stages if one.is_about(stage)][:STAGES_MAX]))
            if one.stages and not mine.stages and (whole.stages or whole.event == "failure"):
                continue
            if whole.event == "success" and "recovery" in one.on and self._is_recovery(one, document):
                continue  # which says the same and more
            keys = {(one.name, *key) for key in mine.keys}
            if keys <= self.told:
                continue
            self.told |= keys
            self._is_failed = self._is_failed or whole.event == "failure"
            yield one, mine, self._masked(compose(mine, self._facts(mine, document)))

    def _whole(self, occasion: Occasion, document: Mapping[str, Any]) -> Occasion | None:
        """The occasion with the stages that count; None where it is none."""
        if occasion.event == "recovery":
            return self._recovery(occasion, document)
        if occasion.event == "gate":
            return occasion._replace(more=self._question(occasion, document))
        if occasion.event == "dead-letter":
            keeping = [
                stage.id for stage in self.pipeline.stages if stage.each and stage.each.on_failure == "dead-letter"
            ]
            return occasion if occasion.stages[0] in keeping else None
        if occasion.event != "failure":
            return occasion
        failed = [one for one in document["stages"] if one["outcome"] in past.FAILED and not one.get("tolerated")]
        failed.sort(key=lambda one: one["finished"] or "~")
        names = tuple(one["stage"] for one in failed)
        if occasion.about == "gone" and document.get("state") not in ("interrupted", "damaged"):
            occasion = occasion._replace(about="stage")  # it waits for a person, who may be long
        if occasion.about == "stage":
            names = tuple(name for name in names if name in occasion.stages)
            return occasion._replace(stages=names) if names else None
        return occasion._replace(stages=names)

    def _recovery(self, occasion: Occasion, document: Mapping[str, Any]) -> Occasion | None:
        """What had failed, before or earlier in this very run, and passed in it; None where nothing did. A run that
        failed by no stage is made good by one in which no stage was left out."""
        known = {one["stage"]: one for one in document["stages"]}
        here = sorted(key for _, event, key in self.told if event == "failure")
        failed = [name for name in dict.fromkeys([*here, *self._unmended()]) if name in known]
        good = tuple(name for name in failed if past.is_good(known[name]["outcome"], known[name]["reason"]))
        left = [name for name in failed if name not in good]
        if good or (not left and (self._is_failed or self._failing()) and not _is_part(document)):
            return occasion._replace(stages=good, more={"left": left})
        return None

    def _question(self, occasion: Occasion, document: Mapping[str, Any]) -> dict[str, Any]:
        """What a gate asks of whom. Of the journal's line only until when: the rest is for who answers."""
        name = occasion.stages[0]
        told: Mapping[str, Any] = next((one for one in document["stages"] if one["stage"] == name), {})
        known = told.get("gate") or {}
        question = {
            "prompt": known.get("prompt"), "quorum": known.get("needed"), "expires": occasion.more.get("expires"),
            "warnings": known.get("warnings", ()),
        }  # fmt: skip
        gate = next((stage.gate for stage in self.pipeline.stages if stage.id == name), None)
        if gate is None:
            return question
        return {
            **question, "prompt": gate.prompt, "quorum": gate.quorum, "approvers": gate.approvers,
            "default": gate.default, "timeout_s": None if gate.timeout_ms is None else gate.timeout_ms / 1000,
        }  # fmt: skip

    def _is_recovery(self, one: Notify, document: Mapping[str, Any]) -> bool:
        whole = self._whole(Occasion("recovery"), document)
        return whole is not None and (not one.stages or any(map(one.is_about, whole.stages)))

    def _earlier(self) -> list[past.Before]:
        if self._runs is None:
            run = os.path.basename(self.directory)
            self._runs = past.earlier(self._state, run, self.pipeline.file, self._head.get("branch"))
        return self._runs

    def _failing(self) -> list[past.Before]:
        return past.failing(self._earlier())

    def _unmended(self) -> dict[str, list[past.Before]]:
        if self._failed is None:
            self._failed = past.unmended(self._earlier())
        return self._failed

    def _row(self, occasion: Occasion) -> list[past.Before]:
        """The failed runs, newest first, since the first of those that a recovery is from."""
        since = min([each.run for name in occasion.stages for each in self._unmended().get(name, ())], default=None)
        if since is None:
            return self._failing()
        return [one for one in self._earlier() if one.run >= since and one.outcome != "success"]

    def _facts(self, occasion: Occasion, document: Mapping[str, Any]) -> Facts:
        before, row = self._earlier(), self._row(occasion) if occasion.event == "recovery" else self._failing()
        commit = self._head.get("commit")
        is_failure = occasion.event == "failure"
        is_usual = state.locate(None, None, self.folder, None, {}) == self._state
        return Facts(
            document, self._head.get("branch"), commit, os.uname().nodename, self.folder,
            "" if is_usual else f" --dir {_quoted(self._state)}",
            dict(self._tails(occasion.stages[:BODIES_MAX], document)) if is_failure else {},
            past.of_stages(before, commit, occasion.stages) if is_failure else {},
            (before[0].run, VERBS.get(before[0].outcome, f"was {before[0].outcome}")) if before else None,
            len(row), row[-1].started if row else None,
        )  # fmt: skip

    def _tails(self, stages: Iterable[str], document: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
        by_id = {one["stage"]: one for one in document["stages"]}
        for stage in stages:
            if stage not in by_id:
                continue
            item, attempts = failure.item_of(by_id[stage]), by_id[stage]["attempts"]
            if item is not None:
                yield stage, last_lines(item["log"])
            elif attempts and attempts[-1].get("log"):
                yield stage, last_lines(attempts[-1]["log"])

    def _masked(self, message: Message) -> Message:
        text = self._mask.text
        facts = json.loads(self._mask.json_text(json.dumps(message.facts), ("event", "about", "run")))
        return Message(text(message.title), text(message.body), facts)


def _is_part(document: Mapping[str, Any]) -> bool:
    return any(one["outcome"] == "skip" and is_no_part(one["reason"]) for one in document["stages"])


def last_lines(path: str) -> list[str]:
    """The last lines of a log that say something, made harmless."""
    try:
        with state.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - TAIL_BYTES))
            data = file.read(TAIL_BYTES)
    except OSError:
        return []
    lines = data.split(b"\n")
    if size > TAIL_BYTES and len(lines) > 1:
        del lines[0]
    return [text for text in (line_of_output(line.rpartition(b"\r")[2] or line) for line in lines) if text.strip()][
        -LINES_MAX:
    ]


def _quoted(path: str) -> str:
    from stagebook.report.failure import quoted

    return quoted(path)
