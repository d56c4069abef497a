//! The price table: `prices.json`, and what an operator puts in its place.

use serde::Deserialize;

use crate::money::Price;

/// The table, as it is built in.
const FILE: &str = include_str!("../prices.json");

/// Prices in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prices {
    /// Of a GB-second of Lambda on Graviton.
    lambda_gb_second_arm64: Price,
    /// Of a GB-second of Lambda on x86-64.
    lambda_gb_second_x86: Price,
    /// Of an invocation.
    pub(crate) lambda_request: Price,
    /// Of a read request unit, on demand.
    pub(crate) read_unit: Price,
    /// Of a write request unit, on demand.
    pub(crate) write_unit: Price,
    /// Of a request to a REST API.
    pub(crate) gateway_request: Price,
    /// Of a GB that goes out to the internet.
    pub(crate) transfer_out_gb: Price,
    /// Of a GB in the table for a month.
    pub(crate) storage_gb_month: Price,
    /// Of a GB that CloudWatch takes in as logs.
    pub(crate) logs_gb: Price,
}

/// The prices that an operator knows better. Those that are not given stay.
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

/// There are no prices to go by.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPrices {
    /// The variable is not what it has to be.
    #[error("PRICES is not a JSON object with prices, as in functions/usage/prices.json: {0}")]
    Variable(serde_json::Error),
    /// The table that is built in is not, which its test does not let happen.
    #[error("prices.json: {0}")]
    File(serde_json::Error),
}

impl Prices {
    /// The table, with the prices of the variable `PRICES` in the place of its own. An empty text changes none.
    pub fn parse(variable: &str) -> Result<Self, InvalidPrices> {
        let File { prices } = serde_json::from_str(FILE).map_err(InvalidPrices::File)?;
        let changes = match variable.trim_ascii() {
            "" => Changes::default(),
            // `serde` would read an array as well, price by price.
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

    /// Of a GB-second of Lambda. One parameter of the template decides for all functions, this one too.
    pub(crate) fn lambda_gb_second(&self) -> Price {
        if cfg!(target_arch = "aarch64") { self.lambda_gb_second_arm64 } else { self.lambda_gb_second_x86 }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_table_is_whole_and_says_where_it_is_from() {
        let prices = Prices::parse("").unwrap();
        assert_eq!(prices.read_unit, Price::parse("0.000000125").unwrap());
        let file: Value = serde_json::from_str(FILE).unwrap();
        assert!(file["region"].is_string() && file["asOf"].is_string());
        let pages = file["pages"].as_object().unwrap();
        assert!(pages.values().all(|page| page.as_str().unwrap().starts_with("https://")));
    }

    #[test]
    fn an_operator_changes_single_prices() {
        let changed = Prices::parse(r#" {"readUnit": "0.5", "logsGb": "0"} "#).unwrap();
        let (half, nothing) = (Price::parse("0.5").unwrap(), Price::parse("0").unwrap());
        assert_eq!(changed, Prices { read_unit: half, logs_gb: nothing, ..Prices::parse("{}").unwrap() });
        assert_eq!(Prices::parse("{}").unwrap(), Prices::parse(" ").unwrap());
    }

    #[test]
    fn what_is_not_known_or_not_exact_is_refused() {
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
