"""Services beside a job: each started before its steps, by the command that the settings name for its image or in a
container where an engine for them is present, and ended after them.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
from time import monotonic

from stagebook.model.problem import SurroundingsError
from stagebook.model.value import NamedTuple
from stagebook.runner import images, log, shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

READY_S = 60.0
_LOOK_S = 0.05
ENGINES = ("docker", "podman")


class Service(NamedTuple):
    """`ports`: `5432`, `5432:5432` or `127.0.0.1:5432:5432/tcp`. `argv` goes after the image's own entrypoint."""

    name: str
    image: str
    env: Mapping[str, str] = {}
    ports: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()


class Services:
    """Those of one job. `folder` is where they run, and where what they say is kept."""

    def __init__(self, folder: str, settings: Mapping[str, Any], env: Mapping[str, str], stop: shell.Stop) -> None:
        self._folder = folder
        self._settings = settings
        self._env = env
        self._stop = stop
        self._started: list[tuple[Service, subprocess.Popen[bytes]]] = []
        self._containers: list[tuple[str, str]] = []

    def start(self, service: Service) -> None:
        """Start it and wait until it is ready. Raises SurroundingsError, which says what to do."""
        known = images.command(self._settings, service.image)
        if known is not None and not known.argv:
            log.say(f"service {service.name}: taken as running on this machine already")
            return
        if known is not None:
            self._native(service, known)
            return
        engine = next((found for each in ENGINES if (found := shutil.which(each, path=self._env.get("PATH")))), None)
        if engine is None:
            raise SurroundingsError(
                f"service {service.name}: nothing here stands for image {service.image}, and there is no docker or "
                f'podman; name a command: [images] "{service.image}" = {{command = "…", ready = PORT}} in '
                "stagebook.toml"
            )
        self._contained(service, engine)

    def close(self) -> None:
        """End all of them, the last first."""
        for _, process in reversed(self._started):
            _end(process)
            self._stop.groups.discard(process.pid)
        for engine, name in self._containers:
            _quietly((engine, "rm", "-f", name), self._env)
        self._started, self._containers = [], []

    def _native(self, service: Service, known: images.Command) -> None:
        os.makedirs(self._folder, 0o700, exist_ok=True)
        said = os.path.join(self._folder, f"{len(self._started)}.log")
        env = {**self._env, **service.env, **known.env}
        if known.ready is not None and _answers(known.ready):
            raise SurroundingsError(
                f"service {service.name}: port {known.ready} is taken on this machine already; end what has it, or map "
                f'"{service.image}" to "" in [images] to use that'
            )
        with open(said, "wb") as out:
            process = shell.start((*known.argv, *service.argv), env, self._folder, out.fileno())
        self._started.append((service, process))
        self._stop.groups.add(process.pid)
        if known.ready is not None:
            self._await(service, process, known.ready, said)
        port = f" on port {known.ready} of localhost" if known.ready is not None else ""
        log.say(f"service {service.name}: {known.argv[0]} runs{port}, for image {service.image}")

    def _await(self, service: Service, process: subprocess.Popen[bytes], port: int, said: str) -> None:
        ends_s = monotonic() + READY_S
        handle = os.pidfd_open(process.pid)
        try:
            while not _answers(port):
                over = bool(select.select((handle,), (), (), _LOOK_S)[0])
                if over or monotonic() > ends_s or self._stop.is_asked:
                    why = f"ended with exit {process.wait()}" if over else f"does not answer on port {port}"
                    raise SurroundingsError(f"service {service.name} {why}: {_end_of(said)}")
        finally:
            os.close(handle)

    def _contained(self, service: Service, engine: str) -> None:
        name = f"stagebook-{os.getpid()}-{len(self._containers)}"
        words = [engine, "run", "-d", "--rm", "--name", name]
        for port in service.ports:
            words += ["-p", port if ":" in port else f"{port}:{port}"]
        env = {**self._env, **service.env}
        for variable in service.env:
            words += ["-e", variable]
        if service.entrypoint:
            words += ["--entrypoint", service.entrypoint[0]]
        words += [service.image, *service.entrypoint[1:], *service.argv]
        self._containers.append((engine, name))
        done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
            raise SurroundingsError(f"service {service.name}: {os.path.basename(engine)} cannot run it: {said[-1]}")
        for port in service.ports:
            self._await_port(service, port)
        log.say(f"service {service.name}: runs as container {name}")

    def _await_port(self, service: Service, port: str) -> None:
        outer = port.split("/")[0].split(":")[-2 if ":" in port else -1]
        ends_s = monotonic() + READY_S
        while outer.isdecimal() and not _answers(int(outer)):
            if monotonic() > ends_s or self._stop.is_asked:
                raise SurroundingsError(f"service {service.name} does not answer on port {outer}")
            select.select((), (), (), _LOOK_S)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    for number, wait_s in ((signal.SIGTERM, shell.GRACE_S), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass
        try:
            process.wait(wait_s)
            return
        except subprocess.TimeoutExpired:
            continue


def _quietly(words: tuple[str, ...], env: Mapping[str, str]) -> None:
    subprocess.run(
        words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )


def _end_of(path: str) -> str:
    with open(path, "rb") as file:
        lines = file.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
