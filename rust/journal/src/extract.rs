//! A track as a `CWTRACK1` file (docs/reference/media-protocol.md): a JSON header, a table of packets, the payloads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ring::digest;
use serde_json::{json, Map, Value};

use crate::error::JournalError;
use crate::read::{read_track, TrackPart};
use crate::record::{RecordKind, Records};
use crate::rtp;
use crate::TrackId;

/// Marks kept in the header; more are counted only.
const MARKS_MAX: usize = 10_000;
/// Different lists of payload types kept.
const PAYLOAD_TYPES_MAX: usize = 256;
const COPY_BYTES: usize = 1 << 20;

/// What an extraction wrote.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Extracted {
    pub track: String,
    pub packets: u64,
    pub payload_bytes: u64,
    pub complete: bool,
    /// SHA-256 (hex) of the packet table and the payload area.
    pub sha256: String,
    /// Stored packets that are no RTP.
    pub malformed_packets: u64,
    /// Bytes of records that could not be read any more.
    pub missing_bytes: u64,
}

/// A scratch file without a name, beside the output.
struct Spool {
    writer: BufWriter<File>,
    bytes: u64,
}

impl Spool {
    fn beside(output: &Path, what: &str) -> io::Result<Self> {
        let path = beside(output, what);
        let _ = fs::remove_file(&path);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        fs::remove_file(&path)?;
        Ok(Self { writer: BufWriter::with_capacity(256 << 10, file), bytes: 0 })
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.writer.write_all(bytes)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.bytes = 0;
        let file = self.writer.get_mut();
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0)).map(drop)
    }

    /// Appends everything to `out`, and to the digest.
    fn pour(mut self, out: &mut File, sum: &mut digest::Context) -> io::Result<()> {
        self.writer.flush()?;
        let mut file = self.writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0u8; COPY_BYTES];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            sum.update(&buffer[..read]);
            out.write_all(&buffer[..read])?;
        }
    }
}

fn beside(output: &Path, what: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(output.file_name().unwrap_or_default());
    name.push(format!(".{}.{what}", std::process::id()));
    output.with_file_name(name)
}

/// What is gathered on the way through a track.
struct Gathered {
    table: Spool,
    payloads: Spool,
    packets: u64,
    malformed: u64,
    missing: u64,
    session: Value,
    meta: Value,
    payload_types: Vec<Value>,
    marks: Vec<Value>,
    marks_dropped: u64,
    stats: Value,
    started_at_ns: Option<i64>,
    ended_at_ns: Option<i64>,
    first_ns: Option<i64>,
    last_ns: i64,
    csrc: Vec<u8>,
}

impl Gathered {
    fn beside(output: &Path) -> io::Result<Self> {
        Ok(Self {
            table: Spool::beside(output, "table")?,
            payloads: Spool::beside(output, "payloads")?,
            packets: 0,
            malformed: 0,
            missing: 0,
            session: Value::Null,
            meta: json!({}),
            payload_types: Vec::new(),
            marks: Vec::new(),
            marks_dropped: 0,
            stats: Value::Null,
            started_at_ns: None,
            ended_at_ns: None,
            first_ns: None,
            last_ns: 0,
            csrc: Vec::new(),
        })
    }

    fn restart(&mut self) -> io::Result<()> {
        self.table.clear()?;
        self.payloads.clear()?;
        (self.packets, self.malformed, self.missing, self.marks_dropped, self.last_ns) = (0, 0, 0, 0, 0);
        (self.session, self.meta, self.stats) = (Value::Null, json!({}), Value::Null);
        self.payload_types.clear();
        self.marks.clear();
        self.csrc.clear();
        (self.started_at_ns, self.ended_at_ns, self.first_ns) = (None, None, None);
        Ok(())
    }

