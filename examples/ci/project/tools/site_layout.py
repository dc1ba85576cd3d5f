"""Where releases live on the "server", a directory, and a real HTTP server on one of them.

SITE/releases/VERSION-COMMIT/   one release: the unpacked wheel, and its name in RELEASE
SITE/candidate, SITE/current    symbolic links to releases; current is what customers get
"""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile

PYTHON = sys.executable or "python3"  # with no PATH at all Python cannot tell where it is


def point(link, release):
    """Makes the link point at a release in one step: at no instant is there none."""
    new = f"{link}.new-{os.getpid()}"
    os.symlink(os.path.relpath(release, os.path.dirname(link)), new)
    os.replace(new, link)


@contextlib.contextmanager
def served(link):
    """Serves the release behind a link, on a free port and a database of its own; gives a function that asks it."""
    link = os.path.abspath(link)
    with open(os.path.join(link, "RELEASE"), encoding="utf-8") as file:
        release = file.read().strip()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [PYTHON, "-m", "shop", "--database", os.path.join(folder, "shop.db"), "--release", release],
            cwd=link,
            env={**os.environ, "PYTHONPATH": link},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            port = int(server.stdout.readline().split()[-1])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

            def ask(method, path, value=None):
                connection.request(method, path, None if value is None else json.dumps(value))
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())

            yield ask
            connection.close()
        finally:
            server.terminate()
            server.wait(10)
            server.stdout.close()
