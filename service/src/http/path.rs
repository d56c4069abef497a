//! The canonical spelling of a request's path.
//!
//! Clients spell the path of one resource in several ways: with a slash at its end, which API Gateway routes like the
//! path without it, and with percent-encoded characters that need no encoding (RFC 3986, section 6.2.2.2; Java's
//! `URLEncoder` encodes `~`). A `Location`, a `Link` and the fingerprint of an idempotent request have to be the same for
//! all spellings, so they are made from the route and its parameters, not from the text that was sent.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// All characters except the unreserved ones (RFC 3986, section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Removes the percent-encoding of a path parameter. API Gateway passes the parameter on as it was sent, and `sam local` decodes
/// it. No valid parameter contains a `%`, so decoding twice makes no invalid parameter valid.
pub(super) fn decode(parameter: &str) -> Cow<'_, str> {
    // Text that is not UTF-8 stays encoded, and is therefore not a valid parameter.
    percent_decode_str(parameter).decode_utf8().unwrap_or(Cow::Borrowed(parameter))
}

/// The path of `route` with its parameters, below the prefix of the path that was sent: the stage, or the base path of a custom
/// domain.
///
/// `sam local start-api` passes the route in place of the path that was sent, and has no stage in its addresses. Only the number of
/// segments after the prefix counts here, so the result is right there as well.
pub(super) fn canonical<'p>(route: &str, sent: &str, parameter: impl Fn(&str) -> Option<&'p str>) -> String {
    let route = segments(route);
    let sent = segments(sent);
    let base = &sent[..sent.len().saturating_sub(route.len())];
    let mut path = String::with_capacity(128);
    for segment in base {
        path.push('/');
        path.push_str(segment);
    }
    for segment in route {
        path.push('/');
        let name = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
        match name.and_then(&parameter) {
            Some(value) => path.extend(utf8_percent_encode(&decode(value), ENCODED)),
            None => path.push_str(segment),
        }
    }
    path
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "/collections/{collection}/records/{id}";

    fn record(sent: &str, id: &str) -> String {
        canonical(RECORD, sent, |name| Some(if name == "id" { id } else { "notes" }))
    }

    #[test]
    fn all_spellings_of_a_path_are_one() {
        for (sent, id) in [
            ("/v1/collections/notes/records/~tilde", "~tilde"),
            ("/v1/collections/notes/records/~tilde/", "~tilde"),
            ("/v1/collections/notes/records/%7Etilde", "%7Etilde"),
            ("/v1/collections/notes/records/%7etilde/", "%7etilde"),
            ("/v1/c%6Fllections/notes/records/%7Etild%65", "%7Etild%65"),
        ] {
            assert_eq!(record(sent, id), "/v1/collections/notes/records/~tilde", "{sent}");
        }
    }

    #[test]
    fn the_base_is_whatever_stands_before_the_route() {
        for (sent, base) in [
            ("/v1/collections/notes/records/a", "/v1"),
            ("/collections/notes/records/a", ""),
            ("/api/v1/collections/notes/records/a/", "/api/v1"),
            ("/collections/collections/notes/records/a", "/collections"),
            // The form of `sam local start-api`.
            (RECORD, ""),
            ("", ""),
        ] {
            assert_eq!(record(sent, "a"), format!("{base}/collections/notes/records/a"), "{sent}");
        }
        assert_eq!(canonical("/", "/v1/", |_| None), "/v1");
    }

    #[test]
    fn a_parameter_cannot_add_a_segment() {
        assert_eq!(record("/v1/collections/notes/records/a%2Fb", "a%2Fb"), "/v1/collections/notes/records/a%2Fb");
        assert_eq!(record("/v1/collections/notes/records/a%252F", "a%252F"), "/v1/collections/notes/records/a%252F");
        assert_eq!(record("/v1/collections/notes/records/%FF", "%FF"), "/v1/collections/notes/records/%25FF");
    }

    #[test]
    fn only_whole_utf8_is_decoded() {
        for (parameter, decoded) in [("%7Ea", "~a"), ("%C3%A9", "é"), ("%FF", "%FF"), ("%", "%"), ("%2", "%2")] {
            assert_eq!(decode(parameter), decoded);
        }
    }
}
