//! Scanning: one pass over a JSON text that checks it and notes where each value stands.

use crate::limits::{MAX_DEPTH, MAX_INTEGER_DIGITS};
use crate::reader::json_string;
use crate::tape::Cell;
use wide::u8x16;

/// Past the white space of JSON.
#[inline]
pub(crate) fn space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

/// Reads values onto the cells of a tape. `None` wherever there is none that [`crate::read_value`] would accept.
pub(crate) struct Scanner<'s> {
    text: &'s [u8],
    cells: &'s mut Vec<Cell>,
    decoded: &'s mut Vec<Box<[u8]>>,
    depth: usize,
}

impl<'s> Scanner<'s> {
    pub(crate) fn new(text: &'s [u8], cells: &'s mut Vec<Cell>, decoded: &'s mut Vec<Box<[u8]>>, depth: usize) -> Self {
        Self { text, cells, decoded, depth }
    }

    #[inline]
    fn push(&mut self, start: usize, end: usize, next: u32) {
        self.cells.push(Cell { start: start as u32, end: end as u32, next });
    }

    #[inline]
    fn push_scalar(&mut self, start: usize, end: usize) {
        let next = self.cells.len() as u32 + 1;
        self.push(start, end, next);
    }

    #[inline]
    pub(crate) fn value(&mut self, at: usize) -> Option<usize> {
        let end = match self.text.get(at)? {
            b'"' => self.string(at)?.0,
            b'{' | b'[' => return self.container(at),
            b'0'..=b'9' | b'-' => self.number(at)?,
            b't' => self.word(at, b"true")?,
            b'f' => self.word(at, b"false")?,
            b'n' => self.word(at, b"null")?,
            b'N' => self.word(at, b"NaN")?,
            b'I' => self.word(at, b"Infinity")?,
            _ => return None,
        };
        self.push_scalar(at, end);
        Some(end)
    }

    fn word(&self, at: usize, word: &[u8]) -> Option<usize> {
        self.text[at..].starts_with(word).then_some(at + word.len())
    }

    fn container(&mut self, start: usize) -> Option<usize> {
        if self.depth >= MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let cell = self.cells.len();
        self.push(start, start, 0);
        let end = if self.text[start] == b'{' { self.object(start + 1)? } else { self.array(start + 1)? };
        self.depth -= 1;
        let next = self.cells.len() as u32;
        let cell = &mut self.cells[cell];
        cell.end = end as u32;
        cell.next = next;
        Some(end)
    }

    fn object(&mut self, at: usize) -> Option<usize> {
        let mut at = space(self.text, at);
        if self.text.get(at) == Some(&b'}') {
            return Some(at + 1);
        }
        loop {
            at = space(self.text, self.key(at)?);
            if self.text.get(at) != Some(&b':') {
                return None;
            }
            at = self.value(space(self.text, at + 1))?;
            at = space(self.text, at);
            match self.text.get(at) {
                Some(b',') => at = space(self.text, at + 1),
                Some(b'}') => return Some(at + 1),
                _ => return None,
            }
        }
    }

    fn array(&mut self, at: usize) -> Option<usize> {
        let mut at = space(self.text, at);
        if self.text.get(at) == Some(&b']') {
            return Some(at + 1);
        }
        loop {
            at = self.value(at)?;
            at = space(self.text, at);
            match self.text.get(at) {
                Some(b',') => at = space(self.text, at + 1),
                Some(b']') => return Some(at + 1),
                _ => return None,
            }
        }
    }

    #[inline]
    pub(crate) fn key(&mut self, at: usize) -> Option<usize> {
        if self.text.get(at) != Some(&b'"') {
            return None;
        }
        let (end, escaped) = self.string(at)?;
        let next = if escaped { self.decode(at, end)? } else { 0 };
        self.push(at, end, next);
        Some(end)
    }

    #[cold]
    fn decode(&mut self, start: usize, end: usize) -> Option<u32> {
        self.decoded.push(json_string(&self.text[start..end])?.into());
        Some(self.decoded.len() as u32)
    }

    /// The end of the string that opens at `at`, and whether it holds escapes.
    #[inline]
    fn string(&self, at: usize) -> Option<(usize, bool)> {
        let end = at + 1 + plain_run(&self.text[at + 1..]);
        match self.text.get(end) {
            Some(b'"') => Some((end + 1, false)),
            Some(b'\\') => self.escaped_string(end).map(|end| (end, true)),
            _ => None,
        }
    }

    /// The end of a string whose first escape is at `at`.
    fn escaped_string(&self, mut at: usize) -> Option<usize> {
        loop {
            at = match self.text.get(at)? {
                b'"' => return Some(at + 1),
                b'\\' => match self.text.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at + 2,
                    b'u' if self.text.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => at + 6,
                    _ => return None,
                },
                _ => return None,
            };
            at += plain_run(&self.text[at..]);
        }
    }

    #[inline]
    fn number(&self, start: usize) -> Option<usize> {
        let first = start + usize::from(self.text[start] == b'-');
        let mut at = self.digits(first);
        if at == first {
            return self.word(first, b"Infinity");
        }
        if (self.text[first] == b'0' && at > first + 1) || at - first > MAX_INTEGER_DIGITS {
            return None;
        }
        if self.text.get(at) == Some(&b'.') {
            let end = self.digits(at + 1);
            if end == at + 1 {
                return None;
            }
            at = end;
        }
        if let Some(b'e' | b'E') = self.text.get(at) {
            let exponent = at + 1 + usize::from(matches!(self.text.get(at + 1), Some(b'+' | b'-')));
            let end = self.digits(exponent);
            if end == exponent {
                return None;
            }
            at = end;
        }
        Some(at)
    }

    #[inline]
    fn digits(&self, mut at: usize) -> usize {
        while let Some(b'0'..=b'9') = self.text.get(at) {
            at += 1;
        }
        at
    }
}

/// The length of the prefix without quotes, backslashes and control characters.
#[inline]
pub(crate) fn plain_run(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<16>() {
        let chunk = u8x16::new(*chunk);
        let control = chunk.min(u8x16::splat(0x1F)).simd_eq(chunk);
        let found = control | chunk.simd_eq(u8x16::splat(b'"')) | chunk.simd_eq(u8x16::splat(b'\\'));
        let found = found.to_bitmask();
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += 16;
    }
    at + bytes[at..].iter().take_while(|&&b| b >= 0x20 && b != b'"' && b != b'\\').count()
}
