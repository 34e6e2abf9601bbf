//! The outputs of a run and their values.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;

use crate::apple::device::Device;
use crate::bitrise::entry::Entry;
use crate::config::{Config, OutputsConfig};
use crate::credential::{Credential, ResolvedCredential, Source};
use crate::env::Env;
use crate::export::files::{Files, name_and_content};
use crate::formats::fastlane_session;
use crate::redact::{FatalError, Text, text};
use crate::timestamp;
use crate::tools::{FileKind, Output, OutputValue, RESULT, TOOLS, Tool, VariableGroup, WORKFLOW};
use crate::verify::Verification;

use OutputValue::{
    AppId, AppPassword, ConnectionJson, CredentialSource, CredentialsFolder, Email, EnterpriseTrueFalse,
    EnterpriseYesNo, FalseForApiKey, IndividualKeyType, IssuerId, ItcTeamId, KeyFileReference, KeyFolder,
    KeyId, Method, OneForAppleId, Password, Path, PhoneNumber, SessionCookies, SessionExpiry, TeamId,
    TeamType, Token, TokenExpiry, Url, Verified,
};

/// Everything that determines the outputs, except for the files and the verification.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutputContext<'a> {
    pub config: &'a Config,
    pub resolved: Option<&'a ResolvedCredential>,
    pub devices: &'a [Device],
    pub token: Option<&'a SignedToken>,
}

/// The token that input `export_token` asks for.
#[derive(Debug)]
pub(crate) struct SignedToken {
    pub token: SecretString,
    pub expires_at: OffsetDateTime,
}

/// The outputs of a run, before the files are written.
#[derive(Debug)]
pub(crate) struct ExportPlan<'a> {
    context: OutputContext<'a>,
    outputs: Vec<Output>,
    /// The chosen tools that get no credential.
    pub skipped_tools: Vec<SkippedTool>,
}

/// A chosen tool that can't use the credential.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SkippedTool {
    pub tool: &'static Tool,
    /// The missing values, for each way in which the tool could use the credential. Empty if the tool can't use a
    /// credential of this kind.
    pub missing: Vec<Vec<OutputValue>>,
}

impl<'a> ExportPlan<'a> {
    /// Chooses the outputs, without those of tools that can't use the credential.
    ///
    /// # Errors
    /// If two tools expect different values in one variable.
    pub(crate) fn new(context: OutputContext<'a>) -> Result<Self, FatalError> {
        let config = &context.config.outputs;
        let mut skipped_tools = Vec::new();
        let mut tool_outputs: Vec<(&'static Tool, Output)> = Vec::new();
        for tool in &config.tools {
            if let Some(skipped) = context.check_tool(tool) {
                skipped_tools.push(skipped);
                continue;
            }
            let has_value = |value| context.has(value);
            for (name, value) in tool.variables.iter().flat_map(|group| group.outputs_to_export(has_value)) {
                // Tools can share a variable if they read the same value from it.
                match tool_outputs.iter().find(|(_, (earlier_name, _))| *earlier_name == name) {
                    None => tool_outputs.push((tool, (name, value))),
                    Some((_, (_, earlier_value))) if *earlier_value == value => {}
                    Some((earlier_tool, _)) => {
                        return Err(FatalError::new(text!(
                            "`export_for` lists {} and {}, which expect different values in {}: choose one of the two, or run the Step twice, the second time with `output_prefix`.",
                            earlier_tool.name,
                            tool.name,
                            config.prefix.name(name)
                        )));
                    }
                }
            }
        }
        let tool_outputs = tool_outputs.into_iter().map(|(_, output)| output);
        let outputs = if context.config.is_check {
            RESULT.to_vec()
        } else {
            RESULT.iter().chain(WORKFLOW).copied().chain(tool_outputs).collect()
        };
        Ok(Self { context, outputs, skipped_tools })
    }

    /// The files that the outputs point to or contain.
    pub(crate) fn files(&self) -> BTreeSet<FileKind> {
        self.outputs.iter().filter_map(|(_, value)| file_kind(*value)).collect()
    }

    /// The outputs that have a value.
    ///
    /// # Errors
    /// If a value contains a NUL character, which would keep all later Steps from starting.
    pub(crate) fn outputs(&self, verification: &Verification, files: &Files) -> Result<Outputs, FatalError> {
        let prefix = &self.context.config.outputs.prefix;
        let mut outputs = Outputs { entries: Vec::new(), shown: Vec::new() };
        for &(name, output_value) in &self.outputs {
            let Some(value) = self.context.value(output_value, verification, files) else { continue };
            if value.expose_secret().contains('\0') {
                return Err(FatalError::new(text!(
                    "The value for {} contains a NUL character, which environment variables can't contain: set it again, on Bitrise or in the inputs.",
                    prefix.name(name)
                )));
            }
            outputs.shown.push((prefix.name(name), output_value.shown(value.expose_secret())));
            let is_sensitive = output_value.is_secret();
            outputs.entries.push(Entry { key: prefix.key(name), value: Some(value), is_sensitive });
        }
        Ok(outputs)
    }
}

/// The outputs of a run.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub entries: Vec<Entry>,
    /// Their names and values as the log and the summary show them.
    pub shown: Vec<(Text, Text)>,
}

