//! The output of `local` on the terminal: what is wrong and what to do about it, and a line for each request.

use std::process::Stdio;

use reqwest::header::{ACCEPT, CONTENT_TYPE, ORIGIN};
use reqwest::{Client, Method};

use super::{PATIENCE, Running, command, output};

/// The output of a start that fails, which builds and starts nothing.
async fn failure(arguments: &[&str]) -> String {
    let output = output(arguments).await;
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
    assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    text
}

#[tokio::test]
async fn one_data_folder_is_for_one_local() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let mut first = Running::start(&["--data", data]).await;
    let binaries = crate::support::binaries().await.to_str().unwrap();
    let rejected = failure(&["--data", data, "--port", "0", "--binaries", binaries]).await;
    let holder = format!("the data folder {data} is in use by the local on {}: ", first.base_url());
    assert!(rejected.contains(&holder) && rejected.contains("--data FOLDER"), "{rejected}");
    // A token for another port than that of the one with the folder would be rejected there.
    let rejected = failure(&["token", "acme", "--data", data, "--port", "1"]).await;
    assert!(rejected.contains(&holder), "{rejected}");

    // Nobody is locked out: the key is still there for the next one.
    first.signal("-INT", true).await;
    assert!(first.ended().await.success());
    let mut second = Running::start(&["--data", data]).await;
    assert_eq!(second.get("/collections").await.status(), 200);
    second.signal("-INT", true).await;
    assert!(second.ended().await.success());
}

#[tokio::test]
async fn what_is_wrong_on_the_command_line_is_said_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let memory = |more: &[&'static str]| [&["--memory", "--port", "0"][..], more].concat();
    let cases = [
        (failure(&["--memory", "--port", &port]).await, vec![port.as_str(), "another port with --port N"]),
        (failure(&memory(&["--template", "/nowhere.yaml"])).await, vec!["/nowhere.yaml: ", "No such file"]),
        (
            failure(&memory(&["--dynamodb-endpoint", "nonsense"])).await,
            vec!["--dynamodb-endpoint", "`nonsense` is not the URL of a DynamoDB"],
        ),
        (
            failure(&memory(&["--parameter-overrides", "UserPool=perhaps"])).await,
            vec!["template.yaml: the parameter `UserPool` cannot be `perhaps`", "one of true, false"],
        ),
        (
            failure(&memory(&["--parameter-overrides", "NoSuch=1"])).await,
            vec!["there is no parameter `NoSuch`", "CorsAllowedOrigin"],
        ),
        (failure(&["env", "nosuch"]).await, vec!["there is no function `nosuch`", "records"]),
    ];
    for (text, parts) in cases {
        for part in parts {
            assert!(text.contains(part), "no `{part}` in {text}");
        }
    }
}

#[tokio::test]
async fn a_reader_that_leaves_early_causes_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = command(&["env", "records"]).await.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
}

#[tokio::test]
async fn a_token_that_cannot_be_issued_is_explained() {
    let mut local = Running::start(&["--memory"]).await;
    let port = local.base_url().rsplit(':').next().unwrap().to_owned();
    let rejected = failure(&["token", "nosuch", "--port", &port]).await;
    assert!(rejected.contains("use acme, globex, operator, or the id of a tenant"), "{rejected}");
    let rejected = failure(&["token", "acme", "--scope", "records:rea", "--port", &port]).await;
    assert!(rejected.contains("there is no scope `records:rea`") && rejected.contains("records:read"), "{rejected}");
    local.signal("-INT", true).await;
    assert!(local.ended().await.success());

    // Nothing is listening there any more, which is worth a word, but the token can be made.
    let folder = tempfile::tempdir().unwrap();
    let made = output(&["token", "acme", "--port", &port, "--data", folder.path().to_str().unwrap()]).await;
    let said = String::from_utf8(made.stderr).unwrap();
    assert!(said.contains(&format!("nothing is listening on port {port}: start it with cargo run")), "{said}");
    assert!(made.status.success() && made.stdout.starts_with(b"ey"), "{said}");

    // Something else listens there.
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let server = tokio::spawn(async move { axum::serve(other, axum::Router::new()).await });
    let rejected = failure(&["token", "acme", "--port", &port]).await;
    assert!(rejected.contains(&format!("the program on port {port} is not a local")), "{rejected}");
    server.abort();
}

#[tokio::test]
async fn every_request_has_a_line_without_secrets_and_parameters_can_be_overridden() {
    let mut local = Running::start(&[
        "--memory",
        "--parameter-overrides",
        "CorsAllowedOrigin=https://app.example",
        "ParameterKey=FreeBurst,ParameterValue=2",
        "--environments",
        "1",
    ])
    .await;
    assert_eq!(local.get("/collections?cursor=hidden").await.status(), 400);
    let line = local.logged("GET /v1/collections ").await;
    let acme = local::seed::DEMO[0].id;
    assert!(line.contains(" 400 ") && line.contains(" ms "), "{line}");
    assert!(line.contains(&format!(" {acme} ")), "{line}");

    let preflight = Client::new().request(Method::OPTIONS, format!("{}/collections", local.url));
    let preflight = preflight.header(ORIGIN, "https://app.example").send().await.unwrap();
    assert_eq!(preflight.headers()["access-control-allow-origin"], "https://app.example");
    local.logged("OPTIONS /v1/collections 200 ").await;

    // API Gateway rejects it without an invocation.
    let bearer = Client::new().get(format!("{}/collections/junk/records", local.url)).bearer_auth("secret-junk");
    assert_eq!(bearer.send().await.unwrap().status(), 401);
    let line = local.logged("GET /v1/collections/junk/records 401 ").await;
    assert!(line.ends_with(" unauthorized"), "{line}");

    // The second value is in force as well: a burst of two.
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(local.get("/collections").await.status().as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    let line = local.logged(" 429 ").await;
    assert!(line.ends_with(" rate_exceeded"), "{line}");

    let log = local.log();
    for secret in ["hidden", "secret-junk", local.token.as_str()] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    local.signal("-INT", true).await;
    assert!(local.ended().await.success());
}

#[tokio::test]
async fn a_browser_gets_a_page_at_the_printed_address() {
    let mut local = Running::start(&["--memory"]).await;
    for address in [local.url.clone(), format!("{}/", local.base_url())] {
        let page = Client::new().get(&address).header(ACCEPT, "text/html,*/*;q=0.8").send().await.unwrap();
        assert_eq!(
            (page.status().as_u16(), &page.headers()[CONTENT_TYPE]),
            (200, &"text/html; charset=utf-8".parse().unwrap())
        );
        assert!(page.text().await.unwrap().contains("Tenantry is running on this machine"), "{address}");
        let other = Client::new().get(&address).send().await.unwrap();
        assert_eq!(other.status(), 404, "{address}");
    }
    local.signal("-INT", true).await;
    assert!(local.ended().await.success());
}
