//! Recovers the YAML of a session that shells, terminals, editors, web forms or chat programs have changed.

use std::collections::{BTreeSet, HashSet};

use zeroize::Zeroizing;

use super::{COOKIE_CLASS, COOKIE_ITEM, FIELDS};
use crate::apple::private_key::{
    assigned_value, decode_base64, decode_percent, decode_text, until_next_assignment,
};

/// The end of the sentence that `fastlane spaceauth` prints before the list of cookies.
/// Source: <https://github.com/fastlane/fastlane/blob/master/spaceship/lib/spaceship/spaceauth_runner.rb>
pub(super) const LIST_INTRODUCTION: &str = "via the FASTLANE_SESSION environment variable:";

const VARIABLE: &str = "FASTLANE_SESSION";

/// An en dash, an em dash and a horizontal bar.
const LONG_DASHES: [char; 3] = ['\u{2013}', '\u{2014}', '\u{2015}'];

/// How many times the text can be encoded, for example in base64.
const MAX_DEPTH: u8 = 3;

type Secret = Zeroizing<String>;

/// Returns the YAML documents that a pasted text may have been, the most likely one first.
pub(super) fn yaml_candidates(pasted: &str) -> Vec<Secret> {
    let texts = extract_lists(pasted, MAX_DEPTH);
    let mut candidates: Vec<_> = texts.iter().flat_map(|text| restore_line_breaks(text)).collect();
    let reflowed: Vec<_> = candidates.iter().rev().filter_map(|candidate| reflow(candidate)).collect();
    candidates.extend(reflowed);
    candidates
}

/// Extracts the list from surrounding text and up to `depth` encodings. Keeps its line breaks as they are. Returns
/// several texts if it is unclear where a quoted value ends.
fn extract_lists(pasted: &str, depth: u8) -> Vec<Secret> {
    let texts = extract_values(&to_plain_text(pasted));
    let decoded = texts.first().filter(|_| depth > 0).and_then(|text| decode(text));
    // Text that isn't encoded can also be valid base64. The result is only a list if it has cookies with names.
    let lists = decoded.map(|decoded| extract_lists(&decoded, depth - 1));
    lists.filter(|lists| lists.iter().any(|list| list.contains("name"))).unwrap_or(texts)
}

/// Converts typographic characters to ASCII, and removes comments, invisible characters, color codes and code fences.
fn to_plain_text(text: &str) -> Secret {
    // The result is never longer.
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let is_content = |line: &&str| !["#", "```"].iter().any(|start| line.trim_start().starts_with(start));
    for line in text.split_inclusive('\n').filter(is_content) {
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match c {
                '\u{1b}' => drop(chars.find(char::is_ascii_alphabetic)),
                '\u{201c}'..='\u{201f}' => out.push('"'),
                '\u{2018}'..='\u{201b}' => out.push('\''),
                '\u{2010}'..='\u{2012}' => out.push('-'),
                // Only before a YAML tag: elsewhere, autocorrection may have turned two hyphens into one dash.
                c if LONG_DASHES.contains(&c) && chars.as_str().starts_with(" !ruby") => out.push('-'),
                '\u{a0}' => out.push(' '),
                '\r' | '\u{ad}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}' => {}
                c => out.push(c),
            }
        }
    }
    out
}

/// Decodes text in base64 or percent-encoding. Returns `None` if it is in neither.
fn decode(text: &str) -> Option<Secret> {
    if let Some(bytes) = decode_base64(text) {
        return decode_text(&bytes);
    }
    if text.contains(char::is_whitespace) || !text.contains("Cookie") {
        return None;
    }
    // Web forms encode spaces as `+`.
    let is_form = !text.contains("%20");
    let text = Zeroizing::new(if is_form { text.replace('+', " ") } else { text.to_owned() });
    decode_text(&decode_percent(&text)?)
}

