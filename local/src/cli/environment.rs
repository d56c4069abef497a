//! `cargo run -- env records`.

use std::collections::BTreeMap;
use std::error::Error;

use clap::Args;
use local::issuer::Issuer;
use local::runtime::{self, InvokeError, LogFormat, RuntimeOptions};
use local::seed;
use local::template::Template;

use super::Place;

#[derive(Debug, Args)]
pub(super) struct Environment {
    /// The function's name, as in /_local/functions.
    function: String,
}

impl Environment {
    pub(super) fn print(self, place: &Place) -> Result<(), Box<dyn Error>> {
        let path = place.template()?;
        let base_url = local::base_url(place.port);
        // Its key does not matter here, only where it is.
        let issuer = Issuer::open(Some(&Place::folder(&path)), &base_url, &seed::names())?;
        let template = Template::read(&path, &local::overrides(BTreeMap::new(), &issuer))?;
        let function = template.functions.iter().find(|function| function.name == self.function);
        let function = function.ok_or(InvokeError::Unknown(self.function))?;
        let dynamodb_endpoint =
            place.dynamodb_endpoint.clone().unwrap_or_else(|| local::base_url(local::dynamodb_port(place.port)));
        let options = RuntimeOptions { base_url, dynamodb_endpoint, quiet: false, log_format: LogFormat::Text };
        for (name, value) in runtime::environment(function, &options, runtime::ATTACHED) {
            println!("{name}={value}");
        }
        Ok(())
    }
}
