"""Writing metadata documents as RFC 7865 section 9 orders their elements."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from lxml import etree

from callward.siprec.metadata import (
    NAMESPACE,
    Extension,
    Metadata,
    Participant,
    Period,
    Session,
    Stream,
)
from callward.siprec.times import write_time

CALLWARD_NAMESPACE = "urn:callward:recording:1"
"""Of the extensions that our own recording client writes."""

_DEFAULT: Any = {None: NAMESPACE}
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")


def write_metadata(metadata: Metadata) -> bytes:
    """The document in UTF-8. Ids and times are written as they are; characters that XML cannot hold become `?`."""
    root = etree.Element(_tag("recording"), nsmap=_DEFAULT)
    _child(root, "dataMode", metadata.mode.value)
    for group in metadata.groups:
        element = _child(root, "group", group_id=group.id)
        _times(element, group.period, "associate-time", "disassociate-time")
        _extensions(element, group.extensions)
    for session in metadata.sessions:
        _session(root, session)
    for participant in metadata.participants:
        _participant(root, participant)
    for stream in metadata.streams:
        _stream(root, stream)
    for recorded in metadata.session_recordings:
        element = _child(root, "sessionrecordingassoc", session_id=recorded.session)
        _times(element, recorded.period, "associate-time", "disassociate-time")
    for member in metadata.participant_sessions:
        element = _child(root, "participantsessionassoc", participant_id=member.participant, session_id=member.session)
        _times(element, member.period, "associate-time", "disassociate-time")
        for name, value in member.parameters:
            _child(element, "param", name=name, value=value)
    for heard in metadata.participant_streams:
        element = _child(root, "participantstreamassoc", participant_id=heard.participant)
        for id_ in heard.sends:
            _child(element, "send", id_)
        for id_ in heard.receives:
            _child(element, "recv", id_)
        _times(element, heard.period, "associate-time", "disassociate-time")
    _extensions(root, metadata.extensions)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True, pretty_print=True)


def _session(root: etree._Element, session: Session) -> None:
    element = _child(root, "session", session_id=session.id)
    for id_ in session.sip_session_ids:
        _child(element, "sipSessionID", id_)
    for reason in session.reasons:
        _child(element, "reason", reason)
    if session.group:
        _child(element, "group-ref", session.group)
    _times(element, session.period, "start-time", "stop-time")
    _extensions(element, session.extensions)


def _participant(root: etree._Element, participant: Participant) -> None:
    element = _child(root, "participant", participant_id=participant.id)
    for name_id in participant.names:
        inner = _child(element, "nameID", aor=name_id.aor)
        if name_id.name:
            name = _child(inner, "name", name_id.name)
            if name_id.language:
                name.set(_XML_LANG, _text(name_id.language))
    _extensions(element, participant.extensions)


def _stream(root: etree._Element, stream: Stream) -> None:
    element = _child(root, "stream", stream_id=stream.id, session_id=stream.session)
    if stream.label:
        _child(element, "label", stream.label)
    if stream.content_type:
        _child(element, "content-type", stream.content_type)
    _extensions(element, stream.extensions)


def _times(element: etree._Element, period: Period, start: str, end: str) -> None:
    for name, at in ((start, period.start_at), (end, period.end_at)):
        if isinstance(at, datetime):
            _child(element, name, write_time(at))


def _extensions(parent: etree._Element, extensions: Iterable[Extension]) -> None:
    for extension in extensions:
        if not _NAME.fullmatch(extension.name):
            continue
        namespace = extension.namespace or CALLWARD_NAMESPACE
        prefixes: Any = {extension.prefix or None: namespace}
        element = etree.SubElement(parent, f"{{{namespace}}}{extension.name}", nsmap=prefixes)
        element.text = _text(extension.text) or None
        for key, value in extension.attributes.items():
            if _NAME.fullmatch(key):
                element.set(key, _text(value))
        _extensions(element, extension.children)


def _child(parent: etree._Element, name: str, text: str = "", /, **attributes: str) -> etree._Element:
    element = etree.SubElement(parent, _tag(name), {key: _text(value) for key, value in attributes.items() if value})
    element.text = _text(text) or None
    return element


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _text(text: str) -> str:
    return _UNWRITABLE.sub("?", text)