/// Extracts the value of `export FASTLANE_SESSION='…'` or `FASTLANE_SESSION: |`, and removes up to two pairs of quotes.
fn extract_values(pasted: &str) -> Vec<Secret> {
    // Text after the list can also mention the variable.
    let end = pasted.rfind(COOKIE_CLASS).unwrap_or(pasted.len());
    let assigned = pasted.get(..end).unwrap_or_default().rmatch_indices(VARIABLE).find_map(|(at, name)| {
        let rest = pasted.get(at + name.len()..)?;
        let value = rest.trim_start_matches([' ', '"', '\'']).strip_prefix(['=', ':']);
        // `set -x FASTLANE_SESSION '…'` of the fish shell.
        value.or_else(|| rest.strip_prefix(' ').filter(|rest| rest.starts_with(['"', '\''])))
    });
    let text = match (assigned.or_else(|| assigned_value(pasted)), pasted.split_once(LIST_INTRODUCTION)) {
        (Some(value), _) => value,
        // The output of spaceauth without the `export` line at its end.
        (None, Some((_, list))) => list.trim().split("\n\n").next().unwrap_or(list),
        (None, None) => pasted,
    };
    // The first line of a YAML block scalar, such as `KEY: |` or `>-`.
    let is_block_scalar = |line: &str| {
        line.trim_end().trim_end_matches(['-', '+']).ends_with(['|', '>']) && !line.contains(COOKIE_CLASS)
    };
    if let Some((_, block)) = text.split_once('\n').filter(|(key, _)| is_block_scalar(key)) {
        let nonempty_lines = block.lines().filter(|line| !line.trim().is_empty());
        let indent =
            nonempty_lines.map(|line| line.len() - line.trim_start_matches(' ').len()).min().unwrap_or(0);
        let lines: Vec<_> = block.lines().flat_map(|line| [line.get(indent..).unwrap_or(""), "\n"]).collect();
        return vec![Zeroizing::new(lines.concat())];
    }
    let text = text.trim().trim_matches('`');
    // Bash's `$'…'`, or a YAML document that is only a string.
    let quoted = text.strip_prefix('$').or_else(|| text.strip_prefix("--- "));
    let text = quoted.filter(|text| text.starts_with(['"', '\''])).unwrap_or(text);
    // Returns the whole text too, because a line of a wrapped value can look like an assignment.
    let before_next = until_next_assignment(text);
    let texts = [text].into_iter().chain((before_next.len() < text.len()).then_some(before_next));
    let contents = texts.flat_map(|text| match unquote(text) {
        // A web form or a YAML file can add quotes around a quoted value.
        Some(values) => {
            values.into_iter().flat_map(|value| unquote(value.trim()).unwrap_or(vec![value])).collect()
        }
        None => vec![Zeroizing::new(text.trim_end_matches([';', '%']).to_owned())],
    });
    contents.collect()
}

/// Returns the possible contents of the quoted string at the start of a text: everything up to the last quote, and
/// everything up to the first quote that can close the string. Returns `None` if the text is not in quotes.
fn unquote(text: &str) -> Option<Vec<Secret>> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let rest = text.get(1..)?;
    let last = rest.rfind(quote)?;
    let can_close_at = |at: usize| {
        let (before, after) = (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default());
        let fields_follow = || FIELDS.iter().any(|field| after.contains(field));
        !before.ends_with('\\') && after.starts_with(['\n', ',', '}', ']', ')', ';']) && !fields_follow()
    };
    let first = rest.match_indices(quote).map(|(at, _)| at).find(|at| can_close_at(*at));
    let ends = [last].into_iter().chain(first.filter(|first| *first != last));
    Some(ends.filter_map(|end| rest.get(..end)).flat_map(|inner| unescape_quotes(inner, quote)).collect())
}

/// Restores the quotes inside a quoted string, which shells, JSON and YAML escape in different ways.
fn unescape_quotes(inner: &str, quote: char) -> Vec<Secret> {
    let shell = match quote {
        '"' => inner.replace("\\\"", "\"").replace("\\!", "!"),
        _ => inner.replace("'\\''", "'").replace("'\"'\"'", "'").replace("\\'", "'"),
    };
    // YAML and CSV double the quotes.
    let doubled = quote.to_string().repeat(2);
    let yaml = inner.contains(&doubled).then(|| inner.replace(&doubled, &quote.to_string()));
    [shell].into_iter().chain(yaml).map(Zeroizing::new).collect()
}

/// Returns the list with real line breaks: one text for each way in which they can be read, the most likely one first.
fn restore_line_breaks(text: &str) -> Vec<Secret> {
    let lines: Vec<_> = text.trim().lines().collect();
    // If the line breaks are written as `\n`, a real one comes from a terminal that wrapped the line.
    let is_wrapped = text.contains("\\n") && lines.len() > 1;
    let mut texts = if is_wrapped { unwrap_lines(&lines) } else { Vec::new() };
    texts.push(Zeroizing::new(text.to_owned()));
    texts.iter().map(|text| unescape_line_breaks(text)).collect()
}

/// Joins the parts of a line that was wrapped: one text for each possible indent and number of trimmed spaces. Returns
/// none if the parts have different widths, or if anything except line breaks was inserted between them.
fn unwrap_lines(lines: &[&str]) -> Vec<Secret> {
    /// A session never has more spaces in a row.
    const MAX_SPACES: usize = 2;
    let [first, inner @ .., last] = lines else { return Vec::new() };
    let width = inner.iter().map(|line| line.len()).max().unwrap_or(0);
    // Lines can lack trimmed spaces, and the first line also lacks the name of the variable.
    let have_same_width = inner.iter().all(|line| line.len() + MAX_SPACES >= width)
        && (inner.is_empty() || lines.iter().all(|line| line.len() <= width));
    let breaks: Vec<_> = lines.iter().copied().zip(lines.iter().copied().skip(1)).collect();
    if !have_same_width || !are_plain_breaks(&breaks) {
        return Vec::new();
    }
    let indents = lines.iter().skip(1).map(|line| line.len() - line.trim_start_matches(' ').len());
    let capacity = lines.iter().map(|line| line.len() + MAX_SPACES).sum();
    let mut texts = Vec::new();
    for indent in BTreeSet::from([0, indents.min().unwrap_or(0)]) {
        for spaces in 0..=MAX_SPACES {
            let mut joined = Zeroizing::new(String::with_capacity(capacity));
            joined.push_str(first);
            joined.extend(std::iter::repeat_n(' ', spaces));
            for line in inner {
                joined.push_str(line.get(indent..).unwrap_or_default());
                joined.extend(std::iter::repeat_n(' ', width - line.len()));
            }
            joined.push_str(last.get(indent..).unwrap_or_default());
            texts.push(joined);
        }
    }
    texts
}

