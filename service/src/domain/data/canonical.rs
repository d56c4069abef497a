//! The canonical text of JSON, made in one pass.
//!
//! Each text has one spelling: no white space between tokens, and every character as itself, in UTF-8, except for those
//! that are always escaped: `"`, `\`, the control characters below U+0020, and U+FFFD. A gateway replaces bytes that are
//! not UTF-8 by U+FFFD, so a request must not contain it unescaped (`http::body`). Escaped, a client that copies text can
//! send it back. Numbers keep their digits, and members their order.

use std::fmt::Write as _;
use std::ops::Range;

use serde_json::value::RawValue;

use super::{DataError, MAX_DEPTH, pointer};

/// The character that replaces bytes that are not UTF-8.
pub(super) const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Returns JSON in canonical form, and checks its depth, the names of its members and its surrogates in the same pass.
pub(super) fn canonical(json: &RawValue) -> Result<String, DataError> {
    let mut writer = Writer { rest: json.get(), out: String::with_capacity(json.get().len()), path: Vec::new() };
    writer.value()?;
    Ok(writer.out)
}

/// Escapes U+FFFD in stored text, as in canonical text.
pub(super) fn escape_replacements(text: String) -> String {
    // In JSON, the character can only be in a string, and never after a backslash.
    if text.contains(REPLACEMENT) { text.replace(REPLACEMENT, r"\ufffd") } else { text }
}

/// A step of a path that starts at the data.
enum Step {
    /// A member, by the position of its name in the output, quotes included.
    Member(Range<usize>),
    /// An element, by its index in the array.
    Element(usize),
}

/// Reads a text whose syntax is known to be valid, because a [`RawValue`] was parsed before, and writes its canonical form.
struct Writer<'a> {
    rest: &'a str,
    out: String,
    path: Vec<Step>,
}

impl<'a> Writer<'a> {
    fn value(&mut self) -> Result<(), DataError> {
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string(),
            _ => {
                let end = self.rest.find([',', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(self.rest.len());
                let scalar = self.take(end);
                self.out.push_str(scalar);
                Ok(())
            }
        }
    }

    fn object(&mut self) -> Result<(), DataError> {
        self.open()?;
        let mut names: Vec<Range<usize>> = Vec::new();
        while self.another('}') {
            let start = self.out.len();
            self.string()?;
            let name = start..self.out.len();
            names.push(name.clone());
            self.token(':');
            self.path.push(Step::Member(name));
            self.value()?;
            self.path.pop();
        }
        // In the output, equal names have the same spelling.
        names.sort_unstable_by(|a, b| self.out[a.clone()].cmp(&self.out[b.clone()]));
        let mut neighbors = names.iter().zip(names.iter().skip(1));
        if let Some((name, _)) = neighbors.find(|(a, b)| self.out[(*a).clone()] == self.out[(*b).clone()]) {
            self.path.push(Step::Member(name.clone()));
            return Err(DataError::DuplicateMember(self.pointer()));
        }
        Ok(())
    }

    fn array(&mut self) -> Result<(), DataError> {
        self.open()?;
        let mut place = 0;
        while self.another(']') {
            self.path.push(Step::Element(place));
            self.value()?;
            self.path.pop();
            place += 1;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), DataError> {
        self.token('"');
        loop {
            let end = self.rest.find(['"', '\\']).ok_or(DataError::NotAnObject)?;
            let plain = self.take(end);
            for (place, part) in plain.split(REPLACEMENT).enumerate() {
                if place > 0 {
                    self.push(REPLACEMENT);
                }
                self.out.push_str(part);
            }
            if self.take(1) == "\"" {
                self.out.push('"');
                return Ok(());
            }
            let character = self.escaped().ok_or_else(|| DataError::UnpairedSurrogate(self.pointer()))?;
            self.push(character);
        }
    }

    /// Reads the rest of an escape, after the backslash. Returns `None` for a surrogate without its other half.
    fn escaped(&mut self) -> Option<char> {
        Some(match self.take(1) {
            "b" => '\u{8}',
            "f" => '\u{c}',
            "n" => '\n',
            "r" => '\r',
            "t" => '\t',
            "u" => {
                let unit = self.code_unit()?;
                let pair = match unit {
                    0xD800..=0xDBFF if self.rest.starts_with("\\u") => {
                        self.take(2);
                        [unit, self.code_unit()?]
                    }
                    // This is not a pair. With 0 as the second unit, a surrogate is decoded as unpaired.
                    _ => [unit, 0],
                };
                char::decode_utf16(pair).next()?.ok()?
            }
            itself => itself.chars().next()?,
        })
    }

    fn code_unit(&mut self) -> Option<u16> {
        u16::from_str_radix(self.take(4), 16).ok()
    }

    /// Writes a character of a string.
    fn push(&mut self, character: char) {
        match character {
            '"' => self.out.push_str("\\\""),
            '\\' => self.out.push_str("\\\\"),
            '\u{8}' => self.out.push_str("\\b"),
            '\u{c}' => self.out.push_str("\\f"),
            '\n' => self.out.push_str("\\n"),
            '\r' => self.out.push_str("\\r"),
            '\t' => self.out.push_str("\\t"),
            '\0'..' ' | REPLACEMENT => {
                // Writing to a string cannot fail.
                let _ = write!(self.out, "\\u{:04x}", u32::from(character));
            }
            _ => self.out.push(character),
        }
    }

    /// Enters an object or an array.
    fn open(&mut self) -> Result<(), DataError> {
        if self.path.len() >= MAX_DEPTH {
            return Err(DataError::TooDeep(self.pointer()));
        }
        let bracket = self.take(1);
        self.out.push_str(bracket);
        Ok(())
    }

    /// Moves to the next member or element and returns `true`, or moves past the closing bracket and returns `false`.
    fn another(&mut self, bracket: char) -> bool {
        match self.peek() {
            Some(b',') => self.token(','),
            Some(b'}' | b']') | None => {
                self.token(bracket);
                return false;
            }
            Some(_) => {}
        }
        self.peek();
        true
    }

    /// Copies the character that has to follow here.
    fn token(&mut self, token: char) {
        self.peek();
        self.take(1);
        self.out.push(token);
    }

    /// Skips white space, and returns the next byte.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.rest.as_bytes().first().copied()
    }

    /// Takes this number of bytes, which end at the end of a character.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn pointer(&self) -> String {
        pointer(self.path.iter().map(|step| match step {
            Step::Member(name) => serde_json::from_str(&self.out[name.clone()]).unwrap_or_default(),
            Step::Element(place) => place.to_string(),
        }))
    }
}
