//! The golden rows in `tests/golden`, which the Python tests read too.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use envsim_scorer::{Sample, Syntax, Value, apply, diff, fingerprint, lossy, read_value, score, to_json};
use std::path::Path;

fn rows(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rows: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(rows.len() >= 30, "{name} holds too few rows: {}", rows.len());
    rows
}

fn parse(text: &str) -> Value<'_> {
    read_value(text.as_bytes(), Syntax::Json).unwrap()
}

fn field<'v, 'a>(row: &'v Value<'a>, name: &str) -> Option<&'v Value<'a>> {
    let Value::Object(object) = row else { panic!("a row is an object") };
    object.get(name.as_bytes())
}

fn text_of(row: &Value, name: &str) -> String {
    match field(row, name) {
        Some(Value::Str(text)) => String::from_utf8(text.to_vec()).unwrap(),
        other => panic!("{name} is {other:?}"),
    }
}

fn json_of(value: &Value) -> String {
    lossy(&to_json(value)).into_owned()
}

/// The verdict's metrics under the names of the rows.
fn metric<'v>(verdict: &'v envsim_scorer::Verdict, name: &str) -> Option<Value<'v>> {
    let m = verdict.metrics;
    let bit = |pick: fn(envsim_scorer::Metrics) -> bool| m.map_or(Value::Null, |m| Value::Bool(pick(m)));
    let share = |pick: fn(envsim_scorer::Metrics) -> f64| m.map_or(Value::Null, |m| Value::Float(pick(m)));
    let word = |text: &str| Value::Str(text.as_bytes().to_vec().into());
    Some(match name {
        "config_match" => bit(|m| m.config_match),
        "feedback_match" => bit(|m| m.feedback_match),
        "feedback_verbatim" => bit(|m| m.feedback_verbatim),
        "config_match_masked" => bit(|m| m.config_match_masked),
        "changed_precision" => share(|m| m.changed_precision),
        "changed_recall" => share(|m| m.changed_recall),
        "changed_f1" => share(|m| m.changed_f1),
        "collateral" => m.map_or(Value::Null, |m| Value::Int(m.collateral as i64)),
        "silent_corruption" => verdict.silent_corruption().map_or(Value::Null, Value::Bool),
        "ambiguous_path" => Value::Bool(verdict.ambiguous_path),
        "outcome" => word(&snake(&format!("{:?}", verdict.outcome))),
        "failure" => word(&snake(&format!("{:?}", verdict.failure))),
        "strategy" => verdict.strategy.map_or(Value::Null, |s| word(s.as_str())),
        _ => return None,
    })
}

/// `WrongValue` as `wrong_value`.
fn snake(name: &str) -> String {
    name.chars().enumerate().fold(String::new(), |mut out, (i, c)| {
        if c.is_uppercase() && i > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        out
    })
}

#[test]
fn every_verdict_is_the_golden_one() {
    let mut failures = Vec::new();
    for row in rows("score.jsonl").iter().chain(&rows("contract.jsonl")) {
        let row = parse(row);
        let sample = Sample::read(row.clone()).unwrap();
        let completion = match field(&row, "completion").unwrap() {
            Value::Null => None,
            Value::Str(text) => Some(&**text),
            other => panic!("completion is {other:?}"),
        };
        let verdict = score(&sample, completion);
        let Value::Object(fields) = &row else { unreachable!() };
        for (name, expected) in fields.iter() {
            let Some(got) = metric(&verdict, &lossy(name)) else { continue };
            if got != *expected {
                let (row, name) = (text_of(&row, "name"), lossy(name));
                failures.push(format!("{row}: {name} is {}, expected {}", json_of(&got), json_of(expected)));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn values_are_equal_exactly_where_the_contract_says_so() {
    for row in rows("values.jsonl") {
        let row = parse(&row);
        let (left, right) = (text_of(&row, "left"), text_of(&row, "right"));
        let (left, right) = (parse(&left), parse(&right));
        let expected = *field(&row, "equal").unwrap() == Value::Bool(true);
        let name = text_of(&row, "name");
        assert_eq!(left == right, expected, "{name}");
        assert_eq!(right == left, expected, "{name}, the other way round");
        assert_eq!(fingerprint(&left) == fingerprint(&right), expected, "{name}, as fingerprints");
    }
}

#[test]
fn json_is_read_as_python_reads_it() {
    for row in rows("json.jsonl") {
        let row = parse(&row);
        let text = text_of_generalised(&row, "text");
        let accepted = matches!(read_value(&text, Syntax::Json), Ok(Value::Object(_)));
        assert_eq!(Value::Bool(accepted), *field(&row, "accept").unwrap(), "{}", text_of(&row, "name"));
    }
}

fn text_of_generalised(row: &Value, name: &str) -> Vec<u8> {
    match field(row, name) {
        Some(Value::Str(text)) => text.to_vec(),
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn changes_are_the_golden_ones_and_lead_back() {
    for row in rows("diff.jsonl") {
        let row = parse(&row);
        let (before, after) = (field(&row, "before").unwrap(), field(&row, "after").unwrap());
        let changes = diff(before, after);
        let operations: Vec<Value> = changes.iter().map(|change| change.to_operation()).collect();
        let Value::Array(expected) = field(&row, "changes").unwrap() else { panic!("changes are a list") };
        let name = text_of(&row, "name");
        assert_eq!(operations.len(), expected.len(), "{name}");
        for (got, expected) in operations.iter().zip(expected) {
            assert_eq!(field(got, "type"), field(expected, "type"), "{name}");
            assert_eq!(field(got, "path"), field(expected, "path"), "{name}");
            if text_of(got, "type") != "delete" {
                assert_eq!(field(got, "value"), field(expected, "after"), "{name}");
            }
        }
        assert_eq!(apply(before, &operations).unwrap(), *after, "{name}: the changes lead from before to after");
    }
}

#[test]
fn operations_apply_as_the_contract_says() {
    for row in rows("apply.jsonl").iter().chain(&rows("rfc6902.jsonl")) {
        let row = parse(row);
        let Value::Array(operations) = field(&row, "operations").unwrap() else { panic!("operations are a list") };
        let name = text_of(&row, "name");
        match (apply(field(&row, "state").unwrap(), operations), field(&row, "result")) {
            (Ok(result), Some(expected)) => assert_eq!(result, *expected, "{name}"),
            (Err(error), None) => {
                assert_eq!(Some(&Value::Int(error.index as i64)), field(&row, "inapplicable"), "{name}: {error}");
            }
            (Ok(result), None) => panic!("{name}: expected to be inapplicable, got {}", json_of(&result)),
            (Err(error), Some(_)) => panic!("{name}: {error}"),
        }
    }
}
