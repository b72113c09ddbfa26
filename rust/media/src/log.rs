//! Structured log: one JSON object per line on standard error.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{json, Map, Value};

fn write(level: &str, event: &str, fields: Value) {
    let mut line = Map::new();
    let at_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
    line.insert("at_ns".into(), json!(at_ns));
    line.insert("level".into(), json!(level));
    line.insert("part".into(), json!("media"));
    line.insert("event".into(), json!(event));
    if let Value::Object(fields) = fields {
        line.extend(fields);
    }
    let mut text = Value::Object(line).to_string();
    text.push('\n');
    // Nothing can be done when standard error is gone.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

pub fn info(event: &str, fields: Value) {
    write("info", event, fields);
}

pub fn warning(event: &str, fields: Value) {
    write("warning", event, fields);
}

pub fn error(event: &str, fields: Value) {
    write("error", event, fields);
}
