//! Laws that hold for all values: diff and apply are inverse, equality is an equivalence, verdicts follow from both.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use envsim_scorer::{
    Failure, Object, Sample, Syntax, Text, Value, apply, diff, fingerprint, in_parallel, read_value, score, to_json,
};
use proptest::prelude::*;

/// Keys that paths could stumble over, and a few plain ones so that states share keys.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned),
        2 => prop::sample::select(vec!["", ".", "/", "a.b", "a/b", "~", "~1", "[0]", "a[0]", "$", "$.", "self", "0", "-", "-1"])
            .prop_map(str::to_owned),
        1 => ".{0,6}",
    ]
}

fn scalar() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-3i64..4).prop_map(Value::Int),
        any::<i64>().prop_map(Value::Int),
        "-?[1-9][0-9]{19,30}".prop_map(|digits| Value::Big(Text::Owned(digits.into_bytes()))),
        any::<f64>().prop_map(Value::Float),
        (-3i32..4).prop_map(|n| Value::Float(f64::from(n))),
        ".{0,8}".prop_map(|text| Value::Str(Text::Owned(text.into_bytes()))),
    ]
}

fn value() -> impl Strategy<Value = Value<'static>> {
    scalar().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((key(), inner), 0..12).prop_map(object),
        ]
    })
}

fn object(entries: Vec<(String, Value<'static>)>) -> Value<'static> {
    let entries = entries.into_iter().map(|(key, value)| (Text::Owned(key.into_bytes()), value));
    Value::Object(entries.collect::<Object>())
}

fn state() -> impl Strategy<Value = Value<'static>> {
    prop::collection::vec((key(), value()), 0..14).prop_map(object)
}

/// A state and another that came from it by a few edits, as the states of a transition do.
fn transition() -> impl Strategy<Value = (Value<'static>, Value<'static>)> {
    (state(), prop::collection::vec((any::<prop::sample::Index>(), key(), prop::option::of(value())), 0..4)).prop_map(
        |(before, edits)| {
            let mut after = before.clone();
            for (place, key, value) in edits {
                edit(&mut after, place.index(97), &key, value);
            }
            (before, after)
        },
    )
}

/// Set or delete a key in the object that `place` leads to.
fn edit(value: &mut Value<'static>, place: usize, key: &str, new: Option<Value<'static>>) {
    let Value::Object(object) = value else { return };
    let nested: Vec<Text> =
        object.iter().filter(|(_, v)| matches!(v, Value::Object(_))).map(|(k, _)| k.clone()).collect();
    let mut entries: Vec<(Text, Value)> = object.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    match nested.get(place % (nested.len() + 1)) {
        Some(deeper) => {
            let at = entries.iter().position(|(k, _)| k == deeper).unwrap();
            edit(&mut entries[at].1, place / (nested.len() + 1), key, new);
        }
        None => {
            entries.retain(|(k, _)| **k != *key.as_bytes());
            entries.extend(new.map(|new| (Text::Owned(key.as_bytes().to_vec()), new)));
        }
    }
    *object = entries.into_iter().collect();
}

fn operations(before: &Value, after: &Value) -> Vec<Value<'static>> {
    diff(before, after).iter().map(|change| change.to_operation()).collect()
}

fn sample(before: &Value<'static>, after: &Value<'static>) -> Sample<'static> {
    let text = |text: &str| Text::Owned(text.as_bytes().to_vec());
    let fields = [
        (text("state_before"), before.clone()),
        (text("state_after"), after.clone()),
        (text("observation"), Value::Str(text("ok"))),
    ];
    Sample::read(Value::Object(fields.into_iter().collect())).unwrap()
}