/// The file that a value points to or contains.
fn file_kind(value: OutputValue) -> Option<FileKind> {
    match value {
        Path(file) | Url(file) => Some(file),
        KeyFolder | KeyFileReference => Some(FileKind::PrivateKey),
        ConnectionJson => Some(FileKind::Connection),
        _ => None,
    }
}

/// Returns a warning if variables that were set before this run, and that it does not replace, lead to a credential
/// of another kind.
pub(crate) fn earlier_credential_warning(
    config: &OutputsConfig,
    resolved: &ResolvedCredential,
    entries: &[Entry],
    env: &Env,
) -> Option<Text> {
    let kind = resolved.credential.kind();
    let prefix = &config.prefix;
    let is_left_over = |(name, value): Output| {
        value.leads_to_secret()
            && !value.kinds().contains(&kind)
            && !entries.iter().any(|entry| entry.key == prefix.key(name))
            && prefix.variable(name, env).is_some()
    };
    // fastlane also reads the variables of `fastlane_api_key_path`.
    let is_read_by_chosen_tool = |tool: &&Tool| {
        let is_suffix = |rest: &str| rest.is_empty() || rest.starts_with('_');
        config.tools.iter().any(|chosen| tool.name.strip_prefix(chosen.name).is_some_and(is_suffix))
    };
    let tools = TOOLS.iter().filter(is_read_by_chosen_tool);
    let tools = tools.map(|tool| (text!("`{}`", tool.name), tool.outputs().collect()));
    let mut variables_by_reader = Vec::new();
    for (reader, outputs) in tools.chain([(text!("scripts"), WORKFLOW.to_vec())]) {
        let left_over = outputs.into_iter().filter(|output| is_left_over(*output));
        let variables: Vec<_> = left_over.map(|(name, _)| prefix.name(name)).collect();
        if !variables.is_empty() {
            variables_by_reader.push(text!("{} (read by {})", Text::join(&variables, ", "), reader));
        }
    }
    (!variables_by_reader.is_empty()).then(|| {
        text!(
            "Variables from an earlier Step or the build already contain another credential, which later Steps may use instead: {}. To keep both credentials, set `output_prefix` for this Step.",
            Text::join(&variables_by_reader, ", ")
        )
    })
}

impl<'a> OutputContext<'a> {
    /// Whether the value of a tool's variable exists in this run.
    fn has(self, value: OutputValue) -> bool {
        match file_kind(value) {
            Some(file) => name_and_content(file, self.credential(), self.devices).is_some(),
            None => self.value(value, &Verification::default(), &Files::default()).is_some(),
        }
    }

