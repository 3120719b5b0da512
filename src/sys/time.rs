//! The caller's time zone, localtime(3).

/// A time in the caller's time zone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Local {
    /// As 2026.
    pub year: i32,
    /// From 0.
    pub month: usize,
    /// From 1.
    pub day: u32,
    /// From 0 to 23.
    pub hour: u32,
    /// From 0.
    pub minute: u32,
}

/// `seconds` since 1970; the zero of [`Local`] where that cannot be told.
pub fn local(seconds: u64) -> Local {
    let seconds = seconds as _;
    let mut broken: std::mem::MaybeUninit<libc::tm> = std::mem::MaybeUninit::zeroed();
    // SAFETY: localtime_r(3) writes one tm to where it is told to, which is as large; all zero is a
    // valid one.
    let tm = unsafe {
        if libc::localtime_r(&raw const seconds, broken.as_mut_ptr()).is_null() {
            return Local::default();
        }
        broken.assume_init()
    };
    Local {
        year: tm.tm_year + 1900,
        month: tm.tm_mon.unsigned_abs() as usize,
        day: tm.tm_mday.unsigned_abs(),
        hour: tm.tm_hour.unsigned_abs(),
        minute: tm.tm_min.unsigned_abs(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_day_after_1970_is_in_1970() {
        let local = super::local(86_400 * 40);
        assert_eq!((local.year, local.month), (1970, 1));
    }
}
