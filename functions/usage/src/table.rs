//! Usage and cost as CSV (RFC 4180), for spreadsheets.

use csv::{QuoteStyle, Terminator, WriterBuilder};
use service::domain::page::{Page, Unreadable};
use service::http::Problem;

use crate::cost::{Cost, Estimated, Measured};
use crate::view::{Counted, OfTenant};

/// The columns. Costs are in US dollars.
const COLUMNS: [&str; 25] = [
    "tenant",
    "name",
    "status",
    "plan",
    "period",
    "limit",
    "remaining",
    "requests",
    "errors",
    "bytesIn",
    "bytesOut",
    "readUnits",
    "writeUnits",
    "lambdaGbSeconds",
    "updates",
    "currency",
    "measured.lambdaDuration",
    "measured.lambdaRequests",
    "measured.reads",
    "measured.writes",
    "estimated.gatewayRequests",
    "estimated.transferOut",
    "estimated.storage",
    "estimated.logs",
    "total",
];

/// The status of a tenant whose figures cannot be read.
const UNREADABLE: &str = "unreadable";

/// Returns a header and a line for each tenant. A tenant whose figures cannot be read has a line without figures, so
/// that the sum of the others is not mistaken for the total.
pub(crate) fn csv(page: &Page<OfTenant<'_>>) -> Result<String, Problem> {
    // All texts are in quotes, so that a spreadsheet with semicolons as separators does not split a name at one.
    let mut writer =
        WriterBuilder::new().terminator(Terminator::CRLF).quote_style(QuoteStyle::NonNumeric).from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(defect)?;
    for row in &page.items {
        writer.write_record(cells(row)).map_err(defect)?;
    }
    for Unreadable { id, version: _ } in &page.unreadable {
        let mut cells = [""; COLUMNS.len()];
        (cells[0], cells[2]) = (id, UNREADABLE);
        writer.write_record(cells).map_err(defect)?;
    }
    let bytes = writer.into_inner().map_err(defect)?;
    String::from_utf8(bytes).map_err(defect)
}

fn defect(error: impl std::fmt::Display) -> Problem {
    Problem::internal(format!("the table cannot be written: {error}"))
}

fn cells(row: &OfTenant<'_>) -> [String; COLUMNS.len()] {
    let OfTenant { tenant, name, status, plan, period, counted, updates, cost } = row;
    let Counted { limit, remaining, requests, errors, bytes_in, bytes_out, read_units, write_units, lambda_gb_seconds } =
        counted;
    let Cost { currency, measured, estimated, total } = cost;
    let Measured { lambda_duration, lambda_requests, reads, writes } = measured;
    let Estimated { gateway_requests, transfer_out, storage, logs } = estimated;
    let optional = |number: &Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    [
        (*tenant).to_owned(),
        harmless(name),
        (*status).to_owned(),
        harmless(plan),
        period.to_string(),
        optional(limit),
        optional(remaining),
        requests.to_string(),
        errors.to_string(),
        bytes_in.to_string(),
        bytes_out.to_string(),
        read_units.to_string(),
        write_units.to_string(),
        lambda_gb_seconds.to_string(),
        updates.to_string(),
        (*currency).to_owned(),
        lambda_duration.to_string(),
        lambda_requests.to_string(),
        reads.to_string(),
        writes.to_string(),
        gateway_requests.to_string(),
        transfer_out.to_string(),
        storage.to_string(),
        logs.to_string(),
        total.to_string(),
    ]
}

/// Returns a text that a spreadsheet does not run as a formula: a text that looks like a formula gets an apostrophe.
/// <https://owasp.org/www-community/attacks/CSV_Injection>
fn harmless(text: &str) -> String {
    const DANGEROUS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    // A spreadsheet may trim the text, so leading blanks are ignored.
    let starts = text.starts_with(DANGEROUS) || text.trim_start().starts_with(DANGEROUS);
    if starts { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use service::domain::month::Month;
    use service::domain::quota::Row;
    use service::domain::tenant::{Status, Tenant, TenantId};

    use super::*;
    use crate::prices::Prices;

    fn line(name: &str, quota: Option<u64>) -> String {
        let id = TenantId::parse("01K0ACME000000000000000000").unwrap();
        let tenant = Tenant {
            api_key: id.to_string(),
            id,
            name: name.to_owned(),
            plan: "free".into(),
            status: Status::Active,
            issuers: vec![],
            quota,
        };
        let used = Row { leased: 5, ..Row::default() };
        let month = Month::parse("2026-11").unwrap();
        let row = OfTenant::of(&tenant, month, quota, &used, &Prices::parse("").unwrap());
        csv(&Page { items: vec![row], unreadable: vec![], next: None }).unwrap()
    }

    #[test]
    fn a_line_has_a_cell_for_each_column() {
        let text = line("Acme, \"the\" first", Some(7));
        let (header, rest) = text.split_once("\r\n").unwrap();
        assert!(header.starts_with("\"tenant\",\"name\","));
        assert!(
            rest.starts_with(
                "\"01K0ACME000000000000000000\",\"Acme, \"\"the\"\" first\",\"active\",\"free\",\"2026-11\",7,2,0,0,"
            ),
            "{rest}"
        );
        assert!(rest.ends_with(",0.000000\r\n"), "{rest}");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap().len(), COLUMNS.len());
        assert_eq!(reader.records().next().unwrap().unwrap().get(1), Some("Acme, \"the\" first"));
        assert!(line("Acme", None).contains("\"2026-11\",\"\",\"\",0,"), "no limit is an empty cell");
    }

    #[test]
    fn a_tenant_without_readable_figures_has_a_line_without_any() {
        let unreadable = vec![Unreadable { id: "01K0ACME000000000000000000".into(), version: None }];
        let text = csv(&Page { items: vec![], unreadable, next: None }).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let line = reader.records().next().unwrap().unwrap();
        assert_eq!((line.get(0), line.get(2)), (Some("01K0ACME000000000000000000"), Some("unreadable")));
        assert_eq!(line.iter().filter(|cell| !cell.is_empty()).count(), 2);
    }

    #[test]
    fn a_name_is_not_a_formula() {
        for name in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "＝1", "\u{a0}-2+3"] {
            assert!(line(name, None).contains(&format!(",\"'{name}\",")), "{name}");
        }
        for name in ["Acme = 1", "a-b", "O'Neill", "名前"] {
            assert!(line(name, None).contains(&format!(",\"{name}\",")), "{name}");
        }
        // A separator of another locale does not start a new cell either.
        assert!(line("a;=1+1", None).contains(",\"a;=1+1\","));
    }
}
