"""What may act outside, by the wider words that a probe and an experiment go by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.graph.test_findings import pipeline, stage

from stagebook.formats.native.read import load
from stagebook.graph.acting import may_act_outside, may_outside
from stagebook.graph.findings import acts_outside, outside

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("run", "why"),
    [
        ("curl -X POST https://pay.example/charges", "curl POST"),
        ("curl -sSXDELETE https://x.example/1", "curl DELETE"),
        ("curl --request=put https://x.example/1", "curl put"),
        ("curl -X 'PATCH' https://x.example/1", "curl PATCH"),
        ("curl 'https://x.example/?a=1&b=2' \\\n  -X POST", "curl POST"),
        ("curl https://x.example -d @body.json", "curl -d"),
        ("curl https://x.example --data-binary @body.json", "curl --data-binary"),
        ("curl -T x.tar https://x.example", "curl -T"),
        (("curl", "https://x.example/?a&b", "-d", "x"), "curl -d"),
        ("wget --post-data=a=1 https://x.example", "wget --post-data"),
        ("http POST x.example a=1", "http POST"),
        ("kubectl -n shop delete pod x", "kubectl delete"),
        ("kubectl apply -f x.yaml", "kubectl apply"),
        ("terraform -chdir=infra destroy -auto-approve", "terraform destroy"),
        ("helm -n x uninstall shop", "helm uninstall"),
        ("aws --profile x s3 rm s3://bucket --recursive", "aws rm"),
        ("aws s3 cp x s3://bucket", "aws cp"),
        ("aws ec2 terminate-instances --instance-ids i-1", "aws terminate-instances"),
        ("gcloud run services update shop", "gcloud update"),
        ("gcloud compute instances create x", "gcloud create"),
        ("az group delete -n x", "az delete"),
        ('psql -h db -c "delete from orders; select 1"', "psql delete"),
        ("psql shop <<END\nDROP TABLE orders;\nEND", "psql DROP"),
        ("mysql -e 'UPDATE orders SET x = 1'", "mysql UPDATE"),
        ("mysql shop < fill.sql", "mysql <"),
        ("psql -f fill.sql", "psql -f"),
        ("cd x && ssh host reboot", "ssh"),
        (("sh", "-c", "cd x && ssh host reboot"), "ssh"),
        ("sh -c 'ssh host reboot'", "ssh"),
        ("if true; then scp x host:y; fi", "scp"),
        ("rsync -a dist/ user@host:/srv", "rsync"),
        ("docker push registry/x", "docker push"),
        ("docker buildx build --push .", "docker --push"),
        ("npm --workspace a publish", "publish"),
        ("python3 -m twine upload dist/*", "upload"),
        ("gh release create v1", "gh release"),
        ("gh pr merge 12", "gh pr merge"),
        ("git -C x push --tags", "git push"),
        ("ansible-playbook site.yml", "ansible-playbook"),
        ("echo done | mail -s done me@x.example", "mail"),
        ("/usr/sbin/sendmail -t < x", "sendmail"),
        ("python3 -c 'import requests; requests.post(url)'", "requests.post"),
        ("python3 tools/send_invoices.py", "send_invoices.py"),
        ("./refund.sh", "refund.sh"),
        ("make -C x notify", "notify"),
        ("npm run send-mail", "send-mail"),
        ("npx knex migrate:latest", "knex migrate:latest"),
        ("npx prisma db push", "prisma push"),
        ("npx typeorm migration:run", "typeorm migration:run"),
        ("dbmate up", "dbmate up"),
        ("goose -dir x postgres up", "goose up"),
        ("atlas schema apply", "atlas apply"),
        ("dotnet ef database update", "dotnet ef database update"),
        ("mix ecto.migrate", "mix ecto.migrate"),
        ("vercel --prod", "vercel --prod"),
        ("npx vercel", "vercel"),
        ("railway up", "railway up"),
        ("tools.billing:charge_all", "tools.billing:charge_all"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["x", "tests"])
def test_a_command_that_may_act_outside(name: str, run: Any, why: str) -> None:
    said = str(may_act_outside(stage(name, run=run)))
    assert said.startswith("its command: ") and said.endswith(f" {why}")


@pytest.mark.parametrize("name", ["charge", "refund-orders", "pay", "notifyTeam", "send_mail", "notifications"])
def test_a_name_that_may_act_outside(name: str) -> None:
    assert str(may_act_outside(stage(name, run="./x"))).startswith("its name: ")
    assert acts_outside(stage(name, run="./x")) is None


@pytest.mark.parametrize(
    "run",
    [
        "curl -fsSL https://x.example -o x.tar", "curl -sf http://localhost:1/health && docker run -d x",
        "kubectl get pods", "terraform plan", "helm template x", "aws s3 ls", "gcloud config list", "az login",
        "psql -c 'select updated from deleted'", "ssh-keygen -t ed25519", "rsync -a a/ b/", "docker build .",
        "docker run -v a:b x", "npm ci", "npm run build", "twine check dist/*", "git pull", "apt-get install ssh mail",
        "pytest tests/test_send.py", "python3 payments.py receive", "echo send pay notify", "gh pr view 1",
        "python3 -m unittest", "make payload", "cat mail.txt", "./spaying.sh", "rm -rf build",
        "dbmate status", "npx prisma generate", "vercel --version", "vercel build",
    ],
)  # fmt: skip
def test_what_only_reads_or_stays_here_is_not_said_to(run: str) -> None:
    assert may_act_outside(stage("x", run=run)) is None


def test_a_test_of_what_acts_outside_is_told_by_its_command_alone() -> None:
    assert may_act_outside(stage("test-notify", run="pytest")) is None
    assert may_act_outside(stage("verify-deployment", run="pytest")) is None


def test_all_that_is_taken_for_a_deployment_may_act_outside_and_the_map_is_told_no_more_than_before() -> None:
    made = pipeline(
        stage("ask", kind="gate"), stage("go", "ask"), stage("pays", retry_safe=False), stage("deploy"),
        stage("order", run="curl -d x y"), stage("send"),
    )  # fmt: skip
    assert outside(made).items() < may_outside(made).items()
    assert may_outside(made).keys() - outside(made).keys() == {"order", "send"}


@pytest.mark.parametrize("file", sorted(ROOT.glob("examples/*/stagebook.yaml")), ids=lambda file: file.parent.name)
def test_examples_that_do_nothing_outside_are_not_said_to(file: Path) -> None:
    made = load(str(file), None)
    assert may_outside(made) == outside(made)
