//! Records: a sample scored straight from its text, of which only what matters becomes values.

use crate::diff::{Entry, collect};
use crate::lockstep::{Suspect, lockstep};
use crate::node::{Node, Segment, View};
use crate::observation::Observation;
use crate::raw::Raw;
use crate::reader::{ReadError, Syntax, read_value};
use crate::sample::{BadSample, Sample, TrueChanges, Truth, read_volatile};
use crate::tape::{Tape, space};
use crate::value::{Text, Value};
use crate::verdict::{Verdict, fill, judge, score};
use std::cell::RefCell;

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

#[derive(Default)]
struct Tapes {
    before: Tape,
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
    if tapes.before.is_small() && tapes.after.is_small() && tapes.rest.is_small() {
        TAPES.set(tapes);
    }
    match verdict {
        Some(verdict) => Ok(verdict),
        None => Ok(score(&Sample::read(read_value(record, Syntax::Json)?)?, completion)),
    }
}

/// The verdict on a record that is as records should be. Whatever is wrong or unusual gives `None`.
fn quick(record: &[u8], completion: Option<&[u8]>, tapes: &mut Tapes) -> Option<Verdict> {
    u32::try_from(record.len()).ok()?;
    let Tapes { before, after, rest } = tapes;
    before.clear();
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
                if before.len() > 0 || record.get(at) != Some(&b'{') {
                    return None;
                }
                at = before.read(record, at, 1)?;
            }
            b"state_after" => {
                if before.len() == 0 || suspects.is_some() || record.get(at) != Some(&b'{') {
                    return None;
                }
                let (end, found) = lockstep((record, before), record, at, 1, after)?;
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
    fields.score(record, before, after, &suspects?, completion)
}

/// Containers with fewer members are searched from one end to the other.
const LEAST_INDEXED: usize = 32;

/// So many searches take no longer than a few readings of the text.
const FEW_SEARCHES: usize = 64;

/// The text of a JSON string.
fn text(json: &[u8]) -> Option<Text<'_>> {
    match read_value(json, Syntax::Json) {
        Ok(Value::Str(text)) => Some(text),
        _ => None,
    }
}

/// A text and its tape.
type Taped<'t> = (&'t [u8], &'t Tape);

fn view<'t>((text, tape): Taped<'t>, cell: u32) -> View<'t, 't> {
    View::Raw(Raw { text, tape, cell })
}

/// The true changes, ordered by path.
fn changes<'t>(before: Taped<'t>, after: Taped<'t>, suspects: &[Suspect]) -> Vec<Entry<'t, 't>> {
    let mut entries = Vec::new();
    for suspect in suspects {
        let mut path: Vec<&[u8]> = suspect.path.iter().map(|&key| before.1.key(before.0, key)).collect();
        path.extend(suspect.new_key.map(|key| after.1.key(after.0, key)));
        let old = suspect.before.map(|cell| view(before, cell));
        let new = suspect.after.map(|cell| view(after, cell));
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
    observation: Option<&'t [u8]>,
    sample_id: Option<&'t [u8]>,
    volatile: Option<&'t [u8]>,
}

impl Fields<'_> {
    fn score(
        &self,
        record: &[u8],
        tape: &mut Tape,
        after: &Tape,
        suspects: &[Suspect],
        completion: Option<&[u8]>,
    ) -> Option<Verdict> {
        let observation = Observation::unread(text(self.observation?)?);
        let id = match self.sample_id {
            None | Some(b"null") => None,
            Some(id) => Some(text(id)?),
        };
        let volatile: Vec<Vec<Segment>> = match self.volatile {
            None => Vec::new(),
            Some(paths) => read_volatile(&read_value(paths, Syntax::Json).ok()?).ok()?,
        };
        Some(judge(id.as_deref(), completion, |verdict, prediction| {
            let searches = prediction.searches();
            if searches > FEW_SEARCHES {
                tape.index(record, LEAST_INDEXED.max(tape.len() as usize / searches));
            }
            let before = (record, &*tape);
            let changes = changes(before, (record, after), suspects);
            let truth = Truth {
                before: Node::Raw(Raw { text: before.0, tape: before.1, cell: 0 }),
                changes: TrueChanges::Found(&changes),
                after: None,
                observation: &observation,
                volatile: &volatile,
            };
            fill(verdict, &truth, prediction);
        }))
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