fn completion(operations: Vec<Value<'static>>) -> Vec<u8> {
    let text = |text: &str| Text::Owned(text.as_bytes().to_vec());
    let fields = [(text("feedback"), Value::Str(text("ok"))), (text("config_changes"), Value::Array(operations))];
    to_json(&Value::Object(fields.into_iter().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changes_lead_from_before_to_after((before, after) in transition(), other in state()) {
        for after in [after, other] {
            prop_assert!(apply(&before, &operations(&before, &after)).unwrap() == after);
        }
    }

    #[test]
    fn there_are_no_changes_exactly_between_equal_states((before, after) in transition()) {
        prop_assert_eq!(diff(&before, &after).is_empty(), before == after);
        prop_assert_eq!(fingerprint(&before) == fingerprint(&after), before == after);
    }

    #[test]
    fn equality_is_an_equivalence(a in value(), b in value(), c in value()) {
        prop_assert!(a == a.clone());
        prop_assert_eq!(a == b, b == a);
        prop_assert!(!(a == b && b == c) || a == c);
    }

    #[test]
    fn what_is_written_is_read_back(value in value()) {
        let json = to_json(&value);
        prop_assert!(read_value(&json, Syntax::Json).unwrap() == value);
    }

    #[test]
    fn the_right_answer_is_right((before, after) in transition()) {
        let verdict = score(&sample(&before, &after), Some(&completion(operations(&before, &after))));
        prop_assert_eq!(verdict.failure, Failure::None);
        prop_assert_eq!(verdict.metrics.unwrap().changed_f1, 1.0);
        prop_assert!(verdict.first_mismatch.is_none());
    }

    /// The verdict looks at touched paths only; the plain way applies everything and compares everything.
    #[test]
    fn a_verdict_equals_apply_and_compare((before, after) in transition(), (_, wrong) in transition(), mixed in any::<u64>()) {
        let mut predicted = operations(&before, &after);
        predicted.extend(operations(&before, &wrong));
        let kept: Vec<_> = predicted.into_iter().enumerate().filter(|(i, _)| mixed >> (i % 64) & 1 == 1).map(|(_, o)| o).collect();
        let verdict = score(&sample(&before, &after), Some(&completion(kept.clone())));
        let metrics = verdict.metrics.unwrap();
        match apply(&before, &kept) {
            Err(_) => prop_assert_eq!(verdict.failure, Failure::InapplicableOperation),
            Ok(state) => {
                prop_assert_eq!(metrics.config_match, state == after);
                prop_assert_eq!(verdict.first_mismatch.is_none(), state == after);
                let (predicted, truth) = (diff(&before, &state), diff(&before, &after));
                let agrees = |p: &&envsim_scorer::Change| truth.iter().any(|t| t.path == p.path && t.after == p.after);
                let hits = predicted.iter().filter(agrees).count();
                let starts = |a: &[Text], b: &[Text]| a.iter().zip(b).all(|(x, y)| x == y);
                let collateral = predicted.iter().filter(|p| !truth.iter().any(|t| starts(&t.path, &p.path))).count();
                prop_assert_eq!(metrics.collateral, collateral);
                if !predicted.is_empty() && !truth.is_empty() {
                    prop_assert_eq!(metrics.changed_precision, hits as f64 / predicted.len() as f64);
                    prop_assert_eq!(metrics.changed_recall, hits as f64 / truth.len() as f64);
                }
            }
        }
    }

    #[test]
    fn any_bytes_give_a_verdict(text in prop::collection::vec(prop::sample::select(
        b"{}[]()\"'\\,:.01-truefalsn `\n<think></think>feedback_config_changes".to_vec()), 0..200)) {
        let state = object(vec![]);
        let verdict = score(&sample(&state, &state), Some(&text));
        prop_assert!(verdict.metrics.is_some());
    }

    #[test]
    fn the_number_of_threads_changes_nothing(items in prop::collection::vec(any::<u32>(), 0..200), threads in 1usize..4) {
        let expected: Vec<u64> = items.iter().map(|i| u64::from(*i) * 3).collect();
        prop_assert_eq!(in_parallel(items.clone(), threads, |i| u64::from(i) * 3), expected);
    }
}
