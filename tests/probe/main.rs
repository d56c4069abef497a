//! A function that does what a request's `do` parameter tells it to: a probe of the gateway and the runtime.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(respond)).await
}

async fn respond(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let event = event.payload;
    match event["queryStringParameters"]["do"].as_str().unwrap_or("echo") {
        "echo" => Ok(json!({ "statusCode": 200, "body": event.to_string() })),
        "process" => Ok(json!({ "statusCode": 200, "body": std::process::id().to_string() })),
        "headers" => Ok(json!({
            "statusCode": 201,
            "headers": { "X-Single": "one", "X-Both": "one", "Content-Type": "text/plain", "Connection": "close" },
            "multiValueHeaders": { "Set-Cookie": ["a=1", "b=2"], "X-Both": ["one", "two"] },
            "body": "created",
        })),
        // The bytes 0, 1, 254 and 255.
        "binary" => Ok(json!({
            "statusCode": 200,
            "headers": { "Content-Type": "application/octet-stream" },
            "body": "AAH+/w==",
            "isBase64Encoded": true,
        })),
        "malformed" => Ok(json!({ "status": 200 })),
        "error" => Err("an inner detail".into()),
        #[expect(clippy::panic, reason = "a panic is what the caller asks for")]
        "panic" => panic!("an inner detail"),
        "exit" => std::process::exit(3),
        "hang" => std::future::pending().await,
        unknown => Err(format!("cannot {unknown}").into()),
    }
}
