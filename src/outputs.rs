//! What the outputs say in this run.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;

use crate::apple::api_key::{ApiKey, is_usual_key_id, is_uuid};
use crate::apple::session::Session;
use crate::bitrise::entry::Entry;
use crate::clock;
use crate::credential::{AppleId, Credential, Found, Kind, Source};
use crate::fastlane::session;
use crate::files::{FileKind, Files, url_of};
use crate::host::Host;
use crate::redaction::{self, Text, sentences};
use crate::text;
use crate::tools::{Fact, Tool, chosen};
use crate::verify::Verification;

use Fact::{
    ApiKeyFalse, AppPassword, AppleIdOne, ConnectionJson, ConnectionUrl, CredentialSource, CredentialsFolder,
    DeviceList, Devices, Email, EnterpriseTrueFalse, EnterpriseYesNo, FastlaneKeyPath, IssuerId,
    KeyFileReference, KeyFolder, KeyId, KeyPath, KeyUrl, Method, Password, PhoneNumber, SessionCookies,
    SessionEnd, Token, TokenEnd, Verified,
};

/// The files that outputs for these tools point to.
#[must_use]
pub(crate) fn files(tools: &BTreeSet<Tool>) -> BTreeSet<FileKind> {
    chosen(tools).filter_map(|output| file_of(output.fact)).collect()
}

/// The file that a fact points to.
fn file_of(fact: Fact) -> Option<FileKind> {
    match fact {
        KeyPath | KeyUrl | KeyFolder | KeyFileReference => Some(FileKind::PrivateKey),
        FastlaneKeyPath => Some(FileKind::FastlaneKey),
        ConnectionUrl => Some(FileKind::Connection),
        Devices => Some(FileKind::Devices),
        DeviceList => Some(FileKind::DeviceList),
        _ => None,
    }
}

/// Everything that an output's value can be made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    pub found: Option<&'a Found>,
    pub verification: &'a Verification,
    pub files: &'a Files,
    pub token: Option<&'a SignedToken>,
    pub sms_default_phone_number: Option<&'a str>,
}

/// A signed token, input `export_token`.
#[derive(Debug)]
pub(crate) struct SignedToken {
    pub token: SecretString,
    pub expires_at: OffsetDateTime,
}

