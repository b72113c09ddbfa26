"""`callward up`: all of Callward on one machine under a small supervisor, with embedded PostgreSQL and a folder for blobs."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import shutil
import signal
import sys
from pathlib import Path

import typer

from callward.access.service import FirstSignIn, ensure_first_administrator
from callward.cli.settings_option import config_file, settings
from callward.demo.first_call import DemoNotHeardError, place_and_wait
from callward.demo.recording_client import DemoCallError
from callward.media.program import media_program
from callward.platform import machine_metrics
from callward.platform.database import Database
from callward.platform.health import HealthServer
from callward.platform.lock import AlreadyRunningError, only_one
from callward.platform.migrate import migrate
from callward.platform.paths import DataPaths
from callward.platform.ports import ports
from callward.platform.postgres import EmbeddedPostgres, locate
from callward.platform.settings import Settings
from callward.platform.supervisor import ChildFailedError, ChildSpec, Supervisor
from callward.platform.telemetry import configure_logs, logger
from callward.provisioning.service import ensure_first_organisation, publish_snapshot

ANSWERING = ("recorder", "seal", "worker", "portal")
"""Children that answer on a health socket of their own; the media process is asked by the recorder."""


def run_up(public: str | None, demo: bool) -> None:
    """Start everything, print READY, and stay until a signal comes."""
    if public is not None:
        _make_public(public)
    found = settings()
    paths = DataPaths(found.data)
    paths.create()
    configure_logs(found.log, "up")
    try:
        with only_one(found.data):
            _check_ports(found)
            asyncio.run(_Machine(found, paths).run(demo))
    except (AlreadyRunningError, ChildFailedError, DemoCallError, DemoNotHeardError) as error:
        typer.echo(f"callward: {error}", err=True)
        raise typer.Exit(1) from None


def _make_public(address: str) -> None:
    """Bind to and advertise `address`: as settings of this run, inherited by all children."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        typer.echo(f"callward: --public {address}: not an IP address", err=True)
        raise typer.Exit(2) from None
    for name in ("PORTAL__HOST", "RECORDER__HOST", "RECORDER__ADVERTISED_ADDRESS", "MEDIA__ADDRESS"):
        os.environ.setdefault(f"CALLWARD_{name}", address)


def _check_ports(found: Settings) -> None:
    """Say at once which ports are taken, before anything is started."""
    taken = [(port, why) for port in ports(found) if (why := port.refusal()) is not None]
    for port, why in taken:
        typer.echo(
            f"callward: port {port.number} on {port.host} ({port.what}): {why}: {port.remedy(why)}",
            err=True,
        )
    if taken:
        raise typer.Exit(1)


class _Machine:
    """One machine with everything on it, from start to stop."""

    def __init__(self, found: Settings, paths: DataPaths) -> None:
        self.settings = found
        self.paths = paths
        self.supervisor = Supervisor(paths.runtime)
        self.stopping = asyncio.Event()
        self.postgres: EmbeddedPostgres | None = None

    async def run(self, demo: bool) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self.stopping.set)
        server = HealthServer(self._readiness, self._metrics)
        try:
            await server.listen_tcp(self.settings.metrics.host, self.settings.metrics.port)
            work = asyncio.create_task(self._start(demo))
            stop = asyncio.create_task(self.stopping.wait())
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                await stop
            else:
                work.cancel()
        except OSError as error:
            typer.echo(f"callward: metrics port {self.settings.metrics.port}: {error.strerror}", err=True)
            raise typer.Exit(1) from None
        finally:
            await server.close()
            await self.supervisor.stop()
            if self.postgres is not None:
                self.postgres.remove_socket_folder()
            shutil.rmtree(self.paths.runtime, ignore_errors=True)

    async def _start(self, demo: bool) -> None:
        url = await self._start_database()
        done = await asyncio.to_thread(migrate, url)
        if done:
            logger.info("migrated", to=done[-1])
        database = Database(url, pool_size=2)
        try:
            first = await ensure_first_administrator(database, password_known=self.paths.first_sign_in.exists())
            if first is not None:
                self._write_first_sign_in(first)
            await ensure_first_organisation(database, "Demo organisation" if demo else "My organisation")
            await publish_snapshot(database, self.paths)
            await self._start_services(url)
            if demo:
                await place_and_wait(self.settings, database)
        finally:
            await database.close()
        typer.echo(" ".join(["READY", self._portal_address(), *self._sign_in_words()]))
        sys.stdout.flush()

    async def _start_database(self) -> str:
        own = self.settings.database.url
        if own is not None:
            return own.get_secret_value()
        self.postgres = server = await asyncio.to_thread(locate, self.settings.data)
        child = self.supervisor.add(
            ChildSpec(
                "postgres",
                tuple(server.command),
                {"PGDATA": str(server.data)},
                user=server.user,
                notifies=False,
                probe=server.accepts,
                stop_signal=signal.SIGINT,
                before_start=server.prepare,
            )
        )
        await child.wait_ready()
        await asyncio.to_thread(server.ensure_database)
        return server.url

    async def _start_services(self, url: str) -> None:
        environment = {"CALLWARD_DATA": str(self.settings.data), "CALLWARD_DATABASE__URL": url}
        file = config_file()
        if file is not None:
            environment["CALLWARD_CONFIG"] = str(file.absolute())
        media_program()
        program = str(Path(sys.executable).with_name("callward"))
        for name in ("media", *ANSWERING):
            child = self.supervisor.add(ChildSpec(name, (program, name), environment))
            if name == "media":
                await child.wait_ready()
        for name in ANSWERING:
            await self.supervisor.children[name].wait_ready()

    def _write_first_sign_in(self, first: FirstSignIn) -> None:
        text = f"address: {self._portal_address()}\nuser: {first.user_name}\npassword: {first.password}\n"
        descriptor = os.open(self.paths.first_sign_in, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)

    def _sign_in_words(self) -> list[str]:
        try:
            lines = self.paths.first_sign_in.read_text().splitlines()
        except FileNotFoundError:
            return []
        found = dict(line.split(": ", 1) for line in lines if ": " in line)
        return [found.get("user", ""), found.get("password", "")]

    def _portal_address(self) -> str:
        portal = self.settings.portal
        host = f"[{portal.host}]" if ":" in portal.host else portal.host
        return portal.public_url or f"http://{host}:{portal.port}"

    async def _readiness(self) -> dict[str, object]:
        return await machine_metrics.readiness(self.paths.runtime, list(ANSWERING), self._states)

    async def _metrics(self) -> bytes:
        return await machine_metrics.scrape(self.paths.runtime, list(ANSWERING))

    def _states(self) -> dict[str, str]:
        return {name: child.state for name, child in self.supervisor.children.items()}
