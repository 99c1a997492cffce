//! More cases: where Hermitage's readers write as well; a commit that is overtaken between validation and swap; long fork, real time, doomed attempts; what a program can
//! do about write skew under snapshot isolation.

use tvar::hooks::Point;

use crate::case::Case;
use crate::case::Expected::{Most, Only, Same};
use crate::program::Op::*;
use crate::program::{A, B, T1, T2, T3, T4, W, X, Y, Z, script};
use crate::rows::Kind;

pub(crate) const BEYOND: &[Case] = &[
    Case::new(
        "G1a, both write",
        "G1a, by a reader that also writes.",
        script! { T1 Put(X, 101), T2 Get(X), T2 Put(A, 1), T1 Abort, T2 Get(X), T2 Commit },
        [
            Same("T1 aborts, T2 commits; runs 1 1; T2"),
            Same("T2 waits at Get(X), T1 aborts, T2 commits; runs 1 1, 1 waits; T2"),
            Same("T1 aborts, T2 commits; runs 1 1; T2"),
            Same("T2 waits at Get(X), T1 aborts, T2 commits; runs 1 1, 1 waits; T2"),
        ],
    ),
    Case::new(
        "G1b, both write",
        "G1b, by a reader that also writes.",
        script! { T1 Put(X, 101), T2 Get(X), T2 Put(A, 1), T1 Put(X, 11), T1 Commit, T2 Get(X), T2 Commit },
        [
            Same("T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2"),
            Same("T2 waits at Get(X), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
            Same("T1 commits, T2 commits; runs 1 1; T2 T1"),
            Same("T2 waits at Get(X), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
        ],
    ),
    Case::new(
        "PMP, both write",
        "PMP, by a reader that also writes.",
        script! { T1 Multiples(30), T2 Insert(Z, 30), T2 Commit, T1 Multiples(3), T1 Put(A, 1), T1 Commit },
        [
            Same("T2 commits, T1 runs again, T1 commits; runs 2 1, 1 lost; T2 T1"),
            Same("T2 waits at Insert(Z, 30), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
            Same("T2 commits, T1 commits; runs 1 1; T1 T2"),
            Same("T2 waits at Insert(Z, 30), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
        ],
    ),
    Case::new(
        "G-single, both write",
        "G-single, by a reader that also writes.",
        script! { T1 Get(X), T2 Get(X), T2 Get(Y), T2 Put(X, 12), T2 Put(Y, 18), T2 Commit, T1 Get(Y), T1 Put(A, 1), T1 Commit },
        [
            Same("T2 commits, T1 runs again, T1 commits; runs 2 1, 1 lost; T2 T1"),
            Same("T2 waits at Put(X, 12), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
            Same("T2 commits, T1 commits; runs 1 1; T1 T2"),
            Same("T2 waits at Put(X, 12), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
        ],
    ),
    Case::new(
        "P4, validated",
        "P4, where the first one has validated its reads already and is about to publish.",
        script! { T1 Get(X), T1 Put(X, 11), T1 CommitTo(Point::Swap), T2 Get(X), T2 Put(X, 12), T2 Commit, T1 Commit },
        [
            Same("T2 commits, T1 runs again, T1 commits; runs 2 1, 1 lost; T2 T1"),
            Same("T2 waits at Get(X), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
            Same("T2 commits, T1 runs again, T1 commits; runs 2 1, 1 lost; T2 T1"),
            Same("T2 waits at Get(X), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
        ],
    ),
    Case::new(
        "G2-item, validated",
        "G2-item, where the first one has validated its reads already and is about to publish.",
        script! { T1 Get(X), T1 Get(Y), T1 Put(X, 11), T1 CommitTo(Point::Swap), T2 Get(X), T2 Get(Y), T2 Put(Y, 21), T2 Commit, T1 Commit },
        [
            Same("T2 commits, T1 runs again, T1 commits; runs 2 1, 1 lost; T2 T1"),
            Same("T2 waits at Get(X), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
            Same("T2 commits, T1 commits; runs 1 1; no order"),
            Same("T2 waits at Get(X), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
        ],
    ),
    Case::new(
        "G2-item, absent rows",
        "G2-item, where neither row is there: each puts in the one that the other has not found.",
        script! { T1 Get(Z), T2 Get(W), T1 Put(W, 40), T2 Put(Z, 30), T1 Commit, T2 Commit },
        [
            Same("T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2"),
            Same(
                "T1 waits at Put(W, 40), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
            Same("T1 commits, T2 commits; runs 1 1; no order"),
            Same(
                "T1 waits at Put(W, 40), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
        ],
    ),
    Case::new(
        "G2-item, ensured",
        "G2-item, where both call `ensure` on what they read (variables).",
        script! { T1 Get(X), T1 Ensure(Y), T2 Ensure(X), T2 Get(Y), T1 Put(X, 11), T2 Put(Y, 21), T1 Commit, T2 Commit },
        [
            Only(Kind::Variables, "T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2"),
            Only(
                Kind::Variables,
                "T1 waits at Put(X, 11), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
            Only(Kind::Variables, "T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2"),
            Only(
                Kind::Variables,
                "T1 waits at Put(X, 11), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
        ],
    ),
    Case::new(
        "G2-item, locked",
        "G2-item, where both lock what they read.",
        script! { T1 Lock(Y), T1 Get(X), T1 Get(Y), T2 Lock(X), T2 Get(X), T2 Get(Y), T1 Put(X, 11), T2 Put(Y, 21), T1 Commit, T2 Commit },
        [
            Same("T1 waits at Commit, T2 runs again, T1 commits, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2"),
            Same(
                "T1 waits at Put(X, 11), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
            Same("T1 waits at Commit, T2 runs again, T1 commits, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2"),
            Same(
                "T1 waits at Put(X, 11), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
        ],
    ),
    Case::new(
        "G2, counted",
        "G2, where what was looked at is the number of rows.",
        script! { T1 Count, T2 Count, T1 Insert(Z, 30), T2 Insert(W, 42), T1 Commit, T2 Commit },
        [
            Same("T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2"),
            Same(
                "T1 waits at Insert(Z, 30), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
            Same("T1 commits, T2 commits; runs 1 1; no order"),
            Same(
                "T1 waits at Insert(Z, 30), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
        ],
    ),
    Case::new(
        "G2, range",
        "G2, where what was looked at is a range of keys.",
        script! { T1 Between(Z, W), T2 Between(Z, W), T1 Insert(Z, 30), T2 Insert(W, 42), T1 Commit, T2 Commit },
        [
            Same("T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2"),
            Same(
                "T1 waits at Insert(Z, 30), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
            Same("T1 commits, T2 commits; runs 1 1; no order"),
            Same(
                "T1 waits at Insert(Z, 30), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
        ],
    ),
    Case::new(
        "disjoint ranges",
        "",
        script! { T1 Between(X, Y), T2 Between(Z, W), T1 Insert(A, 30), T2 Insert(B, 42), T1 Commit, T2 Commit },
        [
            Most(
                "T1 commits, T2 commits; runs 1 1; T1 T2",
                Kind::Map,
                "T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2",
            ),
            Most(
                "T1 commits, T2 commits; runs 1 1; T1 T2",
                Kind::Map,
                "T1 waits at Insert(A, 30), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
            Same("T1 commits, T2 commits; runs 1 1; T1 T2"),
            Most(
                "T1 commits, T2 commits; runs 1 1; T1 T2",
                Kind::Map,
                "T1 waits at Insert(A, 30), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
        ],
    ),
    Case::new(
        "long fork",
        "Two readers see two commits in opposite orders.",
        script! { T1 Put(X, 11), T2 Put(Y, 21), T4 Get(X), T1 Commit, T3 Get(X), T3 Get(Y), T3 Commit, T2 Commit, T4 Get(Y), T4 Commit },
        [
            Same("T1 commits, T3 commits, T2 commits, T4 commits; runs 1 1 1 1; T4 T1 T3 T2"),
            Same(
                "T4 waits at Get(X), T1 commits, T3 waits at Get(Y), T2 commits, T3 commits, T4 commits; runs 1 1 1 1, 2 waits; T1 T2 T3 T4",
            ),
            Same("T1 commits, T3 commits, T2 commits, T4 commits; runs 1 1 1 1; T4 T1 T3 T2"),
            Same(
                "T4 waits at Get(X), T1 commits, T3 waits at Get(Y), T2 commits, T3 commits, T4 commits; runs 1 1 1 1, 2 waits; T1 T2 T3 T4",
            ),
        ],
    ),
    Case::new(
        "long fork, both write",
        "The same, by readers that also write.",
        script! { T1 Put(X, 11), T2 Put(Y, 21), T4 Get(X), T1 Commit, T3 Get(X), T3 Get(Y), T3 Put(A, 1), T3 Commit, T2 Commit, T4 Get(Y), T4 Put(B, 1), T4 Commit },
        [
            Same("T1 commits, T3 commits, T2 commits, T4 runs again, T4 commits; runs 1 1 1 2, 1 lost; T1 T3 T2 T4"),
            Same(
                "T4 waits at Get(X), T1 commits, T3 waits at Get(Y), T2 commits, T3 commits, T4 commits; runs 1 1 1 1, 2 waits; T1 T2 T3 T4",
            ),
            Same("T1 commits, T3 commits, T2 commits, T4 commits; runs 1 1 1 1; T4 T1 T3 T2"),
            Same(
                "T4 waits at Get(X), T1 commits, T3 waits at Get(Y), T2 commits, T3 commits, T4 commits; runs 1 1 1 1, 2 waits; T1 T2 T3 T4",
            ),
        ],
    ),
    Case::new(
        "stale read",
        "A reader begins after a commit has returned, and does not see it.",
        script! { T3 Put(Z, 30), T3 CommitTo(Point::Swap), T1 Put(X, 11), T1 Commit, T2 Get(X), T2 Commit, T3 Commit },
        [
            Same("T1 commits, T2 commits, T3 commits; runs 1 1 1; T1 T2 T3"),
            Same("T1 commits, T2 commits, T3 commits; runs 1 1 1; T1 T2 T3"),
            Same("T1 commits, T2 commits, T3 commits; runs 1 1 1; T1 T2 T3"),
            Same("T1 commits, T2 commits, T3 commits; runs 1 1 1; T1 T2 T3"),
        ],
    ),
    Case::new(
        "stale read, both write",
        "The same, by a reader that also writes.",
        script! { T3 Put(Z, 30), T3 CommitTo(Point::Swap), T1 Put(X, 11), T1 Commit, T2 Get(X), T2 Put(A, 1), T2 Commit, T3 Commit },
        [
            Same("T1 commits, T2 commits, T3 commits; runs 1 1 1; T1 T2 T3"),
            Same("T1 commits, T2 commits, T3 commits; runs 1 1 1; T1 T2 T3"),
            Same("T1 commits, T2 commits, T3 commits; runs 1 1 1; T1 T2 T3"),
            Same("T1 commits, T2 commits, T3 commits; runs 1 1 1; T1 T2 T3"),
        ],
    ),
    Case::new(
        "unseen again",
        "A commit is seen before it has returned, and is not seen by who begins after that.",
        script! { T1 Put(X, 11), T1 CommitTo(Point::Swapped), T2 Get(X), T2 Commit, T3 Get(X), T3 Commit, T1 Commit },
        [
            Same("T2 commits, T3 commits, T1 commits; runs 1 1 1; T1 T2 T3"),
            Same(
                "T2 waits at Get(X), T3 waits at Get(X), T1 commits, T2 commits, T3 commits; runs 1 1 1, 2 waits; T1 T2 T3",
            ),
            Same("T2 commits, T3 commits, T1 commits; runs 1 1 1; T1 T2 T3"),
            Same(
                "T2 waits at Get(X), T3 waits at Get(X), T1 commits, T2 commits, T3 commits; runs 1 1 1, 2 waits; T1 T2 T3",
            ),
        ],
    ),
    Case::new(
        "causal reversal",
        "A commit is seen, and another that had returned before it began is not.",
        script! { T3 Get(X), T1 Put(X, 11), T1 Commit, T2 Put(Y, 21), T2 Commit, T3 Get(Y), T3 Commit },
        [
            Same("T1 commits, T2 commits, T3 commits; runs 1 1 1; T3 T1 T2"),
            Same("T1 waits at Put(X, 11), T2 commits, T3 commits, T1 commits; runs 1 1 1, 1 waits; T2 T3 T1"),
            Same("T1 commits, T2 commits, T3 commits; runs 1 1 1; T3 T1 T2"),
            Same("T1 waits at Put(X, 11), T2 commits, T3 commits, T1 commits; runs 1 1 1, 1 waits; T2 T3 T1"),
        ],
    ),
    Case::new(
        "causal reversal, both write",
        "The same, by a reader that also writes.",
        script! { T3 Get(X), T1 Put(X, 11), T1 Commit, T2 Put(Y, 21), T2 Commit, T3 Get(Y), T3 Put(A, 1), T3 Commit },
        [
            Same("T1 commits, T2 commits, T3 runs again, T3 commits; runs 1 1 2, 1 lost; T1 T2 T3"),
            Same("T1 waits at Put(X, 11), T2 commits, T3 commits, T1 commits; runs 1 1 1, 1 waits; T2 T3 T1"),
            Same("T1 commits, T2 commits, T3 commits; runs 1 1 1; T3 T1 T2"),
            Same("T1 waits at Put(X, 11), T2 commits, T3 commits, T1 commits; runs 1 1 1, 1 waits; T2 T3 T1"),
        ],
    ),
    Case::new(
        "doomed attempt",
        "An attempt that will have to run again sees two versions at once.",
        script! { T1 Get(X), T2 AddAll(1), T2 Insert(Z, 30), T2 Commit, T1 Get(Y), T1 All, T1 Count, T1 Add(X, 1), T1 Commit },
        [
            Same("T2 commits, T1 runs again, T1 commits; runs 2 1, 1 lost; T2 T1"),
            Same("T2 waits at AddAll(1), T2 commits, T1 runs again, T1 commits; runs 2 1, 1 waits, 1 deadlocks; T2 T1"),
            Same("T2 commits, T1 runs again, T1 commits; runs 2 1, 1 lost; T2 T1"),
            Same("T2 waits at AddAll(1), T2 commits, T1 runs again, T1 commits; runs 2 1, 1 waits, 1 deadlocks; T2 T1"),
        ],
    ),
    Case::new(
        "doomed at a lock",
        "The same, by asking for the lock of a row that is newer than what was read before.",
        script! { T1 Get(X), T2 Put(X, 12), T2 Put(Y, 18), T2 Commit, T1 Lock(Y), T1 Get(Y), T1 Commit },
        [
            Same("T2 commits, T1 runs again, T1 commits; runs 2 1, 1 lost; T2 T1"),
            Same("T2 waits at Put(X, 12), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
            Same("T2 commits, T1 runs again, T1 commits; runs 2 1, 1 lost; T2 T1"),
            Same("T2 waits at Put(X, 12), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
        ],
    ),
    Case::new(
        "moved by a lock",
        "A lock gives an attempt the newest value of a row, and the next row is older than that.",
        script! { T1 Get(Z), T2 Put(X, 12), T2 Put(Y, 18), T2 Commit, T1 Lock(Y), T1 Get(X), T1 Get(Y), T1 Commit },
        [
            Same("T2 commits, T1 commits; runs 1 1; T2 T1"),
            Same("T2 commits, T1 commits; runs 1 1; T2 T1"),
            Same("T2 commits, T1 commits; runs 1 1; T2 T1"),
            Same("T2 commits, T1 commits; runs 1 1; T2 T1"),
        ],
    ),
    Case::new(
        "missed wake-up",
        "Somebody sleeps on although the value that it waits for has come.",
        script! { T1 Until(X, 11), T2 Put(Y, 21), T2 Commit, T3 Put(X, 11), T3 Commit, T1 Get(Y), T1 Commit },
        [
            Same("T1 sleeps, T2 commits, T3 commits, T1 runs again, T1 commits; runs 2 1 1; T2 T3 T1"),
            Same("T1 sleeps, T2 commits, T3 commits, T1 runs again, T1 commits; runs 2 1 1; T2 T3 T1"),
            Same("T1 sleeps, T2 commits, T3 commits, T1 runs again, T1 commits; runs 2 1 1; T2 T3 T1"),
            Same("T1 sleeps, T2 commits, T3 commits, T1 runs again, T1 commits; runs 2 1 1; T2 T3 T1"),
        ],
    ),
];
