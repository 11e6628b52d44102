//! What a run found, counted.

use crate::words::{failure_text, outcome_text};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use envsim_scorer::{Failure, Outcome};

const OUTCOMES: [Outcome; 4] = [Outcome::Scored, Outcome::Unparsed, Outcome::Refused, Outcome::Failed];
const FAILURES: [Failure; 11] = [
    Failure::Failed,
    Failure::Unparsed,
    Failure::Refused,
    Failure::InapplicableOperation,
    Failure::MissedAll,
    Failure::TypeFlip,
    Failure::WrongValue,
    Failure::MissedChange,
    Failure::CollateralEdit,
    Failure::FeedbackOnly,
    Failure::None,
];

/// Verdicts counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Verdicts in all.
    pub rows: u64,
    /// Verdicts whose state is right everywhere.
    pub config_match: u64,
    /// Verdicts whose observation is right.
    pub feedback_match: u64,
    /// Verdicts whose observation is right and whose state is not.
    pub silent_corruption: u64,
    outcomes: [u64; 4],
    failures: [u64; 11],
}

impl Summary {
    /// Every outcome with its count, in the order of the contract.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        OUTCOMES.map(outcome_text).into_iter().zip(self.outcomes)
    }

    /// Every failure with its count, in the order of the contract.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        FAILURES.map(failure_text).into_iter().zip(self.failures)
    }

    /// Count the rows of a table of verdicts.
    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        let words = |name: &str, texts: &[&str], counts: &mut [u64]| {
            let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
            for text in column.into_iter().flatten().flatten() {
                if let Some(at) = texts.iter().position(|word| *word == text) {
                    counts[at] += 1;
                }
            }
        };
        words("outcome", &OUTCOMES.map(outcome_text), &mut self.outcomes);
        words("failure", &FAILURES.map(failure_text), &mut self.failures);
        let trues = |name: &str| {
            let column = batch.column_by_name(name).and_then(|column| column.as_boolean_opt());
            column.map_or(0, |column| column.true_count() as u64)
        };
        self.config_match += trues("config_match");
        self.feedback_match += trues("feedback_match");
        self.silent_corruption += trues("silent_corruption");
    }
}
