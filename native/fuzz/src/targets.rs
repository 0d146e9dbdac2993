//! The targets, and how they are told apart.

pub mod entry;
pub mod files;
pub mod frame;
pub mod large;
pub mod member;
pub mod outsider;
pub mod rows;
pub mod split;

/// A target and what is asked of it.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Whether its bytes come from somebody who has proven nothing, so that each piece of work on them has a bound.
    pub is_unauthenticated: bool,
    /// How much of the time of all targets it gets.
    pub share: u32,
    /// What must be among the outcomes of its corpus, or it does not reach what it is for.
    pub reaches: &'static [&'static str],
}

pub const ALL: &[Target] = &[
    Target {
        name: "frame",
        run: frame::run,
        is_unauthenticated: true,
        share: 6,
        reaches: frame::REACHES,
    },
    Target {
        name: "outsider",
        run: outsider::run,
        is_unauthenticated: true,
        share: 20,
        reaches: outsider::REACHES,
    },
    Target {
        name: "member",
        run: member::run,
        is_unauthenticated: false,
        share: 45,
        reaches: member::REACHES,
    },
    Target {
        name: "files",
        run: files::run,
        is_unauthenticated: false,
        share: 12,
        reaches: files::REACHES,
    },
    Target {
        name: "rows",
        run: rows::run,
        is_unauthenticated: false,
        share: 12,
        reaches: rows::REACHES,
    },
    Target {
        name: "split",
        run: split::run,
        is_unauthenticated: false,
        share: 5,
        reaches: split::REACHES,
    },
    Target {
        name: "entry",
        run: entry::run,
        is_unauthenticated: true,
        share: 15,
        reaches: entry::REACHES,
    },
    Target {
        name: "large",
        run: large::run,
        is_unauthenticated: true,
        share: 5,
        reaches: large::REACHES,
    },
];