    fn take(&mut self, part: TrackPart<'_>) -> io::Result<()> {
        match part {
            TrackPart::Header { at_ns, json } => self.take_header(at_ns, json),
            TrackPart::Missing { bytes, .. } => {
                self.missing += bytes;
                let at_ns = if self.last_ns > 0 { self.last_ns } else { self.started_at_ns.unwrap_or(0) };
                self.mark(json!({"at_ns": at_ns, "kind": "missing", "bytes": bytes}));
            }
            TrackPart::End { at_ns, json } => {
                self.ended_at_ns = Some(at_ns);
                self.stats = serde_json::from_slice(json).unwrap_or(Value::Null);
            }
            TrackPart::Records { plain, .. } => {
                for record in Records::of(plain) {
                    if record.kind == RecordKind::Packet as u8 {
                        self.take_packet(record.arrival_ns, record.bytes)?;
                    } else if record.kind == RecordKind::Mark as u8 {
                        self.take_mark(record.arrival_ns, record.bytes);
                    }
                }
            }
        }
        Ok(())
    }

    fn take_header(&mut self, at_ns: i64, json: &[u8]) {
        self.started_at_ns.get_or_insert(at_ns);
        let Ok(Value::Object(mut header)) = serde_json::from_slice::<Value>(json) else {
            return;
        };
        if let Some(session) = header.remove("session") {
            self.session = session;
        }
        if let Some(meta) = header.remove("meta") {
            self.meta = meta;
        }
        if let Some(Value::Array(announced)) = header.remove("payload_types") {
            for one in announced {
                // The newest stands last; one that was announced before moves there.
                self.payload_types.retain(|known| *known != one);
                self.payload_types.push(one);
            }
            let surplus = self.payload_types.len().saturating_sub(PAYLOAD_TYPES_MAX);
            self.payload_types.drain(..surplus);
        }
    }

    fn take_packet(&mut self, arrival_ns: i64, bytes: &[u8]) -> io::Result<()> {
        self.first_ns.get_or_insert(arrival_ns);
        self.last_ns = arrival_ns;
        let Some(packet) = rtp::parse(bytes) else {
            self.malformed += 1;
            return Ok(());
        };
        if packet.csrc != self.csrc {
            self.csrc = packet.csrc.to_vec();
            let sources: Vec<u32> =
                packet.csrc.chunks_exact(4).map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]])).collect();
            self.mark(json!({"at_ns": arrival_ns, "kind": "csrc", "csrc": sources}));
        }
        let mut row = [0u8; 32];
        row[0..8].copy_from_slice(&arrival_ns.to_le_bytes());
        row[8..16].copy_from_slice(&self.payloads.bytes.to_le_bytes());
        row[16..20].copy_from_slice(&packet.timestamp.to_le_bytes());
        row[20..24].copy_from_slice(&packet.ssrc.to_le_bytes());
        row[24..26].copy_from_slice(&packet.sequence.to_le_bytes());
        row[26..28].copy_from_slice(&(packet.payload.len() as u16).to_le_bytes());
        row[28] = packet.payload_type;
        row[29] = u8::from(packet.marker);
        self.table.put(&row)?;
        self.payloads.put(packet.payload)?;
        self.packets += 1;
        Ok(())
    }

    fn take_mark(&mut self, at_ns: i64, bytes: &[u8]) {
        if let Ok(Value::Object(mut mark)) = serde_json::from_slice::<Value>(bytes) {
            mark.entry("at_ns").or_insert(json!(at_ns));
            self.mark(Value::Object(mark));
        }
    }

    fn mark(&mut self, mark: Value) {
        if self.marks.len() < MARKS_MAX {
            self.marks.push(mark);
        } else {
            self.marks_dropped += 1;
        }
    }

    fn header(&mut self, track: TrackId, complete: bool, sha256: &str) -> Vec<u8> {
        let mut header = Map::new();
        let ended = self.ended_at_ns.or((self.last_ns > 0).then_some(self.last_ns)).or(self.started_at_ns);
        if self.stats.is_null() {
            self.stats = json!({"packets": self.packets, "bytes": self.payloads.bytes, "first_at_ns": self.first_ns, "last_at_ns": self.first_ns.map(|_| self.last_ns)});
        }
        header.insert("track".into(), json!(track.to_string()));
        header.insert("session".into(), self.session.take());
        header.insert("meta".into(), self.meta.take());
        header.insert("complete".into(), json!(complete));
        header.insert("started_at_ns".into(), json!(self.started_at_ns));
        header.insert("ended_at_ns".into(), json!(ended));
        header.insert("payload_types".into(), Value::Array(std::mem::take(&mut self.payload_types)));
        header.insert("marks".into(), Value::Array(std::mem::take(&mut self.marks)));
        header.insert("marks_dropped".into(), json!(self.marks_dropped));
        header.insert("stats".into(), self.stats.take());
        header.insert("malformed_packets".into(), json!(self.malformed));
        header.insert("missing_bytes".into(), json!(self.missing));
        header.insert("sha256".into(), json!(sha256));
        Value::Object(header).to_string().into_bytes()
    }
}

