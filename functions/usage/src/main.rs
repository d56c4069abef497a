//! Starts the function.

fn main() -> service::runtime::Exit {
    usage::run()
}
