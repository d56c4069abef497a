//! The errors of the domain and the store as problems. This is the only place that maps them to a status.

use http::header::{HeaderValue, RETRY_AFTER};
use serde_json::{Value, json};

use super::{Code, Problem};
use crate::domain::caller::{MissingScope, NoCaller};
use crate::domain::data::DataError;
use crate::domain::kind::InvalidId;
use crate::domain::machine_token::{InvalidName, InvalidTokenId, ScopesError};
use crate::domain::record::{InvalidCollectionName, InvalidRecordId};
use crate::domain::tenant::lifecycle::ChangeError;
use crate::domain::transaction::{FailedOperation, InvalidTransaction, MAX_BYTES, OperationError};
use crate::store::{CommitError, Fault, ListError, ReadError, RevokeError, SaveError, TransactError, WriteError};

impl From<NoCaller> for Problem {
    fn from(error: NoCaller) -> Self {
        // API Gateway passes on only requests that the authorizer has allowed.
        Self::internal(error.to_string())
    }
}

impl From<MissingScope> for Problem {
    fn from(error: MissingScope) -> Self {
        let MissingScope(scope) = error;
        Self::new(Code::INSUFFICIENT_SCOPE, format!("The token lacks the scope {scope}. Request one that has it."))
            .with_challenge(&format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""))
    }
}

/// The errors whose text is the detail of a problem.
macro_rules! invalid {
    ($problem:ident: $($error:ty),+) => {
        $(impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                Self::$problem(error.to_string())
            }
        })+
    };
}

invalid!(invalid_parameter: InvalidCollectionName, InvalidId, InvalidRecordId, InvalidTokenId);
invalid!(invalid_body: InvalidName, InvalidTransaction);

impl From<ScopesError> for Problem {
    fn from(error: ScopesError) -> Self {
        match error {
            ScopesError::None => Self::invalid_body(error.to_string()),
            ScopesError::Beyond => Self::new(Code::INSUFFICIENT_SCOPE, error.to_string())
                .with_challenge("Bearer error=\"insufficient_scope\""),
        }
    }
}

impl From<DataError> for Problem {
    fn from(error: DataError) -> Self {
        let code = match &error {
            DataError::TooLarge(_) => Code::DATA_TOO_LARGE,
            DataError::NotAnObject
            | DataError::TooDeep(_)
            | DataError::DuplicateMember(_)
            | DataError::UnpairedSurrogate(_) => Code::INVALID_DATA,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unavailable(_) => Self::unavailable(fault.to_string()),
            Fault::Broken(_) | Fault::Corrupt(_) => Self::internal(fault.to_string()),
        }
    }
}

/// The problem of a fault while a record was read.
fn of_record(fault: Fault) -> Problem {
    match fault {
        Fault::Corrupt(_) => {
            let detail = "The record exists, but its stored form cannot be read. Replace it with PUT, or delete it. \
                          Quote the requestId to support.";
            Problem::new(Code::RECORD_UNREADABLE, detail).with_cause(fault.to_string())
        }
        Fault::Broken(_) | Fault::Unavailable(_) => fault.into(),
    }
}

fn record_not_found() -> Problem {
    Problem::new(Code::RECORD_NOT_FOUND, "There is no record with this id in this collection.")
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound => record_not_found(),
            ReadError::Fault(fault) => of_record(fault),
        }
    }
}

impl From<ListError> for Problem {
    fn from(error: ListError) -> Self {
        match error {
            ListError::InvalidCursor => Self::new(
                Code::INVALID_CURSOR,
                "The cursor does not belong to this list in this order. Start again without a cursor.",
            ),
            ListError::Fault(fault) => fault.into(),
        }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NotFound => record_not_found(),
            WriteError::PreconditionFailed => Self::precondition_failed(),
            WriteError::Conflict => conflict("this record"),
            WriteError::Data(error) => error.into(),
            WriteError::KeyReused => key_reused(),
            WriteError::Fault(fault) => of_record(fault),
        }
    }
}

impl From<CommitError> for Problem {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::KeyReused => key_reused(),
            CommitError::Conflict => conflict("this resource"),
            CommitError::Fault(fault) => fault.into(),
        }
    }
}

