//! Counters shared between the threads, and their Prometheus text.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use callward_journal::JournalStatus;

/// Written by the network thread and the control thread, read by `status` and `metrics`.
#[derive(Default)]
pub struct Totals {
    pub packets: AtomicU64,
    pub strangers: AtomicU64,
    /// Packets on ports without a track: of ended calls.
    pub stale: AtomicU64,
    pub lost_kernel: AtomicU64,
    pub overflow: AtomicU64,
    pub open_tracks: AtomicU64,
    pub sockets: AtomicU64,
    pub clients: AtomicU64,
    /// Clients that want `acked` events.
    pub ack_watchers: AtomicU64,
    pub stopping: AtomicBool,
}

/// The exposition format of Prometheus, version 0.0.4.
pub fn exposition(totals: &Totals, journal: &JournalStatus, events_dropped: u64) -> String {
    let mut text = String::with_capacity(4096);
    let mut metric = |name: &str, kind: &str, help: &str, value: f64| {
        // Writing to a string cannot fail.
        let _ = write!(text, "# HELP callward_media_{name} {help}\n# TYPE callward_media_{name} {kind}\ncallward_media_{name} {value}\n");
    };
    let count = |counter: &AtomicU64| counter.load(Relaxed) as f64;
    metric("open_tracks", "gauge", "Tracks that are being recorded or paused.", count(&totals.open_tracks));
    metric("packets_total", "counter", "Datagrams received, RTP and RTCP.", count(&totals.packets));
    metric("packets_stranger_total", "counter", "Datagrams from an address that was not negotiated.", count(&totals.strangers));
    metric("packets_stale_total", "counter", "Datagrams on ports of ended tracks.", count(&totals.stale));
    metric("packets_lost_kernel_total", "counter", "Datagrams that the kernel dropped for lack of room.", count(&totals.lost_kernel));
    metric("packets_overflow_total", "counter", "Packets lost because the disk did not keep up.", count(&totals.overflow));
    metric("sockets", "gauge", "Open media sockets.", count(&totals.sockets));
    metric("clients", "gauge", "Connected control clients.", count(&totals.clients));
    metric("events_dropped_total", "counter", "Lines that clients did not get.", events_dropped as f64);
    metric("able", "gauge", "1 while new tracks are taken.", f64::from(u8::from(journal.able)));
    metric("journal_bytes", "gauge", "Size of the audio journal.", journal.journal_bytes as f64);
    metric("journal_free_bytes", "gauge", "Free disk below the audio journal.", journal.free_bytes as f64);
    metric("journal_segments", "gauge", "Segments of the audio journal.", journal.segments as f64);
    metric("journal_tracks", "gauge", "Tracks that are not released yet.", journal.unreleased_tracks as f64);
    metric("journal_sync_groups_total", "counter", "Groups written and synced.", journal.groups as f64);
    metric("journal_sync_p50_seconds", "gauge", "Median time to write and sync a group.", journal.sync_ms_p50 / 1000.0);
    metric("journal_sync_p99_seconds", "gauge", "99th percentile of the time to write and sync a group.", journal.sync_ms_p99 / 1000.0);
    metric("journal_sync_max_seconds", "gauge", "Longest time to write and sync a group.", journal.sync_ms_max / 1000.0);
    metric("journal_buffered_bytes", "gauge", "Audio that is not synced yet.", journal.buffered_bytes as f64);
    metric("journal_buffered_seconds", "gauge", "Age of the oldest audio that is not synced yet.", journal.buffered_ms as f64 / 1000.0);
    metric("journal_orphan_packets_total", "counter", "Packets for tracks that had ended.", journal.orphan_packets as f64);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_has_help_type_and_value() {
        let text = exposition(&Totals::default(), &JournalStatus::default(), 0);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len() % 3, 0);
        for three in lines.chunks(3) {
            assert!(three[0].starts_with("# HELP callward_media_"));
            assert!(three[1].starts_with("# TYPE callward_media_"));
            assert!(three[2].starts_with("callward_media_"));
        }
    }
}
