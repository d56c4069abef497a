//! Whole numbers in bodies.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// The smallest whole number that is too large.
const BEYOND: f64 = 18_446_744_073_709_551_616.0;

/// A whole number of at least 0. JSON has a single kind of number, so `5`, `5.0` and `0.5e1` are the same integer to JSON Schema,
/// and some clients do not write the first form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholeNumber(pub u64);

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;

        impl Visitor<'_> for Whole {
            type Value = WholeNumber;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of at least 0")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<WholeNumber, E> {
                Ok(WholeNumber(number))
            }

            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the number is whole and in range"
            )]
            fn visit_f64<E: Error>(self, number: f64) -> Result<WholeNumber, E> {
                if number.fract() == 0.0 && (0.0..BEYOND).contains(&number) {
                    Ok(WholeNumber(number as u64))
                } else {
                    Err(E::invalid_value(Unexpected::Float(number), &self))
                }
            }
        }

        deserializer.deserialize_any(Whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let read = |text| serde_json::from_str(text).ok().map(|WholeNumber(number)| number);
        for (text, number) in [
            ("0", 0),
            ("-0.0", 0),
            ("5", 5),
            ("5.0", 5),
            ("0.5e1", 5),
            ("1e3", 1000),
            ("9007199254740993", 9_007_199_254_740_993),
            ("18446744073709551615", u64::MAX),
            ("9.223372036854775808e18", 1 << 63),
        ] {
            assert_eq!(read(text), Some(number), "{text}");
        }
        for text in ["-1", "-1.0", "0.5", "5.000001", "1e400", "18446744073709551616", "\"5\"", "null", "true", "[5]"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
