//! What becomes of a journal whose bytes change behind its back.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;
use std::time::Duration;

use callward_journal::*;
use proptest::prelude::*;

const TRACKS: u8 = 3;

fn fresh_folder() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let path = std::env::temp_dir().join(format!("callward-damage-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn id(number: u8) -> TrackId {
    TrackId::from_bytes([number + 1; 16])
}

fn config(folder: &Path) -> JournalConfig {
    let mut config = JournalConfig::new(folder.join("audio"), folder.join("keys"));
    config.segment_bytes = 1 << 20;
    config.sync_interval = Duration::from_millis(1);
    config.disk_reserve_bytes = 0;
    config
}

/// What was acknowledged after each group: per track, bytes of records; and how long the segment was then.
type History = Vec<([u64; TRACKS as usize], u64)>;

struct Sample {
    folder: PathBuf,
    segment: PathBuf,
    bytes: Vec<u8>,
    used: usize,
    history: History,
    /// All records of each track.
    records: Vec<Vec<u8>>,
}

fn end_of_frames(bytes: &[u8]) -> usize {
    let mut at = 0;
    while at + 80 <= bytes.len() && &bytes[at + 4..at + 8] == b"CWJ1" {
        let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        at += (80 + length).next_multiple_of(8);
    }
    at
}

/// One journal with a few groups in one segment, as it stood when its owner was gone.
fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let folder = fresh_folder();
        let journal = Journal::open(config(&folder), |_| {}).unwrap();
        let segment = fs::read_dir(folder.join("audio/segments"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|suffix| suffix == "seg"))
            .unwrap();
        let handles: Vec<TrackHandle> =
            (0..TRACKS).map(|nth| journal.open_track(id(nth), br#"{"session":"s"}"#, Box::new(|_| {})).unwrap()).collect();
        assert!(journal.flush(Duration::from_secs(10)));
        let mut feed = journal.feed();
        let mut history = History::new();
        let mut records = vec![Vec::new(); TRACKS as usize];
        for group in 0..12u8 {
            for (nth, handle) in handles.iter().enumerate() {
                let mut buffer = feed.buffer();
                for part in 0..3 {
                    buffer.push_packet(i64::from(group), &[0x80, group, part, nth as u8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
                }
                records[nth].extend_from_slice(buffer.as_bytes());
                feed.take(handle.slot(), &mut buffer);
            }
            feed.submit();
            assert!(journal.flush(Duration::from_secs(10)));
            let mut acked = [0; TRACKS as usize];
            for (nth, handle) in handles.iter().enumerate() {
                acked[nth] = handle.acked_bytes();
            }
            history.push((acked, end_of_frames(&fs::read(&segment).unwrap()) as u64));
        }
        journal.close();
        let bytes = fs::read(&segment).unwrap();
        let used = end_of_frames(&bytes);
        Sample { folder, segment, bytes, used, history, records }
    })
}

/// A copy of the sample whose segment holds these bytes.
fn copy_with(bytes: &[u8]) -> PathBuf {
    let sample = sample();
    let folder = fresh_folder();
    for part in ["audio/segments", "audio/tracks", "keys"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    for key in ["host.key", "ring"] {
        fs::copy(sample.folder.join("keys").join(key), folder.join("keys").join(key)).unwrap();
    }
    fs::write(folder.join("audio/segments").join(sample.segment.file_name().unwrap()), bytes).unwrap();
    folder
}

fn read(folder: &Path, track: TrackId) -> (Vec<u8>, u64) {
    let read = std::cell::RefCell::new((Vec::new(), 0));
    read_track(&folder.join("audio"), &folder.join("keys"), track, true, &mut || *read.borrow_mut() = (Vec::new(), 0), &mut |part| {
        match part {
            TrackPart::Records { plain, .. } => read.borrow_mut().0.extend_from_slice(plain),
            TrackPart::Missing { bytes, .. } => read.borrow_mut().1 += bytes,
            TrackPart::Header { .. } | TrackPart::End { .. } => {}
        }
        Ok(())
    })
    .unwrap();
    read.into_inner()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn check_finds_any_flipped_byte_of_a_frame(place in 0.0f64..1.0, flip in 1u8..=255) {
        let sample = sample();
        let at = (place * (sample.used - 1) as f64) as usize;
        let mut bytes = sample.bytes.clone();
        bytes[at] ^= flip;
        let folder = copy_with(&bytes);
        let report = check(&folder.join("audio")).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        prop_assert!(!report.ok, "byte {at}");
        prop_assert!(report.fault.unwrap().offset <= at as u64);
    }

    #[test]
    fn a_cut_with_garbage_behind_never_loses_what_was_synced_before_it(place in 0.0f64..1.0, garbage in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let sample = sample();
        let first = sample.history[0].1;
        let cut = first + (place * (sample.used as u64 - first) as f64) as u64;
        let mut bytes = sample.bytes.clone();
        bytes[cut as usize..].fill(0);
        bytes[cut as usize..cut as usize + garbage.len()].copy_from_slice(&garbage);
        let folder = copy_with(&bytes);
        let acked = sample.history.iter().rev().find(|(_, end)| *end <= cut).unwrap().0;
        // Twice: the second recovery finds what the first one made of it.
        for _ in 0..2 {
            let journal = Journal::open(config(&folder), |_| {}).unwrap();
            prop_assert!(journal.flush(Duration::from_secs(10)));
            for nth in 0..TRACKS {
                let synced = acked[nth as usize] as usize;
                let (read, missing) = read(&folder, id(nth));
                prop_assert_eq!(missing, 0);
                prop_assert!(read.len() >= synced);
                prop_assert_eq!(&read[..synced], &sample.records[nth as usize][..synced]);
            }
            journal.close();
        }
        let report = check(&folder.join("audio")).unwrap();
        prop_assert!(report.ok, "{:?}", report);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_flipped_bit_costs_its_own_frame_and_at_most_the_next_of_that_track(place in 0.0f64..1.0) {
        let sample = sample();
        let first = sample.history[0].1;
        let at = first + (place * (sample.used as u64 - first - 1) as f64) as u64;
        let mut bytes = sample.bytes.clone();
        bytes[at as usize] ^= 0x10;
        let folder = copy_with(&bytes);
        let mut lost = 0;
        for nth in 0..TRACKS {
            let (read, missing) = read(&folder, id(nth));
            let whole = sample.records[nth as usize].len();
            lost += whole - read.len();
            prop_assert!(missing as usize <= whole - read.len());
        }
        fs::remove_dir_all(&folder).unwrap();
        // Two only where the flip hits the number of the group itself, in the last group but one.
        let one_frame = 3 * (RECORD_HEADER_BYTES + 14);
        prop_assert!(lost <= 2 * one_frame, "{lost} bytes lost by one flipped bit");
    }

    #[test]
    fn extracting_hostile_packets_never_fails(packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 0..40)) {
        let folder = fresh_folder();
        let journal = Journal::open(config(&folder), |_| {}).unwrap();
        let handle = journal.open_track(id(1), b"[]", Box::new(|_| {})).unwrap();
        let mut feed = journal.feed();
        let mut buffer = feed.buffer();
        for (nth, packet) in packets.iter().enumerate() {
            let mut packet = packet.clone();
            if let (true, Some(first)) = (nth % 2 == 0, packet.first_mut()) {
                *first = 0x80 | (*first & 0x3f);
            }
            buffer.push_packet(nth as i64, &packet);
            buffer.push_mark(nth as i64, &packet);
        }
        feed.take(handle.slot(), &mut buffer);
        feed.submit();
        prop_assert!(journal.flush(Duration::from_secs(10)));
        let extracted = extract(&folder.join("audio"), &folder.join("keys"), id(1), &folder.join("out"), true).unwrap();
        prop_assert_eq!(extracted.packets + extracted.malformed_packets, packets.len() as u64);
        journal.close();
        fs::remove_dir_all(&folder).unwrap();
    }
}
