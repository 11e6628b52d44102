//! One row: a sample scored, a completion read, and what is wrong with either.

use crate::rows::{Cells, Row};
use envsim_scorer::{
    BadRecord, BadSample, Object, Prepared, Sample, SampleCells, Syntax, Value, Verdict, check_text, read_fields,
    read_value, score, score_cells, score_record,
};
use std::borrow::Cow;

/// The columns of samples in a table; the first four must be there. States and `volatile` are JSON text.
pub(crate) const SAMPLE_COLUMNS: &[&str] = &["sample_id", "state_before", "state_after", "observation", "volatile"];
pub(crate) const SAMPLE_REQUIRED: usize = 4;

/// The columns of completions in a table; both must be there.
pub(crate) const COMPLETION_COLUMNS: &[&str] = &["sample_id", "completion"];

/// What is wrong with a row: the field (`None`: the row as a whole), and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) field: Option<&'static str>,
    pub(crate) why: String,
}

impl Wrong {
    pub(crate) fn row(why: impl Into<String>) -> Self {
        Self { field: None, why: why.into() }
    }

    pub(crate) fn field(field: &'static str, why: impl Into<String>) -> Self {
        Self { field: Some(field), why: why.into() }
    }
}

impl From<BadSample> for Wrong {
    fn from(bad: BadSample) -> Self {
        if bad.field == "sample" { Self::row(bad.why) } else { Self::field(bad.field, bad.why) }
    }
}

impl From<BadRecord> for Wrong {
    fn from(bad: BadRecord) -> Self {
        match bad {
            BadRecord::NotJson(_) => Self::row(bad.to_string()),
            BadRecord::BadSample(bad) => bad.into(),
        }
    }
}

/// Score the sample of a row.
pub(crate) fn score_row(row: Row<'_>, completion: Option<&[u8]>) -> Result<Verdict, Wrong> {
    match row {
        Row::Line(line) => {
            utf8(line, None)?;
            Ok(score_record(line, completion)?)
        }
        Row::Cells(cells) => match quick_cells(cells, completion) {
            Some(verdict) => Ok(verdict),
            None => Ok(score(&Sample::read(sample_value(row)?)?, completion)),
        },
    }
}

/// The verdict on a row of a table as tables should be.
fn quick_cells(cells: &Cells, completion: Option<&[u8]>) -> Option<Verdict> {
    let [sample_id, state_before, state_after, observation, volatile] = [0, 1, 2, 3, 4].map(|at| cells.get(at));
    let texts = [sample_id, state_before, state_after, observation, volatile];
    texts.into_iter().flatten().all(|text| check_text(text).is_ok()).then_some(())?;
    let (state_before, state_after, observation) = (state_before?, state_after?, observation?);
    score_cells(&SampleCells { sample_id, state_before, state_after, observation, volatile }, completion)
}

/// The sample of a row, to be kept.
pub(crate) fn read_sample(row: Row<'_>) -> Result<Prepared, Wrong> {
    match row {
        Row::Line(line) => {
            utf8(line, None)?;
            Ok(Prepared::read(line)?)
        }
        Row::Cells(_) => Ok(Sample::read(sample_value(row)?.into_owned())?.into()),
    }
}

/// The sample's id without the rest of it, where the row begins with it as rows do. It may be given again later.
pub(crate) fn leading_id<'b>(row: Row<'b>) -> Option<&'b [u8]> {
    match row {
        Row::Cells(cells) => cells.get(0),
        Row::Line(line) => {
            let rest = line.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start();
            let rest = rest.strip_prefix(b"\"sample_id\"")?.trim_ascii_start().strip_prefix(b":")?;
            let text = rest.trim_ascii_start().strip_prefix(b"\"")?;
            let end = memchr::memchr2(b'"', b'\\', text)?;
            (text[end] == b'"').then(|| &text[..end])
        }
    }
}

