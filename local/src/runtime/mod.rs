//! Lambda on this machine: processes that take their events from the Runtime API.

/// Whatever answers events as Lambda does: `Functions` here, a closure over answers in the gateway's own tests.
pub trait Invoke: Clone + Send + Sync + 'static {
    /// Hands `event` to the function and returns its answer.
    fn invoke(
        &self,
        function: &str,
        event: Vec<u8>,
    ) -> impl Future<Output = Result<Vec<u8>, InvokeError>> + Send;
}

/// Why an invocation has no answer.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// It did not end within the function's timeout; its process was killed.
    #[error("timed out")]
    Timeout,
    /// Its process ended before it answered.
    #[error("the process ended: {0}")]
    Crashed(String),
    /// The function answered with an error: `{"errorType", "errorMessage"}`.
    #[error("{error_type}: {message}")]
    Function {
        /// The `errorType`.
        error_type: String,
        /// The `errorMessage`.
        message: String,
    },
    /// There is no function of that name.
    #[error("no function `{0}`")]
    Unknown(String),
}
