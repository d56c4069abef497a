//! Starts the function.

fn main() -> service::runtime::Exit {
    authorizer::run()
}
