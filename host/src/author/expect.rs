//! Answers as fixtures write them, and what differs between the one wanted and the one that came. Pure.

use serde_json::Value;

use super::exact::Json;
use crate::model::{Change, Outcome, Problem, Verdict};

/// Kinds of verdicts, each with what may stand in it.
pub(super) const VERDICTS: &[&str] = &["accept", "reject"];
/// Kinds of outcomes.
pub(super) const OUTCOMES: &[&str] = &["keep", "replace", "emit", "drop", "reject", "retry"];
/// Kinds of which there is nothing more to say.
const BARE: &[&str] = &["accept", "keep", "drop"];

/// One thing that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// JSON pointer into the answer; empty for the answer as a whole.
    pub pointer: String,
    /// As JSON, or in words.
    pub expected: String,
    /// As JSON, or in words.
    pub found: String,
}

/// Refuses what cannot be wanted: a kind by its name, or with what it says: `{"reject": {"code": "A"}}`.
///
/// Errors: in words.
pub(super) fn judge_wanted(value: &Json, kinds: &[&str]) -> Result<(), String> {
    let all = kinds.join(", ");
    match (value, split(value)) {
        (Json::Text(_), Some((kind, _))) if kinds.contains(&kind) => Ok(()),
        (Json::Object(_), Some((kind, _))) if kinds.contains(&kind) => match BARE.contains(&kind) {
            true => Err(format!("{kind} stands alone: write \"{kind}\"")),
            false => Ok(()),
        },
        (_, Some((kind, _))) => Err(format!("{kind:?} cannot be wanted here, only one of {all}")),
        _ => Err(format!("{} cannot be wanted, only one of {all}, alone or as the one member of an object", value)),
    }
}

/// Kind of an answer, and what it says.
fn split(value: &Json) -> Option<(&str, Option<&Json>)> {
    match value {
        Json::Text(kind) => Some((kind, None)),
        Json::Object(members) if members.len() == 1 => {
            members.iter().next().map(|(kind, inside)| (kind.as_str(), Some(inside)))
        }
        _ => None,
    }
}

/// Where the answer found is not the one wanted. A kind alone wants no more than the kind; what it says is compared as a part.
pub(super) fn differences(wanted: &Json, found: &Json) -> Vec<Difference> {
    let (Some((kind, inside)), Some((came, said))) = (split(wanted), split(found)) else {
        return vec![difference("", wanted, found)];
    };
    if kind != came {
        return vec![difference("", wanted, found)];
    }
    let mut all = Vec::new();
    if let Some(inside) = inside {
        part(inside, said.unwrap_or(&Json::Word("null")), &format!("/{kind}"), &mut all);
    }
    all
}

/// Members that are wanted have to be there, others may be; lists have to be as long as wanted.
fn part(wanted: &Json, found: &Json, pointer: &str, all: &mut Vec<Difference>) {
    match (wanted, found) {
        (Json::Object(wanted), Json::Object(found)) => {
            for (key, value) in wanted {
                let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                match found.get(key) {
                    Some(found) => part(value, found, &pointer, all),
                    None => all.push(Difference { pointer, expected: value.to_string(), found: "nothing".to_owned() }),
                }
            }
        }
        (Json::List(wanted), Json::List(found)) if wanted.len() == found.len() => {
            for (place, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                part(wanted, found, &format!("{pointer}/{place}"), all);
            }
        }
        (a, b) if a == b => {}
        _ => all.push(difference(pointer, wanted, found)),
    }
}

fn difference(pointer: &str, wanted: &Json, found: &Json) -> Difference {
    Difference { pointer: pointer.to_owned(), expected: wanted.to_string(), found: found.to_string() }
}

/// A verdict as a fixture writes it.
pub(super) fn verdict_text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "\"accept\"".to_owned(),
        Verdict::Reject(problems) => {
            let problems: Vec<String> = problems.iter().map(problem_text).collect();
            format!("{{\"reject\": [{}]}}", problems.join(", "))
        }
    }
}

/// An outcome as a fixture writes it. Bodies stay as they are, but on one line.
pub(super) fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Keep => "\"keep\"".to_owned(),
        Outcome::Drop => "\"drop\"".to_owned(),
        Outcome::Replace(body) => format!("{{\"replace\": {}}}", one_line(body)),
        Outcome::Emit(changes) => {
            let changes: Vec<String> = changes.iter().map(change_text).collect();
            format!("{{\"emit\": [{}]}}", changes.join(", "))
        }
        Outcome::Reject(problem) => format!("{{\"reject\": {}}}", problem_text(problem)),
        Outcome::Retry(problem, delay) => {
            let delay = delay.map_or_else(String::new, |ms| format!(", \"delay-ms\": {ms}"));
            format!("{{\"retry\": {{\"problem\": {}{delay}}}}}", problem_text(problem))
        }
    }
}

