//! What a caller may do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a URL needs and a key has. None of them contains another, so that a key's entry says all that it may do: one
/// that watches over the pipeline need not be able to send, or to read what others wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Sending messages, and changing those that were not sent yet.
    Send,
    /// Reading messages and counts.
    Read,
    /// What concerns the pipeline as a whole, such as its dead letters.
    Admin,
}

/// A set of scopes with at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Vec<Scope>", into = "Vec<Scope>")]
pub struct Scopes(u8);

impl Scope {
    const ALL: [Self; 3] = [Self::Send, Self::Read, Self::Admin];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Send => "send",
            Self::Read => "read",
            Self::Admin => "admin",
        })
    }
}

impl Scopes {
    /// Every scope.
    pub const ALL: Self = Self(Scope::Send.bit() | Scope::Read.bit() | Scope::Admin.bit());

    /// Whether the scope is one of them.
    pub fn contain(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }
}

impl TryFrom<Vec<Scope>> for Scopes {
    type Error = &'static str;

    fn try_from(scopes: Vec<Scope>) -> Result<Self, Self::Error> {
        if scopes.is_empty() {
            return Err("a key without a scope may do nothing; give it one of send, read and admin");
        }
        Ok(Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit())))
    }
}

impl From<Scopes> for Vec<Scope> {
    fn from(scopes: Scopes) -> Self {
        Scope::ALL.into_iter().filter(|scope| scopes.contain(*scope)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_scope_contains_another() {
        for scope in Scope::ALL {
            let alone = Scopes::try_from(vec![scope]).expect("one scope");
            assert_eq!(Vec::from(alone), [scope]);
            assert!(Scopes::ALL.contain(scope));
        }
    }

    #[test]
    fn a_scope_is_called_the_same_wherever_it_is_written() {
        for scope in Scope::ALL {
            assert_eq!(serde_json::to_string(&scope).expect("a scope encodes"), format!("\"{scope}\""));
        }
    }
}
