//! What the outputs say in this run.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;

use crate::apple::api_key::{ApiKey, is_usual_key_id, is_uuid};
use crate::apple::bundle_id::is_app_id;
use crate::apple::device::Device;
use crate::apple::session::Session;
use crate::apple::team::{self, ProviderId, is_team_id, is_usual_provider_id};
use crate::bitrise::entry::Entry;
use crate::credential::{AppleId, Credential, ResolvedCredential, Source};
use crate::env::Env;
use crate::export::files::{FileKind, Files, url_of};
use crate::formats::fastlane_session;
use crate::redact::text;
use crate::redact::{self, Text, sentences};
use crate::timestamp;
use crate::tools::{Login, Output, OutputValue, TOOLS, Tool, WORKFLOW};
use crate::verify::Verification;

use OutputValue::{
    ApiKeyFalse, AppId, AppPassword, AppleIdOne, ConnectionJson, ConnectionUrl, CredentialSource,
    CredentialsFolder, DeviceList, Devices, Email, EnterpriseTrueFalse, EnterpriseYesNo, FastlaneKeyPath,
    IndividualWord, IssuerId, ItcTeamId, KeyFileReference, KeyFolder, KeyId, KeyPath, KeyUrl, Method,
    Password, PhoneNumber, RcodesignKeyPath, SessionCookies, SessionEnd, TeamId, TeamType, Token, TokenEnd,
    Verified,
};

/// What a run knows before it writes files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutputContext<'a> {
    pub resolved: Option<&'a ResolvedCredential>,
    pub devices: &'a [Device],
    pub token: Option<&'a SignedToken>,
    pub sms_default_phone_number: Option<&'a str>,
    pub team_id: Option<&'a team::TeamId>,
    pub itc_team_id: Option<ProviderId>,
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
        #[error("`export_for` names {one} and {other}, which want different values in {name}: choose one of the two, or run the Step twice and rename the outputs.")]
        Conflict { name: &'static str, one: &'static str, other: &'static str },
    }
}

/// What is exported in this run, and to which tools nothing.
#[derive(Debug)]
pub(crate) struct ExportPlan<'a> {
    known: OutputContext<'a>,
    outputs: Vec<Output>,
    /// The chosen tools that get no credential.
    pub skipped_tools: Vec<SkippedTool>,
}

/// A tool that the credential in use is not for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SkippedTool {
    pub tool: &'static Tool,
    /// The ways in which it would be served, each as what is missing for it; none when the tool
    /// takes no such credential.
    pub missing: Vec<Vec<OutputValue>>,
}

