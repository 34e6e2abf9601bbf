//! The documentation agrees with the Step, and its links and pictures are current.

use std::fs;
use std::path::{Path, PathBuf};

use test_support::snapshots::assert_document;
use test_support::{demo, pictures};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The Markdown files that users and contributors read, except the changelog.
fn list_documents() -> Vec<PathBuf> {
    let mut documents: Vec<_> = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "tests/README.md"]
        .iter()
        .map(|name| root().join(name))
        .collect();
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    documents.extend(docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    documents
}

#[test]
fn the_pictures_show_the_runs_of_the_demo() {
    println!("Update the pictures with: SNAPSHOTS=overwrite cargo test --test step pictures");
    let log = pictures::log(&demo::api_key().succeeds());
    let summary = pictures::summary(&demo::expiring_session().succeeds());
    for (path, picture) in [("docs/pictures/log.svg", log), ("docs/pictures/summary.svg", summary)] {
        for test_value in ["127.0.0.1", "canary", "/step-"] {
            assert!(!picture.contains(test_value), "{path} shows a value that only tests have: {test_value}");
        }
        assert_document(path, &picture);
    }
}

/// WCAG 2.2 requires a contrast of at least 4.5 (success criterion 1.4.3).
#[test]
fn every_text_color_of_the_pictures_is_readable_on_the_background() {
    let [background, text_colors @ ..] = pictures::PALETTE.0;
    let luminance = |color: pictures::RgbColor| {
        let [red, green, blue] = [color.0, color.1, color.2].map(|channel| {
            let channel = f64::from(channel) / 255.0;
            if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    for color in text_colors {
        let contrast = (luminance(color) + 0.05) / (luminance(background) + 0.05);
        assert!(contrast >= 4.5, "{color:?}: {contrast}");
    }
}

#[test]
fn the_headings_of_the_errors_page_quote_only_real_errors() {
    let mut errors = read("tests/snapshots/errors.md") + &read("step.sh");
    // The page also quotes one of fastlane's own errors.
    errors.push_str("Unresolved conflict between options: 'api_key' and 'api_key_path'");
    let page = read("docs/errors.md");
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    let quoted: Vec<_> = headings.flat_map(|heading| heading.split('`').skip(1).step_by(2)).collect();
    assert!(quoted.len() > 15, "most headings quote an error: {quoted:?}");
    let unknown: Vec<_> = quoted.into_iter().filter(|words| !errors.contains(words)).collect();
    assert_eq!(unknown, Vec::<String>::new());
}

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    let mut broken = Vec::new();
    for document in list_documents() {
        let text = fs::read_to_string(&document).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            let (path, anchor) =
                target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
            let file = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            let exists = match anchor {
                None => file.exists(),
                Some(anchor) => fs::read_to_string(&file)
                    .is_ok_and(|text| anchors(&text).iter().any(|heading| heading == anchor)),
            };
            if !exists {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

/// The anchors that GitHub generates for a document's headings.
fn anchors(markdown: &str) -> Vec<String> {
    let headings = markdown.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}
