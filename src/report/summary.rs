//! The summary of a run, in Markdown: headings, lists and folds, as every renderer of `CommonMark`
//! knows them.
//!
//! Only the Step's own words are Markdown. Whatever else stands in a text is shown as it is: as
//! no link, image, emphasis or HTML, and so that no renderer makes a link of what looks like one.

use std::fmt::Write as _;

use super::Report;
use crate::redact::{Failed, OUTSIDE_BACKTICK, OUTSIDE_END, OUTSIDE_START, Text};
use crate::verify::Verification;

/// A session lasts that long, as Apple makes them now.
const SESSION_DAYS: i64 = 30;

impl Report {
    /// The summary: Markdown, without secrets.
    #[must_use]
    pub(crate) fn summary(&self, failed: Option<&Failed>) -> String {
        let mut page = "### Apple services connection\n".to_owned();
        // Writing to a String cannot fail, so the results carry nothing.
        let mut line = |text: std::fmt::Arguments<'_>| {
            let _ = writeln!(page, "{text}");
        };
        if let Some(failed) = failed {
            line(format_args!("\n❌ **{}**\n", markdown(failed.text())));
            for detail in failed.details() {
                line(format_args!("- {}", markdown(detail)));
            }
        }
        // A blank line ends what stands above.
        if failed.is_none_or(|failed| !failed.details().is_empty()) {
            line(format_args!(""));
        }
        if let Some(credential) = &self.credential {
            line(format_args!("- **Credential:** {}", markdown(credential)));
            for (label, value) in self.run_log.details() {
                line(format_args!("- **{label}:** {}", markdown(value)));
            }
            if let Some(verification) = &self.verification {
                line(format_args!("- **Verified:** {}", verified(verification)));
            }
            if let Some(days) = self.days_left {
                line(format_args!("- **Days left:** {}", bar(days)));
            }
        } else if let Some(removal) = &self.removal {
            line(format_args!("🧹 {}", markdown(removal)));
        } else if failed.is_none() {
            line(format_args!("⚪ No Apple credential was found."));
        }
        if !self.run_log.warnings().is_empty() {
            line(format_args!("\n**Warnings**\n"));
        }
        for warning in self.run_log.warnings() {
            line(format_args!("- ⚠️ {}", markdown(warning)));
        }
        if !self.outputs.is_empty() {
            let count = self.outputs.len();
            // The blank line ends the HTML: what follows is Markdown again.
            line(format_args!("\n<details><summary>Outputs ({count})</summary>\n"));
            for (name, value) in &self.outputs {
                line(format_args!("- `{name}`: {}", markdown(value)));
            }
            line(format_args!("\n</details>"));
        }
        page
    }
}

fn verified(verification: &Verification) -> String {
    if verification.is_verified() {
        return "✅ yes, Apple accepted it".to_owned();
    }
    if !verification.is_asked() {
        return "⚪ no: `verify` is no".to_owned();
    }
    let reasons: Vec<_> = verification.reasons().iter().map(|reason| markdown(&Text::of(reason))).collect();
    format!("⚠️ no: {}", reasons.join("; "))
}

/// ▓▓▓▓▓▓░░░░ 18
fn bar(days: i64) -> String {
    const WIDTH: i64 = 10;
    let filled = (days.clamp(0, SESSION_DAYS) * WIDTH + SESSION_DAYS - 1) / SESSION_DAYS;
    (0..WIDTH).map(|at| if at < filled { '▓' } else { '░' }).chain(format!(" {days}").chars()).collect()
}

/// Text that Markdown shows as it is, within a line. What the Step itself has put between backticks
/// is code.
fn markdown(text: &Text) -> String {
    let text = text.as_str().replace([OUTSIDE_START, OUTSIDE_END], "");
    let mut shown = String::with_capacity(text.len() * 2);
    let mut parts = text.split('`').peekable();
    let mut is_code = false;
    while let Some(part) = parts.next() {
        // A backtick without its partner is none of the Step's pairs.
        if is_code && parts.peek().is_some() {
            code(part, &mut shown);
            is_code = false;
        } else {
            if is_code {
                shown.push_str("\\`");
            }
            literal(part, &mut shown);
            is_code = true;
        }
    }
    shown
}

/// A code span, in which nothing is special but a backtick.
fn code(text: &str, shown: &mut String) {
    let text = text.replace(OUTSIDE_BACKTICK, "`");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    for part in [&fence, space, &text, space, &fence] {
        shown.push_str(part);
    }
}

