//! The reasons why a change of a tenant fails, and what an operator can do about them.

use std::time::Duration;

use strum::{AsRefStr, EnumString, IntoStaticStr, VariantArray};

use crate::domain::time::Timestamp;

/// The longest pause between two attempts of the schedule.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// The reason why an attempt of a change failed. The meaning of a code never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum FailureCode {
    /// API Gateway or the table fails, throttles, or does not respond.
    Unavailable,
    /// The account has as many API keys as its quota allows.
    ApiKeyLimitReached,
    /// Another API key of the account, which is not the stack's, has the same value.
    ApiKeyConflict,
    /// The stack has no usage plan for the tenant's plan.
    UsagePlanMissing,
    /// The API key is in as many usage plans as API Gateway allows.
    UsagePlanLimitReached,
    /// The API key is in a usage plan for the same stage that is not the stack's.
    UsagePlanConflict,
    /// The function's role, or a policy of the account, denies the call.
    AccessDenied,
    /// API Gateway rejected the call as invalid.
    RequestRejected,
    /// The function does not know the stack's own API.
    NotDeployed,
}

impl FailureCode {
    /// All codes.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Returns what is wrong, and what an operator can do about it.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::Unavailable => {
                "API Gateway or DynamoDB failed, throttled the function or did not respond. No action is needed: the \
                 change is retried."
            }
            Self::ApiKeyLimitReached => {
                "The account has as many API keys in this region as its quota allows. Delete API keys that are no \
                 longer needed, or request a higher quota from AWS."
            }
            Self::ApiKeyConflict => {
                "Another API key in the account has the value that this tenant's API key needs, under a name that is \
                 not the stack's. Delete that API key."
            }
            Self::UsagePlanMissing => {
                "The stack has no usage plan for the tenant's plan. Deploy the stack again, or move the tenant to another \
                 plan."
            }
            Self::UsagePlanLimitReached => {
                "The API key cannot join any more usage plans. Remove it from usage plans that are not the stack's."
            }
            Self::UsagePlanConflict => {
                "The API key is in a usage plan for the same stage that is not the stack's. Remove it from that plan."
            }
            Self::AccessDenied => {
                "The function was denied a call to API Gateway. Look for a policy of the account that denies it. An \
                 API key that was made by hand lacks the stack's tag, so the function is not allowed to change it: \
                 delete that API key."
            }
            Self::RequestRejected => {
                "API Gateway rejected a call of the function. Its message is in the function's log."
            }
            Self::NotDeployed => {
                "The function runs under sam local, where the stack's own API is not known. A deployed function will \
                 finish the change."
            }
        }
    }
}

/// The failure of the last attempt of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The reason.
    pub code: FailureCode,
    /// The number of attempts that have failed since an operator requested the change.
    pub attempts: u32,
    /// The time of the failure.
    pub failed_at: Timestamp,
}

impl Failure {
    /// Returns when the schedule may retry the change: at once after the first failure, and then after pauses that double
    /// from one minute up to an hour.
    #[must_use]
    pub fn retry_at(&self) -> Timestamp {
        let pause = match self.attempts {
            0 | 1 => Duration::ZERO,
            attempts => LONGEST_PAUSE.min(Duration::from_mins(1 << (attempts - 2).min(6))),
        };
        self.failed_at.plus(pause)
    }
}
