"""The reference page of the settings, made from their schema, so that it is never out of date."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from callward.platform.settings import ENVIRONMENT_PREFIX, Settings

_INTRODUCTION = """# Settings

Every setting can stand in a TOML file or in the environment; the environment wins. The file is the one of `--config FILE`, else of
`CALLWARD_CONFIG`, else `<data>/callward.toml`, else `/etc/callward/callward.toml`. Unknown keys and bad values are errors that name the
key and where it came from: `callward config check`. What is in force: `callward config show`.

```toml
[portal]
port = 8081            # or: CALLWARD_PORTAL__PORT=8081
```

Other variables: `CALLWARD_MEDIA_BINARY` (path of callward-media), `CALLWARD_POSTGRES_BIN` (folder of PostgreSQL's programs).

This page is made from the schema in `callward.platform.settings`.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [_INTRODUCTION, "## Top level\n", *_table("", Settings)]
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            parts += [f"\n## `[{name}]`\n", *_table(name, field.annotation)]
    return "\n".join(parts) + "\n"


def _table(section: str, model: type[BaseModel]) -> list[str]:
    lines = ["| key | environment | values | default | meaning |", "|---|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            continue
        variable = ENVIRONMENT_PREFIX + "__".join(part.upper() for part in (section, name) if part)
        default = "" if field.default is None or field.default == () else f"`{field.default}`"
        lines.append(f"| `{name}` | `{variable}` | {_values(field)} | {default} | {field.description or ''} |")
    return lines


def _values(field: FieldInfo) -> str:
    found = _type_name(field.annotation)
    bounds = []
    for part in _metadata(field):
        for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            bound = getattr(part, attribute, None)
            if bound is not None:
                bounds.append(f"{sign} {bound}")
    return f"{found} {', '.join(bounds)}".strip()


def _metadata(field: FieldInfo) -> list[Any]:
    return [*field.metadata]


def _type_name(annotation: Any) -> str:
    arguments = get_args(annotation)
    if str(get_origin(annotation)) == "typing.Literal":
        return " or ".join(f"`{a}`" for a in arguments)
    if get_origin(annotation) is tuple:
        return "list of texts (in the environment: with commas between)"
    if arguments:
        return _type_name(next(a for a in arguments if a is not type(None)))
    return {"int": "number", "str": "text", "Path": "path", "SecretStr": "secret text", "bool": "true or false"}.get(
        str(annotation.__name__), str(annotation.__name__)
    )
