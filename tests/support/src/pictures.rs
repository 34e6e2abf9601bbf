//! The documentation's pictures: a run's log and its summary as SVG.

use std::fmt::Write as _;

use anstyle::Color;
pub use anstyle::RgbColor;
use anstyle_svg::{Palette, Term};
use comrak::nodes::{Node, NodeValue};
use comrak::{Arena, Options, parse_document};
use regex::Regex;

use crate::Outcome;

/// Colors that are readable on the background, from GitHub's dark theme.
pub const PALETTE: Palette = Palette([
    RgbColor(0x0d, 0x11, 0x17), // black, the background
    RgbColor(0xff, 0x7b, 0x72), // red: errors
    RgbColor(0x56, 0xd3, 0x64), // green: results
    RgbColor(0xe3, 0xb3, 0x41), // yellow: warnings
    RgbColor(0x79, 0xc0, 0xff), // blue: section titles
    RgbColor(0xd2, 0xa8, 0xff), // magenta
    RgbColor(0x76, 0xe3, 0xea), // cyan
    RgbColor(0xe6, 0xed, 0xf3), // white, the text
    RgbColor(0x9e, 0xa7, 0xb3), // bright colors, in the same order
    RgbColor(0xff, 0xa1, 0x98),
    RgbColor(0x7e, 0xe7, 0x87),
    RgbColor(0xf2, 0xcc, 0x60),
    RgbColor(0xa5, 0xd6, 0xff),
    RgbColor(0xe2, 0xc5, 0xff),
    RgbColor(0xb3, 0xf0, 0xff),
    RgbColor(0xff, 0xff, 0xff),
]);

/// Draws the log as a terminal with a dark background shows it.
pub fn log(outcome: &Outcome) -> String {
    let color = |index: usize| Color::Rgb(PALETTE.0[index]);
    let terminal = Term::new().palette(PALETTE).bg_color(color(0)).fg_color(color(7));
    terminal.render_svg(as_on_bitrise(&outcome.stdout, outcome).trim())
}

/// Draws the summary as the build's page shows it, with its list of outputs folded.
pub fn summary(outcome: &Outcome) -> String {
    const LINE_HEIGHT: usize = 24;
    const MARGIN: usize = 20;
    let markdown = as_on_bitrise(&outcome.summary().expect("the run writes a summary"), outcome);
    let arena = Arena::new();
    let mut lines = Vec::new();
    for block in parse_document(&arena, &markdown, &Options::default()).children() {
        draw_block(block, &mut lines);
        if matches!(block.data().value, NodeValue::HtmlBlock(_)) {
            // The page hides the content of a fold.
            break;
        }
        lines.push(String::new());
    }
    let mut texts = String::new();
    let mut height = MARGIN;
    for line in lines {
        if line.is_empty() {
            height += LINE_HEIGHT / 2;
        } else {
            let y = height + LINE_HEIGHT * 3 / 4;
            writeln!(texts, "  <text x=\"{MARGIN}\" y=\"{y}\" xml:space=\"preserve\">{line}</text>").unwrap();
            height += LINE_HEIGHT;
        }
    }
    height += MARGIN;
    format!(
        r##"<svg width="800px" height="{height}px" xmlns="http://www.w3.org/2000/svg">
  <style>
    text {{ font: 15px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; fill: #1f2328 }}
    .heading {{ font-size: 19px; font-weight: bold }}
    .strong {{ font-weight: bold }}
    .code {{ font: 13px SFMono-Regular, Consolas, "Liberation Mono", Menlo, monospace }}
  </style>
  <rect x="0.5" y="0.5" width="799" height="{}" rx="6" fill="#ffffff" stroke="#d1d9e0" />
{texts}</svg>
"##,
        height - 1
    )
}

/// Adds the lines of a block, and of the blocks in it.
fn draw_block(block: Node<'_>, lines: &mut Vec<String>) {
    match &block.data().value {
        NodeValue::Heading(_) => lines.push(format!("<tspan class=\"heading\">{}</tspan>", plain(block))),
        NodeValue::List(_) | NodeValue::Item(_) => {
            block.children().for_each(|child| draw_block(child, lines));
        }
        NodeValue::HtmlBlock(html) => {
            // The only HTML in a summary is the `<details>` around the outputs.
            let title = html.literal.split("<summary>").nth(1).and_then(|rest| rest.split('<').next());
            lines.push(format!("▸ {}", title.expect("a fold has a title")));
        }
        NodeValue::Paragraph => {
            let is_item = matches!(block.parent().unwrap().data().value, NodeValue::Item(_));
            let (bullet, indent) = if is_item { ("•  ", "    ") } else { ("", "") };
            wrap(block, bullet, indent, lines);
        }
        other => panic!("no drawing for {other:?}"),
    }
}

/// Adds the lines of a paragraph.
fn wrap(paragraph: Node<'_>, bullet: &str, indent: &str, lines: &mut Vec<String>) {
    const MAX_CHARACTERS: usize = 96;
    let mut line = bullet.to_owned();
    let mut length = 0;
    for child in paragraph.children() {
        let (open, close) = match child.data().value {
            NodeValue::Strong => ("<tspan class=\"strong\">", "</tspan>"),
            NodeValue::Code(_) => ("<tspan class=\"code\">", "</tspan>"),
            _ => ("", ""),
        };
        line += open;
        for word in plain(child).split_inclusive(' ') {
            length += word.chars().count();
            if length > MAX_CHARACTERS {
                length = word.chars().count();
                lines.push(std::mem::replace(&mut line, format!("{indent}{open}")) + close);
            }
            line += &word.replace('&', "&amp;").replace('<', "&lt;");
        }
        line += close;
    }
    lines.push(line);
}

/// The text in a node, without the joiners that keep renderers from making links.
fn plain(node: Node<'_>) -> String {
    let texts = node.descendants().map(|node| match &node.data().value {
        NodeValue::Text(text) => text.replace('\u{2060}', ""),
        NodeValue::Code(code) => code.literal.clone(),
        _ => String::new(),
    });
    texts.collect()
}

/// Replaces values that differ between runs, or come from the stand-in, with typical values on Bitrise.
fn as_on_bitrise(text: &str, outcome: &Outcome) -> String {
    let root = regex::escape(outcome.root.path().to_str().unwrap());
    let replacements = [
        // The inputs that replace Apple's URLs.
        (r"(?m)^- \w+_url: http://127\.0\.0\.1.*\n".to_owned(), ""),
        (format!("(/private)?{root}/tmp/"), "/tmp/"),
        ("apple-services-connection-[A-Za-z0-9]{6}".to_owned(), "apple-services-connection-Kq3xZb"),
        (r"\d{4}-\d{2}-\d{2}".to_owned(), "2026-12-04"),
        (r"\d{2}:\d{2} UTC".to_owned(), "09:30 UTC"),
        (r"\b\d+\.\d+ s\b".to_owned(), "0.6 s"),
    ];
    replacements.iter().fold(text.to_owned(), |text, (pattern, replacement)| {
        Regex::new(pattern).unwrap().replace_all(&text, *replacement).into_owned()
    })
}
