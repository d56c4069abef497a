//! Starts the function.

fn main() -> service::runtime::Exit {
    tenants::run()
}
