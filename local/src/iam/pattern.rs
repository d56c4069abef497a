//! The texts of policies, with wildcards and policy variables.
//!
//! - <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>
//! - <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>

use super::context::{Context, ContextKey};
use super::error::PolicyError;

/// The way in which a text is read and compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Syntax<'a> {
    /// Whether `*` stands for any text and `?` for one character.
    pub(super) wildcards: bool,
    /// Whether upper and lower case are the same.
    pub(super) ignore_case: bool,
    /// The keys that a policy variable may name, or `None` if `${...}` has no meaning.
    pub(super) variables: Option<&'a [ContextKey]>,
}

/// A text that a value of a request is compared with.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    tokens: Vec<Token>,
    ignore_case: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Any,
    Variable { key: String, default: Option<String> },
}

impl Pattern {
    /// Reads a text.
    pub(super) fn parse(text: &str, syntax: Syntax<'_>) -> Result<Self, PolicyError> {
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if let (Some(keys), Some(inner)) = (syntax.variables, rest.strip_prefix("${")) {
                let (name, behind) =
                    inner.split_once('}').ok_or_else(|| PolicyError::Unsupported(format!("`{text}` without `}}`")))?;
                tokens.push(variable(name, keys)?);
                rest = behind;
                continue;
            }
            tokens.push(match next {
                '*' if syntax.wildcards => Token::Any,
                '?' if syntax.wildcards => Token::One,
                other => Token::Char(other),
            });
            rest = &rest[next.len_utf8()..];
        }
        Ok(Self { tokens, ignore_case: syntax.ignore_case })
    }

    /// Returns whether it has a policy variable.
    pub(super) fn has_variables(&self) -> bool {
        self.tokens.iter().any(|token| matches!(token, Token::Variable { .. }))
    }

    /// Returns whether a value of a request matches. A variable without a value in the request matches nothing.
    pub(super) fn matches(&self, value: &str, context: &Context) -> bool {
        let fold = |text: &str| if self.ignore_case { text.to_lowercase() } else { text.to_owned() };
        let mut tokens = Vec::new();
        for token in &self.tokens {
            match token {
                Token::Char(one) => tokens.extend(fold(one.encode_utf8(&mut [0; 4])).chars().map(Token::Char)),
                Token::One | Token::Any => tokens.push(token.clone()),
                Token::Variable { key, default } => match (context.values(key), default) {
                    ([value], _) | ([], Some(value)) => tokens.extend(fold(value).chars().map(Token::Char)),
                    _ => return false,
                },
            }
        }
        is_match(&tokens, &fold(value).chars().collect::<Vec<_>>())
    }
}

/// Reads the inside of `${...}`: a key, perhaps with a default in single quotes, or one of the characters that have a meaning.
fn variable(inside: &str, keys: &[ContextKey]) -> Result<Token, PolicyError> {
    if let "*" | "?" | "$" = inside {
        return Ok(inside.chars().next().map_or(Token::Any, Token::Char));
    }
    let unsupported = || PolicyError::Unsupported(format!("${{{inside}}}"));
    let (name, default) = match inside.split_once(',') {
        Some((name, default)) => {
            let default = default.trim().strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
            (name, Some(default.ok_or_else(unsupported)?.to_owned()))
        }
        None => (inside, None),
    };
    let key = name.trim().to_lowercase();
    match ContextKey::find(keys, &key) {
        Some(known) if !known.is_multivalued => Ok(Token::Variable { key, default }),
        _ => Err(unsupported()),
    }
}

/// Compares from left to right. Where the rest does not match, the last `*` takes one more character.
fn is_match(tokens: &[Token], value: &[char]) -> bool {
    let (mut next, mut at) = (0, 0);
    let mut last_any = None;
    while at < value.len() {
        match tokens.get(next) {
            Some(Token::Any) => {
                last_any = Some((next, at));
                next += 1;
            }
            Some(Token::One) => (next, at) = (next + 1, at + 1),
            Some(Token::Char(wanted)) if *wanted == value[at] => (next, at) = (next + 1, at + 1),
            _ => match &mut last_any {
                Some((any, taken)) => {
                    *taken += 1;
                    (next, at) = (*any + 1, *taken);
                }
                None => return false,
            },
        }
    }
    tokens[next..].iter().all(|token| *token == Token::Any)
}