/// Text in which every character stands for itself.
fn literal(text: &str, shown: &mut String) {
    /// Takes no room, and keeps `https://`, `www.` and addresses from becoming links even where a
    /// renderer looks for these in plain text (GitHub's flavour does).
    const WORD_JOINER: char = '\u{2060}';
    /// What begins or ends something within a line.
    const INLINE: &str = "\\`*_[]<>&!~|^$";
    /// What begins a block where a line begins; a list can also begin with a number.
    const BLOCK: &str = "#+-=:";
    let begins_line = shown.is_empty();
    for (at, c) in text.char_indices() {
        let c = if c == OUTSIDE_BACKTICK { '`' } else { c };
        let (before, after) = text.split_at(at);
        let ends_with = |word: &str| {
            let start = before.len().checked_sub(word.len());
            start.and_then(|start| before.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(word))
        };
        let makes_link = (ends_with(":") && after.starts_with("//"))
            || c == '@'
            || (c == '.' && ends_with("www"))
            || (c == ':' && (ends_with("mailto") || ends_with("xmpp")));
        if makes_link {
            shown.push(WORD_JOINER);
        }
        let begins_block = match before {
            "" => BLOCK.contains(c),
            before => matches!(c, '.' | ')') && before.bytes().all(|b| b.is_ascii_digit()),
        };
        if INLINE.contains(c) || (begins_line && begins_block) {
            shown.push('\\');
        }
        shown.push(c);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use comrak::nodes::{AstNode, NodeValue};
    use comrak::{Arena, Options, parse_document};
    use proptest::prelude::*;
    use time::OffsetDateTime;

    use super::*;
    use crate::redact::service_text;
    use crate::redact::text;

    /// `CommonMark`, and with everything on that renderers add to it.
    fn flavours() -> [Options<'static>; 2] {
        let mut github = Options::default();
        let all = &mut github.extension;
        for on in [
            &mut all.strikethrough,
            &mut all.table,
            &mut all.autolink,
            &mut all.tasklist,
            &mut all.superscript,
            &mut all.footnotes,
            &mut all.description_lists,
            &mut all.multiline_block_quotes,
            &mut all.alerts,
            &mut all.math_dollars,
            &mut all.math_code,
            &mut all.wikilinks_title_after_pipe,
            &mut all.underline,
            &mut all.subscript,
            &mut all.spoiler,
            &mut all.greentext,
        ] {
            *on = true;
        }
        github.parse.relaxed_autolinks = true;
        [Options::default(), github]
    }

    /// What a reader sees of a line, with code in `«»` and everything else but text by its name.
    fn rendered(line: &str, options: &Options<'_>) -> String {
        let arena = Arena::new();
        let mut seen = String::new();
        for node in parse_document(&arena, line, options).descendants() {
            match &node.data.borrow().value {
                NodeValue::Document | NodeValue::Paragraph => {}
                NodeValue::Text(text) => seen.push_str(text),
                NodeValue::Code(code) => {
                    let _ = write!(seen, "«{}»", code.literal);
                }
                other => {
                    let _ = write!(seen, "<{}>", other.xml_node_name());
                }
            }
        }
        seen.replace('\u{2060}', "")
    }

    fn as_in_a_log(text: &Text) -> String {
        text.plain()
    }

    proptest! {
        #[test]
        fn text_from_outside_is_shown_as_it_is_by_every_renderer(
            outside in "([!-/:-@\\[-`{-~\\x20]|https?://|www\\.|[a-z0-9]@|\\PC){0,40}",
        ) {
            let name = service_text(&outside.replace('\u{2060}', ""), 200);
            let own = text!("The team `team_id` of {} is good.", name);
            let expected = format!("The team «team_id» of {} is good.", as_in_a_log(&name));
            for options in flavours() {
                prop_assert_eq!(rendered(&markdown(&own), &options), expected.clone());
            }
        }
    }

    #[test]
    fn what_looks_like_markdown_or_like_a_link_is_neither() {
        for outside in [
            "[a](https://example.com)",
            "![a](https://example.com/a.png)",
            "<img src=x onerror=alert(1)>",
            "<https://example.com>",
            "https://example.com and www.example.com, jane@example.com",
            "mailto:jane@example.com xmpp:jane@example.com",
            "`code` ``more`` ```",
            "*a* **b** _c_ ~~d~~ ^e^ $f$ ||g||",
            "&lt;b&gt; &#64; &copy;",
            "# a",
            "- a",
            "1. a",
            "> a",
            "| a | b |",
            "\\` \\",
            "[^1]: a",
        ] {
            let name = service_text(outside, 200);
            for options in flavours() {
                // Also where a line begins with it.
                assert_eq!(rendered(&markdown(&name), &options), outside);
            }
        }
    }

    #[test]
    fn what_the_step_marks_as_code_is_code_whatever_stands_in_it() {
        let inside = service_text("a``b`", 20);
        for options in flavours() {
            let own = text!("Set `{}` to `yes`, or ` to no", inside);
            assert_eq!(rendered(&markdown(&own), &options), "Set «a``b`» to «yes», or ` to no");
        }
    }

    #[test]
    fn outputs_are_folded_and_the_failure_comes_first() {
        let mut report = Report::new(OffsetDateTime::UNIX_EPOCH);
        report.outputs = vec![("APPLE_AUTH_METHOD", text!("api_key"))];
        let failed = Failed::with_details(vec![text!("One.")], text!("Two."));
        let arena = Arena::new();
        let page = report.summary(Some(&failed));
        let document = parse_document(&arena, &page, &Options::default());
        let blocks: Vec<_> = document.children().map(describe).collect();
        assert_eq!(blocks, ["heading", "paragraph", "list", "html_block", "list", "html_block"], "{page}");
    }

    fn describe<'a>(node: &'a AstNode<'a>) -> &'static str {
        let data: &RefCell<_> = &node.data;
        data.borrow().value.xml_node_name()
    }
}
