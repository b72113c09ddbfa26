"""Starting one child process with inherited descriptors at fixed numbers, tied to our life.

`subprocess` cannot place descriptors at 3, 4, 5 ... as sd_listen_fds(3) wants them, nor tell the child its own pid before exec;
so the supervisor, which has one thread only, forks by itself.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from callward.platform.notify import FIRST_DESCRIPTOR

STORED_DESCRIPTORS_FROM = 8192
"""Stored descriptors are kept above this number, so that they never stand where a child's are placed."""


def raise_descriptor_limit() -> int:
    """Allow as many open files as the system lets us; returns the first number for stored descriptors.

    Where the limit is low, half of it is for stored descriptors: then at most as many can be handed to a child.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(STORED_DESCRIPTORS_FROM, hard // 2)


_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_EXIT_CANNOT_EXEC = 127


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: arguments, environment, user, and the signal that it gets when we die."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    user: pwd.struct_passwd | None = None
    death_signal: int = signal.SIGTERM
    descriptors: Sequence[tuple[str, int]] = ()
    """Descriptors to hand over, with their names (LISTEN_FDNAMES)."""
    output: int | None = None
    """Where standard output and error go; ours when None."""


def start(program: Program) -> int:
    """Fork and exec; returns the pid. A program that cannot be executed ends with status 127."""
    supervisor = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        _become(program, supervisor)
    except BaseException as error:
        os.write(2, f"cannot start {program.arguments[0]}: {error}\n".encode())
    finally:
        os._exit(_EXIT_CANNOT_EXEC)


def _become(program: Program, supervisor: int) -> None:
    """In the child: set everything up and exec. Never returns normally."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.setpgid(0, 0)  # a Ctrl-C in the terminal goes to the supervisor, which stops the others in order
    environment = dict(program.environment)
    if program.descriptors:
        for offset, (_, descriptor) in enumerate(program.descriptors):
            os.dup2(descriptor, FIRST_DESCRIPTOR + offset, inheritable=True)
        environment["LISTEN_PID"] = str(os.getpid())
        environment["LISTEN_FDS"] = str(len(program.descriptors))
        environment["LISTEN_FDNAMES"] = ":".join(name for name, _ in program.descriptors)
    if program.output is not None:
        os.dup2(program.output, 1, inheritable=True)
        os.dup2(program.output, 2, inheritable=True)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0, inheritable=True)
    if program.user is not None:
        os.setgroups([])
        os.setgid(program.user.pw_gid)
        os.setuid(program.user.pw_uid)
        os.chdir("/")
    _LIBC.prctl(_PR_SET_PDEATHSIG, program.death_signal, 0, 0, 0)
    if os.getppid() != supervisor:
        os._exit(0)  # the supervisor died between fork and prctl
    os.execve(program.arguments[0], list(program.arguments), environment)
