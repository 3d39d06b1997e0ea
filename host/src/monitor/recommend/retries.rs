//! How many attempts an item should have, from what retries brought.

use super::{Evidence, PastRun, Recommendation, count, counted};
use crate::limits::{ATTEMPTS, ATTEMPTS_LIMIT};
use crate::store::RunRow;

/// More attempts than this are not recommended: by then the waits between them are at their cap.
const ATTEMPTS_ADVISED: u64 = 10;
/// Retries that say something.
const RETRIES_ENOUGH: u64 = 10;

/// An item whose attempts are used up spent all retries it could; what is left of the retries went to items that were
/// settled by them.
pub(super) fn attempts(history: &[PastRun]) -> Recommendation {
    let default = u64::from(ATTEMPTS);
    let retries: u64 = history.iter().map(|past| past.run.counts.retries).sum();
    let exhausted: u64 = history.iter().map(|past| past.exhausted).sum();
    let most = history.iter().map(given).max().unwrap_or(default);
    let in_vain: u64 = history.iter().map(|past| past.exhausted * (given(past) - 1)).sum();
    let helped = retries.saturating_sub(in_vain);
    let items: u64 = history.iter().map(|past| past.run.counts.read).sum();
    let figure = |what: &str, value: u64| Evidence { what: what.to_owned(), value: value as f64, unit: "" };
    let evidence = match history.is_empty() {
        true => Vec::new(),
        false => vec![
            figure("items read", items),
            figure("retries", retries),
            figure("items whose attempts were used up", exhausted),
            figure("attempts allowed, at the most", most),
        ],
    };
    let (value, reason) = if history.is_empty() {
        (default, format!("there is no earlier run of these plugins and this collection: the default, {default}"))
    } else if retries == 0 {
        (default, format!("none of {} asked for a retry: the default, {default}", counted(items, "item")))
    } else if retries < RETRIES_ENOUGH {
        (
            default,
            format!("{} say little: the default, {default}", counted(retries, "retry").replace("retrys", "retries")),
        )
    } else if exhausted > 0 && helped > 0 {
        let value = (most + 2).min(ATTEMPTS_ADVISED).max(most).min(u64::from(ATTEMPTS_LIMIT));
        let reason = format!(
            "retries help, and {} used up all of at most {most} attempts: more of them may settle these too",
            counted(exhausted, "item")
        );
        (value, reason)
    } else if exhausted > 0 {
        (2, format!("no item was ever settled by one of {} retries: one more attempt tells as much", count(retries)))
    } else {
        (most, format!("{} retries settled every item that asked for them within {most} attempts", count(retries)))
    };
    Recommendation { setting: "attempts", value, default: value == default, reason, evidence, samples: retries }
}

fn given(past: &PastRun) -> u64 {
    attempts_of(&past.run)
}

/// The attempts that a run allowed, as its settings have them.
pub(crate) fn attempts_of(run: &RunRow) -> u64 {
    let settings: serde_json::Value = serde_json::from_str(&run.settings_json).unwrap_or_default();
    let text = settings["attempts"][0].as_str();
    text.and_then(|text| text.parse().ok()).filter(|n| *n > 0).unwrap_or(u64::from(ATTEMPTS))
}
