//! Starts Tenantry's function `tokens`.

fn main() -> service::function::Exit {
    service::function::run_metered("tokens", tokens::Tokens::new)
}
