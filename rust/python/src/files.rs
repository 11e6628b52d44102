//! Files and benchmarks from Python: a benchmark in memory, verdicts as an Arrow stream, and whole files.

use crate::classes::Verdict;
use crate::convert::{Buffer, text_to_python};
use crate::{errors, read_completion};
use arrow_array::ffi::FFI_ArrowSchema;
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{RecordBatch, RecordBatchIterator};
use envsim_files as files;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyList, PyMapping, PyString};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the interpreter is asked for (signals, progress) while it is released.
const PAUSE: Duration = Duration::from_millis(50);

/// Ids that an error about an unknown one compares it with, at most.
const COMPARED_IDS: usize = 10_000;

const NOWHERE: files::Progress = files::Progress { rows_done: 0, bytes_done: 0, bytes_total: 0 };

/// What happens in the interpreter between batches: signals, and what else `call` does. Keeps its exception.
struct Between<F> {
    call: F,
    last: Instant,
    raised: Option<PyErr>,
}

impl<F: FnMut(Python<'_>, files::Progress) -> PyResult<()>> Between<F> {
    fn new(call: F) -> Self {
        Self { call, last: Instant::now(), raised: None }
    }

    fn tick(&mut self, at: files::Progress) -> ControlFlow<()> {
        let at_the_end = at.bytes_total > 0 && at.bytes_done == at.bytes_total;
        if !at_the_end && self.last.elapsed() < PAUSE {
            return ControlFlow::Continue(());
        }
        self.last = Instant::now();
        match Python::attach(|py| py.check_signals().and_then(|()| (self.call)(py, at))) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.raised = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn outcome<R>(self, py: Python<'_>, result: Result<R, files::Error>) -> PyResult<R> {
        match (result, self.raised) {
            (Ok(result), _) => Ok(result),
            (Err(files::Error::BadFile(error)), _) => Err(errors::bad_file(py, &error)),
            (Err(files::Error::Interrupted), Some(raised)) => Err(raised),
            (Err(files::Error::Interrupted), None) => Err(PyValueError::new_err("interrupted")),
        }
    }
}

/// The samples of a file, read once and kept outside Python: cheap to share between threads, quick to score.
#[pyclass(frozen, module = "envsim_core")]
pub(crate) struct Benchmark(files::Benchmark);

#[pymethods]
impl Benchmark {
    /// Read samples from JSONL (plain, gzip, Zstandard) or Parquet (states as JSON text). Each has an id of its own.
    ///
    /// Raises BadFile naming file, line and field.
    #[staticmethod]
    #[pyo3(signature = (path, threads=None))]
    fn load(py: Python<'_>, path: PathBuf, threads: Option<usize>) -> PyResult<Self> {
        let mut between = Between::new(|_, _| Ok(()));
        let loaded = py.detach(|| files::Benchmark::load(&path, threads.unwrap_or(0), &mut || between.tick(NOWHERE)));
        between.outcome(py, loaded).map(Self)
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// The ids of the samples, in order.
    #[getter]
    fn sample_ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let ids: Vec<_> = self.0.ids().map(|id| text_to_python(py, id)).collect::<PyResult<_>>()?;
        PyList::new(py, ids)
    }

    /// One verdict per sample, in the benchmark's order; a completion is a str, or None where infrastructure failed.
    ///
    /// Completions are a mapping from sample_id, or a sequence in the benchmark's order. `threads` as in `score_batch`.
    /// Raises UnknownName for an id that no sample has, ValueError for a sample without a completion.
    #[pyo3(signature = (completions, threads=None))]
    fn score(&self, py: Python<'_>, completions: &Bound<'_, PyAny>, threads: Option<usize>) -> PyResult<Vec<Verdict>> {
        let completions = self.read(completions)?;
        let mut between = Between::new(|_, _| Ok(()));
        let verdicts = py.detach(|| self.0.score(&completions, threads.unwrap_or(0), &mut || between.tick(NOWHERE)));
        Ok(between.outcome(py, verdicts)?.into_iter().map(Verdict).collect())
    }

    /// As `score`, as a table that polars, pyarrow, duckdb and others take as an Arrow stream, without a copy.
    #[pyo3(signature = (completions, threads=None))]
    fn score_arrow(
        &self,
        py: Python<'_>,
        completions: &Bound<'_, PyAny>,
        threads: Option<usize>,
    ) -> PyResult<VerdictTable> {
        let completions = self.read(completions)?;
        let mut between = Between::new(|_, _| Ok(()));
        let batches =
            py.detach(|| self.0.score_arrow(&completions, threads.unwrap_or(0), &mut || between.tick(NOWHERE)));
        Ok(VerdictTable { batches: between.outcome(py, batches)? })
    }

    fn __repr__(&self) -> String {
        format!("Benchmark({} samples)", self.0.len())
    }
}

impl Benchmark {
    /// The completions in the order of the benchmark.
    fn read(&self, completions: &Bound<'_, PyAny>) -> PyResult<Vec<Option<Buffer>>> {
        match completions.cast::<PyMapping>() {
            Ok(mapping) => self.read_mapping(mapping),
            Err(_) if completions.is_instance_of::<PyString>() => {
                Err(PyTypeError::new_err("completions are a mapping or a sequence of texts, not one text"))
            }
            Err(_) => {
                let completions = completions.try_iter()?;
                let completions = completions.map(|text| read_completion(&text?)).collect::<PyResult<Vec<_>>>()?;
                if completions.len() != self.0.len() {
                    let (samples, completions) = (self.0.len(), completions.len());
                    return Err(PyValueError::new_err(format!("{samples} samples but {completions} completions")));
                }
                Ok(completions)
            }
        }
    }

    fn read_mapping(&self, mapping: &Bound<'_, PyMapping>) -> PyResult<Vec<Option<Buffer>>> {
        let py = mapping.py();
        let mut found: Vec<Option<Option<Buffer>>> = Vec::new();
        found.resize_with(self.0.len(), || None);
        let mut put = |id: Bound<'_, PyAny>, completion: Bound<'_, PyAny>| -> PyResult<()> {
            let Ok(text) = id.cast::<PyString>() else {
                let name = id.get_type().name()?;
                return Err(PyTypeError::new_err(format!("a sample_id is a str; not {name}")));
            };
            match self.0.position(Buffer::of_str(text)?.as_ref()) {
                Some(at) => found[at] = Some(read_completion(&completion)?),
                None => {
                    let ids = self.0.ids().take(COMPARED_IDS).map(|id| text_to_python(py, id));
                    let known = PyList::new(py, ids.collect::<PyResult<Vec<_>>>()?)?;
                    return Err(errors::unknown_name(py, "sample", id, known.into_any()));
                }
            }
            Ok(())
        };
        match mapping.cast::<PyDict>() {
            Ok(dict) => dict.iter().try_for_each(|(id, completion)| put(id, completion))?,
            Err(_) => {
                for item in mapping.items()?.iter() {
                    let (id, completion) = item.extract()?;
                    put(id, completion)?;
                }
            }
        }
        let missing = found.iter().filter(|completion| completion.is_none()).count();
        if missing > 0 {
            let first = found.iter().zip(self.0.ids()).find(|(completion, _)| completion.is_none());
            let id = text_to_python(py, first.map_or(b"", |(_, id)| id))?.repr()?;
            return Err(PyValueError::new_err(format!(
                "no completion for {missing} samples, the first is {id} (None says that infrastructure failed)"
            )));
        }
        Ok(found.into_iter().flatten().collect())
    }
}

/// Verdicts as a table: one column per field; those of `first_mismatch` begin with `mismatch_` and hold JSON text.
///
/// Whatever takes an Arrow stream reads it: `polars.DataFrame(table)`, `pyarrow.table(table)`, duckdb.
#[pyclass(frozen, module = "envsim_core")]
pub(crate) struct VerdictTable {
    batches: Vec<RecordBatch>,
}

#[pymethods]
impl VerdictTable {
    fn __len__(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The table's schema as a PyCapsule of the Arrow C data interface.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = FFI_ArrowSchema::try_from(files::schema().as_ref());
        PyCapsule::new_with_value(
            py,
            schema.map_err(|error| PyValueError::new_err(error.to_string()))?,
            c"arrow_schema",
        )
    }

    /// The table as a PyCapsule of the Arrow C stream interface. A requested schema is not heeded.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        let batches = self.batches.clone().into_iter().map(Ok);
        let stream =
            FFI_ArrowArrayStream::new(Box::new(RecordBatchIterator::new(batches, Arc::clone(&files::schema()))));
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }

    fn __repr__(&self) -> String {
        format!("VerdictTable({} rows)", self.__len__())
    }
}

