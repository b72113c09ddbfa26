//! The journal as its owner and its readers see it, on a real file system.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use callward_journal::*;

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path =
            std::env::temp_dir().join(format!("callward-journal-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn journal(&self) -> PathBuf {
        self.0.join("audio")
    }

    fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    fn config(&self) -> JournalConfig {
        let mut config = JournalConfig::new(self.journal(), self.keys());
        config.segment_bytes = 1 << 20;
        config.sync_interval = Duration::from_millis(5);
        config.disk_reserve_bytes = 0;
        config
    }

    fn open(&self) -> Journal {
        Journal::open(self.config(), |_| {}).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn id(number: u8) -> TrackId {
    let mut bytes = [number; 16];
    bytes[0] = 1;
    TrackId::from_bytes(bytes)
}

fn wait<T: Send + 'static>(start: impl FnOnce(Done<T>) -> Result<(), JournalError>) -> Result<T, JournalError> {
    let (sender, receiver) = mpsc::channel();
    start(Box::new(move |answer| drop(sender.send(answer))))?;
    receiver.recv_timeout(Duration::from_secs(10)).expect("the journal answers")
}

const HEADER: &[u8] = br#"{"session":"01JD8Z3K4M5N6P7Q8R9S0T1V2W","meta":{"label":"1"},"payload_types":[{"payload_type":8,"codec":"PCMA"}],"rtp_port":10000}"#;

fn open_track(journal: &Journal, track: TrackId) -> TrackHandle {
    let mut handle = None;
    wait(|done| journal.open_track(track, HEADER, done).map(|opened| handle = Some(opened))).unwrap();
    handle.unwrap()
}

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet.extend_from_slice(&7u32.to_be_bytes());
    packet.extend((0..160u32).map(|at| (at.wrapping_mul(31).wrapping_add(u32::from(sequence))) as u8));
    packet
}

fn feed_packets(feed: &mut Feed, handle: &TrackHandle, from: u16, many: u16) {
    let mut buffer = feed.buffer();
    for sequence in from..from + many {
        assert!(buffer.push_packet(1_000_000_000 + i64::from(sequence) * 20_000_000, &rtp(sequence)));
    }
    feed.take(handle.slot(), &mut buffer);
    assert!(feed.submit().is_empty());
}

fn close_track(journal: &Journal, track: TrackId) -> ClosedTrack {
    wait(|done| journal.close_track(track, br#"{"packets":1}"#, done)).unwrap()
}

fn release(journal: &Journal, track: TrackId) {
    wait(|done| journal.release_track(track, done)).unwrap();
}

/// Header and sequences of an extracted file, with its structure checked.
fn read_cwtrack(path: &Path) -> (serde_json::Value, Vec<u16>) {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"CWTRACK1");
    let length = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[12..12 + length]).unwrap();
    let body = 12 + length;
    assert_eq!(body % 8, 0);
    let packets = u64::from_le_bytes(bytes[body..body + 8].try_into().unwrap()) as usize;
    let table = body + 8;
    let payloads = table + packets * 32;
    let sum = ring::digest::digest(&ring::digest::SHA256, &bytes[table..]);
    let hex: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(header["sha256"], hex);
    let sequences = (0..packets)
        .map(|nth| {
            let row = &bytes[table + nth * 32..table + nth * 32 + 32];
            let offset = u64::from_le_bytes(row[8..16].try_into().unwrap()) as usize;
            let length = u16::from_le_bytes(row[26..28].try_into().unwrap()) as usize;
            let sequence = u16::from_le_bytes(row[24..26].try_into().unwrap());
            assert_eq!(bytes[payloads + offset..payloads + offset + length], rtp(sequence)[12..]);
            sequence
        })
        .collect();
    (header, sequences)
}

fn extracted(folder: &Folder, track: TrackId, partial: bool) -> (serde_json::Value, Vec<u16>) {
    let output = folder.0.join("out.cwtrack");
    extract(&folder.journal(), &folder.keys(), track, &output, partial).unwrap();
    read_cwtrack(&output)
}

fn assert_sound(folder: &Folder) {
    let report = check(&folder.journal()).unwrap();
    assert!(report.ok, "{report:?}");
}

