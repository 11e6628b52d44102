//! Records: what is scored straight from its text gets the verdict that its values get, however it is written.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use envsim_scorer::{
    BadRecord, Mismatch, Prepared, Sample, SampleCells, Syntax, Value, Verdict, check_text, fingerprint, lossy,
    read_value, score, score_cells, score_record, to_json,
};
use std::path::Path;

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

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }
}

/// The slow way: make values of all of it.
fn by_values(record: &[u8], completion: Option<&[u8]>) -> Result<Verdict, BadRecord> {
    Ok(score(&Sample::read(read_value(record, Syntax::Json)?)?, completion))
}

fn told(verdict: Result<Verdict, BadRecord>) -> String {
    // Equal values, not equal spellings: what did not change may be shown as the state before writes it.
    let print = |value: Option<&Value>| value.map(fingerprint);
    match verdict {
        Err(error) => format!("{error:?}"),
        Ok(mut verdict) => {
            let mismatch = match verdict.first_mismatch.take().map(|mismatch| *mismatch) {
                Some(Mismatch::Value { path, expected, got }) => {
                    format!("{path:?} {:?} {:?}", print(expected.as_ref()), print(got.as_ref()))
                }
                other => format!("{other:?}"),
            };
            format!("{verdict:?} {mismatch}")
        }
    }
}

fn check(record: &[u8], completion: Option<&[u8]>) {
    let (quick, slow) = (told(score_record(record, completion)), told(by_values(record, completion)));
    assert_eq!(quick, slow, "record: {}\ncompletion: {:?}", lossy(record), completion.map(lossy));
    let kept = told(Prepared::read(record).map(|sample| sample.score(completion)));
    assert_eq!(kept, slow, "kept: {}\ncompletion: {:?}", lossy(record), completion.map(lossy));
}

fn field<'v, 'a>(value: &'v Value<'a>, name: &str) -> Option<&'v Value<'a>> {
    let Value::Object(fields) = value else { panic!("a row is an object") };
    fields.get(name.as_bytes())
}

fn golden() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let all = text("score.jsonl") + &text("contract.jsonl");
    all.lines().map(|line| line.as_bytes().to_vec()).collect()
}

fn completion_of<'v>(row: &'v Value) -> Option<&'v [u8]> {
    match field(row, "completion").unwrap() {
        Value::Str(text) => Some(text),
        _ => None,
    }
}

#[test]
fn golden_rows_get_the_same_verdict_from_their_text() {
    for line in golden() {
        let row = read_value(&line, Syntax::Json).unwrap();
        check(&line, completion_of(&row));
    }
}

/// A value in one of its many spellings.
fn spell(out: &mut Vec<u8>, value: &Value, rng: &mut Rng, wild: bool) {
    let space = |out: &mut Vec<u8>, rng: &mut Rng| {
        if wild && rng.one_in(6) {
            out.extend_from_slice(rng.pick::<&[u8]>(&[b" ", b"\n", b"\t ", b"\r\n"]));
        }
    };
    match value {
        Value::Str(text) => spell_text(out, text, rng, wild),
        Value::Int(int) if wild && rng.one_in(4) => out.extend_from_slice(format!("{int}.0").as_bytes()),
        Value::Float(float) if wild && float.is_finite() && rng.one_in(4) => {
            out.extend_from_slice(format!("{float:e}").as_bytes());
        }
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                out.extend_from_slice(if i > 0 { b", " } else { b"" });
                space(out, rng);
                spell(out, item, rng, wild);
                space(out, rng);
            }
            out.push(b']');
        }
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            if wild && rng.one_in(3) {
                for i in (1..entries.len()).rev() {
                    entries.swap(i, rng.below(i + 1));
                }
            }
            if wild && rng.one_in(4) && !entries.is_empty() {
                // An earlier value of a key that comes again.
                let early = *rng.pick(&entries);
                let at = entries.iter().position(|entry| entry.0 == early.0).unwrap();
                let value = rng.pick(&entries).1;
                let place = rng.below(at + 1);
                entries.insert(place, (early.0, value));
            }
            out.push(b'{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                out.extend_from_slice(if i > 0 { b", " } else { b"" });
                space(out, rng);
                spell_text(out, key, rng, wild);
                space(out, rng);
                out.extend_from_slice(b": ");
                spell(out, value, rng, wild);
                space(out, rng);
            }
            out.push(b'}');
        }
        scalar => out.extend_from_slice(&to_json(scalar)),
    }
}

