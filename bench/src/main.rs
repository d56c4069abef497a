//! Measures the release binaries of the functions against the floors, in one run, through the Lambda Runtime API.

mod binaries;
mod clock;
mod events;
mod footprint;
mod limits;
mod measure;
mod report;
mod stage;

use std::process::ExitCode;

use clap::Parser;

use binaries::Programs;
use measure::Rounds;

/// Compares the functions with bare ones, and exits with 1 where a limit is exceeded.
#[derive(Debug, Parser)]
struct Cli {
    /// Rounds, each of which measures everything once, so that other work of the machine affects all alike.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Warm invocations of each function in a round.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    invocations: u32,
    /// Measures the existing binaries, without building them.
    #[arg(long)]
    no_build: bool,
}

/// An error that ended the benchmark.
type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Returns whether all limits hold.
async fn run(Cli { rounds, invocations, no_build }: Cli) -> Result<bool, Error> {
    let programs = Programs::beside_this(!no_build).await?;
    let measured = measure::all(&programs, Rounds { rounds, invocations }).await?;
    let rows = limits::rows(&measured);
    println!("cargo run --release -- --rounds {rounds} --invocations {invocations}");
    print!("{}", report::table(&rows));
    Ok(rows.iter().all(limits::Row::holds))
}
