//! Starts the function.

fn main() -> service::function::Exit {
    service::function::run_metered(env!("CARGO_PKG_NAME"), kinds::Notes::new)
}
