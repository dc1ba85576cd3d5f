"""Tokens: what holds, and everything that does not."""

from __future__ import annotations

import json
import os
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagebook.approval.link import KEY_NAME, LIFE_MAX_S, Link, check, key, token
from stagebook.model.problem import SurroundingsError

KEY, OTHER_KEY = b"k" * 64, b"o" * 64
SOON = int(time.time()) + 3600
LINK = Link("01RUN", "ship [ü]", "11" * 16, "digest", "seal", "ann", "22" * 16, SOON)


def code(text: str, expected: Link = LINK, now: float | None = None) -> str | None:
    refusal = check(text, KEY, expected, now)
    return None if refusal is None else refusal.code


def test_a_token_holds_for_its_link_until_it_expires() -> None:
    made = token(LINK, KEY)
    assert code(made) is None
    assert code(made, now=SOON - 1) is None
    assert code(made, now=SOON) == "link-expired"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"run": "01OTHER"}, "other-run"),
        ({"gate": "other"}, "other-run"),
        ({"person": "bob"}, "other-person"),
        ({"id": "33" * 16}, "other-link"),
        ({"nonce": "33" * 16}, "other-link"),
        ({"digest": "edited"}, "other-link"),
        ({"artifacts": "others"}, "other-link"),
        ({"expires": SOON + 1}, "other-link"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_g24_a_token_of_another_link_does_not_hold(changes: dict[str, str], expected: str) -> None:
    assert code(token(LINK._replace(**changes), KEY)) == expected  # type: ignore[arg-type]


@given(st.data())
def test_g24_a_token_that_was_altered_does_not_hold(data: st.DataObject) -> None:
    made = token(LINK, KEY)
    at = data.draw(st.integers(0, len(made) - 1))
    letter = data.draw(st.sampled_from("ABCxyz019-_.é\n "))
    altered = made[:at] + letter + made[at + 1 :]
    # The last letter of base64 has bits that stand for nothing.
    assert altered == made or code(altered) == "forged" or at == len(made) - 1


@given(st.text(max_size=300))
def test_no_text_that_was_not_signed_holds(text: str) -> None:
    assert code(text) == "forged"


def test_g24_a_token_with_another_key_or_none_is_forged() -> None:
    assert code(token(LINK, OTHER_KEY)) == "forged"
    body = urlsafe_b64encode(json.dumps(list(LINK)).encode()).rstrip(b"=").decode()
    assert code(f"{body}.{'A' * 6}.{'A' * 43}") == "forged"
    assert code("A" * 100_000) == "forged"


def test_a_signed_thing_that_is_no_link_is_forged() -> None:
    from stagebook.approval import link

    for thing in ([], {"run": 1}, ["a"] * 8, [*LINK[:-1], "soon"], None, 7):
        assert code(link._serializer(KEY).dumps(thing)) == "forged"


def test_a_token_lives_no_longer_than_any_link_may(monkeypatch: pytest.MonkeyPatch) -> None:
    made = token(LINK._replace(expires=SOON + 10 * LIFE_MAX_S), KEY)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LIFE_MAX_S + 3600)
    assert code(made, LINK._replace(expires=SOON + 10 * LIFE_MAX_S)) == "link-expired"


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    made = key(str(tmp_path))
    path = tmp_path / KEY_NAME
    assert path.stat().st_mode & 0o777 == 0o600
    assert key(str(tmp_path)) == made == path.read_bytes()
    assert os.listdir(tmp_path) == [KEY_NAME]
    path.unlink()
    assert key(str(tmp_path)) != made


def test_a_key_that_others_may_know_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / KEY_NAME
    made = key(str(tmp_path))
    path.chmod(0o640)
    with pytest.raises(SurroundingsError, match="remove it"):
        key(str(tmp_path))
    path.unlink()
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(SurroundingsError, match="remove it"):
        key(str(tmp_path))
    path.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(made)
    elsewhere.chmod(0o600)
    path.symlink_to(elsewhere)
    with pytest.raises(SurroundingsError):
        key(str(tmp_path))