/// What `score_file` found, counted.
#[pyclass(frozen, module = "envsim_core", eq)]
#[derive(PartialEq)]
pub(crate) struct Summary(files::Summary);

#[pymethods]
impl Summary {
    /// Verdicts in all.
    #[getter]
    fn rows(&self) -> u64 {
        self.0.rows
    }

    /// Verdicts per outcome, zeros included.
    #[getter]
    fn outcomes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        counts(py, self.0.outcomes())
    }

    /// Verdicts per failure, zeros included.
    #[getter]
    fn failures<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        counts(py, self.0.failures())
    }

    /// Verdicts with Config Match.
    #[getter]
    fn config_match(&self) -> u64 {
        self.0.config_match
    }

    /// Verdicts with Feedback Match.
    #[getter]
    fn feedback_match(&self) -> u64 {
        self.0.feedback_match
    }

    /// Verdicts with Feedback Match and without Config Match.
    #[getter]
    fn silent_corruption(&self) -> u64 {
        self.0.silent_corruption
    }

    /// Every field as plain data that `json.dumps` writes.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("rows", self.0.rows)?;
        dict.set_item("outcomes", self.outcomes(py)?)?;
        dict.set_item("failures", self.failures(py)?)?;
        dict.set_item("config_match", self.0.config_match)?;
        dict.set_item("feedback_match", self.0.feedback_match)?;
        dict.set_item("silent_corruption", self.0.silent_corruption)?;
        Ok(dict)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Summary({})", self.to_dict(py)?.repr()?))
    }
}

