"""Sends one message, in a process of its own that can be ended: by apprise, or by a command of the user's.

A redirect is followed only where it keeps host and method, and a few times: elsewhere a message has not been asked to
go, and by another method its text would be lost. Certificates are always verified. What went wrong comes back as words;
masking them is the caller's business, who knows what is secret.
"""

from __future__ import annotations

import json
import os
import select
import signal
from time import monotonic

from stagebook.model.value import NamedTuple
from stagebook.notify.message import Message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

TIMEOUT_S = 10.0
ANSWER_MAX = 1 << 16
SAID_MAX = 4096  #: bytes of what a command said that are looked at
TEXT_MAX = 300
_KEEPING = (307, 308)
REDIRECTS_MAX = 3  #: that are followed for one message


class To(NamedTuple):
    """Where a message goes: an address, or a command with its folder and environment."""

    address: str = ""
    command: tuple[str, ...] = ()
    folder: str = "/"
    environ: Mapping[str, str] = {}


class Sending:
    """A message under way. `fd` can be read when there is an answer."""

    def __init__(self, to: To, message: Message, timeout_s: float = TIMEOUT_S) -> None:
        """Raises OSError."""
        self.timeout_s = timeout_s
        self.end_s = monotonic() + timeout_s
        self.fd, answer = os.pipe2(os.O_CLOEXEC)
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self.fd)
            raise
        finally:
            if getattr(self, "_pid", 1):
                os.close(answer)
        if not self._pid:
            _be_sent(to, message, answer)
        self._said = b""

    def result(self) -> tuple[str | None] | None:
        """Whether it is over, and if so what went wrong, or None in the tuple where nothing did."""
        over = monotonic() >= self.end_s
        while select.select((self.fd,), (), (), 0)[0]:
            data = os.read(self.fd, ANSWER_MAX)
            self._said += data
            if not data or len(self._said) > ANSWER_MAX:
                return (self._close(),)
        if over:
            self._close()
            return (f"no answer in {self.timeout_s:g} s",)
        return None

    def end(self) -> None:
        """Whatever became of it."""
        self._close()

    def _close(self) -> str | None:
        for pid in (-self._pid, self._pid):
            try:
                os.kill(pid, signal.SIGKILL)  # nothing that it started is left
            except OSError:
                pass
        try:
            os.waitpid(self._pid, 0)
        except ChildProcessError:
            pass
        os.close(self.fd)
        try:
            error = json.loads(self._said)["error"]
        except (ValueError, KeyError, TypeError):
            return "the process that sends it broke off"
        return None if error is None else str(error)


def prepare() -> None:
    """What each process that sends would have to import for itself."""
    import apprise

    apprise.Apprise.instantiate("json://localhost")  # loads the plugins


def _be_sent(to: To, message: Message, answer: int) -> None:
    """In the process that sends; does not return."""
    try:
        os.setsid()
        from stagebook.engine import kernel

        kernel.end_with_parent()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        try:
            error = by_command(to, message) if to.command else by_apprise(to.address, message)
        except Exception as trouble:  # whatever a plugin does is a message that did not arrive
            error = f"{type(trouble).__name__}: {trouble}"
        os.write(answer, json.dumps({"error": error and error[:TEXT_MAX]}).encode())
    finally:
        os._exit(0)


def by_command(to: To, message: Message) -> str | None:
    """Run a command with the message as JSON on its standard input; what went wrong, if anything."""
    import subprocess

    try:
        process = subprocess.Popen(
            to.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=to.folder,
            env=dict(to.environ),
        )  # fmt: skip
    except OSError as error:
        return f"cannot start {to.command[0]}: {error.strerror}"
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(message.facts).encode() + b"\n")
        process.stdin.close()
    except BrokenPipeError:
        pass  # it does not want to know
    said = b""
    while data := os.read(process.stdout.fileno(), SAID_MAX):
        said = (said + data)[-SAID_MAX:]
    code = process.wait()
    if code == 0:
        return None
    lines = said.decode("utf-8", "replace").strip().splitlines()
    how = f"exit {code}" if code > 0 else f"signal {-code}"
    return f"{how}: {lines[-1]}" if lines else how


