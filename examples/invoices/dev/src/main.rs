//! `cargo run`: the team's API on this machine, until Ctrl-C.

fn main() -> std::process::ExitCode {
    local::main()
}
