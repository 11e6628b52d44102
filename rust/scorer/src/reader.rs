//! Reading JSON as Python's `json` module does, whole texts and prefixes, in time linear in the text.

use crate::limits::{MAX_DEPTH, MAX_INTEGER_DIGITS};
use crate::object::Object;
use crate::scan::plain_run;
use crate::text::push_code_point;
use crate::value::{Text, Value};
use std::borrow::Cow;

/// What is read, and how forgivingly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// JSON as `json.loads` reads it.
    Json,
    /// JSON with raw control characters inside strings (`strict=False`).
    LooseJson,
    /// As `LooseJson`, with the last comma before a closing bracket removed.
    JsonCommas,
    /// A Python literal as `repr` writes it, with trailing commas.
    Literal,
    /// A Python literal with raw newlines inside strings.
    LooseLiteral,
    /// As `LooseLiteral`, with the last comma before a closing bracket removed first.
    LiteralCommas,
}

impl Syntax {
    pub(crate) fn is_literal(self) -> bool {
        matches!(self, Self::Literal | Self::LooseLiteral | Self::LiteralCommas)
    }

    fn drops_commas(self) -> bool {
        matches!(self, Self::JsonCommas | Self::LiteralCommas)
    }

    pub(crate) fn is_loose(self) -> bool {
        !matches!(self, Self::Json | Self::Literal)
    }
}

/// Why and where (byte offset) a text could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why} at byte {at}")]
pub struct ReadError {
    /// Offset in bytes.
    pub at: usize,
    /// The reason, as a phrase.
    pub why: &'static str,
}

/// Containers that are known not to be readable, so that no text is read more than once per syntax.
///
/// Whether a container can be read depends on the text from its first byte on and on nothing before it.
#[derive(Default)]
pub(crate) struct Unreadable {
    syntaxes: Vec<u8>,
}

impl Unreadable {
    fn holds(&self, at: usize, syntax: Syntax) -> bool {
        self.syntaxes.get(at).is_some_and(|bits| bits & (1 << syntax as u8) != 0)
    }

    fn add(&mut self, at: usize, syntax: Syntax, length: usize) {
        self.syntaxes.resize(length, 0);
        self.syntaxes[at] |= 1 << syntax as u8;
    }
}

/// Read one value that fills the whole text but for JSON white space around it.
///
/// `text` must be generalised UTF-8 (see [`crate::check_text`]).
pub fn read_value(text: &[u8], syntax: Syntax) -> Result<Value<'_>, ReadError> {
    let mut unreadable = Unreadable::default();
    let mut reader = Reader::new(text, 0, syntax, &mut unreadable);
    reader.space();
    let value = reader.value()?;
    reader.space();
    if reader.at == text.len() { Ok(value) } else { Err(reader.error("unexpected text after the value")) }
}

/// Read the value that starts at byte `at`, and tell where it ends.
pub(crate) fn read_prefix<'a>(
    text: &'a [u8],
    at: usize,
    syntax: Syntax,
    unreadable: &mut Unreadable,
) -> Result<(Value<'a>, usize), ReadError> {
    let mut reader = Reader::new(text, at, syntax, unreadable);
    let value = reader.value()?;
    Ok((value, reader.at))
}

/// What a JSON string says; `None` where the text is none.
pub(crate) fn json_string(text: &[u8]) -> Option<Vec<u8>> {
    match read_value(text, Syntax::Json) {
        Ok(Value::Str(text)) => Some(text.into_owned()),
        _ => None,
    }
}

pub(crate) struct Reader<'a, 'm> {
    pub(crate) text: &'a [u8],
    pub(crate) at: usize,
    pub(crate) syntax: Syntax,
    /// Whether Python could hash the literal that was read last (and so could put it into a set).
    pub(crate) hashable: bool,
    depth: usize,
    unreadable: &'m mut Unreadable,
}

impl<'a, 'm> Reader<'a, 'm> {
    fn new(text: &'a [u8], at: usize, syntax: Syntax, unreadable: &'m mut Unreadable) -> Self {
        Self { text, at, syntax, hashable: true, depth: 0, unreadable }
    }

