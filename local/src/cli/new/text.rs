//! The texts of the new files: names to fill in, and parts that only some operations need.

/// Returns a text with names in place of their placeholders. The lines from `@if a b` to `@end` stand for the case that one
/// of the words holds, and those from `@unless a b` to `@end` for the case that none does.
pub(super) fn fill(text: &str, names: &[(&str, String)], holds: impl Fn(&str) -> bool) -> String {
    let mut filled = String::new();
    let mut open = Vec::new();
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("@if ") {
            open.push(words.split(' ').any(&holds));
        } else if let Some(words) = line.strip_prefix("@unless ") {
            open.push(!words.split(' ').any(&holds));
        } else if line == "@end" {
            open.pop();
        } else if open.iter().all(|open| *open) {
            let line = names.iter().fold(line.to_owned(), |line, (name, value)| line.replace(name, value));
            filled.push_str(&line);
            filled.push('\n');
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_and_parts_are_left_out() {
        let text =
            "a __noun__\n@if get put\nb\n@unless get\nc\n@end\n@if delete\nd\n@end\n@end\n@unless put\ne\n@end\nf\n";
        let filled = fill(text, &[("__noun__", "orders".to_owned())], |word| word == "put");
        assert_eq!(filled, "a orders\nb\nc\nf\n");
    }
}
