"""Sockets that outlive the recorder, and the address that it names."""

from __future__ import annotations

import socket
from pathlib import Path

from callward.platform.paths import DataPaths
from callward.platform.process import Service
from callward.platform.settings import Settings
from callward.recorder.sockets import close_unused, named_address, take_socket


def service(folder: Path, **stored: socket.socket) -> Service:
    made = Service("recorder", Settings(data=folder), DataPaths(folder))
    made._inherited = {name.replace("_", "-"): found for name, found in stored.items()}
    return made


def test_a_stored_socket_with_what_waits_in_it_is_taken_over(tmp_path: Path) -> None:
    kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    kept.bind(("127.0.0.1", 0))
    port = kept.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"BYE", ("127.0.0.1", port))
    taken = take_socket(service(tmp_path, recorder_udp=kept), "recorder-udp", socket.SOCK_DGRAM, "127.0.0.1", port)
    assert taken.recv(100) == b"BYE"
    taken.close()


def test_a_stored_socket_of_another_address_is_closed_and_a_new_one_opened(tmp_path: Path) -> None:
    old = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    old.bind(("127.0.0.2", 0))
    taken = take_socket(service(tmp_path, recorder_udp=old), "recorder-udp", socket.SOCK_DGRAM, "127.0.0.1", 0)
    assert old.fileno() == -1
    assert taken.getsockname()[0] == "127.0.0.1"
    taken.close()


def test_sockets_that_are_not_wanted_any_more_are_closed(tmp_path: Path) -> None:
    old = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    close_unused(service(tmp_path, recorder_tcp=old))
    assert old.fileno() == -1


def test_the_unspecified_address_is_never_named() -> None:
    assert named_address("192.0.2.5") == "192.0.2.5"
    assert named_address("0.0.0.0") != "0.0.0.0"
    assert named_address("::") != "::"