impl From<TransactError> for Problem {
    fn from(error: TransactError) -> Self {
        match error {
            TransactError::Failed(failures) => {
                let detail =
                    "Nothing was written, because conditions of some operations do not hold. `failures` lists them.";
                let failures = failures.iter().map(failure).collect();
                Self::new(Code::TRANSACTION_FAILED, detail).with_member("failures", failures)
            }
            TransactError::Data { operation, error } => Self::from(error).within(&format!("operations[{operation}]")),
            TransactError::TooLarge(bytes) => Self::new(
                Code::DATA_TOO_LARGE,
                format!("The transaction writes {bytes} bytes of records; the limit is {MAX_BYTES} bytes. Split it."),
            ),
            TransactError::Conflict => conflict("one of these records"),
            TransactError::KeyReused => key_reused(),
            TransactError::Fault(fault) => of_record(fault),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Busy => {
                busy("Another change of this tenant is in progress. Retry after the time in Retry-After.")
            }
            ChangeError::TooManyKeys => Self::new(
                Code::CHANGE_NOT_ALLOWED,
                "The tenant has the maximum number of opaque keys. Send an `overlap` of 0 to end the existing ones now.",
            ),
            ChangeError::WrongStatus(_) => Self::new(
                Code::CHANGE_NOT_ALLOWED,
                "The tenant is offboarded, which is final. To serve this customer again, onboard a new tenant.",
            ),
        }
    }
}

impl From<SaveError> for Problem {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::Outdated => {
                busy("Another request changed this tenant at the same time. Retry after the time in Retry-After.")
            }
            SaveError::NameTaken => {
                Self::new(Code::TENANT_EXISTS, "Another tenant has this name. Choose another name.")
            }
            SaveError::IssuerTaken => {
                Self::new(Code::ISSUER_TAKEN, "One of the issuers belongs to another tenant. Remove it from `issuers`.")
            }
            SaveError::IdTaken => {
                Self::new(Code::TENANT_EXISTS, "This id was used before. Choose another one, or leave `id` out.")
            }
            SaveError::Fault(fault) => fault.into(),
        }
    }
}

fn busy(detail: &str) -> Problem {
    Problem::new(Code::TENANT_BUSY, detail).with_header(RETRY_AFTER, HeaderValue::from_static("5"))
}

fn conflict(subject: &str) -> Problem {
    let detail = format!(
        "Another request is changing {subject}, or an earlier attempt of this request is still in progress. Retry \
         after the time in Retry-After."
    );
    Problem::new(Code::CONFLICT, detail).with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}

fn key_reused() -> Problem {
    let detail = "This Idempotency-Key was already used for a different request, which succeeded. Use a new \
                  idempotency key for a new request.";
    Problem::new(Code::IDEMPOTENCY_KEY_REUSED, detail)
}

/// An element of the extension member `failures`.
fn failure(failure: &FailedOperation) -> Value {
    let FailedOperation { operation, error } = failure;
    json!({ "operation": operation, "code": operation_code(*error), "detail": error.to_string() })
}

fn operation_code(error: OperationError) -> &'static str {
    match error {
        OperationError::NotFound => Code::RECORD_NOT_FOUND.name(),
        OperationError::Exists => "record_exists",
        OperationError::OtherVersion => Code::PRECONDITION_FAILED.name(),
    }
}

impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::NotFound => Self::new(Code::TOKEN_NOT_FOUND, "There is no machine token with this id."),
            RevokeError::Conflict => conflict("this machine token"),
            RevokeError::Fault(fault) => fault.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_scope_is_named_to_the_client() {
        let problem = Problem::from(MissingScope("records:write"));
        let challenge = HeaderValue::from_static(r#"Bearer error="insufficient_scope", scope="records:write""#);
        assert_eq!(problem.headers(), [(http::header::WWW_AUTHENTICATE, challenge)]);
    }

    #[test]
    fn a_failed_transaction_names_its_operations() {
        let failures = vec![
            FailedOperation { operation: 3, error: OperationError::Exists },
            FailedOperation { operation: 7, error: OperationError::OtherVersion },
        ];
        let document: Value =
            serde_json::from_str(&Problem::from(TransactError::Failed(failures)).document("id-1")).unwrap();
        assert_eq!(document["status"], 412);
        let operations: Vec<_> =
            document["failures"].as_array().unwrap().iter().map(|one| (&one["operation"], &one["code"])).collect();
        assert_eq!(operations, [(&json!(3), &json!("record_exists")), (&json!(7), &json!("precondition_failed"))]);
    }

    #[test]
    fn every_error_of_an_operation_is_documented() {
        let docs = include_str!("../../../../docs/reference/problems.md");
        for error in [OperationError::NotFound, OperationError::Exists, OperationError::OtherVersion] {
            let row = format!("| `{}` | ", operation_code(error));
            assert!(docs.contains(&row), "docs/reference/problems.md lacks {row}");
        }
    }
}
