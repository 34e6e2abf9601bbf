//! The summary of a run, in Markdown: headings, lists and `<details>`, which every `CommonMark` renderer supports.
//!
//! Only the Step's own words are Markdown. All other text is shown literally: not as a link, image, emphasis or
//! HTML.

use super::Report;
use crate::redact::{FatalError, Text, UNTRUSTED_BACKTICK, UNTRUSTED_END, UNTRUSTED_START};

impl Report {
    /// Returns the summary as Markdown, without secrets.
    pub(crate) fn summary(&self, error: Option<&FatalError>) -> String {
        let markdown = |text: &Text| to_markdown(&self.run_log.mask_text(text));
        let mut page = "### Apple services connection\n\n".to_owned();
        let mut line = |text: &str| page.extend([text, "\n"]);
        if let Some(error) = error {
            line(&format!("❌ **{}**\n", markdown(&error.text)));
            if !error.details.is_empty() {
                error.details.iter().for_each(|detail| line(&format!("- ❌ {}", markdown(detail))));
                line("");
            }
        }
        if let Some(credential) = &self.credential {
            line(&format!("- **Credential:** {}", markdown(credential)));
            for (label, value) in &self.run_log.details {
                line(&format!("- **{label}:** {}", markdown(value)));
            }
            if let Some((verified, reason)) = &self.verified {
                line(&format!("- **Verified:** {verified} {}", markdown(reason)));
            }
            if let Some(days) = self.days_left {
                line(&format!("- **Session days left:** {}", days_left_bar(days)));
            }
        } else if let Some(removal) = &self.removal {
            line(&format!("🧹 {}", markdown(removal)));
        } else if error.is_none() {
            line("⚪ No Apple credential was found.");
        }
        if !self.run_log.warnings.is_empty() {
            line("\n**Warnings**\n");
            self.run_log.warnings.iter().for_each(|warning| line(&format!("- ⚠️ {}", markdown(warning))));
        }
        if !self.outputs.is_empty() {
            // The blank line ends the HTML, so that the list is read as Markdown.
            line(&format!("\n<details><summary>Outputs ({})</summary>\n", self.outputs.len()));
            for (name, value) in &self.outputs {
                line(&format!("- `{}`: {}", name.plain(), markdown(value)));
            }
            line("\n</details>");
        }
        page
    }
}

/// Draws a bar such as `▓▓▓▓▓▓░░░░ 18`, with ten blocks for the 30 days that Apple's sessions last (in 2026).
fn days_left_bar(days: i64) -> String {
    let blocks = (0..10).map(|block| if block * 3 < days { '▓' } else { '░' });
    blocks.chain(format!(" {days}").chars()).collect()
}

/// Returns Markdown that shows a text literally. It must not begin a line, because characters that are special only
/// there are not escaped. Text between the Step's own backticks is code.
fn to_markdown(text: &Text) -> String {
    let text = text.as_str().replace([UNTRUSTED_START, UNTRUSTED_END], "");
    let mut markdown = String::with_capacity(text.len() * 2);
    let mut rest = text.as_str();
    // A last backtick without a partner is literal.
    while let Some((before, after)) = rest.split_once('`')
        && let Some((code, after)) = after.split_once('`')
    {
        push_literal(before, &mut markdown);
        push_code(code, &mut markdown);
        rest = after;
    }
    push_literal(rest, &mut markdown);
    markdown
}

/// Appends a code span. Only backticks are special in it, and a longer fence contains them.
fn push_code(text: &str, markdown: &mut String) {
    let text = text.replace(UNTRUSTED_BACKTICK, "`");
    let longest_backticks = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest_backticks + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    markdown.extend([&fence, space, &text, space, &fence]);
}

