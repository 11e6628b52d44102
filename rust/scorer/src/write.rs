//! Writing values as `json.dumps` writes them, byte for byte.

use crate::number::write_float;
use crate::scan::plain_run;
use crate::text::code_points;
use crate::value::Value;

/// The JSON text of a value as `json.dumps(value)` writes it: ASCII only, `", "` and `": "`, floats as `repr`.
///
/// A set is written as a list; JSON has none.
pub fn to_json(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_json(&mut out, value);
    out
}

/// As [`to_json`], appended to `out`.
pub fn write_json(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(int) => out.extend_from_slice(int.to_string().as_bytes()),
        Value::Big(digits) => out.extend_from_slice(digits),
        Value::Float(float) => write_float(out, *float),
        Value::Str(text) => write_string(out, text),
        Value::Array(items) | Value::Set(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                separate(out, i);
                write_json(out, item);
            }
            out.push(b']');
        }
        Value::Object(object) => {
            out.push(b'{');
            for (i, (key, value)) in object.iter().enumerate() {
                separate(out, i);
                write_string(out, key);
                out.extend_from_slice(b": ");
                write_json(out, value);
            }
            out.push(b'}');
        }
    }
}

fn separate(out: &mut Vec<u8>, i: usize) {
    if i > 0 {
        out.extend_from_slice(b", ");
    }
}

/// Append a JSON string, of which only what has to be escaped is: text that is read again by this crate.
pub fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    loop {
        let run = plain_run(rest);
        out.extend_from_slice(&rest[..run]);
        match rest.get(run) {
            None => break,
            Some(quote @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', *quote]),
            Some(control) => write_unit(out, u32::from(*control)),
        }
        rest = &rest[run + 1..];
    }
    out.push(b'"');
}

fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for code in code_points(text) {
        match code {
            0x22 => out.extend_from_slice(b"\\\""),
            0x5C => out.extend_from_slice(b"\\\\"),
            0x0A => out.extend_from_slice(b"\\n"),
            0x0D => out.extend_from_slice(b"\\r"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            0x20..=0x7E => out.push(code as u8),
            0x1_0000.. => {
                let offset = code - 0x1_0000;
                write_unit(out, 0xD800 + (offset >> 10));
                write_unit(out, 0xDC00 + (offset & 0x3FF));
            }
            _ => write_unit(out, code),
        }
    }
    out.push(b'"');
}

fn write_unit(out: &mut Vec<u8>, unit: u32) {
    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
}
