//! Starts the function.

fn main() -> service::runtime::Exit {
    health::run()
}
