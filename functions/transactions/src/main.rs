//! Starts the function.

use service::config::Config;
use service::store::Store;
use service::{aws, http, log};
use transactions::Transactions;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    log::init(env!("CARGO_PKG_NAME"));
    let config = Config::from_env()?;
    let store = Store::new(aws::dynamodb(&config.aws, aws::connector()), config.table);
    http::serve(Transactions::new(store), config.cors_allowed_origin.as_deref()).await
}