    pub(crate) fn error(&self, why: &'static str) -> ReadError {
        ReadError { at: self.at, why }
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline]
    pub(crate) fn space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                b'\x0c' if self.syntax.is_literal() => self.at += 1,
                _ => return,
            }
        }
    }

    /// Take a byte if it comes next.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    pub(crate) fn word(&mut self, word: &str) -> bool {
        let there = self.text[self.at..].starts_with(word.as_bytes());
        self.at += if there { word.len() } else { 0 };
        there
    }

    pub(crate) fn value(&mut self) -> Result<Value<'a>, ReadError> {
        self.hashable = true;
        match self.peek() {
            Some(b'{' | b'[' | b'(') => self.container(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ if self.syntax.is_literal() => self.literal_scalar(),
            Some(b'"') => self.string().map(Value::Str),
            Some(b't') if self.word("true") => Ok(Value::Bool(true)),
            Some(b'f') if self.word("false") => Ok(Value::Bool(false)),
            Some(b'n') if self.word("null") => Ok(Value::Null),
            Some(b'N') if self.word("NaN") => Ok(Value::Float(f64::NAN)),
            Some(b'I') if self.word("Infinity") => Ok(Value::Float(f64::INFINITY)),
            None => Err(self.error("the text ends where a value is expected")),
            _ => Err(self.error("expected a value")),
        }
    }

    fn container(&mut self) -> Result<Value<'a>, ReadError> {
        let start = self.at;
        if self.unreadable.holds(start, self.syntax) {
            return Err(self.error("expected a value"));
        }
        if self.depth == MAX_DEPTH {
            return Err(self.error("nested too deeply (limit 1000)"));
        }
        self.depth += 1;
        self.at += 1;
        let result = match (self.text[start], self.syntax.is_literal()) {
            (b'[', _) => self.items(b']').map(Value::Array),
            (b'{', false) => self.object(),
            (b'{', true) => self.dict_or_set(),
            (_, true) => self.tuple(),
            (_, false) => Err(self.error("expected a value")),
        };
        self.depth -= 1;
        if result.is_err() {
            self.unreadable.add(start, self.syntax, self.text.len());
        } else if self.text[start] != b'(' {
            self.hashable = false;
        }
        result
    }

    /// The items up to `closer`, which is taken.
    fn items(&mut self, closer: u8) -> Result<Vec<Value<'a>>, ReadError> {
        let mut items = Vec::new();
        if self.closes_empty(closer) {
            return Ok(items);
        }
        loop {
            items.push(self.value()?);
            if self.closes(closer)? {
                return Ok(items);
            }
        }
    }

    fn object(&mut self) -> Result<Value<'a>, ReadError> {
        let mut object = Object::default();
        if self.closes_empty(b'}') {
            return Ok(Value::Object(object));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.error("expected a key in double quotes"));
            }
            let key = self.string()?;
            self.colon()?;
            let value = self.value()?;
            object.insert(key, value);
            if self.closes(b'}')? {
                return Ok(Value::Object(object));
            }
        }
    }

    pub(crate) fn colon(&mut self) -> Result<(), ReadError> {
        self.space();
        if !self.take(b':') {
            return Err(self.error("expected ':'"));
        }
        self.space();
        Ok(())
    }

    /// After an opening bracket: whether the container closes at once. A lone comma may be dropped before the closer.
    pub(crate) fn closes_empty(&mut self, closer: u8) -> bool {
        self.space();
        self.take(closer) || self.drops_comma(closer)
    }

    /// After an item: take the comma, or the closer (then true).
    pub(crate) fn closes(&mut self, closer: u8) -> Result<bool, ReadError> {
        self.space();
        if self.take(closer) {
            return Ok(true);
        }
        let before = self.at;
        if !self.take(b',') {
            return Err(self.error("expected ',' or a closing bracket"));
        }
        self.space();
        if self.peek() == Some(closer) && !(self.syntax.is_literal() || self.syntax.drops_commas()) {
            self.at = before;
            return Err(self.error("a comma before the closing bracket"));
        }
        // A literal has a trailing comma of its own, so one more can be dropped behind it.
        Ok(self.take(closer) || (self.syntax.is_literal() && self.drops_comma(closer)))
    }

    fn drops_comma(&mut self, closer: u8) -> bool {
        let before = self.at;
        if self.syntax.drops_commas() && closer != b')' && self.take(b',') {
            self.space();
            if self.take(closer) {
                return true;
            }
        }
        self.at = before;
        false
    }

    fn number(&mut self) -> Result<Value<'a>, ReadError> {
        let start = self.at;
        let negative = self.take(b'-');
        let first = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        let digits = self.at - first;
        if digits == 0 {
            let infinity = if self.syntax.is_literal() { "inf" } else { "Infinity" };
            return if negative && self.word(infinity) {
                Ok(Value::Float(f64::NEG_INFINITY))
            } else {
                Err(self.error("expected a number"))
            };
        }
        if digits > 1 && self.text[first] == b'0' {
            return Err(self.error("a number with a leading zero"));
        }
        let whole_end = self.at;
        let mut float = false;
        if self.peek() == Some(b'.') && matches!(self.text.get(self.at + 1), Some(b'0'..=b'9')) {
            float = true;
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.text.get(self.at + 1), Some(b'+' | b'-')));
            if matches!(self.text.get(self.at + 1 + sign), Some(b'0'..=b'9')) {
                float = true;
                self.at += 1 + sign;
                self.digits();
            }
        }
        if float {
            let text = std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default();
            return text.parse().map(Value::Float).map_err(|_| self.error("expected a number"));
        }
        if digits <= 18 {
            let value = self.text[first..whole_end].iter().fold(0i64, |n, b| n * 10 + i64::from(b - b'0'));
            return Ok(Value::Int(if negative { -value } else { value }));
        }
        if digits > MAX_INTEGER_DIGITS {
            return Err(self.error("an integer of more than 1000000 digits"));
        }
        let text = &self.text[start..whole_end];
        let small = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
        Ok(small.map_or(Value::Big(Cow::Borrowed(text)), Value::Int))
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    /// A JSON string; the opening quote comes next.
    fn string(&mut self) -> Result<Text<'a>, ReadError> {
        let start = self.at + 1;
        let end = start + self.plain_run(start);
        self.at = end;
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                Ok(Cow::Borrowed(&self.text[start..end]))
            }
            Some(b'\\') => self.escaped_string(start).map(Cow::Owned),
            Some(_) => Err(self.error("a control character in a string")),
            None => Err(self.error("a string that is never closed")),
        }
    }

    /// How many bytes from `start` on can be taken as they are.
    fn plain_run(&self, start: usize) -> usize {
        let rest = &self.text[start..];
        if self.syntax.is_loose() { memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len()) } else { plain_run(rest) }
    }

    fn escaped_string(&mut self, start: usize) -> Result<Vec<u8>, ReadError> {
        let mut out = self.text[start..self.at].to_vec();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(&mut out)?;
                }
                Some(_) => return Err(self.error("a control character in a string")),
                None => return Err(self.error("a string that is never closed")),
            }
            let run = self.plain_run(self.at);
            out.extend_from_slice(&self.text[self.at..self.at + run]);
            self.at += run;
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), ReadError> {
        let byte = match self.peek() {
            Some(b'u') => {
                self.at += 1;
                let mut code = self.hex(4)?;
                // Two escapes that form a pair are one code point; a lone surrogate stays what it is.
                if (0xD800..0xDC00).contains(&code) && self.text[self.at..].starts_with(b"\\u") {
                    let back = self.at;
                    self.at += 2;
                    match self.hex(4) {
                        Ok(low @ 0xDC00..0xE000) => code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00),
                        _ => self.at = back,
                    }
                }
                push_code_point(out, code);
                return Ok(());
            }
            Some(b'b') => 0x08,
            Some(b'f') => 0x0C,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(same @ (b'"' | b'\\' | b'/')) => same,
            _ => return Err(self.error("an escape that JSON does not have")),
        };
        out.push(byte);
        self.at += 1;
        Ok(())
    }

    /// Exactly `count` hexadecimal digits.
    pub(crate) fn hex(&mut self, count: usize) -> Result<u32, ReadError> {
        let mut code = 0;
        for _ in 0..count {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            code = code << 4 | digit.ok_or_else(|| self.error("expected a hexadecimal digit"))?;
            self.at += 1;
        }
        Ok(code)
    }
}
