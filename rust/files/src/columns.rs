//! Verdicts as columns: one per field, and five for the first mismatch.

use crate::limits::MAX_MISMATCH_BYTES;
use crate::words::{failure_text, outcome_text};
use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use envsim_scorer::{Metrics, Mismatch, Text, Value, Verdict, lossy, write_json};
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let boolean = |name| Field::new(name, DataType::Boolean, true);
    let float = |name| Field::new(name, DataType::Float64, true);
    let integer = |name| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![
        text("sample_id"),
        text("strategy"),
        Field::new("outcome", DataType::Utf8, false),
        Field::new("failure", DataType::Utf8, false),
        boolean("config_match"),
        boolean("feedback_match"),
        boolean("feedback_verbatim"),
        float("changed_precision"),
        float("changed_recall"),
        float("changed_f1"),
        integer("collateral"),
        boolean("config_match_masked"),
        boolean("silent_corruption"),
        Field::new("ambiguous_path", DataType::Boolean, false),
        text("mismatch_path"),
        text("mismatch_expected"),
        text("mismatch_got"),
        integer("mismatch_operation"),
        text("mismatch_reason"),
    ]))
});

/// The columns of a table of verdicts.
pub fn schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// Columns that grow by one verdict at a time.
#[derive(Debug)]
pub struct Columns {
    sample_id: StringBuilder,
    strategy: StringBuilder,
    outcome: StringBuilder,
    failure: StringBuilder,
    flags: [BooleanBuilder; 5],
    shares: [Float64Builder; 3],
    collateral: Int64Builder,
    ambiguous_path: BooleanBuilder,
    mismatch: [StringBuilder; 3],
    operation: Int64Builder,
    reason: StringBuilder,
    json: Vec<u8>,
}

fn integer(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Columns {
    /// No verdicts yet, and room for this many: batches wait until their row group is full, so none takes more than it
    /// needs.
    pub fn with_capacity(rows: usize) -> Self {
        let text = || StringBuilder::with_capacity(rows, 0);
        let flag = |_| BooleanBuilder::with_capacity(rows);
        Self {
            sample_id: text(),
            strategy: text(),
            outcome: text(),
            failure: text(),
            flags: [0; 5].map(flag),
            shares: [0; 3].map(|_| Float64Builder::with_capacity(rows)),
            collateral: Int64Builder::with_capacity(rows),
            ambiguous_path: flag(0),
            mismatch: [0; 3].map(|_| text()),
            operation: Int64Builder::with_capacity(rows),
            reason: text(),
            json: Vec::new(),
        }
    }

    /// Append a verdict.
    pub fn push(&mut self, verdict: &Verdict) {
        self.sample_id.append_option(verdict.sample_id.as_deref().map(lossy));
        self.strategy.append_option(verdict.strategy.map(envsim_scorer::Strategy::as_str));
        self.outcome.append_value(outcome_text(verdict.outcome));
        self.failure.append_value(failure_text(verdict.failure));
        let m = verdict.metrics;
        let flag = |of: fn(Metrics) -> bool| m.map(of);
        let flags = [
            flag(|m| m.config_match),
            flag(|m| m.feedback_match),
            flag(|m| m.feedback_verbatim),
            flag(|m| m.config_match_masked),
            verdict.silent_corruption(),
        ];
        for (column, flag) in self.flags.iter_mut().zip(flags) {
            column.append_option(flag);
        }
        let shares = [m.map(|m| m.changed_precision), m.map(|m| m.changed_recall), m.map(|m| m.changed_f1)];
        for (column, share) in self.shares.iter_mut().zip(shares) {
            column.append_option(share);
        }
        self.collateral.append_option(m.map(|m| integer(m.collateral)));
        self.ambiguous_path.append_value(verdict.ambiguous_path);
        self.push_mismatch(verdict.first_mismatch.as_deref());
    }

    fn push_mismatch(&mut self, mismatch: Option<&Mismatch>) {
        match mismatch {
            Some(Mismatch::Value { path, expected, got }) => {
                let keys = path.iter().map(|key| Value::Str(Text::Borrowed(key))).collect();
                self.push_json(0, Some(&Value::Array(keys)));
                self.push_json(1, expected.as_ref());
                self.push_json(2, got.as_ref());
            }
            _ => self.mismatch.iter_mut().for_each(StringBuilder::append_null),
        }
        match mismatch {
            Some(Mismatch::Operation { index, reason }) => {
                self.operation.append_value(integer(*index));
                self.reason.append_value(cut(Cow::Borrowed(reason)));
            }
            _ => {
                self.operation.append_null();
                self.reason.append_null();
            }
        }
    }

    fn push_json(&mut self, column: usize, value: Option<&Value>) {
        let text = value.map(|value| {
            self.json.clear();
            write_json(&mut self.json, value);
            cut(lossy(&self.json))
        });
        self.mismatch[column].append_option(text);
    }

    /// The verdicts so far as one batch; none are left.
    pub fn finish(&mut self) -> RecordBatch {
        let mut flags = self.flags.iter_mut().map(BooleanBuilder::finish);
        let mut flag = || -> ArrayRef { Arc::new(flags.next().unwrap_or_else(|| BooleanBuilder::new().finish())) };
        let (config_match, feedback_match, feedback_verbatim, masked, silent) =
            (flag(), flag(), flag(), flag(), flag());
        let [precision, recall, f1] = &mut self.shares;
        let [path, expected, got] = &mut self.mismatch;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.sample_id.finish()),
            Arc::new(self.strategy.finish()),
            Arc::new(self.outcome.finish()),
            Arc::new(self.failure.finish()),
            config_match,
            feedback_match,
            feedback_verbatim,
            Arc::new(precision.finish()),
            Arc::new(recall.finish()),
            Arc::new(f1.finish()),
            Arc::new(self.collateral.finish()),
            masked,
            silent,
            Arc::new(self.ambiguous_path.finish()),
            Arc::new(path.finish()),
            Arc::new(expected.finish()),
            Arc::new(got.finish()),
            Arc::new(self.operation.finish()),
            Arc::new(self.reason.finish()),
        ];
        // The columns are those of the schema, each of as many rows as verdicts were pushed.
        RecordBatch::try_new(schema(), columns).unwrap_or_else(|_| RecordBatch::new_empty(schema()))
    }
}

/// A text of `MAX_MISMATCH_BYTES` at most; where it was longer, it ends in `…`.
fn cut(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.len() <= MAX_MISMATCH_BYTES {
        return text;
    }
    let mut end = MAX_MISMATCH_BYTES - '…'.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}…", &text[..end]))
}
