//! Browsers: preflight on every path, and the headers on every response, if an origin is allowed.

use crate::support::contract::operations;
use crate::support::{Api, Response};

const NOTE: &str = "/collections/notes/records/welcome";

/// One response from each source: the function, and the gateway before and after the authorizer.
async fn responses(api: &Api) -> Vec<Response> {
    let (globex, nobody) = (api.caller("globex").await, api.caller_of(None));
    vec![
        globex.get("/collections").await.expect(200),
        globex.get(NOTE).await.expect(404),
        globex.get("/nothing").await.expect(404),
        nobody.get(NOTE).await.expect(401),
        nobody.get("/health").await.expect(200),
        api.caller_with("globex", &[("scope", "openid")]).await.get(NOTE).await.expect(403),
    ]
}

#[tokio::test]
async fn an_allowed_origin_may_read_every_response() {
    for origin in ["https://app.example", "*"] {
        let api = Api::start_with_parameter("CorsAllowedOrigin", origin).await;
        for response in responses(&api).await {
            assert_eq!(response.header("access-control-allow-origin"), origin, "{response:?}");
            for name in [
                "Accept-Patch",
                "ETag",
                "Idempotent-Replayed",
                "Link",
                "Location",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
                "WWW-Authenticate",
                "x-amzn-RequestId",
            ] {
                let exposed = response.header("access-control-expose-headers");
                assert!(exposed.split(',').any(|one| one == name), "{name} in {exposed}");
            }
        }
        let nobody = api.caller_of(None);
        for operation in operations() {
            let path = operation.path.replace("{collection}", "notes").replace("{id}", "x");
            let call = nobody.call("OPTIONS", &path).header("origin", "https://app.example");
            let preflight = call.header("access-control-request-method", &operation.method).send().await.expect(200);
            assert_eq!(preflight.header("access-control-allow-origin"), origin);
            let methods = preflight.header("access-control-allow-methods");
            assert!(methods.split(',').any(|method| method == operation.method), "{methods}");
            for name in ["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"] {
                let allowed = preflight.header("access-control-allow-headers");
                assert!(allowed.split(',').any(|one| one == name), "{name} in {allowed}");
            }
        }
        assert_eq!(api.invocations("authorizer").await, 2, "preflight invokes nothing");
        api.shutdown().await;
    }
}

#[tokio::test]
async fn cors_is_off_by_default() {
    let api = Api::start().await;
    for response in responses(&api).await {
        assert_eq!(response.header("access-control-allow-origin"), "");
    }
    let preflight = api.caller_of(None).call("OPTIONS", NOTE).header("origin", "https://app.example").send().await;
    assert_eq!(preflight.header("access-control-allow-origin"), "");
    api.shutdown().await;
}
