//! Prices and amounts of money as integers, so that sums have no rounding errors of binary fractions.

use std::fmt;
use std::iter::Sum;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The digits after the decimal point of a price, which is in millionths of a millionth of a dollar.
const PRICE_DIGITS: usize = 12;
/// The highest price, in dollars. It keeps products within 128 bits.
const MAX: u128 = 1000;
const PICOS: u128 = 1_000_000_000_000;
const PICOS_IN_A_MICRO: u128 = 1_000_000;

/// The price of one unit, in US dollars. In JSON, it is a string such as `"0.0000133334"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Price {
    picos: u128,
}

/// The error of a text that is not a valid price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a price is a decimal number in a string, from 0 to {MAX}, with at most {PRICE_DIGITS} digits after the point")]
pub(crate) struct InvalidPrice;

/// An amount in millionths of a US dollar. In JSON, it is a string with six digits after the point, such as
/// `"0.001234"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Money {
    micros: u128,
}

impl Price {
    /// Parses a decimal number without a sign or an exponent.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidPrice> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || fraction.len() > PRICE_DIGITS {
            return Err(InvalidPrice);
        }
        let number = |digits: &str| digits.parse::<u128>().map_err(|_| InvalidPrice);
        let whole = number(whole).ok().filter(|whole| *whole <= MAX).ok_or(InvalidPrice)?;
        let picos = whole * PICOS + number(&format!("{fraction:0<PRICE_DIGITS$}"))?;
        if picos > MAX * PICOS { Err(InvalidPrice) } else { Ok(Self { picos }) }
    }

    /// Returns the cost of `amount / per` units, rounded to the nearest millionth of a dollar, with halves rounded up.
    pub(crate) fn times(self, amount: u64, per: u64) -> Money {
        let divisor = u128::from(per).max(1) * PICOS_IN_A_MICRO;
        Money { micros: (u128::from(amount) * self.picos + divisor / 2) / divisor }
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A JSON number is not accepted, because it would be parsed as a binary fraction.
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        Self { micros: parts.map(|part| part.micros).sum() }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.micros / 1_000_000, self.micros % 1_000_000)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(text: &str) -> Price {
        Price::parse(text).unwrap()
    }

    #[test]
    fn prices_are_decimal_numbers() {
        assert_eq!(price("0.0000133334").picos, 13_333_400);
        assert_eq!(price("1000").picos, 1000 * PICOS);
        assert_eq!(price("0.50"), price("0.5"));
        for text in
            ["", ".", ".5", "5.", "-1", "+1", "1e-6", "0.0000000000001", "1000.1", "1001", " 1", "1,5", "0x1", "NaN"]
        {
            assert_eq!(Price::parse(text), Err(InvalidPrice), "{text}");
        }
    }

    #[test]
    fn money_is_rounded_to_millionths_with_halves_up() {
        let of = |text: &str, amount, per| price(text).times(amount, per).to_string();
        assert_eq!(of("0.0000035", 1, 1), "0.000004");
        assert_eq!(of("0.0000004", 1, 1), "0.000000");
        assert_eq!(of("0.0000005", 1, 1), "0.000001");
        // A tenth of a dollar has no exact binary fraction.
        assert_eq!(of("0.1", 3, 1), "0.300000");
        assert_eq!(of("0.09", 10_000_000_000, 1_000_000_000), "0.900000");
        assert_eq!(of("0.25", 1, 2), "0.125000");
        assert_eq!(of("12.5", 2, 1), "25.000000");
    }

    #[test]
    fn the_largest_figures_fit() {
        assert_eq!(price("1000").times(u64::MAX, 1).to_string(), "18446744073709551615000.000000");
    }

    proptest! {
        #[test]
        fn an_amount_is_the_nearest_one(picos in 0..=1000 * PICOS, amount: u64, per in 1..=u64::from(u32::MAX)) {
            let micros = Price { picos }.times(amount, per).micros;
            // The comparison is in picos times `per`, which needs no rounding.
            let (exact, found) = (u128::from(amount) * picos, micros * PICOS_IN_A_MICRO * u128::from(per));
            prop_assert!(exact.abs_diff(found) * 2 <= PICOS_IN_A_MICRO * u128::from(per));
        }

        #[test]
        fn a_sum_is_the_sum_of_what_is_shown(parts in prop::collection::vec(0..1_u128 << 60, 0..20)) {
            let sum: Money = parts.iter().map(|micros| Money { micros: *micros }).sum();
            let shown: u128 = parts.iter().map(|micros| {
                Money { micros: *micros }.to_string().replace('.', "").parse::<u128>().unwrap()
            }).sum();
            prop_assert_eq!(sum.to_string().replace('.', "").parse::<u128>().unwrap(), shown);
        }

        #[test]
        fn a_price_has_the_value_of_its_digits(whole in 0..1000_u32, fraction in "[0-9]{1,12}") {
            let digits = format!("{whole}{fraction:0<12}").parse::<u128>().unwrap();
            prop_assert_eq!(price(&format!("{whole}.{fraction}")).picos, digits);
        }
    }
}
