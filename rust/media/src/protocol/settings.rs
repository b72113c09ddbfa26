//! What a track is told: as read from requests, and as kept in the track's header for a restart.

use std::net::{IpAddr, SocketAddr};

use serde_json::{json, Value};

use super::{Failure, Fields, META_MAX_BYTES};
use crate::source_check::Mode;
use crate::srtp::{MasterKey, Suite};

const PAYLOAD_TYPES_MAX: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadType {
    pub payload_type: u8,
    pub codec: String,
    pub clock_hz: u32,
    pub channels: u8,
    pub fmtp: String,
}

impl PayloadType {
    /// RFC 4733 named telephone events.
    pub fn is_event(&self) -> bool {
        self.codec.eq_ignore_ascii_case("telephone-event")
    }

    fn to_json(&self) -> Value {
        json!({"payload_type": self.payload_type, "codec": self.codec, "clock_hz": self.clock_hz, "channels": self.channels,
               "fmtp": self.fmtp})
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote {
    pub rtp: SocketAddr,
    pub rtcp: Option<SocketAddr>,
}

/// A key as it came, so that it can be kept, and as it is used.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKey {
    text: String,
    suite: String,
    pub master: MasterKey,
}

impl std::fmt::Debug for SrtpKey {
    /// Without the key: it must never reach a log.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SrtpKey({})", self.suite)
    }
}

impl SrtpKey {
    fn to_json(&self) -> Value {
        json!({"suite": self.suite, "key": self.text, "mki_bytes": self.master.mki_bytes})
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct TrackSettings {
    pub session: String,
    pub address: IpAddr,
    pub payload_types: Vec<PayloadType>,
    pub remote: Option<Remote>,
    pub rtcp_mux: bool,
    pub srtp: Option<SrtpKey>,
    pub srtp_send: Option<SrtpKey>,
    pub paused: bool,
    pub source_check: Mode,
    pub meta: Value,
}

/// The fields of `update_track` that are there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrackChange {
    pub payload_types: Option<Vec<PayloadType>>,
    pub remote: Option<Option<Remote>>,
    pub rtcp_mux: Option<bool>,
    pub srtp: Option<Option<SrtpKey>>,
    pub srtp_send: Option<Option<SrtpKey>>,
    pub paused: Option<bool>,
    pub source_check: Option<Mode>,
    pub meta: Option<Value>,
}

impl TrackChange {
    pub fn read(fields: &Fields<'_>) -> Result<TrackChange, Failure> {
        Ok(TrackChange {
            payload_types: read_payload_types(fields)?,
            remote: if fields.has("remote") { Some(read_remote(fields)?) } else { None },
            rtcp_mux: fields.flag("rtcp_mux")?,
            srtp: if fields.has("srtp") { Some(read_key(fields, "srtp")?) } else { None },
            srtp_send: if fields.has("srtp_send") { Some(read_key(fields, "srtp_send")?) } else { None },
            paused: read_state(fields)?,
            source_check: read_mode(fields)?,
            meta: read_meta(fields)?,
        })
    }
}

impl TrackSettings {
    /// Reads `open_track`, or a stored header, which has the same fields.
    pub fn read(fields: &Fields<'_>) -> Result<TrackSettings, Failure> {
        let address = fields.text("address")?.ok_or_else(|| fields.wrong("address", "is missing"))?;
        let address = address.parse().map_err(|_| fields.wrong("address", "must be an IP address"))?;
        let change = TrackChange::read(fields)?;
        Ok(TrackSettings {
            session: fields.ulid("session")?,
            address,
            payload_types: change.payload_types.unwrap_or_default(),
            remote: change.remote.flatten(),
            rtcp_mux: change.rtcp_mux.unwrap_or(false),
            srtp: change.srtp.flatten(),
            srtp_send: change.srtp_send.flatten(),
            paused: change.paused.unwrap_or(false),
            source_check: change.source_check.unwrap_or(Mode::Strict),
            meta: change.meta.unwrap_or_else(|| json!({})),
        })
    }

