"""JSON from a server's API, page by page: with the user's token, at the pace that the server asks for, and again where
an answer was broken. What the pages mean is not known here.

The token goes to the server that the user has named and to no other one: a redirect or a next page that leads elsewhere
is refused. It stands in no error, since headers stand in none.
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from urllib.parse import urlencode, urljoin, urlsplit

from stagebook import __version__
from stagebook.model.problem import InputError, SurroundingsError
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from email.message import Message
    from typing import IO, Any, Callable, Iterator, Mapping, Sequence

TIMEOUT_S = 30.0  #: without a byte
ANSWER_S = 120.0  #: for a whole answer
TRIES = 5
FIRST_WAIT_S = 0.5  #: before an answer that was broken is asked for again; doubled each time
LIMITED_S = 60.0  #: where a server says that a limit is reached, and not until when
WAIT_MAX_S = 900.0  #: a longer wait is left to the user
PAGE_MAX = 64 << 20
_CHUNK = 1 << 16
_TOKEN_MIN = 8  #: so that the word `Bearer` is none
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel="?next"?', re.IGNORECASE)
_LOCAL = ("localhost", "127.0.0.1", "::1")


class Broken(Exception):
    """An answer that may be whole the next time."""


class Denied(InputError):
    """The server knows what was asked for and does not give it, or does not know it. `status` is that of HTTP."""

    status = 0


class Page(NamedTuple):
    value: Any
    next: str | None


class Client:
    """`headers` hold the token. `say` is told of each wait."""

    def __init__(
        self, base: str, headers: Mapping[str, str], say: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self.base = _checked(base, bool(headers))
        self.asked = 0  #: requests so far
        self._headers = {"Accept": "application/json", "User-Agent": f"stagebook/{__version__}", **headers}
        self._tokens = [word for text in headers.values() for word in text.split() if len(word) >= _TOKEN_MIN]
        self._say, self._sleep = say, sleep
        self._not_before = 0.0
        self._open = urllib.request.build_opener(_SameServer(self.base, self._tokens)).open

    def about(self, headers: Mapping[str, str]) -> None:
        """Further headers, that are no secret."""
        self._headers.update(headers)

    def get(self, path: str, **query: Any) -> Page:
        """One page. Raises Denied, SurroundingsError."""
        words = urlencode({name: value for name, value in query.items() if value is not None})
        return self._page(f"{self.base}{path}" + (f"?{words}" if words else ""))

    def pages(self, path: str, **query: Any) -> Iterator[Any]:
        """The values of all pages, each asked for when the one before has been taken."""
        page = self.get(path, **query)
        yield page.value
        seen: set[str] = set()
        while page.next is not None and page.next not in seen:
            seen.add(page.next)
            page = self._page(page.next)
            yield page.value

    def _page(self, url: str) -> Page:
        wait_s = FIRST_WAIT_S
        for number in range(1, TRIES + 1):
            self._hold_back()
            try:
                return self._asked(url)
            except _Limited as limited:
                if number == TRIES:
                    raise SurroundingsError(f"{_place(url)}: the server's limit is still reached; {_LATER}") from None
                self._wait(limited.wait_s * (1 if limited.is_said else 2 ** (number - 1)), "its limit is reached")
            except Broken as error:
                if number == TRIES:
                    raise SurroundingsError(f"{_place(url)}: {error}, {TRIES} times; {_LATER}") from None
                self._wait(wait_s, str(error))
                wait_s *= 2
        raise AssertionError

    def _asked(self, url: str) -> Page:
        request = urllib.request.Request(url, headers=dict(self._headers))
        self.asked += 1
        try:
            with self._open(request, timeout=TIMEOUT_S) as answer:
                data = _read(answer)
                headers = answer.headers
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(url, error, self._tokens) from None
        except urllib.error.URLError as error:
            raise Broken(f"no answer: {_reason(error.reason)}") from None
        except (http.client.HTTPException, OSError) as error:
            raise Broken(f"no whole answer: {_reason(error)}") from None
        except ValueError:
            raise SurroundingsError(f"{_place(url)}: it leads on to what is no address") from None
        self._note_limit(headers)
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            raise Broken("the answer is no whole JSON") from None
        return Page(value, self._next(url, headers))

    def _next(self, url: str, headers: Message) -> str | None:
        found = _NEXT.search(headers.get("Link") or "")
        if found:
            try:
                following = str(urljoin(url, found[1]))
            except ValueError:
                raise SurroundingsError(f"{_place(url)}: its next page is no address") from None
        elif headers.get("X-Next-Page", "").strip().isdigit():
            number = headers["X-Next-Page"].strip()
            bare: str = re.sub(r"(?<=[?&])page=[0-9]*&?", "", url).rstrip("?&")
            following = f"{bare}{'&' if '?' in bare else '?'}page={number}"
        else:
            return None
        if _origin(following) != _origin(self.base):
            where = _masked(_place(following), self._tokens)
            raise SurroundingsError(f"{_place(url)}: its next page lies on another server, {where}")
        return following

    # Pace -------------------------------------------------------------------------------------------------------

    def _note_limit(self, headers: Message) -> None:
        """Nothing is left until the limit begins anew: the next request waits for that."""
        if _number(headers, "X-RateLimit-Remaining", "RateLimit-Remaining") == 0:
            reset = _number(headers, "X-RateLimit-Reset", "RateLimit-Reset")
            if reset is not None:
                self._not_before = reset

    def _hold_back(self) -> None:
        left_s = self._not_before - time.time()
        if left_s > 0:
            self._wait(left_s + 1, "its limit is reached")
        self._not_before = 0.0

    def _wait(self, seconds: float, why: str) -> None:
        if seconds > WAIT_MAX_S:
            when = time.strftime("%H:%M", time.localtime(time.time() + seconds))
            raise SurroundingsError(f"{_place(self.base)}: {why} until {when}; {_LATER}")
        if seconds > 0:
            self._say(f"{_place(self.base)}: {why}; waits {seconds:.3g} s")
            self._sleep(seconds)


_LATER = "what came so far is kept: the same command goes on from there"


class _Limited(Exception):
    def __init__(self, wait_s: float, is_said: bool) -> None:
        super().__init__()
        self.wait_s, self.is_said = wait_s, is_said


class _SameServer(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to where it came from."""

    def __init__(self, base: str, tokens: Sequence[str]) -> None:
        self._origin, self._tokens = _origin(base), tokens

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:  # fmt: skip
        if _origin(newurl) != self._origin:
            where = _masked(_place(newurl), self._tokens)
            raise SurroundingsError(
                f"{_place(req.full_url)}: it leads on to another server, {where}, which is not asked"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any) -> Any:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except BaseException:
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _read(answer: Any) -> bytes:
    """The whole body. Raises Broken where it takes too long, is too long, or ends too early."""
    parts: list[bytes] = []
    size = 0
    until = time.monotonic() + ANSWER_S
    while True:
        part = answer.read1(_CHUNK)
        if not part:
            break
        parts.append(part)
        size += len(part)
        if size > PAGE_MAX:
            raise SurroundingsError(f"an answer of more than {PAGE_MAX >> 20} MiB is no page of an API")
        if time.monotonic() > until:
            raise Broken(f"the answer took more than {ANSWER_S:g} s")
    length = answer.headers.get("Content-Length", "")
    if length.isdigit() and size < int(length):
        raise Broken("the answer was cut off")
    return b"".join(parts)


