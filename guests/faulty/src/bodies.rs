//! Bodies that break the contract, each in one way.

/// Longest body the contract allows, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting the contract allows.
const DEPTH_MAX: usize = 128;

/// Cut short in the middle of an object.
pub fn bad_json() -> String {
    r#"{"cut":"short""#.to_owned()
}

/// Good JSON, one level deeper than allowed.
pub fn deep_json() -> String {
    let depth = DEPTH_MAX + 1;
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// Good JSON, longer than allowed by the length of an empty string.
pub fn huge() -> String {
    format!("\"{}\"", "x".repeat(BODY_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn each_body_breaks_one_bound_and_no_other() {
        assert!(serde_json::from_str::<Value>(&bad_json()).is_err());
        assert!(serde_json::from_str::<Value>(&huge()).is_ok());
        assert_eq!(huge().len(), BODY_BYTES_MAX + 2);
        assert_eq!(deep_json().matches('[').count(), DEPTH_MAX + 1);
    }
}
