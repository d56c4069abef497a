//! Bodies that are compressed, or whose bytes are not UTF-8.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::json;

use crate::support::{Api, Caller, Response};

const NOTE: &str = "/collections/notes/records/welcome";

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

async fn put(caller: &Caller<'_>, coding: &str, body: Vec<u8>) -> Response {
    caller.call("PUT", NOTE).encoded(coding, body).send().await
}

#[tokio::test]
async fn a_compressed_body_is_the_same_as_it_is_plain() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let body = "{\"data\":{\"text\":\"é\\ufffd\",\"n\":1.10}}";
    for (coding, body) in [("gzip", gzip(body.as_bytes())), ("deflate", deflate(body.as_bytes()))] {
        put(&globex, coding, body).await.expect(201);
        let read = globex.get(&format!("{NOTE}?consistent=true")).await.expect(200);
        assert!(read.text.ends_with(r#""data":{"text":"é\ufffd","n":1.10}}"#), "{coding}: {}", read.text);
        globex.delete(NOTE).await.expect(204);
    }
    put(&globex, "identity", body.into()).await.expect(201);

    // A repeat may be compressed in another way, or not at all.
    let once = |coding: &'static str, body: Vec<u8>| {
        let call = globex.call("POST", "/collections/notes/records").encoded(coding, body);
        call.header("idempotency-key", "once").send()
    };
    let first = once("gzip", gzip(body.as_bytes())).await.expect(201);
    for (coding, body) in [("deflate", deflate(body.as_bytes())), ("identity", body.as_bytes().to_vec())] {
        let again = once(coding, body).await.expect(201);
        assert_eq!((again.header("idempotent-replayed"), again.json()), ("true", first.json()), "{coding}");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn a_body_that_is_not_in_its_coding_is_rejected() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let body = br#"{"data":{}}"#;
    for (coding, body) in [
        ("br", body.to_vec()),
        ("zstd", body.to_vec()),
        ("gzip, gzip", gzip(&gzip(body))),
        ("gzip", body.to_vec()),
        ("deflate", gzip(body)),
    ] {
        let problem = put(&globex, coding, body).await.expect_problem(415, "unsupported_media_type").json();
        assert!(problem["detail"].as_str().unwrap().contains("Content-Encoding"), "{coding}: {problem}");
    }
    let bomb = gzip(&vec![b' '; 20 * 1024 * 1024]);
    assert!(bomb.len() < 100 * 1024);
    put(&globex, "gzip", bomb).await.expect_problem(413, "body_too_large");
    put(&globex, "gzip", gzip(&vec![b' '; 2 * 1024 * 1024])).await.expect_problem(413, "body_too_large");
    globex.get(NOTE).await.expect_problem(404, "record_not_found");
    api.shutdown().await;
}

#[tokio::test]
async fn a_response_is_compressed_for_a_client_that_accepts_it() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    globex.put(NOTE, &json!({"data": {"text": "x".repeat(10_000)}})).await.expect(201);
    let plain = globex.get(NOTE).await.expect(200);
    let get = async |accepted: &'static str, more: &[(&'static str, &str)]| {
        let url = format!("{}{NOTE}", api.local.url());
        let request = reqwest::Client::new().get(url).bearer_auth(globex.token.as_deref().unwrap());
        let request = more.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.header("accept-encoding", accepted).send().await.unwrap();
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, coding, etag) = (response.status().as_u16(), header("content-encoding"), header("etag"));
        assert_eq!(etag.as_deref(), Some(plain.header("etag")), "{accepted}");
        (status, coding, response.bytes().await.unwrap().to_vec())
    };
    let mut text = String::new();
    let (_, coding, body) = get("gzip, deflate, br, zstd", &[]).await;
    assert!(body.len() < 1000);
    GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
    assert_eq!((coding.as_deref(), &text), (Some("gzip"), &plain.text));
    text.clear();
    let (_, coding, body) = get("deflate", &[]).await;
    ZlibDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
    assert_eq!((coding.as_deref(), &text), (Some("deflate"), &plain.text));
    for accepted in ["", "identity", "br", "br, gzip", "gzip;q=0"] {
        assert_eq!(get(accepted, &[]).await, (200, None, plain.text.clone().into_bytes()), "{accepted}");
    }
    assert_eq!(get("gzip", &[("if-none-match", plain.header("etag"))]).await, (304, None, vec![]));
    api.shutdown().await;
}

#[tokio::test]
async fn bytes_that_are_not_utf_8_are_rejected_wherever_they_are() {
    let api = Api::start().await;
    let (globex, operator) = (api.caller("globex").await, api.caller("operator").await);
    let latin_1 = |text: &str| text.chars().map(|character| u8::try_from(character).unwrap()).collect::<Vec<_>>();
    let utf_16: Vec<u8> = "\u{feff}{\"data\":{}}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (caller, method, path, body) in [
        (&globex, "PUT", NOTE, b"{\"data\":{\"x\":\"\xff\"}}".to_vec()),
        (&globex, "PUT", NOTE, latin_1("{\"data\":{\"x\":\"Müller\"}}")),
        (&globex, "PUT", NOTE, latin_1("{\"data\":{\"Größe\":1}}")),
        (&globex, "PUT", NOTE, utf_16),
        (&globex, "PUT", NOTE, "{\"data\":{\"x\":\"\u{fffd}\"}}".into()),
        (&globex, "PATCH", NOTE, latin_1("{\"data\":{\"x\":\"é\"}}")),
        (&globex, "POST", "/collections/notes/records", latin_1("{\"data\":{\"x\":\"é\"}}")),
        (
            &globex,
            "POST",
            "/transactions",
            latin_1("{\"operations\":[{\"op\":\"create\",\"collection\":\"a\",\"data\":{\"x\":\"é\"}}]}"),
        ),
        (&globex, "POST", "/tokens", latin_1("{\"name\":\"Schlüssel\",\"scopes\":[\"records:read\"]}")),
        (&operator, "POST", "/admin/tenants", latin_1("{\"name\":\"Müller\",\"plan\":\"free\"}")),
    ] {
        let response = caller.call(method, path).body("application/json", body).send().await;
        let problem = response.expect_problem(400, "invalid_data").json();
        assert!(problem["detail"].as_str().unwrap().contains("UTF-8"), "{method} {path}: {problem}");
    }
    assert_eq!(globex.get("/collections").await.json()["items"], json!([]));

    let marked = globex.call("PUT", NOTE).body("application/json", "\u{feff}{\"data\":{}}").send().await;
    let problem = marked.expect_problem(400, "malformed_json").json();
    assert!(problem["detail"].as_str().unwrap().contains("byte order mark"), "{problem}");
    api.shutdown().await;
}

#[tokio::test]
async fn the_escape_of_u_fffd_remains_an_escape() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let put = |body: String| globex.call("PUT", NOTE).body("application/json", body).send();
    put(r#"{"data":{"x":"a\uFFFDb","\ufffd":1}}"#.to_owned()).await.expect(201);
    let read = globex.get(&format!("{NOTE}?consistent=true")).await.expect(200).text;
    let data = &read[read.find(r#""data":"#).unwrap()..];
    assert_eq!(data, r#""data":{"x":"a\ufffdb","\ufffd":1}}"#);
    // A client that copies what it reads can write it.
    put(format!("{{{data}")).await.expect(200);
    api.shutdown().await;
}
