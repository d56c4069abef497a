//! Starts the function.

fn main() -> service::runtime::Exit {
    claims::run()
}
