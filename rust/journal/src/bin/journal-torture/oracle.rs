//! What was promised, remembered in a process that is never killed, and the comparison with what is there.

use std::collections::HashMap;
use std::path::Path;

use callward_journal::{check, extract, read_track, JournalError, RecordKind, Records, TrackId, TrackPart};
use ring::digest::{digest, SHA256};

use crate::child::hex;

/// Whether a release was asked for, or done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Release {
    #[default]
    No,
    Asked,
    Done,
}

/// What was promised of one track.
#[derive(Debug, Default)]
struct Promise {
    opened: bool,
    closed: Option<u64>,
    release: Release,
    /// Per run: base, and then end and digest of what was acknowledged from there.
    acked: HashMap<u64, (u64, String)>,
    /// Packets handed over in this run.
    handed_over: u64,
    /// Packets that were readable before this run.
    readable_before: u64,
}

/// All promises, and the figures.
#[derive(Debug, Default)]
pub struct Oracle {
    promises: HashMap<TrackId, Promise>,
    pub acked_bytes_checked: u64,
    pub lost_acked_bytes: u64,
    pub lost_packets: u64,
    pub verified_tracks: u64,
    pub sync_line: Option<String>,
}

impl Oracle {
    /// One line of a child.
    pub fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] == "S" {
            self.sync_line = Some(line.to_owned());
        }
        let Some(track) = words.get(1).and_then(|word| word.parse::<TrackId>().ok()) else {
            return;
        };
        let promise = self.promises.entry(track).or_default();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
        match (words[0], number(2), number(3)) {
            ("O", ..) => promise.opened = true,
            ("A", Some(base), Some(end)) if words.len() == 5 => {
                promise.acked.insert(base, (end, words[4].to_owned()));
            }
            ("G", Some(packets), _) => promise.handed_over = packets,
            ("C", Some(bytes), _) => promise.closed = Some(bytes),
            ("r", ..) => promise.release = Release::Asked,
            ("R", ..) => promise.release = Release::Done,
            _ => {}
        }
    }

    /// Compares everything promised with what the journal holds after a recovery that found `found` (track, position, state).
    pub fn verify(&mut self, dir: &Path, found: &HashMap<TrackId, (u64, String)>) -> Result<(), String> {
        let (journal_dir, keys_dir) = (dir.join("audio"), dir.join("keys"));
        let mut gone = Vec::new();
        let mut failures = Vec::new();
        for (track, promise) in &mut self.promises {
            let there = found.get(track);
            match (promise.release, there) {
                (Release::Done, Some(_)) => failures.push(format!("{track} was released and is there again")),
                (Release::Done | Release::Asked, None) => {
                    match read_track(&journal_dir, &keys_dir, *track, true, &mut || {}, &mut |_| Ok(())) {
                        Err(JournalError::UnknownTrack(_)) => gone.push(*track),
                        other => failures.push(format!("{track} was released and can be read: {other:?}")),
                    }
                    continue;
                }
                (_, None) if promise.opened || !promise.acked.is_empty() => {
                    self.lost_acked_bytes += promise.acked.values().map(|(end, _)| end).sum::<u64>().max(1);
                    failures.push(format!("{track} was opened and is not there"));
                }
                (_, None) => gone.push(*track),
                (_, Some((position, state))) => {
                    self.verified_tracks += 1;
                    match compare(&journal_dir, &keys_dir, *track, promise, *position, state) {
                        Ok((checked, packets)) => {
                            self.acked_bytes_checked += checked;
                            self.lost_packets += (promise.readable_before + promise.handed_over).saturating_sub(packets);
                            promise.readable_before = packets;
                            promise.handed_over = 0;
                        }
                        Err((lost, why)) => {
                            self.lost_acked_bytes += lost;
                            failures.push(format!("{track}: {why}"));
                        }
                    }
                }
            }
        }
        for track in gone {
            self.promises.remove(&track);
        }
        if let Some(track) = found.keys().next() {
            let output = dir.join("out.cwtrack");
            if let Err(error) = extract(&journal_dir, &keys_dir, *track, &output, true) {
                failures.push(format!("{track} cannot be extracted: {error}"));
            }
        }
        match check(&journal_dir) {
            Ok(report) if report.ok => {}
            Ok(report) => failures.push(format!("check: {:?}", report.fault)),
            Err(error) => failures.push(format!("check: {error}")),
        }
        if failures.is_empty() {
            Ok(())
        } else {
            failures.truncate(5);
            Err(failures.join("; "))
        }
    }
}

/// Acknowledged bytes compared and packets readable, or how many acknowledged bytes are lost and why.
fn compare(
    journal_dir: &Path,
    keys_dir: &Path,
    track: TrackId,
    promise: &Promise,
    position: u64,
    state: &str,
) -> Result<(u64, u64), (u64, String)> {
    // The walk may start over: what it gave before is forgotten then.
    let bytes = std::cell::RefCell::new(Vec::<u8>::new());
    let missing = std::cell::Cell::new(0u64);
    let reading = read_track(
        journal_dir,
        keys_dir,
        track,
        true,
        &mut || {
            bytes.borrow_mut().clear();
            missing.set(0);
        },
        &mut |part| {
            match part {
                TrackPart::Records { position, plain } => {
                    let mut bytes = bytes.borrow_mut();
                    if position != bytes.len() as u64 {
                        missing.set(missing.get() + 1);
                    }
                    bytes.extend_from_slice(plain);
                }
                TrackPart::Missing { bytes, .. } => missing.set(missing.get() + bytes),
                TrackPart::Header { .. } | TrackPart::End { .. } => {}
            }
            Ok(())
        },
    );
    let promised = promise.acked.values().map(|(end, _)| *end).max().unwrap_or(0);
    let reading = reading.map_err(|error| (promised, error.to_string()))?;
    let bytes = bytes.into_inner();
    if missing.get() > 0 || reading.unreadable_frames > 0 {
        return Err((
            0,
            format!(
                "recovery counts bytes that cannot be read ({} missing, {} frames unreadable)",
                missing.get(),
                reading.unreadable_frames
            ),
        ));
    }
    if (bytes.len() as u64) < position || position < promised {
        return Err((
            promised.saturating_sub(bytes.len() as u64),
            format!("{promised} bytes were acknowledged, recovery found {position}, {} can be read", bytes.len()),
        ));
    }
    let mut checked = 0;
    for (base, (end, expected)) in &promise.acked {
        let Some(part) = bytes.get(*base as usize..*end as usize) else {
            return Err((end - base, format!("bytes {base} to {end} were acknowledged, {} are there", bytes.len())));
        };
        if hex(digest(&SHA256, part).as_ref()) != *expected {
            return Err((end - base, format!("bytes {base} to {end} are not those that were acknowledged")));
        }
        checked += end - base;
    }
    if let Some(closed) = promise.closed {
        if state != "closed" || !reading.complete || bytes.len() as u64 != closed {
            return Err((0, format!("it was closed with {closed} bytes, now it is {state} with {}", bytes.len())));
        }
    }
    let packets = Records::of(&bytes).filter(|record| record.kind == RecordKind::Packet as u8).count() as u64;
    Ok((checked, packets))
}
