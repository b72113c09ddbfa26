"""Structured logs. Metrics use prometheus-client's default registry, named `callward_<part>_<what>_<unit>`."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from callward.platform.settings import LogSettings

logger: structlog.stdlib.BoundLogger = structlog.get_logger()


def configure_logs(settings: LogSettings, service: str) -> None:
    """Send this process's logs, and those of libraries, to standard error as lines of JSON or for a terminal."""
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    level = getattr(logging, settings.level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("asyncio", "alembic", "sqlalchemy", "multipart", "python_multipart"):
        logging.getLogger(chatty).setLevel(max(level, logging.INFO))
    for noisy in ("uvicorn.access", "httpx", "botocore", "boto3", "urllib3", "alembic.runtime.migration"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)
