//! Segments: the steps of a path that was read.

use crate::text::lossy;
use crate::value::Text;
use crate::view::{Shape, View};
use std::borrow::Cow;

/// One step of a path: at an object a key, at an array an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    pub(crate) text: Text<'a>,
    /// Written as `[n]` or as an integer: no object is created to hold it.
    pub(crate) is_index: bool,
}

impl<'a> Segment<'a> {
    pub(crate) fn key(text: &'a [u8]) -> Self {
        Self { text: Cow::Borrowed(text), is_index: false }
    }

    pub(crate) fn into_owned(self) -> Segment<'static> {
        Segment { text: Cow::Owned(self.text.into_owned()), is_index: self.is_index }
    }

    /// The array index that this names: `0`, or digits without a leading zero.
    pub(crate) fn index(&self) -> Option<usize> {
        let plain = self.text.iter().all(u8::is_ascii_digit) && (self.text.len() == 1 || !self.text.starts_with(b"0"));
        // A number too large for the machine is past the end of every array.
        plain.then(|| {
            std::str::from_utf8(&self.text).ok()?.parse().ok().or((!self.text.is_empty()).then_some(usize::MAX))
        })?
    }

    /// The segment in quotes, for messages.
    pub(crate) fn quoted(&self) -> String {
        const SHOWN: usize = 60;
        let text = lossy(&self.text);
        match text.char_indices().nth(SHOWN) {
            Some((cut, _)) => format!("{:?}…", &text[..cut]),
            None => format!("{text:?}"),
        }
    }
}

/// Follow a path from a view; `None` where it leads nowhere.
pub(crate) fn follow<'n, 'a: 'n>(root: View<'n, 'a>, path: &[Segment]) -> Option<View<'n, 'a>> {
    path.iter().try_fold(root, |view, segment| match view.shape() {
        Shape::Object(object) => object.get(&segment.text),
        Shape::Array(array) => array.get(segment.index()?),
        Shape::Scalar(_) => None,
    })
}
