//! Paths: list, pointer and dotted text, read against the state as it stands at that operation.

use crate::limits::MAX_PATH_SEGMENTS;
use crate::segment::{Segment, follow};
use crate::value::{Text, Value};
use crate::view::{ArrayView, ObjectView, Shape, View};
use std::borrow::Cow;

/// A path that was read, and whether its text could have been split otherwise where it adds a key.
#[derive(Debug)]
pub(crate) struct Resolved<'a> {
    pub(crate) segments: Vec<Segment<'a>>,
    pub(crate) ambiguous: bool,
}

type Resolution<'a> = Result<Resolved<'a>, String>;

/// Read the path of an operation. `pointer_only`: under an RFC 6902 word a leading `/` is never part of a key.
pub(crate) fn resolve<'a>(path: View<'a, 'a>, pointer_only: bool, state: View<'_, 'a>) -> Resolution<'a> {
    let resolved = match path.text() {
        Some(Cow::Borrowed(text)) => resolve_text(text, pointer_only, state)?,
        Some(Cow::Owned(text)) => {
            let Resolved { segments, ambiguous } = resolve_text(&text, pointer_only, state)?;
            Resolved { segments: segments.into_iter().map(Segment::into_owned).collect(), ambiguous }
        }
        None => list(path.array().ok_or("the path is neither a text nor a list")?)?,
    };
    if resolved.segments.len() > MAX_PATH_SEGMENTS { Err(too_long()) } else { Ok(resolved) }
}

fn resolve_text<'t>(text: &'t [u8], pointer_only: bool, state: View) -> Resolution<'t> {
    if !text.starts_with(b"/") {
        return dotted(text, state);
    }
    match slash_key(text, state) {
        Some(key) if !pointer_only => Ok(Resolved { segments: vec![key], ambiguous: false }),
        _ => pointer(text),
    }
}

fn too_long() -> String {
    format!("the path has more than {MAX_PATH_SEGMENTS} segments")
}

fn list<'a>(items: ArrayView<'a, 'a>) -> Resolution<'a> {
    let segment = |item: View<'a, 'a>| {
        if let Some(text) = item.text() {
            return Ok(Segment { text, is_index: false });
        }
        let text = match item.shape() {
            Shape::Scalar(scalar) => match *scalar {
                Value::Int(int) => int.to_string().into_bytes(),
                Value::Big(ref digits) => digits.to_vec(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        if text.is_empty() {
            return Err("a path segment is neither a text nor an integer".to_owned());
        }
        Ok(Segment { text: Cow::Owned(text), is_index: true })
    };
    Ok(Resolved { segments: items.iter().map(segment).collect::<Result<_, _>>()?, ambiguous: false })
}

/// The whole text as a key, where the state has it and has no key that a pointer would start with.
fn slash_key<'t>(text: &'t [u8], state: View) -> Option<Segment<'t>> {
    let Shape::Object(object) = state.shape() else { return None };
    object.get(text)?;
    let first = text[1..].split(|&b| b == b'/').next().map(unescape);
    let is_pointer = matches!(first, Some(Ok(first)) if object.get(&first).is_some());
    (!is_pointer).then(|| Segment::key(text))
}

/// RFC 6901.
fn pointer(text: &[u8]) -> Resolution<'_> {
    let segment = |part| Ok(Segment { text: unescape(part)?, is_index: false });
    let segments = text[1..].split(|&b| b == b'/').map(segment).collect::<Result<_, String>>()?;
    Ok(Resolved { segments, ambiguous: false })
}

/// A pointer's segment with `~1` for `/` and `~0` for `~`.
fn unescape(part: &[u8]) -> Result<Text<'_>, String> {
    if !part.contains(&b'~') {
        return Ok(Cow::Borrowed(part));
    }
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            b'~' => match bytes.next() {
                Some(b'0') => b'~',
                Some(b'1') => b'/',
                _ => return Err("a pointer with \"~\" that is neither \"~0\" nor \"~1\"".to_owned()),
            },
            plain => plain,
        });
    }
    Ok(Cow::Owned(out))
}

