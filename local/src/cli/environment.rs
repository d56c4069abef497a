//! The command `cargo run -- env records`, which prints the environment variables of a function.

use std::error::Error;

use crate::runtime::{self, LogFormat, RuntimeOptions};
use crate::template::Template;
use crate::terminal::output;
use crate::{guard, management};
use clap::Args;

use super::Place;
use super::overrides::Overrides;

#[derive(Debug, Args)]
pub(super) struct Environment {
    /// The function's name, as in /_local/functions.
    function: String,
    #[command(flatten)]
    overrides: Overrides,
}

/// The error if the template has no function with the name.
#[derive(Debug, thiserror::Error)]
#[error("there is no function `{name}`; the functions are: {known}")]
struct NoFunction {
    name: String,
    known: String,
}

impl Environment {
    pub(super) fn print(self, place: &Place) -> Result<(), Box<dyn Error>> {
        let path = place.template()?;
        let base_url = crate::base_url(place.port);
        let template = Template::read(&path, &crate::overrides(self.overrides.values(), &base_url))?;
        let function = template.functions.iter().find(|function| function.name == self.function);
        let names = || template.functions.iter().map(|function| function.name.clone()).collect::<Vec<_>>().join(", ");
        let function = function.ok_or_else(|| NoFunction { name: self.function.clone(), known: names() })?;
        let options = RuntimeOptions {
            api_gateway_endpoint: management::endpoint(&base_url),
            dynamodb_endpoint: guard::endpoint(&base_url),
            base_url,
            environments: runtime::default_environments(),
            quiet: false,
            log_format: LogFormat::Text,
        };
        for (name, value) in runtime::environment(function, &options, runtime::ATTACHED) {
            output(format_args!("{name}={value}"));
        }
        Ok(())
    }
}