    /// Returns a tool that can't use the credential, with the values that it lacks. `None` if the tool can use the
    /// credential, or there is none.
    fn check_tool(self, tool: &'static Tool) -> Option<SkippedTool> {
        let kind = self.credential()?.kind();
        if tool.variables.iter().any(|group| group.can_authenticate(|value| self.has(value))) {
            return None;
        }
        let is_for_kind =
            |group: &&VariableGroup| group.can_authenticate(|value| value.kinds().contains(&kind));
        let groups = tool.variables.iter().filter(is_for_kind);
        let missing = |group: &VariableGroup| {
            group.outputs().iter().map(|(_, value)| *value).filter(|value| !self.has(*value)).collect()
        };
        Some(SkippedTool { tool, missing: groups.map(missing).collect() })
    }

    /// The value as text, or `None` if it doesn't exist in this run.
    fn value(self, value: OutputValue, verification: &Verification, files: &Files) -> Option<SecretString> {
        let path = |file| files.paths.get(&file).cloned();
        let (key, apple_id) = match self.credential() {
            Some(Credential::ApiKey(key)) => (Some(key), None),
            Some(Credential::AppleId(apple_id)) => (None, Some(apple_id)),
            None => (None, None),
        };
        let session = apple_id.and_then(|apple_id| apple_id.session.as_ref());
        let plain = match value {
            Password => return apple_id?.password.clone(),
            SessionCookies => return Some(fastlane_session::to_variable(session?)),
            AppPassword => return apple_id?.app_password.clone(),
            ConnectionJson => return files.connection_json.clone(),
            Token => return Some(self.token?.token.clone()),
            Method => match self.credential() {
                Some(Credential::ApiKey(_)) => "api_key",
                Some(Credential::AppleId(_)) => "apple_id",
                None => "none",
            }
            .to_owned(),
            CredentialSource => match self.resolved.map(|resolved| resolved.source) {
                Some(Source::Connection) => "connection",
                Some(Source::Inputs) => "inputs",
                None => "none",
            }
            .to_owned(),
            Verified => yes_no(verification.is_verified()).to_owned(),
            AppId => verification.app_id.clone()?,
            CredentialsFolder => files.folder.clone()?,
            Path(file) => path(file)?,
            Url(file) => reqwest::Url::from_file_path(path(file)?).ok()?.into(),
            KeyFolder => path(FileKind::PrivateKey).and(files.folder.clone())?,
            KeyFileReference => format!("@file:{}", path(FileKind::PrivateKey)?),
            KeyId => key?.id.as_str().to_owned(),
            IssuerId => key?.issuer.as_ref()?.as_str().to_owned(),
            IndividualKeyType => key.filter(|key| key.issuer.is_none()).map(|_| "individual".to_owned())?,
            EnterpriseYesNo => yes_no(key?.is_enterprise).to_owned(),
            EnterpriseTrueFalse => key?.is_enterprise.to_string(),
            TeamType => if key?.is_enterprise { "IN_HOUSE" } else { "COMPANY_OR_ORGANIZATION" }.to_owned(),
            FalseForApiKey => key.map(|_| "false".to_owned())?,
            Email => apple_id?.email.expose_secret().to_owned(),
            OneForAppleId => apple_id.map(|_| "1".to_owned())?,
            TeamId => self.config.outputs.team_id.as_ref()?.as_str().to_owned(),
            ItcTeamId => self.config.itc_team_id?.number().to_string(),
            PhoneNumber => self.config.outputs.sms_default_phone_number.clone()?,
            SessionExpiry => timestamp::rfc3339(session?.expires_at?)?,
            TokenExpiry => timestamp::rfc3339(self.token?.expires_at)?,
        };
        Some(plain.into())
    }

    fn credential(self) -> Option<&'a Credential> {
        self.resolved.map(|resolved| &resolved.credential)
    }
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
