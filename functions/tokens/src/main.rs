//! Starts the function.

use lambda_http::Error;
use service::http;
use tokens::Tokens;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    http::serve_metered(env!("CARGO_PKG_NAME"), Tokens::new).await
}
