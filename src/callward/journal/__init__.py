"""The event journal: records that survive `kill -9` and power loss, framed, synced in groups, read by other processes.

    journal = EventJournal.open(folder)
    offset = await journal.append_durable(b"...")         # returns when fdatasync did

    reader = JournalReader(folder, cursor_offset)         # in any process
    async for record in reader.follow():
        consume(record.payload)
        Cursor(folder, "worker").store(journal_id, record.next_offset)

It knows no domain: payloads are bytes. Format: docs/reference/event-journal.md.
"""

from callward.journal.cursor import Cursor, CursorState
from callward.journal.errors import (
    JournalError,
    JournalFullError,
    JournalLockedError,
    OffsetGoneError,
    RecordTooLargeError,
)
from callward.journal.frame import Kind
from callward.journal.reader import JournalReader, Record
from callward.journal.recovery import Damage
from callward.journal.writer import EventJournal

__all__ = [
    "Cursor",
    "CursorState",
    "Damage",
    "EventJournal",
    "JournalError",
    "JournalFullError",
    "JournalLockedError",
    "JournalReader",
    "Kind",
    "OffsetGoneError",
    "Record",
    "RecordTooLargeError",
]
