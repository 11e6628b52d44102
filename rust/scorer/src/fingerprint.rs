//! Fingerprints: equal states have equal digests, on every machine.

use crate::number::integral_digits;
use crate::value::Value;
use sha2::{Digest, Sha256};

/// The SHA-256 of a value's canonical form, as 64 hex digits. Equal values, and in practice only they, share one.
pub fn fingerprint(value: &Value) -> String {
    let mut hasher = Sha256::new();
    feed(&mut hasher, value);
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every part is a tag, a length and its bytes, so that no two values share a canonical form.
fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Null => feed_bytes(hasher, b'n', b""),
        Value::Bool(b) => feed_bytes(hasher, b'b', if *b { b"1" } else { b"0" }),
        Value::Int(int) => feed_bytes(hasher, b'i', int.to_string().as_bytes()),
        Value::Big(digits) => feed_bytes(hasher, b'i', digits),
        Value::Float(float) => match integral_digits(*float) {
            Some(digits) => feed_bytes(hasher, b'i', digits.as_bytes()),
            None if float.is_nan() => feed_bytes(hasher, b'f', b"nan"),
            None => feed_bytes(hasher, b'f', &float.to_bits().to_be_bytes()),
        },
        Value::Str(text) => feed_bytes(hasher, b's', text),
        Value::Array(items) | Value::Set(items) => {
            feed_length(hasher, b'a', items.len());
            items.iter().for_each(|item| feed(hasher, item));
        }
        Value::Object(object) => {
            feed_length(hasher, b'o', object.len());
            for (key, value) in object.sorted() {
                feed_bytes(hasher, b'k', key);
                feed(hasher, value);
            }
        }
    }
}

fn feed_bytes(hasher: &mut Sha256, tag: u8, bytes: &[u8]) {
    feed_length(hasher, tag, bytes.len());
    hasher.update(bytes);
}

fn feed_length(hasher: &mut Sha256, tag: u8, length: usize) {
    hasher.update([tag]);
    hasher.update((length as u64).to_be_bytes());
}
