//! Parses timestamps in documents, and formats timestamps and durations for documents and for people.

use time::format_description::well_known::{Rfc2822, Rfc3339};
use time::{OffsetDateTime, UtcOffset};

use crate::redact::{Text, text};

/// Parses RFC 3339, the format of Ruby (`2026-12-01 12:00:00.000000000 +01:00`), and the date of an HTTP
/// header. Returns `None` for anything else, and for years outside 0 to 9999 in UTC, which can't be formatted.
pub(crate) fn parse(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    if let Ok(timestamp) = OffsetDateTime::parse(text, &Rfc2822) {
        return to_utc(timestamp);
    }
    let (date, rest) = text.split_at_checked(10)?;
    let time: String = rest.chars().skip(1).filter(|c| !c.is_whitespace()).collect();
    OffsetDateTime::parse(&format!("{date}T{}", time.replace("UTC", "Z")), &Rfc3339).ok().and_then(to_utc)
}

/// Converts to UTC. Returns `None` if the year in UTC doesn't have four digits.
pub(crate) fn to_utc(timestamp: OffsetDateTime) -> Option<OffsetDateTime> {
    timestamp.checked_to_offset(UtcOffset::UTC).filter(|timestamp| timestamp.year() >= 0)
}

/// Formats a timestamp for people, such as `2026-12-01 09:30 UTC`.
pub(crate) fn format(timestamp: OffsetDateTime) -> Text {
    let Some(utc) = to_utc(timestamp) else { return text!("an unknown date") };
    let (year, month, day) = utc.to_calendar_date();
    text!("{}-{:02}-{:02} {:02}:{:02} UTC", year, u8::from(month), day, utc.hour(), utc.minute())
}

/// Formats the time since `then` for people, such as `19 days ago`.
pub(crate) fn days_ago(then: OffsetDateTime, now: OffsetDateTime) -> Text {
    match (now - then).whole_days() {
        0 => text!("less than a day ago"),
        1 => text!("1 day ago"),
        days => text!("{} days ago", days),
    }
}

/// Formats the time until `end` for people, such as `19 days`, or `5 hours` if less than a day is left.
pub(crate) fn time_left(end: OffsetDateTime, now: OffsetDateTime) -> Text {
    let left = end - now;
    match (left.whole_days(), left.whole_hours()) {
        (0, ..1) => text!("less than an hour"),
        (0, 1) => text!("1 hour"),
        (0, hours) => text!("{} hours", hours),
        (1, _) => text!("1 day"),
        (days, _) => text!("{} days", days),
    }
}

/// Formats a timestamp as RFC 3339 in UTC, with fractions of a second. `None` for a year outside 0 to 9999.
pub(crate) fn rfc3339_exact(timestamp: OffsetDateTime) -> Option<String> {
    to_utc(timestamp)?.format(&Rfc3339).ok()
}

/// Formats a timestamp as RFC 3339 in UTC, truncated to whole seconds. `None` for a year outside 0 to 9999.
pub(crate) fn rfc3339(timestamp: OffsetDateTime) -> Option<String> {
    to_utc(timestamp)?.replace_nanosecond(0).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;

    const THEN: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    #[test]
    fn the_time_left_is_in_days_or_hours_and_the_time_ago_in_days() {
        for (duration, left, ago) in [
            (Duration::minutes(59), "less than an hour", "less than a day ago"),
            (Duration::minutes(60), "1 hour", "less than a day ago"),
            (Duration::hours(23), "23 hours", "less than a day ago"),
            (Duration::hours(24), "1 day", "1 day ago"),
            (Duration::days(19), "19 days", "19 days ago"),
        ] {
            assert_eq!(time_left(THEN + duration, THEN).as_str(), left);
            assert_eq!(days_ago(THEN, THEN + duration).as_str(), ago);
        }
    }

    #[test]
    fn timestamps_up_to_year_9999_are_written_in_utc_without_fractions() {
        let timestamp = datetime!(1970-01-01 01:00:01.5 +1);
        assert_eq!(rfc3339(timestamp).as_deref(), Some("1970-01-01T00:00:01Z"));
        assert_eq!(format(timestamp).as_str(), "1970-01-01 00:00 UTC");
        assert_eq!(parse("9999-12-31T23:59:59Z").and_then(rfc3339).as_deref(), Some("9999-12-31T23:59:59Z"));
        let in_year_10000 = datetime!(9999-12-31 23:59:59 -12);
        assert_eq!((rfc3339(in_year_10000), rfc3339_exact(in_year_10000)), (None, None));
        assert_eq!(format(in_year_10000).as_str(), "an unknown date");
    }

    #[test]
    fn rfc_3339_ruby_and_http_dates_are_parsed_if_the_year_in_utc_has_four_digits() {
        for text in [
            "2026-12-01T09:00:00+01:00",
            "2026-12-01 09:00:00.000000000 +01:00",
            "2026-12-01 08:00:00 UTC",
            "2026-12-01 08:00:00.000 Z",
            "Tue, 01 Dec 2026 08:00:00 GMT",
        ] {
            assert_eq!(parse(text), Some(datetime!(2026-12-01 08:00 UTC)), "{text}");
        }
        let other_formats =
            ["", "soon", "2026-12-01", "1764576000", "2026-13-01T08:00:00Z", "日本日本日本日本日本"];
        let other_years = [
            "9999-12-31T23:59:59-12:00",
            "9999-12-31T23:59:60-23:59",
            "Fri, 31 Dec 9999 23:59:59 -1200",
            "0000-01-01T00:00:00+12:00",
        ];
        for text in other_formats.into_iter().chain(other_years) {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
