//! Merge patches (RFC 7396) on canonical text. Each of the two texts is read once.

use std::collections::HashMap;

/// Returns `MergePatch(target, patch)` of section 2. Both are canonical objects, and so is the result.
pub(super) fn merge(target: &str, patch: &str) -> String {
    let mut out = String::with_capacity(target.len() + patch.len());
    Patch::read(&mut Reader { rest: patch }).apply(&mut Reader { rest: target }, &mut out);
    out
}

/// A patch, parsed as far as is necessary. Names and values are canonical text.
enum Patch<'a> {
    Object(Vec<(&'a str, Patch<'a>)>),
    Null,
    Other(&'a str),
}

impl<'a> Patch<'a> {
    fn read(reader: &mut Reader<'a>) -> Self {
        if !reader.is_at_object() {
            return match reader.value() {
                "null" => Self::Null,
                other => Self::Other(other),
            };
        }
        let mut members = Vec::new();
        reader.enter();
        while let Some(name) = reader.member() {
            members.push((name, Self::read(reader)));
        }
        Self::Object(members)
    }

    /// Writes the result for the value at the reader's position.
    fn apply(&self, target: &mut Reader<'_>, out: &mut String) {
        let changes = match self {
            Self::Object(changes) if target.is_at_object() => changes,
            _ => {
                target.value();
                return self.insert(out);
            }
        };
        let mut left: HashMap<&str, &Self> = changes.iter().map(|(name, change)| (*name, change)).collect();
        out.push('{');
        target.enter();
        while let Some(name) = target.member() {
            match left.remove(name) {
                Some(Self::Null) => {
                    target.value();
                }
                Some(change) => {
                    write_name(name, out);
                    change.apply(target, out);
                }
                None => {
                    write_name(name, out);
                    out.push_str(target.value());
                }
            }
        }
        insert_members(changes.iter().filter(|(name, _)| left.contains_key(name)), out);
        out.push('}');
    }

    /// Writes the result for a member that the target lacks.
    fn insert(&self, out: &mut String) {
        match self {
            Self::Object(members) => {
                out.push('{');
                insert_members(members.iter(), out);
                out.push('}');
            }
            Self::Null => out.push_str("null"),
            Self::Other(text) => out.push_str(text),
        }
    }
}

fn insert_members<'p, 'a: 'p>(members: impl Iterator<Item = &'p (&'a str, Patch<'a>)>, out: &mut String) {
    for (name, value) in members.filter(|(_, value)| !matches!(value, Patch::Null)) {
        write_name(name, out);
        value.insert(out);
    }
}

/// Begins a member of the object that is being written. If the output ends with an opening brace, it is the first member,
/// because no value ends with one.
fn write_name(name: &str, out: &mut String) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push_str(name);
    out.push(':');
}

/// A reader of canonical text.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn is_at_object(&self) -> bool {
        self.rest.starts_with('{')
    }

    /// Enters an object, before its first member.
    fn enter(&mut self) {
        self.take(1);
    }

    /// Reads a member's name, with its quotes, and moves to its value. Returns `None` after the last member.
    fn member(&mut self) -> Option<&'a str> {
        match self.rest.as_bytes().first() {
            None => return None,
            Some(b'}') => {
                self.take(1);
                return None;
            }
            Some(b',') => {
                self.take(1);
            }
            Some(_) => {}
        }
        let name = self.take(string_end(self.rest.as_bytes(), 0));
        self.take(1);
        Some(name)
    }

    /// Reads a whole value.
    fn value(&mut self) -> &'a str {
        let bytes = self.rest.as_bytes();
        let (mut depth, mut at) = (0_usize, 0);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b',' | b'}' | b']' if depth == 0 => break,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                b'"' => {
                    at = string_end(bytes, at);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        self.take(at)
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }
}

/// Returns the end of the string that begins at the quote at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}
