//! Telling text that is or may be a private key from text that is not, without reading it as one.

use crate::apple::private_key::strip_wrapping;
use crate::redact::is_path_like;

/// Whether text is key material: in PEM, on several lines, or base64 and nothing else.
///
/// For telling a key in an input from the path of one. A damaged or decorated key may pass for
/// neither: what is printed is another question, [`crate::redact::may_hold_secret`].
#[must_use]
pub fn is_key_text(text: &str) -> bool {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=_-\\".contains(c) || c.is_whitespace();
    let bare = strip_wrapping(text);
    text.contains("PRIVATE KEY")
        || text.contains("-----BEGIN")
        || bare.lines().count() > 1
        || (bare.len() >= 80 && bare.chars().all(is_base64) && !is_path_like(bare))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use crate::apple::private_key::samples::{body, pkcs8, sec1};

    use crate::redact::may_hold_secret;

    use super::*;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn key_text_is_told_from_paths_and_neither_shows_a_key() -> Result {
        let pem = pkcs8()?;
        let sec1 = sec1(&pem, true)?;
        let (sec1_body, body) = (body(&sec1), body(&pem));
        let wrapped = |width: usize, by: &str| {
            let lines: Vec<_> = body.as_bytes().chunks(width).map(String::from_utf8_lossy).collect();
            lines.join(by)
        };
        let mut texts =
            vec![pem.clone(), body.clone(), STANDARD.encode(&pem), format!("\"{pem}\""), sec1, sec1_body];
        for width in 16..=40 {
            texts.extend([wrapped(width, " "), wrapped(width, "\\n"), wrapped(width, "\n")]);
        }
        for text in texts {
            assert!(is_key_text(&text) && may_hold_secret(&text), "{text}");
        }
        for decorated in
            [format!("AuthKey_X.p8: {body}"), format!("key={body}"), format!("~/{body}"), format!("@{body}")]
        {
            assert!(may_hold_secret(&decorated), "{decorated}");
        }
        for text in [
            "2X9R4HXF34",
            "57246542-96fe-1a63-e053-0824d011072a",
            "AuthKey_2X9R4HXF34.p8",
            "/private/var/folders/8k/7xj4b1q92ld3v5c6n8m0t2wr0000gn/T/AuthKey_2X9R4HXF34.p8",
            "/Users/runner/work/1234567/Project/certificates/AuthKey_2X9R4HXF34.p8",
            "/Users/vagrant/Documents/Development/Company/Project/fastlane/certificates/key",
            "0123456789abcdef0123456789abcdef01234567",
            "MIGH",
        ] {
            assert!(!may_hold_secret(text), "{text}");
            assert!(!is_key_text(text), "{text}");
        }
        Ok(())
    }
}
