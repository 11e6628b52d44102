//! Completions in any order: where each one stands, found by its id, without holding the answers.

use crate::compressed::{self, Kind};
use crate::error::BadFile;
use crate::record::{COMPLETION_COLUMNS, Wrong, with_answer};
use crate::rows::{Row, RowReader, Rows};
use crate::sink::{IdHash, each_id};
use envsim_scorer::{Text, Value, write_json};
use hashbrown::HashSet;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Completions by id. 16 bytes for each.
pub(crate) struct Lookup {
    path: PathBuf,
    /// The file of lines that is read: the completions themselves, or their copy.
    lines: PathBuf,
    /// Hash of the id and place of the line, in order.
    places: Vec<(u64, u64)>,
    hash: IdHash,
}

impl Lookup {
    /// Find all completions. Those that are compressed or in a table are copied to `scratch` as lines.
    ///
    /// An id that stands in two rows is an error.
    pub(crate) fn build(path: &Path, scratch: &Path, hash: IdHash) -> Result<Self, BadFile> {
        let plain = compressed::open(path)?.1 == Kind::Plain;
        let mut lookup = Self { path: path.to_owned(), lines: path.to_owned(), places: Vec::new(), hash };
        if !plain {
            copy(path, scratch)?;
            lookup.lines = scratch.to_owned();
        }
        let mut lines = lookup.open()?;
        let (mut at, mut number, mut line) = (0, 0, Vec::new());
        loop {
            line.clear();
            let length = lines.read_until(b'\n', &mut line).map_err(|error| BadFile::io(path, "read", &error))?;
            if length == 0 {
                break;
            }
            number += 1;
            if !text_of(&line, at).iter().all(u8::is_ascii_whitespace) {
                let id = with_answer(Row::Line(text_of(&line, at)), |id, _| lookup.hash.hash_one(id));
                lookup.places.push((id.map_err(|wrong| at_line(path, number, wrong))?, at));
            }
            at += length as u64;
        }
        lookup.places.sort_unstable();
        lookup.check_unique()?;
        Ok(lookup)
    }

    pub(crate) fn len(&self) -> u64 {
        self.places.len() as u64
    }

    /// A handle for [`Self::find`]; each thread has its own.
    pub(crate) fn open(&self) -> Result<BufReader<File>, BadFile> {
        let file = File::open(&self.lines).map_err(|error| BadFile::io(&self.path, "read", &error))?;
        Ok(BufReader::new(file))
    }

