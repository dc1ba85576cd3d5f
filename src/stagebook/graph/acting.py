"""What may act outside, by more words than a map goes by: what is run for a measurement only, a probe or an experiment,
must not pay, send or delete anything. Pure.

A false alarm costs a word of the user here, and a miss what cannot be taken back; a map, which blames a file for a
missing guard, goes by the narrower `intent`. Scripts are not read.
"""

from __future__ import annotations

import re

from stagebook.graph.intent import DEPLOYS, MIGRATES, TESTS, acts_outside, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Iterator

    from stagebook.model.pipeline import Pipeline, Stage

_ACTS = (
    f"{DEPLOYS}|{MIGRATES}|charge|charges|refund|refunds|pay|payout|payouts|notify|notification|notifications|send|"
    "mail|mails|email|emails|sms|announce|tweet|purge|destroy|provision|ship|push"
)
_NAMED = rf"(?:[a-z0-9]+[-_.:])*(?:{_ACTS})(?:[-_.:][a-z0-9]+)*"
_name = words(_ACTS)
_test = words(TESTS)
_hump = re.compile("(?<=[a-z0-9])(?=[A-Z])")

_CHANGES = (
    "create|delete|put|update|start|stop|terminate|reboot|restart|invoke|send|publish|modify|register|deregister|"
    "attach|detach|associate|disassociate|add|remove|import|restore|execute|cancel|revoke|authorize|tag|untag|purge|"
    "promote|upload|rollback|deploy|submit|apply|resize|scale|enable|disable|move|copy"
)
#: Program and what it does, wherever the program stands.
_ANYWHERE = (
    r"(curl)\s(?:.*?\s)?(?:-[#0-46aBfgGiIjJkLlMnNOpqRsSvZ]*X\s*|--request[\s=]+)[\"']?((?i:post|put|patch|delete))\b",
    r"(curl)\s(?:.*?\s)?(--data(?:-\w+)?|--json|--form(?:-string)?|--upload-file|-[#0-46aBfgGiIjJkLlMnNOpqRsSvZ]*[dFT])",
    r"(wget)\s(?:.*?\s)?(--post-\w+|--body-\w+|--method)",
    r"(kubectl|oc)\s(?:.*?\s)?(apply|delete|create|replace|patch|scale|autoscale|rollout|set|edit|annotate|label|exec|cp|"
    r"drain|cordon|uncordon|taint|run|expose)(?=\s|$)",
    r"(helm|helmfile)\s(?:.*?\s)?(install|upgrade|uninstall|delete|rollback|push|apply|sync|destroy)(?=\s|$)",
    r"(terraform|tofu|terragrunt|cdk|cdktf|pulumi|serverless|sls|sam)\s(?:.*?\s)?"
    r"(apply|destroy|import|taint|untaint|up|deploy|remove|run-all)(?=\s|$)",
    rf"(aws|gcloud|az|gsutil|bq|doctl|heroku|oci|ibmcloud|fly|flyctl|vercel|netlify|wrangler|firebase|eb|cf)\s(?:.*?\s)?"
    rf"(rm|cp|sync|rsync|mv|mb|rb|(?:{_CHANGES})(?:-[a-z-]+)?|(?:run|set|batch-write)-[a-z-]+)(?=\s|$)",
    r"(docker|podman|buildah)\s(?:.*?\s)?(push|--push|(?:stack|service) (?:deploy|update|create|rm))(?=\s|$)",
    r"(skopeo|crane|oras|rclone|s3cmd|mc)\s(?:.*?\s)?(copy|cp|delete|sync|push|put|move|mv|rm|del|purge)(?=\s|$)",
    r"(npm|yarn|pnpm|lerna|cargo|poetry|uv|flit|hatch|twine|gem|mvn|mvnw|gradle|gradlew|nuget)\s(?:.*?\s)?"
    r"(publish|unpublish|deprecate|dist-tag|upload|yank|deploy|release\S*)(?=\s|$)",
    r"(gem|nuget)\s(?:.*?\s)?(push)(?=\s|$)",
    r"(gh release|gh (?:pr|issue|repo|workflow|secret|variable|label|gist|run|cache) (?:create|merge|close|reopen|"
    r"comment|edit|review|delete|set|run|rerun|cancel|upload))(?=\s|$)",
    r"(gh api)\s(?:.*?\s)?(-X|--method|-[fF]|--field|--raw-field|--input)",
    r"(git)\s(?:.*?\s)?(?<!stash )(push|send-email)(?=\s|$)",
    r"(ansible|ansible-playbook|semantic-release|goreleaser)(?=\s|$)",
    r"(rsync)\s(?:.*?\s)?(?:rsync://|[\w.@-]+:)()",
    r"(redis-cli)\s(?:.*?\s)?((?i:set|del|flushall|flushdb|publish|expire|lpush|rpush|hset|xadd))(?=\s|$)",
    r"(psql|mysql|mariadb)\s(?:.*?\s)?(-f|--file|<)",
    r"(vercel|netlify|railway|kamal|cap|mina|eas|amplify)\s(?:.*?\s)?(--prod|up|deploy|redeploy|rollback|promote)(?=\s|$)",
    r"(knex|sequelize|sequelize-cli|typeorm|mikro-orm|drizzle-kit|prisma|node-pg-migrate|db-migrate)\s(?:.*?\s)?"
    r"((?:\S*:)?(?:migrate|migrations?|seed|rollback|push)(?::\S+)?|up|down)(?=\s|$)",
    r"(dbmate|goose|sql-migrate|tern|yoyo|aerich|atlas|sqitch|liquibase|flyway|alembic)\s(?:.*?\s)?"
    r"(up|down|apply|upgrade|downgrade|deploy|redo|reset|drop|update|rollback|revert|clean)(?=\s|$)",
    r"(dotnet ef database|mix)\s(update|drop|ecto\.(?:migrate|rollback|drop|reset)\S*)(?=\s|$)",
)
#: Only where a command begins: elsewhere they are words like any other.
_FIRST = (
    r"(ssh|scp|sftp|ftp|lftp|mail|mailx|mutt|sendmail|msmtp|swaks|dropdb|createdb|pg_restore)(?=[\s\"']|$)",
    r"(https?)\s(?:.*?\s)?(POST|PUT|PATCH|DELETE)(?=\s|$)",
    r"(vercel|surge)(?=[\"']?\s*$|\s+-(?!-?(?:version|help|v|h)(?:\s|$)))",
)
_RUNNERS = (
    r"(?:(?:if|then|do|else|elif|while|until|!|\{|sudo|exec|env|time|nohup|command|eval|npx|xargs(?:\s+-\S+)*|\w+=\S*|"
    r"timeout\s+\S+|(?:ba|da|z)?sh(?:\s+-\w+)+|(?:poetry|uv|pipenv|hatch) run|bundle exec|python3? -m)\s+[\"']?)*[\"']?"
    r"(?:[^\s\"']*/)?"
)
_TARGETS = r"(?:make|just|task|rake|invoke|npm run|yarn(?: run)?|pnpm(?: run)?|nox -s|tox -e|\S*gradlew?|python3? -m)"
#: Names that say it: a script, a program, a target. One that says that it tests something does not count.
_CALLED = (
    rf"(?:^|[\s/\"'=])({_NAMED}\.(?:sh|bash|py|js|mjs|ts|rb|pl|php))(?!\w)",
    rf"^{_RUNNERS}({_NAMED})(?=[\s\"']|$)",
    rf"^{_RUNNERS}{_TARGETS}\s(?:.*?\s)?({_NAMED})(?=[\s\"']|$)",
)
#: Clients of databases, and what they are told that changes something.
_SQL = "psql|mysql|mariadb|sqlcmd|sqlplus|snowsql|clickhouse-client|cockroach|mongosh?"
_CHANGES_DATA = "delete|insert|update|drop|truncate|alter|create|grant|merge"
#: These look at a whole script: what a client is told may be several statements, and lines.
_CLIENT = rf"(?:^|[\s\"'/(=;&|`])({_SQL})\s"
_TELLS = rf"(?<![\w-])({_CHANGES_DATA})(?=\s|\w*\()"
_CALLS = r"\b((?:requests|httpx|session)\.(?:post|put|patch|delete)(?=\()|smtplib\b)"
_separators = re.compile(r"[\n;&|()`]+")
_quoted = re.compile(r"\"[^\"]*\"|'[^']*'")
_TEXT_MAX, _PIECE_MAX = 200_000, 4000


