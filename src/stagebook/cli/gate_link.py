"""`stagebook gate-link RUN GATE`: a signed link that answers a gate once, served on loopback until it is over.

What a decision does is the business of `engine.approve`, as for `approve` and `reject`.
"""

from __future__ import annotations

import os
import sys
import time

from stagebook.cli import output, place
from stagebook.cli.words import usage_error
from stagebook.model.problem import OK, WAITING, InputError, SurroundingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Mapping

    from stagebook.approval.judge import Refusal
    from stagebook.approval.link import Link
    from stagebook.approval.server import Answer

EXAMPLE = """
stagebook gate-link last ship
stagebook gate-link last ship --for ann --expires 4h"""

EXPIRES = "1d"
AUDITED_MAX = 100  #: refused attempts of one link that are recorded one by one


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="an id, its beginning, or last")
    parser.add_argument("gate", metavar="GATE", help="the gate that waits")
    parser.add_argument("--for", metavar="NAME", help="who answers by it; default: the account that makes it")
    parser.add_argument("--expires", metavar="TIME", help=f"as 4h; default: {EXPIRES}, at most 30d")
    parser.add_argument("--port", metavar="N", type=int, default=0, help="default: one that is free")
    parser.add_argument(
        "--record-only", action="store_true", help="where no engine holds the run, do not go on with it"
    )


def execute(args: Namespace) -> int:
    """0 once the gate is decided or the link was used, or as the run that goes on here exits; 2 where it cannot be
    answered; 3 where the link is over and the gate still waits."""
    from stagebook.approval.server import Server
    from stagebook.report.page import gate as pages

    life_s = _life_s(args.expires or EXPIRES)
    if not 0 <= args.port < 1 << 16:
        raise usage_error(f"--port {args.port} is none", "a port is a number up to 65535")
    counter = Counter(place.run_directory(args, args.run), args.gate, getattr(args, "for"), life_s)
    try:
        server = Server(counter.desk(pages), args.port)
    except OSError as error:
        raise SurroundingsError(f"cannot serve on port {args.port}: {error.strerror}") from None
    counter.note()
    _announce(args, counter, server.port)
    try:
        server.serve_until(lambda: server.used is not None or counter.is_over())
    finally:
        counter.close()
    return _end(args, counter, server.used)


def _life_s(text: str) -> int:
    from stagebook.approval.link import LIFE_MAX_S
    from stagebook.model.quantity import duration_ms

    try:
        seconds = duration_ms(text) // 1000
    except ValueError as error:
        raise usage_error(f"--expires: {error}", "stagebook gate-link --help shows what is possible") from None
    if not 1 <= seconds <= LIFE_MAX_S:
        raise usage_error(f"--expires {text} is out of bounds", "a link lives from 1s to 30d")
    return seconds


class Counter:
    """Where one link is answered: what is shown, what is refused, and whether it is over."""

    def __init__(self, directory: str, gate: str, person: str | None, life_s: int) -> None:
        from stagebook.approval import link, origin
        from stagebook.approval.judge import seal
        from stagebook.approval.shown import shown
        from stagebook.engine import approve

        self._approve = approve
        self.directory = directory
        self.state = os.path.dirname(os.path.dirname(directory))
        self.here = origin.here("link")
        self.person = person or self.here.by
        self.question, self.gate, votes, _ = approve.question(directory, gate)
        self._refuse_in_vain()
        ends = int(time.time()) + life_s
        if self.question.expires_us is not None:
            ends = min(ends, self.question.expires_us // 1_000_000)
        asked = self.question
        self.link: Link = link.Link(
            asked.run, asked.gate, asked.nonce, asked.digest, seal(asked.artifacts), self.person, origin.nonce(), ends
        )
        self._key = link.key(self.state)
        self.token = link.token(self.link, self._key)
        from stagebook.record.clock import stamp

        self.shown = {
            **shown(directory, asked, self.gate, votes),
            "person": self.person,
            "link_expires": stamp(ends * 1_000_000),
        }
        self.why = ""  #: what ended it, where that was not an answer by the link
        self._audited = 0
        self._journal = (0, 0)

    def _refuse_in_vain(self) -> None:
        """A link for somebody who could not even reject is none."""
        refusal = self._approve.refusal(self.directory, self._vote(False, None))
        if refusal is not None:
            self._audit(refusal, {}, self.person)
            raise InputError(f"refused: {refusal.text}")

    def desk(self, pages: Any) -> Any:
        from stagebook.approval import link
        from stagebook.approval.server import Desk

        return Desk(
            lambda text: link.check(text, self._key, self.link),
            lambda csrf, said: pages.question(self._document(), csrf, said),
            pages.plain,
            self._decide,
            self._refused,
            pages.policy(),
        )

    def note(self) -> None:
        """That there is a link, and for whom, is on record before anybody can use it."""
        from stagebook.approval import audit

        asked, more = self.question, {"for": self.person, "link": self.link.id, "expires": self.shown["link_expires"]}
        entry = audit.Entry("link", self.here.by, self.here.plain, asked.run, asked.gate, asked.digest, more=more)
        audit.append(self.state, entry)

    def is_over(self) -> bool:
        """Whether nothing can be answered by it any more."""
        if time.time() >= self.link.expires:
            self.why = "the link has expired"
            return True
        found = os.stat(os.path.join(self.directory, "journal.jsonl"))
        if self._journal == (found.st_size, found.st_mtime_ns):
            return False
        self._journal = (found.st_size, found.st_mtime_ns)
        question, _, _, now = self._approve.question(self.directory, self.question.gate)
        if now.state != "open":
            self.why = now.why or now.state
        elif question.nonce != self.question.nonce:
            self.why = f"{self.question.gate} was asked anew; make a new link"
        return bool(self.why)

    def _document(self) -> dict[str, Any]:
        from stagebook.approval.shown import given

        votes = self._approve.question(self.directory, self.question.gate)[2]
        return {**self.shown, "approvals": given(votes)}

    def _vote(self, approved: bool, comment: str | None) -> Any:
        from stagebook.approval.judge import bound

        return bound(self.question, self.person, approved, comment, self.here.plain)

    def _decide(self, approved: bool, comment: str | None) -> Answer:
        from stagebook.approval.server import Answer

        vote = self._vote(approved, comment)
        vote = vote._replace(origin={**self.here.plain, "link": self.link.id, "made_by": self.here.by})
        answer = self._approve.answer(self.directory, self.question.gate, vote)
        self.is_held = answer.held
        return Answer(answer.refusal, answer.decision)

    is_held = False  #: whether an engine has the run and goes on with it

    def _refused(self, refusal: Refusal, where: Mapping[str, Any]) -> None:
        self._audited += 1
        if self._audited <= AUDITED_MAX:
            self._audit(refusal, where)

    def _audit(self, refusal: Refusal, where: Mapping[str, Any], by: str | None = None) -> None:
        from stagebook.approval import audit

        asked = self.question
        place = {"via": "link", **where}
        entry = audit.Entry("refused", by, place, asked.run, asked.gate, asked.digest, refusal.code, refusal.text)
        audit.append(self.state, entry)

    def close(self) -> None:
        from stagebook.approval.judge import Refusal

        if self._audited > AUDITED_MAX:
            self._audit(Refusal("more", f"{self._audited - AUDITED_MAX} more attempts were refused"), {})
