//! Generated inputs: strings that a parser could mistake for something else.

use apple_services_connection::apple::session::Session;
use proptest::prelude::*;
use proptest::sample::select;

/// Short texts that mean something to YAML 1.1 or 1.2, to fastlane's reader, or to a shell, and other characters
/// outside ASCII.
pub const SPECIAL_TEXTS: &[&str] = &[
    "a: b", ": ", " #", "# c", "\"", "'", "\"\"", "''", "{", "}", "[", "]", ",", "no", "Yes", "off", "true",
    "~", "null", "", ".inf", ".nan", "<<", "=", "0123", "0o17", "1_000", "0x1F", "0b11", "12e5", "1.5",
    "1:30:00", "-", "\\n", "\\\\n", "\\", "\\r", "\\x41", " ", "  ", "%", "@", "`", "!", "!!int 3", "&a",
    "*a", "- i", "? k", "|", ">", "|-", "---", "...", "$HOME", "${HOME}", "$(id)", "%{x}", "é", "漢", "😀",
    "\u{a0}", "\u{2028}", "\u{85}", "\u{feff}", "\u{fffe}", "\u{80}", "\u{7f}",
];

/// Values that YAML reads as another type, the last character of Unicode, and a literal `\n`.
pub const SPECIAL_VALUES: &[&str] =
    &["2031-01-02", "2031-01-02 03:04:05 Z", "!ruby/object:Object {}", "\u{10ffff}", "back\\nslash"];

/// Line breaks and control characters, alone or next to text that has a special meaning there.
pub const SPECIAL_LINES: &[&str] =
    &["\n", "\r\n", "\r", "\n\n", "\t", " \n", "\n ", "\n- ", "\n---\n", "\n...\n", "\n\t", "\0", "\u{1b}"];

/// Any string, usually built from fragments that are special in YAML, JSON or the shell.
pub fn text() -> impl Strategy<Value = String> {
    let special = || prop_oneof![12 => select(SPECIAL_TEXTS), 1 => select(SPECIAL_VALUES)];
    let pieces = || prop_oneof![4 => special(), 1 => select(SPECIAL_LINES)];
    prop_oneof![
        1 => special().prop_map(str::to_owned),
        4 => prop::collection::vec(pieces(), 0..8).prop_map(|pieces| pieces.concat()),
        2 => prop::collection::vec(any::<char>(), 0..40).prop_map(|chars| chars.into_iter().collect()),
        1 => "[ -~]{0,60}",
        1 => "[0-9eE_:.+-]{1,12}",
    ]
}

/// A cookie in the connection document, with the values that the `http-cookie` gem should read back.
#[derive(Debug, Clone)]
pub struct Cookie {
    pub name: String,
    pub value: String,
    pub domain: String,
    pub for_domain: bool,
    pub path: String,
    pub secure: bool,
    pub httponly: bool,
    /// Seconds from now, longer than any run.
    pub max_age: Option<u32>,
}

impl Cookie {
    /// The cookie as a record of the connection's document.
    pub fn record(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name, "value": self.value, "domain": self.domain, "for_domain": self.for_domain,
            "path": self.path, "secure": self.secure, "httponly": self.httponly, "max_age": self.max_age,
        })
    }
}

/// The session of a connection with these cookies.
pub fn session(cookies: &[Cookie]) -> Session {
    let records = cookies.iter().map(Cookie::record).collect();
    let records = serde_json::from_value(records).expect("records");
    Session::from_connection(records, None).expect("cookies that the gem accepts")
}

/// Up to 11 cookies. Their names differ, because a cookie jar keeps only one of two with the same name.
pub fn cookies() -> impl Strategy<Value = Vec<Cookie>> {
    prop::collection::vec(cookie(), 1..12).prop_map(|mut cookies| {
        for (number, cookie) in cookies.iter_mut().enumerate() {
            cookie.name.push_str(&number.to_string());
        }
        cookies
    })
}

fn cookie() -> impl Strategy<Value = Cookie> {
    let text_without = |removed: fn(char) -> bool| text().prop_map(move |text| text.replace(removed, ""));
    let value = text_without(|c| c < ' ' || c == '\u{7f}');
    let name = text_without(|c| c <= ' ' || c == '\u{7f}' || ",;\\\"=".contains(c));
    // Host names, and IPv4 addresses, which look like numbers in YAML.
    let domain = prop_oneof![
        3 => select(&["idmsa.apple.com", "apple.com", "appstoreconnect.apple.com"][..]).prop_map(str::to_owned),
        1 => "[a-z][a-z0-9]{0,8}(\\.[a-z0-9]{1,5}){0,2}\\.(com|org)",
        1 => "[1-9][0-9]?\\.[1-9][0-9]?\\.[1-9]\\.[1-9]",
    ];
    let any_path = text_without(|c| c < ' ' || c == '\u{7f}').prop_map(|path| format!("/{path}"));
    let path = prop_oneof![2 => Just("/".to_owned()), 1 => any_path];
    let flags = any::<(bool, bool, bool)>();
    let max_age = prop_oneof![1 => Just(None), 1 => (86_400_u32..=31_536_000).prop_map(Some)];
    (name, value, domain, path, flags, max_age).prop_map(
        |(name, value, domain, path, (for_domain, secure, httponly), max_age)| Cookie {
            name: format!("n{name}"),
            value,
            domain,
            for_domain,
            path,
            secure,
            httponly,
            max_age,
        },
    )
}
