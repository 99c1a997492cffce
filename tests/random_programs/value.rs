//! The values of random programs, as plain data: what the oracle computes with and all traces show.

/// A kind of variable. The first four are inline primitives, the other two are boxed (§3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Byte,
    Real,
    Unit,
    Text,
    List,
}

#[derive(Clone, Debug)]
pub(crate) enum Val {
    Int(i64),
    Byte(u8),
    Real(f64),
    Unit,
    Text(String),
    List(Vec<i64>),
}

impl Val {
    /// What `write_if_changed` asks: Rust's `==`, by which a NaN differs from itself.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Real(left), Self::Real(right)) => left == right,
            _ => self == other,
        }
    }

    /// Whether writing `other` over this is no change: the same bits of an inline primitive, but never for `()`
    /// and for boxes (§3.1).
    pub(crate) fn same_bits(&self, other: &Self) -> bool {
        !matches!(self, Self::Unit | Self::Text(_) | Self::List(_)) && self == other
    }

    /// The condition that `check` and `if` statements test.
    pub(crate) fn holds(&self) -> bool {
        match self {
            Self::Int(n) => n % 2 != 0,
            Self::Byte(n) => n % 2 != 0,
            Self::Real(x) => *x > 0.0,
            Self::Unit => true,
            Self::Text(text) => text.len() % 2 != 0,
            Self::List(list) => list.len() % 2 != 0,
        }
    }
}

/// Whether two traces show the same: `==`, but bit by bit, so that a NaN is itself and -0.0 is not 0.0.
impl PartialEq for Val {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => left == right,
            (Self::Byte(left), Self::Byte(right)) => left == right,
            (Self::Real(left), Self::Real(right)) => left.to_bits() == right.to_bits(),
            (Self::Unit, Self::Unit) => true,
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::List(left), Self::List(right)) => left == right,
            _ => false,
        }
    }
}

/// A function for `modify`, `merge` and `update`. `Add` and `Turn` do not commute, so their order shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fun {
    Keep,
    Add(u8),
    Turn,
}

impl Fun {
    pub(crate) fn apply(self, value: &Val) -> Val {
        match self {
            Self::Keep => value.clone(),
            Self::Add(n) => match value {
                Val::Int(old) => Val::Int(old.wrapping_add(n.into())),
                Val::Byte(old) => Val::Byte(old.wrapping_add(n)),
                Val::Real(old) => Val::Real(old + f64::from(n)),
                Val::Unit => Val::Unit,
                Val::Text(old) => Val::Text(format!("{old}{n}")),
                Val::List(old) => Val::List(old.iter().copied().chain([n.into()]).collect()),
            },
            Self::Turn => match value {
                Val::Int(old) => Val::Int(old.wrapping_neg()),
                Val::Byte(old) => Val::Byte(!old),
                Val::Real(old) => Val::Real(-old),
                Val::Unit => Val::Unit,
                Val::Text(old) => Val::Text(old.chars().rev().collect()),
                Val::List(old) => Val::List(old.iter().rev().copied().collect()),
            },
        }
    }
}
