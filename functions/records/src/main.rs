//! Starts the function.

use lambda_http::Error;
use records::Records;
use service::http;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    http::serve_metered(env!("CARGO_PKG_NAME"), Records::new).await
}