    /// Hand the completion of this id to `then`; `None` where there is none.
    pub(crate) fn find<R>(
        &self,
        handle: &mut BufReader<File>,
        id: &[u8],
        then: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<Option<R>, BadFile> {
        let wanted = self.hash.hash_one(id);
        let start = self.places.partition_point(|&(hash, _)| hash < wanted);
        let mut then = Some(then);
        for &(_, at) in self.places[start..].iter().take_while(|&&(hash, _)| hash == wanted) {
            let line = self.line(handle, at)?;
            let found = with_answer(Row::Line(text_of(&line, at)), |other, completion| {
                (other == id).then(|| then.take().map(|then| then(completion))).flatten()
            });
            if let Some(found) = found.map_err(|wrong| at_line(&self.path, 0, wrong))? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Check that every completion belongs to a sample.
    pub(crate) fn check_known(&self, benchmark: &Path) -> Result<(), BadFile> {
        let mut ids = HashSet::with_hasher(self.hash.clone());
        each_id(benchmark, |id, _| {
            ids.insert(id);
            Ok(())
        })?;
        let mut handle = self.open()?;
        let mut places: Vec<u64> = self.places.iter().map(|&(_, at)| at).collect();
        places.sort_unstable();
        for at in places {
            let line = self.line(&mut handle, at)?;
            let unknown = with_answer(Row::Line(text_of(&line, at)), |id, _| (!ids.contains(id)).then(|| shown(id)));
            if let Ok(Some(id)) = unknown {
                let why = format!("{id} is the id of no sample of {}", benchmark.display());
                return Err(BadFile::new(&self.path, Some(self.number(at)?), Some("sample_id"), why));
            }
        }
        Ok(())
    }

    fn check_unique(&self) -> Result<(), BadFile> {
        let mut handle = self.open()?;
        let mut first: Option<(u64, u64, String)> = None;
        for pair in self.places.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let ids = [pair[0].1, pair[1].1].map(|at| {
                let line = self.line(&mut handle, at)?;
                with_answer(Row::Line(text_of(&line, at)), |id, _| id.to_vec())
                    .map_err(|wrong| at_line(&self.path, 0, wrong))
            });
            let [one, two] = ids;
            let (one, two) = (one?, two?);
            if one == two && first.as_ref().is_none_or(|(_, at, _)| pair[1].1 < *at) {
                first = Some((pair[0].1, pair[1].1, shown(&one)));
            }
        }
        let Some((one, two, id)) = first else { return Ok(()) };
        let why = format!("{id} is the id of line {} too", self.number(one)?);
        Err(BadFile::new(&self.path, Some(self.number(two)?), Some("sample_id"), why))
    }

    fn line(&self, handle: &mut BufReader<File>, at: u64) -> Result<Vec<u8>, BadFile> {
        let mut line = Vec::new();
        let position = handle.stream_position().unwrap_or(0);
        // A short way is gone inside the buffer.
        let way = i64::try_from(at).unwrap_or(0) - i64::try_from(position).unwrap_or(0);
        let moved = handle.seek_relative(way);
        let read = moved.and_then(|()| handle.read_until(b'\n', &mut line));
        read.map_err(|error| BadFile::io(&self.path, "read", &error))?;
        Ok(line)
    }

    /// The number of the line at this place, from 1.
    fn number(&self, at: u64) -> Result<u64, BadFile> {
        let mut handle = self.open()?;
        handle.seek(SeekFrom::Start(0)).map_err(|error| BadFile::io(&self.path, "read", &error))?;
        let (mut position, mut number, mut line) = (0, 1, Vec::new());
        while position < at {
            line.clear();
            let length = handle.read_until(b'\n', &mut line);
            position += length.map_err(|error| BadFile::io(&self.path, "read", &error))?.max(1) as u64;
            number += 1;
        }
        Ok(number)
    }
}

/// A line without the byte-order mark that the first one may have.
fn text_of(line: &[u8], at: u64) -> &[u8] {
    if at == 0 { line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line) } else { line }
}

fn at_line(path: &Path, number: u64, wrong: Wrong) -> BadFile {
    BadFile::new(path, (number > 0).then_some(number), wrong.field, wrong.why)
}

/// An id in quotes, for messages.
pub(crate) fn shown(id: &[u8]) -> String {
    format!("{:?}", envsim_scorer::lossy(id))
}

/// Copy the completions of a file as lines; the copy's line numbers are the file's.
fn copy(path: &Path, to: &Path) -> Result<(), BadFile> {
    let failed = |error: std::io::Error| BadFile::io(to, "written", &error);
    let mut reader = RowReader::open(path, COMPLETION_COLUMNS, COMPLETION_COLUMNS.len())?;
    let mut out = BufWriter::new(File::create(to).map_err(failed)?);
    let (mut rows, mut line, mut written) = (Rows::default(), Vec::new(), 0);
    while reader.next(&mut rows)? {
        let number = rows.number(0);
        line.clear();
        line.resize(usize::try_from(number - written - 1).unwrap_or(0), b'\n');
        rows.with(0, |row| {
            with_answer(row, |id, completion| {
                let text = |text| Value::Str(Text::Borrowed(text));
                let fields = [("sample_id", text(id)), ("completion", completion.map_or(Value::Null, text))];
                let fields = fields.map(|(name, value)| (Text::Borrowed(name.as_bytes()), value));
                write_json(&mut line, &Value::Object(fields.into_iter().collect()));
            })
        })
        .map_err(|wrong| at_line(path, number, wrong))?;
        line.push(b'\n');
        out.write_all(&line).map_err(failed)?;
        written = number;
        rows.clear();
    }
    out.flush().map_err(failed)
}
