"""What looks like a credential is taken out of what people send; what does not stays as it is."""

from __future__ import annotations

import time

import pytest

from stagebook.cli import redaction


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("  DB_PASSWORD: hunter2", '  DB_PASSWORD: "[removed]"'),
        ('  "api-key": "a b"', '  "api-key": "[removed]"'),
        ("env: {AUTH_TOKEN: x1, LANG: C}", 'env: {AUTH_TOKEN: "[removed]", LANG: C}'),
        ("run: MY_SECRET=abc make", 'run: MY_SECRET="[removed]" make'),
        ("run: curl -u me:$PASSWORD https://x", "run: curl -u me:$PASSWORD https://x"),
        ("url: https://me:pa55@host/x", "url: https://me:[removed]@host/x"),
        ("key: ghp_abcdefghijklmnopqrstuv0123", "key: [removed]"),
        ("secrets: [API_TOKEN]", "secrets: [API_TOKEN]"),
        ("secrets:\n  - API_TOKEN", "secrets:\n  - API_TOKEN"),
        ("- {name: API_TOKEN, file: key.txt}", "- {name: API_TOKEN, file: key.txt}"),
        ("env: {API_TOKEN: {from: 'stages.a.outputs.b'}}", "env: {API_TOKEN: {from: 'stages.a.outputs.b'}}"),
        ("  SSH_KEY: |\n    line one\n\n    line two\n  LANG: C", "  SSH_KEY: |\n    [removed]\n  LANG: C"),
        ("author: me\nrun: pytest -k monkey=1", "author: me\nrun: pytest -k monkey=1"),
        ("  api-token: {default: x1, choices: [a]}", '  api-token: {default: "[removed]", choices: [a]}'),
        ("a-token:\n  default: x1\nb:\n  default: x", 'a-token:\n  default: "[removed]"\nb:\n  default: x'),
        ("Authorization: abc", 'Authorization: "[removed]"'),
    ],
)  # fmt: skip
def test_values_beside_names_of_credentials_go(text: str, left: str) -> None:
    assert redaction.source(text) == left


def test_a_private_key_in_a_log_goes() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----"
    assert redaction.shapes(f"before\n{key}\nafter") == "before\n[removed]\nafter"
    assert redaction.shapes("-----BEGIN PRIVATE KEY-----\ncut off") == "[removed]"


def test_variables_and_parameters_of_a_journal_go_by_their_names() -> None:
    record = {
        "event": "run.started", "stages": 2, "params": {"token": "x", "channel": "beta"},
        "choice": {"params": [["token", "x"], ["channel", "beta"]], "seed": 1},
        "plan": {
            "env": {"DB_PASSWORD": "x", "LANG": "C"},
            "params": {"token": {"default": "x"}, "channel": {"default": "beta"}},
            "stages": [{"id": "secret", "command": "PASSWORD=x make", "env": {"API_KEY": "x"}}],
        },
    }  # fmt: skip
    assert redaction.value(record) == {
        "event": "run.started", "stages": 2, "params": {"token": "[removed]", "channel": "beta"},
        "choice": {"params": [["token", "[removed]"], ["channel", "beta"]], "seed": 1},
        "plan": {
            "env": {"DB_PASSWORD": "[removed]", "LANG": "C"},
            "params": {"token": {"default": "[removed]"}, "channel": {"default": "beta"}},
            "stages": [{"id": "secret", "command": 'PASSWORD="[removed]" make', "env": {"API_KEY": "[removed]"}}],
        },
    }  # fmt: skip


def test_hostile_text_takes_linear_time() -> None:
    begun = time.process_time()
    for text in ("token" * 200_000, "://" + "a" * 1_000_000, "-----BEGIN PRIVATE KEY-----" * 20_000, "a=" * 300_000):
        redaction.source(text)
    assert time.process_time() - begun < 10  # about a tenth of it here; squares of these lengths take hours
