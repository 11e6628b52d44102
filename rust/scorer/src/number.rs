//! Numbers: equal when mathematically equal, ordered the same way, and written as Python writes them.

use crate::value::Value;
use std::cmp::Ordering;

/// 2^63 as a double: at and above it no `i64` reaches.
const I64_END: f64 = 9_223_372_036_854_775_808.0;

/// Order two numbers by their mathematical value; `NaN` equals itself and comes last.
///
/// Both values must be numbers.
pub(crate) fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => compare_floats(*a, *b),
        (Value::Int(a), Value::Float(b)) => compare_int_float(*a, *b),
        (Value::Float(a), Value::Int(b)) => compare_int_float(*b, *a).reverse(),
        (Value::Big(a), Value::Big(b)) => compare_digits(a, b),
        (Value::Big(a), Value::Int(_)) => big_sign(a),
        (Value::Int(_), Value::Big(b)) => big_sign(b).reverse(),
        (Value::Big(a), Value::Float(b)) => compare_big_float(a, *b),
        (Value::Float(a), Value::Big(b)) => compare_big_float(b, *a).reverse(),
        _ => unreachable!("compare() is called with numbers only"),
    }
}

fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn compare_int_float(int: i64, float: f64) -> Ordering {
    if float.is_nan() || float >= I64_END {
        Ordering::Less
    } else if float < -I64_END {
        Ordering::Greater
    } else {
        let whole = float.trunc();
        int.cmp(&(whole as i64)).then_with(|| compare_floats(0.0, float - whole))
    }
}

/// A big integer lies outside the range of `i64`, so its sign decides against one.
fn big_sign(digits: &[u8]) -> Ordering {
    if digits.starts_with(b"-") { Ordering::Less } else { Ordering::Greater }
}

fn compare_digits(a: &[u8], b: &[u8]) -> Ordering {
    match (a.strip_prefix(b"-"), b.strip_prefix(b"-")) {
        (None, None) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
        (Some(a), Some(b)) => b.len().cmp(&a.len()).then_with(|| b.cmp(a)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}

fn compare_big_float(digits: &[u8], float: f64) -> Ordering {
    if float.is_nan() || float == f64::INFINITY {
        Ordering::Less
    } else if float == f64::NEG_INFINITY {
        Ordering::Greater
    } else if float.abs() < I64_END {
        big_sign(digits)
    } else {
        // Every double of this size is an integer, and `{:.0}` prints all of its digits exactly.
        compare_digits(digits, format!("{float:.0}").as_bytes())
    }
}

/// The digits of an integral double, as an integer would be written, or `None` where it is not an integer.
pub(crate) fn integral_digits(float: f64) -> Option<String> {
    if !float.is_finite() || float.fract() != 0.0 {
        None
    } else if float == 0.0 {
        Some("0".to_owned())
    } else {
        Some(format!("{float:.0}"))
    }
}

/// Append what Python's `repr` writes for a finite double, and `NaN`, `Infinity`, `-Infinity` as `json.dumps` does.
pub(crate) fn write_float(out: &mut Vec<u8>, float: f64) {
    if !float.is_finite() {
        let text = if float.is_nan() {
            "NaN"
        } else if float > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let shortest = format!("{float:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    out.extend_from_slice(sign.as_bytes());
    let point = exponent + 1;
    let length = digits.len() as i32;
    // The same thresholds as `repr`: scientific below 1e-4 and from 1e16 on.
    let text = if !(-4..16).contains(&exponent) {
        let (head, tail) = digits.split_at(1);
        let dot = if tail.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{head}{dot}{tail}e{sign}{:02}", exponent.abs())
    } else if point <= 0 {
        format!("0.{}{digits}", "0".repeat(-point as usize))
    } else if length <= point {
        format!("{digits}{}.0", "0".repeat((point - length) as usize))
    } else {
        let (head, tail) = digits.split_at(point as usize);
        format!("{head}.{tail}")
    };
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::write_float;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let rows = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e15, "1000000000000000.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (5e-324, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (-12.75, "-12.75"),
        ];
        for (float, text) in rows {
            let mut out = Vec::new();
            write_float(&mut out, float);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }
}
