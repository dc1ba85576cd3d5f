"""What a job of a workflow does as the `run` of a native stage, and its `if` as a condition there. Which stages there
are is `formats.convert`; what an expression is to a shell, `shelltext`.
"""

from __future__ import annotations

import json
import re
from functools import cached_property

from stagebook.formats.github import called, cel
from stagebook.formats.github.shellcond import FAILED, Test, outcome_of, tested
from stagebook.formats.github.shelltext import (
    TAG,
    VARIABLES,
    Uses,
    has_expression,
    in_shell,
    known_value,
    shell_literal,
    unknown_variables,
)
from stagebook.formats.native.draft import Lost, Work, variables
from stagebook.formats.native.enclosed import heredoc, subshell
from stagebook.model.value import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

    from stagebook.model.pipeline import Pipeline, Stage

_FILTERS = (
    "branches", "branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore", "types", "workflows",
)  # fmt: skip
#: Events that somebody at a machine does not make.
_BY_NAME = (
    "release",
    "deployment",
    "deployment_status",
    "registry_package",
    "page_build",
    "workflow_run",
    "issue_comment",
)
_ANY_TIME = ("push", "pull_request", "workflow_dispatch", "workflow_call", "merge_group")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OUTPUT = re.compile(r"\s*\$\{\{\s*steps\.[\w-]+\.outputs\.([\w-]+)\s*\}\}\s*")
_ENV = re.compile(r"\$\{\{\s*env\.(\w+)\s*\}\}")
_PIPE = re.compile(r"(?<!\|)\|(?!\|)")
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")
_POWERSHELL = re.compile(r"\$env:|\b(?:Write-(?:Host|Output)|New-Item|Get-\w+|Invoke-\w+) ")
_LINUX = re.compile(r"ubuntu|linux|debian|fedora")
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)*")
#: What takes a text from its standard input.
_PROGRAMS = {
    "python": "python3 -", "python3": "python3 -", "node": "node -", "perl": "perl -",
    "pwsh": "pwsh -Command -", "powershell": "pwsh -Command -",
}  # fmt: skip
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
#: What a step writes to these files reaches the next ones.
_PASSED_ON = [
    'export GITHUB_ENV="$(mktemp)" GITHUB_PATH="$(mktemp)"',
    'trap \'rm -f "$GITHUB_ENV" "$GITHUB_PATH"\' EXIT',
    "stagebook_pass_on() {",
    'while IFS= read -r line; do export "$line" || return 1; done < "$GITHUB_ENV"',
    'while IFS= read -r line; do export PATH="$line:$PATH"; done < "$GITHUB_PATH"',
    ': > "$GITHUB_ENV"; : > "$GITHUB_PATH"',
    "}",
]


def head(pipeline: Pipeline) -> list[Lost]:
    """What starts the workflow there, which a native file does not hold."""
    started: Mapping[str, Any] = pipeline.more.get("on") or {}
    said = []
    for event, settings in started.items():
        filters = [
            f"{key} {', '.join(map(str, value if isinstance(value, list) else [value]))}"
            for key, value in (settings if isinstance(settings, dict) else {}).items()
            if key in _FILTERS
        ]
        if filters or event not in _ANY_TIME:
            said.append(event + (f" ({'; '.join(filters)})" if filters else ""))
    if not said:
        return []
    line = next((each.line for each in pipeline.grades if each.path.split(".")[0] == "on"), 0)
    here = "its first stages ask for that" if start(pipeline)[0] else "whenever somebody runs it"
    return [Lost(line, "ignored", f"there it starts on {_short(', '.join(said), 120)}; here {here}")]


def start(pipeline: Pipeline) -> tuple[str, dict[str, str | None]]:
    """A condition for what starts with a push to some branches or tags, a release and the like, and with nothing else,
    and its parameters; empty where there is none, or no words for it."""
    started: Mapping[str, Any] = pipeline.more.get("on") or {}
    parts: list[str] = []
    params: dict[str, str | None] = {}
    for event, settings in started.items():
        if event in _BY_NAME:
            parts.append(f'event == "{event}"')
            continue
        filters = settings if event == "push" and isinstance(settings, dict) else {}
        tags, branches = _patterns(filters.get("tags")), _patterns(filters.get("branches"))
        if not (tags or branches) or not all(map(_PLAIN.fullmatch, branches)):
            return "", {}
        if tags:
            params[TAG] = None
            parts.append(f'params.{TAG} != ""')
        if branches:
            parts.append(f"branch in [{', '.join(map(json.dumps, branches))}]")
    return " || ".join(parts), params


