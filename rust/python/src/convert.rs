//! Between Python objects and values, by way of the JSON that `json.dumps` would write.

use envsim_scorer::{Syntax, Value, check_text, limits, read_value, write_json, write_text};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PySet, PyString, PyTuple};
use std::io::Write;

use crate::classes::Change;
use crate::errors;

/// Text that stays readable while the interpreter runs on.
pub(crate) enum Buffer {
    Str(PyBackedStr),
    Bytes(PyBackedBytes),
    Owned(Vec<u8>),
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Str(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Buffer {
    /// The text of a `str`, lone surrogates included.
    pub(crate) fn of_str(text: &Bound<'_, PyString>) -> PyResult<Self> {
        match PyBackedStr::try_from(text.clone()) {
            Ok(text) => Ok(Self::Str(text)),
            Err(_) => surrogate_pass(text).map(Self::Owned),
        }
    }

    /// A `str` or `bytes`, or `None` for any other type. UTF-8 bytes may begin with a byte-order mark, as for `json.loads`.
    pub(crate) fn of_text(object: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        if let Ok(text) = object.cast::<PyString>() {
            return Self::of_str(text).map(Some);
        }
        let Ok(bytes) = object.cast::<PyBytes>() else { return Ok(None) };
        let raw = bytes.as_bytes();
        let text = raw.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(raw);
        if let Err(at) = check_text(text) {
            return Err(errors::invalid_state(object.py(), &format!("the bytes are not UTF-8 at byte {at}")));
        }
        if text.len() == raw.len() {
            return Ok(Some(Self::Bytes(PyBackedBytes::from(bytes.clone()))));
        }
        Ok(Some(Self::Owned(text.to_vec())))
    }
}

fn surrogate_pass(text: &Bound<'_, PyString>) -> PyResult<Vec<u8>> {
    let bytes = text.call_method1("encode", ("utf-8", "surrogatepass"))?;
    Ok(bytes.cast::<PyBytes>()?.as_bytes().to_vec())
}

/// The form in which a state came in, and so goes out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Dict,
    Str,
    Bytes,
}

/// The JSON of a value, and the form in which it came.
pub(crate) struct Source {
    text: Buffer,
    form: Form,
}

impl Source {
    /// Anything that can stand for a value: `str` or `bytes` of JSON, else the Python object itself.
    ///
    /// Raises TypeError for types that JSON does not have, InvalidState beyond the limits.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        match Buffer::of_text(object)? {
            Some(text) => {
                let form = if object.is_instance_of::<PyString>() { Form::Str } else { Form::Bytes };
                Ok(Self { text, form })
            }
            None => {
                let mut json = Vec::new();
                write_object(&mut json, object, 0)?;
                Ok(Self { text: Buffer::Owned(json), form: Form::Dict })
            }
        }
    }

    /// One operation: a change, or whatever else it is written as.
    pub(crate) fn of_operation(operation: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut json = Vec::new();
        match operation.cast::<Change>() {
            Ok(change) => write_json(&mut json, &change.get().0.to_operation()),
            Err(_) => write_object(&mut json, operation, 0)?,
        }
        Ok(Self { text: Buffer::Owned(json), form: Form::Dict })
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    pub(crate) fn text(&self) -> &[u8] {
        self.text.as_ref()
    }

    /// The value, or why the text is none.
    pub(crate) fn value(&self) -> Result<Value<'_>, String> {
        read_value(self.text(), Syntax::Json).map_err(|error| format!("not JSON: {error}"))
    }

    /// The value, which has to be an object.
    pub(crate) fn state(&self, py: Python<'_>) -> PyResult<Value<'_>> {
        match self.value().map_err(|why| errors::invalid_state(py, &why))? {
            state @ Value::Object(_) => Ok(state),
            _ => Err(errors::invalid_state(py, "a state is a JSON object")),
        }
    }
}

/// Append the JSON of a Python object: the value that `json.dumps` would write.
fn write_object(out: &mut Vec<u8>, object: &Bound<'_, PyAny>, depth: usize) -> PyResult<()> {
    if let Ok(text) = object.cast::<PyString>() {
        return write_str(out, text);
    }
    if object.is_none() {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    if let Ok(boolean) = object.cast::<PyBool>() {
        out.extend_from_slice(if boolean.is_true() { b"true" } else { b"false" });
        return Ok(());
    }
    if let Ok(int) = object.cast::<PyInt>() {
        return write_int(out, int);
    }
    if let Ok(float) = object.cast::<PyFloat>() {
        match float.value() {
            // Not as Python writes it, but the same number, and quicker.
            finite if finite.is_finite() => _ = write!(out, "{finite:e}"),
            other => write_json(out, &Value::Float(other)),
        }
        return Ok(());
    }
    if depth == limits::MAX_DEPTH {
        return Err(errors::invalid_state(object.py(), &format!("nested deeper than {}", limits::MAX_DEPTH)));
    }
    if let Ok(dict) = object.cast::<PyDict>() {
        out.push(b'{');
        for (i, (key, value)) in dict.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_key(out, &key)?;
            out.push(b':');
            write_object(out, &value, depth + 1)?;
        }
        out.push(b'}');
        return Ok(());
    }
    if let Ok(list) = object.cast::<PyList>() {
        return write_items(out, list.iter(), depth);
    }
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return write_items(out, tuple.iter(), depth);
    }
    let name = object.get_type().name()?;
    Err(PyTypeError::new_err(format!(
        "a value of type {name} has no place in JSON; use dict, list, str, int, float, bool or None"
    )))
}

