//! Two texts in lockstep: the state after, read beside the tape of the state before.
//!
//! Where both texts are the same, the state after is valid because the state before is, and nothing is read. What is
//! left are suspects: places where the values may differ, for [`crate::diff`] to look at.

use crate::limits::MAX_DEPTH;
use crate::scan::space;
use crate::tape::Tape;

/// A place where the states may differ. Cells are those of the two tapes.
pub(crate) struct Suspect {
    /// Keys from the root, on the tape of the state before.
    pub(crate) path: Vec<u32>,
    /// The last key of a value that is new, on the tape of the state after.
    pub(crate) new_key: Option<u32>,
    pub(crate) before: Option<u32>,
    pub(crate) after: Option<u32>,
}

/// New keys of one object that are compared with each other; with more, the object is read as a whole.
const NEW_KEYS: usize = 8;

/// Bytes that may be read a second time, as a multiple of the text.
const READ_AGAIN: usize = 4;

/// Read the state that starts at byte `at` of `text` beside the state at cell 0 of `before`.
///
/// The answer is where it ends and where the states may differ; what stands there is on the tape `after`. `None` where
/// [`Tape::read`] would give `None`, and where the reading would take too long.
pub(crate) fn lockstep(
    before: (&[u8], &Tape),
    text: &[u8],
    at: usize,
    depth: usize,
    after: &mut Tape,
) -> Option<(usize, Vec<Suspect>)> {
    let mut walk = Lockstep {
        old_text: before.0,
        old: before.1,
        old_end: before.1.cell(0).end as usize,
        text,
        at,
        new: after,
        depth,
        from: 0,
        run: 0,
        read_again: text.len().saturating_mul(READ_AGAIN),
        path: Vec::new(),
        suspects: Vec::new(),
    };
    walk.sync(before.1.cell(0).start as usize);
    walk.value(0)?;
    Some((walk.at, walk.suspects))
}

struct Lockstep<'s> {
    old_text: &'s [u8],
    old: &'s Tape,
    old_end: usize,
    text: &'s [u8],
    /// Up to here the state after has been read.
    at: usize,
    new: &'s mut Tape,
    depth: usize,
    /// The place in the old text that stands beside `at`, and the end of what is the same from there on.
    from: usize,
    run: usize,
    read_again: usize,
    path: Vec<u32>,
    suspects: Vec<Suspect>,
}

