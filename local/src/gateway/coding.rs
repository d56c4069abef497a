//! Content codings: compressed requests are decompressed, and responses are compressed for clients that accept it.
//!
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-make-request-with-compressed-payload.html>
//! - <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-enable-compression.html>
//!
//! The pages do not state whether the limit on the size of a request applies before or after decompression: here it applies
//! to both. `Content-Encoding` stays in the function's event, as users of API Gateway report.

use std::io::{Read, Write};

use axum::body::{Body, Bytes};
use flate2::Compression;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use http::Response;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};

use super::error_response::ErrorResponse;
use super::limits::BODY_BYTES;

/// A content coding that API Gateway supports (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    /// Data of RFC 1951 in the frame of RFC 1950.
    Deflate,
}

impl Coding {
    fn parse(name: &str) -> Option<Self> {
        [Self::Identity, Self::Gzip, Self::Deflate].into_iter().find(|coding| coding.name().eq_ignore_ascii_case(name))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}

/// Decompresses a request's body according to its `Content-Encoding`, unless it is smaller than `minimum`.
pub(super) fn decode(headers: &HeaderMap, body: Bytes, minimum: Option<usize>) -> Result<Bytes, ErrorResponse> {
    let mut coding = Coding::Identity;
    for name in list(headers, CONTENT_ENCODING) {
        match (Coding::parse(name).ok_or(ErrorResponse::UNSUPPORTED_MEDIA_TYPE)?, coding) {
            (Coding::Identity, _) => {}
            (found, Coding::Identity) => coding = found,
            // Two codings, one over the other: the pages mention only one.
            (Coding::Gzip | Coding::Deflate, _) => return Err(ErrorResponse::UNSUPPORTED_MEDIA_TYPE),
        }
    }
    if body.is_empty() || minimum.is_some_and(|minimum| body.len() < minimum) {
        return Ok(body);
    }
    match coding {
        Coding::Identity => Ok(body),
        Coding::Gzip => read(MultiGzDecoder::new(&body[..])),
        Coding::Deflate => read(ZlibDecoder::new(&body[..])),
    }
}

/// Decompresses at most one byte more than the limit, because a few bytes can expand to any size.
fn read(decoder: impl Read) -> Result<Bytes, ErrorResponse> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(BODY_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(limit).read_to_end(&mut bytes).map_err(|_| ErrorResponse::UNSUPPORTED_MEDIA_TYPE)?;
    if bytes.len() > BODY_BYTES { Err(ErrorResponse::BODY_TOO_LARGE) } else { Ok(bytes.into()) }
}

/// Compresses a function's response, if compression is on, the body is not smaller than `minimum`, and the client accepts it.
pub(super) async fn encode(
    response: Response<Body>,
    request: &HeaderMap,
    minimum: Option<usize>,
) -> Result<Response<Body>, axum::Error> {
    let coding = preferred(request);
    let (Some(minimum), false) = (minimum, coding == Coding::Identity) else { return Ok(response) };
    let (mut head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await?;
    if body.is_empty() || body.len() < minimum || head.headers.contains_key(CONTENT_ENCODING) {
        return Ok(Response::from_parts(head, body.into()));
    }
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    let compressed = match coding {
        Coding::Identity => Ok(body.to_vec()),
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&body).and_then(|()| encoder.finish())
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&body).and_then(|()| encoder.finish())
        }
    };
    Ok(Response::from_parts(head, compressed.map_err(axum::Error::new)?.into()))
}

/// Returns the coding with the highest weight, the first of several; `identity` if API Gateway does not support it.
fn preferred(request: &HeaderMap) -> Coding {
    let mut best = ("identity", 0.0);
    for one in list(request, ACCEPT_ENCODING) {
        let (name, parameters) = one.split_once(';').unwrap_or((one, ""));
        let weight = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("q="));
        let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        if weight > best.1 {
            best = (name.trim(), weight);
        }
    }
    if best.0 == "*" { Coding::Gzip } else { Coding::parse(best.0).unwrap_or(Coding::Identity) }
}