fn spell_text(out: &mut Vec<u8>, text: &[u8], rng: &mut Rng, wild: bool) {
    let plain =
        std::str::from_utf8(text).is_ok_and(|text| !text.contains(['"', '\\']) && !text.contains(char::is_control));
    if !plain || !wild {
        out.extend_from_slice(&to_json(&Value::Str(text.into())));
        return;
    }
    out.push(b'"');
    for c in std::str::from_utf8(text).unwrap().chars() {
        match (rng.below(8), u32::from(c)) {
            (0, code @ ..=0xFFFF) => out.extend_from_slice(format!("\\u{code:04X}").as_bytes()),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

fn scalar(rng: &mut Rng) -> Value<'static> {
    match rng.below(8) {
        0 => Value::Null,
        1 => Value::Bool(rng.one_in(2)),
        2 => Value::Float(*rng.pick(&[0.0, -0.0, 1.0, 0.1, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 2.5e-8])),
        3 => Value::Big(b"123456789012345678901234567890"[..].into()),
        4 => Value::Int(rng.below(4) as i64 - 1),
        5 => Value::Str(
            rng.pick(&["", "a", "1", "true", "ein längerer Text mit Leerzeichen", "\u{1F600}", "a\"b\\c\n"])
                .as_bytes()
                .into(),
        ),
        _ => Value::Str(format!("id_{:04}", rng.below(50)).into_bytes().into()),
    }
}

fn value(rng: &mut Rng, depth: usize) -> Value<'static> {
    match rng.below(6) {
        0 if depth > 0 => Value::Array((0..rng.below(5)).map(|_| value(rng, depth - 1)).collect()),
        1 | 2 if depth > 0 => state(rng, depth - 1),
        _ => scalar(rng),
    }
}

fn state(rng: &mut Rng, depth: usize) -> Value<'static> {
    let size = if rng.one_in(12) { 40 + rng.below(30) } else { rng.below(7) };
    let key = |rng: &mut Rng| match rng.below(3) {
        0 => (*rng.pick(&["", "a.b", "a", "b", "[0]", "a/b", "\u{E9}", "{", "state_before", "q\"", "\\"])).to_owned(),
        1 => format!("key_{}", rng.below(30)),
        _ => format!("{:03}", rng.below(60)),
    };
    let entries = (0..size).map(|_| (key(rng).into_bytes().into(), value(rng, depth)));
    Value::Object(entries.collect())
}