/// The id of the sample of a row.
pub(crate) fn sample_id(row: Row<'_>) -> Result<Vec<u8>, Wrong> {
    match row {
        Row::Line(line) => {
            let [id] = object_fields(line, ["sample_id"])?;
            text_id(id.as_ref()).map(<[u8]>::to_vec)
        }
        Row::Cells(cells) => cells.get(0).map(<[u8]>::to_vec).ok_or_else(|| Wrong::field("sample_id", "is missing")),
    }
}

/// An id has to be there, and a table has to be able to hold it.
pub(crate) fn check_id(id: Option<&[u8]>) -> Result<(), Wrong> {
    match id {
        None => Err(Wrong::field("sample_id", "is missing")),
        Some(id) if std::str::from_utf8(id).is_err() => Err(Wrong::field("sample_id", "holds a lone surrogate")),
        Some(_) => Ok(()),
    }
}

fn text_id<'v>(id: Option<&'v Value<'_>>) -> Result<&'v [u8], Wrong> {
    match id {
        Some(Value::Str(id)) => Ok(id),
        Some(Value::Null) | None => Err(Wrong::field("sample_id", "is missing")),
        Some(_) => Err(Wrong::field("sample_id", "is not a text")),
    }
}

fn object_fields<'t, const N: usize>(line: &'t [u8], names: [&str; N]) -> Result<[Option<Value<'t>>; N], Wrong> {
    utf8(line, None)?;
    read_fields(line, names).map_err(|error| match json(line, None) {
        Ok(_) => Wrong::row("is not a JSON object"),
        Err(_) => Wrong::row(format!("not JSON: {error}")),
    })
}

fn utf8(text: &[u8], field: Option<&'static str>) -> Result<(), Wrong> {
    check_text(text).map_err(|at| Wrong { field, why: format!("not UTF-8 at byte {at}") })
}

fn json<'b>(text: &'b [u8], field: Option<&'static str>) -> Result<Value<'b>, Wrong> {
    utf8(text, field)?;
    read_value(text, Syntax::Json).map_err(|error| Wrong { field, why: format!("not JSON: {error}") })
}

fn sample_value<'b>(row: Row<'b>) -> Result<Value<'b>, Wrong> {
    let cells = match row {
        Row::Line(line) => return json(line, None),
        Row::Cells(cells) => cells,
    };
    let mut fields = Object::default();
    for (column, name) in SAMPLE_COLUMNS.iter().enumerate() {
        let Some(text) = cells.get(column) else { continue };
        let value = match *name {
            "sample_id" | "observation" => {
                utf8(text, Some(name))?;
                Value::Str(Cow::Borrowed(text))
            }
            name => json(text, Some(name))?,
        };
        fields.insert(Cow::Borrowed(name.as_bytes()), value);
    }
    Ok(Value::Object(fields))
}

/// Read the completion of a row, and hand its id and its text (`None` where infrastructure failed) to `then`.
pub(crate) fn with_answer<R>(row: Row<'_>, then: impl FnOnce(&[u8], Option<&[u8]>) -> R) -> Result<R, Wrong> {
    let line = match row {
        Row::Line(line) => line,
        Row::Cells(cells) => {
            let id = cells.get(0).ok_or_else(|| Wrong::field("sample_id", "is missing"))?;
            let completion = cells.get(1);
            utf8(id, Some("sample_id"))?;
            utf8(completion.unwrap_or_default(), Some("completion"))?;
            return Ok(then(id, completion));
        }
    };
    let [id, completion] = object_fields(line, ["sample_id", "completion"])?;
    let id = text_id(id.as_ref())?;
    match completion {
        Some(Value::Str(text)) => Ok(then(id, Some(&text))),
        Some(Value::Null) => Ok(then(id, None)),
        Some(_) => Err(Wrong::field("completion", "is not a text")),
        None => Err(Wrong::field("completion", "is missing")),
    }
}