impl Lockstep<'_> {
    /// Lay the old text at `from` beside the new one.
    fn sync(&mut self, from: usize) {
        self.from = from;
        self.run = from + common_prefix(&self.old_text[from..self.old_end], &self.text[self.at..]);
    }

    /// Go on to a place in the old text, over what is the same.
    fn skip_to(&mut self, from: usize) {
        self.at += from - self.from;
        self.from = from;
    }

    /// Read a value beside the old one at `cell`; both texts stand at its start.
    fn value(&mut self, cell: u32) -> Option<()> {
        let old = self.old.cell(cell);
        let end = old.end as usize;
        if end < self.run || (end == self.run && self.is_whole(old.start as usize, end)) {
            self.skip_to(end);
            return Some(());
        }
        if self.old.is_object(self.old_text, cell) && self.text.get(self.at) == Some(&b'{') {
            return self.object(cell);
        }
        self.whole(cell)
    }

    /// Whether a value that ends where the texts part ends in the new text, too.
    fn is_whole(&self, start: usize, end: usize) -> bool {
        let closed = matches!(self.old_text[start], b'{' | b'[' | b'"');
        closed || !self.text.get(self.at + end - start).is_some_and(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E'))
    }

    /// Read a value and leave it to others to compare it with the old one.
    fn whole(&mut self, cell: u32) -> Option<()> {
        let after = self.new.len();
        self.at = self.new.read(self.text, self.at, self.depth)?;
        self.suspects.push(Suspect { path: self.path.clone(), new_key: None, before: Some(cell), after: Some(after) });
        self.sync(self.old.cell(cell).end as usize);
        Some(())
    }

    fn object(&mut self, cell: u32) -> Option<()> {
        if self.depth >= MAX_DEPTH {
            return None;
        }
        let (start, known, cells) = (self.at, self.suspects.len(), self.new.len());
        self.depth += 1;
        let regular = !self.old.has_repeats(self.old_text, cell) && self.members(cell)?;
        self.depth -= 1;
        if regular {
            return Some(());
        }
        self.read_again = self.read_again.checked_sub(self.at - start)?;
        self.suspects.truncate(known);
        self.new.truncate(cells);
        self.at = start;
        self.whole(cell)
    }

    /// Read the members of an object beside those of an old one without repeated keys.
    ///
    /// False where the order of keys is another one, or a key comes twice: then nothing that was found counts.
    fn members(&mut self, object: u32) -> Option<bool> {
        let last = self.old.cell(object).next;
        let close = self.old.cell(object).end as usize;
        let mut next = object + 1;
        let mut new_keys: Vec<u32> = Vec::new();
        let mut is_first = true;
        self.skip_to(self.from + 1);
        loop {
            if next < last {
                let value = self.old.cell(next + 1);
                if (value.start as usize) <= self.run {
                    self.skip_to(value.start as usize);
                    if (value.end as usize) < self.run {
                        self.skip_to(value.end as usize);
                    } else {
                        self.path.push(next);
                        self.value(next + 1)?;
                        self.path.pop();
                    }
                    next = value.next;
                    is_first = false;
                    continue;
                }
            } else if close <= self.run {
                self.skip_to(close);
                return Some(true);
            }
            // The texts part between here and the next value.
            let mut at = space(self.text, self.at);
            match self.text.get(at) {
                Some(b'}') => {
                    while next < last {
                        self.deleted(next);
                        next = self.old.cell(next + 1).next;
                    }
                    self.at = at + 1;
                    self.sync(close);
                    return Some(true);
                }
                Some(b',') if !is_first => at = space(self.text, at + 1),
                Some(_) if is_first => {}
                _ => return None,
            }
            is_first = false;
            let key = self.new.len();
            at = space(self.text, self.new.read_key(self.text, at)?);
            if self.text.get(at) != Some(&b':') {
                return None;
            }
            self.at = space(self.text, at + 1);
            match self.find(object, next, key) {
                Some(found) if found >= next => {
                    self.new.truncate(key);
                    while next < found {
                        self.deleted(next);
                        next = self.old.cell(next + 1).next;
                    }
                    let value = self.old.cell(found + 1);
                    self.sync(value.start as usize);
                    self.path.push(found);
                    self.value(found + 1)?;
                    self.path.pop();
                    next = value.next;
                }
                Some(_) => return Some(false),
                None => {
                    let name = self.new.key(self.text, key);
                    let repeated = new_keys.iter().any(|&other| self.new.key(self.text, other) == name);
                    if repeated || new_keys.len() == NEW_KEYS {
                        return Some(false);
                    }
                    new_keys.push(key);
                    let beside = self.from;
                    self.at = self.new.read(self.text, self.at, self.depth)?;
                    self.suspects.push(Suspect {
                        path: self.path.clone(),
                        new_key: Some(key),
                        before: None,
                        after: Some(key + 1),
                    });
                    self.sync(beside);
                }
            }
        }
    }

    /// The member of the old object that has the key at this cell of the new tape, looked for from `next` on.
    fn find(&self, object: u32, next: u32, key: u32) -> Option<u32> {
        let key = self.new.key(self.text, key);
        let has_key = |&at: &u32| self.old.key(self.old_text, at) == key;
        let end = self.old.cell(object).next;
        let ahead = self.old.members_from(next, end).find(has_key);
        ahead.or_else(|| self.old.members_from(object + 1, next).find(has_key))
    }

    fn deleted(&mut self, member: u32) {
        let mut path = self.path.clone();
        path.push(member);
        self.suspects.push(Suspect { path, new_key: None, before: Some(member + 1), after: None });
    }
}

/// How many bytes at the start are the same.
fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    let length = one.len().min(other.len());
    let (one, other) = (&one[..length], &other[..length]);
    let mut at = 0;
    for step in [2048, 64, 8] {
        while at + step <= length && one[at..at + step] == other[at..at + step] {
            at += step;
        }
    }
    at + one[at..].iter().zip(&other[at..]).take_while(|(a, b)| a == b).count()
}
