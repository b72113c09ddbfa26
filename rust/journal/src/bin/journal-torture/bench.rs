//! What the journal costs per packet, with the load of many calls on this machine.

use std::time::{Duration, Instant};

use callward_journal::{extract, BlockBuffer, Journal, JournalConfig, TrackHandle, TrackId};

use crate::plan::Options;

const PACKET_BYTES: usize = 178;

/// CPU time of this process: all threads together.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse().ok()).collect();
    fields.iter().sum::<f64>() / 100.0
}

/// CPU nanoseconds of the calling thread.
fn thread_cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Feeds `tracks` tracks with 50 packets of 190 bytes (record header included) per second in real time, and prints the cost.
pub fn bench(options: &Options) -> bool {
    let tracks = if options.tracks == 24 { 4000 } else { options.tracks };
    let mut config = JournalConfig::new(options.dir.join("audio"), options.dir.join("keys"));
    config.disk_reserve_bytes = 0;
    if options.live_segments != 4 {
        config.live_segments = options.live_segments;
    }
    let journal = match Journal::open(config, |_| {}) {
        Ok(journal) => journal,
        Err(error) => {
            eprintln!("{error}");
            return false;
        }
    };
    let handles: Vec<TrackHandle> = (0..tracks)
        .filter_map(|nth| {
            let mut bytes = [1u8; 16];
            bytes[8..].copy_from_slice(&(nth as u64 + 1).to_be_bytes());
            journal.open_track(TrackId::from_bytes(bytes), b"{\"session\":\"bench\",\"meta\":{}}", Box::new(|_| {})).ok()
        })
        .collect();
    journal.flush(Duration::from_secs(20));
    let mut buffers: Vec<BlockBuffer> = (0..tracks).map(|_| BlockBuffer::default()).collect();
    let mut feed = journal.feed();
    let mut packet = vec![0x55u8; PACKET_BYTES];
    packet[0] = 0x80;
    packet[1] = 8;
    let rounds = options.seconds * 50;
    let begun = Instant::now();
    let cpu_before = cpu_seconds();
    let (mut hot_ns, mut lost) = (0u64, 0u64);
    for round in 0..rounds {
        let hot_begun = thread_cpu_ns();
        packet[2..4].copy_from_slice(&(round as u16).to_be_bytes());
        for buffer in &mut buffers {
            buffer.push_packet(round as i64 * 20_000_000, &packet);
        }
        if round % 2 == 1 {
            for (handle, buffer) in handles.iter().zip(&mut buffers) {
                feed.take(handle.slot(), buffer);
            }
            lost += feed.submit().iter().map(|one| u64::from(one.packets)).sum::<u64>();
        }
        hot_ns += thread_cpu_ns() - hot_begun;
        let due = begun + Duration::from_millis((round + 1) * 20);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    journal.flush(Duration::from_secs(20));
    let cpu = cpu_seconds() - cpu_before;
    let packets = rounds * tracks as u64;
    let status = journal.status();
    println!("{tracks} tracks, {packets} packets in {:.1} s, {lost} lost", begun.elapsed().as_secs_f64());
    println!("hot thread {:.0} ns per packet", hot_ns as f64 / packets as f64);
    println!(
        "journal in all {:.0} ns of CPU per packet ({:.1} % of a core)",
        cpu * 1e9 / packets as f64,
        cpu * 100.0 / begun.elapsed().as_secs_f64()
    );
    println!(
        "sync group p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms, {} groups",
        status.sync_ms_p50, status.sync_ms_p99, status.sync_ms_max, status.groups
    );
    hour(options, &journal);
    drop(journal);
    if !options.keep {
        let _ = std::fs::remove_dir_all(&options.dir);
    }
    lost == 0
}

/// One hour of G.711 in blocks of 100 ms, extracted.
fn hour(options: &Options, journal: &Journal) {
    let track = TrackId::from_bytes([2; 16]);
    let Ok(handle) = journal.open_track(track, b"{\"session\":\"hour\",\"meta\":{}}", Box::new(|_| {})) else {
        return;
    };
    let mut feed = journal.feed();
    let mut packet = vec![0x55u8; 172];
    packet[0] = 0x80;
    packet[1] = 8;
    for block in 0..36_000i64 {
        let mut buffer = feed.buffer();
        for part in 0..5 {
            buffer.push_packet((block * 5 + part) * 20_000_000, &packet);
        }
        feed.take(handle.slot(), &mut buffer);
        feed.submit();
        // Blocks of one group become one frame: a flush now and then keeps the frames near their real size.
        if block % 8 == 7 {
            journal.flush(Duration::from_secs(10));
        }
    }
    journal.flush(Duration::from_secs(10));
    let (sender, closed) = std::sync::mpsc::channel();
    let _ = journal.close_track(
        track,
        b"{}",
        Box::new(move |answer| {
            let _ = sender.send(answer.is_ok());
        }),
    );
    let _ = closed.recv_timeout(Duration::from_secs(10));
    let begun = Instant::now();
    let output = options.dir.join("hour.cwtrack");
    match extract(&options.dir.join("audio"), &options.dir.join("keys"), track, &output, false) {
        Ok(extracted) => println!("one hour extracted in {:.0} ms ({} packets)", begun.elapsed().as_secs_f64() * 1000.0, extracted.packets),
        Err(error) => println!("one hour could not be extracted: {error}"),
    }
}
