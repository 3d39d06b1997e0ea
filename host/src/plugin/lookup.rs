//! Reading the store on behalf of a guest: the face that the coordinator implements.

/// A key of an index, as the contract has it.
#[derive(Debug, Clone, PartialEq)]
pub enum LookupKey {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

/// Why a read gave no answer. Becomes the guest's `store.error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupError {
    NotGranted,
    NoSuchCollection,
    NoSuchIndex,
    OverLimit,
    Other(String),
}

/// What one guest call sees of the store. `collection` none means the run's own.
pub trait Lookup: Send {
    /// One entry per id, same length and order.
    fn get_many(&mut self, collection: Option<&str>, ids: &[String]) -> Result<Vec<Option<String>>, LookupError>;

    /// Rows as (id, body), sorted by id, after `after`, at most `limit`.
    fn find(
        &mut self,
        collection: Option<&str>,
        index: &str,
        key: &LookupKey,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, LookupError>;

    /// How many rows [`Lookup::find`] would give, counted up to `limit`.
    fn count(
        &mut self,
        collection: Option<&str>,
        index: &str,
        key: &LookupKey,
        limit: usize,
    ) -> Result<usize, LookupError>;
}
