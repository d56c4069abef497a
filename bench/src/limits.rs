//! The figures of the report, each with its limit.

use std::time::Duration;

use crate::binaries::UNMETERED;
use crate::measure::{CREATE, KIND_CREATE, KIND_GET, Measured, Requests};

const MIB: f64 = 1024.0 * 1024.0;
const MB: f64 = 1_000_000.0;

/// A line of the report.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) figure: String,
    /// The figure in the limit's unit, and the limit. A row without one is there for comparison.
    pub(crate) limit: Option<Limit>,
}

/// The largest value that a figure may have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limit {
    pub(crate) value: f64,
    pub(crate) most: f64,
    pub(crate) unit: String,
}

impl Row {
    /// Returns whether the figure is within its limit.
    pub(crate) fn holds(&self) -> bool {
        self.limit.as_ref().is_none_or(|limit| limit.value <= limit.most)
    }
}

/// Returns all rows.
pub(crate) fn rows(measured: &Measured) -> Vec<Row> {
    let Measured { warm, cold, memory, zipped, changing, requests } = measured;
    let time = |times: &std::collections::BTreeMap<_, Duration>, name| times.get(name).copied().unwrap_or_default();
    let mut rows = Vec::new();
    for (kind, times, floor, rest) in [
        ("warm", warm, "echo", &[("authorizer", 1.5)][..]),
        ("warm", warm, "get_item", &[("records", 1.05), (CREATE, 2.0)]),
        ("warm", warm, UNMETERED, &[("records", 1.1)]),
        ("warm", warm, "records", &[(KIND_GET, 1.05)]),
        ("warm", warm, CREATE, &[(KIND_CREATE, 1.1)]),
        ("cold", cold, "get_item", &[("records", 1.2), ("authorizer", 0.9)]),
    ] {
        let least = time(times, floor);
        let what = format!("{kind} {floor}");
        // A floor that has a limit of its own has a row already.
        if !rows.iter().any(|row: &Row| row.what == what) {
            rows.push(Row { what, figure: milliseconds(least), limit: None });
        }
        for (name, most) in rest {
            let time = time(times, name);
            let limit = Limit { value: time.div_duration_f64(least), most: *most, unit: format!("x {floor}") };
            rows.push(Row { what: format!("{kind} {name}"), figure: milliseconds(time), limit: Some(limit) });
        }
    }
    let Requests { create, updates } = *requests;
    for (what, value, most) in [("requests a create", create, 1.0), ("quota requests a read", updates, 0.02)] {
        let limit = Limit { value, most, unit: "requests".to_owned() };
        rows.push(Row { what: what.to_owned(), figure: format!("{value:.4}"), limit: Some(limit) });
    }
    for (kind, sizes, unit, bytes, most) in
        [("peak memory", memory, "MiB", MIB, 16.0), ("zipped", zipped, "MB", MB, 4.0)]
    {
        for (name, of_function) in sizes {
            let value = size(*of_function) / bytes;
            let limit = Limit { value, most, unit: unit.to_owned() };
            rows.push(Row { what: format!("{kind} {name}"), figure: format!("{value:.2} {unit}"), limit: Some(limit) });
        }
    }
    // Eleven records of the largest size are read, merged and written at once, and each is in memory that many times.
    let figure = format!("{:.2} MiB", size(*changing) / MIB);
    rows.push(Row { what: "peak memory 4 MB patches".to_owned(), figure, limit: None });
    rows
}

#[expect(clippy::cast_precision_loss, reason = "a size in bytes, far below 2 to the 52")]
fn size(bytes: u64) -> f64 {
    bytes as f64
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(records_cold: u64, updates: f64) -> Measured {
        let times = |times: &[(&'static str, u64)]| {
            times.iter().map(|(name, us)| (*name, Duration::from_micros(*us))).collect()
        };
        Measured {
            warm: times(&[
                ("echo", 100),
                ("authorizer", 150),
                ("get_item", 400),
                ("unmetered", 400),
                ("records", 420),
                ("create", 800),
                ("kind get", 441),
                ("kind create", 880),
            ]),
            cold: times(&[("get_item", 20_000), ("records", records_cold), ("authorizer", 18_000)]),
            memory: [("records".to_owned(), 16 * 1024 * 1024)].into(),
            zipped: ["records", "claims"].map(|name| (name.to_owned(), 4_000_000)).into(),
            changing: 0,
            requests: Requests { create: 1.0, updates },
        }
    }

    #[test]
    fn a_limit_may_be_met_exactly() {
        let rows = rows(&measured(24_000, 0.02));
        assert!(rows.iter().all(Row::holds), "{rows:?}");
        assert_eq!(rows.iter().filter(|row| row.limit.is_some()).count(), 8 + 2 + 1 + 2);
    }

    #[test]
    fn a_floor_with_a_limit_of_its_own_has_no_second_row() {
        let rows = rows(&measured(24_000, 0.02));
        let floors: Vec<&str> = rows.iter().filter(|row| row.limit.is_none()).map(|row| row.what.as_str()).collect();
        assert_eq!(
            floors,
            ["warm echo", "warm get_item", "warm unmetered", "cold get_item", "peak memory 4 MB patches"]
        );
    }

    #[test]
    fn a_kind_is_compared_with_records() {
        let mut measured = measured(24_000, 0.02);
        for (name, us) in [(KIND_GET, 442), (KIND_CREATE, 881)] {
            measured.warm.insert(name, Duration::from_micros(us));
        }
        let rows = rows(&measured);
        let over: Vec<&str> = rows.iter().filter(|row| !row.holds()).map(|row| row.what.as_str()).collect();
        assert_eq!(over, ["warm kind get", "warm kind create"]);
    }

    #[test]
    fn only_the_figures_over_their_limits_do_not_hold() {
        let rows = rows(&measured(24_001, 0.021));
        let over: Vec<&str> = rows.iter().filter(|row| !row.holds()).map(|row| row.what.as_str()).collect();
        assert_eq!(over, ["cold records", "quota requests a read"]);
    }
}
