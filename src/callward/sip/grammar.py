"""The small pieces of SIP's grammar that all headers share (RFC 3261 section 25.1): tokens, quoted strings, parameters, lists.

All functions are total on text: they return None where the text is not what was asked for, and never raise. All run in time
linear in their input. Quotes are honoured everywhere: a comma or semicolon inside `"..."` or `<...>` separates nothing.
"""

from __future__ import annotations

import re
from typing import TypeAlias

Parameters: TypeAlias = tuple[tuple[str, str | None], ...]
"""Ordered parameters; the value is None for a flag such as `;lr`. Names keep their spelling, look-ups ignore case. A quoted value is
stored unquoted and quoted again on print where its characters ask for it."""

_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_CONTROLS = dict.fromkeys((*range(32), 127))
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9\-.!%*_+`'~:\[\]/]+")
_REST_OF_QUOTED = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_LIST_BREAK = re.compile(r'[",<>\\]')
_PARAMETER_BREAK = re.compile(r'[";\\]')

_USUAL_NAMES = frozenset(
    {"tag", "branch", "rport", "received", "lr", "transport", "expires", "q", "boundary", "refresher", "+sip.src"}
)

MAX_PARAMETERS = 128
"""More parameters than this on one value are a sign of an attack; the value counts as malformed."""


def is_token(text: str) -> bool:
    """True for a non-empty token (RFC 3261 25.1); pure ASCII, so a UTF-8 look-alike of a header name is none."""
    return _TOKEN.fullmatch(text) is not None


def without_controls(text: str) -> str:
    """The text without control characters (C0 and DEL), safe for a database and a screen."""
    return text if text.isprintable() else text.translate(_CONTROLS)


def unquote(text: str) -> str:
    """The content of a quoted string that starts and ends with `"`, its quoted pairs resolved; other text unchanged."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    if "\\" not in inner:
        return inner
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)


def quote(text: str) -> str:
    """The text as a quoted string; line ends become spaces, so that no header can be injected."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\r", " ").replace("\n", " ").replace("\0", " ") + '"'


def end_of_quoted(text: str, start: int) -> int:
    """The index just after the quoted string that opens at `start`; -1 when it is never closed."""
    found = _REST_OF_QUOTED.match(text, start + 1)
    return -1 if found is None else found.end()


def split_list(text: str) -> list[str]:
    """Splits at commas outside quotes and angle brackets; empty elements are dropped (RFC 3261 7.3.1).

    Text with an unterminated quote is returned from there on as one element, which its own parser then refuses.
    """
    if "," not in text:
        stripped = text.strip(" \t")
        return [stripped] if stripped else []
    if '"' not in text and "<" not in text:
        return [part for raw in text.split(",") if (part := raw.strip(" \t"))]
    parts: list[str] = []
    begin = position = 0
    in_brackets = False
    while (found := _LIST_BREAK.search(text, position)) is not None:
        position = found.end()
        mark = found.group()
        if mark == '"' and not in_brackets:
            position = end_of_quoted(text, found.start())
            if position < 0:
                break
        elif mark == "<":
            in_brackets = True
        elif mark == ">":
            in_brackets = False
        elif mark == "," and not in_brackets:
            if part := text[begin : found.start()].strip(" \t"):
                parts.append(part)
            begin = position
    if part := text[begin:].strip(" \t"):
        parts.append(part)
    return parts


def split_parameters(text: str) -> list[str] | None:
    """Splits at semicolons outside quotes; None when a quote is not closed."""
    if '"' not in text:
        return text.split(";")
    parts: list[str] = []
    begin = position = 0
    while (found := _PARAMETER_BREAK.search(text, position)) is not None:
        position = found.end()
        if found.group() == '"':
            position = end_of_quoted(text, found.start())
            if position < 0:
                return None
        elif found.group() == ";":
            parts.append(text[begin : found.start()])
            begin = position
    parts.append(text[begin:])
    return parts


def parse_parameters(text: str) -> Parameters | None:
    """Parses `;name=value;flag`; None when malformed. Empty parameters (`;;`) are skipped, as the field sends them."""
    if not text:
        return ()
    parts = split_parameters(text)
    if parts is None or len(parts) > MAX_PARAMETERS:
        return None
    if parts[0].strip(" \t"):
        return None
    parameters: list[tuple[str, str | None]] = []
    for part in parts[1:]:
        name, equals, value = part.partition("=")
        if name not in _USUAL_NAMES:
            name = name.strip(" \t")
            if not name:
                if equals:
                    return None
                continue
            if _TOKEN.fullmatch(name) is None:
                return None
        if not equals:
            parameters.append((name, None))
            continue
        if '"' in value or " " in value or "\t" in value:
            value = value.strip(" \t")
            if value[:1] == '"':
                if end_of_quoted(value, 0) != len(value):
                    return None
                value = unquote(value)
            elif " " in value or "\t" in value or '"' in value:
                return None
        parameters.append((name, value))
    return tuple(parameters)


def print_parameters(parameters: Parameters) -> str:
    """Prints `;name=value;flag`; a value that is neither token nor host is quoted."""
    if not parameters:
        return ""
    parts: list[str] = []
    for name, value in parameters:
        if value is None:
            parts.append(";" + name)
        elif _PLAIN_VALUE.fullmatch(value) is not None:
            parts.append(f";{name}={value}")
        else:
            parts.append(f";{name}={quote(value)}")
    return "".join(parts)


def find_parameter(parameters: Parameters, name: str) -> str | None:
    """The value of the first parameter of that name (case ignored), `""` for a flag, None when absent. `name` in lower case."""
    for key, value in parameters:
        if key == name or key.lower() == name:
            return "" if value is None else value
    return None


def with_parameter(parameters: Parameters, name: str, value: str | None) -> Parameters:
    """The parameters with that one set: in its place when present, else at the end."""
    key = name.lower()
    kept: list[tuple[str, str | None]] = []
    done = False
    for old, old_value in parameters:
        if old.lower() != key:
            kept.append((old, old_value))
        elif not done:
            kept.append((name, value))
            done = True
    if not done:
        kept.append((name, value))
    return tuple(kept)


def without_parameter(parameters: Parameters, name: str) -> Parameters:
    """The parameters without those of that name (case ignored)."""
    key = name.lower()
    return tuple(item for item in parameters if item[0].lower() != key)


def parse_number(text: str, maximum: int) -> int | None:
    """A plain decimal number between 0 and `maximum`; None for anything else (signs, Unicode digits, overlarge values)."""
    if not text or len(text) > 20 or not text.isascii() or not text.isdigit():
        return None
    number = int(text)
    return number if number <= maximum else None
