//! Starts the function.

use service::http;
use tokens::Tokens;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    http::serve_metered(env!("CARGO_PKG_NAME"), Tokens::new).await
}
