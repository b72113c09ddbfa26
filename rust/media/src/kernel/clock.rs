//! The monotonic clock, and how the kernel's wall-clock stamps are mapped to it.

/// Reads both clocks and maps packet stamps (UTC of the kernel) to monotonic time, so that a step of the wall clock moves no packet.
pub struct Clock {
    /// Nanoseconds of the monotonic clock at the last `refresh`.
    pub now_ns: i64,
    /// UTC minus monotonic at the last `refresh`.
    pub utc_offset_ns: i64,
    offset_before_ns: i64,
    previous_ns: i64,
}

/// Beyond this a change of UTC minus monotonic is a step, not slewing.
const STEP_NS: i64 = 1_000_000;
/// A packet may have waited in its socket for this long before the batch before it.
const WAIT_MAX_NS: i64 = 30_000_000_000;

fn read(id: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec to the address given; both clocks exist on every Linux.
    unsafe { libc::clock_gettime(id, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}

impl Clock {
    pub fn new() -> Clock {
        let now_ns = read(libc::CLOCK_MONOTONIC);
        let offset = read(libc::CLOCK_REALTIME) - now_ns;
        Clock { now_ns, utc_offset_ns: offset, offset_before_ns: offset, previous_ns: now_ns - WAIT_MAX_NS }
    }

    /// Reads the clocks; once per batch.
    pub fn refresh(&mut self) {
        self.previous_ns = self.now_ns;
        self.now_ns = read(libc::CLOCK_MONOTONIC);
        let offset = read(libc::CLOCK_REALTIME) - self.now_ns;
        if (offset - self.utc_offset_ns).abs() > STEP_NS {
            self.offset_before_ns = self.utc_offset_ns;
        } else if self.offset_before_ns == self.utc_offset_ns {
            self.offset_before_ns = offset;
        }
        self.utc_offset_ns = offset;
    }

    /// UTC now, in nanoseconds.
    pub fn utc_ns(&self) -> i64 {
        self.now_ns + self.utc_offset_ns
    }

    /// The monotonic time of a kernel stamp; 0 is no stamp.
    #[inline]
    pub fn monotonic(&self, stamp_utc_ns: i64) -> i64 {
        if stamp_utc_ns == 0 {
            return self.now_ns;
        }
        let earliest = self.previous_ns - WAIT_MAX_NS;
        let arrival = stamp_utc_ns - self.utc_offset_ns;
        if arrival <= self.now_ns && arrival >= earliest {
            return arrival;
        }
        // Stamped before the wall clock was stepped.
        let arrival = stamp_utc_ns - self.offset_before_ns;
        if arrival <= self.now_ns && arrival >= earliest {
            return arrival;
        }
        self.now_ns
    }
}

/// Identifies this boot of the machine: monotonic times of another boot mean nothing.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(now_ns: i64, offset: i64, before: i64, previous_ns: i64) -> Clock {
        Clock { now_ns, utc_offset_ns: offset, offset_before_ns: before, previous_ns }
    }

    #[test]
    fn fault_11_a_step_of_the_wall_clock_moves_no_packet() {
        let second = 1_000_000_000;
        let hour = 3600 * second;
        // Stamped 3 ms ago, then the clock went forward one hour.
        let stepped = clock(100 * second, 5000 * second + hour, 5000 * second, 100 * second - 5_000_000);
        assert_eq!(stepped.monotonic(5100 * second - 3_000_000), 100 * second - 3_000_000);
        assert_eq!(stepped.monotonic(5100 * second + hour - 1_000_000), 100 * second - 1_000_000);
        // And back.
        let stepped = clock(100 * second, 5000 * second - hour, 5000 * second, 100 * second - 5_000_000);
        assert_eq!(stepped.monotonic(5100 * second - 3_000_000), 100 * second - 3_000_000);
    }

    #[test]
    fn a_stamp_from_nowhere_counts_as_now() {
        let sane = clock(100, 1000, 1000, 50);
        assert_eq!(sane.monotonic(0), 100);
        assert_eq!(sane.monotonic(i64::MAX / 2), 100);
        assert_eq!(sane.monotonic(1090), 90);
    }
}
