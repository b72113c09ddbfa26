"""SIPREC without I/O: metadata (RFC 7865), recording sessions (RFC 7866) as server and client, and the dialects of the field.

The way through the package, for a recording server:

1. `observation.observe(message)` reads one SIP message: parties, SDP streams, metadata, oddities. It never raises.
2. `admission.assess_invite(message, profile)` says whether it is a recording session that we may take (S01, S02).
3. `session.advance(state, observation, at=...)` keeps what the session has told so far (S12-S14, S34-S37).
4. `stream_plan.plan_streams(previous, offer, ...)` says what to do with each m-line (S04-S08, S22, S23).
5. `picturing.picture(state)` is the result that people see: calls, parties, who is heard in which stream, state, oddities.

For a recording client: `client.RecordedCall` and the functions of `client` build offers, metadata and snapshots.
"""
