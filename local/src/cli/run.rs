//! `cargo run`.

use std::error::Error;

use clap::Args;
use local::binaries::Binaries;
use local::issuer::TokenError;
use local::seed::DEMO;
use local::{Data, Local, Options};
use tokio::signal::unix::{SignalKind, signal};

use super::Place;

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Keep nothing on disk.
    #[arg(long)]
    memory: bool,
    /// Write no demo tenants.
    #[arg(long)]
    no_seed: bool,
    /// Take the functions' binaries from this folder, and build nothing.
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<std::path::PathBuf>,
}

impl Run {
    pub(super) async fn run(self, place: Place) -> Result<(), Box<dyn Error>> {
        let template = place.template()?;
        let data = if self.memory { Data::Memory } else { Data::Folder(Place::folder(&template)) };
        let options = Options {
            port: place.port,
            data,
            dynamodb_endpoint: place.dynamodb_endpoint,
            seed: !self.no_seed,
            binaries: self.binaries.map_or(Binaries::Build, Binaries::Directory),
            ..Options::new(template)
        };
        // Before anything is started, so that nothing is left behind.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let ended = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        tokio::pin!(ended);

        let seed = options.seed;
        let local = tokio::select! {
            local = Local::start(options) => local?,
            () = &mut ended => return Ok(()),
        };
        println!("listening on {}", local.url());
        if seed {
            print_first_session(&local)?;
        }
        ended.await;
        local.shutdown().await;
        Ok(())
    }
}

/// Lines to paste into a shell.
fn print_first_session(local: &Local) -> Result<(), TokenError> {
    let token = local.issuer().token(DEMO[0].name, None, None, None)?.access_token;
    let record = format!("{}/collections/notes/records/first", local.url());
    let authorization = r#"-H "Authorization: Bearer $TOKEN""#;
    println!();
    println!("TOKEN={token}");
    println!(
        r#"curl -i -X PUT {record} {authorization} -H "Content-Type: application/json" -d '{{"data":{{"text":"Hello"}}}}'"#
    );
    println!("curl -i {record} {authorization}");
    println!();
    Ok(())
}
