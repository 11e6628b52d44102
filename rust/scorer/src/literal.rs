//! Reading Python literals: what `repr` writes for JSON-like values, tuples and sets.

use crate::object::Object;
use crate::reader::{ReadError, Reader};
use crate::text::push_code_point;
use crate::value::{Text, Value};
use crate::write;
use std::borrow::Cow;

impl<'a> Reader<'a, '_> {
    pub(crate) fn literal_scalar(&mut self) -> Result<Value<'a>, ReadError> {
        match self.peek() {
            Some(b'\'' | b'"') => self.literal_string().map(Value::Str),
            Some(b'T') if self.word("True") => Ok(Value::Bool(true)),
            Some(b'F') if self.word("False") => Ok(Value::Bool(false)),
            Some(b'N') if self.word("None") => Ok(Value::Null),
            Some(b'n') if self.word("nan") => Ok(Value::Float(f64::NAN)),
            Some(b'i') if self.word("inf") => Ok(Value::Float(f64::INFINITY)),
            Some(b's') if self.word("set()") => {
                self.hashable = false;
                Ok(Value::Set(Vec::new()))
            }
            _ => Err(self.error("expected a Python literal")),
        }
    }

    /// `{…}` behind its opening brace: a dict, or a set where no colon follows the first item.
    pub(crate) fn dict_or_set(&mut self) -> Result<Value<'a>, ReadError> {
        if self.closes_empty(b'}') {
            return Ok(Value::Object(Object::default()));
        }
        let first = self.value()?;
        self.space();
        if self.peek() == Some(b':') { self.dict(first) } else { self.set(first) }
    }

    fn dict(&mut self, first: Value<'a>) -> Result<Value<'a>, ReadError> {
        let mut object = Object::default();
        let mut key = first;
        loop {
            let name = self.key_text(key)?;
            self.colon()?;
            let value = self.value()?;
            object.insert(name, value);
            if self.closes(b'}')? {
                return Ok(Value::Object(object));
            }
            key = self.value()?;
        }
    }

    /// The text that `json.dumps` writes for a key; it refuses tuples, and so do we.
    fn key_text(&self, key: Value<'a>) -> Result<Text<'a>, ReadError> {
        match key {
            Value::Str(text) => Ok(text),
            scalar if !scalar.is_container() => Ok(Cow::Owned(write::to_json(&scalar))),
            _ => Err(self.error("a key that JSON cannot write")),
        }
    }

    fn set(&mut self, first: Value<'a>) -> Result<Value<'a>, ReadError> {
        let mut items = vec![first];
        loop {
            if !self.hashable {
                return Err(self.error("a set with an item that cannot be hashed"));
            }
            if self.closes(b'}')? {
                return Ok(Value::Set(items));
            }
            items.push(self.value()?);
        }
    }

    /// `(…)` behind its opening parenthesis. `(1)` is no tuple, and `repr` never writes it.
    pub(crate) fn tuple(&mut self) -> Result<Value<'a>, ReadError> {
        if self.closes_empty(b')') {
            return Ok(Value::Array(Vec::new()));
        }
        let mut items = Vec::new();
        let mut hashable = true;
        loop {
            items.push(self.value()?);
            hashable &= self.hashable;
            self.space();
            if items.len() == 1 && self.peek() == Some(b')') {
                return Err(self.error("a single value in parentheses"));
            }
            if self.closes(b')')? {
                self.hashable = hashable;
                return Ok(Value::Array(items));
            }
        }
    }

    fn literal_string(&mut self) -> Result<Text<'a>, ReadError> {
        let quote = self.text[self.at];
        self.at += 1;
        let start = self.at;
        let mut out: Option<Vec<u8>> = None;
        loop {
            let rest = &self.text[self.at..];
            let run = memchr::memchr3(quote, b'\\', b'\n', rest).unwrap_or(rest.len());
            if let Some(out) = &mut out {
                out.extend_from_slice(&rest[..run]);
            }
            self.at += run;
            match self.peek() {
                Some(b'\\') => {
                    let out = out.get_or_insert_with(|| self.text[start..self.at].to_vec());
                    self.at += 1;
                    self.literal_escape(out)?;
                }
                Some(b'\n') if self.syntax.is_loose() => {
                    self.at += 1;
                    if let Some(out) = &mut out {
                        out.push(b'\n');
                    }
                }
                Some(b'\n') => return Err(self.error("a newline in a string")),
                Some(_) => {
                    let end = self.at;
                    self.at += 1;
                    return Ok(out.map_or(Cow::Borrowed(&self.text[start..end]), Cow::Owned));
                }
                None => return Err(self.error("a string that is never closed")),
            }
        }
    }

    fn literal_escape(&mut self, out: &mut Vec<u8>) -> Result<(), ReadError> {
        let Some(byte) = self.peek() else { return Err(self.error("a string that is never closed")) };
        self.at += 1;
        // The escapes that `repr` writes, and the other quote; an unknown one would keep its backslash in Python.
        let plain = match byte {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'\\' | b'\'' | b'"' => byte,
            b'x' | b'u' | b'U' => {
                let code = self.hex(match byte {
                    b'x' => 2,
                    b'u' => 4,
                    _ => 8,
                })?;
                if code > 0x10_FFFF {
                    return Err(self.error("a code point beyond U+10FFFF"));
                }
                push_code_point(out, code);
                return Ok(());
            }
            _ => return Err(self.error("an escape that repr does not write")),
        };
        out.push(plain);
        Ok(())
    }
}
