"""What the commands that read pipeline files may be told beside a file of a CI system, and reading it so."""

from __future__ import annotations

import os

from stagebook.cli.words import usage_error
from stagebook.formats import load as loading
from stagebook.formats.request import NOTHING, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import Any

    from stagebook.formats.native.read import Loaded
    from stagebook.model.pipeline import Pipeline

_PAYLOAD_MAX = 8 << 20


def add_arguments(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("of a CI system's file")
    group.add_argument("--as", metavar="FORMAT", help="native, github or gitlab, whatever it looks like")
    group.add_argument("--event", metavar="EVENT", help="what starts it: push, pull_request, …, or a JSON file of one")
    group.add_argument("--ref", metavar="REF", help="the branch, or a tag as refs/tags/NAME")
    for option, metavar, text in (
        ("--var", "NAME=VALUE", "set a variable of the project"),
        ("--input", "NAME=VALUE", "set an input of the workflow or pipeline"),
        ("--include", "PROJECT=DIR", "where a checkout of what it includes lies"),
    ):
        group.add_argument(option, action="append", default=[], metavar=metavar, help=text)


def load(args: Any, file: str, cache: str | None) -> Pipeline:
    """The pipeline of a file, read as the command says. InputError if it is wrong."""
    return loading.load(file, cache, request(args), _as(args))


def load_plain(args: Any, file: str, cache: str | None) -> Loaded:
    """As `load`, with the pipeline's JSON beside it."""
    return loading.load_plain(file, cache, request(args), _as(args))


def request(args: Any) -> Request:
    """What the command line says of a CI system's file; that of a command without such words says nothing."""
    event, ref = getattr(args, "event", None), getattr(args, "ref", None)
    pairs = {name: _pairs(args, name) for name in ("var", "input", "include")}
    if event is None and ref is None and not any(pairs.values()):
        return NOTHING
    name, payload = _event(event or "")
    includes = {project: os.path.abspath(folder) for project, folder in pairs["include"].items()}
    return Request(name, ref, payload, pairs["var"], pairs["input"], includes)


def format_at(file: str) -> str | None:
    """The format of a file that is there, by its content; None of one that cannot be read or told."""
    if os.path.basename(file) == loading.NATIVE_NAME:
        return "native"
    from stagebook.formats.native.read import bytes_of
    from stagebook.model.problem import InputError

    try:
        return loading.format_of(bytes_of(file, os.path.abspath(file)), os.path.abspath(file))
    except InputError:
        return None


def _as(args: Any) -> str | None:
    word: str | None = getattr(args, "as", None)
    if word is not None and word not in ("native", *loading.FOREIGN):
        raise usage_error(f"--as {word}: no such format; one of native, {', '.join(loading.FOREIGN)}")
    return word


def _pairs(args: Any, name: str) -> dict[str, str]:
    found = {}
    for text in getattr(args, name, ()):
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise usage_error(f"--{name} {text}: expected {'PROJECT=DIR' if name == 'include' else 'NAME=VALUE'}")
        found[key] = value
    return found


def _event(text: str) -> tuple[str, dict[str, Any]]:
    """Its name, and what it tells. A file is named like its event, `push.json`, or says it under `event_name`."""
    if not text.endswith(".json"):
        return text, {}
    import json

    from stagebook.formats.native.read import bytes_of
    from stagebook.model.problem import InputError, Problem

    try:
        payload = json.loads(bytes_of(text, os.path.abspath(text))[:_PAYLOAD_MAX])
        if not isinstance(payload, dict):
            raise ValueError("it is no object")
    except (ValueError, RecursionError) as error:
        said = f"--event {text}: not the JSON of an event: {error}"
        raise InputError(said, [Problem(text, 0, 0, "event", "error", said)]) from None
    named = payload.get("event_name") or payload.get("object_kind")
    return str(named or os.path.basename(text).removesuffix(".json")), payload
