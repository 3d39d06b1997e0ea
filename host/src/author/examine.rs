//! A plugin against fixtures, in the sandbox in which it runs for good, with the same limits.
//!
//! The items of a case come in one call, and once more each alone, in a sandbox that saw nothing before: the answers have to
//! be the same, since the host may cut and repeat calls as it likes. Only where the plugin reads the store do the items
//! come one by one, each seeing what became of those before it.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::exact::Json;
use super::expect::{Difference, differences, outcome_text, value_of, verdict_text};
use super::fixture::{Case, Edit, Fixture, Given, Wanted};
use super::rows::{Reader, own};
use crate::coordinator::decide;
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{Item, Name, Ordinal, Outcome, Verdict};
use crate::plugin::{Call, CallRuntime, Fault, Lookup, Plugin, Role, Slot, SlotSettings};
use crate::source::{Decoder, MissingId};

/// How one case went.
#[derive(Debug, Serialize)]
pub struct CaseResult {
    /// Its file.
    pub file: String,
    /// Its name.
    pub name: String,
    /// How many items it has.
    pub items: usize,
    /// True if all is as wanted, or was written down.
    pub passed: bool,
    /// Answers that were put into the file.
    pub updated: usize,
    /// What is not as wanted.
    pub problems: Vec<CaseProblem>,
    /// The answer to each item, with the item's id, in words.
    #[serde(skip)]
    pub answers: Vec<(String, String)>,
}

/// Something that is not as wanted.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct CaseProblem {
    /// The item's id; none for the case as a whole.
    pub item: Option<String>,
    /// `verdict`, `outcome` or `call`.
    pub what: &'static str,
    /// What differs.
    #[serde(flatten)]
    pub difference: Difference,
}

/// Gives the items of a fixture to the plugin. With `update`, what came is put into the file where it is not as wanted.
///
/// Errors: GUEST_10010 to 10012 if the plugin is refused, AUTHOR_11004 if the file cannot be written.
pub fn examine(plugin: &Plugin, fixture: &Fixture, update: bool) -> Result<Vec<CaseResult>> {
    let examiner = Examiner::new(plugin, fixture)?;
    let mut edits = Vec::new();
    let mut results = Vec::new();
    for case in &fixture.cases {
        let (problems, mut mended, answers) = examiner.case(case, fixture);
        let rest: Vec<CaseProblem> = if update { unmended(problems) } else { problems };
        let updated = if update { mended.len() } else { 0 };
        results.push(CaseResult {
            file: fixture.path.display().to_string(),
            name: case.name.clone(),
            items: case.items.len(),
            passed: rest.is_empty(),
            updated,
            problems: rest,
            answers,
        });
        edits.append(&mut mended);
    }
    if update && !edits.is_empty() {
        fixture.write(&edits)?;
    }
    Ok(results)
}

/// What writing down cannot mend: calls that failed, and answers that depend on their neighbours.
fn unmended(problems: Vec<CaseProblem>) -> Vec<CaseProblem> {
    problems.into_iter().filter(|problem| problem.what == CALL).collect()
}

const CALL: &str = "call";
const VERDICT: &str = "verdict";
const OUTCOME: &str = "outcome";

struct Examiner {
    runtime: CallRuntime,
    call: Call,
    validator: Option<Slot>,
    operation: Option<Slot>,
}

/// What came for one item.
#[derive(Debug, Clone, Default, PartialEq)]
struct Answer {
    verdict: Option<Verdict>,
    outcome: Option<Outcome>,
    fault: Option<Fault>,
}

impl Examiner {
    fn new(plugin: &Plugin, fixture: &Fixture) -> Result<Self> {
        let runtime = CallRuntime::new()
            .map_err(|error| Error::new(Code::GuestStart, format!("no timers for plugins: {error}")))?;
        let shape = plugin.inspect();
        if !shape.validator && !shape.operation {
            plugin.check(Role::Operation)?;
        }
        let fill = |fits: bool, role: Role| {
            let mut grants = fixture.grants.clone();
            grants.collections.push(own());
            let settings = SlotSettings {
                grants,
                config: fixture.config.clone(),
                memory_bytes: None,
                fresh: false,
                deadline: limits::DEADLINE,
                own_deadline: None,
            };
            let name = Name::parse("plugin").expect("BUG: the name of a slot is none");
            fits.then(|| Slot::of_component(name, role, plugin, settings)).transpose()
        };
        Ok(Self {
            runtime,
            call: call(fixture),
            validator: fill(shape.validator, Role::Validator)?,
            operation: fill(shape.operation, Role::Operation)?,
        })
    }

