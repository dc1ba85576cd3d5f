"""Cases of gitlab-ci-local that are made of shell, run here: each job ends, and prints, as the case's own test says.

The cases lie in `conformance/gitlab-ci-local` of the data; what is to come of them is told by the tests beside them at
github.com/firecow/gitlab-ci-local (commit 4e945cd, MIT licence). Left out by rule, not by name: jobs of images or
services, files that include what is not there or want files that the data does not hold, and tests that look at that
tool's own ways.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Mapping, NamedTuple

from conform.row import Row

GOAL = 0.9
_TIMEOUT_S = 60
_OTHERS = re.compile(r"^\s*(?:image|services)\s*:", re.MULTILINE)  #: jobs that are not made of shell
_STAGEBOOK = Path(sys.executable).with_name("stagebook")


class Case(NamedTuple):
    """`jobs` as their tool shows them, none: all; `prints`: of some, lines that they print, in any order; `fails` and
    `passes`: jobs that do; `absent`: jobs that do not run; `is_well`: none fails."""

    folder: str
    file: str = ".gitlab-ci.yml"
    jobs: tuple[str, ...] = ()
    with_needs: bool = False
    variables: tuple[str, ...] = ()
    prints: Mapping[str, tuple[str, ...]] = {}
    fails: tuple[str, ...] = ()
    passes: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    is_well: bool = False

    @property
    def name(self) -> str:
        return " ".join((self.folder, self.file, *self.jobs, *(["with needs"] if self.with_needs else [])))


CASES = (
    Case("after-script", jobs=("test-job",), prints={"test-job": ("Cleanup after test",)}),
    Case("after-script", jobs=("build-job",), prints={"build-job": ("Cleanup after test",)}),
    Case("after-script", jobs=("deploy-job",), prints={"deploy-job": ("running", "success")}),
    Case("after-script", jobs=("post-job",), prints={"post-job": ("failed",)}),
    Case("ansi-sections", jobs=("test-job",), prints={"test-job": ("inside section",)}),
    Case("artifacts-dotenv", jobs=("use-image-ref",), with_needs=True, is_well=True),
    Case("artifacts-dotenv", jobs=("use-service-ref",), with_needs=True, is_well=True),
    Case("artifacts-exclude", jobs=("consume-artifacts",), with_needs=True, is_well=True),
    Case("artifacts-globstar", jobs=("test-job",), with_needs=True, prints={"test-job": ("Pre something",)}),
    Case("artifacts-many-paths", is_well=True),
    Case("artifacts-reports-dotenv", jobs=("deploy-image",), with_needs=True, is_well=True),
    Case("artifacts-reports-dotenv", jobs=("deploy-shell-iso",), with_needs=True, is_well=True),
    Case("artifacts-reports-dotenv", jobs=("deploy-shell-noiso",), with_needs=True, is_well=True),
    Case(
        "artifacts-reports-dotenv",
        file=".gitlab-ci-issue-1160.yml",
        jobs=("test-multi-dotenv",),
        with_needs=True,
        is_well=True,
    ),
    Case("artifacts-sequence", is_well=True),
    Case("artifacts-sequence", file=".gitlab-ci-parallel.yml", is_well=True),
    Case("artifacts-shell", file=".gitlab-ci-when-never.yml", is_well=True),
    Case("artifacts-shell", file=".gitlab-ci-when-never.yml", jobs=("deploy",), is_well=True),
    Case("before-script-default", jobs=("test-job",), prints={"test-job": ("Before test",)}),
    Case("before-script", jobs=("test-job",), prints={"test-job": ("Before test",)}),
    Case("cache-conditional-policy", jobs=("test-job",), passes=("test-job",)),
    Case("cache-key-files", jobs=("consume-cache",), with_needs=True, is_well=True),
    Case("cache-paths-undefined-array", jobs=("test-job",), passes=("test-job",)),
    Case("cache-paths-undefined-array", jobs=("test-empty-cache-object",), passes=("test-empty-cache-object",)),
    Case("cache-shell", jobs=("consume-cache",), with_needs=True, is_well=True),
    Case(
        "cli-option-variables",
        jobs=("test-job",),
        variables=("CLI_VAR=hello world", "CLI_VAR_DOT=dotdot", "CLI_MULTILINE=This is a multi\nline string"),
        prints={"test-job": ("hello world", "dotdot", "This is a multi", "line string")},
    ),
    Case(
        "cli-option-variables",
        jobs=("test-job",),
        variables=("CLI_VAR=host=db;port=5432", "CLI_VAR_DOT=dotdot", "CLI_MULTILINE=This is a multi\nline string"),
        prints={"test-job": ("host=db;port=5432", "dotdot", "This is a multi", "line string")},
    ),
    Case("coverage", jobs=("test-job",), passes=("test-job",)),
    Case("coverage", jobs=("import.meta.jest",), passes=("import.meta.jest",)),
    Case("coverage", jobs=("pcre regex",), passes=("pcre regex",)),
    Case("dind-tls", jobs=("test-job",), with_needs=True, prints={"test-job": ("TestJobDIND", "Touchme")}),
    Case("dotenv", jobs=("test-job",), prints={"test-job": ("world", "doh")}),
    Case("duplicated-keys", jobs=("duplicated-keys",), prints={"duplicated-keys": ("", "2")}),
    Case(
        "duplicated-keys",
        jobs=("duplicated-keys variables overwritten",),
        prints={"duplicated-keys variables overwritten": ("", "2")},
    ),
    Case(
        "duplicated-keys",
        jobs=("duplicated-keys anchor tag can still be referenced",),
        prints={"duplicated-keys anchor tag can still be referenced": ("1", "2")},
    ),
    Case(
        "environment",
        jobs=("deploy-stage-job",),
        prints={
            "deploy-stage-job": ("stage-domain-ip33nk", "Stage Domain", "http://stage.domain.com", "stop", "production")
        },
    ),
    Case(
        "environment",
        jobs=("deploy-stage-job-with-expansion",),
        prints={"deploy-stage-job-with-expansion": ("stage-domain-foob-yafktx", "stage-domain-foobar-long-string")},
    ),
    Case(
        "extends",
        jobs=("test-job",),
        prints={"test-job": ("Test something (before_script)", "Test something", "Test something (after_script)")},
    ),
    Case("image", jobs=("test job",)),
    Case("image", jobs=("test-entrypoint-override",), prints={"test-entrypoint-override": ("Test something",)}),
    Case(
        "image",
        jobs=("test-from-scratch",),
        prints={"test-from-scratch": ("0:0 .gitlab-ci.yml", "666 .gitlab-ci.yml", "777 folder/", "777 executable.sh")},
    ),
    Case("image", jobs=("test-entrypoint",), prints={"test-entrypoint": ("I'm a test file",)}),
    Case(
        "image",
        jobs=("issue-206",),
        prints={"issue-206": ("Error: open /builds/gcl/test-project/hugo: no such file or directory",)},
    ),
    Case("image", jobs=("image-user",), prints={"image-user": ("65534",)}),
    Case("image", jobs=("image-platform",), prints={"image-platform": ("x86_64",)}),
    Case("image", jobs=("image-entrypoint-with-variables",), prints={"image-entrypoint-with-variables": ("success",)}),
    Case("include-local", jobs=("build-job",), prints={"build-job": ("Build something",)}),
    Case(
        "include-local", file=".gitlab-ci-short-list.yml", jobs=("test-job",), prints={"test-job": ("Test something",)}
    ),
    Case(
        "include-local",
        file=".gitlab-ci-short-single.yml",
        jobs=("deploy-job",),
        prints={"deploy-job": ("Deploy something",)},
    ),
    Case("interactive", jobs=("fake-shell-job",), is_well=True),
    Case("long-running-silent-test-job", jobs=("test-job",), prints={"test-job": ("Test something",)}),
    Case("manual", jobs=("deploy-job",), prints={"deploy-job": ("Deploy something",)}),
    Case("manual", jobs=("deploy-job",), with_needs=True, prints={"deploy-job": ("Deploy something",)}),
    Case("manual", jobs=("build-job",), prints={"build-job": ("Hello, build job manual!",)}),
    Case("needs-artifacts", jobs=("test-job",), with_needs=True, is_well=True),
    Case("needs-empty", jobs=("deploy-job",), is_well=True),
    Case(
        "needs-parallel-matrix-static",
        jobs=("test-single",),
        with_needs=True,
        passes=("build-job: [foo]", "test-single"),
        absent=("build-job: [bar]", "build-job: [beb]"),
    ),
    Case(
        "needs-parallel-matrix-static",
        jobs=("test-array",),
        with_needs=True,
        passes=("build-job: [foo]", "build-job: [bar]", "test-array"),
        absent=("build-job: [beb]",),
    ),
    Case(
        "needs-parallel-matrix-static",
        jobs=("test-partial",),
        with_needs=True,
        passes=("build-multi: [x64,linux]", "build-multi: [x64,mac]", "test-partial"),
        absent=("build-multi: [arm,linux]", "build-multi: [arm,mac]"),
    ),
    Case(
        "needs-parallel-matrix-static",
        jobs=("test-full",),
        with_needs=True,
        passes=("build-multi: [x64,linux]", "test-full"),
        absent=("build-multi: [x64,mac]", "build-multi: [arm,linux]", "build-multi: [arm,mac]"),
    ),
    Case(
        "needs-parallel-matrix-static",
        jobs=("test-optional-zero",),
        with_needs=True,
        passes=("test-optional-zero",),
        absent=("build-job: [foo]",),
    ),
    Case(
        "needs-parallel",
        jobs=("build-job",),
        with_needs=True,
        prints={"pre-job": ("Pre something",), "build-job": ("Build something",)},
    ),
    Case(
        "needs-parallel",
        jobs=("deploy-job",),
        with_needs=True,
        prints={
            "pre-job": ("Pre something",),
            "build-job": ("Build something",),
            "test-job": ("Test something",),
            "deploy-job": ("Deploy something",),
        },
    ),
    Case(
        "needs-parallel",
        prints={
            "pre-job": ("Pre something",),
            "build-job": ("Build something",),
            "test-job": ("Test something",),
            "deploy-job": ("Deploy something",),
        },
    ),
    Case(
        "needs-same-stage",
        jobs=("test-job",),
        with_needs=True,
        prints={"build-job": ("Build something",), "test-job": ("Test something",)},
    ),
    Case("needs-sequence", jobs=("deploy-job",), prints={"deploy-job": ("Deploy something",)}),
    Case(
        "needs-sequence",
        jobs=("deploy-job",),
        with_needs=True,
        prints={
            "pre-job": ("Pre something",),
            "build-job": ("Build something",),
            "test-job": ("Test something",),
            "deploy-job": ("Deploy something",),
        },
    ),
    Case(
        "needs-sequence",
        jobs=("no-needs-job",),
        with_needs=True,
        prints={
            "pre-job": ("Pre something",),
            "build-job": ("Build something",),
            "no-needs-job": ("NoNeeds something",),
        },
    ),
    Case(
        "needs-sequence",
        prints={
            "pre-job": ("Pre something",),
            "build-job": ("Build something",),
            "test-job": ("Test something",),
            "no-needs-job": ("NoNeeds something",),
            "deploy-job": ("Deploy something",),
            "premium-job": ("I'm utilizing premium feature",),
        },
    ),
    Case("network-alias-build", jobs=("test-job",), passes=("test-job",)),
    Case("network-alias-build", jobs=("test-job-failure",), prints={"test-job-failure": ("failed",)}),
    Case("never-needs", jobs=("test-job-optional",), with_needs=True, is_well=True),
    Case("never", jobs=("test-job",), prints={"test-job": ("Test something",)}),
    Case("never", jobs=("test-job",), with_needs=True, prints={"test-job": ("Test something",)}),
    Case(
        "parallel-matrix",
        passes=(
            "pre-job",
            "build-job: [foo]",
            "build-job: [bar]",
            "build-job: [beb]",
            "test-job: [foo,dev]",
            "test-job: [foo,sta]",
            "test-job: [foo,pro]",
            "test-job: [bar,dev]",
            "test-job: [bar,sta]",
            "test-job: [bar,pro]",
            "test-job: [beb]",
        ),
    ),
    Case("parallel-matrix", jobs=("test-job: [beb]",), prints={"test-job: [beb]": ("NAME:'beb' TIER:'' 7/7",)}),
    Case("parallel", jobs=("test-job",), prints={"test-job: [1/2]": ("1/2",), "test-job: [2/2]": ("2/2",)}),
    Case("parallel", jobs=("test-job: [1/2]",), prints={"test-job: [1/2]": ("1/2",)}),
    Case("parallel", jobs=("single-job",), prints={"single-job: [1/1]": ("1/1",)}),
    Case("script-failures", jobs=("test-job",), fails=("test-job",)),
    Case("script-failures", jobs=("test-job-after-script",), fails=("test-job-after-script",)),
    Case("script-failures", jobs=("deploy-job",), with_needs=True, prints={"test-job": ("Test something",)}),
    Case("script-failures", jobs=("exit_code[number] not allowed",), fails=("exit_code[number] not allowed",)),
    Case("script-failures", jobs=("exit_code[number[]] not allowed",), fails=("exit_code[number[]] not allowed",)),
    Case("script-failures", jobs=("rules:allow_failure precedence",), fails=("rules:allow_failure precedence",)),
    Case("scripts-as-string", jobs=("test-job",), prints={"test-job": ("Before test", "Test something", "After test")}),
    Case("services", jobs=("pre-job",), prints={"pre-job": ("cat: can't open '/foo.txt': No such file or directory",)}),
    Case(
        "services",
        jobs=("test-job",),
        prints={"test-job": ("Host docker.io-library-nginx not found: 3(NXDOMAIN)",)},
        fails=("test-job",),
    ),
    Case("services", jobs=("build-job",), passes=("build-job",)),
    Case("services", jobs=("deploy-job",), passes=("deploy-job",)),
    Case("services", jobs=("multiport-job",), passes=("multiport-job",)),
    Case("services", jobs=("alias-job",), passes=("alias-job",)),
    Case("services", jobs=("alias-job-multiple-slashes",), passes=("alias-job-multiple-slashes",)),
    Case("services", jobs=("no-tmp",), passes=("no-tmp",)),
    Case("services", jobs=("service-user",), passes=("service-user",)),
    Case(
        "services",
        jobs=("registry-port",),
        prints={"registry-port": ("<title>Welcome to nginx!</title>",)},
        passes=("registry-port",),
    ),
    Case(
        "services",
        jobs=("image-digest",),
        prints={"image-digest": ("<title>Welcome to nginx!</title>",)},
        passes=("image-digest",),
    ),
    Case("variable-expansion", file=".gitlab-ci-3.yml", prints={"job2": ("latest",)}),
    Case("when-always", jobs=("test-job",), with_needs=True, prints={"test-job": ("Test something",)}),
    Case("when-on-failure", prints={"test-job": ("Test something",)}),
)


def measure(data: Path) -> list[Row]:
    """How many of those that are made of shell run as they should."""
    folder = data / "conformance" / "gitlab-ci-local"
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        found = list(pool.map(lambda case: judge(folder, case), CASES))
    told = [(case, why) for case, why in zip(CASES, found) if why is not None]
    misses = tuple(f"{case.name}: {why}" for case, why in told if why)
    share = 1 - len(misses) / len(told) if told else 0.0
    return [Row("gitlab-ci-local", "run with the outcome that the case states", len(told), share, GOAL, misses=misses)]


def judge(data: Path, case: Case) -> str | None:
    """What is not as it should be; empty where all is. None where the case is not made of shell."""
    if not (data / case.folder / case.file).is_file():
        return None
    with tempfile.TemporaryDirectory(prefix="conform-") as above:
        folder = Path(above) / "project"
        shutil.copytree(data / case.folder, folder, symlinks=True)
        _commit(folder)
        from stagebook.model.problem import InputError

        try:
            pipeline = _described(folder, case)
        except InputError as error:
            if _OTHERS.search((folder / case.file).read_text()):
                return None
            return f"cannot be read: {error.problems[0].message if error.problems else error}"
        if pipeline is None:
            return None
        return _run(folder, case, pipeline)


def _described(folder: Path, case: Case) -> dict[str, str] | None:
    """Titles of jobs to their ids; None where the case is not made of shell."""
    from stagebook.formats import load
    from stagebook.formats.request import Request

    variables = dict(each.split("=", 1) for each in case.variables)
    pipeline = load.load(str(folder / case.file), None, Request(variables=variables, play=case.jobs), "gitlab")
    if pipeline.missing:
        return None
    spoken_of = {_title(job) for job in (*case.jobs, *case.prints, *case.fails, *case.passes)}
    for stage in pipeline.stages:
        job = stage.job
        concerned = not case.jobs or job is None or {job.title, stage.name} & spoken_of
        if job is not None and concerned and (job.image or job.spec.get("services")):
            return None
    return {stage.job.title: stage.id for stage in pipeline.stages if stage.job is not None}


def _run(folder: Path, case: Case, ids: Mapping[str, str]) -> str:
    words = [case.file, "--yes", "--no-wait", "--json", "--as", "gitlab"]
    for each in case.variables:
        words += ["--var", each]
    for job in case.jobs:
        id = ids.get(_title(job), job)
        words += ["--job" if case.with_needs else "--only", id, "--play", id]
    if case.jobs and not case.with_needs:  # what it needs is taken as done there, manual or not
        words += [word for id in ids.values() for word in ("--play", id)]
    try:
        done = _stagebook(folder, "run", *words)
    except subprocess.TimeoutExpired:
        return f"not over after {_TIMEOUT_S} s"
    if done.returncode == 2 or not done.stdout:
        return f"exit {done.returncode}: {_last(done.stderr)}"
    document = json.loads(done.stdout)
    return "; ".join(_wrong(folder, case, ids, {stage["stage"]: stage for stage in document["stages"]}))


def _wrong(folder: Path, case: Case, ids: Mapping[str, str], stages: Mapping[str, Any]) -> list[str]:
    wrong = []
    for title, wanted in case.prints.items():
        stage = stages.get(ids.get(_title(title), ""))
        lines = _log(folder, stage) if stage is not None else []
        wrong += [f"{title} does not print {line!r}" for line in wanted if line.strip() not in lines]
    for titles, outcome in ((case.fails, "failure"), (case.passes, "success"), (case.absent, "skip")):
        for title in titles:
            found = (stages.get(ids.get(_title(title), "")) or {"outcome": "skip"})["outcome"]
            if found != outcome:
                wrong.append(f"{title}: {found}, not {outcome}")
    if case.is_well:
        bad = [stage for stage in stages.values() if stage["outcome"] not in ("success", "skip")]
        wrong += [f"{stage['stage']}: {stage['outcome']}" for stage in bad]
    return wrong


def _log(folder: Path, stage: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for attempt in stage["attempts"]:
        path = Path(attempt["log"])
        text = (path if path.is_absolute() else folder / path).read_text(encoding="utf-8", errors="replace")
        lines += [line.strip() for line in text.splitlines()]
    return lines


def _title(job: str) -> str:
    """`test: [1/2]` and `test: [a,b]` of theirs as GitLab itself has them."""
    counted = re.fullmatch(r"(.*): \[(\d+)/(\d+)\]", job)
    if counted:
        return f"{counted[1]} {counted[2]}/{counted[3]}"
    cell = re.fullmatch(r"(.*): \[(.*)\]", job)
    return f"{cell[1]}: [{', '.join(part.strip() for part in cell[2].split(','))}]" if cell else job


def _commit(folder: Path) -> None:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for words in (
        ("init", "-q", "-b", "main"),
        ("remote", "add", "origin", "git@gitlab.com:gcl/test-project.git"),
        ("add", "-A", "-f"),
        ("-c", "user.name=Test", "-c", "user.email=test@test.example", "commit", "-q", "--allow-empty", "-m", "Test"),
    ):
        subprocess.run(("git", *words), cwd=folder, env=env, check=True)


def _stagebook(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "XDG_STATE_HOME": str(folder.parent / "state")}
    return subprocess.run(
        (str(_STAGEBOOK), *words), cwd=folder, env=env, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if "error" in line] or text.splitlines() or ["nothing said"]
    return lines[0].strip()
