//! The process that is tortured: a real journal under a made-up load. What it says on stdout is all that the oracle believes.
//!
//! Lines: `B track position state` (found at the start), `O track` (open is durable), `A track base end digest` (acknowledged: SHA-256 of
//! the records from base to end), `G track packets` (handed over so far), `C track bytes` (close is durable), `r track` (release asked for),
//! `R track` (release is durable), `E` (everything is set up), `S p50 p99 max groups` (milliseconds).

use std::collections::VecDeque;
use std::io::Write;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use callward_journal::{BlockBuffer, Journal, JournalConfig, JournalError, TrackHandle, TrackId, TrackState};
use ring::digest::{Context, SHA256};

use crate::plan::Options;
use crate::random::Random;

struct Live {
    handle: TrackHandle,
    buffer: BlockBuffer,
    base: u64,
    end: u64,
    sum: Context,
    ends: VecDeque<(u64, String)>,
    packets: u64,
    closing: bool,
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn config(options: &Options) -> JournalConfig {
    let mut config = JournalConfig::new(options.dir.join("audio"), options.dir.join("keys"));
    config.segment_bytes = options.segment_bytes;
    config.sync_interval = Duration::from_millis(options.sync_ms);
    config.disk_reserve_bytes = 0;
    config.live_segments = options.live_segments;
    config
}

fn state_name(state: TrackState) -> &'static str {
    match state {
        TrackState::Open => "open",
        TrackState::Closed => "closed",
    }
}

