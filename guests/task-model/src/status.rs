//! The status of a task, and which may follow which.

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not begun. The status of a task that names none.
    Pending,
    /// Begun.
    InProgress,
    /// Done, for good.
    Completed,
    /// Waiting for something.
    Blocked,
    /// Given up; may begin again.
    Cancelled,
}

/// All of them, in the order of the documentation.
pub const ALL: [Status; 5] =
    [Status::Pending, Status::InProgress, Status::Completed, Status::Blocked, Status::Cancelled];

impl Status {
    /// The status of that name, if there is one.
    pub fn parse(name: &str) -> Option<Status> {
        ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "PENDING",
            Status::InProgress => "IN_PROGRESS",
            Status::Completed => "COMPLETED",
            Status::Blocked => "BLOCKED",
            Status::Cancelled => "CANCELLED",
        }
    }

    /// The other statuses that may come next.
    pub fn next(self) -> &'static [Status] {
        use Status::*;
        match self {
            Pending => &[InProgress, Blocked, Cancelled],
            InProgress => &[Completed, Blocked, Cancelled],
            Blocked => &[Pending, InProgress, Cancelled],
            Cancelled => &[Pending],
            Completed => &[],
        }
    }

    /// Whether `next` may follow: itself always may.
    pub fn may_become(self, next: Status) -> bool {
        self == next || self.next().contains(&next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for status in ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("pending"), None);
    }

    #[test]
    fn ten_transitions_are_legal_and_staying_always_is() {
        let legal = ALL
            .iter()
            .flat_map(|from| ALL.iter().map(move |to| (from, to)))
            .filter(|(from, to)| from != to && from.may_become(**to))
            .count();
        assert_eq!(legal, 10);
        assert!(ALL.iter().all(|status| status.may_become(*status)));
        assert!(!Status::Pending.may_become(Status::Completed));
        assert!(!Status::Completed.may_become(Status::Pending));
    }
}