/// Returns the elements of a header that is a list.
fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().map(|line| line.to_str().unwrap_or("?"));
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_str(line).unwrap())).collect()
    }

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

    fn decoded(coding: &[&str], body: Vec<u8>, minimum: Option<usize>) -> Result<Vec<u8>, ErrorResponse> {
        decode(&headers(&CONTENT_ENCODING, coding), body.into(), minimum).map(|body| body.to_vec())
    }

    #[test]
    fn requests_are_decompressed() {
        for minimum in [None, Some(0), Some(20)] {
            assert_eq!(decoded(&["gzip"], gzip(b"{}"), minimum).unwrap(), b"{}");
            assert_eq!(decoded(&["GZip"], [gzip(b"{"), gzip(b"}")].concat(), minimum).unwrap(), b"{}");
        }
        assert_eq!(decoded(&["deflate"], deflate(b"{}"), Some(0)).unwrap(), b"{}");
        for coding in [&[][..], &[""], &["identity"], &["identity, identity"]] {
            assert_eq!(decoded(coding, b"{}".to_vec(), Some(0)).unwrap(), b"{}", "{coding:?}");
        }
        assert_eq!(decoded(&["gzip"], vec![], Some(0)).unwrap(), b"");
        let small = gzip(b"{}");
        assert_eq!(decoded(&["gzip"], small.clone(), Some(small.len() + 1)).unwrap(), small, "as in AWS's page");
    }

    #[test]
    fn a_body_that_does_not_match_its_coding_is_415() {
        let truncated = gzip(b"{}")[..15].to_vec();
        for (coding, body) in [
            (&["gzip"][..], b"{}".to_vec()),
            (&["gzip"], truncated),
            (&["gzip"], deflate(b"{}")),
            (&["deflate"], gzip(b"{}")),
            (&["br"], b"{}".to_vec()),
            (&["gzip, gzip"], gzip(&gzip(b"{}"))),
            (&["gzip", "br"], gzip(b"{}")),
        ] {
            assert_eq!(decoded(coding, body, Some(0)), Err(ErrorResponse::UNSUPPORTED_MEDIA_TYPE), "{coding:?}");
        }
    }

    #[test]
    fn a_decompression_bomb_is_rejected() {
        let most = vec![b' '; BODY_BYTES];
        assert_eq!(decoded(&["gzip"], gzip(&most), Some(0)).unwrap().len(), BODY_BYTES);
        let bomb = vec![b' '; BODY_BYTES + 1];
        assert_eq!(decoded(&["gzip"], gzip(&bomb), Some(0)), Err(ErrorResponse::BODY_TOO_LARGE));
        assert_eq!(decoded(&["deflate"], deflate(&bomb), Some(0)), Err(ErrorResponse::BODY_TOO_LARGE));
    }

    #[test]
    fn the_coding_with_the_highest_weight_is_used() {
        let preferred = |lines: &[&str]| preferred(&headers(&ACCEPT_ENCODING, lines));
        for lines in [
            &["gzip, deflate, br, zstd"][..],
            &["*"],
            &["deflate;q=0.5,gzip;q=1.0"],
            &["gzip;q=1.0,identity;q=0.5,*;q=0"],
            &["deflate;q=0.1", "gzip;q=0.2"],
        ] {
            assert_eq!(preferred(lines), Coding::Gzip, "{lines:?}");
        }
        assert_eq!(preferred(&["deflate,gzip"]), Coding::Deflate);
        for lines in
            [&[][..], &[""], &["identity"], &["br, gzip"], &["gzip;q=0"], &["gzip;q=0.5, identity"], &["*;q=0"]]
        {
            assert_eq!(preferred(lines), Coding::Identity, "{lines:?}");
        }
    }

    #[tokio::test]
    async fn responses_are_compressed_for_clients_that_accept_it() {
        let sent = async |body: &'static str, accepted: &str, minimum, coding: Option<&'static str>| {
            let mut response = Response::new(Body::from(body));
            if let Some(coding) = coding {
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
            }
            let response = encode(response, &headers(&ACCEPT_ENCODING, &[accepted]), minimum).await.unwrap();
            let coding = response.headers().get(CONTENT_ENCODING).map(|coding| coding.to_str().unwrap().to_owned());
            (coding, axum::body::to_bytes(response.into_body(), 1000).await.unwrap().to_vec())
        };
        let (coding, body) = sent("{}", "gzip", Some(0), None).await;
        assert_eq!((coding.as_deref(), decoded(&["gzip"], body, None).unwrap()), (Some("gzip"), b"{}".to_vec()));
        let (coding, body) = sent("{}", "deflate", Some(2), None).await;
        assert_eq!((coding.as_deref(), decoded(&["deflate"], body, None).unwrap()), (Some("deflate"), b"{}".to_vec()));
        for (body, accepted, minimum, coding) in [
            ("{}", "gzip", None, None),
            ("{}", "gzip", Some(3), None),
            ("{}", "br", Some(0), None),
            ("", "gzip", Some(0), None),
            ("{}", "gzip", Some(0), Some("br")),
        ] {
            let expected = (coding.map(ToOwned::to_owned), body.as_bytes().to_vec());
            assert_eq!(sent(body, accepted, minimum, coding).await, expected, "{accepted} {minimum:?}");
        }
    }
}
