"""Folder and S3 stores: what is there is what was given, or there is an error (fault 9)."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from callward.platform.blobs import (
    BlobChecksumError,
    BlobKeyError,
    BlobNotFoundError,
    BlobStore,
    BlobStoreError,
    check_key,
)
from callward.platform.blobs_folder import FolderStore
from callward.platform.blobs_s3 import S3Store

KEY = "01KR0000000000000000000001/master"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    boto3.client(
        "s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    ).create_bucket(Bucket="calls")
    yield address
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "folder":
        return FolderStore(tmp_path / "blobs")
    address = request.getfixturevalue("s3_address")
    return S3Store("calls", address, None, "a", "b", tmp_path.name, part_bytes=5 << 20)


def test_put_read_replace_list_delete(store: BlobStore, tmp_path: Path) -> None:
    data = os.urandom(100_000)
    store.put(KEY, data, digest(data))
    assert store.size(KEY) == len(data) and store.exists(KEY)
    assert store.read(KEY, 10, 20) == data[10:30]
    assert store.read(KEY, 99_990, 100) == data[99_990:]
    assert store.read(KEY, 200_000, 10) == b""
    path = tmp_path / "new"
    path.write_bytes(b"new")
    store.put(KEY, path, digest(b"new"))
    assert store.read(KEY, 0, 10) == b"new"
    store.put("01KR0000000000000000000001/peaks", b"p", digest(b"p"))
    assert list(store.keys("01KR0000000000000000000001/")) == [
        KEY.replace("master", name) for name in ("master", "peaks")
    ]
    store.delete(KEY)
    store.delete(KEY)
    assert not store.exists(KEY)
    with pytest.raises(BlobNotFoundError):
        store.read(KEY, 0, 1)


def test_a_wrong_checksum_is_found(store: BlobStore) -> None:
    with pytest.raises(BlobChecksumError):
        store.put(KEY, b"data", digest(b"other"))


def test_large_objects_go_in_parts(s3_address: str, tmp_path: Path) -> None:
    store = S3Store("calls", s3_address, None, "a", "b", part_bytes=5 << 20)
    path = tmp_path / "large"
    path.write_bytes(os.urandom((5 << 20) + 12345))
    store.put(KEY, path, digest(path.read_bytes()))
    assert store.size(KEY) == path.stat().st_size


def test_fault_26_keys_are_opaque_only() -> None:
    for key in ("../x", "/x", "a//b", "a/../b", "a\0b", "", "a" * 65, "a/b/c/d/e", ".x", "a\r\n", "a b", "CON:"):
        with pytest.raises(BlobKeyError):
            check_key(key)


@given(st.text(max_size=40))
def test_fault_26_no_text_leaves_the_folder(text: str) -> None:
    store = FolderStore(Path("/nonexistent/blobs"))
    try:
        path = store._path(text)
    except BlobKeyError:
        return
    assert path.is_relative_to("/nonexistent/blobs") and len(path.relative_to("/nonexistent/blobs").parts) == 3


def test_fault_4_a_half_written_object_is_never_seen(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put(KEY, b"old", digest(b"old"))
    with pytest.raises(BlobChecksumError):
        store.put(KEY, b"half", digest(b"whole"))
    assert store.read(KEY, 0, 10) == b"old" and list(store.keys("")) == [KEY]


class Liar:
    """A store that answers 200 and keeps something else (fault 9)."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.body = b""
        self.server = make_server("127.0.0.1", 0, Request.application(self.answer), threaded=True)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def answer(self, request: Request) -> Response:
        if self.mode == "503":
            return Response("<Error><Code>SlowDown</Code></Error>", 503)
        if request.method == "PUT":
            self.body = request.get_data()
            etag = hashlib.md5(self.body).hexdigest()
            return Response("", 200, {"ETag": f'"{etag}"'})
        if self.mode == "empty":
            return Response("", 200)
        if self.mode == "flipped":
            return Response(bytes([self.body[0] ^ 1]) + self.body[1:], 200)
        if self.mode == "longer":
            return Response(self.body + b"x", 200)
        return Response(self.body[:-1], 200)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()


@pytest.mark.parametrize("mode", ["empty", "flipped", "shorter", "longer", "503"])
def test_fault_9_a_store_that_lies_or_fails_is_not_believed(mode: str) -> None:
    liar = Liar(mode)
    try:
        store = S3Store("calls", f"http://127.0.0.1:{liar.server.port}", None, "a", "b", read_timeout_s=2)
        with pytest.raises(BlobStoreError):
            store.put(KEY, b"data of a call", digest(b"data of a call"))
    finally:
        liar.close()


def test_fault_9_a_store_that_is_away_is_an_error_soon() -> None:
    store = S3Store("calls", "http://127.0.0.1:9", None, "a", "b", connect_timeout_s=0.5)
    with pytest.raises(BlobStoreError):
        store.put(KEY, b"x", digest(b"x"))
