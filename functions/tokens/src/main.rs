//! Starts the function.

fn main() -> service::http::Exit {
    service::http::run_metered(env!("CARGO_PKG_NAME"), tokens::Tokens::new)
}
