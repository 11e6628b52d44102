//! Verdicts: what a completion got right, to the last bit, and the first thing that it got wrong.

use crate::apply::run;
use crate::diff::{Entry, differences};
use crate::extract::{Prediction, Strategy, with_prediction};
use crate::node::{Segment, Shape, View, follow};
use crate::observation::{FeedbackMatch, read_either};
use crate::operation::operations_of;
use crate::sample::Sample;
use crate::text::strip;
use crate::value::{Text, Value};
use std::cmp::Ordering;

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A prediction was read and scored.
    Scored,
    /// An answer without a readable prediction; in the denominator.
    Unparsed,
    /// White space only, or filtered; in the denominator.
    Refused,
    /// No answer because of infrastructure; out of the denominator.
    Failed,
}

/// The first thing that went wrong, in the order of the contract.
#[expect(missing_docs, reason = "the words are those of the contract, section 4")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    Failed,
    Unparsed,
    Refused,
    InapplicableOperation,
    MissedAll,
    TypeFlip,
    WrongValue,
    MissedChange,
    CollateralEdit,
    FeedbackOnly,
    None,
}

/// The first place where the predicted state is not the true one.
#[derive(Clone, Debug)]
pub enum Mismatch {
    /// Another value (or none, where there should be one, or the other way round).
    Value {
        /// Keys from the root.
        path: Vec<Text<'static>>,
        /// The true value; `None` where there is none.
        expected: Option<Value<'static>>,
        /// The predicted value; `None` where there is none.
        got: Option<Value<'static>>,
    },
    /// An operation that could not be applied.
    Operation {
        /// Its place in the list, from 0.
        index: usize,
        /// The reason, as a phrase.
        reason: String,
    },
}

/// The metrics of a sample that has an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Every operation applied and the resulting state equals the true one everywhere.
    pub config_match: bool,
    /// The predicted observation equals the true one.
    pub feedback_match: bool,
    /// The observation is byte-equal text.
    pub feedback_verbatim: bool,
    /// Share of the predicted changes that are true.
    pub changed_precision: f64,
    /// Share of the true changes that are predicted.
    pub changed_recall: f64,
    /// Harmonic mean of the two.
    pub changed_f1: f64,
    /// Predicted changes that no true path equals, contains or lies in.
    pub collateral: usize,
    /// As `config_match`, without the volatile paths.
    pub config_match_masked: bool,
}

/// What a completion is worth.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The sample's id.
    pub sample_id: Option<Text<'static>>,
    /// The way in which the prediction was found.
    pub strategy: Option<Strategy>,
    /// What became of the sample.
    pub outcome: Outcome,
    /// The first thing that went wrong.
    pub failure: Failure,
    /// The metrics; `None` where the sample failed.
    pub metrics: Option<Metrics>,
    /// A text path added a key and could have been split otherwise.
    pub ambiguous_path: bool,
    /// The first place where the states differ, or the operation that could not be applied.
    pub first_mismatch: Option<Mismatch>,
}

impl Verdict {
    /// The observation is right and the state is not.
    pub fn silent_corruption(&self) -> Option<bool> {
        self.metrics.map(|m| m.feedback_match && !m.config_match)
    }
}

/// Score one completion (generalised UTF-8; `None`: no answer because of infrastructure).
pub fn score(sample: &Sample, completion: Option<&[u8]>) -> Verdict {
    let verdict = |outcome, failure, metrics| Verdict {
        sample_id: sample.id().map(|id| Text::Owned(id.to_vec())),
        strategy: None,
        outcome,
        failure,
        metrics,
        ambiguous_path: false,
        first_mismatch: None,
    };
    let Some(text) = completion else { return verdict(Outcome::Failed, Failure::Failed, None) };
    if strip(text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)).is_empty() {
        return verdict(Outcome::Refused, Failure::Refused, Some(Metrics::default()));
    }
    with_prediction(text, |prediction| match prediction {
        Err(_) => verdict(Outcome::Unparsed, Failure::Unparsed, Some(Metrics::default())),
        Ok(prediction) => {
            let mut scored = verdict(Outcome::Scored, Failure::None, None);
            scored.strategy = Some(prediction.strategy);
            fill(&mut scored, sample, prediction);
            scored
        }
    })
}

