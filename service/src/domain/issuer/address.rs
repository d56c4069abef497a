//! The addresses of issuers and of their JWKS, as URIs (RFC 3986).
//!
//! A prefix does not identify the host: `https://` may be followed by a user name that looks like a host. So an address is
//! parsed, and rejected if two parsers could disagree about it.

use fluent_uri::Uri;

/// The hosts that stand for this computer or, in a container of `sam local`, for the computer that runs the container.
const THIS_MACHINE: [&str; 4] = ["127.0.0.1", "localhost", "[::1]", "host.docker.internal"];

/// Whether a JWKS may be fetched from this computer without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// TLS is required. On Lambda, the HTTP server on this host is the Runtime API, which has the requests of all tenants.
    Never,
    /// TLS is not required for addresses on this computer. This is for development only.
    ThisMachine,
}

/// The reason why an address cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The address contains a character that RFC 3986 does not allow, such as a space, or is not in the format of a URI.
    #[error("is not a URI (RFC 3986)")]
    NotUri,
    /// The address has no host, or one with escapes.
    #[error("has no valid host")]
    Host,
    /// The port is not a number from 0 to 65535.
    #[error("has no valid port")]
    Port,
    /// The address contains `user@`, which can make one host look like another.
    #[error("has a user name")]
    UserInfo,
    /// The address has a fragment, which would not be sent.
    #[error("has a fragment")]
    Fragment,
    /// The address has a query, which an issuer's name cannot have (OpenID Connect Core, section 2).
    #[error("has a query")]
    Query,
    /// Without TLS, an attacker on the network could replace the JWKS keys.
    #[error("does not start with https://")]
    NotHttps,
}

/// Checks an address from which a JWKS is to be fetched.
pub fn check_address(address: &str, plain_http: PlainHttp) -> Result<(), AddressError> {
    let uri = parse(address)?;
    let authority = uri.authority().ok_or(AddressError::Host)?;
    let host = authority.host();
    if host.is_empty() || host.contains('%') {
        return Err(AddressError::Host);
    }
    if authority.port_to_u16().is_err() {
        return Err(AddressError::Port);
    }
    match uri.scheme().as_str() {
        "https" => Ok(()),
        "http" if plain_http == PlainHttp::ThisMachine && THIS_MACHINE.contains(&host) => Ok(()),
        _ => Err(AddressError::NotHttps),
    }
}

/// Checks the name of an issuer, from which nothing is fetched: a URI, or a text without a colon (RFC 7519, section 2).
pub(super) fn check_name(name: &str) -> Result<(), AddressError> {
    if name.contains(':') {
        let uri = parse(name)?;
        return if uri.has_query() { Err(AddressError::Query) } else { Ok(()) };
    }
    let is_text = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    if is_text { Ok(()) } else { Err(AddressError::NotUri) }
}

fn parse(text: &str) -> Result<Uri<&str>, AddressError> {
    let uri = Uri::parse(text).map_err(|_| AddressError::NotUri)?;
    if uri.authority().is_some_and(|authority| authority.has_userinfo()) {
        return Err(AddressError::UserInfo);
    }
    if uri.has_fragment() {
        return Err(AddressError::Fragment);
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_URIS: [&str; 12] = [
        "",
        "keys",
        "https:// a.example",
        "https://a.example/ b",
        "https://a.example/\tb",
        "https://a.example\n",
        "https://a.example/\u{0}",
        "https://a.example/\u{7f}",
        "https://b\u{fc}cher.example",
        "https://evil.example\\@a.example",
        "https://a.example/%zz",
        "https://[::1",
    ];

    #[test]
    fn an_address_is_a_uri_over_https() {
        for address in [
            "https://a.example",
            "https://a.example/",
            "https://a.example:8443/tenant/.well-known/jwks.json?appid=1",
            "https://192.0.2.1/keys",
            "https://[2001:db8::1]:444/keys",
            "https://a.example/@b/~c/%7Ed",
        ] {
            assert_eq!(check_address(address, PlainHttp::Never), Ok(()), "{address}");
        }
        let wrong = [
            ("https:a.example", AddressError::Host),
            ("https:///keys", AddressError::Host),
            ("https://:443/", AddressError::Host),
            ("https://a%2eexample/", AddressError::Host),
            ("https://a.example:65536/", AddressError::Port),
            ("https://user@a.example/", AddressError::UserInfo),
            ("https://a.example:secret@evil.example/", AddressError::UserInfo),
            ("https://@a.example/", AddressError::UserInfo),
            ("https://a.example/#b", AddressError::Fragment),
            ("https://a.example#", AddressError::Fragment),
            ("ftp://a.example", AddressError::NotHttps),
            ("urn:example:a", AddressError::Host),
            ("http://a.example", AddressError::NotHttps),
        ];
        for (address, why) in wrong.into_iter().chain(NOT_URIS.map(|text| (text, AddressError::NotUri))) {
            for plain_http in [PlainHttp::Never, PlainHttp::ThisMachine] {
                assert_eq!(check_address(address, plain_http), Err(why), "{address:?}");
            }
        }
    }

    #[test]
    fn plain_http_is_for_this_computer_and_for_development() {
        for address in [
            "http://127.0.0.1:3000/_local/jwks.json",
            "http://localhost/keys",
            "http://[::1]:1/keys",
            "http://host.docker.internal:1/keys",
        ] {
            assert_eq!(check_address(address, PlainHttp::ThisMachine), Ok(()), "{address}");
            assert_eq!(check_address(address, PlainHttp::Never), Err(AddressError::NotHttps), "{address}");
        }
        for address in [
            "http://localhost.evil.example/",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.2/",
            "http://2130706433/",
            "http://0/",
            "http://169.254.169.254/latest/meta-data",
        ] {
            assert_eq!(check_address(address, PlainHttp::ThisMachine), Err(AddressError::NotHttps), "{address}");
        }
    }

    #[test]
    fn a_name_is_a_uri_or_a_text_without_a_colon() {
        for name in ["https://a.example/b/", "http://a.example", "urn:example:a", "accounts.example.com"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for (name, why) in [
            ("", AddressError::NotUri),
            ("two words", AddressError::NotUri),
            ("https://a.example/ ", AddressError::NotUri),
            ("https://a.example/?b", AddressError::Query),
            ("https://a.example/#b", AddressError::Fragment),
            ("https://user@a.example", AddressError::UserInfo),
        ] {
            assert_eq!(check_name(name), Err(why), "{name:?}");
        }
    }
}
