"""What a job of a workflow does as the `run` of a native stage, and its `if` as a condition there. Which stages there
are is `formats.convert`; what an expression is to a shell, `shelltext`.
"""

from __future__ import annotations

import re

from stagebook.formats.github import cel
from stagebook.formats.github.shelltext import Uses, has_expression, in_shell
from stagebook.formats.native.draft import Lost, Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from stagebook.model.pipeline import Stage

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OUTPUT = re.compile(r"\s*\$\{\{\s*steps\.[\w-]+\.outputs\.([\w-]+)\s*\}\}\s*")
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)*")
#: What takes a text from its standard input.
_PROGRAMS = {
    "python": "python3 -", "python3": "python3 -", "node": "node -", "perl": "perl -",
    "pwsh": "pwsh -Command -", "powershell": "pwsh -Command -",
}  # fmt: skip
_ALWAYS = ("", "always()", "success()", "!cancelled()", "${{ always() }}", "${{ success() }}", "${{ !cancelled() }}")
#: Actions that make a tool ready: what it is called, and the input that says which version.
_TOOLS = {
    "setup-node": ("node", "node-version"),
    "setup-python": ("python3", "python-version"),
    "setup-go": ("go", "go-version"),
    "setup-java": ("java", "java-version"),
    "setup-ruby": ("ruby", "ruby-version"),
    "setup-dotnet": ("dotnet", "dotnet-version"),
    "setup-php": ("php", "php-version"),
    "setup-uv": ("uv", "version"),
    "setup-bun": ("bun", "bun-version"),
    "setup-deno": ("deno", "deno-version"),
    "setup-zig": ("zig", "version"),
    "rust-toolchain": ("cargo", "toolchain"),
    "setup-buildx-action": ("docker", ""),
    "setup-qemu-action": ("docker", ""),
}
#: Actions that have nothing to do where stages share one folder.
_NEEDLESS = ("cache", "save", "restore", "upload-artifact", "download-artifact", "rust-cache")
_FILES = {
    "GITHUB_STEP_SUMMARY": "/dev/null", "GITHUB_ENV": "/dev/null", "GITHUB_PATH": "/dev/null",
    "GITHUB_STATE": "/dev/null",
}  # fmt: skip


def work(stage: Stage, ids: Mapping[str, str]) -> Work:
    assert stage.job is not None
    return _Job(stage, ids).work()


def condition(
    stage: Stage, ids: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str | None], list[Lost]]:  # fmt: skip
    """Its `if`, where the language of conditions has words for it."""
    keys: dict[str, Any] = {"always": True} if stage.always else {"join": stage.join} if stage.join != "all" else {}
    if stage.when is None or stage.when.language != "github":
        return keys, {}, []
    needs = stage.job.spec.get("needs", {}) if stage.job is not None else {}
    found = cel.translated(stage.when.text, needs, [ids[need] for need in stage.needs if need in ids], ids)
    if found is None:
        said = f"`if: {_short(stage.when.text)}` has no native words: here it runs whatever that comes to"
        return keys, {}, [Lost(stage.when.line or stage.line, "ignored", said)]
    if found.text and not stage.always:
        keys["when"] = found.text
    elif found.text:
        return keys, {}, [Lost(stage.when.line, "ignored", f"`{_short(stage.when.text)}` is taken as always()")]
    return keys, dict(found.params), []


