//! Starts the function.

use service::http;
use transactions::Transactions;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    http::serve_metered(env!("CARGO_PKG_NAME"), Transactions::new).await
}
