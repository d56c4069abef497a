//! Content negotiation: the media type that a client prefers among those on offer (RFC 9110, section 12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

/// How specifically a media range matches a media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    Any,
    Type,
    Whole,
}

/// The media type that the client prefers, and the first one among equals. Returns `None` if the client accepts none of them.
pub(super) fn preferred<'o>(headers: &HeaderMap, offered: &[&'o str]) -> Option<&'o str> {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let ranges: Vec<&str> =
        lines.flat_map(|line| line.split(',')).map(str::trim).filter(|one| !one.is_empty()).collect();
    if ranges.is_empty() {
        return offered.first().copied();
    }
    let ranges: Vec<(&str, u16)> = ranges.into_iter().filter_map(range).collect();
    let weight = |media_type: &str| {
        let matching = ranges.iter().filter_map(|(range, weight)| Some((compare(range, media_type)?, *weight)));
        matching.max().map_or(0, |(_, weight)| weight)
    };
    // `max` returns the last one of equals, hence the reverse order.
    offered.iter().rev().copied().max_by_key(|one| weight(one)).filter(|one| weight(one) > 0)
}

/// A media range without its parameters, and its weight in thousandths. A malformed range is ignored.
fn range(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next()?;
    let weight = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    Some((range, weight.map_or(Some(1000), |(_, value)| thousandths(value.trim()))?))
}

/// A `qvalue`: 0 to 1, with at most three digits after the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || fraction.len() > 3 || !fraction.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    format!("{whole}{fraction:0<3}").parse().ok().filter(|weight| *weight <= 1000)
}

fn compare(range: &str, media_type: &str) -> Option<Match> {
    if range == "*/*" {
        return Some(Match::Any);
    }
    if range.eq_ignore_ascii_case(media_type) {
        return Some(Match::Whole);
    }
    let (kind, rest) = range.split_once('/')?;
    let (own, _) = media_type.split_once('/')?;
    (rest == "*" && kind.eq_ignore_ascii_case(own)).then_some(Match::Type)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const OFFERED: [&str; 2] = ["application/json", "text/csv"];

    fn of(lines: &[&str]) -> Option<&'static str> {
        let lines = lines.iter().map(|line| (ACCEPT, HeaderValue::from_str(line).unwrap()));
        preferred(&lines.collect(), &OFFERED)
    }

    #[test]
    fn the_first_is_for_who_does_not_care() {
        for lines in [&[][..], &[""], &["*/*"], &["text/csv, application/json"], &["text/*;q=0.5, */*;q=0.5"]] {
            assert_eq!(of(lines), Some("application/json"), "{lines:?}");
        }
    }

    #[test]
    fn the_most_specific_range_gives_the_weight() {
        for lines in [
            &["text/csv"][..],
            &["TEXT/CSV; charset=utf-8"],
            &["text/*"],
            &["application/json;q=0.9,text/csv"],
            &["application/json; Q=0.1", "text/html, text/csv;q=0.2"],
            &["*/*;q=0.9, application/json;q=0.8"],
            &["application/json;q=0, */*;q=0.001"],
            &["application/json;q=2, text/csv;q=0.1"],
        ] {
            assert_eq!(of(lines), Some("text/csv"), "{lines:?}");
        }
        assert_eq!(of(&["text/csv;q=0, text/*, application/*;q=0.3"]), Some("application/json"));
    }

    #[test]
    fn a_media_type_that_is_not_on_offer_has_no_match() {
        for lines in [&["application/xml"][..], &["text/html, image/*"], &["*/*;q=0"], &["json"], &["text/csv;q=0.0"]] {
            assert_eq!(of(lines), None, "{lines:?}");
        }
    }
}
