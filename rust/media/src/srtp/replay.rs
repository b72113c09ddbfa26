//! The replay window of RFC 3711 section 3.3.2, 128 packets wide.

/// What a window says about an index before the packet is authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Fresh,
    /// Its index was received already.
    Replayed,
    /// Older than the window.
    TooOld,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    highest: u64,
    /// Bit n: index `highest - n` was received. Zero only while nothing was received.
    seen: u128,
}

impl Window {
    pub fn at(highest: u64) -> Window {
        Window { highest, seen: u128::MAX }
    }

    #[inline]
    pub fn check(&self, index: u64) -> Verdict {
        if self.seen == 0 || index > self.highest {
            return Verdict::Fresh;
        }
        let behind = self.highest - index;
        if behind >= 128 {
            Verdict::TooOld
        } else if self.seen >> behind & 1 == 1 {
            Verdict::Replayed
        } else {
            Verdict::Fresh
        }
    }

    #[inline]
    pub fn accept(&mut self, index: u64) {
        if self.seen == 0 {
            *self = Window { highest: index, seen: 1 };
        } else if index > self.highest {
            let ahead = index - self.highest;
            self.seen = if ahead >= 128 { 1 } else { self.seen << ahead | 1 };
            self.highest = index;
        } else if self.highest - index < 128 {
            self.seen |= 1 << (self.highest - index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_passes_once_in_any_order() {
        let mut window = Window::default();
        for index in [5u64, 3, 4, 100, 99, 131] {
            assert_eq!(window.check(index), Verdict::Fresh, "{index}");
            window.accept(index);
            assert_eq!(window.check(index), Verdict::Replayed, "{index}");
        }
        assert_eq!(window.check(3), Verdict::TooOld);
        assert_eq!(window.check(4), Verdict::Replayed);
        window.accept(1_000_000);
        assert_eq!(window.check(131), Verdict::TooOld);
        assert_eq!(window.check(999_999), Verdict::Fresh);
    }
}
