//! What one version does, read from the text in the component.

/// How the text begins: by this a test finds it.
pub const MARK: &str = "STAMP-ORDERS:";

/// `VERSION`, or `VERSION DEMAND`, or `VERSION DEMAND@FROM`: what to do with items whose member `n` is FROM or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orders<'a> {
    /// What is written into the items.
    pub version: &'a str,
    /// What happens to those meant, if anything special does.
    pub demand: Option<&'a str>,
    /// The least `n` of those meant.
    pub from: u64,
}

impl<'a> Orders<'a> {
    /// Reads the text, with its mark and the blanks that fill it up.
    pub fn read(text: &'a str) -> Self {
        let text = text.strip_prefix(MARK).unwrap_or(text).trim();
        let (version, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (demand, from) = rest.split_once('@').unwrap_or((rest, "0"));
        let demand = Some(demand).filter(|demand| !demand.is_empty());
        Orders { version, demand, from: from.parse().unwrap_or(0) }
    }

    /// What is asked for with this item.
    pub fn of(&self, body: &str) -> Option<&'a str> {
        self.demand.filter(|_| number(body).is_none_or(|number| number >= self.from))
    }

    /// The item with the version in its member `by`, the last one.
    pub fn stamped(&self, body: &str) -> String {
        let open = body.trim_end().strip_suffix('}').unwrap_or(body);
        let comma = if open.trim_end().ends_with('{') { "" } else { "," };
        format!("{open}{comma}\"by\":\"{}\"}}", self.version)
    }
}

/// The member `n`, as the tests write it.
fn number(body: &str) -> Option<u64> {
    let (_, rest) = body.split_once("\"n\":")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_have_a_version_and_perhaps_a_demand() {
        let read = |text| {
            let orders = Orders::read(text);
            (orders.version, orders.demand, orders.from)
        };
        assert_eq!(read("STAMP-ORDERS:v1      "), ("v1", None, 0));
        assert_eq!(read("STAMP-ORDERS:v2 trap "), ("v2", Some("trap"), 0));
        assert_eq!(read("v3 slow(2)@500"), ("v3", Some("slow(2)"), 500));
    }

    #[test]
    fn a_demand_is_for_items_from_a_number_on() {
        let orders = Orders::read("v1 trap@5");
        assert_eq!(orders.of(r#"{"n":4,"x":1}"#), None);
        assert_eq!(orders.of(r#"{"n":5}"#), Some("trap"));
        assert_eq!(orders.of("{}"), Some("trap"));
    }

    #[test]
    fn the_version_is_the_last_member() {
        let orders = Orders::read("v1");
        assert_eq!(orders.stamped(r#"{"n":4}"#), r#"{"n":4,"by":"v1"}"#);
        assert_eq!(orders.stamped("{}"), r#"{"by":"v1"}"#);
    }
}