def _refusal(url: str, error: urllib.error.HTTPError, tokens: Sequence[str] = ()) -> Exception:
    """What an answer that is no success means: a wait, another try, or an end. `tokens`: what must not be said."""
    status = error.code
    try:
        body = error.read(4096).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        body = ""
    said = _message(body, tokens)
    after = _after(error.headers)
    if status in (403, 429):
        if after is not None:
            return _Limited(after, True)
        if _number(error.headers, "X-RateLimit-Remaining", "RateLimit-Remaining") == 0:
            reset = _number(error.headers, "X-RateLimit-Reset", "RateLimit-Reset")
            if reset is not None:
                return _Limited(max(0.0, reset - time.time()) + 1, True)
        if status == 429 or "rate limit" in said.lower() or "abuse" in said.lower():
            return _Limited(LIMITED_S, False)
    if status >= 500 or status == 408:
        return _Limited(after, True) if after is not None and status == 503 else Broken(f"the server says {status}")
    hints = {
        401: "the token is missing or not accepted",
        403: "the token may not read this",
        404: "there is no such thing, or the token may not see it",
    }
    denied = Denied(f"{_place(url)}: {status}, {hints.get(status, said or 'the server refuses')}")
    denied.status = status
    return denied


def _message(body: str, tokens: Sequence[str]) -> str:
    """What the server says, on one line and without the user's token, which it may have sent back."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    text = (value.get("message") or value.get("error")) if isinstance(value, dict) else None
    if not isinstance(text, str):
        return ""
    return " ".join("".join(each if each.isprintable() else " " for each in _masked(text, tokens)).split())[:200]


def _masked(text: str, tokens: Sequence[str]) -> str:
    for token in tokens:
        text = text.replace(token, "***")
    return text


def _after(headers: Message) -> float | None:
    """What `Retry-After` asks for: seconds, or a date."""
    text = headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text[:9])
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time()) if text else None
    except (ValueError, OverflowError, TypeError):
        return None


def _number(headers: Message, *names: str) -> int | None:
    for name in names:
        text = headers.get(name, "").strip()
        if text.isdigit() and len(text) < 12:
            return int(text)
    return None


def _checked(base: str, has_token: bool) -> str:
    """Without its last slash. InputError for what is no address, holds a password, or would tell a token to all."""
    try:
        parts = urlsplit(base)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host or not base.isascii() or not base.isprintable() or " " in base:
        raise InputError("--base-url is no address such as https://gitlab.example.org")
    if parts.username is not None or parts.password is not None:
        raise InputError("--base-url holds a name or a password; give the token in the environment")
    if parts.query or parts.fragment:
        raise InputError("--base-url goes on after its path; leave out what follows `?` or `#`")
    if parts.scheme == "http" and has_token and host not in _LOCAL:
        raise InputError(f"--base-url {parts.scheme}://{host}: the token would go there unencrypted; use https")
    return base.rstrip("/")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", None, None


def _place(url: str) -> str:
    """An address as it may be said: without what follows its path."""
    try:
        parts = urlsplit(url)
        text = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
    except ValueError:
        return "no address"
    return "".join(each if each.isprintable() else "?" for each in text)[:500]


def _reason(error: object) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it took too long" if isinstance(error, TimeoutError) else type(error).__name__
