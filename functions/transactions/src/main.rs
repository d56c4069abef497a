//! Starts the function.

use lambda_http::Error;
use service::http;
use transactions::Transactions;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    http::serve_metered(env!("CARGO_PKG_NAME"), Transactions::new).await
}
