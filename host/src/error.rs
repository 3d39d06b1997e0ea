//! The one table of codes, and the error that stops a batch or a run.
//!
//! What becomes of a single item is never an error but a fate (see `model`).
//! Invariant: text never decides; callers match on [`Code`].

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $exit:literal, $message:literal, $hint:literal;)*) => {
        /// A stable code. Codes are never reused or renumbered; new ones go to the end of a range.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $name),* }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// The stable text form, such as `STORAGE_2005`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text),* }
            }
            /// What it means, as a lowercase fragment.
            pub const fn message(self) -> &'static str {
                match self { $(Code::$name => $message),* }
            }
            /// What to do next, where an error brings no hint of its own.
            pub const fn suggestion(self) -> &'static str {
                match self { $(Code::$name => $hint),* }
            }
            /// Exit code of a run that this stops; 3 for the codes of items, 0 for notices.
            pub const fn exit(self) -> u8 {
                match self { $(Code::$name => $exit),* }
            }
        }
    };
}

codes! {
    TaskNotFound = "TASK_1001", 3, "task not found", "check the path";
    TaskField = "TASK_1002", 3, "task field invalid", "mend the field that the pointer names";
    TaskDependency = "TASK_1003", 3, "task dependency broken", "store the dependency first, then `dead-letters retry`";
    TaskTransition = "TASK_1004", 3, "status transition not allowed", "see the table of transitions";
    TaskDuplicate = "TASK_1005", 3, "task exists already", "use an update row, or another path";
    TaskType = "TASK_1006", 3, "task type unknown", "use TASK or MILESTONE";
    TaskStatus = "TASK_1007", 3, "task status unknown", "use one of the five statuses";
    TaskParent = "TASK_1008", 3, "task parent broken", "store the parent first, then `dead-letters retry`";
    TaskLocked = "TASK_1009", 3, "task locked", "try again later";
    TaskCycle = "TASK_1010", 3, "task dependencies form a cycle", "remove one of the dependencies";

    StorageRead = "STORAGE_2001", 5, "the store cannot be read", "check the disk and run `atlas-host verify`";
    StorageWrite = "STORAGE_2002", 5, "the store cannot be written", "check the disk, then run the same command again: it continues";
    StorageDelete = "STORAGE_2003", 5, "a stored row cannot be deleted", "check the disk, then run the same command again: it continues";
    StorageGeneral = "STORAGE_2004", 5, "the store failed", "run `atlas-host verify`, then the same command again: it continues";
    StorageOpen = "STORAGE_2005", 5, "the store cannot be opened or created", "check the path and its permissions";
    StoragePrerequisite = "STORAGE_2006", 5, "something the store needs is not there", "see the message";
    StorageLocked = "STORAGE_2007", 6, "the store is held by another process", "wait until the other process has ended";
    StorageForeign = "STORAGE_2008", 5, "the file is not a store of this program, or of a newer one", "choose another file, or a newer atlas-host";
    StorageFull = "STORAGE_2009", 5, "no space left", "make space, then run the same command again: it continues";

    ConfigInvalid = "CONFIG_3001", 2, "invalid setting", "see `atlas-host run --help`";
    ConfigMissing = "CONFIG_3002", 2, "a setting is missing", "see `atlas-host run --help`";
    ConfigType = "CONFIG_3003", 2, "a setting is of the wrong type", "see `atlas-host run --help`";
    ConfigInert = "CONFIG_3004", 0, "a setting can never act", "remove it, or add what it needs";

    ValidationRefused = "VALIDATION_4001", 3, "refused by a validator", "mend the item; the problems name the rules";
    ValidationInput = "VALIDATION_4002", 3, "the item is invalid", "mend the item";
    ValidationState = "VALIDATION_4003", 3, "the item does not fit the stored state", "store what it needs first, then `dead-letters retry`";
    Undecodable = "VALIDATION_4004", 3, "not decodable", "mend the line; the dead letter keeps its bytes";
    OverBound = "VALIDATION_4005", 3, "over a length or depth bound", "raise the bound if the item is right";
    InputCutShort = "VALIDATION_4006", 7, "the input cannot be read to its end", "get the whole input, then run the same command again: it continues";

    OperationFailed = "OPERATION_5001", 3, "the operation failed, or its attempts are used up", "`dead-letters retry` once the cause is mended";
    NotImplemented = "OPERATION_5002", 3, "not implemented", "see the documentation";
    Internal = "OPERATION_5003", 1, "internal error", "this is a defect of atlas-host: please report it with the message";
    ConcurrentModification = "OPERATION_5004", 3, "changed by someone else meanwhile", "run it again";
    OperationTimeout = "OPERATION_5005", 3, "took too long", "raise --deadline";

    TransactionStart = "TRANSACTION_6001", 5, "a transaction cannot begin", "run the same command again: it continues";
    TransactionCommit = "TRANSACTION_6002", 5, "a transaction cannot commit", "run the same command again: it continues";
    TransactionRollback = "TRANSACTION_6003", 5, "a rollback failed", "run `atlas-host verify`";
    TransactionTimeout = "TRANSACTION_6004", 5, "a transaction took too long", "use smaller batches";
    TransactionConflict = "TRANSACTION_6005", 5, "the store stayed busy", "wait until the other process has ended";
    TransactionState = "TRANSACTION_6006", 5, "a transaction is in the wrong state", "run the same command again: it continues";
    TransactionFenced = "TRANSACTION_6007", 5, "another worker has taken over this range", "nothing to do: the other worker goes on";

    IndexNotFound = "INDEX_7001", 2, "index not found", "see `atlas-host index list`";
    IndexCorrupt = "INDEX_7002", 5, "an index is corrupt", "run `atlas-host index rebuild`";
    IndexOutOfStep = "INDEX_7003", 5, "an index disagrees with its rows", "run `atlas-host index rebuild`";
    IndexOperation = "INDEX_7004", 5, "an index operation failed", "see the message";
    IndexConstraint = "INDEX_7005", 3, "a constraint of the store refuses the item", "mend the item, or drop the constraint";

    BatchSize = "BATCH_8001", 3, "batch over its size bound", "use smaller batches";
    BatchTimeout = "BATCH_8002", 3, "the batch took too long", "raise --deadline";
    BatchPartial = "BATCH_8003", 3, "finished in part", "see `atlas-host dead-letters list`";
    NoVerdict = "BATCH_8004", 3, "a validator gave no verdict", "mend the validator, then `dead-letters retry`";

    RecoveryFailed = "RECOVERY_9001", 5, "recovery failed", "restore a copy, then run the same command again";
    RecoveryBackup = "RECOVERY_9002", 5, "a copy cannot be made", "check the disk";
    RecoveryRestore = "RECOVERY_9003", 5, "a copy cannot be restored", "check the copy";
    RecoveryCheckpoint = "RECOVERY_9004", 5, "the checkpoint cannot be used", "run with --again to process the input anew";

    GuestTrap = "GUEST_10001", 3, "the plugin trapped", "mend the plugin, then `dead-letters retry`";
    GuestDeadline = "GUEST_10002", 3, "the plugin ran into its deadline", "raise --deadline, or mend the plugin";
    GuestMemory = "GUEST_10003", 3, "the plugin ran into its memory bound", "raise --memory, or mend the plugin";
    GuestStack = "GUEST_10004", 3, "the plugin ran out of stack", "mend the plugin's recursion";
    GuestOutput = "GUEST_10005", 3, "the plugin's output is over its bound", "make the output smaller";
    GuestValue = "GUEST_10006", 3, "the plugin's answer cannot be read", "build the plugin with a current toolchain";
    GuestContract = "GUEST_10007", 3, "the plugin broke the contract", "return one entry per item, in the same order";
    GuestBody = "GUEST_10008", 3, "the plugin's body is not strict JSON, or nested too deep", "mend the plugin's output";
    GuestQuota = "GUEST_10009", 3, "the plugin used up its quota of host calls or handles", "use fewer host calls per call";
    GuestStart = "GUEST_10010", 4, "the plugin cannot be started", "see the message";
    PluginWorld = "GUEST_10011", 4, "not a component of our world", "build it against the contract; `atlas-host inspect` shows what was found";
    PluginImport = "GUEST_10012", 4, "the plugin imports what is not offered or not granted", "grant it, or build the plugin without it";
    PluginCompile = "GUEST_10013", 4, "the plugin does not compile within its bounds", "make the plugin smaller";
    SwapProbe = "GUEST_10014", 0, "the candidate failed its probe", "mend the candidate";
    SwapBack = "GUEST_10015", 0, "the candidate was put back", "mend the candidate";
    GuestFuel = "GUEST_10016", 3, "the plugin used up its fuel", "raise the fuel, or mend the plugin";
    GuestAnswerChanged = "GUEST_10017", 0, "a repeated call gave another answer", "make the plugin deterministic";

    ProjectInvalid = "AUTHOR_11001", 2, "not a plugin project, or one with a mistake in its plugin.toml", "make one with `atlas-host new`";
    ToolMissing = "AUTHOR_11002", 2, "a tool of the plugin's language is missing", "install it";
    ToolFailed = "AUTHOR_11003", 4, "a tool of the plugin's language failed", "mend what it complains of, then build again";
    FixtureInvalid = "AUTHOR_11004", 2, "not a fixture", "see the README of the project";
}

