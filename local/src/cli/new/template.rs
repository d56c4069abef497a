//! The parts of a new function in `template.yaml`. They are inserted into the text, so that comments and formatting survive.

use super::noun::Noun;
use super::role::{self, Statement};

/// The line after which the functions are.
const FUNCTIONS: &str = "  # ==== Functions =";
/// The start of the line that begins a section of the template.
const SECTION: &str = "  # ==== ";
/// The first cell of the table of roles.
const TABLE: &str = "partition key";
/// The row before which the table lists the rows of kinds.
const REPLIES: &str = "T#*#KEYS#*";
/// A part of the lines of log groups.
const LOGS: &str = "Logs: { Type: AWS::Logs::LogGroup";
/// The operator's scope, before which the user pool's resource server has those of tenants.
const OPERATORS_SCOPE: &str = "        - { ScopeName: \"tenants:admin\"";

/// The error if the template lacks a line by which the place for a part is found.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("template.yaml has no line with `{0}`, by which the place for the function is found")]
pub(super) struct NoPlace(&'static str);

/// Returns the template with a function.
pub(super) fn insert(template: &str, noun: &Noun, function: &str, statements: &[Statement]) -> Result<String, NoPlace> {
    let mut lines: Vec<String> = template.lines().map(ToOwned::to_owned).collect();
    let find = |lines: &[String], from: usize, text: &'static str, is: fn(&str, &str) -> bool| {
        let found = lines.iter().skip(from).position(|line| is(line, text));
        found.map(|at| from + at).ok_or(NoPlace(text))
    };
    let starts = |line: &str, text: &str| line.starts_with(text);
    let contains = |line: &str, text: &str| line.contains(text);

    insert_roles(&mut lines, noun, statements)?;

    let functions = find(&lines, 0, FUNCTIONS, starts)?;
    let after = find(&lines, functions + 1, SECTION, starts)?;
    lines.splice(after..after, function.lines().map(ToOwned::to_owned).chain([String::new()]));

    let scope = |verb: &str, text: &str| {
        let (plural, article) = (noun.plural(), text);
        format!("        - {{ ScopeName: \"{plural}:{verb}\", ScopeDescription: {article} {plural} }}")
    };
    let scopes = find(&lines, 0, OPERATORS_SCOPE, starts)?;
    lines.splice(scopes..scopes, [scope("read", "Read"), scope("write", "Write")]);

    let logs = lines.iter().rposition(|line| contains(line, LOGS)).ok_or(NoPlace(LOGS))?;
    let group = format!(
        "  {}Logs: {{ Type: AWS::Logs::LogGroup, Properties: {{ RetentionInDays: !Ref LogRetentionDays }} }}",
        noun.plural_type()
    );
    lines.insert(logs + 1, group);

    let mut text = lines.join("\n");
    text.push('\n');
    Ok(text)
}

/// Adds a column to the table of roles, and the rows of the keys that it lacks.
fn insert_roles(lines: &mut Vec<String>, noun: &Noun, statements: &[Statement]) -> Result<(), NoPlace> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim_start().trim_start_matches('#');
        line.split("  ").map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
    };
    let is_head = |line: &String| cells(line).first().is_some_and(|cell| cell == TABLE);
    let start = lines.iter().position(is_head).ok_or(NoPlace(TABLE))?;
    let mut table: Vec<Vec<String>> =
        lines[start..].iter().map(|line| cells(line)).take_while(|row| !row.is_empty()).collect();
    let end = start + table.len();

    let replies = table.iter().position(|row| row[0] == REPLIES).ok_or(NoPlace(REPLIES))?;
    let width = table[0].len();
    let kind = format!("T#*#I#{}", noun.plural());
    for (key, owned) in [("T#*#KINDS", "kinds of items"), (&kind, noun.plural())] {
        let is_used = statements.iter().any(|statement| statement.keys.iter().any(|one| one == key));
        if is_used && !table.iter().any(|row| row[0] == key) {
            let mut row = vec!["-".to_owned(); width];
            key.clone_into(&mut row[0]);
            owned.clone_into(&mut row[width - 1]);
            table.insert(replies, row);
        }
    }
    for (at, row) in table.iter_mut().enumerate() {
        let letters = role::letters(statements, &row[0]);
        let cell = match at {
            0 => noun.plural_type(),
            _ if letters.is_empty() => "-".to_owned(),
            _ => letters,
        };
        row.insert(width - 1, cell);
    }

    let widths: Vec<_> =
        (0..=width).map(|at| table.iter().map(|row| row[at].len()).max().unwrap_or_default()).collect();
    let format = |row: &Vec<String>| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("  # {}", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.splice(start..end, table.iter().map(format).collect::<Vec<_>>());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::operations::{Operation, Operations};
    use super::*;

    fn inserted(template: &str) -> Result<String, NoPlace> {
        let noun = Noun::parse("orders").unwrap();
        let operations = Operations::new(vec![Operation::Create, Operation::Get]).unwrap();
        insert(template, &noun, "  OrdersFunction:\n    Type: X\n", &role::statements(&noun, &operations))
    }

    fn shipped() -> String {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml")).unwrap()
    }

    #[test]
    fn nothing_else_in_the_template_changes() {
        let before = shipped();
        let after = inserted(&before).unwrap();
        let is_row = |line: &&str| line.starts_with("  # T") || line.starts_with("  # partition key");
        let added = ["  OrdersFunction:", "    Type: X", "  OrdersLogs: {", "        - { ScopeName: \"orders:"];
        let mut old = before.lines().filter(|line| {
            let cells = line.trim_start_matches("  # ").split("  ").filter(|cell| !cell.is_empty()).count();
            !(line.starts_with("  # ") && cells > 4)
        });
        let mut new = after.lines().peekable();
        for line in &mut old {
            let mut skipped = Vec::new();
            while let Some(other) = new.next_if(|other| *other != line) {
                skipped.push(other);
            }
            assert_eq!(new.next(), Some(line), "{skipped:?}");
            for other in skipped {
                let is_known = other.is_empty() || other.starts_with("  # ") || is_row(&other);
                assert!(is_known || added.iter().any(|added| other.starts_with(added)), "{other}");
            }
        }
        assert_eq!(new.next(), None);
    }

    #[test]
    fn the_table_of_roles_gets_a_column_and_rows() {
        let after = inserted(&shipped()).unwrap();
        let rows: Vec<_> = after.lines().filter(|line| line.starts_with("  # T#*#")).collect();
        let find = |key: &str| *rows.iter().find(|row| row.starts_with(&format!("  # {key} "))).unwrap();
        assert!(find("T#*#I#orders").ends_with("GP      orders"), "{rows:?}");
        assert!(find("T#*#KINDS").contains("  U  "), "{rows:?}");
        assert!(find("T#*#KEYS#*").contains("  GP  "), "{rows:?}");
    }

    #[test]
    fn a_template_without_a_place_is_left_alone() {
        assert_eq!(inserted("Resources: {}\n"), Err(NoPlace(TABLE)));
        assert_eq!(inserted(&shipped().replace("==== Functions", "")), Err(NoPlace(FUNCTIONS)));
    }
}
