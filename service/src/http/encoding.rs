//! The encoding of a body: its content coding and its character encoding.

use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue};

use super::{Code, Problem};

/// The content codings that API Gateway decodes in a request.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-enable-compression.html>
const DECODED: [&str; 2] = ["gzip", "deflate"];

/// The same list in a response (RFC 9110, sections 12.5.3 and 15.5.16).
const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip, deflate, identity");

/// Rejects a body that is still compressed when it reaches the function.
///
/// API Gateway decompresses a body and leaves `Content-Encoding` in the event, so the header alone proves nothing. Without API
/// Gateway (`sam local`), or with a coding that it passes through, the body begins with bytes with which no JSON begins.
pub(super) fn check_coding(headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let lines = headers.get_all(CONTENT_ENCODING).iter();
    let codings = lines.flat_map(|line| line.to_str().unwrap_or("?").split(',')).map(str::trim);
    let codings: Vec<&str> =
        codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity")).collect();
    let detail = match codings[..] {
        [] => return Ok(()),
        [coding] if DECODED.iter().any(|known| known.eq_ignore_ascii_case(coding)) => {
            if !is_compressed(body) {
                return Ok(());
            }
            "The body arrived still compressed. Send it uncompressed, without Content-Encoding."
        }
        _ => "The Content-Encoding is not supported. Use gzip or deflate, or send the body uncompressed.",
    };
    Err(Problem::new(Code::UNSUPPORTED_MEDIA_TYPE, detail).with_header(ACCEPT_ENCODING, ACCEPTED))
}

/// Whether a body begins as gzip does (RFC 1952, section 2.3.1), or as deflate's usual frame (RFC 1950, section 2.2).
fn is_compressed(body: &[u8]) -> bool {
    matches!(body.first(), Some(0x1f | 0x78))
}

/// Returns the text of a body in UTF-8.
///
/// API Gateway replaces bytes that are not UTF-8 by U+FFFD, so a body with this character was most likely sent in another
/// encoding, and its text is lost. A client that means the character itself can send its escape sequence.
pub(super) fn text(body: &[u8]) -> Result<&str, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let detail =
            format!("The body is not valid JSON: byte {} is not UTF-8. Encode it in UTF-8.", error.valid_up_to() + 1);
        Problem::new(Code::MALFORMED_JSON, detail)
    })?;
    if text.starts_with('\u{feff}') {
        let detail = "The body begins with a byte order mark. Send JSON without one (RFC 8259, section 8.1).";
        return Err(Problem::new(Code::MALFORMED_JSON, detail));
    }
    match text.find(char::REPLACEMENT_CHARACTER) {
        None => Ok(text),
        Some(before) => {
            let detail = format!(
                "The body was probably not sent in UTF-8: at byte {} it contains U+FFFD, which replaces invalid bytes. \
                 Encode the body in UTF-8. To send the character itself, write it as \\ufffd.",
                before + 1
            );
            Err(Problem::new(Code::INVALID_DATA, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coding(lines: &[&str], body: &[u8]) -> Option<(Code, String)> {
        let lines = lines.iter().map(|line| (CONTENT_ENCODING, HeaderValue::from_str(line).unwrap()));
        let problem = check_coding(&lines.collect(), body).err()?;
        assert_eq!(problem.headers(), [(ACCEPT_ENCODING, ACCEPTED)]);
        Some((problem.code(), problem.document("")))
    }

    #[test]
    fn a_body_without_a_coding_is_read() {
        for lines in [&[][..], &[""], &["identity"], &["Identity, identity"], &["identity", "identity"]] {
            assert_eq!(coding(lines, b"x"), None, "{lines:?}");
        }
    }

    #[test]
    fn a_coding_that_the_gateway_has_taken_off_does_not_matter() {
        for lines in [&["gzip"][..], &["DEFLATE"], &["identity, gzip"]] {
            assert_eq!(coding(lines, b"{}"), None, "{lines:?}");
            assert_eq!(coding(lines, b" {}"), None, "{lines:?}");
        }
    }

    #[test]
    fn a_body_that_is_still_compressed_is_rejected() {
        // The bytes that `sam local` passes on, and the text that API Gateway makes of a body it does not decompress.
        for (line, body) in [
            ("gzip", &b"\x1f\x8b\x08\0"[..]),
            ("gzip", "\u{1f}\u{fffd}\u{8}".as_bytes()),
            ("deflate", b"\x78\x9c"),
            ("deflate", "x\u{fffd}".as_bytes()),
        ] {
            let (code, document) = coding(&[line], body).unwrap();
            assert_eq!(code, Code::UNSUPPORTED_MEDIA_TYPE);
            assert!(document.contains("Content-Encoding"), "{document}");
        }
    }

    #[test]
    fn other_codings_are_rejected() {
        for lines in [&["br"][..], &["zstd"], &["gzip, gzip"], &["gzip", "br"], &["gzip;q=1"], &["compress"]] {
            assert_eq!(coding(lines, b"{}").unwrap().0, Code::UNSUPPORTED_MEDIA_TYPE, "{lines:?}");
        }
    }

    #[test]
    fn text_is_utf_8() {
        assert_eq!(text("{\"é\":\"\\ufffd😀\"}".as_bytes()).ok(), Some("{\"é\":\"\\ufffd😀\"}"));
        for (body, code, part) in [
            (&b"{\"a\":\"\xff\"}"[..], Code::MALFORMED_JSON, "byte 7 is not UTF-8"),
            (b"\xef\xbb\xbf{}", Code::MALFORMED_JSON, "byte order mark"),
            ("{\"é\":\"\u{fffd}\u{fffd}\"}".as_bytes(), Code::INVALID_DATA, "at byte 8 it contains U+FFFD"),
            ("\u{fffd}\u{fffd}{\0}\0".as_bytes(), Code::INVALID_DATA, "probably not sent in UTF-8"),
        ] {
            let problem = text(body).unwrap_err();
            assert_eq!(problem.code(), code);
            assert!(problem.document("").contains(part), "{}", problem.document(""));
        }
    }
}