fn change_text(change: &Change) -> String {
    let (collection, id) = change.key();
    let collection = collection.map_or_else(String::new, |name| format!("\"collection\": {}, ", quoted(name.as_str())));
    match change {
        Change::Put { body, .. } => {
            format!("{{\"put\": {{{collection}\"id\": {}, \"body\": {}}}}}", quoted(id), one_line(body))
        }
        Change::Delete { .. } => format!("{{\"delete\": {{{collection}\"id\": {}}}}}", quoted(id)),
    }
}

fn problem_text(problem: &Problem) -> String {
    let mut text = format!("{{\"code\": {}, \"message\": {}", quoted(&problem.code), quoted(&problem.message));
    if !problem.pointer.is_empty() {
        text.push_str(&format!(", \"pointer\": {}", quoted(&problem.pointer)));
    }
    if !problem.details.is_empty() {
        let details: Vec<String> =
            problem.details.iter().map(|(name, value)| format!("[{}, {}]", quoted(name), quoted(value))).collect();
        text.push_str(&format!(", \"details\": [{}]", details.join(", ")));
    }
    text + "}"
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// In JSON line breaks stand between tokens only.
fn one_line(body: &str) -> String {
    body.replace(['\n', '\r'], " ")
}

/// An answer as a value; a text where its body is none that JSON can be, which is told before.
pub(super) fn value_of(text: &str) -> Json {
    Json::parse(text).unwrap_or_else(|_| Json::Text(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn exact(value: &Value) -> Json {
        Json::parse(&value.to_string()).unwrap()
    }

    fn pointers(wanted: Value, found: Value) -> Vec<String> {
        differences(&exact(&wanted), &exact(&found)).into_iter().map(|difference| difference.pointer).collect()
    }

    #[test]
    fn the_kind_is_met_exactly_and_what_it_says_as_a_part() {
        let found = json!({"replace": {"a": 1.0, "b": {"c": [1, {"d": 2, "e": 3}]}, "f": null}});
        assert!(pointers(json!("replace"), found.clone()).is_empty());
        assert!(pointers(json!({"replace": {"a": 1, "b": {"c": [1, {"d": 2}]}}}), found.clone()).is_empty());
        assert_eq!(
            pointers(json!({"replace": {"b": {"c": [1]}, "x": 1}}), found.clone()),
            ["/replace/b/c", "/replace/x"]
        );
        assert_eq!(pointers(json!({"replace": {"a": "1", "f": false}}), found.clone()), ["/replace/a", "/replace/f"]);
        assert_eq!(pointers(json!("keep"), found), [""]);
        let refused = json!({"reject": [{"code": "A", "message": "m"}]});
        assert!(pointers(json!({"reject": [{"code": "A"}]}), refused.clone()).is_empty());
        assert_eq!(pointers(json!({"reject": []}), refused), ["/reject"]);
    }

    #[test]
    fn an_answer_that_lost_digits_is_another() {
        let body = |number: &str| value_of(&format!("{{\"replace\": {{\"n\": {number}}}}}"));
        assert!(differences(&body("18446744073709551617"), &body("18446744073709551617.0")).is_empty());
        let found = differences(&body("18446744073709551617"), &body("1.8446744073709552e19"));
        assert_eq!((found[0].pointer.as_str(), found[0].expected.as_str()), ("/replace/n", "18446744073709551617"));
    }

    #[test]
    fn only_answers_can_be_wanted() {
        for good in [json!("keep"), json!("replace"), json!({"emit": []}), json!({"retry": {"problem": {}}})] {
            assert_eq!(judge_wanted(&exact(&good), OUTCOMES), Ok(()));
        }
        for bad in [json!("accept"), json!(1), json!({}), json!({"keep": 1}), json!({"emit": [], "drop": 1}), json!([])]
        {
            assert!(judge_wanted(&exact(&bad), OUTCOMES).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_that_is_written_down_is_the_one_that_came() {
        let problem = Problem {
            code: "A\"".into(),
            message: "m\n".into(),
            pointer: "/p".into(),
            details: vec![("k".into(), "v".into())],
        };
        for outcome in [
            Outcome::Keep,
            Outcome::Drop,
            Outcome::Replace("{\n\"a\": 1.50}".into()),
            Outcome::Emit(vec![
                Change::Put { collection: crate::model::Name::parse("c"), id: "i\"".into(), body: "[1]".into() },
                Change::Delete { collection: None, id: "j".into() },
            ]),
            Outcome::Reject(problem.clone()),
            Outcome::Retry(problem.clone(), Some(5)),
        ] {
            let text = outcome_text(&outcome);
            let value = value_of(&text);
            assert_eq!(judge_wanted(&value, OUTCOMES), Ok(()), "{text}");
            assert!(differences(&value, &value).is_empty() && !text.contains('\n'), "{text}");
        }
        for verdict in [Verdict::Accept, Verdict::Reject(vec![problem]), Verdict::Reject(vec![])] {
            assert_eq!(judge_wanted(&value_of(&verdict_text(&verdict)), VERDICTS), Ok(()));
        }
    }
}
