//! Starts Tenantry's function `tenants`.

fn main() -> service::function::Exit {
    tenants::run()
}
