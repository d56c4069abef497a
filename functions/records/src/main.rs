//! Starts the function.

use records::Records;
use service::http;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    http::serve_metered(env!("CARGO_PKG_NAME"), Records::new).await
}
