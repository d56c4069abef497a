//! The command `cargo run`, which serves everything until a signal ends it.

use std::error::Error;
use std::io;

use crate::binaries::Binaries;
use crate::issuer::TokenError;
use crate::runtime::default_environments;
use crate::seed::DEMO;
use crate::terminal::output;
use crate::{Data, Local, Options, terminal};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Place;
use super::expose::Expose;
use super::overrides::Overrides;

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Keep all data in memory.
    #[arg(long, conflicts_with = "data")]
    memory: bool,
    /// Do not create the demo tenants.
    #[arg(long)]
    no_seed: bool,
    /// Let functions do everything, whatever their roles in the template allow.
    #[arg(long)]
    no_iam: bool,
    /// Use the functions' binaries in this folder instead of building them.
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<std::path::PathBuf>,
    /// The maximum number of execution environments per function; further requests wait [default: two per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    environments: Option<u16>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    expose: Expose,
}

/// The signals that end `local`: Ctrl-C, `kill`, and the end of its terminal.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// The error if a second signal interrupts the orderly shutdown.
#[derive(Debug, thiserror::Error)]
#[error("stopped immediately; the units of quota that the functions had leased are lost")]
struct CutShort;

impl Run {
    pub(super) async fn run(self, place: Place) -> Result<(), Box<dyn Error>> {
        let template = place.template()?;
        let data = if self.memory { Data::Memory } else { Data::Folder(place.folder(&template)) };
        let options = Options {
            port: place.port,
            data,
            dynamodb_endpoint: place.dynamodb_endpoint,
            iam: !self.no_iam,
            seed: !self.no_seed,
            overrides: self.overrides.values(),
            environments: self.environments.map_or_else(default_environments, usize::from),
            binaries: self.binaries.map_or(Binaries::Build, Binaries::Directory),
            ..Options::new(template)
        };
        // Signals are handled before anything is started, so that nothing is left running.
        let mut signals = Signals::listen()?;
        let seed = options.seed;
        let embedded = options.dynamodb_endpoint.is_none();
        let local = tokio::select! {
            local = Local::start(options) => local?,
            () = signals.next() => return Ok(()),
        };
        let _exposed = self.expose.open(&local, embedded).await?;
        output(format_args!("listening on {}", local.url()));
        if seed {
            print_first_session(&local)?;
        }
        signals.next().await;
        terminal::print(format_args!("stopping the functions; press Ctrl-C again to stop them immediately"));
        // The second signal drops `local`, which kills all remaining processes.
        tokio::select! {
            () = local.shutdown() => Ok(()),
            () = signals.next() => Err(CutShort.into()),
        }
    }
}

/// Prints lines to paste into a shell.
fn print_first_session(local: &Local) -> Result<(), TokenError> {
    let token = local.issuer().token(DEMO[0].name, None, None, None)?.access_token;
    let record = format!("{}/collections/notes/records/first", local.url());
    let authorization = r#"-H "Authorization: Bearer $TOKEN""#;
    let body = r#"-H "Content-Type: application/json" -d '{"data":{"text":"Hello"}}'"#;
    output(format_args!(
        "\nTOKEN={token}\ncurl -i -X PUT {record} {authorization} {body}\ncurl -i {record} {authorization}\n"
    ));
    Ok(())
}
