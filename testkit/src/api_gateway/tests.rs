//! The AWS SDK, unchanged, through the proxy.

use std::time::Duration;

use aws_sdk_apigateway::Client;
use aws_sdk_apigateway::config::retry::RetryConfig;
use aws_sdk_apigateway::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_apigateway::error::{ProvideErrorMetadata as _, SdkError};

use super::*;
use crate::Api;

const ACME: &str = "01K0ACME000000000000000000";
const GLOBEX: &str = "01K0G10BEX0000000000000000";

/// An API without tenants, with a client of its management calls.
struct Served {
    client: Client,
    api: Api,
}

impl Served {
    async fn start() -> Self {
        let api = Api::start_with(|options| options.seed = false).await;
        let config = aws_sdk_apigateway::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&api.api_gateway.endpoint)
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::from_keys("local", "local", None))
            .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(1)))
            .build();
        Self { client: Client::from_conf(config), api }
    }

    /// Creates an enabled API key, and returns its id.
    async fn create(&self, value: &str, name: &str) -> String {
        let call = self.client.create_api_key().value(value).name(name).enabled(true);
        call.send().await.unwrap().id.unwrap()
    }

    async fn join(&self, plan: &str, id: &str) {
        let call = self.client.create_usage_plan_key().usage_plan_id(plan).key_id(id).key_type("API_KEY");
        call.send().await.unwrap();
    }
}

/// The status and the type of an error.
fn error_of<T, E>(result: Result<T, SdkError<E>>) -> (u16, String)
where
    SdkError<E>: aws_sdk_apigateway::error::ProvideErrorMetadata,
{
    let error = result.err().unwrap();
    let status = error.raw_response().unwrap().status().as_u16();
    (status, error.code().unwrap().to_owned())
}

fn is(status: u16, kind: &str) -> (u16, String) {
    (status, kind.to_owned())
}

#[tokio::test]
async fn a_fault_is_followed_by_a_retry() {
    let served = Served::start().await;
    let Served { client, api } = &served;
    api.api_gateway.fail_next([Some(Fault::Throttle), Some(Fault::Fail)]);
    let id = served.create(ACME, "acme").await;
    // The first attempt succeeds, so the retry meets a conflict: the caller has to look.
    api.api_gateway.fail_next([None, Some(Fault::LoseResponse)]);
    served.join("freeplan", &id).await;
    let lost = client.create_api_key().value(GLOBEX).send().await;
    assert_eq!(error_of(lost), is(409, "ConflictException"));
    assert!(served.api.local.keys().find(GLOBEX).is_some());

    let calls: Vec<_> = api.api_gateway.calls().iter().map(|call| (call.operation, call.status)).collect();
    let create = |status| (Operation::CreateApiKey, status);
    let join = (Operation::CreateUsagePlanKey, 201);
    assert_eq!(calls, [create(429), create(500), create(201), join, create(500), create(409)]);
    assert_eq!(join.0.to_string(), "CreateUsagePlanKey");
}

#[tokio::test]
async fn an_operation_fails_until_the_fault_is_removed() {
    let served = Served::start().await;
    let id = served.create(ACME, "acme").await;
    let delete = || served.client.delete_api_key().api_key(&id).send();
    served.api.api_gateway.fail_always(Operation::DeleteApiKey, Some(Fault::Throttle));
    let failed = delete().await;
    let throttled = failed.as_ref().err().and_then(SdkError::raw_response).unwrap();
    assert_eq!(throttled.headers().get("retry-after"), Some("1"));
    assert_eq!(error_of(failed), is(429, "TooManyRequestsException"));
    served.create(GLOBEX, "globex").await;
    served.api.api_gateway.fail_always(Operation::DeleteApiKey, None);
    delete().await.unwrap();
}

#[tokio::test]
async fn a_call_fails_with_every_documented_error() {
    let served = Served::start().await;
    for (error, status, kind, retry_after) in [
        (ErrorKind::AccessDenied, 403, "AccessDeniedException", None),
        (ErrorKind::BadRequest, 400, "BadRequestException", None),
        (ErrorKind::Conflict, 409, "ConflictException", None),
        (ErrorKind::LimitExceeded, 429, "LimitExceededException", Some("1")),
        (ErrorKind::NotFound, 404, "NotFoundException", None),
        (ErrorKind::ServiceUnavailable, 503, "ServiceUnavailableException", Some("1")),
        (ErrorKind::Unauthorized, 401, "UnauthorizedException", None),
    ] {
        served.api.api_gateway.fail_always(Operation::CreateApiKey, Some(Fault::Error(error)));
        let failed = served.client.create_api_key().value(ACME).send().await;
        let response = failed.as_ref().err().and_then(SdkError::raw_response).unwrap();
        assert_eq!(response.headers().get("retry-after"), retry_after, "{error:?}");
        assert_eq!(error_of(failed), is(status, kind), "{error:?}");
    }
    assert!(served.api.local.keys().list().is_empty());
}

#[tokio::test]
async fn a_call_that_stalls_gets_no_response_done_or_not() {
    let served = Served::start().await;
    served.api.api_gateway.fail_next([Some(Fault::Stall), Some(Fault::StallDone)]);
    for (value, done) in [(ACME, false), (GLOBEX, true)] {
        let call = tokio::spawn(served.client.create_api_key().value(value).send());
        served.api.api_gateway.stalled().await;
        assert_eq!(served.api.local.keys().find(value).is_some(), done);
        assert!(!call.is_finished());
        call.abort();
    }
    assert!(served.api.api_gateway.calls().is_empty());
}
