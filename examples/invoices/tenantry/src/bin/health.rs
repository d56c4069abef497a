//! Starts Tenantry's function `health`.

fn main() -> service::function::Exit {
    health::run()
}