def _patterns(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)] if value else []


def work(
    stage: Stage, ids: Mapping[str, str], stages: Mapping[str, Stage], context: Mapping[str, Any]
) -> Work:  # fmt: skip
    assert stage.job is not None
    return _Job(stage, ids, stages).work()


def condition(
    stage: Stage, ids: Mapping[str, str], before: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, str | None], list[Lost]]:  # fmt: skip
    """Its `if`, where the language of conditions has words for it; else it never runs. `before`: ids, as they are
    called here, of all stages that end before it begins."""
    keys: dict[str, Any] = {"always": True} if stage.always else {"join": stage.join} if stage.join != "all" else {}
    if stage.job is None:
        return keys, {}, []
    spec = stage.job.spec
    call = spec.get("call")
    texts: list[tuple[str, Mapping[str, Any], Any]] = []
    if stage.when is not None and stage.when.language == "github":
        texts.append((stage.when.text, spec.get("needs") or {}, call))
    while isinstance(call, dict):
        if call.get("if"):
            texts.insert(0, (str(call["if"]), call.get("needs") or {}, call.get("call")))
        call = call.get("call")
    made: list[str] = []
    params: dict[str, str | None] = {}
    for text, needs, around in texts:
        found = cel.translated(text, needs, before, ids, called.terms(around))
        if found is None:
            said = f'`if: {_short(text)}` has no native words: it never runs here (`when: "false"`)'
            line = stage.when.line if stage.when is not None else stage.line
            return {**keys, "when": "false"}, {}, [Lost(line or stage.line, "ignored", said)]
        made += [found.text] if found.text else []
        if found.wants_success:
            keys.pop("join", None)
        params.update(found.params)
    if made:
        keys["when"] = " && ".join(made)
    lost = []
    for name in params:
        if name.startswith("github_"):
            said = f"what GitHub knows is the parameter {name} here, empty unless `--param` gives it"
            lost.append(Lost(stage.when.line if stage.when is not None else stage.line, "approximated", said))
    return keys, params, lost


class _Block(NamedTuple):
    """A step as text. `own`: it must not reach into the next one's."""

    heading: str
    text: str
    own: bool
    test: Test = Test("", False)
    id: str = ""
    may_fail: bool = False


