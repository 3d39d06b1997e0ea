//! The words of the sample domain: what a row is, what is wrong with it, and
//! what has to become of it.

/// How much is wrong with the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Nothing.
    Clean,
    /// About 5 % break one rule each, 2 % carry fault directives.
    Realistic,
    /// About 30 % break a rule, a twentieth of them several.
    Hostile,
    /// Clean, but costs, errors and sizes change along the way.
    Drift,
}

impl Profile {
    /// The name on the command line and in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Realistic => "realistic",
            Self::Hostile => "hostile",
            Self::Drift => "drift",
        }
    }
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not begun.
    Pending,
    /// Being worked on.
    InProgress,
    /// Done; so are all its dependencies.
    Completed,
    /// Waiting for something.
    Blocked,
    /// Given up; nothing may depend on it.
    Cancelled,
}

impl Status {
    /// All of them, with their shares in percent.
    pub const SHARES: [(Self, u64); 5] =
        [(Self::Pending, 55), (Self::InProgress, 12), (Self::Completed, 23), (Self::Blocked, 7), (Self::Cancelled, 3)];

    /// The value in the item.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Blocked => "BLOCKED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// Where an item may go from here; staying is always allowed.
    pub fn next(self) -> &'static [Self] {
        match self {
            Self::Pending => &[Self::InProgress, Self::Blocked, Self::Cancelled],
            Self::InProgress => &[Self::Completed, Self::Blocked, Self::Cancelled],
            Self::Blocked => &[Self::Pending, Self::InProgress, Self::Cancelled],
            Self::Cancelled => &[Self::Pending],
            Self::Completed => &[],
        }
    }
}

/// One way of breaking a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Defect {
    /// The parent is nowhere in the input.
    MissingParent,
    /// A dependency is nowhere in the input.
    UnknownDependency,
    /// The path breaks a rule about paths.
    BadPath,
    /// The row is a byte copy of an earlier one.
    DuplicatePath,
    /// A status row asks for a step that is not allowed.
    IllegalTransition,
    /// A dependency closes a cycle of 2 to 6 rows.
    Cycle,
    /// The name is empty or has 201 characters.
    NameLength,
    /// Type or status has a value that does not exist.
    BadEnum,
    /// The row depends on itself.
    SelfDependency,
    /// The description has 2001 characters.
    DescriptionLength,
    /// The row has 51 dependencies.
    TooManyDependencies,
    /// 26 notes, or a note of 2001 characters.
    NoteCap,
    /// The metadata has more than 32,768 bytes.
    MetadataSize,
    /// A field that does not exist.
    UnknownField,
    /// The chain of dependencies is too long; in standing cases only.
    ChainTooLong,
}

impl Defect {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 15] = [
        Self::MissingParent,
        Self::UnknownDependency,
        Self::BadPath,
        Self::DuplicatePath,
        Self::IllegalTransition,
        Self::Cycle,
        Self::NameLength,
        Self::BadEnum,
        Self::SelfDependency,
        Self::DescriptionLength,
        Self::TooManyDependencies,
        Self::NoteCap,
        Self::MetadataSize,
        Self::UnknownField,
        Self::ChainTooLong,
    ];

    /// The name in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::MissingParent => "missing-parent",
            Self::UnknownDependency => "unknown-dependency",
            Self::BadPath => "bad-path",
            Self::DuplicatePath => "duplicate-path",
            Self::IllegalTransition => "illegal-transition",
            Self::Cycle => "cycle",
            Self::NameLength => "name-length",
            Self::BadEnum => "bad-enum",
            Self::SelfDependency => "self-dependency",
            Self::DescriptionLength => "description-length",
            Self::TooManyDependencies => "too-many-dependencies",
            Self::NoteCap => "note-cap",
            Self::MetadataSize => "metadata-size",
            Self::UnknownField => "unknown-field",
            Self::ChainTooLong => "chain-too-long",
        }
    }
}

/// A set of defects; empty for a sound row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defects(u16);

impl Defects {
    /// Add one.
    pub fn insert(&mut self, defect: Defect) {
        self.0 |= 1 << defect as u8;
    }

    /// Whether it is among them.
    pub fn has(self, defect: Defect) -> bool {
        self.0 >> defect as u8 & 1 == 1
    }

    /// Whether the row is sound.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are there, in the order of declaration.
    pub fn iter(self) -> impl Iterator<Item = Defect> {
        Defect::ALL.into_iter().filter(move |&defect| self.has(defect))
    }
}

/// What a guest is told to do wrong, in `metadata.customFields.fault`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Ask for another attempt in the first so many attempts.
    Transient(u32),
    /// Reject the item.
    Permanent,
    /// Take so many milliseconds.
    Slow(u64),
    /// Trap.
    Trap,
    /// Never return.
    Spin,
    /// Take memory without end.
    Alloc,
}

impl Fault {
    /// The directive as it stands in the item.
    pub fn directive(self) -> String {
        match self {
            Self::Transient(attempts) => format!("transient({attempts})"),
            Self::Slow(time_ms) => format!("slow({time_ms})"),
            _ => self.name().to_owned(),
        }
    }

    /// The name without its number.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transient(_) => "transient",
            Self::Permanent => "permanent",
            Self::Slow(_) => "slow",
            Self::Trap => "trap",
            Self::Spin => "spin",
            Self::Alloc => "alloc",
        }
    }
}

/// A code that a refused item carries.
pub type Code = &'static str;

/// An update, status or delete row whose item is not there.
pub const NOT_FOUND: Code = "TASK_1001";
/// A field breaks its rule.
pub const FIELD: Code = "TASK_1002";
/// A dependency breaks a rule.
pub const DEPENDENCY: Code = "TASK_1003";
/// A step between statuses that is not allowed.
pub const TRANSITION: Code = "TASK_1004";
/// The path is taken.
pub const DUPLICATE: Code = "TASK_1005";
/// The type does not exist.
pub const TYPE: Code = "TASK_1006";
/// The status does not exist.
pub const STATUS: Code = "TASK_1007";
/// The parent breaks a rule.
pub const PARENT: Code = "TASK_1008";

/// Which validator refuses a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The one that sees the item alone.
    Fields,
    /// The one that sees what is stored.
    Links,
}

/// What becomes of a row in a run in topological order with both validators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate<L> {
    /// Its effect is in the store.
    Stored,
    /// Its key was used before, so it has no effect.
    Dropped,
    /// It is among the dead letters.
    Refused(Box<Refusal<L>>),
}

/// Why a row is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal<L> {
    /// The validator that refuses it. Where the first one does, what the
    /// second one finds besides is not listed.
    pub phase: Phase,
    /// Its codes, each once, in the order of checking: for fields the order
    /// of the field table, for links parent before dependencies.
    pub codes: Vec<Code>,
    /// The first link that leads to nothing stored, if that is the reason.
    pub link: Option<L>,
}

impl<L> Fate<L> {
    /// A refusal for these codes, of which doubles are dropped.
    pub fn refused(phase: Phase, codes: &[Code], link: Option<L>) -> Self {
        let mut once: Vec<Code> = Vec::with_capacity(codes.len());
        for &code in codes {
            if !once.contains(&code) {
                once.push(code);
            }
        }
        Self::Refused(Box::new(Refusal { phase, codes: once, link }))
    }

    /// Whether the row has its effect.
    pub fn is_stored(&self) -> bool {
        matches!(self, Self::Stored)
    }
}
