"""Prints the OpenAPI document, without a database: `python -m callward.portal.openapi > web/openapi.json`."""

from __future__ import annotations

import json
import sys
from typing import cast

from callward.archive.service import Archive
from callward.platform.database import Database
from callward.platform.settings import Settings
from callward.portal.app import create_app


def document() -> str:
    """The OpenAPI document as the repository holds it."""
    app = create_app(Settings(), Database("postgresql:///unused"), cast(Archive, None))
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
