//! The summary of a run, in Markdown.

use std::fmt::Write as _;

use super::Report;
use crate::redaction::Text;
use crate::verify::Verification;

/// A session lasts that long, as Apple makes them now.
const SESSION_DAYS: i64 = 30;

impl Report {
    /// The summary: Markdown, without secrets.
    #[must_use]
    pub(crate) fn summary(&self, error: Option<&Text>) -> String {
        let mut page = "### Apple services connection\n\n".to_owned();
        // Writing to a String cannot fail, so the results carry nothing.
        let mut line = |text: std::fmt::Arguments<'_>| {
            let _ = writeln!(page, "{text}");
        };
        if let Some(error) = error {
            line(format_args!("❌ **{}**\n", markdown(error)));
        }
        if let Some(credential) = &self.credential {
            line(format_args!("| | |\n|---|---|"));
            line(format_args!("| Credential | {} |", markdown(credential)));
            for (label, value) in self.journal.facts() {
                line(format_args!("| {label} | {} |", markdown(value)));
            }
            if let Some(days) = self.days_left {
                line(format_args!("| Days left | {} |", bar(days)));
            }
            if let Some(verification) = &self.verification {
                line(format_args!("| Verified | {} |", verified(verification)));
            }
            line(format_args!(""));
        } else if let Some(removal) = &self.removal {
            line(format_args!("🧹 {}\n", markdown(removal)));
        } else if error.is_none() {
            line(format_args!("⚪ No Apple credential was found.\n"));
        }
        for warning in self.journal.warnings() {
            line(format_args!("- ⚠️ {}", markdown(warning)));
        }
        if !self.journal.warnings().is_empty() {
            line(format_args!(""));
        }
        if !self.outputs.is_empty() {
            line(format_args!("| Output | Value |\n|---|---|"));
            for (name, value) in &self.outputs {
                line(format_args!("| `{name}` | {} |", markdown(value)));
            }
        }
        page
    }
}

fn verified(verification: &Verification) -> String {
    match verification {
        Verification::Verified => "✅ yes, Apple accepted it".to_owned(),
        Verification::NotVerified { why } => format!("⚠️ no: {}", markdown(why)),
        Verification::NotAsked => "⚪ no: `verify` is no".to_owned(),
    }
}

/// ▓▓▓▓▓▓░░░░ 18
fn bar(days: i64) -> String {
    const WIDTH: i64 = 10;
    let filled = (days.clamp(0, SESSION_DAYS) * WIDTH + SESSION_DAYS - 1) / SESSION_DAYS;
    (0..WIDTH).map(|at| if at < filled { '▓' } else { '░' }).chain(format!(" {days}").chars()).collect()
}

/// Text that Markdown shows as it is, in one line of a table. What stands between backticks
/// stays code, in which nothing but the table's own bar is special.
fn markdown(text: &Text) -> String {
    let text = text.as_str();
    let mut escaped = String::with_capacity(text.len());
    for (at, part) in text.split('`').enumerate() {
        let is_code = at % 2 == 1;
        if at > 0 {
            escaped.push('`');
        }
        for c in part.chars() {
            match c {
                '|' => escaped.push_str("\\|"),
                _ if is_code => escaped.push(c),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '&' => escaped.push_str("&amp;"),
                '*' | '_' | '[' | ']' | '\\' => escaped.extend(['\\', c]),
                _ => escaped.push(c),
            }
        }
    }
    escaped
}