/// Writes `output` (by a temporary file beside it and a rename). Works from the files alone, also while the owner runs.
/// An open track is refused with `StillOpen` unless `partial`.
pub fn extract(journal_dir: &Path, keys_dir: &Path, track: TrackId, output: &Path, partial: bool) -> Result<Extracted, JournalError> {
    let failed = |error| JournalError::io("cannot write", output, error);
    let gathered = std::cell::RefCell::new(Gathered::beside(output).map_err(failed)?);
    let trouble = std::cell::RefCell::new(None);
    let reading = read_track(
        journal_dir,
        keys_dir,
        track,
        partial,
        &mut || *trouble.borrow_mut() = gathered.borrow_mut().restart().err(),
        &mut |part| gathered.borrow_mut().take(part).map_err(failed),
    )?;
    if let Some(error) = trouble.into_inner() {
        return Err(failed(error));
    }
    let scratch = beside(output, "part");
    let written = write(gathered.into_inner(), track, reading.complete, &scratch).and_then(|extracted| {
        fs::rename(&scratch, output)?;
        Ok(extracted)
    });
    written.map_err(|error| {
        let _ = fs::remove_file(&scratch);
        failed(error)
    })
}

fn write(mut gathered: Gathered, track: TrackId, complete: bool, scratch: &Path) -> io::Result<Extracted> {
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(scratch)?;
    let (packets, payload_bytes, malformed_packets, missing_bytes) =
        (gathered.packets, gathered.payloads.bytes, gathered.malformed, gathered.missing);
    // The digest always has 64 characters: the header's length is known before its value is.
    let placeholder = "0".repeat(64);
    let header = gathered.header(track, complete, &placeholder);
    let padded = (12 + header.len()).next_multiple_of(8) - 12;
    out.seek(SeekFrom::Start(12 + padded as u64))?;
    let mut sum = digest::Context::new(&digest::SHA256);
    let count = packets.to_le_bytes();
    out.write_all(&count)?;
    gathered.table.pour(&mut out, &mut sum)?;
    gathered.payloads.pour(&mut out, &mut sum)?;
    let sha256: String = sum.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let tail = format!("\"sha256\":\"{placeholder}\"");
    let text = String::from_utf8(header).map_err(io::Error::other)?;
    let at = text.rfind(&tail).ok_or_else(|| io::Error::other("the header lost its digest"))?;
    let text = format!("{}\"sha256\":\"{sha256}\"{}", &text[..at], &text[at + tail.len()..]);
    let mut head = b"CWTRACK1".to_vec();
    head.extend_from_slice(&(padded as u32).to_le_bytes());
    head.extend_from_slice(text.as_bytes());
    head.resize(12 + padded, b' ');
    out.seek(SeekFrom::Start(0))?;
    out.write_all(&head)?;
    Ok(Extracted { track: track.to_string(), packets, payload_bytes, complete, sha256, malformed_packets, missing_bytes })
}