/// Change something somewhere.
fn edit(old: &Value<'static>, rng: &mut Rng, depth: usize) -> Value<'static> {
    let Value::Object(object) = old else { return value(rng, depth) };
    let mut entries: Vec<_> = object.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let at = rng.below(entries.len());
    match rng.below(5) {
        0 => entries.insert(at, (format!("new_{}", rng.below(9)).into_bytes().into(), value(rng, depth))),
        1 if !entries.is_empty() => drop(entries.remove(at)),
        _ if !entries.is_empty() => entries[at].1 = edit(&entries[at].1, rng, depth.saturating_sub(1)),
        _ => {}
    }
    Value::Object(entries.into_iter().collect())
}

fn record(before: &Value, after: &Value, rng: &mut Rng, wild: bool) -> Vec<u8> {
    let mut fields: Vec<(&str, Vec<u8>)> = Vec::new();
    let text = |value: &Value, rng: &mut Rng| {
        let mut out = Vec::new();
        spell(&mut out, value, rng, wild);
        out
    };
    fields.push(("sample_id", b"\"s\"".to_vec()));
    fields.push(("state_before", text(before, rng)));
    fields.push(("state_after", text(after, rng)));
    fields.push(("observation", b"\"{'success': True}\"".to_vec()));
    if rng.one_in(4) {
        fields.push(("volatile", b"[[\"a\"], [\"key_1\", 0], [\"b\", \"a\"]]".to_vec()));
    }
    if wild && rng.one_in(8) {
        let at = rng.below(fields.len());
        let again = fields[at].clone();
        fields.insert(rng.below(fields.len()), again);
    }
    if wild && rng.one_in(4) {
        let (one, other) = (rng.below(fields.len()), rng.below(fields.len()));
        fields.swap(one, other);
    }
    if wild && rng.one_in(8) {
        fields.remove(rng.below(fields.len()));
    }
    let mut out = b"{".to_vec();
    for (i, (name, value)) in fields.iter().enumerate() {
        out.extend_from_slice(if i > 0 { b", " } else { b"" });
        let escaped = wild && rng.one_in(8);
        spell_text(&mut out, name.as_bytes(), rng, escaped);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
    }
    out.push(b'}');
    out
}

fn completion(before: &Value<'static>, after: &Value<'static>, rng: &mut Rng) -> Vec<u8> {
    let mut changes: Vec<Value> =
        envsim_scorer::diff(before, after).iter().map(|change| change.to_operation()).collect();
    if rng.one_in(3) && !changes.is_empty() {
        changes.remove(rng.below(changes.len()));
    }
    if rng.one_in(3) {
        let other = edit(before, rng, 2);
        changes.extend(envsim_scorer::diff(before, &other).iter().map(|change| change.to_operation()));
    }
    let operations = to_json(&Value::Array(changes));
    let more: &[&[u8]] = &[
        b"",
        b"",
        b"{\"op\": \"copy\", \"from\": \"/a\", \"path\": \"/b\"}",
        b"{\"op\": \"move\", \"from\": \"/key_1\", \"path\": \"/new_1\"}",
        b"{\"op\": \"test\", \"path\": \"/a\", \"value\": 1}",
        b"{\"type\": \"modify\", \"path\": \"a.b.c\", \"value\": {\"x\": [1, 2]}}",
        b"{\"type\": \"add\", \"path\": [\"a\", 0], \"value\": null}",
        b"{\"type\": \"delete\", \"path\": \"key_2\"}",
        b"{\"type\": \"modify\", \"path\": \"\", \"value\": {\"a\": 1}}",
    ];
    let more = *rng.pick(more);
    let inside = &operations[1..operations.len() - 1];
    let comma: &[u8] = if inside.is_empty() || more.is_empty() { b"" } else { b"," };
    [b"{\"feedback\": \"{'success': True}\", \"config_changes\": [", inside, comma, more, b"]}"].concat()
}

/// The same in columns. What is unusual there is left to values.
fn check_cells(before: &[u8], after: &[u8], completion: &[u8]) -> bool {
    let cells = SampleCells {
        sample_id: Some(b"s"),
        state_before: before,
        state_after: after,
        observation: b"{'success': True}",
        volatile: Some(b"[[\"a\"]]"),
    };
    let Some(quick) = score_cells(&cells, Some(completion)) else { return false };
    let rest = br#""sample_id": "s", "observation": "{'success': True}", "volatile": [["a"]]}"#;
    let record = [b"{\"state_before\": ", before, b", \"state_after\": ", after, b", ", &rest[..]].concat();
    assert_eq!(told(Ok(quick)), told(by_values(&record, Some(completion))), "{}", lossy(&record));
    true
}

/// How many records; `ENVSIM_STRESS=n` makes it n.
fn rounds() -> usize {
    std::env::var("ENVSIM_STRESS").map_or(8_000, |count| count.parse().unwrap())
}

fn break_somewhere(text: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.below(text.len());
    let byte = *rng.pick(b"{}[]\",:\\u0159eE+-.tn \n\x01x");
    match rng.below(3) {
        0 => text[at] = byte,
        1 => text.insert(at, byte),
        _ => drop(text.remove(at)),
    }
}

#[test]
fn any_spelling_gets_the_verdict_of_its_values() {
    let mut rng = Rng(0x5EED_0000_0000_0001);
    for _ in 0..rounds() {
        let before = state(&mut rng, 3);
        let mut after = before.clone();
        for _ in 0..rng.below(5) {
            after = edit(&after, &mut rng, 2);
        }
        if rng.one_in(20) {
            after = state(&mut rng, 3);
        }
        let completion = completion(&before, &after, &mut rng);
        // An answer on its own stays text, one among prose becomes values: only the strategy may tell them apart.
        let among_prose = [b"The answer: ", &completion[..]].concat();
        let wild = rng.one_in(2);
        let cells = [&before, &after].map(|state| {
            let mut text = Vec::new();
            spell(&mut text, state, &mut rng, wild);
            text
        });
        assert!(check_cells(&cells[0], &cells[1], &completion));
        let mut record = record(&before, &after, &mut rng, wild);
        check(&record, Some(&completion));
        let told = |completion: &[u8]| {
            told(score_record(&record, Some(completion)).map(|verdict| Verdict { strategy: None, ..verdict }))
        };
        assert_eq!(told(&completion), told(&among_prose), "{}\n{}", lossy(&record), lossy(&completion));
        // And once more with something broken, which has to be noticed in the same place.
        for _ in 0..=rng.below(2) {
            break_somewhere(&mut record, &mut rng);
        }
        if check_text(&record).is_ok() {
            check(&record, Some(&completion));
        }
        let [before, mut after] = cells;
        break_somewhere(&mut after, &mut rng);
        if check_text(&after).is_ok() {
            check_cells(&before, &after, &completion);
            check_cells(&after, &before, &completion);
        }
    }
}

#[test]
fn limits_are_the_same_for_a_record_as_for_its_values() {
    let nested = |depth: usize, inside: &str| format!("{}{inside}{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let record = |before: &str, after: &str| {
        format!("{{\"state_before\": {before}, \"state_after\": {after}, \"observation\": \"\"}}").into_bytes()
    };
    let answer = Some(&b"{\"config_changes\": []}"[..]);
    for depth in 997..1002 {
        check(&record(&nested(depth, "1"), &nested(depth, "1")), answer);
        check(&record(&nested(depth, "1"), &nested(depth, "2")), answer);
        check(&record(&nested(990, "1"), &nested(depth, "2")), answer);
    }
    for digits in [18, 19, 999_999, 1_000_000, 1_000_001] {
        let number = "7".repeat(digits);
        check(&record(&format!("{{\"a\": {number}}}"), &format!("{{\"a\": {number}1}}")), answer);
        check(&record(&format!("{{\"a\": {number}.5}}"), &format!("{{\"a\": {number}.50}}")), answer);
    }
}

/// Everything that makes one search long, many times: it has to stay near linear.
#[test]
fn large_objects_with_many_changes_take_no_longer_than_their_size() {
    let size = 30_000_i64;
    let entries = |step: usize, tail: &str| -> String {
        let entries: Vec<String> =
            (0..size).step_by(step).map(|i| format!("\"k{}\": {i}{tail}", (i * 7919) % size)).collect();
        entries.join(", ")
    };
    let shuffled: Vec<String> = (0..size).map(|i| format!("\"k{}\": {}", (i * 104_729) % size, i % 5)).collect();
    let operations: Vec<String> = (0..size).map(|i| format!("{{\"path\": \"k{i}.x.y\", \"value\": 1}}")).collect();
    let answers = [
        format!("{{\"config_changes\": [{}]}}", operations.join(",")),
        format!("{{\"config_changes\": [{{\"path\": \"{}\", \"value\": 1}}]}}", "k1.".repeat(900)),
    ];
    let before = entries(1, "");
    for after in [shuffled.join(", "), entries(2, ""), entries(1, ".5"), String::new()] {
        let record = format!("{{\"state_before\": {{{before}}}, \"state_after\": {{{after}}}, \"observation\": \"\"}}");
        for answer in &answers {
            let start = std::time::Instant::now();
            score_record(record.as_bytes(), Some(answer.as_bytes())).unwrap();
            assert!(start.elapsed().as_secs() < 5, "{:?} for {} bytes", start.elapsed(), record.len());
        }
    }
}
