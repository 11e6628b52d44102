//! Records: a sample scored straight from its text, of which only what matters becomes values.

use crate::diff::{Entry, collect};
use crate::lockstep::{Suspect, lockstep};
use crate::observation::Observation;
use crate::raw::Taped;
use crate::reader::{ReadError, Syntax, read_value};
use crate::sample::{BadSample, KeptChange, Sample, TrueChanges, Truth, read_volatile};
use crate::scan::space;
use crate::segment::Segment;
use crate::tape::Tape;
use crate::value::{Text, Value};
use crate::verdict::{Verdict, fill, judge, score};
use crate::view::View;
use std::cell::RefCell;
use std::ops::Range;

/// Why a record cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// It is no JSON.
    #[error("not JSON: {0}")]
    NotJson(#[from] ReadError),
    /// It is no sample.
    #[error(transparent)]
    BadSample(#[from] BadSample),
}

thread_local! {
    /// The tapes of the last record, for their memory.
    static TAPES: RefCell<Tapes> = RefCell::default();
}

/// Bytes of a state that a thread keeps.
const KEPT_BYTES: usize = 1 << 24;

#[derive(Default)]
struct Tapes {
    before: Tape,
    /// The state on that tape; empty if there is none. Records of one state, as several answers to a question or
    /// several calls in a state are, come one after the other, and its text is then read once.
    state: Vec<u8>,
    after: Tape,
    /// For what is checked and not kept.
    rest: Tape,
}

/// Score the sample of one JSON text (generalised UTF-8), as [`Sample::read`] and [`score`] do, faster.
///
/// The verdict is the same; no value is made of what neither the truth nor the prediction changes.
pub fn score_record(record: &[u8], completion: Option<&[u8]>) -> Result<Verdict, BadRecord> {
    let mut tapes = TAPES.take();
    let verdict = quick(record, completion, &mut tapes);
    keep(tapes);
    match verdict {
        Some(verdict) => Ok(verdict),
        None => Ok(score(&Sample::read(read_value(record, Syntax::Json)?)?, completion)),
    }
}

fn keep(tapes: Tapes) {
    let is_small = [&tapes.before, &tapes.after, &tapes.rest].into_iter().all(Tape::is_small);
    if is_small && tapes.state.capacity() <= KEPT_BYTES {
        TAPES.set(tapes);
    }
}

/// Some fields of an object in JSON (generalised UTF-8); of the others no values are made.
///
/// `None` for a field that is not there. Fails where the text is no JSON or no object, which `ReadError` tells.
pub fn read_fields<'t, const N: usize>(text: &'t [u8], names: [&str; N]) -> Result<[Option<Value<'t>>; N], ReadError> {
    let mut tapes = TAPES.take();
    let cells = find_fields(text, names, &mut tapes.rest);
    keep(tapes);
    match cells {
        Some(places) => {
            let mut fields = [const { None }; N];
            for (field, place) in fields.iter_mut().zip(places) {
                *field = place.map(|place| read_value(&text[place], Syntax::Json)).transpose()?;
            }
            Ok(fields)
        }
        None => match read_value(text, Syntax::Json)? {
            Value::Object(object) => Ok(names.map(|name| object.get(name.as_bytes()).cloned())),
            _ => Err(ReadError { at: 0, why: "expected an object" }),
        },
    }
}

fn find_fields<const N: usize>(text: &[u8], names: [&str; N], tape: &mut Tape) -> Option<[Option<Range<usize>>; N]> {
    u32::try_from(text.len()).ok()?;
    tape.clear();
    let start = space(text, 0);
    let end = tape.read(text, start, 0)?;
    if space(text, end) != text.len() || !tape.is_object(text, 0) {
        return None;
    }
    let place = |name: &str| {
        let cell = tape.cell(tape.find(text, 0, name.as_bytes())?);
        Some(cell.start as usize..cell.end as usize)
    };
    Some(names.map(place))
}

/// The verdict on a record that is as records should be. Whatever is wrong or unusual gives `None`.
fn quick(record: &[u8], completion: Option<&[u8]>, tapes: &mut Tapes) -> Option<Verdict> {
    let (fields, suspects) = scan(record, tapes)?;
    fields.score(record, &mut tapes.before, &tapes.after, &suspects, completion)
}

