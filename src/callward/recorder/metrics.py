"""What the recorder counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SESSIONS = Gauge("callward_recorder_sessions", "Recording sessions that are open")
RECORDINGS = Counter("callward_recorder_recordings", "Recordings by what became of them", ["outcome"])
REFUSED = Counter("callward_recorder_refused", "Recording sessions refused, by reason", ["reason"])
UNKNOWN_PEERS = Counter("callward_recorder_unknown_peers", "Messages and connections of peers that are not on the list")
SET_UP_SECONDS = Histogram(
    "callward_recorder_set_up_seconds",
    "Time from the INVITE to the 200",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5),
)
ABLE = Gauge("callward_recorder_able", "1 while new recording sessions are taken")
RECOVERED = Counter("callward_recorder_sessions_recovered", "Recording sessions taken up again after a restart")