/// Where a dotted segment can end: at the end of the text, at `.` and at `[`.
fn run_ends(text: &[u8]) -> impl DoubleEndedIterator<Item = usize> + '_ {
    memchr::memchr2_iter(b'.', b'[', text).chain(std::iter::once(text.len()))
}

/// The runs at the start of `text` that are keys of the object: the longest, and whether there is a shorter one too.
fn longest_run(object: ObjectView, text: &[u8], may_be_empty: bool) -> Option<(usize, bool)> {
    let mut found = run_ends(text).rev().filter(|&end| (end > 0 || may_be_empty) && object.get(&text[..end]).is_some());
    found.next().map(|longest| (longest, found.next().is_some()))
}

fn dotted<'t>(text: &'t [u8], state: View) -> Resolution<'t> {
    if run_ends(text).nth(MAX_PATH_SEGMENTS).is_some() {
        return Err(too_long());
    }
    let mut rest = without_prefix(text, state);
    let mut resolved = Resolved { segments: Vec::new(), ambiguous: false };
    let mut here = Some(state);
    let mut after_dot = false;
    if rest.is_empty() {
        return Ok(resolved);
    }
    loop {
        let object = here.and_then(|view| match view.shape() {
            Shape::Object(object) => Some(object),
            _ => None,
        });
        // Right behind a segment `[` opens a bracket; only a dot (or the start) can be followed by an empty segment.
        let at_bracket = rest.first() == Some(&b'[') && !after_dot;
        let run = object.and_then(|object| longest_run(object, rest, !at_bracket));
        let (segment, length) = match run {
            Some((length, other)) => {
                resolved.ambiguous |= other;
                (Segment::key(&rest[..length]), length)
            }
            None if at_bracket => bracket(rest)?,
            None => {
                let length = run_ends(rest).next().unwrap_or(rest.len());
                if length == 0 {
                    return Err("the path has an empty segment".to_owned());
                }
                // A new key whose text goes on could have been one longer key.
                resolved.ambiguous |= length < rest.len() && (object.is_some() || here.is_none());
                (Segment::key(&rest[..length]), length)
            }
        };
        here = here.and_then(|view| follow(view, std::slice::from_ref(&segment)));
        resolved.segments.push(segment);
        rest = &rest[length..];
        match rest.first() {
            None => return Ok(resolved),
            Some(b'.') => {
                rest = &rest[1..];
                after_dot = true;
            }
            Some(b'[') => after_dot = false,
            Some(_) => return Err("text behind a bracket in the path".to_owned()),
        }
    }
}

/// The text without a leading `$.`, `$`, `self.` that models copy from code, unless a top-level key starts the text.
fn without_prefix<'t>(text: &'t [u8], state: View) -> &'t [u8] {
    let rest = match text {
        [b'$'] | [b'$', b'[', ..] => &text[1..],
        [b'$', b'.', rest @ ..] => rest,
        _ => match text.strip_prefix(b"self.") {
            Some(rest) => rest,
            None => return text,
        },
    };
    match state.shape() {
        Shape::Object(object) if longest_run(object, text, false).is_some() => text,
        _ => rest,
    }
}

/// `[digits]`, `['…']` or `["…"]` at the start of the text: the segment, and the length of its spelling.
fn bracket(text: &[u8]) -> Result<(Segment<'_>, usize), String> {
    let inside = &text[1..];
    let (segment, length) = match inside.first() {
        Some(&quote @ (b'\'' | b'"')) => {
            let end = memchr::memchr(quote, &inside[1..]).unwrap_or(inside.len() - 1);
            (Segment::key(&inside[1..=end]), end + 2)
        }
        _ => {
            let digits = inside.iter().take_while(|b| b.is_ascii_digit()).count();
            (Segment { text: Cow::Borrowed(&inside[..digits]), is_index: true }, digits)
        }
    };
    if inside.get(length) != Some(&b']') || (segment.is_index && length == 0) {
        return Err("brackets in a path hold digits or one quoted key".to_owned());
    }
    Ok((segment, length + 2))
}