fn push_literal(text: &str, markdown: &mut String) {
    /// An invisible character that keeps URLs and addresses from becoming links in renderers that detect them.
    const WORD_JOINER: char = '\u{2060}';
    /// The characters that have a meaning within a line of Markdown.
    const SPECIAL: &str = "\\`*_[]<>&!~|^$";
    let mut previous = ' ';
    for c in text.chars() {
        // `jane@`, `https://`, `www.`, `mailto:`, `xmpp:`
        let makes_link =
            matches!((previous, c), (_, '@') | (':', '/') | ('w' | 'W', '.') | ('o' | 'O' | 'p' | 'P', ':'));
        previous = c;
        let c = if c == UNTRUSTED_BACKTICK { '`' } else { c };
        markdown.extend(makes_link.then_some(WORD_JOINER));
        markdown.extend(SPECIAL.contains(c).then_some('\\'));
        markdown.push(c);
    }
}

#[cfg(test)]
mod tests {
    use comrak::nodes::NodeValue;
    use comrak::{Arena, Options, parse_document};
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::redact::{service_text, text};

    /// What readers see of a text in a line of the summary, with code in `«»` and other elements as `<name>`: in plain
    /// `CommonMark`, and with the extensions of all common renderers that apply within a line.
    fn rendered(text: &Text) -> [String; 2] {
        let mut extended = Options::default();
        let all = &mut extended.extension;
        for is_enabled in [
            &mut all.strikethrough,
            &mut all.autolink,
            &mut all.superscript,
            &mut all.footnotes,
            &mut all.math_dollars,
            &mut all.math_code,
            &mut all.wikilinks_title_after_pipe,
            &mut all.underline,
            &mut all.subscript,
            &mut all.spoiler,
        ] {
            *is_enabled = true;
        }
        extended.parse.relaxed_autolinks = true;
        let line = format!("⚠️ {}", to_markdown(text));
        [Options::default(), extended].map(|options| {
            let mut seen = String::new();
            for node in parse_document(&Arena::new(), &line, &options).descendants() {
                match &node.data.borrow().value {
                    NodeValue::Document | NodeValue::Paragraph => {}
                    NodeValue::Text(text) => seen.push_str(text),
                    NodeValue::Code(code) => seen.extend(["«", &code.literal, "»"]),
                    other => seen.extend(["<", other.xml_node_name(), ">"]),
                }
            }
            seen.replace('\u{2060}', "").replacen("⚠️ ", "", 1)
        })
    }

    /// Text that looks like Markdown or a link.
    const SAMPLES: &[&str] = &[
        "[a](https://example.com) ![a](https://example.com/a.png)",
        "<img src=x onerror=alert(1)> <https://example.com>",
        "https://example.com and www.example.com, jane@example.com",
        "mailto:jane@example.com xmpp:jane@example.com",
        "`code` ``more`` ```",
        "*a* **b** _c_ ~~d~~ ^e^ $f$ ||g||",
        "&lt;b&gt; &#64; &copy;",
        "\\` \\",
        "[^1]: a",
        "# a > b - c 1. d | e | f |",
    ];

    proptest! {
        #[test]
        fn every_renderer_shows_untrusted_text_literally(
            sample in select(SAMPLES),
            random in "([!-/:-@\\[-`{-~\\x20]|https?://|www\\.|[a-z0-9]@|\\PC){0,40}",
        ) {
            let random = random.replace('\u{2060}', "");
            let names = [sample, &random].map(|name| service_text(name, 200));
            let line = text!("{}: the team `team_id` of {} is known.", names[0], names[1]);
            let expected = format!("{sample}: the team «team_id» of {} is known.", names[1].plain());
            prop_assert_eq!(rendered(&line), [expected.clone(), expected]);
        }
    }

    #[test]
    fn text_between_the_steps_own_backticks_is_code() {
        let line = text!("Set `{}` to `yes`, or ` to no", service_text("a``b`", 20));
        assert_eq!(rendered(&line), ["Set «a``b`» to «yes», or ` to no"; 2]);
    }
}