#[test]
fn a_track_is_extracted_as_it_was_handed_over() {
    let folder = Folder::new();
    let journal = folder.open();
    let handle = open_track(&journal, id(1));
    let mut feed = journal.feed();
    feed_packets(&mut feed, &handle, 0, 500);
    let closed = close_track(&journal, id(1));
    assert_eq!(closed.acked_bytes, handle.acked_bytes());
    assert_eq!(closed.acked_bytes, 500 * (12 + 172));
    let (header, sequences) = extracted(&folder, id(1), false);
    assert_eq!(sequences, (0..500).collect::<Vec<_>>());
    assert_eq!(header["complete"], true);
    assert_eq!(header["session"], "01JD8Z3K4M5N6P7Q8R9S0T1V2W");
    assert_eq!(header["meta"]["label"], "1");
    assert_eq!(header["payload_types"][0]["codec"], "PCMA");
    assert_eq!(header["stats"]["packets"], 1);
    assert_sound(&folder);
}

#[test]
fn an_open_track_is_extracted_only_when_asked_for_a_part() {
    let folder = Folder::new();
    let journal = folder.open();
    let handle = open_track(&journal, id(1));
    feed_packets(&mut journal.feed(), &handle, 0, 10);
    assert!(journal.flush(Duration::from_secs(5)));
    let output = folder.0.join("x");
    assert!(matches!(extract(&folder.journal(), &folder.keys(), id(1), &output, false), Err(JournalError::StillOpen(_))));
    let (header, sequences) = extracted(&folder, id(1), true);
    assert_eq!((header["complete"].clone(), sequences.len()), (serde_json::Value::Bool(false), 10));
}