sentences! {
    /// Why the outputs cannot be exported.
    #[derive(Debug, thiserror::Error)]
    pub(crate) enum OutputsError {
        /// It would keep every later Step from starting.
        #[error("The value for {0} holds a NUL character, which no environment variable can carry: set it again, on Bitrise or in the inputs.")]
        Nul(&'static str),
    }
}

/// The outputs that apply to a run.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub entries: Vec<Entry>,
    /// Their names, and their values as log and summary may show them.
    pub shown: Vec<(&'static str, Text)>,
}

/// The outputs that apply to this run, with their values.
///
/// # Errors
/// [`OutputsError`]
pub(crate) fn outputs(tools: &BTreeSet<Tool>, run: Run<'_>) -> Result<Outputs, OutputsError> {
    let mut outputs = Outputs { entries: Vec::new(), shown: Vec::new() };
    for output in chosen(tools) {
        let Some(value) = run.value(output.fact) else { continue };
        if value.expose_secret().contains('\0') {
            return Err(OutputsError::Nul(output.name));
        }
        // Tools may share a name; `conflict` has made sure that they mean the same.
        if !outputs.entries.iter().any(|entry| entry.key == output.name) {
            let is_sensitive = output.fact.is_secret();
            outputs.shown.push((output.name, shown(output.fact, value.expose_secret())));
            outputs.entries.push(Entry { key: output.name, value: Some(value), is_sensitive });
        }
    }
    Ok(outputs)
}

/// What to say when variables still lead to a credential of the other kind: an earlier run set
/// them, this one does not, and the Bitrise CLI has no way to unset them.
#[must_use]
pub(crate) fn earlier_credential(
    tools: &BTreeSet<Tool>,
    found: &Found,
    entries: &[Entry],
    host: &Host,
) -> Option<Text> {
    let (other, name) = match found.credential {
        Credential::ApiKey(_) => (Kind::AppleId, "Apple ID"),
        Credential::AppleId(_) => (Kind::ApiKey, "API key"),
    };
    let mut by_reader: Vec<(&'static str, Vec<Text>)> = Vec::new();
    for output in chosen(tools) {
        let is_kept = !entries.iter().any(|entry| entry.key == output.name);
        if output.fact.leads_to() == Some(other) && is_kept && host.var(output.name).is_some() {
            let reader = output.tool.map_or("scripts", Tool::name);
            let variable = text!("{}", output.name);
            match by_reader.iter_mut().find(|(name, _)| *name == reader) {
                Some((_, variables)) => variables.push(variable),
                None => by_reader.push((reader, vec![variable])),
            }
        }
    }
    let readers: Vec<_> = by_reader
        .iter()
        .map(|(reader, variables)| text!("{} ({})", *reader, Text::join(variables, ", ")))
        .collect();
    (!readers.is_empty()).then(|| {
        text!(
            "An {} is set too, by an earlier Step or the build, and tools in `export_for` may use it instead: {}. No Step can unset variables: rename the outputs of one of the two runs, or use the credentials in different workflows.",
            name,
            Text::join(&readers, ", ")
        )
    })
}

/// The value of an output as log and summary may show it.
fn shown(fact: Fact, value: &str) -> Text {
    match fact {
        Password | SessionCookies | AppPassword | ConnectionJson | Token => Text::hidden(),
        Email => redaction::email(value),
        KeyUrl | ConnectionUrl => Url::parse(value).map_or(Text::hidden(), |url| redaction::url(&url)),
        KeyFileReference | CredentialsFolder | KeyPath | KeyFolder | FastlaneKeyPath | Devices
        | DeviceList => redaction::path(Path::new(value)),
        KeyId => redaction::checked(value, is_usual_key_id),
        IssuerId => redaction::checked(value, is_uuid),
        // The Step's own words, dates, and a phone number whose form was checked.
        Method | CredentialSource | Verified | EnterpriseYesNo | EnterpriseTrueFalse | ApiKeyFalse
        | AppleIdOne | PhoneNumber | SessionEnd | TokenEnd => redaction::checked(value, |_| true),
    }
}

impl<'a> Run<'a> {
    fn value(self, fact: Fact) -> Option<SecretString> {
        let plain = match fact {
            Password => return self.apple_id()?.password.clone(),
            SessionCookies => return Some(session::to_variable(self.session()?)),
            AppPassword => return self.apple_id()?.app_password.clone(),
            ConnectionJson => return self.files.connection_json.clone(),
            Token => return Some(self.token?.token.clone()),
            Method => self.method().to_owned(),
            CredentialSource => self.source().to_owned(),
            Verified => yes_no(*self.verification == Verification::Verified).to_owned(),
            CredentialsFolder => self.files.folder()?.to_owned(),
            KeyPath => self.file(FileKind::PrivateKey)?.to_owned(),
            KeyUrl => url_of(self.file(FileKind::PrivateKey)?)?,
            KeyFolder => self.file(FileKind::PrivateKey).and(self.files.folder())?.to_owned(),
            KeyFileReference => format!("@file:{}", self.file(FileKind::PrivateKey)?),
            KeyId => self.key()?.id.as_str().to_owned(),
            IssuerId => self.key()?.issuer()?.as_str().to_owned(),
            EnterpriseYesNo => yes_no(self.key()?.enterprise).to_owned(),
            EnterpriseTrueFalse => self.key()?.enterprise.to_string(),
            FastlaneKeyPath => self.file(FileKind::FastlaneKey)?.to_owned(),
            ApiKeyFalse => self.key().map(|_| false.to_string())?,
            Email => self.apple_id()?.email.expose_secret().to_owned(),
            AppleIdOne => self.apple_id().map(|_| "1".to_owned())?,
            PhoneNumber => self.sms_default_phone_number?.to_owned(),
            SessionEnd => clock::rfc3339(self.session()?.expires_at?)?,
            ConnectionUrl => url_of(self.file(FileKind::Connection)?)?,
            Devices => self.file(FileKind::Devices)?.to_owned(),
            DeviceList => self.file(FileKind::DeviceList)?.to_owned(),
            TokenEnd => clock::rfc3339(self.token?.expires_at)?,
        };
        Some(plain.into())
    }

    fn key(self) -> Option<&'a ApiKey> {
        match &self.found?.credential {
            Credential::ApiKey(key) => Some(key),
            Credential::AppleId(_) => None,
        }
    }

    fn apple_id(self) -> Option<&'a AppleId> {
        match &self.found?.credential {
            Credential::AppleId(apple_id) => Some(apple_id),
            Credential::ApiKey(_) => None,
        }
    }

    fn session(self) -> Option<&'a Session> {
        self.apple_id()?.session.as_ref()
    }

    fn file(self, file: FileKind) -> Option<&'a str> {
        self.files.path(file)
    }

    fn method(self) -> &'static str {
        match self.found.map(|found| &found.credential) {
            Some(Credential::ApiKey(_)) => "api_key",
            Some(Credential::AppleId(_)) => "apple_id",
            None => "none",
        }
    }

    fn source(self) -> &'static str {
        match self.found.map(|found| found.source) {
            Some(Source::Connection) => "connection",
            Some(Source::Inputs) => "inputs",
            None => "none",
        }
    }
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_a_chosen_output_names_are_written() {
        let credential_files = |tool| {
            let mut files = files(&BTreeSet::from([tool]));
            files.retain(|file| !matches!(file, FileKind::Devices | FileKind::DeviceList));
            files.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(credential_files(Tool::Xcode), [FileKind::PrivateKey]);
        assert_eq!(credential_files(Tool::Connection), [FileKind::Connection]);
        assert_eq!(credential_files(Tool::Fastlane), [FileKind::PrivateKey, FileKind::FastlaneKey]);
    }
}
