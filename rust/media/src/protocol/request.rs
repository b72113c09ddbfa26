//! One request line.

use callward_journal::TrackId;
use serde_json::Value;

use super::settings::read_meta;
use super::{Failure, Fields, TrackChange, TrackSettings};

#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    OpenTrack { track: TrackId, settings: Box<TrackSettings> },
    UpdateTrack { track: TrackId, change: Box<TrackChange> },
    RotateTrack { track: TrackId, next: TrackId, session: String, meta: Option<Value> },
    CloseTrack { track: TrackId },
    ShredTrack { track: TrackId },
    ReleaseTrack { track: TrackId },
    TrackStats { track: TrackId },
    ListTracks { after: Option<TrackId> },
    Status,
    Metrics,
    WatchAcks { on: bool },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Comes back in the reply as it is.
    pub id: Value,
    pub operation: Operation,
}

impl Request {
    /// Reads a line; the error carries the id when there was one.
    pub fn read(line: &[u8]) -> Result<Request, (Value, Failure)> {
        let value: Value =
            serde_json::from_slice(line).map_err(|error| (Value::Null, Failure::bad_request(format!("the line is not JSON: {error}"))))?;
        let id = match value.get("id") {
            Some(id @ (Value::Number(_) | Value::String(_))) => id.clone(),
            None => return Err((Value::Null, Failure::bad_request("id: is missing"))),
            Some(_) => return Err((Value::Null, Failure::bad_request("id: must be a number or a string"))),
        };
        match read_operation(&value) {
            Ok(operation) => Ok(Request { id, operation }),
            Err(failure) => Err((id, failure)),
        }
    }
}

fn read_operation(value: &Value) -> Result<Operation, Failure> {
    let fields = Fields::of(value, "")?;
    let name = fields.text("op")?.ok_or_else(|| fields.wrong("op", "is missing"))?;
    Ok(match name {
        "open_track" => Operation::OpenTrack { track: fields.track("track")?, settings: Box::new(TrackSettings::read(&fields)?) },
        "update_track" => Operation::UpdateTrack { track: fields.track("track")?, change: Box::new(TrackChange::read(&fields)?) },
        "rotate_track" => Operation::RotateTrack {
            track: fields.track("track")?,
            next: fields.track("next")?,
            session: fields.ulid("session")?,
            meta: read_meta(&fields)?,
        },
        "close_track" => Operation::CloseTrack { track: fields.track("track")? },
        "shred_track" => Operation::ShredTrack { track: fields.track("track")? },
        "release_track" => Operation::ReleaseTrack { track: fields.track("track")? },
        "track_stats" => Operation::TrackStats { track: fields.track("track")? },
        "list_tracks" => Operation::ListTracks { after: if fields.get("after").is_some() { Some(fields.track("after")?) } else { None } },
        "status" => Operation::Status,
        "metrics" => Operation::Metrics,
        "watch_acks" => Operation::WatchAcks { on: fields.flag("on")?.ok_or_else(|| fields.wrong("on", "is missing"))? },
        other => {
            let other: String = other.chars().take(64).collect();
            return Err(Failure::new("unknown_op", format!("there is no operation {other:?} in protocol 1")));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACK: &str = "01JD8Z3K4M5N6P7Q8R9S0T1V2W";

    fn failure(line: &str) -> Failure {
        Request::read(line.as_bytes()).unwrap_err().1
    }

    #[test]
    fn open_track_is_read_and_kept_in_the_header_as_it_was() {
        let line = format!(
            r#"{{"id":7,"op":"open_track","track":"{TRACK}","session":"{TRACK}","address":"::1","rtcp_mux":true,
            "payload_types":[{{"payload_type":8,"codec":"PCMA","clock_hz":8000,"channels":1,"fmtp":""}}],
            "remote":{{"rtp":"[::1]:4000","rtcp":null}},"state":"paused","source_check":"symmetric","meta":{{"label":"1"}},
            "srtp":{{"suite":"AES_CM_128_HMAC_SHA1_80","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}}}"#
        );
        let request = Request::read(line.as_bytes()).unwrap();
        let Operation::OpenTrack { settings, .. } = request.operation else { panic!() };
        let header = settings.to_json();
        let again = TrackSettings::read(&Fields::of(&header, "").unwrap()).unwrap();
        assert_eq!(*settings, again);
        assert!(settings.paused && settings.rtcp_mux);
    }

    #[test]
    fn each_error_names_its_field() {
        for (line, field) in [
            (r#"{"op":"status"}"#.to_string(), "id"),
            (r#"{"id":1}"#.to_string(), "op"),
            (r#"{"id":1,"op":"close_track"}"#.to_string(), "track"),
            (r#"{"id":1,"op":"close_track","track":"x"}"#.to_string(), "track"),
            (format!(r#"{{"id":1,"op":"open_track","track":"{TRACK}","session":"{TRACK}"}}"#), "address"),
            (format!(r#"{{"id":1,"op":"update_track","track":"{TRACK}","remote":{{"rtp":"nowhere"}}}}"#), "remote.rtp"),
            (
                format!(r#"{{"id":1,"op":"update_track","track":"{TRACK}","payload_types":[{{"payload_type":128}}]}}"#),
                "payload_types[0].payload_type",
            ),
            (
                format!(r#"{{"id":1,"op":"update_track","track":"{TRACK}","srtp":{{"suite":"AES_CM_128_HMAC_SHA1_80","key":"AA=="}}}}"#),
                "srtp.key",
            ),
            (format!(r#"{{"id":1,"op":"update_track","track":"{TRACK}","meta":[]}}"#), "meta"),
            (format!(r#"{{"id":1,"op":"watch_acks","track":"{TRACK}"}}"#), "on"),
        ] {
            let failure = failure(&line);
            assert_eq!(failure.code, "bad_request", "{line}");
            assert!(failure.message.starts_with(&format!("{field}:")), "{line}: {}", failure.message);
        }
        assert_eq!(failure(r#"{"id":1,"op":"dance"}"#).code, "unknown_op");
        assert_eq!(failure("nonsense").code, "bad_request");
        assert_eq!(failure("[]").code, "bad_request");
    }

    #[test]
    fn keys_are_not_printed() {
        let line = format!(r#"{{"id":1,"op":"update_track","track":"{TRACK}","srtp":{{"suite":"AEAD_AES_128_GCM","key":"secret"}}}}"#);
        assert!(!failure(&line).message.contains("secret"));
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Request::read(&line);
        }
    }
}