    /// The same fields as JSON, for the header.
    pub fn to_json(&self) -> Value {
        json!({
            "session": self.session,
            "address": self.address.to_string(),
            "payload_types": self.payload_types.iter().map(PayloadType::to_json).collect::<Vec<_>>(),
            "remote": self.remote.map(|remote| json!({"rtp": remote.rtp.to_string(), "rtcp": remote.rtcp.map(|at| at.to_string())})),
            "rtcp_mux": self.rtcp_mux,
            "srtp": self.srtp.as_ref().map(SrtpKey::to_json),
            "srtp_send": self.srtp_send.as_ref().map(SrtpKey::to_json),
            "state": if self.paused { "paused" } else { "recording" },
            "source_check": self.source_check.name(),
            "meta": self.meta,
        })
    }
}

fn read_payload_types(fields: &Fields<'_>) -> Result<Option<Vec<PayloadType>>, Failure> {
    let Some(list) = fields.list("payload_types", PAYLOAD_TYPES_MAX)? else { return Ok(None) };
    let mut all = Vec::with_capacity(list.len());
    for (at, value) in list.iter().enumerate() {
        let item = fields.item("payload_types", at, value)?;
        let bounded = |field: &str, limit: usize| -> Result<String, Failure> {
            let text = item.text(field)?.unwrap_or_default();
            if text.len() > limit {
                return Err(item.wrong(field, &format!("has at most {limit} bytes")));
            }
            Ok(text.to_string())
        };
        all.push(PayloadType {
            payload_type: item.number("payload_type", 0..=127)?.ok_or_else(|| item.wrong("payload_type", "is missing"))? as u8,
            codec: bounded("codec", 64)?,
            clock_hz: item.number("clock_hz", 1..=1_000_000)?.unwrap_or(8000) as u32,
            channels: item.number("channels", 1..=255)?.unwrap_or(1) as u8,
            fmtp: bounded("fmtp", 1024)?,
        });
    }
    Ok(Some(all))
}

fn read_remote(fields: &Fields<'_>) -> Result<Option<Remote>, Failure> {
    let Some(remote) = fields.object("remote")? else { return Ok(None) };
    let address = |field: &str| -> Result<Option<SocketAddr>, Failure> {
        match remote.text(field)? {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| remote.wrong(field, "must be ADDRESS:PORT, or [ADDRESS]:PORT for IPv6")),
        }
    };
    let rtp = address("rtp")?.ok_or_else(|| remote.wrong("rtp", "is missing"))?;
    Ok(Some(Remote { rtp, rtcp: address("rtcp")? }))
}

fn read_key(fields: &Fields<'_>, field: &str) -> Result<Option<SrtpKey>, Failure> {
    let Some(key) = fields.object(field)? else { return Ok(None) };
    let name = key.text("suite")?.ok_or_else(|| key.wrong("suite", "is missing"))?;
    let suite = Suite::from_name(name).ok_or_else(|| key.wrong("suite", "is not supported"))?;
    let text = key.text("key")?.ok_or_else(|| key.wrong("key", "is missing"))?;
    let mki_bytes = key.number("mki_bytes", 0..=128)?.unwrap_or(0) as usize;
    let master = MasterKey::from_base64(suite, text, mki_bytes).map_err(|why| key.wrong("key", &why))?;
    Ok(Some(SrtpKey { text: text.to_string(), suite: name.to_string(), master }))
}

fn read_state(fields: &Fields<'_>) -> Result<Option<bool>, Failure> {
    match fields.text("state")? {
        None => Ok(None),
        Some("recording") => Ok(Some(false)),
        Some("paused") => Ok(Some(true)),
        Some(_) => Err(fields.wrong("state", "must be recording or paused")),
    }
}

fn read_mode(fields: &Fields<'_>) -> Result<Option<Mode>, Failure> {
    match fields.text("source_check")? {
        None => Ok(None),
        Some(name) => Mode::from_name(name).map(Some).ok_or_else(|| fields.wrong("source_check", "must be strict, symmetric or learn")),
    }
}

pub(super) fn read_meta(fields: &Fields<'_>) -> Result<Option<Value>, Failure> {
    match fields.get("meta") {
        None => Ok(None),
        Some(value @ Value::Object(_)) => {
            if value.to_string().len() > META_MAX_BYTES {
                return Err(fields.wrong("meta", &format!("has at most {META_MAX_BYTES} bytes")));
            }
            Ok(Some(value.clone()))
        }
        Some(_) => Err(fields.wrong("meta", "must be an object")),
    }
}