fn write_items<'py>(out: &mut Vec<u8>, items: impl Iterator<Item = Bound<'py, PyAny>>, depth: usize) -> PyResult<()> {
    out.push(b'[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_object(out, &item, depth + 1)?;
    }
    out.push(b']');
    Ok(())
}

fn write_str(out: &mut Vec<u8>, text: &Bound<'_, PyString>) -> PyResult<()> {
    match text.to_str() {
        Ok(text) => write_text(out, text.as_bytes()),
        Err(_) => write_text(out, &surrogate_pass(text)?),
    }
    Ok(())
}

fn write_key(out: &mut Vec<u8>, key: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(text) = key.cast::<PyString>() {
        return write_str(out, text);
    }
    let mut scalar = Vec::new();
    let written = match key.cast::<PyFloat>() {
        // As a key a number is text, and so has to be written as Python writes it.
        Ok(float) => {
            write_json(&mut scalar, &Value::Float(float.value()));
            Ok(())
        }
        Err(_) => write_object(&mut scalar, key, limits::MAX_DEPTH),
    };
    match written {
        Ok(()) => {
            write_text(out, &scalar);
            Ok(())
        }
        Err(_) => {
            let name = key.get_type().name()?;
            Err(PyTypeError::new_err(format!("a key of type {name} has no place in JSON")))
        }
    }
}

/// Digits that Python turns into an `int` (and back) whatever its limit is set to.
const SAFE_DIGITS: usize = 600;

fn write_int(out: &mut Vec<u8>, int: &Bound<'_, PyInt>) -> PyResult<()> {
    if let Ok(small) = int.extract::<i64>() {
        _ = write!(out, "{small}");
        return Ok(());
    }
    let bits: usize = int.call_method0("bit_length")?.extract()?;
    if bits / 3 > limits::MAX_INTEGER_DIGITS {
        return Err(errors::invalid_state(int.py(), "an integer of more than 1000000 digits"));
    }
    let mut digits = String::new();
    write_digits(&int.call_method0("__abs__")?, bits / 3 + 1, &mut digits)?;
    if int.lt(0)? {
        out.push(b'-');
    }
    out.extend_from_slice(digits.trim_start_matches('0').as_bytes());
    Ok(())
}

/// Append the digits of a non-negative int, padded to `width`; halves, because `str` is quadratic and limited.
fn write_digits(int: &Bound<'_, PyAny>, width: usize, out: &mut String) -> PyResult<()> {
    if width <= SAFE_DIGITS {
        out.push_str(&format!("{:0>width$}", int.str()?.to_str()?));
        return Ok(());
    }
    let low_width = width / 2;
    let split = int.py().get_type::<PyInt>().call1((10,))?.pow(low_width, int.py().None())?;
    let (high, low): (Bound<'_, PyAny>, Bound<'_, PyAny>) = int.divmod(split)?.extract()?;
    write_digits(&high, width - low_width, out)?;
    write_digits(&low, low_width, out)
}

fn big_int<'py>(py: Python<'py>, digits: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    if let Some(digits) = digits.strip_prefix(b"-") {
        return big_int(py, digits)?.neg();
    }
    if digits.len() <= SAFE_DIGITS {
        return py.get_type::<PyInt>().call1((String::from_utf8_lossy(digits),));
    }
    let (high, low) = digits.split_at(digits.len() / 2);
    let split = py.get_type::<PyInt>().call1((10,))?.pow(low.len(), py.None())?;
    big_int(py, high)?.mul(split)?.add(big_int(py, low)?)
}

/// The `str` of a text.
pub(crate) fn text_to_python<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyString>> {
    match std::str::from_utf8(text) {
        Ok(text) => Ok(PyString::new(py, text)),
        Err(_) => PyString::from_encoded_object(&PyBytes::new(py, text), Some(c"utf-8"), Some(c"surrogatepass")),
    }
}

/// The Python object of a value. The items of a set become tuples where they are lists.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(boolean) => PyBool::new(py, *boolean).to_owned().into_any(),
        Value::Int(int) => int.into_pyobject(py)?.into_any(),
        Value::Big(digits) => big_int(py, digits)?,
        Value::Float(float) => PyFloat::new(py, *float).into_any(),
        Value::Str(text) => text_to_python(py, text)?.into_any(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(to_python(py, item)?)?;
            }
            list.into_any()
        }
        Value::Set(items) => {
            let set = PySet::empty(py)?;
            for item in items {
                set.add(to_hashable(py, item)?)?;
            }
            set.into_any()
        }
        Value::Object(object) => {
            let dict = PyDict::new(py);
            for (key, value) in object.iter() {
                dict.set_item(text_to_python(py, key)?, to_python(py, value)?)?;
            }
            dict.into_any()
        }
    })
}

fn to_hashable<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| to_hashable(py, item)).collect::<PyResult<_>>()?;
            Ok(PyTuple::new(py, items)?.into_any())
        }
        scalar => to_python(py, scalar),
    }
}

/// A value in the form in which its state came in.
pub(crate) fn in_form<'py>(py: Python<'py>, value: &Value, form: Form) -> PyResult<Bound<'py, PyAny>> {
    match form {
        Form::Dict => to_python(py, value),
        Form::Str => Ok(text_to_python(py, &envsim_scorer::to_json(value))?.into_any()),
        Form::Bytes => Ok(PyBytes::new(py, &envsim_scorer::to_json(value)).into_any()),
    }
}
