//! The noun of a function, and the names that it gives to types, resources and problem codes.

/// A noun in the plural.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Noun {
    plural: String,
    singular: String,
}

/// The text is not a noun that names a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name must be a noun in the plural, of 4 to 30 lowercase letters, that ends in s: orders")]
pub(super) struct InvalidNoun;

impl Noun {
    /// Parses the plural. No word of Rust ends in `s` and has four letters or more, so that a noun can be the name of a crate.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidNoun> {
        let is_word = (4..=30).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase());
        let stem = text.strip_suffix('s').filter(|_| is_word).ok_or(InvalidNoun)?;
        let singular = match stem.strip_suffix('e') {
            Some(short) if short.ends_with('i') => format!("{}y", &short[..short.len() - 1]),
            Some(short) if ["ss", "x", "ch", "sh", "zz"].iter().any(|end| short.ends_with(end)) => short.to_owned(),
            _ => stem.to_owned(),
        };
        Ok(Self { plural: text.to_owned(), singular })
    }

    /// `orders`
    pub(super) fn plural(&self) -> &str {
        &self.plural
    }

    /// `order`
    pub(super) fn singular(&self) -> &str {
        &self.singular
    }

    /// `Orders`
    pub(super) fn plural_type(&self) -> String {
        capitalized(&self.plural)
    }

    /// `Order`
    pub(super) fn singular_type(&self) -> String {
        capitalized(&self.singular)
    }

    /// The article before the singular.
    pub(super) fn article(&self) -> &'static str {
        if self.singular.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" }
    }
}

pub(super) fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_singular_is_derived() {
        for (plural, singular, article) in [
            ("orders", "order", "an"),
            ("invoices", "invoice", "an"),
            ("entries", "entry", "an"),
            ("boxes", "box", "a"),
            ("addresses", "address", "an"),
            ("houses", "house", "a"),
        ] {
            let noun = Noun::parse(plural).unwrap();
            assert_eq!((noun.singular(), noun.article()), (singular, article));
        }
        assert_eq!(Noun::parse("orders").unwrap().plural_type(), "Orders");
    }

    #[test]
    fn other_names_are_rejected() {
        for text in ["", "is", "order", "Orders", "my-orders", "my_orders", "../orders", "orders2", "órders"] {
            assert_eq!(Noun::parse(text), Err(InvalidNoun), "{text}");
        }
        assert_eq!(Noun::parse(&format!("{}s", "x".repeat(30))), Err(InvalidNoun));
    }
}
