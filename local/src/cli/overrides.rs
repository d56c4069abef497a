//! The option `--parameter-overrides`, in the forms that the SAM CLI accepts.

use std::collections::BTreeMap;

use clap::Args;

#[derive(Debug, Default, Args)]
pub(super) struct Overrides {
    /// Values for the template's parameters, as with sam: NAME=VALUE, or ParameterKey=NAME,ParameterValue=VALUE.
    #[arg(long = "parameter-overrides", value_name = "NAME=VALUE", num_args = 1.., value_parser = parse)]
    given: Vec<Given>,
}

/// The overrides in one argument of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Given(Vec<(String, String)>);

impl Overrides {
    /// Returns the values by name. If a parameter is given twice, the last value counts.
    pub(super) fn values(&self) -> BTreeMap<String, String> {
        self.given.iter().flat_map(|Given(pairs)| pairs.iter().cloned()).collect()
    }
}

/// Parses an argument, which is one override, or several in quotes as in `samconfig.toml`. An argument with spaces is several
/// overrides only if each word is one, because a value may contain spaces, too.
fn parse(argument: &str) -> Result<Given, String> {
    let words: Option<Vec<_>> = argument.split_whitespace().map(pair).collect();
    let pairs = words.filter(|pairs| !pairs.is_empty()).or_else(|| Some(vec![pair(argument.trim())?]));
    pairs.map(Given).ok_or_else(|| "the form is NAME=VALUE".to_owned())
}

fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = match text.strip_prefix("ParameterKey=") {
        Some(long) => long.split_once(",ParameterValue=")?,
        None => text.split_once('=')?,
    };
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    is_name.then(|| (name.to_owned(), unquoted.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(argument: &str) -> Vec<(String, String)> {
        parse(argument).unwrap().0
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_argument_is_one_override_or_several() {
        for (argument, expected) in [
            ("FreeRate=7", vec![("FreeRate", "7")]),
            ("CorsAllowedOrigin=", vec![("CorsAllowedOrigin", "")]),
            ("CorsAllowedOrigin=https://app.example?a=b", vec![("CorsAllowedOrigin", "https://app.example?a=b")]),
            ("FreeRate=7 FreeBurst=9", vec![("FreeRate", "7"), ("FreeBurst", "9")]),
            ("ParameterKey=FreeRate,ParameterValue=7", vec![("FreeRate", "7")]),
            ("ParameterKey=A,ParameterValue=1 ParameterKey=B,ParameterValue=2", vec![("A", "1"), ("B", "2")]),
            (
                r#"Issuers=[{"issuer": "https://a", "x": "y=z"}]"#,
                vec![("Issuers", r#"[{"issuer": "https://a", "x": "y=z"}]"#)],
            ),
            (r#"Name="quoted""#, vec![("Name", "quoted")]),
        ] {
            assert_eq!(parsed(argument), pairs(&expected), "{argument}");
        }
        for argument in ["", " ", "FreeRate", "=7", "Free-Rate=7", "ParameterKey=A"] {
            assert!(parse(argument).is_err(), "{argument:?}");
        }
    }
}