def may_act_outside(stage: Stage, gates: Collection[str] = ()) -> str | None:
    """Why a stage may act outside: why it is taken to (`intent.acts_outside`), or by words of its name or command."""
    why = acts_outside(stage, gates)
    if why is not None or stage.kind == "gate":
        return why
    name = _hump.sub("-", stage.name)
    word = None if _test.search(name) else _name.search(name)
    if word is not None:
        return f"its name: {word[1].lower()}"
    said = _reader.of(stage)
    return None if said is None else f"its command: {said}"


def may_outside(pipeline: Pipeline) -> dict[str, str]:
    """The stages that may act outside, each with why."""
    gates = frozenset(stage.id for stage in pipeline.stages if stage.kind == "gate")
    found = ((stage.id, may_act_outside(stage, gates)) for stage in pipeline.stages)
    return {stage: why for stage, why in found if why is not None}


class _Reader:
    """Keeps what commands have been found to say: the cells of a matrix share them."""

    def __init__(self) -> None:
        self.known: dict[object, str | None] = {}
        self.client = re.compile(_CLIENT)
        self.tells = re.compile(_TELLS, re.IGNORECASE)
        self.calls = re.compile(_CALLS)
        self.piece = [re.compile(rf"(?:^|[\s\"'/(=]){each}") for each in _ANYWHERE]
        self.piece += [re.compile(f"^{_RUNNERS}{each}") for each in _FIRST]
        self.called = [re.compile(each, re.IGNORECASE) for each in _CALLED]

    def of(self, stage: Stage) -> str | None:
        if stage.command not in self.known:
            if len(self.known) > 100_000:
                self.known.clear()
            self.known[stage.command] = self._read(stage.command)
        return self.known[stage.command]

    def _read(self, command: str | tuple[str, ...]) -> str | None:
        text = (command if type(command) is str else " ".join(command))[:_TEXT_MAX].replace("\\\n", " ")
        client = self.client.search(text)
        told = None if client is None else self.tells.search(text, client.end())
        if client is not None and told is not None:
            return f"{client[1]} {told[1]}"
        called = self.calls.search(text)
        if called is not None:
            return called[1]
        for piece in dict.fromkeys(_pieces(text, command)):
            for pattern in self.piece:
                found = pattern.search(piece)
                if found is not None:
                    return " ".join(filter(None, found.groups()))
            for pattern in self.called:
                found = pattern.search(piece)
                if found is not None and not _test.search(found[1]):
                    return found[1]
        return None


def _pieces(text: str, command: str | tuple[str, ...]) -> Iterator[str]:
    """The simple commands of a script, once by all that may part them, and once by what is outside of quotes: what
    quotes hold may be a script or an address."""
    yield from (each.strip()[:_PIECE_MAX] for each in _separators.split(text))
    if type(command) is str:
        calm = _quoted.sub(lambda quoted: _separators.sub(" ", quoted[0]), text)
        yield from (each.strip()[:_PIECE_MAX] for each in _separators.split(calm))
    else:
        yield _separators.sub(" ", text)[:_PIECE_MAX]


_reader = _Reader()
