//! The cost of a tenant's month, by the price table: a measured part from metering, and an estimate of the rest.

use serde::Serialize;
use service::domain::quota::Row;
use service::domain::usage::Usage;

use crate::money::Money;
use crate::prices::Prices;

/// The bytes of a response in addition to its body: the status line and the headers.
const BYTES_BESIDE_BODY: u64 = 700;
/// The bytes that a request adds to the logs: a line of API Gateway and a line of the function.
const LOGGED_BYTES: u64 = 1000;
/// The bytes in a GB of transfer, storage and logs. With 2^30 bytes, the estimates would be lower.
const GB: u64 = 1_000_000_000;
/// The MB-milliseconds in a GB-second. A GB of a function's memory has 1024 MB.
const MB_MS_IN_GB_S: u64 = 1024 * 1000;
/// The bytes that a write unit stores at most.
const BYTES_OF_A_WRITE_UNIT: u64 = 1024;

/// A month's cost, at list prices.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cost {
    pub(crate) currency: &'static str,
    pub(crate) measured: Measured,
    pub(crate) estimated: Estimated,
    pub(crate) total: Money,
}

/// The costs of figures that were counted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Measured {
    pub(crate) lambda_duration: Money,
    pub(crate) lambda_requests: Money,
    pub(crate) reads: Money,
    /// The cost includes the writes of metering itself.
    pub(crate) writes: Money,
}

/// The costs of figures that are estimated from those that were counted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Estimated {
    pub(crate) gateway_requests: Money,
    pub(crate) transfer_out: Money,
    pub(crate) storage: Money,
    pub(crate) logs: Money,
}

impl Cost {
    /// Computes the cost of a month.
    pub(crate) fn of(row: &Row, prices: &Prices) -> Self {
        let Row { usage, updates, leased: _, terms: _, closed: _, marks: _ } = row;
        let Usage { requests, errors: _, bytes_in: _, bytes_out, units, memory_ms } = usage;
        let beside = |bytes: u64| requests.saturating_mul(bytes);
        let half_writes = halves(units.write);
        let measured = Measured {
            lambda_duration: prices.lambda_gb_second().times(*memory_ms, MB_MS_IN_GB_S),
            lambda_requests: prices.lambda_request.times(*requests, 1),
            reads: prices.read_unit.times(halves(units.read), 2),
            writes: prices.write_unit.times(half_writes.saturating_add(updates.saturating_mul(2)), 2),
        };
        let estimated = Estimated {
            gateway_requests: prices.gateway_request.times(*requests, 1),
            transfer_out: prices.transfer_out_gb.times(bytes_out.saturating_add(beside(BYTES_BESIDE_BODY)), GB),
            storage: prices.storage_gb_month.times(half_writes.saturating_mul(BYTES_OF_A_WRITE_UNIT / 2), GB),
            logs: prices.logs_gb.times(beside(LOGGED_BYTES), GB),
        };
        // The total is the sum of the rounded parts, so that a bill adds up.
        let total = measured.parts().into_iter().chain(estimated.parts()).sum();
        Self { currency: "USD", measured, estimated, total }
    }
}

impl Measured {
    fn parts(&self) -> [Money; 4] {
        let Self { lambda_duration, lambda_requests, reads, writes } = self;
        [*lambda_duration, *lambda_requests, *reads, *writes]
    }
}

impl Estimated {
    fn parts(&self) -> [Money; 4] {
        let Self { gateway_requests, transfer_out, storage, logs } = self;
        [*gateway_requests, *transfer_out, *storage, *logs]
    }
}

/// Capacity units, which are multiples of 0.5, as a whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, and `as` saturates")]
fn halves(units: f64) -> u64 {
    (units * 2.0).round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use service::domain::units::Units;

    use super::*;

    /// Prices that make the parts distinguishable.
    fn prices() -> Prices {
        let arm_and_x86 = r#""lambdaGbSecondArm64": "1", "lambdaGbSecondX86": "1""#;
        let others = r#""lambdaRequest": "0.01", "readUnit": "2", "writeUnit": "4", "gatewayRequest": "0.1",
            "transferOutGb": "10", "storageGbMonth": "100", "logsGb": "1000""#;
        Prices::parse(&format!("{{{arm_and_x86}, {others}}}")).unwrap()
    }

    fn figures(requests: u64, bytes_out: u64, read: f64, write: f64, memory_ms: u64, updates: u64) -> Row {
        let units = Units { read, write };
        let usage = Usage { requests, errors: 1, bytes_in: 1, bytes_out, units, memory_ms };
        Row { usage, updates, ..Row::default() }
    }

    #[test]
    fn each_part_has_its_figure_and_its_price() {
        let cost = Cost::of(&figures(1000, 1_000_000, 2.5, 3.0, 2 * 1024 * 1000, 7), &prices());
        let shown = |money: [Money; 4]| money.map(|money| money.to_string());
        assert_eq!(shown(cost.measured.parts()), ["2.000000", "10.000000", "5.000000", "40.000000"]);
        // 1,000,000 + 1000 * 700 bytes; 3 * 1024 bytes; 1000 * 1000 bytes.
        assert_eq!(shown(cost.estimated.parts()), ["100.000000", "0.017000", "0.000307", "1.000000"]);
        assert_eq!(cost.total.to_string(), "158.017307");
    }

    #[test]
    fn a_month_without_requests_costs_nothing() {
        assert_eq!(Cost::of(&Row::default(), &prices()).total, Money::default());
    }

    #[test]
    fn a_million_small_reads_at_list_prices() {
        // 20 ms on 256 MB each, half a read unit, 500 bytes; a lease for every 50.
        let figures = figures(1_000_000, 500_000_000, 500_000.0, 0.0, 1_000_000 * 20 * 256, 20_000);
        let cost = Cost::of(&figures, &Prices::parse("").unwrap());
        let lambda = if cfg!(target_arch = "aarch64") { "0.066667" } else { "0.083334" };
        assert_eq!(cost.measured.parts().map(|money| money.to_string()), [lambda, "0.200000", "0.062500", "0.012500"]);
        assert_eq!(cost.estimated.gateway_requests.to_string(), "3.500000");
        assert_eq!(cost.estimated.transfer_out.to_string(), "0.108000");
    }

    proptest! {
        #[test]
        fn the_total_is_the_sum_of_the_parts_and_grows_with_each_figure(
            requests in 0..1_u64 << 40, bytes in 0..1_u64 << 50, half_reads in 0..1_u32 << 31, half_writes in 0..1_u32 << 31,
            memory_ms in 0..1_u64 << 50, updates in 0..1_u64 << 40,
        ) {
            let prices = Prices::parse("").unwrap();
            let units = |halves: u32| f64::from(halves) / 2.0;
            let of = |requests, bytes, reads, writes, memory_ms, updates| {
                Cost::of(&figures(requests, bytes, units(reads), units(writes), memory_ms, updates), &prices)
            };
            let cost = of(requests, bytes, half_reads, half_writes, memory_ms, updates);
            let parts = cost.measured.parts().into_iter().chain(cost.estimated.parts());
            prop_assert_eq!(parts.sum::<Money>(), cost.total);
            let more = of(requests + 1, bytes + 1, half_reads + 1, half_writes + 1, memory_ms + 1, updates + 1);
            prop_assert!(more.total >= cost.total);
        }
    }
}