class _Job:
    def __init__(self, stage: Stage, ids: Mapping[str, str], stages: Mapping[str, Stage]) -> None:
        assert stage.job is not None
        self._stage = stage
        self._job = stage.job
        self._ids = ids
        self._stages = stages
        self._spec: Mapping[str, Any] = stage.job.spec
        self._uses = Uses(None, self._spec.get("secrets") or {}, variables(stage.cell or {}))
        self._uses.inputs = called.words(self._spec.get("call"), self._uses.params)
        self._lost: list[Lost] = []
        self._requires: dict[str, str] = {}
        self._env: dict[str, Any] = {}
        self._head: list[str] = []
        self._is_empty = False

    def work(self) -> Work:
        self._environment()
        self._around()
        blocks: list[_Block] = []
        for step in _flat(self._spec.get("steps", ())):
            block = self._step(step)
            if block is not None:
                blocks.append(block)
        run = self._run(blocks)
        if self._uses.fields and not self._is_empty:
            run = "\n".join([*self._fields(), run])
        for variable, (need, output) in self._uses.outputs.items():
            self._output_of(variable, need, output)
        for text in self._uses.unknown:
            self._lose(self._stage.line, "server", f"`{_short(text)}` is known to GitHub only: what needs it fails")
        keys: dict[str, Any] = {}
        if "\n" in run or "|" in run or "[[" in run:
            keys["shell"] = "bash"
        if self._env:
            keys["env"] = self._env
        if self._is_empty:
            keys["when"] = "false"
        if self._requires and not self._is_empty:
            keys["requires"] = self._requires
        return Work(run, keys, self._uses.params, tuple(self._lost))

    def _run(self, blocks: list[_Block]) -> str:
        if not blocks:
            return self._nothing()
        texts = "\n".join([*self._head, *(f"{each.text}\n{each.test.text}" for each in blocks)])
        self._variables(texts)
        is_alone = len(blocks) == 1 and blocks[0] == _Block(*blocks[0][:3]) and not blocks[0].own
        if is_alone and "GITHUB_ENV" not in texts and "GITHUB_PATH" not in texts:
            return "\n".join([*self._head, blocks[0].text.strip("\n")])
        names = {name for each in blocks for name in each.test.steps}
        is_told = bool(names) or any(each.test.asks or each.may_fail for each in blocks)
        made: list[str] = ["set +e", f"{FAILED}="] if is_told else []
        for each in blocks:
            made += _told(each, each.id in names) if is_told else _plain(each)
        if is_told:
            made.append(f'[ -z "${FAILED}" ]')
        return "\n".join([*self._head, *made]) + "\n"

    def _fields(self) -> list[str]:
        """What is within the values of a matrix, for each cell."""
        lines = ['case "$STAGEBOOK_STAGE" in']
        for id, cell in self._stages.items():
            if cell.name == self._stage.name and cell.job is not None and id in self._ids:
                values = cell.job.spec.get("matrix") or {}
                made = [f'{name}="{shell_literal(_within(values, path))}"' for name, path in self._uses.fields.items()]
                lines.append(f'"{shell_literal(self._ids[id])}") {" ".join(made)} ;;')
        return [*lines, "esac"]

    def _nothing(self) -> str:
        """It does nothing here, and says so."""
        missing = self._job.unplayable
        if missing:
            self._lose(self._stage.line, "server", f"{missing}: it fails here, so that nothing goes on without it")
        else:
            self._lose(self._stage.line, "server", "nothing of this job is a command of a shell: it never runs")
        self._is_empty = not missing
        return f"echo 'line {self._stage.line}: what this job does there is yet to be written here' >&2; exit 1"

    def _variables(self, texts: str) -> None:
        """Of what GitHub sets for each step, that which these texts speak of."""
        own = {line.partition("=")[0] for line in self._head}
        head = []
        if "GITHUB_OUTPUT" in texts:
            head.append('export GITHUB_OUTPUT="$STAGEBOOK_OUTPUT"')
        for variable, path in VARIABLES.items():
            if re.search(rf"\b{variable}\b", texts) and variable not in self._env and f"export {variable}" not in own:
                head.append(f'export {variable}="{known_value(path, self._uses)}"')
        for variable in unknown_variables(texts):
            if variable not in (*self._env, *self._stage.secrets) and f"export {variable}" not in own:
                head.append(f': "${{{variable}:?is known to GitHub only: set it}}"')
                said = f"${variable} is known to GitHub only: it fails unless you set it"
                self._lose(self._stage.line, "server", said)
        for variable in ("GITHUB_STEP_SUMMARY", "GITHUB_STATE"):
            if variable in texts:
                head.append(f"export {variable}=/dev/null")
        if "GITHUB_ENV" in texts or "GITHUB_PATH" in texts:
            head += _PASSED_ON
            if re.search(r"<<[^\n]*[\s\S]*GITHUB_ENV", texts):
                said = "GITHUB_ENV takes lines NAME=VALUE only here: values of several lines fail"
                self._lose(self._stage.line, "approximated", said)
        self._head[:0] = head

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
        runner, asked = self._job.runner, _text(self._spec.get("runs_on"))
        if has_expression(asked):
            self._lose(line, "approximated", f"runs-on {_short(asked)}: here all of it runs on this machine")
        elif runner and not _LINUX.search(runner.lower()):
            self._lose(line, "approximated", f"runs-on {_short(runner)}: here it runs on this machine")
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

    def _step(self, step: Mapping[str, Any]) -> _Block | None:
        line = step.get("line") if type(step.get("line")) is int else self._stage.line
        assert isinstance(line, int)
        name = _text(step.get("name") or step.get("id") or "")
        id = _text(step.get("id"))
        if isinstance(step.get("uses"), str):
            self._action(step, line)
            if id and _action_of(step["uses"]) in _NEEDLESS:
                self._uses.steps[id] = "cache"
            return None
        if not isinstance(step.get("run"), str):
            if not {"wait", "wait-all", "cancel"}.intersection(step):
                self._lose(line, "ignored", f"step {name[:60]}: neither run nor uses")
            return None
        heading = f"{_heading(name or 'Run ' + step['run'].strip().partition(chr(10))[0])}, line {line}"
        cond = _text(step.get("if", "")).strip()
        test = tested(cond, self._uses) if cond else Test("", False)
        if test is None:
            said = f"step {_short(name or 'there')}: `if: {_short(cond)}` has no words in a shell: it fails there"
            self._lose(line, "ignored", said)
            return _Block(heading, f"echo 'line {line}: left out, for its `if` has no meaning here' >&2; exit 1", True)
        if "always()" in cond:
            self._lose(line, "approximated", f"step {_short(name or 'there')}: not after the run is cancelled")
        for param in self._uses.params:
            if param.startswith("github_"):
                said = f"what GitHub knows is the parameter {param} here, empty unless `--param` gives it"
                self._lose(line, "approximated", said)
        if step.get("timeout-minutes") is not None:
            self._lose(line, "ignored", f"step {_short(name or 'there')}: a timeout is of the whole stage here")
        if step.get("background") in (True, "true"):
            self._lose(line, "approximated", f"step {_short(name or 'there')}: not in the background but in its turn")
        text, own = self._command(step, line)
        may_fail = step.get("continue-on-error") in (True, "true")
        if id:
            self._uses.steps[id] = "run"
        return _Block(heading, text, own, test, id, may_fail)

    def _command(self, step: Mapping[str, Any], line: int) -> tuple[str, bool]:
        """The text, and whether it must not reach into the next step's."""
        defaults = self._spec.get("defaults") or {}
        is_open = has_expression(_text(self._spec.get("runs_on")))
        is_windows = self._is_powershell if is_open else "windows" in self._job.runner.lower()
        usual = "pwsh" if is_windows else "bash"
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
            if not step.get("shell") and not defaults.get("shell") and _PIPE.search(text):
                head.append("set +o pipefail")  # which GitHub sets only where `shell: bash` stands
        elif shell in _PROGRAMS:
            program = _PROGRAMS[shell]
            if has_expression(body):
                self._lose(line, "ignored", f"expressions in text for {shell} stay as they are")
            text = f"{program} {heredoc(body.strip(chr(10)))}"
        else:
            self._lose(line, "server", f"shell {_short(shell)}: no such shell here, so the step fails")
            text = f"echo 'line {line}: written for another shell' >&2; false"
        return "\n".join([*head, text]), bool(head)

    @cached_property
    def _is_powershell(self) -> bool:
        """By the look of its steps, where its machine is told by an expression."""
        steps = _flat(self._spec.get("steps", ()))
        return any(_POWERSHELL.search(_text(step.get("run"))) for step in steps if not step.get("shell"))

    def _action(self, step: Mapping[str, Any], line: int) -> None:
        reference = step["uses"]
        action = _action_of(reference)
        given = step.get("with")
        inputs: Mapping[str, Any] = given if isinstance(given, dict) else {}
        if action == "checkout" and not {"repository", "ref", "path"}.intersection(inputs):
            return
        if action in _NEEDLESS:
            return
        if action in _TOOLS:
            tool, key = _TOOLS[action]
            asked = _text(inputs.get(key, ""))
            named = _ENV.fullmatch(asked)
            if named is not None:
                asked = str(self._env.get(named[1], asked))
            self._requires.setdefault(tool, _wanted(asked))
            if has_expression(asked):
                said = f"{key} is {_short(asked)} there: here it is whatever {tool} is found, the same for all"
                self._lose(line, "approximated", said)
            elif not asked and f"{key}-file" in inputs:
                said = f"the version in {_short(_text(inputs[key + '-file']))} is not looked at: any {tool} will do"
                self._lose(line, "approximated", said)
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


