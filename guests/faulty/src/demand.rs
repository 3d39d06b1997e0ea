//! Finding the demand in an item, and whose it is.

use faults::Directive;
use serde_json::Value;

/// What the name of a demand on the validator half begins with.
const VALIDATOR: &str = "validator-";

/// What an item asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Demand(Option<String>);

impl Demand {
    /// The demand in `body`; none if there is no such string.
    pub fn find(body: &str) -> Demand {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let places = ["/fault", "/metadata/customFields/fault"];
        let found = places.iter().find_map(|place| body.pointer(place)?.as_str());
        Demand(found.map(str::to_owned))
    }

    /// The directive, if it is meant for the operation half.
    pub fn of_operation(&self) -> Option<Directive<'_>> {
        let text = self.0.as_deref()?;
        (!text.starts_with(VALIDATOR)).then(|| Directive::parse(text))
    }

    /// The directive without its prefix, if it is meant for the validator half.
    pub fn of_validator(&self) -> Option<Directive<'_>> {
        let text = self.0.as_deref()?;
        text.strip_prefix(VALIDATOR).map(Directive::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_half_sees_its_own_demands_only() {
        let operation = Demand::find(r#"{"fault":"retry(2)"}"#);
        let wanted = Directive { name: "retry", number: Some(2) };
        assert_eq!(operation.of_operation(), Some(wanted));
        assert_eq!(operation.of_validator(), None);

        let validator = Demand::find(r#"{"fault":"validator-trap"}"#);
        assert_eq!(validator.of_operation(), None);
        assert_eq!(validator.of_validator(), Some(Directive::parse("trap")));
    }

    #[test]
    fn a_task_carries_its_demand_in_its_metadata() {
        let task = r#"{"metadata":{"customFields":{"fault":"trap"}}}"#;
        assert!(Demand::find(task).of_operation().is_some());
        for body in ["{}", "[]", "no json", r#"{"fault":1}"#] {
            assert_eq!(Demand::find(body), Demand::default());
        }
    }
}
