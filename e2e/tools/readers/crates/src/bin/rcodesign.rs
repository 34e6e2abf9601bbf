//! Reads the API key file and signs a token with rcodesign's library.

use std::error::Error;

use app_store_connect::{ConnectTokenEncoder, UnifiedApiKey};

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("--version") {
        println!("{}", env!("APP_STORE_CONNECT_VERSION"));
        return Ok(());
    }
    // rcodesign reads no variable. Users run `rcodesign notary-submit --api-key-file "$APPLE_RCODESIGN_API_KEY_PATH"`.
    let path = std::env::var("APPLE_RCODESIGN_API_KEY_PATH")
        .map_err(|_| "APPLE_RCODESIGN_API_KEY_PATH is not set")?;
    let key = UnifiedApiKey::from_json_path(path)?;
    // The lifetime, in seconds, of the tokens of rcodesign's own client.
    let token = ConnectTokenEncoder::try_from(key)?.new_token(300)?;
    println!("{}", serde_json::json!({ "token": token }));
    Ok(())
}
