//! Errors: the exceptions of `envsim_core.errors`, raised by name.

use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

fn raise<'py>(py: Python<'py>, name: &str, arguments: impl PyCallArgs<'py>) -> PyErr {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let error = move || -> PyResult<PyErr> {
        let module = MODULE.get_or_try_init(py, || py.import("envsim_core.errors").map(Bound::unbind))?.bind(py);
        Ok(PyErr::from_value(module.getattr(name)?.call1(arguments)?))
    };
    error().unwrap_or_else(|error| error)
}

pub(crate) fn invalid_state(py: Python<'_>, why: &str) -> PyErr {
    raise(py, "InvalidState", (why,))
}

pub(crate) fn invalid_sample(py: Python<'_>, index: Option<usize>, why: &str) -> PyErr {
    raise(py, "InvalidSample", (index, why))
}

pub(crate) fn inapplicable(py: Python<'_>, index: usize, reason: &str) -> PyErr {
    raise(py, "InapplicableOperation", (index, reason))
}

pub(crate) fn unparsed(py: Python<'_>, reason: &str) -> PyErr {
    match crate::classes::word(py, "UnparsedReason", reason) {
        Ok(reason) => raise(py, "Unparsed", (reason,)),
        Err(error) => error,
    }
}

pub(crate) fn bad_file(py: Python<'_>, error: &envsim_files::BadFile) -> PyErr {
    raise(py, "BadFile", (error.path.as_os_str(), error.line, error.field.as_deref(), error.why.as_str()))
}

pub(crate) fn unknown_name(py: Python<'_>, kind: &str, name: Bound<'_, PyAny>, known: Bound<'_, PyAny>) -> PyErr {
    raise(py, "UnknownName", (kind, name, known))
}