/// Read a record onto the tapes of its states; the answer is its other fields, and where the states may differ.
fn scan<'r>(record: &'r [u8], tapes: &mut Tapes) -> Option<(Fields<'r>, Vec<Suspect>)> {
    u32::try_from(record.len()).ok()?;
    let Tapes { before, state, after, rest } = tapes;
    after.clear();
    let mut fields = Fields::default();
    let mut suspects = None;
    let mut at = space(record, 0);
    if record.get(at) != Some(&b'{') {
        return None;
    }
    at = space(record, at + 1);
    loop {
        rest.clear();
        at = space(record, rest.read_key(record, at)?);
        if record.get(at) != Some(&b':') {
            return None;
        }
        at = space(record, at + 1);
        let start = at;
        match rest.key(record, 0) {
            b"state_before" => {
                if !fields.before.is_empty() || record.get(at) != Some(&b'{') {
                    return None;
                }
                let text = &record[at..];
                if state.is_empty() || !text.starts_with(state) {
                    state.clear();
                    before.clear();
                    let end = before.read(text, 0, 1)?;
                    state.extend_from_slice(&text[..end]);
                }
                at += state.len();
                fields.before = start..at;
            }
            b"state_after" => {
                if fields.before.is_empty() || suspects.is_some() || record.get(at) != Some(&b'{') {
                    return None;
                }
                let (end, found) = lockstep((&record[fields.before.clone()], before), record, at, 1, after)?;
                at = end;
                suspects = Some(found);
            }
            name => {
                let field = match name {
                    b"observation" => Some(&mut fields.observation),
                    b"sample_id" => Some(&mut fields.sample_id),
                    b"volatile" => Some(&mut fields.volatile),
                    _ => None,
                };
                at = rest.read(record, at, 1)?;
                if let Some(field) = field
                    && field.replace(&record[start..at]).is_some()
                {
                    return None;
                }
            }
        }
        at = space(record, at);
        match record.get(at)? {
            b',' => at = space(record, at + 1),
            b'}' => break,
            _ => return None,
        }
    }
    if space(record, at + 1) != record.len() {
        return None;
    }
    Some((fields, suspects?))
}

/// Containers with fewer members are searched from one end to the other.
const LEAST_INDEXED: usize = 32;

/// The same for what is kept, and so indexed once for many verdicts.
const LEAST_KEPT_INDEXED: usize = 12;

/// So many searches take no longer than a few readings of the text.
const FEW_SEARCHES: usize = 64;

/// The text of a JSON string.
fn text(json: &[u8]) -> Option<Text<'_>> {
    match read_value(json, Syntax::Json) {
        Ok(Value::Str(text)) => Some(text),
        _ => None,
    }
}

/// The true changes, ordered by path.
fn changes<'t>(before: &'t Taped<'t>, after: &'t Taped<'t>, suspects: &[Suspect]) -> Vec<Entry<'t, 't>> {
    let mut entries = Vec::with_capacity(suspects.len());
    for suspect in suspects {
        let mut path: Vec<&[u8]> = suspect.path.iter().map(|&key| before.key(key)).collect();
        path.extend(suspect.new_key.map(|key| after.key(key)));
        let old = suspect.before.map(|cell| View::Raw(before.at(cell)));
        let new = suspect.after.map(|cell| View::Raw(after.at(cell)));
        match (old, new) {
            (Some(old), Some(new)) => collect(old, new, &mut path, &mut entries),
            (before, after) => entries.push(Entry { path, before, after }),
        }
    }
    entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    entries
}

/// The other fields of a sample, as they stand in its text.
#[derive(Default)]
struct Fields<'t> {
    /// Where the state before stands.
    before: Range<usize>,
    observation: Option<&'t [u8]>,
    sample_id: Option<&'t [u8]>,
    volatile: Option<&'t [u8]>,
}

impl<'r> Fields<'r> {
    fn observation(&self) -> Option<Text<'r>> {
        text(self.observation?)
    }

    fn id(&self) -> Option<Option<Text<'r>>> {
        match self.sample_id {
            None | Some(b"null") => Some(None),
            Some(id) => text(id).map(Some),
        }
    }

    fn volatile(&self) -> Option<Vec<Vec<Segment<'static>>>> {
        match self.volatile {
            None => Some(Vec::new()),
            Some(paths) => read_volatile(&read_value(paths, Syntax::Json).ok()?).ok(),
        }
    }

    fn score(
        &self,
        record: &[u8],
        tape: &mut Tape,
        after: &Tape,
        suspects: &[Suspect],
        completion: Option<&[u8]>,
    ) -> Option<Verdict> {
        let observation = Observation::unread(self.observation()?);
        let (id, volatile) = (self.id()?, self.volatile()?);
        let state = &record[self.before.clone()];
        Some(judge(id.as_deref(), completion, |verdict, prediction| {
            let searches = prediction.searches();
            if searches > FEW_SEARCHES {
                tape.index(state, LEAST_INDEXED.max(tape.len() as usize / searches));
            }
            let before = Taped { text: state, tape };
            let after = Taped { text: record, tape: after };
            let changes = changes(&before, &after, suspects);
            let truth = Truth {
                before: View::Raw(before.at(0)),
                changes: TrueChanges::Found(&changes),
                after: None,
                observation: &observation,
                volatile: &volatile,
            };
            fill(verdict, &truth, prediction);
        }))
    }
}

/// A sample kept in memory, so that a verdict costs no more than its completion and the paths that it touches.
#[derive(Debug)]
pub struct Prepared(Form);

