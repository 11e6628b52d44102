//! Predicted operations: which of the many spellings of kind and value stands for what.

use crate::path::{Resolved, resolve};
use crate::text;
use crate::view::{ObjectView, View};

/// What an operation does. The `Rfc…` kinds follow RFC 6902: no parent is created, targets must exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Add,
    Modify,
    Delete,
    RfcAdd,
    RfcRemove,
    RfcReplace,
    RfcMove,
    RfcCopy,
    RfcTest,
}

impl Kind {
    fn is_rfc(self) -> bool {
        !matches!(self, Self::Add | Self::Modify | Self::Delete)
    }

    /// The kind of a word in any case and with white space around it.
    fn of_spelling(text: &[u8], of_word: impl Fn(&[u8]) -> Option<Self>) -> Option<Self> {
        of_word(text).or_else(|| of_word(&text::strip(text).to_ascii_lowercase()))
    }

    fn of_word(word: &[u8]) -> Option<Self> {
        match word {
            b"add" | b"added" | b"insert" | b"create" => Some(Self::Add),
            b"modify" | b"modified" | b"update" | b"updated" | b"set" | b"replace" | b"change" | b"changed" => {
                Some(Self::Modify)
            }
            b"delete" | b"deleted" | b"remove" | b"removed" => Some(Self::Delete),
            _ => None,
        }
    }

    fn of_rfc_word(word: &[u8]) -> Option<Self> {
        match word {
            b"add" => Some(Self::RfcAdd),
            b"remove" => Some(Self::RfcRemove),
            b"replace" => Some(Self::RfcReplace),
            b"move" => Some(Self::RfcMove),
            b"copy" => Some(Self::RfcCopy),
            b"test" => Some(Self::RfcTest),
            _ => None,
        }
    }
}

/// One operation, its fields found.
pub(crate) struct Operation<'v> {
    pub(crate) kind: Kind,
    fields: ObjectView<'v, 'v>,
}

impl<'v> Operation<'v> {
    pub(crate) fn read(operation: View<'v, 'v>) -> Result<Self, String> {
        let Some(fields) = operation.object() else { return Err("an operation is not an object".to_owned()) };
        let present = |key: &[u8]| fields.get(key).filter(|value| !value.is_null());
        let word = |value: View<'v, 'v>| value.text().ok_or("the kind of operation is not a text");
        let kind = match present(b"type") {
            Some(kind) => Kind::of_spelling(&word(kind)?, Kind::of_word),
            None => match present(b"op") {
                Some(kind) => {
                    Kind::of_spelling(&word(kind)?, |word| Kind::of_rfc_word(word).or_else(|| Kind::of_word(word)))
                }
                None => Some(Kind::Modify),
            },
        };
        Ok(Self { kind: kind.ok_or("an unknown kind of operation")?, fields })
    }

    /// The first present of `value`, `after`, `new_value`, `new`.
    pub(crate) fn value(&self) -> Result<View<'v, 'v>, String> {
        let names: [&[u8]; 4] = [b"value", b"after", b"new_value", b"new"];
        let value = names.into_iter().find_map(|name| self.fields.get(name)).ok_or("the operation has no value")?;
        match value {
            View::Value(value) if value.holds_a_set() => {
                Err("the value holds a Python set, which no state can hold".to_owned())
            }
            value => Ok(value),
        }
    }

    pub(crate) fn field(&self, name: &[u8]) -> Option<View<'v, 'v>> {
        self.fields.get(name)
    }

    pub(crate) fn path(&self, state: View<'_, 'v>) -> Result<Resolved<'v>, String> {
        self.read_path(b"path", "the operation has no path", state)
    }

    /// Where a `move` or `copy` takes its value from.
    pub(crate) fn source(&self, state: View<'_, 'v>) -> Result<Resolved<'v>, String> {
        self.read_path(b"from", "the operation has no \"from\"", state)
    }

    fn read_path(&self, field: &[u8], missing: &str, state: View<'_, 'v>) -> Result<Resolved<'v>, String> {
        resolve(self.fields.get(field).ok_or(missing)?, self.kind.is_rfc(), state)
    }
}
