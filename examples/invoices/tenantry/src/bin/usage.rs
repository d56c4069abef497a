//! Starts Tenantry's function `usage`.

fn main() -> service::function::Exit {
    usage::run()
}
