//! Starts the function.

use service::domain::offboarding::drain;
use service::http;
use service::runtime::aws;
use service::runtime::config::{Config, IssuersConfig, required, when_unavailable};
use service::runtime::log;
use service::store::Store;
use tenants::{ApiGateway, Plans, Tenants};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    log::init(env!("CARGO_PKG_NAME"));
    let config = Config::from_env()?;
    let plans = Plans::parse(&required("BACKSTOPS")?)?;
    let issuers = IssuersConfig::from_env()?;
    let drain = drain(when_unavailable()?);
    let connector = aws::connector();
    let store = Store::new(aws::dynamodb(&config.aws, connector.clone()), config.table);
    let gateway = ApiGateway::new(&config.aws, connector, plans, required("STACK")?);
    http::serve_scheduled(Tenants::new(store, gateway, issuers, drain), config.cors_allowed_origin.as_deref()).await
}
