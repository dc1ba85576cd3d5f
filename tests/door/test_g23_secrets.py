"""G23: a secret reaches the stages that list it, by their environment, and stands nowhere else in any form."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tarfile
import uuid
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from tests.door import waiting
from tests.door.place import Place, by_stage, note, noted

TOKEN = "t0ken/+&'\"$x é-7f3a9b"
KEY = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEA7x9Zq\n dGhpcyBpcyBub3Qga2V5 \n-----END KEY-----"
HOLD = 'while [ ! -e "$BASE/go" ]; do sleep 0.02; done'

#: What a stage may print, by programs that quote in their own ways.
PRINTS = r"""
import base64, html, json, os, sys, time, urllib.parse
for name in ("TOKEN", "KEY"):
    value = os.environ[name]
    raw = value.encode()
    print(value)
    for line in value.splitlines():
        print("line:", line.strip())
    for before in (b"", b"x", b"xy"):
        print(base64.b64encode(before + raw + b"!").decode())
        print(base64.urlsafe_b64encode(before + raw).decode())
        print(base64.encodebytes(b"user of the service: " + before + raw + raw).decode())
    print(urllib.parse.quote(value), urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value))
    print(json.dumps({"a": value}), json.dumps(value, ensure_ascii=False), json.dumps(json.dumps([value])))
    print(html.escape(value), repr(value))
    sys.stdout.flush()
    for byte in raw:
        os.write(1, bytes([byte]))
        time.sleep(0.001)
    print()
