//! How long the last sync groups took.

use std::time::Duration;

const KEPT: usize = 1024;

/// The durations of the last 1,024 sync groups.
#[derive(Debug, Default)]
pub(crate) struct SyncTimes {
    micros: Vec<u32>,
    next: usize,
    pub(crate) groups: u64,
}

impl SyncTimes {
    pub(crate) fn note(&mut self, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        if self.micros.len() < KEPT {
            self.micros.push(micros);
        } else {
            self.micros[self.next] = micros;
        }
        self.next = (self.next + 1) % KEPT;
        self.groups += 1;
    }

    /// Milliseconds: median, 99th percentile, largest.
    pub(crate) fn figures(&self) -> (f64, f64, f64) {
        if self.micros.is_empty() {
            return (0.0, 0.0, 0.0);
        }
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let at = |share: f64| f64::from(sorted[((sorted.len() - 1) as f64 * share).round() as usize]) / 1000.0;
        (at(0.5), at(0.99), at(1.0))
    }
}