#[derive(Debug)]
enum Form {
    Text(Box<PreparedText>),
    Values(Box<Sample<'static>>),
}

#[derive(Debug)]
struct PreparedText {
    record: Box<[u8]>,
    /// Where the state before stands.
    state: Range<usize>,
    before: Tape,
    after: Tape,
    changes: Vec<KeptChange>,
    id: Option<Text<'static>>,
    observation: Observation<'static>,
    volatile: Vec<Vec<Segment<'static>>>,
}

impl Prepared {
    /// Read a sample from its JSON text (generalised UTF-8).
    pub fn read(record: &[u8]) -> Result<Self, BadRecord> {
        let mut tapes = TAPES.take();
        let prepared = prepare(record, &mut tapes);
        keep(tapes);
        match prepared {
            Some(prepared) => Ok(Self(Form::Text(Box::new(prepared)))),
            None => Ok(Sample::read(read_value(record, Syntax::Json)?.into_owned())?.into()),
        }
    }

    /// The sample's id, if it has one.
    pub fn id(&self) -> Option<&[u8]> {
        match &self.0 {
            Form::Text(sample) => sample.id.as_deref(),
            Form::Values(sample) => sample.id(),
        }
    }

    /// Score one completion, as [`score`] does.
    pub fn score(&self, completion: Option<&[u8]>) -> Verdict {
        match &self.0 {
            Form::Text(sample) => sample.score(completion),
            Form::Values(sample) => score(sample, completion),
        }
    }
}

impl From<Sample<'static>> for Prepared {
    fn from(sample: Sample<'static>) -> Self {
        Self(Form::Values(Box::new(sample)))
    }
}

fn prepare(record: &[u8], tapes: &mut Tapes) -> Option<PreparedText> {
    let (fields, suspects) = scan(record, tapes)?;
    let before = Taped { text: &record[fields.before.clone()], tape: &tapes.before };
    let after = Taped { text: record, tape: &tapes.after };
    let changes = changes(&before, &after, &suspects);
    let own = |text: Text| Text::Owned(text.into_owned());
    let kept = |entry: Entry| KeptChange {
        path: entry.path.iter().map(|key| Text::Owned(key.to_vec())).collect(),
        before: entry.before.and_then(View::cell),
        after: entry.after.and_then(View::cell),
    };
    let changes = changes.into_iter().map(kept).collect();
    Some(PreparedText {
        record: record.into(),
        state: fields.before.clone(),
        before: tapes.before.indexed(before.text, LEAST_KEPT_INDEXED),
        after: tapes.after.indexed(record, LEAST_KEPT_INDEXED),
        changes,
        id: fields.id()?.map(own),
        observation: Observation::new(own(fields.observation()?)),
        volatile: fields.volatile()?,
    })
}

impl PreparedText {
    fn score(&self, completion: Option<&[u8]>) -> Verdict {
        let before = Taped { text: &self.record[self.state.clone()], tape: &self.before };
        let after = Taped { text: &self.record, tape: &self.after };
        judge(self.id.as_deref(), completion, |verdict, prediction| {
            let truth = Truth {
                before: View::Raw(before.at(0)),
                changes: TrueChanges::Taped { before: &before, after: &after, changes: &self.changes },
                after: None,
                observation: &self.observation,
                volatile: &self.volatile,
            };
            fill(verdict, &truth, prediction);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Tapes, quick};

    fn is_quick(record: &str) -> bool {
        quick(record.as_bytes(), Some(b"{\"config_changes\": []}"), &mut Tapes::default()).is_some()
    }

    #[test]
    fn records_as_they_are_written_need_no_values() {
        for after in [
            r#"{"a": 1, "b": {"x": [1, 2]}}"#,
            r#"{"a": 2, "b": {"x": [1, 2, 3], "y": null}}"#,
            r#"{"b": {}, "a": 1}"#,
            r#"{ "b":{"x" :[]},"c\u00e9":"\ud83d\ude00" }"#,
            "{}",
        ] {
            let before = r#""state_before": {"a": 1, "b": {"x": [1, 2]}}"#;
            let rest = r#""observation": "ok", "volatile": [["a"]], "action": {"name": "f", "arguments": {}}"#;
            assert!(is_quick(&format!(r#"{{"sample_id": "s", {before}, "state_after": {after}, {rest}}}"#)), "{after}");
        }
    }

    #[test]
    fn the_unusual_is_left_to_others() {
        for record in [
            r#"{"state_after": {}, "state_before": {}, "observation": ""}"#,
            r#"{"state_before": {}, "state_before": {}, "state_after": {}, "observation": ""}"#,
            r#"{"state_before": {}, "state_after": {}}"#,
            r#"{"state_before": [], "state_after": {}, "observation": ""}"#,
            r#"{"state_before": {}, "state_after": {}, "observation": ""} x"#,
        ] {
            assert!(!is_quick(record), "{record}");
        }
    }
}