class _Job:
    def __init__(self, stage: Stage, ids: Mapping[str, str]) -> None:
        assert stage.job is not None
        self._stage = stage
        self._job = stage.job
        self._ids = ids
        self._spec: Mapping[str, Any] = stage.job.spec
        self._uses = Uses()
        self._lost: list[Lost] = []
        self._requires: dict[str, str] = {}
        self._env: dict[str, Any] = {}
        self._head: list[str] = []

    def work(self) -> Work:
        self._environment()
        self._around()
        blocks: list[tuple[str, str, bool]] = []  #: heading, text, whether it needs a shell of its own
        for step in _flat(self._spec.get("steps", ())):
            block = self._step(step)
            if block is not None:
                blocks.append(block)
        run = self._run(blocks)
        for variable, (need, output) in self._uses.outputs.items():
            self._output_of(variable, need, output)
        for text in self._uses.unknown:
            self._lose(self._stage.line, "server", f"`{_short(text)}` is known to GitHub only: what needs it fails")
        keys: dict[str, Any] = {}
        if "\n" in run or "|" in run or "[[" in run:
            keys["shell"] = "bash"
        if self._env:
            keys["env"] = self._env
        if self._requires:
            keys["requires"] = self._requires
        return Work(run, keys, self._uses.params, tuple(self._lost))

    def _run(self, blocks: list[tuple[str, str, bool]]) -> str:
        texts = " ".join(text for _, text, _ in blocks)
        if "GITHUB_OUTPUT" in texts:
            self._head.insert(0, 'export GITHUB_OUTPUT="$STAGEBOOK_OUTPUT"')
        for variable, place in _FILES.items():
            if variable in texts:
                self._head.append(f"export {variable}={place}")
                if variable in ("GITHUB_ENV", "GITHUB_PATH"):
                    self._lose(
                        self._stage.line, "ignored", f"what steps write to {variable} does not reach later steps"
                    )
        if not blocks:
            if self._job.unplayable is not None:
                self._lose(self._stage.line, "server", self._job.unplayable)
            else:
                self._lose(self._stage.line, "server", "nothing of this job is a command of a shell")
            return "\n".join([*self._head, "true"])
        if len(blocks) == 1 and not blocks[0][2]:
            return "\n".join([*self._head, blocks[0][1].strip("\n")])
        made = [f"( # {heading}\n{text.strip(chr(10))}\n)" for heading, text, _ in blocks]
        return "\n".join([*self._head, *made]) + "\n"

    # What is around the steps -----------------------------------------------------------------------------------

    def _environment(self) -> None:
        for env in (self._spec.get("workflow_env"), self._spec.get("env")):
            for name, value in (env if isinstance(env, dict) else {}).items():
                text = _text(value)
                if not _VARIABLE.fullmatch(name) or name.startswith("STAGEBOOK_"):
                    self._lose(self._stage.line, "ignored", f"`{name[:40]}` is no name of a variable")
                elif has_expression(text) or "\0" in text:
                    self._env.pop(name, None)
                    self._head.append(f"export {name}={self._quoted(text)}")
                else:
                    self._head = [line for line in self._head if not line.startswith(f"export {name}=")]
                    self._env[name] = text

    def _around(self) -> None:
        line = self._stage.line
        for key, what in (("container", "container"), ("services", "services")):
            if self._spec.get(key):
                self._lose(line, "ignored", f"{what}: start what it needs yourself; stages run on this machine")
        if self._job.environment is not None:
            said = f"environment {self._job.environment[:60]}: whoever has to agree there is not asked; a `gate` would"
            self._lose(line, "server", said)
        for name, value in (self._spec.get("outputs") or {}).items():
            match = _OUTPUT.fullmatch(_text(value))
            if match is None or match[1] != name:
                self._lose(
                    line, "approximated", f"output {name[:60]}: write `{name[:60]}=…` to $STAGEBOOK_OUTPUT yourself"
                )

    # Steps ------------------------------------------------------------------------------------------------------

    def _step(self, step: Mapping[str, Any]) -> tuple[str, str, bool] | None:
        line = step.get("line") if type(step.get("line")) is int else self._stage.line
        assert isinstance(line, int)
        name = _text(step.get("name") or step.get("id") or "")
        if isinstance(step.get("uses"), str):
            self._action(step, line)
            return None
        if not isinstance(step.get("run"), str):
            if not {"wait", "wait-all", "cancel"}.intersection(step):
                self._lose(line, "ignored", f"step {name[:60]}: neither run nor uses")
            return None
        heading = f"{_short(name or 'Run ' + step['run'].strip().partition(chr(10))[0])}, line {line}"
        cond = _text(step.get("if", "")).strip()
        if cond not in _ALWAYS:
            self._lose(line, "ignored", f"step {_short(name or 'there')}: `if: {_short(cond)}` is not looked at")
        if step.get("background") in (True, "true"):
            self._lose(line, "approximated", f"step {_short(name or 'there')}: not in the background but in its turn")
        text, own = self._command(step, line)
        if step.get("continue-on-error") in (True, "true"):
            text, own = f"(\n{text.strip(chr(10))}\n) || true", True
        return heading, text, own

    def _command(self, step: Mapping[str, Any], line: int) -> tuple[str, bool]:
        """The text, and whether it must not reach into the next step's."""
        defaults = self._spec.get("defaults") or {}
        usual = "pwsh" if "windows" in self._job.runner.lower() else "bash"
        shell = _text(step.get("shell") or defaults.get("shell") or usual).split(" ")[0]
        folder = step.get("working-directory") or defaults.get("working-directory")
        head = [f"cd {self._quoted(_text(folder))}"] if folder else []
        env = step.get("env")
        for name, value in (env if isinstance(env, dict) else {}).items():
            if _VARIABLE.fullmatch(name):
                head.append(f"export {name}={self._quoted(_text(value))}")
        body = step["run"]
        if shell in ("bash", "sh", "/bin/bash", "/bin/sh") or has_expression(shell):
            text = in_shell(body, self._uses)
        elif shell in _PROGRAMS:
            program = _PROGRAMS[shell]
            if has_expression(body):
                self._lose(line, "ignored", f"expressions in text for {shell} stay as they are")
            text = f"{program} <<'STAGEBOOK_END'\n{body.strip(chr(10))}\nSTAGEBOOK_END"
        else:
            self._lose(line, "server", f"shell {_short(shell)}: no such shell here, so the step fails")
            text = f"echo 'line {line}: written for another shell' >&2; false"
        return "\n".join([*head, text]), bool(head)

    def _action(self, step: Mapping[str, Any], line: int) -> None:
        reference = step["uses"]
        action = reference.partition("@")[0].rstrip("/").rpartition("/")[2]
        given = step.get("with")
        inputs: Mapping[str, Any] = given if isinstance(given, dict) else {}
        if action == "checkout" and not {"repository", "ref", "path"}.intersection(inputs):
            return
        if action in _NEEDLESS:
            return
        if action in _TOOLS:
            tool, key = _TOOLS[action]
            self._requires.setdefault(tool, _wanted(_text(inputs.get(key, ""))))
            return
        self._lose(line, "server", f"uses {_short(reference)}: not carried over")

    # ------------------------------------------------------------------------------------------------------------

    def _output_of(self, variable: str, need: str, output: str) -> None:
        stages = (self._spec.get("needs") or {}).get(need, {}).get("stages", [])
        if len(stages) == 1 and stages[0] in self._ids and _VARIABLE.fullmatch(output):
            self._env[variable] = {"from": f'stages["{self._ids[stages[0]]}"].outputs.{output}'}
        else:
            self._lose(self._stage.line, "ignored", f"output {_short(output)} of {_short(need)} is not passed on")

    def _quoted(self, text: str) -> str:
        """In double quotes for a shell, with what expressions stand for."""
        before = len(self._uses.unknown)
        parts = re.split(r"(\$\{\{.*?\}\})", text, flags=re.DOTALL)
        made = "".join(
            in_shell(part, self._uses) if has_expression(part) else re.sub(r"([\\\"$`])", r"\\\1", part)
            for part in parts
        )
        assert len(self._uses.unknown) >= before
        return f'"{made}"'

    def _lose(self, line: int, grade: str, text: str) -> None:
        self._lost.append(Lost(line, grade, text))


def _flat(steps: Any) -> list[Mapping[str, Any]]:
    """Those that run side by side one after another."""
    found: list[Mapping[str, Any]] = []
    for step in steps if isinstance(steps, (list, tuple)) else ():
        if isinstance(step, dict) and isinstance(step.get("parallel"), list):
            found += _flat(step["parallel"])
        elif isinstance(step, dict):
            found.append(step)
    return found


def _wanted(version: str) -> str:
    """`3.11`, `20.x`, `^1.2` as versions that will do; any where it is another kind of word."""
    match = _VERSION.search(version)
    return f">={match[0]}" if match is not None and not has_expression(version) and len(match[0]) < 20 else "*"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def _short(text: str) -> str:
    plain = " ".join(_printable(text).split())
    return plain if len(plain) <= 60 else plain[:57] + "..."
