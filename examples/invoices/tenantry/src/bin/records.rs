//! Starts Tenantry's function `records`.

fn main() -> service::function::Exit {
    service::function::run_metered("records", records::Records::new)
}
