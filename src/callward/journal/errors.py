"""What can go wrong with an event journal, each with a sentence a user can act on."""


class JournalError(Exception):
    """The journal cannot be used as asked."""


class JournalLockedError(JournalError):
    """Another process writes this journal: stop it first; one journal has one writer."""


class JournalFullError(JournalError):
    """The journal's buffer is full because the disk does not take more: free some space and it goes on by itself."""


class RecordTooLargeError(JournalError):
    """A record is larger than `frame.MAX_PAYLOAD_BYTES`, or empty."""


class OffsetGoneError(JournalError):
    """The offset lies before the oldest segment: its records were consumed by everybody and removed."""
