//! Starts the function.

use records::Records;
use service::http;
use service::ledger::Ledger;
use service::runtime::aws;
use service::runtime::config::{Config, MeterConfig};
use service::runtime::log;
use service::store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    log::init(env!("CARGO_PKG_NAME"));
    let config = Config::from_env()?;
    let store = Store::new(aws::dynamodb(&config.aws, aws::connector()), config.table);
    let ledger = Ledger::new(store.clone(), MeterConfig::from_env()?);
    http::serve_metered(Records::new(store), ledger, config.cors_allowed_origin.as_deref()).await
}
