//! Observations: exact text, unless the truth is a container; then equal values.

use crate::reader::{Syntax, read_value};
use crate::text::strip;
use crate::value::{Text, Value};
use crate::view::View;
use crate::write::to_json;
use std::borrow::Cow;

/// The value of a text that is one JSON or Python-literal object, list, tuple or set, white space around it aside.
pub(crate) fn read_container(text: &[u8]) -> Option<Value<'_>> {
    // `s` begins `set()`.
    let text = strip(text);
    matches!(text.first(), Some(b'{' | b'[' | b'(' | b's'))
        .then(|| read_either(text))
        .flatten()
        .filter(Value::is_container)
}

/// The value of a text read as JSON, else as a Python literal.
pub(crate) fn read_either(text: &[u8]) -> Option<Value<'_>> {
    read_value(text, Syntax::Json).or_else(|_| read_value(text, Syntax::Literal)).ok()
}

/// The true observation.
#[derive(Clone, Debug)]
pub(crate) struct Observation<'a> {
    text: Text<'a>,
    container: Container<'a>,
}

/// The container that the text is, if it is one.
#[derive(Clone, Debug)]
enum Container<'a> {
    Read(Option<Value<'a>>),
    /// To be read when it is asked for; most predictions are compared by their text alone.
    Unread,
}

/// How a predicted observation compares with the true one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeedbackMatch {
    pub(crate) equal: bool,
    pub(crate) verbatim: bool,
}

impl<'a> Observation<'a> {
    /// To be compared with many predictions.
    pub(crate) fn new(text: Text<'a>) -> Self {
        let container = match &text {
            Cow::Borrowed(text) => read_container(text),
            Cow::Owned(text) => read_container(text).map(Value::into_owned),
        };
        Self { text, container: Container::Read(container) }
    }

    /// To be compared with one prediction.
    pub(crate) fn unread(text: Text<'a>) -> Self {
        Self { text, container: Container::Unread }
    }

    pub(crate) fn compare(&self, feedback: Option<View>) -> FeedbackMatch {
        let Some(feedback) = feedback else { return self.compare_text(b"") };
        if let Some(text) = feedback.text() {
            return self.compare_text(&text);
        }
        match feedback.to_value() {
            Value::Null => self.compare_text(b""),
            value if value.is_container() => {
                FeedbackMatch { equal: self.is_container(|truth| *truth == value), verbatim: false }
            }
            scalar => self.compare_text(&to_json(&scalar)),
        }
    }

    fn compare_text(&self, text: &[u8]) -> FeedbackMatch {
        let verbatim = *self.text == *text;
        let as_container = || self.is_container(|truth| read_container(text).is_some_and(|value| *truth == value));
        FeedbackMatch { equal: verbatim || as_container(), verbatim }
    }

    /// Whether this is a container, and the right one.
    fn is_container(&self, right: impl FnOnce(&Value) -> bool) -> bool {
        match &self.container {
            Container::Read(container) => container.as_ref().is_some_and(right),
            Container::Unread => read_container(&self.text).as_ref().is_some_and(right),
        }
    }
}