/// Whether nothing but line breaks was inserted. `breaks` has the line before and the line after each of them. Editors,
/// mail programs and shells also insert a mark at each line break, and people who copy in two parts repeat a line.
fn are_plain_breaks(breaks: &[(&str, &str)]) -> bool {
    let ends: HashSet<_> = breaks.iter().map(|(before, _)| before.trim_end().chars().next_back()).collect();
    let starts: HashSet<_> = breaks.iter().map(|(_, after)| after.trim_start().chars().next()).collect();
    // If there is only one line break, a colon or a quote next to it is part of the YAML.
    let is_mark = |c: char| if breaks.len() == 1 { "-=+>|$&~_.%".contains(c) } else { !c.is_alphanumeric() };
    let is_marked = |chars: HashSet<_>| chars.len() == 1 && chars.into_iter().flatten().any(is_mark);
    let is_repeated = breaks.iter().any(|(before, after)| before == after);
    !is_repeated && !is_marked(ends) && !is_marked(starts)
}

/// Replaces `\n` with real line breaks, and removes the escapes of Travis CI and JSON.
fn unescape_line_breaks(text: &str) -> Secret {
    // Text that is escaped for Travis CI has a backslash before every space.
    let is_shell_escaped = text.contains("-\\ ");
    let is_json_escaped = text.contains("\\\"") && text.matches('"').count() == text.matches("\\\"").count();
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some((before, after_first)) = rest.split_once('\\') {
        out.push_str(before);
        let after = after_first.trim_start_matches('\\');
        let line_break =
            after.strip_prefix("r\\").unwrap_or(after).trim_start_matches('\\').strip_prefix('n');
        if line_break.is_some() {
            out.push('\n');
        } else if !(is_shell_escaped || is_json_escaped && after.starts_with('"')) {
            out.push('\\');
            out.push_str(after_first.strip_suffix(after).unwrap_or_default());
        }
        rest = line_break.unwrap_or(after);
    }
    out.push_str(rest);
    // Removes the first line, `---`, which an editor may have turned into one dash.
    let list =
        out.trim_start().trim_start_matches(|c| c == '-' || LONG_DASHES.contains(&c)).strip_prefix('\n');
    list.map(|list| Zeroizing::new(list.to_owned())).unwrap_or(out)
}

/// Restores the line breaks before Ruby's field names, and joins values that were wrapped. Returns `None` for text
/// in another format, or if it is unclear how the lines belong together.
fn reflow(text: &str) -> Option<Secret> {
    let mut items = text.split(COOKIE_ITEM);
    if !items.next()?.chars().all(|c| c == '-' || c.is_whitespace()) {
        return None;
    }
    let is_field = |word: &str| FIELDS.contains(&word);
    // Only timestamps contain spaces.
    let is_timestamp = |field: &str| field.ends_with("_at:") || field == "expires:";
    let is_other_field = |word: &str| {
        let name = word.strip_suffix(':').unwrap_or_default();
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    let has_field_lines = text.lines().any(|line| line.split_whitespace().next().is_some_and(is_field));
    let mut breaks = Vec::new();
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 2));
    for item in items {
        out.push_str(COOKIE_ITEM);
        let mut field = None;
        let mut has_value = false;
        let mut last_line = "";
        for line in item.lines() {
            for (index, word) in line.split_whitespace().enumerate() {
                let is_wrapped_value = index == 0 && has_value && !field.is_some_and(is_timestamp);
                has_value = !is_field(word);
                if is_field(word) {
                    out.push_str("\n  ");
                    field = Some(word);
                } else if field.is_none() || is_other_field(word) {
                    return None;
                } else if !is_wrapped_value {
                    out.push(' ');
                } else if has_field_lines && line.split_whitespace().any(is_field) {
                    // Fields start their own lines, so the word before this line's field was inserted.
                    return None;
                } else {
                    breaks.push((last_line, line));
                }
                out.push_str(word);
            }
            last_line = line;
        }
        out.push('\n');
    }
    let width = text.lines().map(str::len).max().unwrap_or(0);
    // Wrapping makes several lines equally long. A single longest line doesn't show where lines were wrapped.
    let is_width_known = text.lines().filter(|line| line.len() == width).nth(1).is_some();
    let are_wrapped = breaks.iter().all(|(before, _)| is_width_known && before.len() == width);
    (are_wrapped && are_plain_breaks(&breaks)).then_some(out)
}
