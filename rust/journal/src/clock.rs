//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds of UTC.
pub(crate) fn utc_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
