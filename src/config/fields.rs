//! Every input of `step.yml` with its type. One that is missing on either side stops every run,
//! and so fails every test.

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use super::access::RequiredAccess;
use super::address::{BaseUrl, Folder, TypedBuildLocation};
use super::apple_id::{AccountName, AppPassword, Password};
use super::field::{Field, Shown};
use super::key_location::TypedLocation;
use super::numbers::{TokenLifetime, WarningDays};
use super::phone_number::PhoneNumber;
use super::tools::Tools;
use super::{Action, BuildAnnotation, IfMissing, Verify};
use crate::apple::api_key::{IssuerId, KeyId, KeyKind};
use crate::apple::bundle_id::BundleId;
use crate::apple::team::{ProviderId, TeamId};
use crate::credential::Toggle;
use crate::redact::Text;

macro_rules! fields {
    ($($(#[$meta:meta])* $name:ident: $type:ty,)+) => {
        /// The inputs, each as far as it can be understood alone.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct Fields {
            $($(#[$meta])* pub(super) $name: $type,)+
        }

        impl Fields {
            pub(super) const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// As the log may show it; `None` for what is one of the values in `step.yml`.
            pub(super) fn shown(&self, name: &str) -> Option<Text> {
                match name {
                    $(stringify!($name) => self.$name.shown(),)+
                    _ => None,
                }
            }
        }
    };
}

fields! {
    action: Action,
    connection: Toggle,
    if_missing: IfMissing,
    api_key_path: Field<TypedLocation>,
    api_key_id: Field<KeyId>,
    api_issuer: Field<IssuerId>,
    api_key_type: KeyKind,
    #[serde(deserialize_with = "yes_or_no")]
    api_key_enterprise_account: bool,
    apple_id: Field<AccountName>,
    password: Field<Password>,
    app_password: Field<AppPassword>,
    fastlane_session: Field<SecretString>,
    sms_default_phone_number: Field<PhoneNumber>,
    team_id: Field<TeamId>,
    itc_team_id: Field<ProviderId>,
    export_for: Field<Tools>,
    #[serde(deserialize_with = "yes_or_no")]
    export_token: bool,
    token_lifetime_seconds: Field<TokenLifetime>,
    verify: Verify,
    bundle_id: Field<BundleId>,
    required_access: Field<RequiredAccess>,
    session_expiry_warning_days: Field<WarningDays>,
    build_annotation: BuildAnnotation,
    credentials_dir: Field<Folder>,
    #[serde(deserialize_with = "yes_or_no")]
    verbose_log: bool,
    app_store_connect_url: Field<BaseUrl>,
    app_store_connect_enterprise_url: Field<BaseUrl>,
    apple_session_url: Field<BaseUrl>,
    build_url: Field<TypedBuildLocation>,
    build_api_token: Field<SecretString>,
}

macro_rules! choices {
    ($($type:ty),+) => {
        $(impl Shown for $type {
            fn shown(&self) -> Option<Text> {
                None
            }
        })+
    };
}

choices!(Action, Toggle, IfMissing, KeyKind, Verify, BuildAnnotation, bool);

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum YesNo {
    Yes,
    No,
}

fn yes_or_no<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(matches!(YesNo::deserialize(deserializer)?, YesNo::Yes))
}
