//! The control protocol (docs/reference/media-protocol.md): what requests say, read with the name of the field that is wrong.

mod fields;
mod request;
mod settings;

pub use fields::Fields;
pub use request::{Operation, Request};
pub use settings::{PayloadType, Remote, SrtpKey, TrackChange, TrackSettings};

use serde_json::{json, Value};

pub const PROTOCOL: u32 = 1;
/// Longest line of a client.
pub const LINE_MAX_BYTES: usize = 256 << 10;
/// Longest `meta`.
pub const META_MAX_BYTES: usize = 4 << 10;

/// An error reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: &'static str,
    pub message: String,
}

impl Failure {
    pub fn new(code: &'static str, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }

    pub fn bad_request(message: impl Into<String>) -> Failure {
        Failure::new("bad_request", message)
    }

    pub fn unknown_track(track: &str) -> Failure {
        Failure::new("unknown_track", format!("no track {track}; it was released, shredded or never opened"))
    }
}

/// What a request is answered with: the fields of the reply.
pub type Answer = Result<Value, Failure>;

/// The line of a reply.
pub fn reply_line(id: &Value, answer: Answer) -> Vec<u8> {
    let value = match answer {
        Ok(Value::Object(mut fields)) => {
            fields.insert("id".into(), id.clone());
            fields.insert("ok".into(), Value::Bool(true));
            Value::Object(fields)
        }
        Ok(_) => json!({"id": id, "ok": true}),
        Err(failure) => {
            json!({"id": id, "ok": false, "error": {"code": failure.code, "message": failure.message}})
        }
    };
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// The line of an event.
pub fn event_line(event: &str, mut fields: Value) -> Vec<u8> {
    if let Value::Object(map) = &mut fields {
        map.insert("event".into(), Value::String(event.into()));
    }
    let mut line = fields.to_string().into_bytes();
    line.push(b'\n');
    line
}