    /// What is not as wanted, what has to be written so that it is, and all answers in words.
    fn case(&self, case: &Case, fixture: &Fixture) -> (Vec<CaseProblem>, Vec<Edit>, Vec<(String, String)>) {
        let items: Vec<Item<'_>> = case.items.iter().enumerate().map(|(place, given)| item(place, given)).collect();
        let (answers, mut problems) = if self.reads_store() {
            (self.one_by_one(&items, fixture), Vec::new())
        } else {
            self.together_and_alone(&items)
        };
        let mut edits = Vec::new();
        for ((given, item), answer) in case.items.iter().zip(&items).zip(&answers) {
            self.compare(given, *item, answer, &mut problems, &mut edits);
        }
        let told = items.iter().zip(&answers).map(|(item, answer)| (item.id.to_owned(), said(answer))).collect();
        (problems, edits, told)
    }

    fn reads_store(&self) -> bool {
        self.validator.iter().chain(&self.operation).any(Slot::reads_store)
    }

    /// Every item sees what became of those before it.
    fn one_by_one(&self, items: &[Item<'_>], fixture: &Fixture) -> Vec<Answer> {
        let rows = Arc::new(Mutex::new(fixture.store.clone()));
        let mut answers = Vec::new();
        for item in items {
            let lookup = || Some(Box::new(Reader(Arc::clone(&rows))) as Box<dyn Lookup>);
            let answer = self.ask(&[*item], false, lookup).remove(0);
            let accepted = answer.verdict.as_ref().is_none_or(|verdict| *verdict == Verdict::Accept);
            let stored = match (&answer.outcome, &self.operation) {
                (Some(outcome), _) => Some(outcome),
                (None, None) if accepted && answer.fault.is_none() => Some(&Outcome::Keep),
                _ => None,
            };
            if let Some(outcome) = stored {
                rows.lock().unwrap_or_else(PoisonError::into_inner).apply(*item, outcome);
            }
            answers.push(answer);
        }
        answers
    }

    fn together_and_alone(&self, items: &[Item<'_>]) -> (Vec<Answer>, Vec<CaseProblem>) {
        let together = self.ask(items, false, || None);
        let alone: Vec<Answer> = items.iter().map(|item| self.ask(&[*item], true, || None).remove(0)).collect();
        let mut problems = Vec::new();
        let faulted = together.iter().find_map(|answer| answer.fault.as_ref());
        if let Some(fault) = faulted {
            if alone.iter().all(|answer| answer.fault.is_none()) {
                let expected = "answers, as each item alone in a fresh sandbox gets one".to_owned();
                let found = told(fault);
                let difference = Difference { pointer: String::new(), expected, found };
                problems.push(CaseProblem { item: None, what: CALL, difference });
            }
            return (alone, problems);
        }
        for ((item, ours), theirs) in items.iter().zip(&together).zip(&alone) {
            if ours != theirs {
                let expected = format!("the same answer in every call: {}", said(theirs));
                let found = format!("{} beside the others of its case", said(ours));
                let difference = Difference { pointer: String::new(), expected, found };
                problems.push(CaseProblem { item: Some(item.id.to_owned()), what: CALL, difference });
            }
        }
        (together, problems)
    }

    /// One call of the validator with all items, one of the operation with those that it accepted.
    fn ask(&self, items: &[Item<'_>], fresh: bool, lookup: impl Fn() -> Option<Box<dyn Lookup>>) -> Vec<Answer> {
        let mut answers = vec![Answer::default(); items.len()];
        if let Some(slot) = &self.validator {
            match slot.validate(&self.runtime, &self.call, items, lookup(), fresh).0 {
                Ok(verdicts) => {
                    for (answer, verdict) in answers.iter_mut().zip(verdicts) {
                        answer.verdict = Some(verdict);
                    }
                }
                Err(fault) => answers.iter_mut().for_each(|answer| answer.fault = Some(fault.clone())),
            }
        }
        let goes_on = |answer: &Answer| answer.fault.is_none() && !matches!(answer.verdict, Some(Verdict::Reject(_)));
        let accepted: Vec<usize> = (0..items.len()).filter(|place| goes_on(&answers[*place])).collect();
        if let Some(slot) = self.operation.as_ref().filter(|_| !accepted.is_empty()) {
            let items: Vec<Item<'_>> = accepted.iter().map(|place| items[*place]).collect();
            match slot.apply(&self.runtime, &self.call, &items, lookup(), fresh).0 {
                Ok(outcomes) => {
                    for ((place, item), outcome) in accepted.into_iter().zip(items).zip(outcomes) {
                        match held(outcome, item) {
                            Ok(outcome) => answers[place].outcome = Some(outcome),
                            Err(fault) => answers[place].fault = Some(fault),
                        }
                    }
                }
                Err(fault) => accepted.into_iter().for_each(|place| answers[place].fault = Some(fault.clone())),
            }
        }
        answers
    }

    fn compare(
        &self,
        given: &Given,
        item: Item<'_>,
        answer: &Answer,
        problems: &mut Vec<CaseProblem>,
        edits: &mut Vec<Edit>,
    ) {
        let mut tell = |what: &'static str, difference: Difference| {
            problems.push(CaseProblem { item: Some(item.id.to_owned()), what, difference });
        };
        if let Some(fault) = &answer.fault {
            let expected = "an answer".to_owned();
            tell(CALL, Difference { pointer: String::new(), expected, found: told(fault) });
            return;
        }
        let verdict = answer.verdict.as_ref().map(verdict_text);
        let outcome = answer.outcome.as_ref().map(outcome_text);
        let why_no_verdict = "nothing: the plugin is no validator";
        let why_no_outcome = match self.operation {
            Some(_) => "nothing: the validator refused the item",
            None => "nothing: the plugin is no operation",
        };
        let nothing_wanted = given.verdict.is_none() && given.outcome.is_none();
        for (what, wanted, came, why) in
            [(VERDICT, &given.verdict, &verdict, why_no_verdict), (OUTCOME, &given.outcome, &outcome, why_no_outcome)]
        {
            let found = match (wanted, came) {
                (Some(wanted), Some(came)) => differences(&wanted.value, &value_of(came)),
                (Some(Wanted { value, .. }), None) => vec![missing(value, why)],
                (None, Some(came)) if nothing_wanted => vec![unasked(what, came)],
                (None, _) => Vec::new(),
            };
            if !found.is_empty() || wanted.is_none() {
                edits.extend(given.edit(what, wanted.as_ref(), came.as_deref()));
            }
            found.into_iter().for_each(|difference| tell(what, difference));
        }
    }
}

fn missing(wanted: &Json, why: &str) -> Difference {
    Difference { pointer: String::new(), expected: wanted.to_string(), found: why.to_owned() }
}

fn unasked(what: &str, came: &str) -> Difference {
    let expected = format!("nothing is written down; write what is wanted as its {what}, or let --update do it");
    Difference { pointer: String::new(), expected, found: came.to_owned() }
}

fn item(place: usize, given: &Given) -> Item<'_> {
    Item { ordinal: Ordinal(place as u64), id: &given.id, body: &given.body }
}

/// What every call of a fixture sees.
fn call(fixture: &Fixture) -> Call {
    Call {
        run: Arc::from("00000000-0000-7000-8000-000000000000"),
        batch: 0,
        attempt: fixture.attempt,
        deadline: limits::DEADLINE,
        now_ms: fixture.clock_ms,
        seed: fixture.seed,
        log: Arc::default(),
    }
}

/// An outcome within the bounds that hold for one, as in a run.
fn held(outcome: Result<Outcome, String>, item: Item<'_>) -> Result<Outcome, Fault> {
    let outcome = outcome.map_err(|why| Fault::new(Code::GuestContract, why))?;
    if matches!(outcome, Outcome::Reject(_) | Outcome::Retry(..)) {
        return Ok(outcome);
    }
    match decide(outcome.clone(), item, &Decoder::new(None, MissingId::Ordinal)) {
        Ok(_) => Ok(outcome),
        Err(problem) => {
            let code = Code::ALL.iter().find(|code| code.as_str() == problem.code);
            Err(Fault::new(code.copied().unwrap_or(Code::GuestContract), problem.message))
        }
    }
}

fn told(fault: &Fault) -> String {
    format!("{}: {fault}", fault.code)
}

fn said(answer: &Answer) -> String {
    let parts = [
        answer.fault.as_ref().map(told),
        answer.verdict.as_ref().map(verdict_text),
        answer.outcome.as_ref().map(outcome_text),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
