//! Reads the API key file with the library of rcodesign, and signs a token as that does.

use std::error::Error;

use app_store_connect::{ConnectTokenEncoder, UnifiedApiKey};

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("--version") {
        println!("{}", env!("APP_STORE_CONNECT_VERSION"));
        return Ok(());
    }
    // It has no variable of its own: `rcodesign notary-submit --api-key-file "$APPLE_RCODESIGN_API_KEY_PATH"`.
    let path = std::env::var("APPLE_RCODESIGN_API_KEY_PATH").map_err(|_| "no --api-key-file to give")?;
    let key = UnifiedApiKey::from_json_path(path)?;
    // As long as its client has them live.
    let token = ConnectTokenEncoder::try_from(key)?.new_token(300)?;
    println!("{}", serde_json::json!({ "token": token }));
    Ok(())
}
