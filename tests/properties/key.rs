//! Keys that storage, terminals and web forms changed, and damaged keys.

use std::sync::LazyLock;

use apple_services_connection::apple::private_key::PrivateKey;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use stand_in::keys;

/// A key as App Store Connect issues it.
static PEM: LazyLock<String> = LazyLock::new(|| keys::P256::generate().expect("a random source").private_pem);

static CANONICAL_PEM: LazyLock<String> =
    LazyLock::new(|| PrivateKey::from_bytes(PEM.as_bytes()).expect("a key").expose_pem().to_owned());

/// Changes that do not lose information.
#[derive(Debug, Clone)]
enum Wrapping {
    LineEnds(&'static str),
    Columns(usize),
    BodyAlone,
    Base64,
    UrlSafeBase64,
    Around(&'static str),
    Before(&'static str),
    After(&'static str),
    WhitespaceAt(Index, &'static str),
    TextAround,
}

impl Wrapping {
    fn apply(&self, text: &str) -> String {
        let is_pem = text.contains("-----BEGIN");
        match self {
            Self::LineEnds(end) => text.replace('\n', end),
            Self::Columns(width) if is_pem => {
                let (head, rest) = text.split_once("KEY-----").expect("a header");
                let (body, foot) = rest.split_once("-----END").expect("a footer");
                // An escaped line break must not be split.
                if text.contains('\\') {
                    return text.to_owned();
                }
                let body: Vec<char> = body.chars().filter(|c| !c.is_whitespace()).collect();
                let lines: Vec<String> = body.chunks(*width).map(|line| line.iter().collect()).collect();
                format!("{head}KEY-----\n{}\n-----END{foot}", lines.join("\n"))
            }
            Self::BodyAlone if is_pem => {
                let (_, rest) = text.split_once("KEY-----").expect("a header");
                rest.split_once("-----END").expect("a footer").0.to_owned()
            }
            Self::Base64 if is_pem => STANDARD.encode(text),
            Self::UrlSafeBase64 if is_pem => URL_SAFE_NO_PAD.encode(text),
            Self::Around(quote) => format!("{quote}{text}{quote}"),
            Self::Before(prefix) => format!("{prefix}{text}"),
            Self::After(suffix) => format!("{text}{suffix}"),
            // Whitespace has no meaning in the body.
            Self::WhitespaceAt(index, whitespace) => match text.split_once("KEY-----") {
                Some((head, rest)) => {
                    let (body, foot) = rest.split_once("-----END").expect("a footer");
                    // Whitespace inside an escape would break it.
                    let body = body.trim_end_matches('\\');
                    let positions: Vec<usize> =
                        (0..=body.len()).filter(|&at| !body[..at].ends_with('\\')).collect();
                    let (one, two) = body.split_at(*index.get(&positions));
                    format!("{head}KEY-----{one}{whitespace}{two}-----END{foot}")
                }
                None => text.to_owned(),
            },
            Self::TextAround if is_pem => format!("Bag Attributes: none\n{text}\nthe end\n"),
            Self::Columns(_) | Self::BodyAlone | Self::Base64 | Self::UrlSafeBase64 | Self::TextAround => {
                text.to_owned()
            }
        }
    }
}

fn wrapping() -> impl Strategy<Value = Wrapping> {
    let whitespace = || select(&[" ", "\n", "\r\n", "\t", "\r", "  \n"][..]);
    prop_oneof![
        select(&["\r\n", "\r", " ", "\\n", "\\r\\n", "\n\n", ""][..]).prop_map(Wrapping::LineEnds),
        (1..200_usize).prop_map(Wrapping::Columns),
        Just(Wrapping::BodyAlone),
        Just(Wrapping::Base64),
        Just(Wrapping::UrlSafeBase64),
        select(&["\"", "'", "`", "\"'"][..]).prop_map(Wrapping::Around),
        select(&["\u{feff}", "\n", " ", "\r\n\r\n"][..]).prop_map(Wrapping::Before),
        select(&["\n", "\0", " \n ", "\r\n"][..]).prop_map(Wrapping::After),
        (any::<Index>(), whitespace()).prop_map(|(index, text)| Wrapping::WhitespaceAt(index, text)),
        Just(Wrapping::TextAround),
    ]
}

/// Changes that can lose information.
#[derive(Debug, Clone)]
enum Damage {
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Overwrite(Index, u8),
    FlipBit(Index, u8),
    Cut(Index),
    Repeat(Index, usize),
    Swap(Index, Index),
    Duplicate,
}

impl Damage {
    fn apply(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.is_empty() {
            return bytes;
        }
        let len = bytes.len();
        match self {
            Self::Remove(at, count) => drop(bytes.drain(at.index(len)..(at.index(len) + count).min(len))),
            Self::Insert(at, more) => drop(bytes.splice(at.index(len)..at.index(len), more.iter().copied())),
            Self::Overwrite(at, byte) => bytes[at.index(len)] = *byte,
            Self::FlipBit(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Self::Cut(at) => bytes.truncate(at.index(len)),
            Self::Repeat(at, count) => {
                let part = bytes[at.index(len)..(at.index(len) + count).min(len)].to_vec();
                drop(bytes.splice(at.index(len)..at.index(len), part));
            }
            Self::Swap(one, two) => bytes.swap(one.index(len), two.index(len)),
            Self::Duplicate => bytes.extend_from_within(..),
        }
        bytes
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 1..80_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        (at(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (at(), prop_oneof![any::<u8>(), b' '..=b'~']).prop_map(|(at, byte)| Damage::Overwrite(at, byte)),
        (at(), 0..8_u8).prop_map(|(at, bit)| Damage::FlipBit(at, bit)),
        at().prop_map(Damage::Cut),
        (at(), 1..80_usize).prop_map(|(at, count)| Damage::Repeat(at, count)),
        (at(), at()).prop_map(|(one, two)| Damage::Swap(one, two)),
        Just(Damage::Duplicate),
    ]
}

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn any_harmless_wrapping_of_a_key_yields_the_same_key(wrappings in prop::collection::vec(wrapping(), 0..5)) {
        let text = wrappings.iter().fold(PEM.clone(), |text, wrapping| wrapping.apply(&text));
        let key = PrivateKey::from_bytes(text.as_bytes());
        let error = key.as_ref().err();
        prop_assert_eq!(key.as_ref().ok().map(PrivateKey::expose_pem), Some(CANONICAL_PEM.as_str()), "{:?} {:?}", error, text);
    }

    #[test]
    fn a_damaged_key_yields_the_same_key_or_an_error(
        wrappings in prop::collection::vec(wrapping(), 0..3),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let text = wrappings.iter().fold(PEM.clone(), |text, wrapping| wrapping.apply(&text));
        let bytes = damages.iter().fold(text.into_bytes(), |bytes, damage| damage.apply(bytes));
        check_same_or_rejected(&bytes)?;
    }

    #[test]
    fn a_key_damaged_inside_its_base64_yields_the_same_key_or_an_error(
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let body: String = PEM.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(body).expect("base64");
        let der = damages.iter().fold(der, |der, damage| damage.apply(der));
        check_same_or_rejected(STANDARD.encode(&der).as_bytes())?;
        check_same_or_rejected(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", STANDARD.encode(der)).as_bytes())?;
    }

    #[test]
    fn random_bytes_are_not_a_key(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(PrivateKey::from_bytes(&bytes).is_err());
    }

    #[test]
    fn random_text_is_not_a_key(text in test_support::strategies::text()) {
        prop_assert!(PrivateKey::from_bytes(text.as_bytes()).is_err());
    }
}

/// Damage can leave the key as it was. It is extremely unlikely to result in another valid key.
fn check_same_or_rejected(bytes: &[u8]) -> Result<(), TestCaseError> {
    match PrivateKey::from_bytes(bytes) {
        Ok(key) => prop_assert_eq!(key.expose_pem(), CANONICAL_PEM.as_str()),
        Err(error) => prop_assert!(!error.to_string().is_empty()),
    }
    Ok(())
}