impl Code {
    /// True if a failure with this code leaves open what the store or its connection holds, so that it is opened anew and
    /// checked before anything else is done with it.
    pub const fn leaves_the_store_in_doubt(self) -> bool {
        matches!(
            self,
            Code::StorageRead
                | Code::StorageWrite
                | Code::StorageDelete
                | Code::StorageGeneral
                | Code::StorageOpen
                | Code::StorageFull
                | Code::TransactionStart
                | Code::TransactionCommit
                | Code::TransactionRollback
                | Code::TransactionConflict
                | Code::TransactionState
                | Code::IndexCorrupt
                | Code::IndexOutOfStep
                | Code::RecoveryFailed
        )
    }

    /// True if the same work may succeed once the store was opened anew. Not after an error of the disk: a sync that is
    /// repeated can succeed although what it was to keep is lost.
    pub const fn worth_another_try(self) -> bool {
        matches!(
            self,
            Code::StorageGeneral
                | Code::TransactionConflict
                | Code::TransactionState
                | Code::IndexCorrupt
                | Code::IndexOutOfStep
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stops a batch or a run: a code, what happened, a hint, and the cause.
#[derive(Debug)]
pub struct Error {
    code: Code,
    message: String,
    hint: Option<String>,
    of_input: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Result of everything that can stop a run.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error whose message names the culprit, what was found and what was wanted.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, of_input: false, source: None }
    }

    /// What to do next, better than the table's suggestion.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says that what an input holds is why: whoever reads others as well may go on with these.
    #[must_use]
    pub fn of_input(mut self) -> Self {
        self.of_input = true;
        self
    }

    /// The cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Tells a second fault, met while this one was cleared up, beside it. Code and hint stay those of the first, which is
    /// the cause of what is made. `what` says what went wrong then: "its rollback failed too".
    #[must_use]
    pub fn followed_by(self, what: &str, second: &Error) -> Self {
        let mut message = format!("{self}; {what}: {second}");
        let mut cause = std::error::Error::source(second);
        while let Some(next) = cause {
            let told = next.to_string();
            if !message.contains(&told) {
                message = format!("{message}: {told}");
            }
            cause = next.source();
        }
        let Self { code, of_input, .. } = self;
        Self { code, message, hint: self.hint.clone(), of_input, source: Some(Box::new(self)) }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// True if nothing but one input is why: it cannot be read to its end, or is not the one that its run began with.
    pub fn is_of_input(&self) -> bool {
        self.of_input || self.code == Code::InputCutShort
    }

    /// The hint given, else the table's suggestion.
    pub fn hint_text(&self) -> &str {
        self.hint.as_deref().unwrap_or_else(|| self.code.suggestion())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_complete() {
        let mut seen = HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} stands twice");
            assert!(!code.message().is_empty() && !code.suggestion().is_empty(), "{code}");
        }
    }

    #[test]
    fn what_is_worth_another_try_is_tried_on_a_store_opened_anew() {
        for code in Code::ALL.iter().filter(|code| code.worth_another_try()) {
            assert!(code.leaves_the_store_in_doubt(), "{code}");
        }
    }

    #[test]
    fn a_second_fault_is_told_beside_the_first_with_its_causes() {
        let first = Error::new(Code::StorageFull, "no space").hint("make space");
        let second = Error::new(Code::TransactionRollback, "cannot roll back").because("the disk is gone");
        let both = first.followed_by("its rollback failed too", &second);
        assert_eq!((both.code(), both.hint_text()), (Code::StorageFull, "make space"));
        assert_eq!(both.to_string(), "no space; its rollback failed too: cannot roll back: the disk is gone");
    }
}
