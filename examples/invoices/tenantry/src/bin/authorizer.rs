//! Starts Tenantry's function `authorizer`.

fn main() -> service::function::Exit {
    authorizer::run()
}
