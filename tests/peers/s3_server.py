"""An object store that speaks S3 (moto), and that can be away, be slow or lie."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

Mode = Literal["well", "unavailable", "forgets", "cuts", "slow"]
SLOW_S = 0.4


class S3Server:
    """`mode`: `unavailable` answers 503; `forgets` answers 200 to a PUT and keeps nothing; `cuts` keeps half; `slow` waits first."""

    bucket = "recordings"

    def __init__(self) -> None:
        self.mode: Mode = "well"
        self.refused = 0
        """Requests that were not carried out as they should have been."""
        self._inner = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.client = boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        self.client.create_bucket(Bucket=self.bucket)

    def close(self) -> None:
        self._server.shutdown()

    def sizes(self) -> dict[str, int]:
        """Size of each stored object by its key."""
        found: dict[str, int] = {}
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            found |= {one["Key"]: one["Size"] for one in page.get("Contents", [])}
        return found

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        mode, is_put = self.mode, environ["REQUEST_METHOD"] == "PUT"
        if mode == "slow":
            time.sleep(SLOW_S)
        elif mode == "unavailable":
            self.refused += 1
            start("503 Service Unavailable", [("Content-Length", "0")])
            return [b""]
        elif mode == "forgets" and is_put:
            self.refused += 1
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("200 OK", [("Content-Length", "0"), ("ETag", '"d41d8cd98f00b204e9800998ecf8427e"')])
            return [b""]
        elif mode == "cuts" and is_put:
            self.refused += 1
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            half = body[: len(body) // 2]
            environ |= {"wsgi.input": io.BytesIO(half), "CONTENT_LENGTH": str(len(half))}
            environ.pop("HTTP_CONTENT_MD5", None)
        found: Iterable[bytes] = self._inner(environ, start)
        return found