fn fill<'a>(verdict: &mut Verdict, sample: &'a Sample<'a>, prediction: &'a Prediction<'a>) {
    let feedback = sample.observation.compare(prediction.feedback());
    let operations = operations_of(prediction.config_changes()).unwrap_or_default();
    let applied = run(&sample.before, operations);
    verdict.ambiguous_path = applied.ambiguous_path;
    match applied.state {
        Err(error) => {
            verdict.failure = Failure::InapplicableOperation;
            verdict.metrics = Some(with_feedback(Metrics::default(), feedback));
            verdict.first_mismatch = Some(Mismatch::Operation { index: error.index, reason: error.reason });
        }
        Ok(state) => {
            let compared = Comparison::new(sample, state.view());
            let metrics = with_feedback(compared.metrics(), feedback);
            verdict.failure = match (metrics.config_match, metrics.feedback_match) {
                (true, true) => Failure::None,
                (true, false) => Failure::FeedbackOnly,
                (false, _) if operations.is_empty() => Failure::MissedAll,
                (false, _) => compared.failure(),
            };
            verdict.first_mismatch = compared.first_mismatch();
            verdict.metrics = Some(metrics);
        }
    }
}

fn with_feedback(metrics: Metrics, feedback: FeedbackMatch) -> Metrics {
    Metrics { feedback_match: feedback.equal, feedback_verbatim: feedback.verbatim, ..metrics }
}

/// The predicted changes held against the true ones.
///
/// Both lists follow from the state before, so the states are equal exactly when the lists are.
struct Comparison<'n, 'a> {
    sample: &'n Sample<'a>,
    state: View<'n, 'a>,
    predicted: Vec<Entry<'n, 'a>>,
    hits: usize,
    /// Paths at which only one list has an entry, or both have different ones; in order.
    disagreements: Vec<Vec<Segment<'n>>>,
}

impl<'n, 'a: 'n> Comparison<'n, 'a> {
    fn new(sample: &'n Sample<'a>, state: View<'n, 'a>) -> Self {
        let predicted = differences(View::Value(&sample.before), state);
        let mut hits = 0;
        let mut disagreements = Vec::new();
        let (mut p, mut t) = (0, 0);
        while p < predicted.len() || t < sample.changes.len() {
            let order = match (predicted.get(p), sample.changes.get(t)) {
                (Some(entry), Some(change)) => entry.path.iter().copied().cmp(change.path.iter().map(|key| &**key)),
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            let hit = order == Ordering::Equal && same_after(&predicted[p], sample.changes[t].after.as_ref());
            if hit {
                hits += 1;
            } else if order == Ordering::Greater {
                disagreements.push(sample.changes[t].path.iter().map(|key| Segment::key(key)).collect());
            } else {
                disagreements.push(predicted[p].path.iter().map(|key| Segment::key(key)).collect());
            }
            p += usize::from(order != Ordering::Greater);
            t += usize::from(order != Ordering::Less);
        }
        Self { sample, state, predicted, hits, disagreements }
    }

    fn truth(&self) -> View<'n, 'a> {
        View::Value(&self.sample.after)
    }

    fn metrics(&self) -> Metrics {
        let (predicted, truth) = (self.predicted.len(), self.sample.changes.len());
        let share = |of: usize| match (predicted, truth) {
            (0, 0) => 1.0,
            (0, _) | (_, 0) => 0.0,
            _ => self.hits as f64 / of as f64,
        };
        let config_match = self.disagreements.is_empty();
        Metrics {
            config_match,
            changed_precision: share(predicted),
            changed_recall: share(truth),
            changed_f1: if predicted + truth == 0 { 1.0 } else { 2.0 * self.hits as f64 / (predicted + truth) as f64 },
            collateral: self.predicted.iter().filter(|entry| self.is_collateral(entry)).count(),
            config_match_masked: config_match || self.masked_match(),
            ..Metrics::default()
        }
    }

    fn is_collateral(&self, entry: &Entry) -> bool {
        // Sorted paths: everything that lies in `entry.path`, and everything it lies in, stands next to its place.
        let changes = &self.sample.changes;
        let keys = || entry.path.iter().copied();
        let at = changes.partition_point(|change| change.path.iter().map(|key| &**key).lt(keys()));
        let mut near = changes[at..].first().into_iter().chain(changes[..at].last());
        !near.any(|change| change.path.iter().zip(keys()).all(|(a, b)| **a == *b))
    }

    /// Whether the states are equal once the volatile paths are taken out of both.
    fn masked_match(&self) -> bool {
        !self.sample.volatile.is_empty()
            && self.disagreements.iter().all(|path| {
                let masks = self.sample.volatile.iter().filter_map(|mask| relative(mask, path));
                let masks: Vec<&[Segment]> = masks.collect();
                masked_equal(follow(self.state, path), follow(self.truth(), path), &masks)
            })
    }

    fn failure(&self) -> Failure {
        let (mut wrong, mut missed) = (false, false);
        for change in &self.sample.changes {
            let path: Vec<_> = change.path.iter().map(|key| Segment::key(key)).collect();
            let got = follow(self.state, &path);
            if same(got, change.after.as_ref()) {
                continue;
            }
            if same(got, change.before.as_ref()) {
                missed = true;
            } else if is_type_flip(got, change.after.as_ref()) {
                return Failure::TypeFlip;
            } else {
                wrong = true;
            }
        }
        match (wrong, missed) {
            (true, _) => Failure::WrongValue,
            (_, true) => Failure::MissedChange,
            _ => Failure::CollateralEdit,
        }
    }

    fn first_mismatch(&self) -> Option<Mismatch> {
        self.disagreements.iter().find_map(|path| {
            let (got, expected) = (follow(self.state, path), follow(self.truth(), path));
            let mut keys: Vec<Text> = path.iter().map(|segment| Text::Owned(segment.text.to_vec())).collect();
            let (expected, got) = match (expected, got) {
                (Some(expected), Some(got)) => {
                    let entry = differences(expected, got).into_iter().next()?;
                    keys.extend(entry.path.iter().map(|key| Text::Owned(key.to_vec())));
                    (entry.before, entry.after)
                }
                (None, None) => return None,
                one_sided => one_sided,
            };
            let own = |view: View| view.to_value().into_owned();
            Some(Mismatch::Value { path: keys, expected: expected.map(own), got: got.map(own) })
        })
    }
}

