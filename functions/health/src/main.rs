//! Starts the function.

use health::Health;
use service::http;
use service::runtime::aws;
use service::runtime::config::Config;
use service::runtime::log;
use service::store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    log::init(env!("CARGO_PKG_NAME"));
    let config = Config::from_env()?;
    let store = Store::new(aws::dynamodb(&config.aws, aws::connector()), config.table);
    http::serve(Health::new(store), config.cors_allowed_origin.as_deref()).await
}
