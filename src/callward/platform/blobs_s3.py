"""Blobs in S3 or what speaks like it. An answer 200 proves nothing: size and SHA-256 are asked for and compared each time."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import boto3.s3.transfer
import botocore.config
import botocore.exceptions

from callward.platform.blobs import BlobChecksumError, BlobNotFoundError, BlobStoreError, check_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 16 << 20
"""Larger objects go in parts of this size, each with a checksum of its own."""
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60
_NOT_FOUND = frozenset({"404", "NoSuchKey", "NotFound"})


class S3Store:
    """Objects in a bucket. See `BlobStore`."""

    def __init__(
        self,
        bucket: str,
        endpoint_url: str | None = None,
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        prefix: str = "",
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self.bucket = bucket
        self.prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._part_bytes = part_bytes
        self._client: S3Client = boto3.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=region or "us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=botocore.config.Config(
                connect_timeout=connect_timeout_s,
                read_timeout=read_timeout_s,
                retries={"total_max_attempts": 1},  # who calls retries, with jitter and in order
                max_pool_connections=16,
                s3={"addressing_style": "path"} if endpoint_url else {},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def put(self, key: str, source: Path | bytes, sha256: str) -> None:
        name = self._name(key)
        with _talking(key):
            size = len(source) if isinstance(source, bytes) else source.stat().st_size
            if size > self._part_bytes:
                self._put_parts(name, source, sha256, size)
            else:
                body = source if isinstance(source, bytes) else source.read_bytes()
                self._client.put_object(
                    Bucket=self.bucket,
                    Key=name,
                    Body=body,
                    ContentLength=size,
                    ContentMD5=base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
                    Metadata={"sha256": sha256},
                )
            self._verify(key, name, sha256, size)

    def _put_parts(self, name: str, source: Path | bytes, sha256: str, size: int) -> None:
        upload = self._client.create_multipart_upload(Bucket=self.bucket, Key=name, Metadata={"sha256": sha256})
        target: dict[str, Any] = {"Bucket": self.bucket, "Key": name, "UploadId": upload["UploadId"]}
        try:
            parts = []
            for number, start in enumerate(range(0, size, self._part_bytes), 1):
                body = _piece(source, start, self._part_bytes)
                digest = hashlib.md5(body, usedforsecurity=False)
                answer = self._client.upload_part(
                    **target,
                    PartNumber=number,
                    Body=body,
                    ContentMD5=base64.b64encode(digest.digest()).decode(),
                )
                parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            self._client.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})  # type: ignore[typeddict-item]
        except Exception:
            with _quiet():
                self._client.abort_multipart_upload(**target)
            raise

    def _verify(self, key: str, name: str, sha256: str, size: int) -> None:
        """Read the object back: the only proof that does not rest on what the store says about itself."""
        answer = self._client.get_object(Bucket=self.bucket, Key=name)
        digest, count = hashlib.sha256(), 0
        for chunk in answer["Body"].iter_chunks(1 << 20):
            digest.update(chunk)
            count += len(chunk)
            if count > size:
                break
        if count != size or digest.hexdigest() != sha256:
            raise BlobChecksumError(
                f"{key}: the store holds {count} bytes with the checksum {digest.hexdigest()}, not {size} with {sha256}"
            )

    def size(self, key: str) -> int:
        with _talking(key):
            return int(self._client.head_object(Bucket=self.bucket, Key=self._name(key))["ContentLength"])

    def read(self, key: str, start: int, length: int) -> bytes:
        if length <= 0:
            return b""
        with _talking(key):
            try:
                answer = self._client.get_object(
                    Bucket=self.bucket, Key=self._name(key), Range=f"bytes={start}-{start + length - 1}"
                )
            except botocore.exceptions.ClientError as error:
                if _code(error) in ("InvalidRange", "416"):
                    return b""
                raise
            data = answer["Body"].read(length + 1)
            if len(data) > length:
                raise BlobStoreError(f"{key}: the store does not honour byte ranges")
            return data

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except BlobNotFoundError:
            return False
        return True

    def delete(self, key: str) -> None:
        with _talking(key):
            self._client.delete_object(Bucket=self.bucket, Key=self._name(key))

    def keys(self, prefix: str) -> Iterator[str]:
        with _talking(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + prefix
            )
            for page in pages:
                for entry in page.get("Contents", []):
                    yield entry["Key"][len(self.prefix) :]

    def _name(self, key: str) -> str:
        return self.prefix + check_key(key)


def _piece(source: Path | bytes, start: int, length: int) -> bytes:
    if isinstance(source, bytes):
        return source[start : start + length]
    with source.open("rb") as file:
        file.seek(start)
        return file.read(length)


def _code(error: botocore.exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _talking(key: str) -> Iterator[None]:
    """Turn what goes wrong on the way into our errors."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        if _code(error) in _NOT_FOUND:
            raise BlobNotFoundError(f"there is no object {key}") from None
        raise BlobStoreError(f"{key}: the object store answered {_code(error) or error}") from error
    except (botocore.exceptions.BotoCoreError, OSError, KeyError) as error:
        raise BlobStoreError(f"{key}: the object store cannot be reached: {error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    try:
        yield
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
        return