fn same_after(entry: &Entry, after: Option<&Value>) -> bool {
    same(entry.after, after)
}

fn same(view: Option<View>, value: Option<&Value>) -> bool {
    match (view, value) {
        (Some(view), Some(value)) => view.equals(View::Value(value)),
        (None, None) => true,
        _ => false,
    }
}

/// What is left of a volatile path below `path`: nothing where it covers `path`, `None` where it lies elsewhere.
fn relative<'m>(mask: &'m [Segment<'static>], path: &[Segment]) -> Option<&'m [Segment<'static>]> {
    let shared = mask.len().min(path.len());
    let agrees = mask.iter().zip(path).all(|(a, b)| a.text == b.text);
    agrees.then(|| &mask[shared..])
}

fn masked_equal(left: Option<View>, right: Option<View>, masks: &[&[Segment]]) -> bool {
    if masks.iter().any(|mask| mask.is_empty()) {
        return true;
    }
    let (Some(left), Some(right)) = (left, right) else { return left.is_none() && right.is_none() };
    if masks.is_empty() {
        return left.equals(right);
    }
    match (left.shape(), right.shape()) {
        (Shape::Object(a), Shape::Object(b)) => {
            let below = |key: &[u8]| tails(masks, |segment| *segment.text == *key);
            a.iter().all(|(key, x)| masked_equal(Some(x), b.get(key), &below(key)))
                && b.iter().all(|(key, y)| a.get(key).is_some() || masked_equal(None, Some(y), &below(key)))
        }
        (Shape::Array(a), Shape::Array(b)) => {
            let below = |i: usize| tails(masks, |segment| segment.index() == Some(i));
            a.len() == b.len()
                && a.iter().zip(b.iter()).enumerate().all(|(i, (x, y))| masked_equal(Some(x), Some(y), &below(i)))
        }
        _ => left.equals(right),
    }
}

fn tails<'m, 's>(masks: &[&'m [Segment<'s>]], leads: impl Fn(&Segment) -> bool) -> Vec<&'m [Segment<'s>]> {
    masks.iter().filter_map(|mask| mask.split_first()).filter(|(head, _)| leads(head)).map(|(_, tail)| tail).collect()
}

/// A boolean against 0 or 1, or text that reads as the other value.
fn is_type_flip(got: Option<View>, truth: Option<&Value>) -> bool {
    let (Some(got), Some(truth)) = (got, truth) else { return false };
    let bit = |value: &Value| value.is_number() && (*value == Value::Int(0) || *value == Value::Int(1));
    let reads_as =
        |text: &[u8], view: View| read_either(strip(text)).is_some_and(|value| view.equals(View::Value(&value)));
    match (got.shape(), truth) {
        (Shape::Scalar(Value::Bool(_)), number) if bit(number) => true,
        (Shape::Scalar(number), Value::Bool(_)) if bit(number) => true,
        (Shape::Scalar(Value::Str(_)), Value::Str(_)) => false,
        (Shape::Scalar(Value::Str(text)), truth) => reads_as(text, View::Value(truth)),
        (_, Value::Str(text)) => reads_as(text, got),
        _ => false,
    }
}
