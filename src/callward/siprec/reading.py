"""Reading a metadata document in any spelling of the field (S11, S13, S16-S21 and the dialect table).

What RFC 7865 does not define is kept as an extension. Nothing here raises on what a peer sent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from callward.siprec.extension_reading import ExtensionBudget, attach_by_parent
from callward.siprec.identifiers import identity_key
from callward.siprec.metadata import (
    NO_PERIOD,
    DataMode,
    Extension,
    Group,
    Metadata,
    MetadataReading,
    NameId,
    Participant,
    ParticipantSession,
    ParticipantStream,
    Period,
    Session,
    SessionRecording,
    Stream,
)
from callward.siprec.node_reading import Spelling, attribute, is_recording_namespace
from callward.siprec.oddity import Oddity, join_oddities
from callward.siprec.plain_text import clean
from callward.siprec.times import plausible, read_zoned_time
from callward.siprec.untrusted_xml import Node, read_xml

MAX_ENTRIES = 1024
"""Of each kind in one document; the state of a session keeps fewer."""
MAX_REFERENCES = 256
"""Streams that one participant sends or receives."""
MAX_NAMES = 16

_ROOTS = ("recording", "recordingmetadata", "rsmetadata")
_KINDS = (
    "group",
    "session",
    "participant",
    "stream",
    "sessionrecordingassoc",
    "participantsessionassoc",
    "participantstreamassoc",
)
_STARTS = ("starttime", "associatetime")
_ENDS = ("stoptime", "disassociatetime", "endtime")
_PERIODS = frozenset((*_STARTS, *_ENDS))
_TOP_LEVEL = (
    *_KINDS,
    "recording",
    "datamode",
    "sequence",
    "requestsnapshot",
)

_Entry = TypeVar("_Entry")


def read_metadata(body: bytes, charset: str = "") -> MetadataReading:
    """Reads one document. `charset` comes from the MIME type. `metadata` is None when it cannot be understood at all."""
    xml = read_xml(body, charset)
    if xml.root is None:
        return MetadataReading(None, xml.oddities)
    return _Document(xml.root, xml.oddities).read()


class _Document:
    """One document while it is read: collects oddities and spends the budget for extensions."""

    def __init__(self, root: Node, oddities: tuple[Oddity, ...]) -> None:
        self._root = root
        self._spelling = Spelling(root)
        self._budget = ExtensionBudget()
        self._oddities = dict.fromkeys(oddities)

    def read(self) -> MetadataReading:
        root = self._root
        if root.plain == "requestsnapshot":
            metadata = Metadata(root=clean(root.name), snapshot_requested=True, snapshot_reason=self._reason(root))
            return MetadataReading(metadata, tuple(self._oddities))
        if root.plain not in _ROOTS:
            self._note("metadata_root", f"the root element is {clean(root.name, 60)!r}, not recording")
            if not self._spelling.children(root, *_KINDS):
                return MetadataReading(None, tuple(self._oddities))
        elif not is_recording_namespace(root.namespace):
            self._note("metadata_namespace", f"the namespace is {clean(root.namespace, 100)!r}")
        metadata = attach_by_parent(self._metadata())
        self._check_ids(metadata)
        if self._budget.exhausted:
            self._note("extensions_truncated", "there is more extension data than is kept; the raw document has all")
        return MetadataReading(metadata, join_oddities(self._oddities))

    def _metadata(self) -> Metadata:
        root, spelling = self._root, self._spelling
        # BroadWorks' root may hold a `recording` that holds the rest.
        levels = (root, *spelling.children(root, "recording"))
        kinds: dict[str, list[Node]] = {kind: [] for kind in _KINDS}
        for level in levels:
            for child in spelling.children(level, *_KINDS):
                kinds[child.plain].append(child)
        mode = next((spelling.text(level, "datamode") for level in levels if spelling.text(level, "datamode")), "")
        sequence = next((spelling.text(level, "sequence") for level in levels), "")
        request = next(iter(spelling.children(root, "requestsnapshot")), None)
        return Metadata(
            mode=self._mode(mode),
            root=clean(root.name),
            namespace=clean(root.namespace),
            recording_id=next((id_ for level in levels if (id_ := attribute(level, "id", "recordingid"))), ""),
            sequence=int(sequence[:18]) if sequence.isascii() and sequence.isdigit() else None,
            groups=self._each(kinds["group"], self._group),
            sessions=self._each(kinds["session"], self._session),
            participants=self._each(kinds["participant"], self._participant),
            streams=self._each(kinds["stream"], self._stream),
            session_recordings=self._each(kinds["sessionrecordingassoc"], self._session_recording),
            participant_sessions=self._each(kinds["participantsessionassoc"], self._participant_session),
            participant_streams=self._each(kinds["participantstreamassoc"], self._participant_stream),
            extensions=tuple(found for level in levels for found in self._extensions(level, *_TOP_LEVEL)),
            snapshot_requested=request is not None,
            snapshot_reason=self._reason(request) if request is not None else "",
        )

    def _each(self, nodes: list[Node], read: Callable[[Node], _Entry | None]) -> tuple[_Entry, ...]:
        if len(nodes) > MAX_ENTRIES:
            self._note("metadata_too_many", f"more than {MAX_ENTRIES} {clean(nodes[0].name, 60)} elements")
        return tuple(entry for node in nodes[:MAX_ENTRIES] if (entry := read(node)) is not None)

    def _mode(self, text: str) -> DataMode:
        value = text.lower()
        if value not in ("", "complete", "partial"):
            self._note("metadata_data_mode", f"dataMode is {clean(text, 40)!r}; taken as complete")
        return DataMode.PARTIAL if value == "partial" else DataMode.COMPLETE

    def _group(self, node: Node) -> Group | None:
        id_ = self._id(node, "group")
        return Group(id_, self._period(node), self._extensions(node)) if id_ else None

    def _session(self, node: Node) -> Session | None:
        id_ = self._id(node, "session", "session")
        group = self._spelling.text(node, "groupref", "group") or attribute(node, "groupid", "groupref", "group")
        return Session(
            id_,
            group,
            self._spelling.texts(node, "sipsessionid"),
            self._spelling.texts(node, "reason"),
            self._period(node),
            self._extensions(node, "groupref", "group", "sipsessionid", "reason"),
        )

    def _participant(self, node: Node) -> Participant | None:
        names = [self._name_id(child) for child in self._spelling.children(node, "nameid", "aor")]
        names = [name for name in names if name.aor or name.name][:MAX_NAMES]
        if names and not names[0].name:  # before the RFC the name stood beside the address
            names[0] = NameId(names[0].aor, self._spelling.text(node, "name"))
        id_ = self._id(node, "participant", f"aor-{names[0].aor}" if names else "")
        if not id_:
            return None
        return Participant(
            id_,
            tuple(names),
            attribute(node, "sessionid", "session") or self._spelling.text(node, "session", "sessionref"),
            self._references(node, "send"),
            self._references(node, "recv"),
            self._period(node),
            self._extensions(node, "nameid", "aor", "name", "send", "recv", "session", "sessionref"),
        )

    def _name_id(self, node: Node) -> NameId:
        aor = attribute(node, "aor", "uri") or self._spelling.text(node, "aor")
        if not aor and not node.children:
            aor = clean(node.text)
        for child in self._spelling.children(node, "name"):
            return NameId(aor, clean(child.text), attribute(child, "lang"))
        return NameId(aor, attribute(node, "name"))

    def _stream(self, node: Node) -> Stream | None:
        label = self._spelling.text(node, "label") or attribute(node, "label")
        id_ = self._id(node, "stream", f"label-{label}" if label else "")
        if not id_:
            return None
        return Stream(
            id_,
            attribute(node, "sessionid", "session") or self._spelling.text(node, "session", "sessionref"),
            label,
            self._spelling.text(node, "contenttype"),
            (self._spelling.text(node, "mode") or attribute(node, "mode")).lower(),
            self._period(node),
            self._extensions(node, "label", "contenttype", "mode", "session", "sessionref"),
        )

    def _session_recording(self, node: Node) -> SessionRecording | None:
        session = attribute(node, "sessionid", "session", "id")
        return SessionRecording(session, self._period(node)) if session else None

    def _participant_session(self, node: Node) -> ParticipantSession | None:
        participant = attribute(node, "participantid", "participant")
        if not participant:
            self._note("metadata_reference", "a participantsessionassoc names no participant")
            return None
        parameters = tuple(
            (attribute(child, "name") or "param", attribute(child, "value") or clean(child.text))
            for child in self._spelling.children(node, "param")
        )
        session = attribute(node, "sessionid", "session")
        return ParticipantSession(participant, session, self._period(node), parameters[:MAX_NAMES])

    def _participant_stream(self, node: Node) -> ParticipantStream | None:
        participant = attribute(node, "participantid", "participant")
        if not participant:
            self._note("metadata_reference", "a participantstreamassoc names no participant")
            return None
        sends, receives = self._references(node, "send"), self._references(node, "recv")
        return ParticipantStream(participant, sends, receives, self._period(node))

    def _references(self, node: Node, name: str) -> tuple[str, ...]:
        """Stream ids of `<send>` or `<recv>`: one each, several in one parted by white space, as text or as attribute."""
        found: dict[str, None] = {}
        for child in self._spelling.children(node, name):
            for id_ in (child.text.split() or [attribute(child, "streamid", "id")])[:MAX_REFERENCES]:
                if reference := clean(id_):
                    found.setdefault(reference)
        return tuple(found)[:MAX_REFERENCES]

    def _id(self, node: Node, kind: str, instead: str = "") -> str:
        if id_ := attribute(node, kind + "id", "id", "uuid"):
            return id_
        self._note("metadata_no_id", f"a {kind} has no id")
        return clean(instead)

    def _period(self, node: Node) -> Period:
        if not node.children:
            return NO_PERIOD
        start: datetime | None = None
        end: datetime | None = None
        ended = False
        for child in node.children:
            if child.plain not in _PERIODS or not self._spelling.is_ours(child):
                continue
            if child.plain in _STARTS:
                start = start or self._time(child)
            else:
                end, ended = end or self._time(child), True
        return Period(start, end, ended) if start or ended else NO_PERIOD

    def _time(self, node: Node) -> datetime | None:
        text = clean(node.text, 64)
        at, has_zone = read_zoned_time(text)
        if at is None:
            self._note("metadata_time", f"{clean(node.name, 60)} {text!r} is not a time")
        elif not plausible(at):
            self._note("clock_not_set", f"{clean(node.name, 60)} {text!r}: the clock of the peer is not set")
            return None
        elif not has_zone:
            self._note("time_without_zone", f"{clean(node.name, 60)} {text!r} has no zone; taken as UTC")
        return at

    def _extensions(self, node: Node, *known: str) -> tuple[Extension, ...]:
        unknown = [
            child
            for child in node.children
            if not ((child.plain in known or child.plain in _PERIODS) and self._spelling.is_ours(child))
        ]
        return self._budget.read(unknown) if unknown else ()

    def _reason(self, node: Node) -> str:
        return self._spelling.text(node, "requestreason")

    def _check_ids(self, metadata: Metadata) -> None:
        """One UUID mapped to more than one element is an error (RFC 7865 section 6.10, S17): flagged, the audio is kept."""
        seen: dict[str, str] = {}
        for kind, elements in (
            ("group", metadata.groups),
            ("session", metadata.sessions),
            ("participant", metadata.participants),
            ("stream", metadata.streams),
        ):
            for element in elements:
                key = identity_key(element.id)
                if key in seen:
                    self._note("id_reused", f"the id {element.id!r} stands for a {seen[key]} and for another {kind}")
                else:
                    seen[key] = kind

    def _note(self, code: str, detail: str) -> None:
        self._oddities.setdefault(Oddity(code, detail))