#[test]
fn tracks_survive_a_restart_with_header_and_bytes() {
    let folder = Folder::new();
    let journal = folder.open();
    let handle = open_track(&journal, id(1));
    feed_packets(&mut journal.feed(), &handle, 0, 50);
    open_track(&journal, id(2));
    close_track(&journal, id(2));
    journal.close();
    assert!(matches!(journal.open_track(id(9), HEADER, Box::new(|_| {})), Err(JournalError::Closed)));

    let journal = folder.open();
    let tracks = journal.tracks();
    assert_eq!(tracks.len(), 2);
    assert_eq!((tracks[0].state, tracks[0].recovered, &*tracks[0].header), (TrackState::Open, true, HEADER));
    assert_eq!((tracks[1].state, &*tracks[1].stats), (TrackState::Closed, &br#"{"packets":1}"#[..]));
    let handle = journal.handle(id(1)).unwrap();
    feed_packets(&mut journal.feed(), &handle, 60, 50);
    close_track(&journal, id(1));
    let (header, sequences) = extracted(&folder, id(1), false);
    assert_eq!(sequences, (0..50).chain(60..110).collect::<Vec<_>>());
    assert_eq!(header["marks"][0]["kind"], "restart");
    assert_sound(&folder);
}

#[test]
fn a_released_track_is_gone_and_its_segments_are_used_again() {
    let folder = Folder::new();
    let mut config = folder.config();
    config.live_segments = 1000;
    let journal = Journal::open(config, |_| {}).unwrap();
    let mut feed = journal.feed();
    for round in 0..20 {
        let handle = open_track(&journal, id(round));
        for part in 0..4 {
            feed_packets(&mut feed, &handle, part * 1000, 1000);
        }
        close_track(&journal, id(round));
        release(&journal, id(round));
        assert!(matches!(
            extract(&folder.journal(), &folder.keys(), id(round), &folder.0.join("x"), true),
            Err(JournalError::UnknownTrack(_))
        ));
    }
    assert!(journal.tracks().is_empty());
    let files = fs::read_dir(folder.journal().join("segments")).unwrap().count();
    assert!(files <= 6, "{files} segment files after all was released");
    journal.close();
    assert!(folder.open().tracks().is_empty());
}

#[test]
fn a_shredded_open_track_cannot_be_read_and_takes_no_more() {
    let folder = Folder::new();
    let journal = folder.open();
    let handle = open_track(&journal, id(1));
    let mut feed = journal.feed();
    feed_packets(&mut feed, &handle, 0, 10);
    wait(|done| journal.shred_track(id(1), done)).unwrap();
    assert!(handle.ended());
    feed_packets(&mut feed, &handle, 10, 10);
    assert!(journal.flush(Duration::from_secs(5)));
    assert_eq!(journal.status().orphan_packets, 10);
    assert!(matches!(extract(&folder.journal(), &folder.keys(), id(1), &folder.0.join("x"), true), Err(JournalError::UnknownTrack(_))));
    let ring = fs::read(folder.keys().join("ring")).unwrap();
    assert!(!ring.windows(16).any(|window| window == id(1).bytes()));
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_long_call_never_pins_the_journal() {
    let folder = Folder::new();
    let mut config = folder.config();
    config.live_segments = 4;
    let journal = Journal::open(config.clone(), |_| {}).unwrap();
    let long = open_track(&journal, id(1));
    let mut feed = journal.feed();
    let mut sequence = 0;
    for round in 2..30 {
        let other = open_track(&journal, id(round));
        feed_packets(&mut feed, &long, sequence, 100);
        sequence += 100;
        for part in 0..5 {
            feed_packets(&mut feed, &other, part * 1000, 1000);
        }
        close_track(&journal, id(round));
        if round % 2 == 0 {
            release(&journal, id(round));
        }
        if round == 20 {
            let (_, sequences) = extracted(&folder, id(1), true);
            assert_eq!(sequences, (0..sequence).collect::<Vec<_>>());
        }
    }
    until("old segments are emptied", || journal.status().segments <= 5);
    let (_, sequences) = extracted(&folder, id(3), false);
    assert_eq!(sequences, (0..5000).collect::<Vec<_>>());
    assert_sound(&folder);
    journal.close();
    drop(journal);

    let journal = Journal::open(config, |_| {}).unwrap();
    assert_eq!(&*journal.track(id(1)).unwrap().header, HEADER);
    assert_eq!(&*journal.track(id(3)).unwrap().stats, br#"{"packets":1}"#);
    close_track(&journal, id(1));
    let (_, sequences) = extracted(&folder, id(1), false);
    assert_eq!(sequences, (0..sequence).collect::<Vec<_>>());
    assert_sound(&folder);
    for track in journal.tracks() {
        release(&journal, track.track);
    }
    until("track files go with their tracks", || fs::read_dir(folder.journal().join("tracks")).unwrap().count() == 0);
}

#[test]
fn only_one_process_owns_a_journal() {
    let folder = Folder::new();
    let _journal = folder.open();
    assert!(matches!(Journal::open(folder.config(), |_| {}), Err(JournalError::Locked(_))));
}

#[test]
fn a_host_key_that_others_can_read_or_that_is_lost_is_refused() {
    let folder = Folder::new();
    folder.open().close();
    let key = folder.keys().join("host.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Journal::open(folder.config(), |_| {}), Err(JournalError::LooseKey { .. })));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let kept = fs::read(&key).unwrap();
    fs::write(&key, [1; 32]).unwrap();
    assert!(matches!(Journal::open(folder.config(), |_| {}), Err(JournalError::HostKey { .. })));
    fs::remove_file(&key).unwrap();
    assert!(matches!(Journal::open(folder.config(), |_| {}), Err(JournalError::HostKey { .. })));
    fs::write(&key, kept).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    folder.open();
}

#[test]
fn at_the_bound_packets_are_dropped_counted_and_marked() {
    let folder = Folder::new();
    let mut config = folder.config();
    config.buffer_bytes = 1 << 20;
    config.sync_interval = Duration::from_secs(10);
    let journal = Journal::open(config, |_| {}).unwrap();
    let handle = open_track(&journal, id(1));
    let mut feed = journal.feed();
    let mut lost = 0;
    for _ in 0..20 {
        let mut buffer = feed.buffer();
        while buffer.len() < 100_000 {
            buffer.push_packet(5, &rtp(1));
        }
        feed.take(handle.slot(), &mut buffer);
        lost += feed.submit().iter().map(|one| u64::from(one.packets)).sum::<u64>();
    }
    assert!(lost > 0);
    assert_eq!(journal.status().overflow_packets, lost);
    assert!(journal.flush(Duration::from_secs(5)));
    feed_packets(&mut feed, &handle, 2, 1);
    close_track(&journal, id(1));
    let (header, _) = extracted(&folder, id(1), false);
    assert_eq!((header["marks"][0]["kind"].clone(), header["marks"][0]["packets"].as_u64()), ("overflow".into(), Some(lost)));
}

#[test]
fn above_the_watermark_no_new_track_is_taken_but_open_ones_go_on() {
    let folder = Folder::new();
    let mut config = folder.config();
    config.journal_max_bytes = 4 << 20;
    config.live_segments = 1000;
    let (able_in, able) = mpsc::channel();
    let journal = Journal::open(config, move |event| drop(able_in.send(event))).unwrap();
    let handle = open_track(&journal, id(1));
    let mut feed = journal.feed();
    for part in 0..30 {
        feed_packets(&mut feed, &handle, part * 1000, 1000);
        assert!(journal.flush(Duration::from_secs(5)));
    }
    let JournalEvent::Able { able: now, why } = able.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(!now && why.contains("journal_max_bytes"), "{why}");
    assert!(matches!(journal.open_track(id(2), HEADER, Box::new(|_| {})), Err(JournalError::NoSpace(_))));
    // A stream that is being recorded goes on in a new track all the same.
    assert!(journal.open_following_track(id(8), HEADER, Box::new(|_| {})).is_ok());
    close_track(&journal, id(1));
    assert_eq!(extracted(&folder, id(1), false).1.len(), 30_000);
    release(&journal, id(1));
    assert_eq!(able.recv_timeout(Duration::from_secs(5)).unwrap(), JournalEvent::Able { able: true, why: String::new() });
    open_track(&journal, id(2));
}

#[test]
fn list_shows_the_tracks_from_the_files_alone() {
    let folder = Folder::new();
    let journal = folder.open();
    open_track(&journal, id(1));
    wait(|done| journal.update_track(id(1), br#"{"session":"s2","meta":{"label":"7"}}"#, done)).unwrap();
    open_track(&journal, id(2));
    close_track(&journal, id(2));
    open_track(&journal, id(3));
    release(&journal, id(3));
    let listed = list(&folder.journal(), &folder.keys()).unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!((listed[0].state, listed[0].session.as_str(), listed[0].meta["label"].as_str()), ("open", Some("s2"), Some("7")));
    assert_eq!((listed[1].state, listed[1].readable), ("closed", true));
}

#[test]
fn opening_twice_and_releasing_the_unknown_do_no_harm() {
    let folder = Folder::new();
    let journal = folder.open();
    open_track(&journal, id(1));
    assert!(matches!(journal.open_track(id(1), HEADER, Box::new(|_| {})), Err(JournalError::TrackExists(_))));
    assert!(matches!(journal.open_track(id(2), &[b' '; HEADER_MAX_BYTES + 1], Box::new(|_| {})), Err(JournalError::TooLong { .. })));
    release(&journal, id(77));
    let first = close_track(&journal, id(1));
    assert_eq!(close_track(&journal, id(1)), first);
}

#[test]
fn odd_packets_and_marks_are_kept_out_of_the_table_and_counted() {
    let folder = Folder::new();
    let journal = folder.open();
    let handle = open_track(&journal, id(1));
    let mut feed = journal.feed();
    let mut buffer = feed.buffer();
    buffer.push_packet(1, b"no rtp");
    buffer.push_packet(2, &rtp(5));
    buffer.push_mark(3, b"no json");
    buffer.push_mark(4, br#"{"kind":"pause"}"#);
    feed.take(handle.slot(), &mut buffer);
    feed.submit();
    close_track(&journal, id(1));
    let (header, sequences) = extracted(&folder, id(1), false);
    assert_eq!(sequences, [5]);
    assert_eq!(header["malformed_packets"], 1);
    assert_eq!(header["marks"], serde_json::json!([{"kind": "pause", "at_ns": 4}]));
}
