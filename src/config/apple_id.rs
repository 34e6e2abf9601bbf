//! Config `apple_id`, `password` and `app_password`.

use secrecy::SecretString;

use super::field::InputValue;
use super::phone_number::is_phone_number;
use crate::apple::private_key::strip_wrapping;
use crate::redact::text;
use crate::redact::{Text, is_app_password, may_hold_secret};

/// What an account is called: an e-mail address, or a phone number in international form, which
/// Apple takes as well.
#[derive(Debug)]
pub(super) struct AccountName(pub(super) SecretString);

impl InputValue for AccountName {
    fn parse(value: &str) -> Result<Self, Text> {
        let value = strip_wrapping(value);
        if is_email(value) || is_phone_number(value) {
            Ok(Self(value.into()))
        } else if may_hold_secret(value) {
            Err(text!("holds a key or a session: put the e-mail address of the Apple ID there"))
        } else {
            Err(text!(
                "is not an e-mail address: put that of the Apple ID there, or its phone number with the country code, like +81-80-1234-5678"
            ))
        }
    }

    fn shown(&self) -> Text {
        Text::hidden()
    }
}

fn is_email(value: &str) -> bool {
    let Some((name, host)) = value.split_once('@') else { return false };
    !name.is_empty()
        && host.contains('.')
        && host.split('.').all(|label| !label.is_empty())
        && !value.contains(|c: char| c.is_whitespace() || c.is_control())
        && !host.contains(['@', '/', ':'])
}

/// The account's own password.
#[derive(Debug)]
pub(super) struct Password(pub(super) SecretString);

impl InputValue for Password {
    const MAY_LOOK_LIKE_A_VARIABLE: bool = true;

    fn parse(value: &str) -> Result<Self, Text> {
        // An account's own password needs capitals and digits.
        if is_app_password(value.trim()) {
            Err(text!(
                "is an app-specific password (xxxx-xxxx-xxxx-xxxx): put it into `app_password`, and clear `password` or set it to the account's own"
            ))
        } else {
            Ok(Self(value.into()))
        }
    }

    fn shown(&self) -> Text {
        Text::hidden()
    }
}

/// An app-specific password, as account.apple.com shows it.
#[derive(Debug)]
pub(super) struct AppPassword(pub(super) SecretString);

impl InputValue for AppPassword {
    fn parse(value: &str) -> Result<Self, Text> {
        let value = strip_wrapping(value);
        if is_app_password(value) {
            Ok(Self(value.into()))
        } else {
            Err(text!(
                "is not an app-specific password, which has the form xxxx-xxxx-xxxx-xxxx: make one at account.apple.com. The account's own password goes into `password`"
            ))
        }
    }

    fn shown(&self) -> Text {
        Text::hidden()
    }
}