def by_apprise(address: str, message: Message) -> str | None:
    """Send to an address; what went wrong, if anything. Changes `requests` for the whole process."""
    import apprise

    capture: Any = apprise.LogCapture
    asset = apprise.AppriseAsset(async_mode=False, app_id="Stagebook", app_desc="Stagebook", app_url="")
    plugin = apprise.Apprise.instantiate(address, asset=asset, suppress_exceptions=True)
    if plugin is None:
        return "apprise knows no such address; one of your own for JSON over HTTP begins with json:// or jsons://"
    if not getattr(plugin, "verify_certificate", True):
        return "verify=no: whom a message goes to is always verified; take it out of the address"
    seen = _Seen()
    everybody = apprise.Apprise(asset=asset)
    everybody.add(plugin)
    with capture(level=10, fmt="%(levelname)s %(message)s") as log:
        is_sent = everybody.notify(
            title=message.title, body=message.body, notify_type=message.type, body_format="text"
        )  # fmt: skip
        logged = log.getvalue()
    if is_sent:
        return None
    return seen.trouble or _trouble_in(logged) or "it was not accepted"


class _Seen:
    """What answers came, and which redirects were asked for."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        self.followed: list[Any] = []
        import requests

        kind: Any = requests.Session
        send, redirect = kind.send, kind.get_redirect_target

        def sent(session: Any, request: Any, **options: Any) -> Any:
            try:
                answer = send(session, request, **options)
            except requests.exceptions.RequestException as error:
                self.trouble = self.trouble if isinstance(error, _Elsewhere) else _why(error)
                raise
            if answer.status_code >= 300:
                self.trouble = f"it answered {answer.status_code} {answer.reason or ''}".rstrip()
            return answer

        class _Elsewhere(requests.exceptions.RequestException):
            pass

        def kept(session: Any, answer: Any) -> str | None:
            to: str | None = redirect(session, answer)
            if to is None:
                return None
            self.trouble = f"it answered {answer.status_code}, and redirects elsewhere, which is not followed"
            if answer.status_code in _KEEPING and _is_same_host(answer.url, to):
                if not any(each is answer for each in self.followed):  # one answer is looked at several times
                    self.followed.append(answer)
                if len(self.followed) <= REDIRECTS_MAX:
                    return to
                self.trouble = f"it redirects more than {REDIRECTS_MAX} times"
            raise _Elsewhere(self.trouble)

        kind.send, kind.get_redirect_target = sent, kept


def _is_same_host(one: str, other: str) -> bool:
    from urllib.parse import urljoin, urlsplit

    here, there = urlsplit(one), urlsplit(urljoin(one, other))
    is_safe = there.scheme == here.scheme or (here.scheme, there.scheme) == ("http", "https")
    is_port = here.port == there.port or here.scheme != there.scheme
    return is_safe and is_port and here.hostname == there.hostname


def _why(error: BaseException) -> str:
    """A failed request in words that name no address."""
    import requests

    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not valid here"
    cause: BaseException | None = error
    for _ in range(12):
        if cause is None:
            break
        if isinstance(cause, OSError) and cause.errno and not isinstance(cause, requests.exceptions.RequestException):
            return str(cause.strerror or os.strerror(cause.errno)).lower() if cause.errno > 0 else "host not found"
        cause = _below(cause)
    return "the connection broke off"


def _below(error: BaseException) -> BaseException | None:
    for one in (*error.args, getattr(error, "reason", None), error.__cause__, error.__context__):
        if isinstance(one, BaseException):
            return one
    return None


def _trouble_in(logged: str) -> str | None:
    """What a plugin has complained of, the cause before what it led to."""
    lines = [line.partition(" ")[::2] for line in logged.splitlines()]
    for level, text in reversed(lines):
        if level == "DEBUG" and "xception: " in text:
            return str(text).partition("xception: ")[2]
    said = [str(text) for level, text in lines if level in ("WARNING", "ERROR") and text]
    return said[-1] if said else None
