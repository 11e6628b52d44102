//! Text as generalised UTF-8: code points as bytes, lone surrogates included, so that byte order is code point order.

use std::borrow::Cow;

/// The length of the code point that starts at `bytes[0]`, or 0 where no generalised UTF-8 code point starts.
fn code_point_len(bytes: &[u8]) -> usize {
    let tail = |i: usize, low: u8, high: u8| bytes.get(i).is_some_and(|b| (low..=high).contains(b));
    let next = |i: usize| tail(i, 0x80, 0xBF);
    match bytes.first() {
        Some(0x00..=0x7F) => 1,
        Some(0xC2..=0xDF) if next(1) => 2,
        Some(0xE0) if tail(1, 0xA0, 0xBF) && next(2) => 3,
        // 0xED 0xA0..0xBF are the surrogates: Python's `surrogatepass` lets them through, and so do we.
        Some(0xE1..=0xEF) if next(1) && next(2) => 3,
        Some(0xF0) if tail(1, 0x90, 0xBF) && next(2) && next(3) => 4,
        Some(0xF1..=0xF3) if next(1) && next(2) && next(3) => 4,
        Some(0xF4) if tail(1, 0x80, 0x8F) && next(2) && next(3) => 4,
        _ => 0,
    }
}

/// Check that `bytes` are generalised UTF-8; the error is the offset of the first byte that is not.
pub fn check_text(bytes: &[u8]) -> Result<(), usize> {
    let mut start = match std::str::from_utf8(bytes) {
        Ok(_) => return Ok(()),
        Err(error) => error.valid_up_to(),
    };
    while start < bytes.len() {
        match code_point_len(&bytes[start..]) {
            0 => return Err(start),
            length => start += length,
        }
    }
    Ok(())
}

/// Text for people: lone surrogates and broken bytes become U+FFFD.
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Append a code point (a surrogate is allowed; anything above U+10FFFF is not).
pub(crate) fn push_code_point(out: &mut Vec<u8>, code: u32) {
    match char::from_u32(code) {
        Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.extend_from_slice(&[
            0xE0 | (code >> 12) as u8,
            0x80 | ((code >> 6) & 0x3F) as u8,
            0x80 | (code & 0x3F) as u8,
        ]),
    }
}

/// The code points of generalised UTF-8.
pub(crate) fn code_points(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let first = u32::from(*rest.first()?);
        let length = code_point_len(rest).max(1);
        let mask = [0x7F, 0x7F, 0x1F, 0x0F, 0x07][length];
        let code = rest[1..length].iter().fold(first & mask, |code, &b| code << 6 | u32::from(b & 0x3F));
        rest = &rest[length..];
        Some(code)
    })
}

/// `text` without the white space around it, as Python's `str.strip` sees white space.
pub(crate) fn strip(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let Some(length) = leading_space(rest) {
        rest = &rest[length..];
    }
    while let Some(length) = trailing_space(rest) {
        rest = &rest[..rest.len() - length];
    }
    rest
}

fn leading_space(text: &[u8]) -> Option<usize> {
    let length = code_point_len(text);
    let code = code_points(text).next()?;
    (length > 0 && is_space(code)).then_some(length)
}

fn trailing_space(text: &[u8]) -> Option<usize> {
    let length = text.iter().rev().take(4).position(|b| b & 0xC0 != 0x80)? + 1;
    let code = code_points(&text[text.len() - length..]).next()?;
    is_space(code).then_some(length)
}

/// What `str.isspace` says: Unicode white space plus the four information separators.
fn is_space(code: u32) -> bool {
    matches!(code, 0x1C..=0x1F) || char::from_u32(code).is_some_and(char::is_whitespace)
}