impl<'a> ExportPlan<'a> {
    /// # Errors
    /// [`OutputsError::Conflict`]
    pub(crate) fn new(tools: &[&'static Tool], known: OutputContext<'a>) -> Result<Self, OutputsError> {
        let mut plan = Self { known, outputs: WORKFLOW.to_vec(), skipped_tools: Vec::new() };
        let mut by_tool: Vec<(&'static str, Output)> = Vec::new();
        for tool in tools {
            if let Some(skipped_tools) = known.skipped_tools(tool) {
                plan.skipped_tools.push(skipped_tools);
                continue;
            }
            for (name, fact) in tool.names.iter().flat_map(|names| names.exported(|fact| known.has(fact))) {
                // Tools may share a name, when they mean the same by it.
                match by_tool.iter().find(|(_, (of, _))| *of == name) {
                    None => by_tool.push((tool.name, (name, fact))),
                    Some((_, (_, says))) if *says == fact => {}
                    Some((one, _)) => return Err(OutputsError::Conflict { name, one, other: tool.name }),
                }
            }
        }
        plan.outputs.extend(by_tool.into_iter().map(|(_, output)| output));
        Ok(plan)
    }

    /// The files that the outputs point to.
    #[must_use]
    pub(crate) fn files(&self) -> BTreeSet<FileKind> {
        self.outputs.iter().filter_map(|(_, fact)| file_of(*fact)).collect()
    }

    /// The outputs that apply, with their values.
    ///
    /// # Errors
    /// [`OutputsError::Nul`]
    pub(crate) fn outputs(
        &self,
        verification: &Verification,
        files: &Files,
    ) -> Result<Outputs, OutputsError> {
        let mut outputs = Outputs { entries: Vec::new(), shown: Vec::new() };
        for &(name, fact) in &self.outputs {
            let value = match fact {
                Verified => Some(yes_no(verification.is_verified()).into()),
                AppId => verification.app_id().map(Into::into),
                fact => self.known.value(fact, files),
            };
            let Some(value) = value else { continue };
            if value.expose_secret().contains('\0') {
                return Err(OutputsError::Nul(name));
            }
            outputs.shown.push((name, shown(fact, value.expose_secret())));
            outputs.entries.push(Entry { key: name, value: Some(value), is_sensitive: fact.is_secret() });
        }
        Ok(outputs)
    }
}

/// The outputs that apply to a run.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub entries: Vec<Entry>,
    /// Their names, and their values as log and summary may show them.
    pub shown: Vec<(&'static str, Text)>,
}

/// The file that a fact points to.
fn file_of(fact: OutputValue) -> Option<FileKind> {
    match fact {
        KeyPath | KeyUrl | KeyFolder | KeyFileReference => Some(FileKind::PrivateKey),
        FastlaneKeyPath => Some(FileKind::FastlaneKey),
        RcodesignKeyPath => Some(FileKind::RcodesignKey),
        ConnectionUrl | ConnectionJson => Some(FileKind::Connection),
        Devices => Some(FileKind::Devices),
        DeviceList => Some(FileKind::DeviceList),
        _ => None,
    }
}

/// What to say when variables still lead to a credential that is none like the one in use: an
/// earlier run set them, this one does not, and the Bitrise CLI has no way to unset them.
#[must_use]
pub(crate) fn earlier_credential(
    tools: &[&'static Tool],
    resolved: &ResolvedCredential,
    entries: &[Entry],
    env: &Env,
) -> Option<Text> {
    let login = Login::of(&resolved.credential);
    let is_left = |(name, fact): Output| {
        fact.leads_to_secret()
            && !fact.logins().contains(&login)
            && !entries.iter().any(|entry| entry.key == name)
            && env.var(name).is_some()
    };
    // Outputs of its own, such as `fastlane_api_key_path`, are read by the same tool.
    let is_read = |tool: &&Tool| {
        let is_part = |rest: &str| rest.is_empty() || rest.starts_with('_');
        tools.iter().any(|chosen| tool.name.strip_prefix(chosen.name).is_some_and(is_part))
    };
    let readers = TOOLS.iter().filter(is_read).map(|tool| (tool.name, tool.outputs().collect::<Vec<_>>()));
    let readers: Vec<_> = readers
        .chain([("scripts", WORKFLOW.to_vec())])
        .filter_map(|(reader, outputs)| {
            let left = outputs.into_iter().filter(|output| is_left(*output));
            let variables: Vec<_> = left.map(|(name, _)| text!("{}", name)).collect();
            (!variables.is_empty()).then(|| text!("{} ({})", reader, Text::join(&variables, ", ")))
        })
        .collect();
    (!readers.is_empty()).then(|| {
        text!(
            "Another credential is set too, by an earlier Step or the build, and tools in `export_for` may use it instead: {}. No Step can unset variables: rename the outputs of one of the two runs, or use the credentials in different workflows.",
            Text::join(&readers, ", ")
        )
    })
}

/// The value of an output as log and summary may show it.
fn shown(fact: OutputValue, value: &str) -> Text {
    match fact {
        Password | SessionCookies | AppPassword | ConnectionJson | Token => Text::hidden(),
        Email => redact::email(value),
        KeyUrl | ConnectionUrl | KeyFileReference | CredentialsFolder | KeyPath | KeyFolder
        | FastlaneKeyPath | RcodesignKeyPath | Devices | DeviceList => redact::own_path(value),
        KeyId => redact::checked(value, is_usual_key_id),
        IssuerId => redact::checked(value, is_uuid),
        AppId => redact::checked(value, is_app_id),
        TeamId => redact::checked(value, is_team_id),
        ItcTeamId => redact::checked(value, is_usual_provider_id),
        // The Step's own words, dates, a number, and a phone number whose form was checked.
        Method | CredentialSource | Verified | IndividualWord | EnterpriseYesNo | EnterpriseTrueFalse
        | TeamType | ApiKeyFalse | AppleIdOne | PhoneNumber | SessionEnd | TokenEnd => {
            redact::checked(value, |_| true)
        }
    }
}

impl<'a> OutputContext<'a> {
    /// Whether this run has it.
    fn has(self, fact: OutputValue) -> bool {
        match file_of(fact) {
            Some(file) => file.has_content(self.credential(), self.devices),
            None => self.value(fact, &Files::default()).is_some(),
        }
    }

    fn skipped_tools(self, tool: &'static Tool) -> Option<SkippedTool> {
        let login = Login::of(self.credential()?);
        if tool.names.iter().any(|names| names.logs_in(|fact| self.has(fact))) {
            return None;
        }
        let ways = tool.names.iter().filter(|names| names.logs_in(|fact| fact.logins().contains(&login)));
        let facts = ways.map(|names| names.outputs().iter().map(|(_, fact)| *fact));
        Some(SkippedTool {
            tool,
            missing: facts.map(|facts| facts.filter(|fact| !self.has(*fact)).collect()).collect(),
        })
    }

    fn value(self, fact: OutputValue, files: &Files) -> Option<SecretString> {
        let file = |file| files.path(file);
        let plain = match fact {
            Password => return self.apple_id()?.password.clone(),
            SessionCookies => return Some(fastlane_session::to_variable(self.session()?)),
            AppPassword => return self.apple_id()?.app_password.clone(),
            ConnectionJson => return files.connection_json.clone(),
            Token => return Some(self.token?.token.clone()),
            Method => self.method().to_owned(),
            CredentialSource => self.source().to_owned(),
            // OutputContext only in the end: see `ExportPlan::outputs`.
            Verified | AppId => return None,
            CredentialsFolder => files.folder()?.to_owned(),
            KeyPath => file(FileKind::PrivateKey)?.to_owned(),
            KeyUrl => url_of(file(FileKind::PrivateKey)?)?,
            KeyFolder => file(FileKind::PrivateKey).and(files.folder())?.to_owned(),
            KeyFileReference => format!("@file:{}", file(FileKind::PrivateKey)?),
            KeyId => self.key()?.id.as_str().to_owned(),
            IssuerId => self.key()?.issuer()?.as_str().to_owned(),
            IndividualWord => {
                self.key().filter(|key| key.issuer().is_none()).map(|_| "individual".to_owned())?
            }
            EnterpriseYesNo => yes_no(self.key()?.enterprise).to_owned(),
            EnterpriseTrueFalse => self.key()?.enterprise.to_string(),
            TeamType => {
                if self.key()?.enterprise { "IN_HOUSE" } else { "COMPANY_OR_ORGANIZATION" }.to_owned()
            }
            FastlaneKeyPath => file(FileKind::FastlaneKey)?.to_owned(),
            RcodesignKeyPath => file(FileKind::RcodesignKey)?.to_owned(),
            ApiKeyFalse => self.key().map(|_| false.to_string())?,
            Email => self.apple_id()?.email.expose_secret().to_owned(),
            AppleIdOne => self.apple_id().map(|_| "1".to_owned())?,
            TeamId => self.team_id?.as_str().to_owned(),
            ItcTeamId => self.itc_team_id?.number().to_string(),
            PhoneNumber => self.sms_default_phone_number?.to_owned(),
            SessionEnd => timestamp::rfc3339(self.session()?.expires_at?)?,
            ConnectionUrl => url_of(file(FileKind::Connection)?)?,
            Devices => file(FileKind::Devices)?.to_owned(),
            DeviceList => file(FileKind::DeviceList)?.to_owned(),
            TokenEnd => timestamp::rfc3339(self.token?.expires_at)?,
        };
        Some(plain.into())
    }

    fn credential(self) -> Option<&'a Credential> {
        self.resolved.map(|resolved| &resolved.credential)
    }

    fn key(self) -> Option<&'a ApiKey> {
        match &self.resolved?.credential {
            Credential::ApiKey(key) => Some(key),
            Credential::AppleId(_) => None,
        }
    }

    fn apple_id(self) -> Option<&'a AppleId> {
        match &self.resolved?.credential {
            Credential::AppleId(apple_id) => Some(apple_id),
            Credential::ApiKey(_) => None,
        }
    }

    fn session(self) -> Option<&'a Session> {
        self.apple_id()?.session.as_ref()
    }

    fn method(self) -> &'static str {
        match self.resolved.map(|resolved| &resolved.credential) {
            Some(Credential::ApiKey(_)) => "api_key",
            Some(Credential::AppleId(_)) => "apple_id",
            None => "none",
        }
    }

    fn source(self) -> &'static str {
        match self.resolved.map(|resolved| resolved.source) {
            Some(Source::Connection) => "connection",
            Some(Source::Config) => "inputs",
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
    fn what_points_to_a_file_of_the_credential_leads_to_a_secret() {
        let of_credential = |file| !matches!(file, FileKind::Devices | FileKind::DeviceList);
        for (name, fact) in TOOLS.iter().flat_map(Tool::outputs) {
            if file_of(fact).is_some_and(of_credential) {
                assert!(fact.leads_to_secret(), "{name}");
            }
        }
    }
}
