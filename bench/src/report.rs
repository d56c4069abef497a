//! The table that a run prints.

use std::fmt::Write as _;

use crate::limits::Row;

/// Formats all rows in columns.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = format!("{:<24}{:>12}{:>18}{:>18}\n", "", "figure", "ratio", "limit");
    for row in rows {
        let Row { what, figure, limit } = row;
        let mut line = format!("{what:<24}{figure:>12}");
        if let Some(limit) = limit {
            // A size has no ratio, because it is not compared with a floor.
            let ratio = limit.unit.strip_prefix("x ").map(|floor| format!("{:.2} x {floor}", limit.value));
            let most = format!("{} {}", limit.most, limit.unit);
            let verdict = if row.holds() { "ok" } else { "OVER" };
            // Writing to a string does not fail.
            let _written = write!(line, "{:>18}{most:>18}  {verdict}", ratio.unwrap_or_default());
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limit;

    #[test]
    fn a_row_shows_whether_its_limit_is_exceeded() {
        let limit = |value, unit: &str| Some(Limit { value, most: 1.2, unit: unit.to_owned() });
        let row = |what: &str, limit| Row { what: what.to_owned(), figure: "1 ms".to_owned(), limit };
        let table = table(&[
            row("floor", None),
            row("fast", limit(1.2, "x floor")),
            row("slow", limit(1.21, "x floor")),
            row("big", limit(2.0, "MB")),
        ]);
        let words: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[0], ["floor", "1", "ms"]);
        assert_eq!(words[1], ["fast", "1", "ms", "1.20", "x", "floor", "1.2", "x", "floor", "ok"]);
        assert_eq!(words[2], ["slow", "1", "ms", "1.21", "x", "floor", "1.2", "x", "floor", "OVER"]);
        assert_eq!(words[3], ["big", "1", "ms", "1.2", "MB", "OVER"]);
    }
}
