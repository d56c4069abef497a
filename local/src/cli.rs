//! The command line.
//!
//! | command | module |
//! |---|---|
//! | `cargo run` | `run`, with the options in `expose` and `overrides` |
//! | `cargo run -- token acme` | `token` |
//! | `cargo run -- env records` | `environment` |
//! | `cargo run -- contract` | `contract` |
//! | `cargo run -- new orders --ops create,get` | `new` |

mod contract;
mod environment;
mod expose;
mod new;
mod overrides;
mod run;
mod token;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The file by which the workspace is found.
const TEMPLATE: &str = "template.yaml";

/// The folder for data, in the workspace.
const FOLDER: &str = ".local";

/// Runs the command that the arguments of this process name. It is the whole `main` of a binary, so that `cargo run` works in
/// another workspace as it does in this one.
#[must_use]
#[tokio::main]
pub async fn main() -> ExitCode {
    // Only local's own messages are shown: the embedded DynamoDB warns about each condition that fails.
    let own = Targets::new().with_target("local", Level::WARN);
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(log).with(own).init();

    match Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the complete API on this machine.
#[derive(Debug, Parser)]
#[command(name = "local", version)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    run: run::Run,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints an access token.
    Token(token::Token),
    /// Prints a function's environment variables, for starting it by hand with events from the local on --port.
    Env(environment::Environment),
    /// Writes openapi.yaml from openapi/base.yaml and the openapi.yaml of each function that has one, and events/ from the
    /// events.yaml of each function.
    Contract,
    /// Adds a business function: its crate, its part of the contract, its resources in the template, and its test.
    New(new::New),
}

/// The options by which a local and its data are found.
#[derive(Debug, Args)]
struct Place {
    /// The port of the API; the embedded DynamoDB uses the next one. 0 selects two free ports.
    #[arg(long, global = true, value_name = "N", default_value_t = 3000)]
    port: u16,
    /// The folder for data [default: .local beside the template]. Only one local at a time can use a folder.
    #[arg(long, global = true, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The template [default: template.yaml in this folder or a parent folder].
    #[arg(long, global = true, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Use the DynamoDB at this URL instead of the embedded one.
    #[arg(long, global = true, value_name = "URL")]
    dynamodb_endpoint: Option<String>,
}

/// The error if there is no template.
#[derive(Debug, thiserror::Error)]
#[error("there is no {TEMPLATE} in {} or a parent folder; pass its path with --template FILE", .0.display())]
struct NoTemplate(PathBuf);

impl Cli {
    /// Runs the given command.
    async fn run(self) -> Result<(), Box<dyn Error>> {
        match self.command {
            None => self.run.run(self.place).await,
            Some(Command::Token(token)) => token.print(&self.place).await,
            Some(Command::Env(environment)) => environment.print(&self.place),
            Some(Command::Contract) => contract::write(&self.place),
            Some(Command::New(new)) => new.add(&self.place).await,
        }
    }
}

impl Place {
    fn template(&self) -> Result<PathBuf, Box<dyn Error>> {
        if let Some(template) = &self.template {
            return Ok(template.clone());
        }
        let here = std::env::current_dir()?;
        let mut candidates = here.ancestors().map(|folder| folder.join(TEMPLATE));
        candidates.find(|path| path.is_file()).ok_or_else(|| NoTemplate(here.clone()).into())
    }

    /// Returns the folder for data.
    fn folder(&self, template: &Path) -> PathBuf {
        self.data.clone().unwrap_or_else(|| crate::workspace(template).join(FOLDER))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["local", "token", "acme", "--scope", "records:read", "--port", "4000"]);
        assert_eq!(cli.place.port, 4000);
        assert!(matches!(cli.command, Some(Command::Token(_))));
    }

    #[test]
    fn the_template_is_found_from_a_folder_below() {
        let place = Cli::parse_from(["local"]).place;
        assert!(place.template().unwrap().ends_with(TEMPLATE));
    }
}
