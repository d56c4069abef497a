//! Starts Tenantry's function `transactions`.

fn main() -> service::function::Exit {
    service::function::run_metered("transactions", transactions::Transactions::new)
}
