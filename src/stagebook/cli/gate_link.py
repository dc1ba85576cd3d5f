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
from stagebook.record.state import journal_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Mapping

    from stagebook.approval.asked import Standing
    from stagebook.approval.judge import Question, Refusal
    from stagebook.approval.server import Answer

EXAMPLE = """
stagebook gate-link last ship
stagebook gate-link last ship --for ann --expires 4h"""

EXPIRES = "1d"
NAME_MAX = 100
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
    from stagebook.cli.approve import waiting_run
    from stagebook.report.page import gate as pages

    life_s, person = _life_s(args.expires or EXPIRES), getattr(args, "for")
    if person is not None and not (0 < len(person) <= NAME_MAX and person.isprintable()):
        raise usage_error("--for takes a name", f"letters that can be read, at most {NAME_MAX}")
    if not 0 <= args.port < 1 << 16:
        raise usage_error(f"--port {args.port} is none", "a port is a number up to 65535")
    counter = Counter(waiting_run(args), args.gate, person, life_s)
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
        from stagebook.approval import asked, link, origin
        from stagebook.approval.judge import seal
        from stagebook.approval.shown import shown
        from stagebook.record.clock import stamp

        self.directory = directory
        self.state = os.path.dirname(os.path.dirname(directory))
        self.here = origin.here("link")
        self.person = person or self.here.by
        standing = asked.standing(directory, gate)
        self.question = self._answerable(standing, gate)
        ends = int(time.time()) + life_s + 1
        if self.question.expires_us is not None:
            ends = min(ends, self.question.expires_us // 1_000_000)
        about = self.question
        self.link = link.Link(
            about.run, gate, about.nonce, about.digest, seal(about.rows()), self.person, origin.nonce(), ends
        )
        self._key = link.key(self.state)
        self.token = link.token(self.link, self._key)
        self.shown = {
            **shown(directory, about, standing),
            "person": self.person,
            "link_expires": stamp(ends * 1_000_000),
        }
        self.why = ""  #: what ended it, where that was not an answer by the link
        self.is_decided = False
        self.is_held = False  #: whether an engine has the run and goes on with it
        self._audited = 0
        self._journal = (0, 0)

    def _answerable(self, standing: Standing, gate: str) -> Question:
        """The question. Raises InputError where it is not open, or for somebody who could not even reject."""
        from stagebook.approval import audit
        from stagebook.approval.asked import none_yet
        from stagebook.approval.judge import bound, judge
        from stagebook.approval.people import read

        run = os.path.basename(self.directory)
        question = standing.question or none_yet(run, gate)
        vote = bound(question, self.person, False, None, self.here.plain)
        people = read(standing.gate, standing.folder)
        refusal = judge(standing.gate, people, question, standing.votes, vote, standing.now)
        if refusal is not None:
            audit.append(self.state, audit.of_vote(run, gate, vote, refusal))
            raise InputError(f"refused: {refusal.text}")
        return question

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

        about, more = self.question, {"for": self.person, "link": self.link.id, "expires": self.shown["link_expires"]}
        entry = audit.Entry("link", self.here.by, self.here.plain, about.run, about.gate, about.digest, more=more)
        audit.append(self.state, entry)

    def is_over(self) -> bool:
        """Whether nothing can be answered by it any more."""
        if time.time() >= self.link.expires:
            self.why = "the link has expired"
            return True
        found = os.stat(journal_path(self.directory))
        if self._journal == (found.st_size, found.st_mtime_ns):
            return False
        self._journal = (found.st_size, found.st_mtime_ns)
        standing = self._standing()
        question, now = standing.question, standing.now
        if now.state != "open":
            self.is_decided = now.state == "decided"
            self.why = now.why or now.state
        elif question is None or question.nonce != self.question.nonce:
            self.why = "it was asked anew; make a new link"
        return bool(self.why)

    def _standing(self) -> Standing:
        from stagebook.approval import asked

        return asked.standing(self.directory, self.question.gate, artifacts=False)

    def _document(self) -> dict[str, Any]:
        from stagebook.approval.shown import given

        return {**self.shown, "approvals": given(self._standing().votes)}

    def _decide(self, approved: bool, comment: str | None) -> Answer:
        from stagebook.approval.judge import bound
        from stagebook.approval.server import Answer
        from stagebook.engine import approve

        origin = {**self.here.plain, "link": self.link.id, "made_by": self.here.by}
        vote = bound(self.question, self.person, approved, comment, origin)
        answer = approve.answer(self.directory, self.question.gate, vote)
        self.is_held = answer.held
        return Answer(answer.refusal, answer.decision)

    def _refused(self, refusal: Refusal, where: Mapping[str, Any]) -> None:
        self._audited += 1
        if self._audited <= AUDITED_MAX:
            self._audit(refusal, where)

    def _audit(self, refusal: Refusal, where: Mapping[str, Any]) -> None:
        """Who it was is not known: whoever had the link, or guessed at one."""
        from stagebook.approval import audit

        about, origin = self.question, {"via": "link", "link": self.link.id, **where}
        entry = audit.Entry("refused", None, origin, about.run, about.gate, about.digest, refusal.code, refusal.text)
        audit.append(self.state, entry)

    def close(self) -> None:
        from stagebook.approval.judge import Refusal

        if self._audited > AUDITED_MAX:
            self._audit(Refusal("more", f"{self._audited - AUDITED_MAX} more attempts were refused"), {})


def _announce(args: Namespace, counter: Counter, port: int) -> None:
    from stagebook.approval.server import ADDRESS, PREFIX

    url = f"http://{ADDRESS}:{port}{PREFIX}{counter.token}"
    about = counter.question
    if args.json:
        document = {"run": about.run, "gate": about.gate, "for": counter.person, "url": url, "port": port}
        output.say_json({**document, "expires": counter.shown["link_expires"]})
    elif args.quiet:
        output.say([url])
    else:
        from stagebook.report import gate_link as report

        output.say([*report.announced(counter.shown, output.style_for(sys.stdout, args), time.time()), url])
    output.flush()


def _end(args: Namespace, counter: Counter, used: Answer | None) -> int:
    """What came of it, and the run where it can go on and nobody leads it."""
    from stagebook.report import gate_link as report

    is_decided = used.decision is not None if used is not None else counter.is_decided
    if not args.quiet:
        said = report.ended(
            counter.question.gate, counter.person, used and used.decision, used is not None, counter.why
        )
        output.say([said], sys.stderr)
    if used is not None and is_decided and not counter.is_held:
        if not args.record_only:
            _go_on(args, counter)
        if not args.quiet:
            look = place.from_here(args, os.getcwd(), None, counter.state).get("look", "")
            output.say([f"stagebook run --resume {counter.question.run}{look} goes on with the run"], sys.stderr)
    return OK if used is not None or is_decided else WAITING


def _go_on(args: Namespace, counter: Counter) -> None:
    """Be `run --resume` from here on: threads have been at work in this process, from which no run may be forked."""
    words = ["run", "--resume", counter.question.run, "--dir", counter.state]
    words += [f"--{name}" for name in ("quiet", "verbose", "ascii") if getattr(args, name)]
    if args.color:
        words += ["--color", args.color]
    sys.stdout.flush()
    sys.stderr.flush()
    if args.json:
        os.dup2(2, 1)  # the one document is out
    os.execv(sys.executable, [sys.executable, "-P", "-m", "stagebook", *words])
