//! Scanning: one pass over a JSON text that checks it and notes where each value stands.

use crate::limits::{MAX_DEPTH, MAX_INTEGER_DIGITS};
use crate::reader::json_string;
use crate::tape::Cell;
use wide::u8x16;

/// Past the white space of JSON.
#[inline(always)]
pub(crate) fn space(text: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = text.get(at) {
        if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            break;
        }
        at += 1;
    }
    at
}

/// Past the colon behind a key, and the white space around it.
#[inline(always)]
fn colon(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at..)? {
        [b':', b' ', next, ..] if *next > b' ' => Some(at + 2),
        _ => {
            let at = space(text, at);
            (text.get(at) == Some(&b':')).then(|| space(text, at + 1))
        }
    }
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

    #[inline(always)]
    fn push(&mut self, start: usize, end: usize, next: u32) {
        self.cells.push(Cell { start: start as u32, end: end as u32, next });
    }

    /// Read the value at `at`; the answer is where it ends.
    #[inline(always)]
    pub(crate) fn value(&mut self, at: usize) -> Option<usize> {
        let end = match *self.text.get(at)? {
            // The order is that of their frequency.
            b'"' => self.string(at)?.0,
            b'{' => return self.container::<true>(at),
            b'[' => return self.container::<false>(at),
            byte => self.number_or_word(at, byte)?,
        };
        let next = self.cells.len() as u32 + 1;
        self.push(at, end, next);
        Some(end)
    }

    #[inline(always)]
    fn number_or_word(&self, at: usize, byte: u8) -> Option<usize> {
        if byte.is_ascii_digit() || byte == b'-' {
            return self.number(at);
        }
        let word: &[u8] = match byte {
            b't' => b"true",
            b'f' => b"false",
            b'n' => b"null",
            b'N' => b"NaN",
            b'I' => b"Infinity",
            _ => return None,
        };
        self.text[at..].starts_with(word).then_some(at + word.len())
    }

    /// Read an object or an array at its bracket.
    fn container<const OBJECT: bool>(&mut self, start: usize) -> Option<usize> {
        if self.depth >= MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let cell = self.cells.len();
        self.push(start, start, 0);
        let end = self.members::<OBJECT>(start + 1)?;
        self.depth -= 1;
        let next = self.cells.len() as u32;
        let cell = &mut self.cells[cell];
        cell.end = end as u32;
        cell.next = next;
        Some(end)
    }

    /// Read what stands between two brackets; the answer is where it ends, the closing one included.
    #[inline(always)]
    fn members<const OBJECT: bool>(&mut self, at: usize) -> Option<usize> {
        let text = self.text;
        let close = if OBJECT { b'}' } else { b']' };
        let mut at = space(text, at);
        if text.get(at) == Some(&close) {
            return Some(at + 1);
        }
        loop {
            if OBJECT {
                at = colon(text, self.key(at)?)?;
            }
            at = self.value(at)?;
            // What `json.dumps` writes comes first, then whatever else JSON allows.
            at = match text.get(at..)? {
                [b',', b' ', next, ..] if *next > b' ' => at + 2,
                [byte, ..] if *byte == close => return Some(at + 1),
                _ => {
                    at = space(text, at);
                    match *text.get(at)? {
                        b',' => space(text, at + 1),
                        byte if byte == close => return Some(at + 1),
                        _ => return None,
                    }
                }
            };
        }
    }

    /// Read a key at its quote; the answer is where it ends.
    #[inline(always)]
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
    #[inline(always)]
    fn string(&self, at: usize) -> Option<(usize, bool)> {
        let end = at + 1 + plain_run(&self.text[at + 1..]);
        match *self.text.get(end)? {
            b'"' => Some((end + 1, false)),
            b'\\' => self.escaped_string(end).map(|end| (end, true)),
            _ => None,
        }
    }

    /// The end of a string whose first escape is at `at`.
    #[cold]
    #[inline(never)]
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

    #[inline(always)]
    fn number(&self, start: usize) -> Option<usize> {
        let first = start + usize::from(self.text[start] == b'-');
        match self.text[first..].first_chunk::<16>() {
            Some(chunk) => self.short_number(first, chunk),
            None => self.long_number(first),
        }
    }

    /// A number without an exponent that ends within 16 bytes: the lengths of its parts come from one comparison, since
    /// a loop over digits would end where no processor expects it.
    #[inline(always)]
    fn short_number(&self, first: usize, chunk: &[u8; 16]) -> Option<usize> {
        let chunk = u8x16::new(*chunk);
        let off = chunk - u8x16::splat(b'0');
        let other = !off.min(u8x16::splat(9)).simd_eq(off).to_bitmask() | 1 << 16;
        let whole = other.trailing_zeros() as usize;
        if whole == 0 || (whole > 1 && self.text[first] == b'0') {
            return self.long_number(first);
        }
        let mut end = whole;
        if whole < 15 && self.text[first + whole] == b'.' {
            let part = (other >> (whole + 1)).trailing_zeros() as usize;
            if part == 0 {
                return None;
            }
            end = whole + 1 + part;
        }
        if end >= 16 || matches!(self.text[first + end], b'e' | b'E') {
            self.long_number(first)
        } else {
            Some(first + end)
        }
    }

    /// Any number, from its first digit on.
    #[inline(never)]
    fn long_number(&self, first: usize) -> Option<usize> {
        let mut at = self.digits(first);
        if at == first {
            return self.text[first..].starts_with(b"Infinity").then_some(first + 8);
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
#[inline(always)]
pub(crate) fn plain_run(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<16>() {
        let chunk = u8x16::new(*chunk);
        let control = chunk.min(u8x16::splat(0x1F)).simd_eq(chunk);
        let ends = control | chunk.simd_eq(u8x16::splat(b'"')) | chunk.simd_eq(u8x16::splat(b'\\'));
        let ends = ends.to_bitmask();
        if ends != 0 {
            return at + ends.trailing_zeros() as usize;
        }
        at += 16;
    }
    at + bytes[at..].iter().take_while(|&&b| b >= 0x20 && b != b'"' && b != b'\\').count()
}
