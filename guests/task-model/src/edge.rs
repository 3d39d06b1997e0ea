//! Edges: each dependency as a row of its own, so that an index over its target finds the tasks that depend on another.

/// Longest id of a row, in bytes.
const ID_BYTES_MAX: usize = 512;

/// The id of the row for the dependency of the task `from` on the task `to`: `edge:FROM>TO`. Two paths of the greatest
/// length do not fit an id: then `TO` is given as `#` and its 64-bit FNV-1a hash in hexadecimal.
pub fn id(from: &str, to: &str) -> String {
    let id = format!("edge:{from}>{to}");
    if id.len() <= ID_BYTES_MAX {
        return id;
    }
    let hash = to
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("edge:{from}>#{hash:016x}")
}

/// Its body, with the members `from` and `to`.
pub fn body(from: &str, to: &str) -> String {
    serde_json::json!({"from": from, "to": to}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_edges_fit_and_differ_for_the_longest_paths() {
        let long = |end: char| format!("{}{end}", "x".repeat(254));
        let (one, two) = (id(&long('f'), &long('1')), id(&long('f'), &long('2')));
        assert!(one.len() <= ID_BYTES_MAX);
        assert_ne!(one, two);
        // The published test vector of FNV-1a for "a" is af63dc4c8601ec8c.
        let from = "y".repeat(ID_BYTES_MAX - 6);
        assert_eq!(id(&from, "a"), format!("edge:{from}>#af63dc4c8601ec8c"));
    }
}
