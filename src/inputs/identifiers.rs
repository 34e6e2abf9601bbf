//! Inputs `api_key_id` and `api_issuer`.

use super::field::InputValue;
use crate::apple::api_key::{IssuerId, KeyId};
use crate::redaction::Text;

impl InputValue for KeyId {
    fn parse(value: &str) -> Result<Self, Text> {
        Self::parse(value).map_err(|wrong| Text::of(&wrong))
    }

    fn shown(&self) -> Text {
        self.shown()
    }
}

impl InputValue for IssuerId {
    fn parse(value: &str) -> Result<Self, Text> {
        Self::parse(value).map_err(|wrong| Text::of(&wrong))
    }

    fn shown(&self) -> Text {
        self.shown()
    }
}
