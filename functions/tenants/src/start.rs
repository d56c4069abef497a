//! The start of the function.

use service::domain::offboarding::drain;
use service::http;
use service::runtime::config::{IssuersConfig, required, when_unavailable};
use service::runtime::{self, Exit, Started};
use service::store::Store;

use crate::{ApiGateway, Plans, Tenants};

/// Runs the function, as its whole `main`.
pub fn run() -> Exit {
    runtime::run(async {
        let Started { config, dynamodb, connector } = runtime::start(env!("CARGO_PKG_NAME"))?;
        let plans = Plans::parse(&required("BACKSTOPS")?)?;
        let gateway = ApiGateway::new(&config.aws, connector, plans, required("STACK")?);
        let (issuers, drain) = (IssuersConfig::from_env()?, drain(when_unavailable()?));
        let tenants = Tenants::new(Store::new(dynamodb, config.table), gateway, issuers, drain);
        http::serve_scheduled(tenants, config.cors_allowed_origin.as_deref()).await
    })
}