def _heading(text: str) -> str:
    return _short(text.replace("${{", "{{"))


def _within(value: Any, path: Sequence[str]) -> Any:
    """None for what is not there."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _action_of(reference: str) -> str:
    return reference.partition("@")[0].rstrip("/").rpartition("/")[2]


def _plain(block: _Block) -> list[str]:
    text = subshell(block.text, block.heading)
    after = ["stagebook_pass_on"] if "GITHUB_ENV" in block.text or "GITHUB_PATH" in block.text else []
    return [f"if {block.test.text}; then", text, *after, "fi"] if block.test.text else [text, *after]


def _told(block: _Block, is_asked: bool) -> list[str]:
    """The same where a later step asks how earlier ones have ended."""
    text = subshell(block.text, block.heading, "set -e\n")
    name = outcome_of(block.id)
    bad = f"{name}=failure" if block.may_fail else f"{name}=failure; {FAILED}=1"
    after = [f"if [ $? -eq 0 ]; then {name}=success; else {bad}; fi"]
    if not is_asked:
        after = [] if block.may_fail else [f"[ $? -eq 0 ] || {FAILED}=1"]
    if "GITHUB_ENV" in block.text or "GITHUB_PATH" in block.text:
        after.append(f"stagebook_pass_on || {FAILED}=1")
    tests = [] if block.test.asks else [f'[ -z "${FAILED}" ]']
    tests += [block.test.text] if block.test.text else []
    return [f"if {' && '.join(tests)}; then", text, *after, "fi"] if tests else [text, *after]


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


def _short(text: str, most: int = 60) -> str:
    plain = " ".join(_printable(text).split())
    return plain if len(plain) <= most else plain[: most - 3] + "..."
