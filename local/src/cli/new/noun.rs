//! The noun of a function, and the names that it gives to types, resources and problem codes.

/// The types that a function uses, or may come to use: those of `service::function`, and those of Rust's prelude. A noun that
/// gave its own type one of these names would hide it.
#[rustfmt::skip]
pub(super) const TAKEN: &[&str] = &[
    // `service::function`
    "Access", "Applied", "Caller", "Changes", "Chosen", "Code", "Config", "Exit", "Expiry", "Fault", "Generated", "Handler",
    "Id", "Inbound", "Index", "Item", "Items", "Kind", "Limit", "List", "Number", "Page", "Precondition", "Problem", "Query",
    "Reply", "Resource", "Rounds", "Scope", "Store", "Text", "Timestamp", "Unreadable", "Version", "Whole",
    // Rust
    "Box", "Clone", "Copy", "Debug", "Default", "Drop", "Eq", "Err", "Extend", "Fn", "From", "Into", "Iterator", "None", "Ok",
    "Option", "Ord", "Result", "Self", "Send", "Sized", "Some", "String", "Sync", "Unpin", "Vec",
];

/// A noun in the plural, with its singular.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Noun {
    plural: String,
    singular: String,
}

/// The text is not a noun that names a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name must be a noun in the plural, of 4 to 30 lowercase letters, that ends in s: orders")]
pub(super) struct InvalidNoun;

/// The text is not a singular for the noun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the singular must be a word of 2 to 30 lowercase letters that is not the plural: order")]
pub(super) struct InvalidSingular;

impl Noun {
    /// Parses the plural. No word of Rust ends in `s` and has four letters or more, so that a noun can be the name of a crate.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidNoun> {
        let stem = text.strip_suffix('s').filter(|_| is_word(text, 4)).ok_or(InvalidNoun)?;
        let singular = match stem.strip_suffix('e') {
            Some(short) if short.ends_with('i') => format!("{}y", &short[..short.len() - 1]),
            Some(short) if takes_es(short) => short.to_owned(),
            _ => stem.to_owned(),
        };
        Ok(Self { plural: text.to_owned(), singular })
    }

    /// Replaces the derived singular, which no rule derives right for every noun.
    pub(super) fn with_singular(self, singular: &str) -> Result<Self, InvalidSingular> {
        if !is_word(singular, 2) || singular == self.plural {
            return Err(InvalidSingular);
        }
        Ok(Self { singular: singular.to_owned(), ..self })
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

fn is_word(text: &str, shortest: usize) -> bool {
    (shortest..=30).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Whether the plural of a word is usually with `es`: `box` and `status`, in contrast to `cach` and `hous`, which lack an `e`.
fn takes_es(word: &str) -> bool {
    let ends = |endings: &[&str]| endings.iter().any(|ending| word.ends_with(ending));
    let lacks_e = ends(&["aus", "ous", "fus", "cach", "nich"]) || word == "us";
    ends(&["ss", "us", "ias", "x", "ch", "sh", "zz"]) && !lacks_e
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
            ("statuses", "status", "a"),
            ("aliases", "alias", "an"),
            ("branches", "branch", "a"),
            ("dishes", "dish", "a"),
            ("houses", "house", "a"),
            ("causes", "cause", "a"),
            ("purchases", "purchase", "a"),
            ("caches", "cache", "a"),
            ("uses", "use", "a"),
        ] {
            let noun = Noun::parse(plural).unwrap();
            assert_eq!((noun.singular(), noun.article()), (singular, article));
        }
        assert_eq!(Noun::parse("orders").unwrap().plural_type(), "Orders");
    }

    #[test]
    fn the_singular_can_be_given() {
        let noun = Noun::parse("movies").unwrap().with_singular("movie").unwrap();
        assert_eq!((noun.plural(), noun.singular(), noun.singular_type()), ("movies", "movie", "Movie".to_owned()));
        for singular in ["", "m", "movies", "Movie", "my_movie", "movie2"] {
            assert_eq!(Noun::parse("movies").unwrap().with_singular(singular), Err(InvalidSingular), "{singular}");
        }
    }

    #[test]
    fn other_names_are_rejected() {
        for text in ["", "is", "order", "Orders", "my-orders", "my_orders", "../orders", "orders2", "órders"] {
            assert_eq!(Noun::parse(text), Err(InvalidNoun), "{text}");
        }
        assert_eq!(Noun::parse(&format!("{}s", "x".repeat(30))), Err(InvalidNoun));
    }
}
