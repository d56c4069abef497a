//! The price table: `prices.json`, and the prices with which an operator overrides it.

use serde::Deserialize;

use crate::money::Price;

/// The built-in table.
const FILE: &str = include_str!("../prices.json");

/// Prices in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prices {
    /// The price of a GB-second of Lambda on Graviton.
    lambda_gb_second_arm64: Price,
    /// The price of a GB-second of Lambda on x86-64.
    lambda_gb_second_x86: Price,
    /// The price of an invocation.
    pub(crate) lambda_request: Price,
    /// The price of an on-demand read request unit.
    pub(crate) read_unit: Price,
    /// The price of an on-demand write request unit.
    pub(crate) write_unit: Price,
    /// The price of a request to a REST API.
    pub(crate) gateway_request: Price,
    /// The price of a GB that is transferred to the internet.
    pub(crate) transfer_out_gb: Price,
    /// The price of a GB in the table for a month.
    pub(crate) storage_gb_month: Price,
    /// The price of a GB of logs that CloudWatch ingests.
    pub(crate) logs_gb: Price,
}

/// The prices that an operator overrides.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Changes {
    lambda_gb_second_arm64: Option<Price>,
    lambda_gb_second_x86: Option<Price>,
    lambda_request: Option<Price>,
    read_unit: Option<Price>,
    write_unit: Option<Price>,
    gateway_request: Option<Price>,
    transfer_out_gb: Option<Price>,
    storage_gb_month: Option<Price>,
    logs_gb: Option<Price>,
}

#[derive(Deserialize)]
struct File {
    prices: Prices,
}

/// The error of prices that cannot be parsed.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPrices {
    /// The environment variable is not valid.
    #[error("PRICES is not a JSON object with prices, as in functions/usage/prices.json: {0}")]
    Variable(serde_json::Error),
    /// The built-in table is not valid, which a test rules out.
    #[error("prices.json: {0}")]
    File(serde_json::Error),
}

impl Prices {
    /// Returns the built-in table with the prices of the environment variable `PRICES`. An empty text overrides none.
    pub fn parse(variable: &str) -> Result<Self, InvalidPrices> {
        let File { prices } = serde_json::from_str(FILE).map_err(InvalidPrices::File)?;
        let changes = match variable.trim_ascii() {
            "" => Changes::default(),
            // `serde` would accept an array as well, with one price after the other.
            json if json.starts_with('[') => {
                return Err(InvalidPrices::Variable(serde::de::Error::custom("an array")));
            }
            json => serde_json::from_str(json).map_err(InvalidPrices::Variable)?,
        };
        let Changes {
            lambda_gb_second_arm64,
            lambda_gb_second_x86,
            lambda_request,
            read_unit,
            write_unit,
            gateway_request,
            transfer_out_gb,
            storage_gb_month,
            logs_gb,
        } = changes;
        Ok(Self {
            lambda_gb_second_arm64: lambda_gb_second_arm64.unwrap_or(prices.lambda_gb_second_arm64),
            lambda_gb_second_x86: lambda_gb_second_x86.unwrap_or(prices.lambda_gb_second_x86),
            lambda_request: lambda_request.unwrap_or(prices.lambda_request),
            read_unit: read_unit.unwrap_or(prices.read_unit),
            write_unit: write_unit.unwrap_or(prices.write_unit),
            gateway_request: gateway_request.unwrap_or(prices.gateway_request),
            transfer_out_gb: transfer_out_gb.unwrap_or(prices.transfer_out_gb),
            storage_gb_month: storage_gb_month.unwrap_or(prices.storage_gb_month),
            logs_gb: logs_gb.unwrap_or(prices.logs_gb),
        })
    }

    /// The price of a GB-second of Lambda. All functions have the architecture of this one, by a parameter of the
    /// template.
    pub(crate) fn lambda_gb_second(&self) -> Price {
        if cfg!(target_arch = "aarch64") { self.lambda_gb_second_arm64 } else { self.lambda_gb_second_x86 }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_table_is_complete_and_names_its_sources() {
        let prices = Prices::parse("").unwrap();
        assert_eq!(prices.read_unit, Price::parse("0.000000125").unwrap());
        let file: Value = serde_json::from_str(FILE).unwrap();
        assert!(file["region"].is_string() && file["asOf"].is_string());
        let pages = file["pages"].as_object().unwrap();
        assert!(pages.values().all(|page| page.as_str().unwrap().starts_with("https://")));
    }

    #[test]
    fn an_operator_overrides_single_prices() {
        let changed = Prices::parse(r#" {"readUnit": "0.5", "logsGb": "0"} "#).unwrap();
        let (half, nothing) = (Price::parse("0.5").unwrap(), Price::parse("0").unwrap());
        assert_eq!(changed, Prices { read_unit: half, logs_gb: nothing, ..Prices::parse("{}").unwrap() });
        assert_eq!(Prices::parse("{}").unwrap(), Prices::parse(" ").unwrap());
    }

    #[test]
    fn an_unknown_or_inexact_price_is_rejected() {
        for text in [
            "readUnit",
            "[]",
            r#"["0.1"]"#,
            "null",
            r#"{"readUnits": "1"}"#,
            r#"{"readUnit": 0.5}"#,
            r#"{"readUnit": "-1"}"#,
            r#"{"readUnit": "1", "readUnit": "2"}"#,
            r#"{"readUnit": "1"} x"#,
        ] {
            let error = Prices::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("PRICES is not a JSON object with prices"), "{text}: {error}");
        }
    }
}