fn counts<'py>(py: Python<'py>, counts: impl Iterator<Item = (&'static str, u64)>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (word, count) in counts {
        dict.set_item(word, count)?;
    }
    Ok(dict)
}

/// Score a file of completions against a benchmark file and write the verdicts to Parquet, in constant memory.
///
/// Inputs are JSONL (plain, gzip or Zstandard) or Parquet, matched by `sample_id`: in the benchmark's order they stream
/// through, in any other order they are looked up. A completion that is null counts as failed. `progress` is called
/// with (rows_done, bytes_done, bytes_total) up to 20 times a second, and at the end.
/// An interrupted run leaves a folder `.NAME.partial`, and the next call with the same inputs goes on from there; the
/// verdict file appears when it is whole, with the same bytes. Raises BadFile naming file, line and field.
#[pyfunction]
#[pyo3(signature = (benchmark, completions, verdicts, threads=None, progress=None))]
pub(crate) fn score_file(
    py: Python<'_>,
    benchmark: PathBuf,
    completions: PathBuf,
    verdicts: PathBuf,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Summary> {
    let mut between = Between::new(|py, at| match &progress {
        Some(progress) => progress.call1(py, (at.rows_done, at.bytes_done, at.bytes_total)).map(drop),
        None => Ok(()),
    });
    let mut tick = |at| between.tick(at);
    let summary = py.detach(|| files::score_file(&benchmark, &completions, &verdicts, threads.unwrap_or(0), &mut tick));
    between.outcome(py, summary).map(Summary)
}
