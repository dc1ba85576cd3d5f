"""Make the pictures in docs/pictures anew: a small release that fails, run by the installed command, and the map of a
release, their pages seen by Chromium in light and dark.

    .venv/bin/python tools/screenshots.py [FOLDER]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
CHROMIUM = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
]  # fmt: skip
SCHEMES = ("light", "dark")
PIPELINE = """\
version: 1
name: release
limits: {jobs: 4}
pools: {db: 1}
stages:
  checkout:    sleep 0.3
  lint:        {run: sleep 0.8, needs: checkout, priority: 3}
  unit:
    run: timeout 1.9 sh -c 'while :; do :; done' || true
    needs: checkout
    priority: 3
    matrix: {python: ["3.11", "3.13"]}
  build:       {run: "sleep 0.6; timeout 1.1 sh -c 'while :; do :; done' || true", needs: checkout, priority: 9}
  scan:        {run: sleep 0.8, needs: checkout}
  docs:        {run: sleep 0.5, needs: checkout}
  image:       {run: sleep 0.9, needs: build, priority: 5}
  migrate:     {run: sleep 1.1, needs: build, resources: {pools: {db: 1}}, priority: 5}
  package:     {run: sleep 0.4, needs: build}
  e2e:
    run: if [ "$STAGEBOOK_ATTEMPT" = 1 ]; then sleep 0.6; echo "checkout with voucher timed out"; exit 1; fi; sleep 1.8
    needs: image
    retry: {attempts: 2, backoff: 200ms}
    priority: 4
  contract:    {run: sleep 0.8, needs: image}
  integration:
    run: |
      i=0; while [ $i -lt 1199 ]; do i=$((i + 1)); echo "tests/integration/test_orders.py::test_$i PASSED"; done
      sleep 2.4
      cat <<'END'
      tests/integration/test_orders.py::test_refund_is_idempotent FAILED
      ________________ test_refund_is_idempotent ________________
      >   row = db.execute(SELECT_ORDER, [order_id]).one()
      E   sqlalchemy.exc.NoResultFound: No row was found when one was required
      ==== 1 failed, 1199 passed in 2.42s ====
      END
      exit 1
    needs: [image, lint]
    resources: {pools: {db: 1}}
    priority: 4
  deploy-staging: {run: "true", needs: integration}
  smoke:       {run: "true", needs: deploy-staging}
  deploy:      {run: "true", needs: smoke}
  cleanup:     {run: sleep 0.2, needs: deploy, always: true}
"""
MAP = """\
version: 1
name: release
pools: {db: 1}
stages:
  checkout:    {run: git clone . work, outputs: [work/**], duration: 9s}
  lint:        {run: ruff check, inputs: [work/**], duration: 38s}
  unit:
    run: pytest -q tests/unit
    inputs: [work/**]
    matrix: {python: ["3.11", "3.13"]}
    duration: 131s
  build:       {run: python -m build, inputs: [work/**], outputs: [dist/*.whl], duration: 107s}
  scan:        {run: trivy fs work, inputs: [work/**], duration: 51s}
  docs:        {run: mkdocs build, inputs: [work/**], outputs: [site/**], duration: 32s}
  package:     {run: make deb, needs: unit, inputs: [dist/*.whl], outputs: [deb/*], duration: 23s}
  image:       {run: docker build ., inputs: [dist/*.whl], outputs: [image.tar], duration: 58s}
  schema:
    run: python -m shop.schema
    inputs: [dist/*.whl]
    outputs: [schema.sql]
    resources: {pools: {db: 1}}
    duration: 17s
  integration:
    run: pytest -q tests/integration
    needs: image
    inputs: [dist/*.whl, schema.sql]
    resources: {pools: {db: 1}}
    duration: 158s
  e2e:         {run: pytest -q tests/e2e > out.log, inputs: [image.tar], duration: 117s}
  contract:    {run: pytest -q tests/contract > out.log, inputs: [image.tar], duration: 52s}
  staging:     {run: ./deploy.sh staging, needs: [lint, unit, integration, e2e, package], duration: 48s}
  smoke:       {run: ./smoke.sh, needs: staging, duration: 25s}
  approve:     {gate: {prompt: "Ship it?"}, needs: smoke}
  deploy:      {run: ./deploy.sh production, needs: approve, retry-safe: false, duration: 61s}
  cleanup:     {run: ./teardown.sh, needs: deploy, always: true, duration: 7s}
"""


def main(words: list[str]) -> int:
    goal = Path(words[0]) if words else PICTURES
    goal.mkdir(parents=True, exist_ok=True)
    command = str(Path(sys.executable).with_name("stagebook"))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "stagebook.yaml").write_text(PIPELINE)
        subprocess.run([command, "run", "--quiet"], cwd=folder, check=False, stdout=subprocess.DEVNULL)
        page = subprocess.check_output([command, "timeline", "last", "--format", "html"], cwd=folder, text=True).strip()
        other = Path(folder) / "map"  # of which no run is on record
        other.mkdir()
        (other / "stagebook.yaml").write_text(MAP)
        drawn = str(other / "map.html")
        subprocess.run([command, "map", "--quiet", "--format", "html", "-o", drawn], cwd=other, check=True)
        for name, shown in (("page", page), ("map", drawn)):
            for scheme in SCHEMES:
                picture = goal / f"{name}-{scheme}.png"
                _shoot(shown, picture, scheme)
                print(f"{picture}: {picture.stat().st_size // 1024} KiB")
    return 0


def _shoot(page: str, goal: Path, scheme: Any) -> None:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 800}, offline=True)
        tab = context.new_page()
        tab.goto(Path(page).as_uri())
        tab.wait_for_timeout(300)
        tab.screenshot(path=str(goal))
        browser.close()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
