//! Between Python objects and values: what `json.dumps` would write, without writing it.

use envsim_scorer::{Object, Syntax, Text, Value, check_text, limits, read_value};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PySet, PyString, PyTuple};
use std::borrow::Cow;

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

/// A value with the text that it borrows from.
pub(crate) enum Source {
    Text(Buffer, Form),
    Value(Value<'static>),
}

impl Source {
    /// Anything that can stand for a value: `str` or `bytes` of JSON, else the Python object itself.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        match Buffer::of_text(object)? {
            Some(text) => {
                let form = if object.is_instance_of::<PyString>() { Form::Str } else { Form::Bytes };
                Ok(Self::Text(text, form))
            }
            None => from_python(object).map(Self::Value),
        }
    }

    pub(crate) fn form(&self) -> Form {
        match self {
            Self::Text(_, form) => *form,
            Self::Value(_) => Form::Dict,
        }
    }

    /// The value, or why the text is none.
    pub(crate) fn value(&self) -> Result<Cow<'_, Value<'_>>, String> {
        match self {
            Self::Value(value) => Ok(Cow::Borrowed(value)),
            Self::Text(text, _) => {
                read_value(text.as_ref(), Syntax::Json).map(Cow::Owned).map_err(|error| format!("not JSON: {error}"))
            }
        }
    }

    /// The value, which has to be an object.
    pub(crate) fn state(&self, py: Python<'_>) -> PyResult<Cow<'_, Value<'_>>> {
        let value = self.value().map_err(|why| errors::invalid_state(py, &why))?;
        match *value {
            Value::Object(_) => Ok(value),
            _ => Err(errors::invalid_state(py, "a state is a JSON object")),
        }
    }
}

/// The value of a Python object: what a round trip through `json.dumps` would make of it.
///
/// Raises TypeError for types that JSON does not have, InvalidState beyond the depth limit.
pub(crate) fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Value<'static>> {
    read_object(object, 0)
}

fn read_object(object: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value<'static>> {
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Value::Str(own_text(text)?));
    }
    if object.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(boolean) = object.cast::<PyBool>() {
        return Ok(Value::Bool(boolean.is_true()));
    }
    if let Ok(int) = object.cast::<PyInt>() {
        return read_int(int);
    }
    if let Ok(float) = object.cast::<PyFloat>() {
        return Ok(Value::Float(float.value()));
    }
    if depth == limits::MAX_DEPTH {
        return Err(errors::invalid_state(object.py(), &format!("nested deeper than {}", limits::MAX_DEPTH)));
    }
    if let Ok(dict) = object.cast::<PyDict>() {
        let mut entries = Object::default();
        for (key, value) in dict.iter() {
            entries.insert(read_key(&key)?, read_object(&value, depth + 1)?);
        }
        return Ok(Value::Object(entries));
    }
    if let Ok(list) = object.cast::<PyList>() {
        return list.iter().map(|item| read_object(&item, depth + 1)).collect::<PyResult<_>>().map(Value::Array);
    }
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return tuple.iter().map(|item| read_object(&item, depth + 1)).collect::<PyResult<_>>().map(Value::Array);
    }
    let name = object.get_type().name()?;
    Err(PyTypeError::new_err(format!(
        "a value of type {name} has no place in JSON; use dict, list, str, int, float, bool or None"
    )))
}

fn own_text(text: &Bound<'_, PyString>) -> PyResult<Text<'static>> {
    match text.to_str() {
        Ok(text) => Ok(Cow::Owned(text.as_bytes().to_vec())),
        Err(_) => surrogate_pass(text).map(Cow::Owned),
    }
}

fn read_key(key: &Bound<'_, PyAny>) -> PyResult<Text<'static>> {
    if let Ok(text) = key.cast::<PyString>() {
        return own_text(text);
    }
    match read_object(key, limits::MAX_DEPTH) {
        Ok(scalar) => Ok(Cow::Owned(envsim_scorer::to_json(&scalar))),
        Err(_) => {
            let name = key.get_type().name()?;
            Err(PyTypeError::new_err(format!("a key of type {name} has no place in JSON")))
        }
    }
}

/// Digits that Python turns into an `int` (and back) whatever its limit is set to.
const SAFE_DIGITS: usize = 600;

fn read_int(int: &Bound<'_, PyInt>) -> PyResult<Value<'static>> {
    if let Ok(small) = int.extract::<i64>() {
        return Ok(Value::Int(small));
    }
    let bits: usize = int.call_method0("bit_length")?.extract()?;
    if bits / 3 > limits::MAX_INTEGER_DIGITS {
        return Err(errors::invalid_state(int.py(), "an integer of more than 1000000 digits"));
    }
    let negative = int.lt(0)?;
    let mut digits = String::new();
    write_digits(&int.call_method0("__abs__")?, bits / 3 + 1, &mut digits)?;
    let digits = digits.trim_start_matches('0');
    Ok(Value::Big(Cow::Owned(format!("{}{digits}", if negative { "-" } else { "" }).into_bytes())))
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