fn say(lines: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(lines.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

fn open(options: &Options) -> Option<Journal> {
    match Journal::open(config(options), |_| {}) {
        Ok(journal) => Some(journal),
        Err(error) => {
            eprintln!("child: {error}");
            None
        }
    }
}

fn found(journal: &Journal) -> String {
    journal.tracks().iter().map(|info| format!("B {} {} {}\n", info.track, info.acked_bytes, state_name(info.state))).collect()
}

/// Recovers and says what was found.
pub fn recover(options: &Options) -> bool {
    let Some(journal) = open(options) else {
        return false;
    };
    // What was found when it opened; the restart marks of this run may be in the figures or not.
    say(&found(&journal));
    journal.flush(Duration::from_secs(20));
    journal.close();
    say("E\n");
    true
}

/// Loads the journal until somebody kills it, or for `duration_ms`.
pub fn generate(options: &Options) -> bool {
    let Some(journal) = open(options) else {
        return false;
    };
    if !journal.flush(Duration::from_secs(20)) {
        return false;
    }
    say(&found(&journal));
    let mut random = Random(options.seed);
    let (notes_in, notes) = mpsc::channel::<String>();
    let mut live: Vec<Live> = Vec::new();
    let mut closed: Vec<TrackId> = Vec::new();
    for info in journal.tracks() {
        match info.state {
            TrackState::Closed => closed.push(info.track),
            TrackState::Open => live.extend(journal.handle(info.track).map(begin)),
        }
    }
    while live.len() < options.tracks {
        let Some(track) = open_track(&journal, &mut random, &notes_in) else {
            break;
        };
        live.push(track);
    }
    say("E\n");
    let begun = Instant::now();
    let mut feed = journal.feed();
    let mut packet = vec![0u8; 1500];
    while begun.elapsed() < Duration::from_millis(options.duration_ms) {
        let mut lines = String::new();
        for track in live.iter_mut().filter(|track| !track.closing) {
            for _ in 0..random.below(options.packets_per_tick * 2 + 1) {
                let length = 20 + random.below(300) as usize;
                random.fill(&mut packet[..length]);
                packet[0] = 0x80;
                track.buffer.push_packet(random.next() as i64 >> 1, &packet[..length]);
                track.packets += 1;
            }
            if random.once_in(50) {
                track.buffer.push_mark(1, b"{\"kind\":\"pause\"}");
            }
            if !track.buffer.is_empty() {
                track.sum.update(track.buffer.as_bytes());
                track.end += track.buffer.len() as u64;
                track.ends.push_back((track.end, hex(track.sum.clone().finish().as_ref())));
                feed.take(track.handle.slot(), &mut track.buffer);
                lines.push_str(&format!("G {} {}\n", track.handle.track(), track.packets));
            }
        }
        if !feed.submit().is_empty() {
            eprintln!("child: the buffer is full");
            return false;
        }
        acknowledged(&mut live, &mut lines);
        told(&notes, &mut lines, &mut live, &mut closed);
        say(&lines);
        if random.once_in(6) {
            end_one(&journal, &mut random, &mut live, &notes_in);
            live.extend(open_track(&journal, &mut random, &notes_in));
        }
        if closed.len() > options.tracks / 2 || random.once_in(40) {
            release_one(&journal, &mut random, &mut live, &mut closed, &notes_in);
        }
        std::thread::sleep(Duration::from_millis(options.tick_ms));
    }
    journal.flush(Duration::from_secs(20));
    let mut lines = String::new();
    acknowledged(&mut live, &mut lines);
    told(&notes, &mut lines, &mut live, &mut closed);
    let status = journal.status();
    lines.push_str(&format!("S {} {} {} {}\n", status.sync_ms_p50, status.sync_ms_p99, status.sync_ms_max, status.groups));
    say(&lines);
    true
}

fn begin(handle: TrackHandle) -> Live {
    let base = handle.acked_bytes();
    Live {
        handle,
        buffer: BlockBuffer::default(),
        base,
        end: base,
        sum: Context::new(&SHA256),
        ends: VecDeque::new(),
        packets: 0,
        closing: false,
    }
}

fn note<T: Send + 'static>(notes: &Sender<String>, line: impl FnOnce(T) -> String + Send + 'static) -> callward_journal::Done<T> {
    let notes = notes.clone();
    Box::new(move |answer: Result<T, JournalError>| {
        if let Ok(value) = answer {
            let _ = notes.send(line(value));
        }
    })
}

fn open_track(journal: &Journal, random: &mut Random, notes: &Sender<String>) -> Option<Live> {
    let mut bytes = [0u8; 16];
    random.fill(&mut bytes);
    bytes[0] &= 0x7f;
    let track = TrackId::from_bytes(bytes);
    let header = format!("{{\"session\":\"{track}\",\"meta\":{{\"label\":\"1\"}},\"pad\":\"{}\"}}", "x".repeat(random.below(600) as usize));
    journal.open_track(track, header.as_bytes(), note(notes, move |()| format!("O {track}\n"))).ok().map(begin)
}

fn end_one(journal: &Journal, random: &mut Random, live: &mut [Live], notes: &Sender<String>) {
    let at = random.below(live.len() as u64) as usize;
    // The oldest track is a long call: it stays open.
    if let Some(track) = live.get_mut(at).filter(|track| at > 0 && !track.closing) {
        track.closing = true;
        let id = track.handle.track();
        let _ = journal.close_track(
            id,
            b"{\"packets\":1}",
            note(notes, move |closed: callward_journal::ClosedTrack| format!("C {id} {}\n", closed.acked_bytes)),
        );
    }
}

fn release_one(journal: &Journal, random: &mut Random, live: &mut Vec<Live>, closed: &mut Vec<TrackId>, notes: &Sender<String>) {
    let id = if !closed.is_empty() {
        closed.swap_remove(random.below(closed.len() as u64) as usize)
    } else if random.once_in(10) && live.len() > 2 {
        live.swap_remove(1).handle.track()
    } else {
        return;
    };
    say(&format!("r {id}\n"));
    let _ = journal.release_track(id, note(notes, move |()| format!("R {id}\n")));
}

fn acknowledged(live: &mut [Live], lines: &mut String) {
    for track in live {
        let acked = track.handle.acked_bytes();
        let mut newest = None;
        while track.ends.front().is_some_and(|(end, _)| *end <= acked) {
            newest = track.ends.pop_front();
        }
        if let Some((end, digest)) = newest {
            lines.push_str(&format!("A {} {} {end} {digest}\n", track.handle.track(), track.base));
        }
    }
}

fn told(notes: &Receiver<String>, lines: &mut String, live: &mut Vec<Live>, closed: &mut Vec<TrackId>) {
    while let Ok(line) = notes.try_recv() {
        if let Some(id) = line.strip_prefix("C ").and_then(|rest| rest.split(' ').next()).and_then(|id| id.parse().ok()) {
            live.retain(|track| track.handle.track() != id);
            closed.push(id);
        }
        lines.push_str(&line);
    }
}