print(dict(os.environ))
"""


def needles() -> list[bytes]:
    """Parts of the forms that no form may leave behind: nothing of it, masked or not, may be found anywhere."""
    found = []
    for value in (TOKEN, *[line.strip() for line in KEY.split("\n")]):
        raw = value.encode()
        found += [raw, raw[:12], raw[-12:], json.dumps(value)[1:-1].encode(), quote(value, safe="").encode()]
        found.append(quote_plus(value).encode())
    for raw in (TOKEN.encode(), KEY.encode()):
        for before in range(3):
            text = base64.b64encode(bytes(before) + raw)[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
            found += [text[at : at + 16] for at in range(0, len(text) - 16, 8)]
    return found


def assert_clean(data: bytes, where: str) -> None:
    without_breaks = data.replace(b"\n", b"").replace(b"\\n", b"")
    for needle in needles():
        assert needle not in data, f"{needle!r} in {where}"
        assert needle not in without_breaks, f"{needle!r} in {where}"


def assert_nothing_below(folder: Path) -> None:
    for path in folder.rglob("*"):
        assert_clean(os.fsencode(path.name), str(path))
        if path.is_file():
            assert_clean(path.read_bytes(), str(path))


@pytest.fixture
def leaky(place: Place) -> Place:
    """A pipeline whose stages say all that they know."""
    place.env.update(TOKEN=TOKEN, KEY=KEY)
    (place.folder / "prints.py").write_text(PRINTS)
    secrets = ["TOKEN", "KEY"]
    place.pipeline(
        {
            "prints": {"run": "python3 prints.py", "secrets": secrets},
            "traced": {"run": 'set -x; env; X="$TOKEN"; : "$KEY" "a $TOKEN b"; crash"$TOKEN"', "secrets": secrets},
            "crashes": {"run": 'echo "$KEY"; kill -SEGV $$', "secrets": ["KEY"], "log-limit": "1KiB"},
            "says": {"run": 'printf "token=%s\\n$TOKEN\\n" "$TOKEN" >> "$STAGEBOOK_OUTPUT"', "secrets": secrets},
            "leaves": {
                "run": 'sh -c \'while :; do sleep 1; done\' "$TOKEN" & echo', "secrets": ["TOKEN"], "needs": "says",
            },
            "hears": {"run": 'echo "$HEARD"', "env": {"HEARD": {"from": 'stages["says"].outputs.token'}}},
            "asks": {"run": "true", "needs": "says", "when": "stages['says'].outputs.token == 'x' || params.p == 'x'"},
            "makes": {"run": 'echo "$TOKEN" > made.bin', "secrets": secrets, "outputs": ["made.bin"]},
            "breaks": {
                "run": "printf '<testsuite>%s</testsuite>' \"$TOKEN\" > r.xml; echo \"$TOKEN\" > half; exit 1",
                "secrets": secrets, "outputs": ["r.xml", "half"],
            },
            "missing": {"cmd": [{"from": 'stages["says"].outputs.token'}, "x"]},
        },
        secrets=secrets,
        params={"p": {"default": "x"}},
    )  # fmt: skip
    return place


@pytest.mark.parametrize("output", ["group", "interleave"])
def test_g23_no_form_of_a_secret_is_anywhere(leaky: Place, output: str) -> None:
    done = leaky.run("run", "--output", output)
    assert done.code == 4, done
    assert_clean(done.said.encode(), "what run said")
    assert_nothing_below(leaky.folder / ".stagebook")
    assert "***" in done.said
    answers = [
        ("show", "last"), ("show", "last", "--json"), ("logs", "last"), ("logs", "last", "--merge"),
        ("logs", "last", "--json"), ("runs", "--json"), ("timeline", "last"),
        *[("timeline", "last", "--format", form) for form in ("svg", "perfetto", "mermaid", "markdown", "csv", "json")],
    ]  # fmt: skip
    for words in answers:
        said = leaky.run(*words)
        assert_clean(said.said.encode(), " ".join(words))
    again = leaky.run("run", "--json")
    assert_clean(again.said.encode(), "run --json")
    assert_nothing_below(leaky.folder / ".stagebook")


def test_g23_a_bundle_holds_no_secret(leaky: Place) -> None:
    leaky.run("run", "--quiet")
    done = leaky.run("bundle", "last", "-o", "bug.tar.gz")
    assert done.code == 0, done
    assert_clean(done.said.encode(), "what bundle said")
    with tarfile.open(leaky.folder / "bug.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            assert_clean(file.read(), member.name)


def test_g23_every_file_of_a_run_is_for_its_owner_only(leaky: Place) -> None:
    os.umask(0o022)
    leaky.run("run", "--quiet")
    for path in leaky.runs_folder.rglob("*"):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o077 == 0, path
    assert (leaky.folder / ".stagebook").stat().st_mode & 0o077 == 0


#: Puts the secret into a file, which stages that do not list it print, report, publish and leave behind.
PASSED_ON = {
    "fetch": {"run": 'echo "$TOK" > conf', "secrets": ["TOK"]},
    "use": {"run": "cat conf; exit 1", "needs": "fetch"},
    "says": {"run": 'echo "token=$(cat conf)" >> "$STAGEBOOK_OUTPUT"', "needs": "fetch"},
    "hears": {"run": 'echo "<$HEARD>"', "env": {"HEARD": {"from": "stages.says.outputs.token"}}},
    "reports": {
        "run": "printf '<testsuite><testcase name=\"t %s\"><failure message=\"%s\"/><system-out>%s</system-out>"
        "</testcase></testsuite>' $(cat conf conf conf) > r.xml; base64 < conf > coded; cat conf > out.txt; "
        "echo plain > plain.txt", "needs": "fetch", "outputs": ["r.xml", "out.txt", "coded", "plain.txt"],
    },
    "leaves": {"run": "cp conf left.txt; cp r.xml failed.xml; exit 1", "needs": "reports",
               "outputs": ["left.txt", "failed.xml"]},
    "suite": {
        "split": {
            "list": "seq 2", "shards": 2, "report": "all.xml",
            "run": "cat conf; printf '<testsuite><testcase name=\"%s\"><system-out>%s</system-out></testcase>"
            "</testsuite>' $(cat $STAGEBOOK_SPLIT conf) > all.xml",
        },
        "needs": "fetch",
    },
}  # fmt: skip


@pytest.mark.parametrize("output", ["group", "interleave"])
def test_g23_a_secret_that_stages_pass_on_by_file_is_nowhere(place: Place, output: str) -> None:
    token = place.env["TOK"] = "s3cret-value-7f3a9b"
    place.pipeline(PASSED_ON, secrets=["TOK"])
    found = (token.encode(), *(base64.b64encode(token.encode())[at : at + 16] for at in range(0, 8)))

    def look(data: bytes, where: str) -> None:
        for needle in found:
            assert needle not in data, f"{needle!r} in {where}"

    done = place.run("run", "--output", output)
    assert done.code == 1, done
    look(done.said.encode(), "what run said")
    assert "***" in done.said
    exports = [
        ("history", "export", "--table", table, "--format", form, "-o", f"export.{table}.{form}")
        for table in ("runs", "stages", "attempts", "tests") for form in ("csv", "json", "parquet")
    ]  # fmt: skip
    timelines = [
        ("timeline", "last", "--format", form, "-o", f"export.timeline.{form}")
        for form in (
            "text", "html", "svg", "perfetto", "mermaid", "markdown", "csv", "junit", "otlp", "json",
        )
    ]  # fmt: skip
    if output == "interleave":
        exports, timelines = [], timelines[:1]  # what is on record does not depend on what a run has shown
    for words in [
        ("show", "last"), ("show", "last", "--json"), ("logs", "last"), ("logs", "last", "--json"),
        ("runs", "--json"), ("flaky", "--json"), ("bundle", "last", "-o", "export.a.tar.gz"), *exports, *timelines,
    ]:  # fmt: skip
        said = place.run(*words)
        assert said.code == 0, (words, said)
        look(said.said.encode(), " ".join(words))
    bare = place.run("bundle", "last", "-o", "export.b.tar.gz", env={"TOK": ""})
    assert bare.code == 0, bare
    for path in place.folder.glob("export.*"):
        if path.suffix == ".gz":
            with tarfile.open(path) as archive:
                for member in archive:
                    file = archive.extractfile(member)
                    assert file is not None
                    look(file.read(), f"{path.name}: {member.name}")
        look(path.read_bytes(), path.name)
    assert len(list(place.folder.glob("export.*"))) == len(exports) + len(timelines) + 2
    state = place.folder / ".stagebook"
    for path in state.rglob("*"):
        if path.is_file():
            look(path.read_bytes(), str(path))
    (kept,) = [path.read_text() for path in state.glob("cache/objects/??/*") if len(path.name) == 62]
    assert kept == "plain\n"
    assert next(state.glob("runs/*/set-aside/leaves/1/left.txt")).read_text() == "***\n"
    assert len(list(state.glob("runs/*/reports/*.xml"))) == 4
    assert place.run("logs", "last", "hears").out == "<***>\n"
    assert token in (place.folder / "r.xml").read_text() and not (place.folder / "left.txt").exists()
    assert (place.folder / "all.xml").read_text().count("***") == 2, "it is made of the copies"


@pytest.mark.parametrize("token", [None, "s3cret-value-7f3a9b"])
def test_output_goes_straight_into_its_log_unless_there_is_something_to_hide(place: Place, token: str | None) -> None:
    if token is not None:
        place.env["TOK"] = token
    place.pipeline({"a": "readlink /proc/self/fd/1", "b": {"run": "true", "secrets": ["TOK"]}}, secrets=["TOK"])
    assert place.run("run", "--only", "a").code == 0
    assert place.run("logs", "last", "a").out.startswith("/" if token is None else "pipe:")


def test_g23_no_secret_is_on_a_command_line_of_ours(place: Place) -> None:
    token = uuid.uuid4().hex  # other tests may run beside, and have theirs on command lines
    place.env["TOKEN"] = token
    work = f'{note("begin")}\n{HOLD}\necho "$TOKEN" > made.txt; echo "x=$TOKEN" >> "$STAGEBOOK_OUTPUT"'
    place.pipeline(
        {
            "a": {"run": work, "secrets": ["TOKEN"]},
            "b": {"run": "cat made.txt; cp made.txt more.txt", "needs": "a", "outputs": ["more.txt"]},
            "c": {"cmd": ["echo", {"from": "stages.a.outputs.x"}], "needs": "b"},
        },
        secrets=["TOKEN"],
    )
    command = place.start("run")
    place.wait_for("a")
    seen: set[bytes] = set()
    while command.process.poll() is None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                seen.add(path.read_bytes())
        (place.base / "go").touch()
    assert command.wait().code == 0
    assert any(b"made.txt" in line for line in seen), "it was looked while the stages ran"
    assert not [line for line in seen if token.encode() in line]


def test_g23_only_who_lists_a_secret_is_given_it(place: Place) -> None:
    place.env.update(TOKEN="t0ken-7f3a9b", OTHER="other-123456")
    (place.folder / "key.txt").write_text("from a file\n")
    check = '[ "${TOKEN-unset}:${OTHER-unset}:${KEY-unset}" = '
    place.pipeline(
        {
            "none": f'{check} "unset:unset:unset" ]',
            "one": {"run": f'{check} "t0ken-7f3a9b:unset:unset" ]', "secrets": ["TOKEN"]},
            "two": {"cmd": ["sh", "-c", f'{check} "unset:other-123456:from a file" ]'], "secrets": ["KEY", "OTHER"]},
        },
        secrets=["TOKEN", "OTHER", {"name": "KEY", "file": "key.txt"}],
    )
    done = place.run("run")
    assert done.code == 2, "the value of TOKEN stands in the file"
    assert all(b"t0ken" not in path.read_bytes() for path in place.folder.rglob(".stagebook/**/*") if path.is_file())
    assert "stagebook.yaml:" in done.err and "TOKEN" in done.err and "t0ken" not in done.err and "***" in done.err
    place.pipeline(
        {
            "none": f'{check} "unset:unset:unset" ]',
            "one": {"run": f'{check} "$(cat "$BASE/t"):unset:unset" ]', "secrets": ["TOKEN"]},
            "two": {
                "cmd": ["sh", "-c", f'{check} "unset:$(cat "$BASE/o"):$(cat key.txt)" ]'], "secrets": ["KEY", "OTHER"],
            },
        },
        secrets=["TOKEN", "OTHER", {"name": "KEY", "file": "key.txt"}],
    )  # fmt: skip
    (place.base / "t").write_text("t0ken-7f3a9b")
    (place.base / "o").write_text("other-123456")
    assert place.run("run").code == 0


def test_a_missing_secret_is_told_before_anything_starts(place: Place) -> None:
    place.pipeline(
        {"a": noted(), "deploy": {"run": noted(), "secrets": ["TOKEN", "KEY"]}},
        secrets=["TOKEN", {"name": "KEY", "file": "no.txt"}],
    )
    for value in (None, ""):
        done = place.run("run", env={} if value is None else {"TOKEN": value})
        assert done.code == 4, done
        assert "deploy" in done.err and "TOKEN" in done.err and "no.txt" in done.err
        assert place.ledger() == [] and place.run_ids() == []
    done = place.run("run", "--only", "a")
    assert done.code == 0
    assert "TOKEN" in done.err
    assert place.run("run", "--only", "a", "--quiet").err == ""


@pytest.mark.parametrize("kind", ["directory", "fifo", "large", "nul"])
def test_a_file_that_cannot_be_a_secret_is_told(place: Place, kind: str) -> None:
    path = place.folder / "key"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes(b"x" * 65_537 if kind == "large" else b"a\0b")
    place.pipeline({"a": {"run": noted(), "secrets": ["KEY"]}}, secrets=[{"name": "KEY", "file": "key"}])
    done = place.run("run")
    assert done.code == 4 and "stagebook.yaml:" in done.err, done
    assert place.ledger() == []


def test_a_parameter_that_holds_a_secret_is_refused(place: Place) -> None:
    place.env["TOKEN"] = "t0ken-7f3a9b"
    place.pipeline({"a": {"run": noted(), "secrets": ["TOKEN"]}}, secrets=["TOKEN"], params={"url": {"default": "x"}})
    done = place.run("run", "--param", "url=https://u:t0ken-7f3a9b@host")
    assert done.code == 2 and "TOKEN" in done.err and "t0ken" not in done.err, done
    assert place.run("run", "--param", "url=https://host").code == 0


def test_a_short_secret_is_masked_and_warned_of(place: Place) -> None:
    place.env["PIN"] = "q7"
    place.pipeline({"a": {"run": 'echo "<$PIN>"', "secrets": ["PIN"]}}, secrets=["PIN"])
    done = place.run("run", "--json")
    assert done.code == 0
    assert any("PIN" in warning for warning in done.json["warnings"])
    assert place.run("logs", "last", "a").out == "<***>\n"


def test_a_prompt_is_shown_while_it_waits(place: Place) -> None:
    place.env["TOKEN"] = "t0ken-7f3a9b"
    place.pipeline({"a": {"run": f"printf 'Continue? '; {HOLD}", "secrets": ["TOKEN"]}}, secrets=["TOKEN"])
    command = place.start("run")
    log = waiting.until(lambda: [*place.runs_folder.glob("*/logs/a.1.log")], "the log")[0]
    waiting.until(lambda: log.read_text() == "Continue? ", "the prompt")
    (place.base / "go").touch()
    assert command.wait().code == 0


def test_a_killed_run_is_masked_when_it_goes_on(place: Place) -> None:
    place.env["TOKEN"] = "t0ken-7f3a9b"
    place.pipeline(
        {
            "says": {
                "run": f'echo "token=$TOKEN" >> "$STAGEBOOK_OUTPUT"; echo "log $TOKEN"; {note("begin")}\n{HOLD}',
                "secrets": ["TOKEN"],
            },
            "hears": {"run": 'echo "$X"', "env": {"X": {"from": 'stages["says"].outputs.token'}}},
        },
        secrets=["TOKEN"],
    )  # fmt: skip
    command = place.start("run")
    place.wait_for("says")
    command.kill()
    (place.base / "go").touch()
    refused = place.run("run", "--resume", env={"TOKEN": ""})
    assert refused.code == 4 and "TOKEN" in refused.err
    assert place.run("run", "--resume").code == 0
    assert by_stage(place.show())["says"]["outcome"] == "success"
    for path in (place.folder / ".stagebook").rglob("*"):
        assert not path.is_file() or b"7f3a9b" not in path.read_bytes(), path
    assert place.run("logs", "last", "hears").out == "***\n"


def test_details_of_a_defect_hold_no_secret(place: Place) -> None:
    place.env.update(TOKEN="t0ken-7f3a9b", STAGEBOOK_FAULTS="")
    place.pipeline({"a": {"run": "true", "secrets": ["TOKEN"]}}, secrets=["TOKEN"])
    code = (
        "from stagebook.engine import secrets; from stagebook.cli import trouble; "
        "from stagebook.record.mask import Mask; secrets.known = Mask(['t0ken-7f3a9b']); "
        "print(trouble.keep_details(ValueError('t0ken-7f3a9b'), ['x']))"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=place.folder, stdout=-1, text=True, check=True).stdout
    text = Path(said.strip()).read_text()
    Path(said.strip()).unlink()
    assert "ValueError: ***" in text and "7f3a9b" not in text


def test_a_run_without_secrets_imports_nothing_of_masking(place: Place) -> None:
    place.pipeline({"a": "true"})
    done = place.run("run", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.code == 0
    assert "stagebook.record.mask" not in done.err and "re2" not in done.err


def test_secrets_of_the_journal_are_names_only(leaky: Place) -> None:
    leaky.run("run", "--quiet")
    plan = json.loads(leaky.journal_path().read_text().splitlines()[0])["plan"]
    assert [name for name, *_ in plan["secrets"]] == ["TOKEN", "KEY"]


@pytest.mark.parametrize("kind", ["rm -f", "ln -sf /etc/hostname", "mkdir", "mkfifo", "ln -sf /dev/zero"])
def test_whatever_stands_where_a_stage_says_its_outputs_is_no_harm(place: Place, kind: str) -> None:
    place.env["TOKEN"] = "t0ken-7f3a9b"
    place.pipeline({"a": {"run": f'{kind} "$STAGEBOOK_OUTPUT"', "secrets": ["TOKEN"]}}, secrets=["TOKEN"])
    done = place.run("run", within_s=20)
    assert done.code == 0, done
    assert Path("/etc/hostname").exists() and Path("/dev/zero").exists()


@pytest.mark.parametrize(
    "made", ['echo 1 > "o-$T"', 'echo 1 > "o-$(printf %s "$T" | base64)"', 'echo 1 > "$T"; ln -s "$T" "o-$T"']
)
def test_a_name_that_holds_a_secret_is_recorded_nowhere(made: str, place: Place) -> None:
    place.env["T"] = "tok5f2c8e1dABC"
    place.pipeline(
        {
            "a": {"run": f"{made}; echo 2 > o-x", "outputs": ["o-*"], "secrets": ["T"]},
            "b": {"run": "true", "needs": "a"},
        },
        secrets=["T"],
    )
    done = place.run("run", "--json")
    assert done.code == 1, done
    assert by_stage(done.json)["a"]["reason"] == "integrity: the name of an output holds the secret T"
    shown = place.run("show", "--json").said + place.run("show").said + place.run("runs").said
    encoded = base64.b64encode(place.env["T"].encode()).decode()[:16]
    for where in ("tok5f2c8e1dABC", encoded):
        assert where not in done.said + shown
        for path in (place.folder / ".stagebook").rglob("*"):
            assert where not in path.name
            assert not path.is_symlink() or where not in os.readlink(path)
            assert not path.is_file() or where.encode() not in path.read_bytes(), path
    assert sorted(path.name for path in place.runs_folder.glob("*/set-aside/*/*/*")) == ["o-***", "o-x"]


def test_a_fifo_that_is_set_aside_is_not_read(place: Place) -> None:
    place.env["T"] = "tok5f2c8e1dABC"
    place.pipeline({"a": {"run": 'mkfifo "c-$T"', "outputs": ["c-*"], "secrets": ["T"]}}, secrets=["T"])
    done = place.run("run", "--json", within_s=20)
    assert by_stage(done.json)["a"]["reason"] == "integrity: c-*** is a FIFO"
    assert done.json["warnings"] == []
    assert [path.name for path in place.runs_folder.glob("*/set-aside/*/*/*")] == ["c-***"]


def test_names_that_differ_in_a_secret_only_are_told_apart_when_set_aside(place: Place) -> None:
    place.env.update(T="tok5f2c8e1dABC", U="uvw5f2c8e1dABC")
    place.pipeline(
        {"a": {"run": 'echo 1 > "o-$T"; echo 2 > "o-$U"', "outputs": ["o-*"], "secrets": ["T", "U"]}},
        secrets=["T", "U"],
    )
    assert place.run("run").code == 1
    kept = [path.read_text() for path in place.runs_folder.glob("*/set-aside/*/*/*")]
    assert sorted(kept) == ["1\n", "2\n"]


def test_an_input_whose_name_holds_a_secret_is_refused_unless_the_file_names_it(place: Place) -> None:
    place.env["T"] = "tok5f2c8e1dABC"
    place.pipeline({"a": {"run": noted(), "inputs": ["in/*"]}}, secrets=["T"])
    (place.folder / "in").mkdir()
    (place.folder / "in" / "x-tok5f2c8e1dABC").touch()
    done = place.run("run", "--json")
    assert by_stage(done.json)["a"]["reason"] == "integrity: the name of an input holds the secret T"
    assert place.ledger() == [] and "5f2c8e1d" not in done.said
    assert_no("5f2c8e1d", place)
    place.env["T"] = "dist"  # which stands in the file by chance
    place.pipeline({"a": {"run": "mkdir -p dist; touch dist/y", "outputs": ["dist/*"]}}, secrets=["T"])
    assert place.run("run").code == 0


def assert_no(text: str, place: Place) -> None:
    for path in (place.folder / ".stagebook").rglob("*"):
        assert text not in path.name
        assert not path.is_file() or text.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("then", [["run", "--only", "other"], ["run"], ["run", "--resume"]])
@pytest.mark.parametrize("value", ["tok5f2c8e1dABC", "another-value"])
def test_what_a_stage_of_a_dead_engine_said_does_not_stay(then: list[str], value: str, place: Place) -> None:
    place.env["T"] = "tok5f2c8e1dABC"
    place.pipeline(
        {
            "a": {"run": f'echo "v=$T" >> $STAGEBOOK_OUTPUT\n{note("begin")}\n{HOLD}', "secrets": ["T"]},
            "other": {"run": 'echo "v=1" >> $STAGEBOOK_OUTPUT'},
        },
        secrets=["T"],
    )
    command = place.start("run")
    place.wait_for("a")
    waiting.until(lambda: [*place.runs_folder.glob("*/outputs/1.1")], "what the other said")
    command.kill()
    (place.base / "go").touch()
    dead = place.runs_folder / place.run_ids()[-1] / "outputs"
    assert "tok5f2c8e1dABC" in (dead / "0.1").read_text()
    assert place.run(*then, env={"T": value}).code == 0
    assert_no("tok5f2c8e1dABC", place)
    assert (dead / "1.1").exists()


def test_what_stages_of_a_run_that_goes_on_say_stays(place: Place) -> None:
    place.env["T"] = "tok5f2c8e1dABC"
    place.pipeline(
        {
            "a": {"run": f'echo "v=$T" >> $STAGEBOOK_OUTPUT\n{note("begin")}\n{HOLD}', "secrets": ["T"]},
            "b": {"run": 'echo "$X"', "env": {"X": {"from": 'stages["a"].outputs.v'}}},
        },
        secrets=["T"],
    )
    command = place.start("run")
    place.wait_for("a")
    (place.folder / "other.yaml").write_text('{"secrets": ["T"], "stages": {"c": {"run": "true", "secrets": ["T"]}}}')
    assert place.run("run", "other.yaml").code == 0
    (place.base / "go").touch()
    assert command.wait().code == 0
    assert_no("tok5f2c8e1dABC", place)


def test_g23_every_file_that_is_written_is_for_its_owner_only(place: Place) -> None:
    os.umask(0o022)
    (place.folder / "in").write_text("in")
    place.env["T"] = "tok5f2c8e1dABC"
    place.pipeline(
        {
            "a": {"run": "echo 1 > out; ln -s out link", "inputs": ["in"], "outputs": ["out", "link"]},
            "b": {"run": 'echo "v=$T" >> $STAGEBOOK_OUTPUT; echo "$T"', "secrets": ["T"]},
            "c": {"run": "echo '<testsuite/>' > r.xml; exit 1", "outputs": ["r.xml"]},
        },
        secrets=["T"],
    )  # fmt: skip
    assert place.run("run", "--junit", ".stagebook/j.xml").code == 1
    for words in (["runs", "--trend"], ["stats", "a"], ["timeline", "last", "--format", "html"], ["cache", "verify"],
                  ["plan", "limits"], ["gc"], ["flaky"], ["run"]):  # fmt: skip
        place.run(*words)
    names = set()
    for path in (place.folder / ".stagebook").rglob("*"):
        if path.is_symlink() or path.name == "j.xml":  # that one is the user's
            continue
        names.add(path.name)
        assert path.stat().st_mode & 0o077 == 0, (path, oct(path.stat().st_mode))
    wanted = {"durations.json", "report.html", "plans", "objects", "history.db", "journal.jsonl", "lock", "b.1.log"}
    assert wanted <= names


PLAIN = "tok-5f2c8e1d"


@pytest.fixture
def in_git(place: Place) -> Place:
    """A work tree of git whose pipeline has a secret and a parameter."""
    place.env.update(TOK=PLAIN, GIT_CONFIG_GLOBAL="/dev/null")
    stage = {"run": "true", "secrets": ["TOK"]}
    place.pipeline({"a": stage}, secrets=["TOK"], params={"x": {"default": ""}})
    git(place, "init", "-q")
    git(place, "add", "stagebook.yaml")
    git(place, "commit", "-qm", f"fix {PLAIN}")
    git(place, "checkout", "-qb", f"fix-{PLAIN}")
    return place


def git(place: Place, *words: str) -> None:
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", *who, *words], cwd=place.folder, check=True, env={**os.environ, **place.env})


def test_g23_a_branch_that_holds_a_secret_is_recorded_masked(in_git: Place) -> None:
    rules = [{"when": "branch != 'x'", "use": "lenient"}, {"use": "strict"}]
    in_git.pipeline({"a": {"run": "true", "secrets": ["TOK"]}}, secrets=["TOK"], policy=rules)
    assert in_git.run("run").code == 0
    assert in_git.run("stats", "a").code == 0
    assert in_git.journal()[0]["branch"] == "fix-***"
    for path in (in_git.folder / ".stagebook").rglob("*"):
        assert not path.is_file() or PLAIN.encode() not in path.read_bytes(), path


def test_g23_a_path_that_holds_a_secret_is_refused(in_git: Place) -> None:
    inner = in_git.folder / f"for-{PLAIN}"
    inner.mkdir()
    (inner / "stagebook.yaml").write_bytes((in_git.folder / "stagebook.yaml").read_bytes())
    done = in_git.run("run", f"{inner.name}/stagebook.yaml")
    assert done.code == 2
    assert "its path holds the value of secret TOK" in done.err
    assert PLAIN not in done.said
    assert list(inner.rglob("journal.jsonl")) == []


@pytest.mark.parametrize("before", ["", "user:"])
def test_g23_a_parameter_that_holds_a_secret_in_another_form_is_refused(in_git: Place, before: str) -> None:
    coded = base64.b64encode((before + PLAIN).encode()).decode()
    done = in_git.run("run", "--param", f"x={coded}")
    assert done.code == 2
    assert "parameter `x` holds the value of secret TOK" in done.err


@pytest.mark.parametrize("words", [("map",), ("why", "a"), ("plan",)])
def test_g23_a_file_that_holds_a_secret_is_not_cached(in_git: Place, words: tuple[str, ...]) -> None:
    stage = {"run": f"echo {base64.b64encode(PLAIN.encode()).decode()}", "secrets": ["TOK"]}
    in_git.pipeline({"a": stage}, secrets=["TOK"])
    (in_git.folder / ".stagebook").mkdir()
    assert in_git.run(*words).code == 0
    assert list(in_git.folder.glob(".stagebook/cache/plans/*")) == []


def test_a_file_with_secrets_is_cached_by_a_run(in_git: Place) -> None:
    assert in_git.run("run").code == 0
    assert len(list(in_git.folder.glob(".stagebook/cache/plans/*"))) == 1


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_g23_what_is_foreseen_holds_no_secret(in_git: Place, json: list[str]) -> None:
    (in_git.folder / f"in-{PLAIN}").write_text("x")
    stages = {
        "a": {"run": "true", "when": "commit.message == 'q' && branch == 'q'", "secrets": ["TOK"]},
        "b": {"run": "true", "inputs": ["in-*"]},
    }  # fmt: skip
    in_git.pipeline({"b": stages["b"]})
    assert in_git.run("run").code == 0
    (in_git.folder / f"in-{PLAIN}").write_text("y")
    in_git.pipeline(stages, secrets=["TOK"])
    for words in (("run", "--dry-run"), ("why", "b"), ("why", "a")):
        done = in_git.run(*words, *json)
        assert done.code == 0, done
        assert PLAIN not in done.said, done
    assert "changed: in-***" in in_git.run("why", "b").out
