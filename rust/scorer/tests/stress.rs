//! Stress: mutated completions never panic, never abort, and stay inside a budget of time and memory.
//!
//! `ENVSIM_STRESS=5000000 cargo test --release --test stress -- --nocapture` runs as many as you like (and says how many).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use envsim_scorer::{Sample, Syntax, Value, check_text, read_value, score};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

/// Memory that one verdict may take: a value of two bytes of text takes some dozens, an operation some hundreds.
const BYTES_PER_BYTE: usize = 400;
const BYTES: usize = 4 << 20;
/// Time that one verdict may take, on a machine that does other things as well.
const NANOS_PER_BYTE: u64 = 20_000;
const TIME: Duration = Duration::from_secs(1);

struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system allocator unchanged; only sizes are counted beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.get() + layout.size();
        NOW.set(now);
        PEAK.set(PEAK.get().max(now));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.set(NOW.get().saturating_sub(layout.size()));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// xorshift64*: small, seeded, the same on every machine.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn pick<'p>(&mut self, pieces: &[&'p [u8]]) -> &'p [u8] {
        pieces[self.below(pieces.len())]
    }
}

const PIECES: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b",",
    b":",
    b"\"",
    b"'",
    b"\\",
    b"\n",
    b"\t",
    b"\0",
    b" ",
    b"```\n",
    b"```json\n",
    b"<think>",
    b"</think>",
    b"null",
    b"None",
    b"true",
    b"False",
    b"NaN",
    b"-Infinity",
    b"nan",
    b"set()",
    b"1e999",
    b"-0.0",
    b"99999999999999999999999",
    b"0.1",
    b"\\u",
    b"\\ud800",
    b"\\udc00",
    b"\xED\xA0\x80",
    b"\xED\xB0\x80",
    b"\xF0\x9F\x98\x80",
    b"\xEF\xBB\xBF",
    b"\"feedback\":",
    b"\"config_changes\":[",
    b"{\"feedback\": \"",
    b"{'feedback': '",
    b"\"type\":\"add\"",
    b"\"op\":\"copy\",\"from\":\"\",",
    b"\"op\":\"move\",",
    b"\"path\":\"a.b\",",
    b"\"path\":[\"q\",0],",
    b"\"path\":\"/q/-\",",
    b"\"path\":\"q[99999999999999999999]\",",
    b"\"value\":{}",
    b"\"value\":[[]]",
    b"$.",
    b"self.",
    b"[0]",
    b"['k']",
    b"..",
    b"~1",
];

/// One of the things that go wrong with text: cut, doubled, spliced, nested, repeated.
fn mutate(text: &mut Vec<u8>, donor: &[u8], rng: &mut Rng) {
    let at = rng.below(text.len() + 1);
    let end = at + rng.below((text.len() - at).min(64) + 1);
    match rng.below(10) {
        0 => text.truncate(at),
        1 => drop(text.drain(at..end)),
        2 => {
            let piece = text[at..end].to_vec();
            text.splice(at..at, piece);
        }
        3..=6 => {
            let piece = rng.pick(PIECES);
            text.splice(at..at, piece.iter().copied());
        }
        7 => {
            let most = if rng.below(200) == 0 { 20_000 } else { 20 };
            let (piece, times) = (rng.pick(PIECES), rng.below(most));
            text.splice(at..at, piece.repeat(times));
        }
        8 => {
            let from = rng.below(donor.len() + 1);
            text.splice(at..end, donor[from..].iter().copied());
        }
        _ => text.splice(at..end, std::iter::empty()).for_each(drop),
    }
}

fn field<'v>(row: &'v Value<'v>, name: &str) -> Option<&'v Value<'v>> {
    let Value::Object(object) = row else { panic!("a row is an object") };
    object.get(name.as_bytes())
}

#[test]
fn mutated_completions_stay_inside_their_budget() {
    let count: usize = std::env::var("ENVSIM_STRESS").map_or(300_000, |count| count.parse().unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/contract.jsonl");
    let rows = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Value> = rows.lines().map(|row| read_value(row.as_bytes(), Syntax::Json).unwrap()).collect();
    let questions: Vec<(Sample, Vec<u8>)> = rows
        .iter()
        .filter_map(|row| match field(row, "completion") {
            Some(Value::Str(text)) => Some((Sample::read(row.clone()).unwrap(), text.to_vec())),
            _ => None,
        })
        .collect();
    let mut rng = Rng(0x5EED_1E55_0DD5_EED5);
    let (mut slowest, mut largest, mut bytes, mut parsed) = (Duration::ZERO, 0, 0, 0);
    let started = Instant::now();
    for _ in 0..count {
        let (sample, completion) = &questions[rng.below(questions.len())];
        let mut text = completion.clone();
        for _ in 0..=rng.below(6) {
            let donor = &questions[rng.below(questions.len())].1;
            mutate(&mut text, donor, &mut rng);
        }
        // The binding checks what it is given; a cut in the middle of a code point never reaches the scorer.
        while let Err(at) = check_text(&text) {
            text.remove(at);
        }
        let before = NOW.get();
        PEAK.set(before);
        let start = Instant::now();
        let verdict = score(sample, Some(&text));
        let (time, memory) = (start.elapsed(), PEAK.get() - before);
        assert!(verdict.metrics.is_some());
        assert!(memory <= BYTES + BYTES_PER_BYTE * text.len(), "{memory} bytes for {:?}", envsim_scorer::lossy(&text));
        let allowed = TIME + Duration::from_nanos(NANOS_PER_BYTE * text.len() as u64);
        assert!(time <= allowed, "{time:?} for {:?}", envsim_scorer::lossy(&text));
        slowest = slowest.max(time);
        largest = largest.max(memory);
        bytes += text.len();
        parsed += usize::from(verdict.strategy.is_some());
    }
    println!(
        "{count} completions, {bytes} bytes, {parsed} readable, in {:?}: slowest {slowest:?}, most memory {largest} bytes",
        started.elapsed()
    );
}
