//! Starts Tenantry's function `claims`.

fn main() -> service::function::Exit {
    claims::run()
}
