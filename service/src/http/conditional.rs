//! Entity tags and conditional requests (RFC 9110, sections 8.8.3 and 13).

use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};

use super::Problem;
use crate::domain::precondition::{Precondition, Versions};
use crate::domain::record::Version;

/// The maximum number of entity tags in one header. Each becomes a value in a condition expression.
const MAX_TAGS: usize = 32;

/// A version as a strong entity tag.
#[must_use]
pub fn etag(version: Version) -> String {
    format!("\"{version}\"")
}

/// Reads `If-Match` and `If-None-Match`.
pub fn precondition(headers: &HeaderMap) -> Result<Precondition, Problem> {
    Ok(Precondition {
        // A weak tag never matches strongly, as If-Match compares; it matches weakly, as If-None-Match does.
        if_match: versions(headers, &IF_MATCH, false)?,
        if_none_match: versions(headers, &IF_NONE_MATCH, true)?,
    })
}

fn versions(headers: &HeaderMap, name: &HeaderName, weak_matches: bool) -> Result<Option<Versions>, Problem> {
    let invalid = || {
        Problem::invalid_parameter(format!(
            "{name} must be `*` or a list of 1 to {MAX_TAGS} entity tags in double quotes."
        ))
    };
    let mut values = headers.get_all(name).iter().peekable();
    if values.peek().is_none() {
        return Ok(None);
    }
    let lines = values.map(|value| value.to_str().map_err(|_| invalid())).collect::<Result<Vec<_>, _>>()?;
    let list = lines.join(",");
    if list.trim() == "*" {
        return Ok(Some(Versions::Any));
    }
    let mut rest = list.as_str();
    let mut tags = 0;
    let mut versions = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
        let opaque = quoted.strip_prefix('"').ok_or_else(invalid)?;
        let (tag, after) = opaque.split_once('"').ok_or_else(invalid)?;
        rest = after.trim_start_matches([' ', '\t']);
        tags += 1;
        if tags > MAX_TAGS || !(rest.is_empty() || rest.starts_with(',')) {
            return Err(invalid());
        }
        // Our own entity tags are canonical decimal numbers.
        let version = tag.parse().ok().map(Version::from_number).filter(|version| version.to_string() == tag);
        versions.extend(version.filter(|_| weak_matches || !weak));
    }
    if tags == 0 { Err(invalid()) } else { Ok(Some(Versions::OneOf(versions))) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::http::Code;

    /// The result of reading the lines as `If-Match` and as `If-None-Match`.
    fn read(lines: &[&str]) -> [Result<Option<Versions>, Code>; 2] {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_MATCH, HeaderValue::from_str(line).unwrap());
            headers.append(IF_NONE_MATCH, HeaderValue::from_str(line).unwrap());
        }
        [versions(&headers, &IF_MATCH, false), versions(&headers, &IF_NONE_MATCH, true)]
            .map(|result| result.map_err(|problem| problem.code()))
    }

    fn one_of(numbers: &[u64]) -> Versions {
        Versions::OneOf(numbers.iter().map(|n| Version::from_number(*n)).collect())
    }

    #[test]
    fn headers_as_sent() {
        for (lines, strong, weak) in [
            (&[][..], None, None),
            (&["*"], Some(Versions::Any), Some(Versions::Any)),
            (&["\"7\""], Some(one_of(&[7])), Some(one_of(&[7]))),
            (&["\"7\", \"8\""], Some(one_of(&[7, 8])), Some(one_of(&[7, 8]))),
            (&["\"7\"", "\"8\""], Some(one_of(&[7, 8])), Some(one_of(&[7, 8]))),
            (&["W/\"7\" , ,\"8\""], Some(one_of(&[8])), Some(one_of(&[7, 8]))),
            (&["\"abc\", \"07\", \"\", \"a,b\""], Some(one_of(&[])), Some(one_of(&[]))),
        ] {
            assert_eq!(read(lines), [Ok(strong), Ok(weak)], "{lines:?}");
        }
    }

    #[test]
    fn a_malformed_list_of_tags_is_rejected() {
        for line in ["", "7", "\"7", "\"7\" \"8\"", "*, \"7\"", "w/\"7\"", ",", &vec!["\"1\""; 33].join(",")] {
            assert_eq!(read(&[line]), [Err(Code::INVALID_PARAMETER), Err(Code::INVALID_PARAMETER)], "{line}");
        }
    }

    #[test]
    fn an_etag_is_read_as_its_version() {
        let tag = etag(Version::from_number(1_795_253_400_000_000));
        assert_eq!(read(&[&tag])[0], Ok(Some(one_of(&[1_795_253_400_000_000]))));
    }
}
