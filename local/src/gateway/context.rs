//! The context of a request, which gateway responses see as `$context` and functions as `requestContext`.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html>

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use ulid::Ulid;

use super::certificate;
use super::grant::Grant;
use crate::template::{ACCOUNT, API_ID, REGION};

const REQUEST_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

/// The properties of a request that are known so far.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) request_id: String,
    pub(super) extended_request_id: String,
    pub(super) time: OffsetDateTime,
    pub(super) stage: String,
    pub(super) http_method: String,
    /// The path as the client sent it, with the stage.
    pub(super) path: String,
    pub(super) protocol: String,
    pub(super) domain_name: String,
    pub(super) source_ip: String,
    pub(super) user_agent: Option<String>,
    /// The client's certificate in PEM.
    pub(super) client_certificate: Option<String>,
    /// Set once the request is routed.
    pub(super) resource_path: Option<String>,
    /// Set once the request is authorized.
    pub(super) authorizer: Option<Arc<Grant>>,
}

impl Context {
    pub(super) fn new(head: &Parts, peer: SocketAddr, stage: &str) -> Self {
        let header = |name| head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let host = header(http::header::HOST).unwrap_or_else(|| "localhost".to_owned());
        let id = Ulid::generate();
        Self {
            request_id: uuid(id),
            extended_request_id: STANDARD.encode(&id.to_bytes()[5..]),
            time: OffsetDateTime::now_utc(),
            stage: stage.to_owned(),
            http_method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            protocol: format!("{:?}", head.version),
            domain_name: host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name).to_owned(),
            source_ip: peer.ip().to_canonical().to_string(),
            user_agent: header(http::header::USER_AGENT),
            client_certificate: certificate::pem(&head.headers),
            resource_path: None,
            authorizer: None,
        }
    }

    /// Returns the ARN that policies are evaluated for. It contains the path as the client sent it.
    pub(super) fn method_arn(&self) -> String {
        let Self { stage, http_method, path, .. } = self;
        let path = path.trim_start_matches('/').strip_prefix(stage.as_str()).unwrap_or_default();
        let path = path.trim_start_matches('/');
        format!("arn:aws:execute-api:{REGION}:{ACCOUNT}:{API_ID}/{stage}/{http_method}/{path}")
    }

    /// Returns `requestTime`, in the Common Log Format (`21/Nov/2026:09:30:00 +0000`).
    pub(super) fn request_time(&self) -> String {
        self.time.format(REQUEST_TIME).unwrap_or_default()
    }

    /// Returns `requestTimeEpoch`, in milliseconds since 1970.
    pub(super) fn request_time_epoch(&self) -> i128 {
        self.time.unix_timestamp_nanos() / 1_000_000
    }

    /// Returns the value of `$context.<name>`, except those under `error`.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let text = |text: &str| Some(text.to_owned());
        match name {
            "accountId" => text(ACCOUNT),
            "apiId" => text(API_ID),
            "domainName" => text(&self.domain_name),
            "extendedRequestId" => text(&self.extended_request_id),
            "httpMethod" => text(&self.http_method),
            "identity.sourceIp" => text(&self.source_ip),
            "identity.userAgent" => self.user_agent.clone(),
            "path" => text(&self.path),
            "protocol" => text(&self.protocol),
            "requestId" => text(&self.request_id),
            "requestTime" => Some(self.request_time()),
            "requestTimeEpoch" => Some(self.request_time_epoch().to_string()),
            "resourcePath" => self.resource_path.clone(),
            "stage" => text(&self.stage),
            _ => {
                let (key, grant) = (name.strip_prefix("authorizer.")?, self.authorizer.as_ref()?);
                match key {
                    "principalId" => text(&grant.principal_id),
                    _ => grant.context.get(key).cloned(),
                }
            }
        }
    }
}

/// Returns a request id in the form of API Gateway's: a UUID. A UUID of version 7 (RFC 9562, section 5.7) has the layout of
/// a ULID except for six bits.
fn uuid(id: Ulid) -> String {
    let bits = u128::from(id);
    let bits = bits & !(0xF << 76) & !(0x3 << 62) | (0x7 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(method: &str, uri: &str) -> Context {
        let request = http::Request::builder().method(method).uri(uri).header("host", "localhost:3000");
        let (head, ()) = request.body(()).unwrap().into_parts();
        Context::new(&head, ([127, 0, 0, 1], 1).into(), "v1")
    }

    #[test]
    fn a_method_arn_has_the_path_as_it_was_sent() {
        let arn = |method, uri| context(method, uri).method_arn();
        let base = "arn:aws:execute-api:us-east-1:000000000000:local/v1";
        assert_eq!(arn("GET", "/v1/a/b%20c?q=1"), format!("{base}/GET/a/b%20c"));
        assert_eq!(arn("DELETE", "/v1"), format!("{base}/DELETE/"));
    }

    #[test]
    fn a_request_id_is_a_uuid_of_version_7() {
        let id = uuid(Ulid::from_parts(0x0123_4567_89AB, u128::MAX));
        assert_eq!(id, "01234567-89ab-7fff-bfff-ffffffffffff");
    }

    #[test]
    fn the_time_is_in_common_log_format() {
        let mut context = context("GET", "/v1");
        context.time = time::macros::datetime!(2026-11-21 09:30:00.250 UTC);
        assert_eq!(context.request_time(), "21/Nov/2026:09:30:00 +0000");
        assert_eq!(context.request_time_epoch(), 1_795_253_400_250);
        assert_eq!(context.domain_name, "localhost");
    }
}
