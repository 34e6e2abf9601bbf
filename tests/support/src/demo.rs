//! The runs that `examples/demo.rs` prints and that the documentation's [pictures](crate::pictures) show.
//! Their values look like a user's.

use serde_json::json;
use stand_in::{Session, Team};

use crate::{CONNECTED_KEY, Step, account_of, connected_session, in_days, merge, website_session};

const KEY_ID: &str = "2X9R4HXF34";
const ISSUER_ID: &str = "57246542-96fe-1a63-e053-0824d011072a";
const APPLE_ID: &str = "jane@example.com";
const BUNDLE_ID: &str = "com.example.app";

/// An API key is connected to the project, and its team has the app.
pub fn api_key() -> Step {
    let mut team = Team::with_apps([BUNDLE_ID]);
    team.apps[0].name = String::from("Example App");
    with_api_key(team)
}

/// An API key is connected to the project, and its team does not have the app.
pub fn wrong_team() -> Step {
    with_api_key(Team::with_apps(["com.example.other"]))
}

/// An Apple ID is connected to the project, and its session ends in just under 4 days.
pub fn expiring_session() -> Step {
    let fields = json!({"apple_id": APPLE_ID, "connection_expiry_date": in_days(4)});
    let session = Session { email_address: APPLE_ID.to_owned(), ..website_session(Vec::new()) };
    with_default_annotation().connected(&merge([connected_session(), fields])).verified_by_session(session)
}

fn with_api_key(team: Team) -> Step {
    let key = json!({"key_id": KEY_ID, "issuer_id": ISSUER_ID, "private_key": CONNECTED_KEY.private_pem});
    let account = account_of(&CONNECTED_KEY, KEY_ID, Some(ISSUER_ID), Vec::new());
    with_default_annotation().connected(&key).verified_by_team(account, team).set("bundle_id", BUNDLE_ID)
}

/// [`Step::new`], but with `build_annotation` at its default.
fn with_default_annotation() -> Step {
    Step::new().unset("build_annotation")
}
