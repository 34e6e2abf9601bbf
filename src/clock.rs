//! Instants and time spans, as people read them.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// `2026-12-01 09:30 UTC`
#[must_use]
pub fn day(instant: OffsetDateTime) -> String {
    let t = instant.to_offset(UtcOffset::UTC);
    format!("{} {:02}:{:02} UTC", t.date(), t.hour(), t.minute())
}

/// `19 days ago`
#[must_use]
pub fn days_ago(then: OffsetDateTime, now: OffsetDateTime) -> String {
    match (now - then).whole_days() {
        0 => "less than a day ago".to_owned(),
        1 => "1 day ago".to_owned(),
        days => format!("{days} days ago"),
    }
}

/// `19 days`
#[must_use]
pub fn time_left(until: OffsetDateTime, now: OffsetDateTime) -> String {
    let left = until - now;
    match (left.whole_days(), left.whole_hours()) {
        (0, ..1) => "less than an hour".to_owned(),
        (0, 1) => "1 hour".to_owned(),
        (0, hours) => format!("{hours} hours"),
        (1, _) => "1 day".to_owned(),
        (days, _) => format!("{days} days"),
    }
}

/// RFC 3339 in UTC, whole seconds. `None` for years that it cannot write.
#[must_use]
pub fn rfc3339(instant: OffsetDateTime) -> Option<String> {
    let t = instant.to_offset(UtcOffset::UTC).replace_nanosecond(0).ok()?;
    t.format(&Rfc3339).ok()
}
