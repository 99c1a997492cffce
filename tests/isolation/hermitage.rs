//! The cases of [Hermitage](https://github.com/ept/hermitage), with its names, rows and values.
//!
//! Fifteen are those that its scripts know by name. The sixteenth, `PMP-existing`, is on its page for SQL Server ("for existing items"). A transaction
//! begins with its first step, where most databases take the snapshot, too. In P4 the two write different values, so that one can be told from the other.

use crate::case::Case;
use crate::case::Expected::{Most, Same};
use crate::program::Op::*;
use crate::program::{T1, T2, T3, W, X, Y, Z, script};
use crate::rows::Kind;

pub(crate) const HERMITAGE: &[Case] = &[
    Case::new(
        "G0",
        "Dirty write: two write the same two rows, and then one row is the first one's, the other the second one's.",
        script! { T1 Put(X, 11), T2 Put(X, 12), T1 Put(Y, 21), T1 Commit, T2 Put(Y, 22), T2 Commit },
        [
            Same("T1 commits, T2 commits; runs 1 1; T1 T2"),
            Same("T2 waits at Put(X, 12), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
            Same("T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2"),
            Same("T2 waits at Put(X, 12), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
        ],
    ),
    Case::new(
        "G1a",
        "Aborted read: somebody sees a value that its writer takes back.",
        script! { T1 Put(X, 101), T2 All, T1 Abort, T2 All, T2 Commit },
        [
            Same("T1 aborts, T2 commits; runs 1 1; T2"),
            Same("T2 waits at All, T1 aborts, T2 commits; runs 1 1, 1 waits; T2"),
            Same("T1 aborts, T2 commits; runs 1 1; T2"),
            Same("T2 waits at All, T1 aborts, T2 commits; runs 1 1, 1 waits; T2"),
        ],
    ),
    Case::new(
        "G1b",
        "Intermediate read: somebody sees a value that its writer replaces before it commits.",
        script! { T1 Put(X, 101), T2 All, T1 Put(X, 11), T1 Commit, T2 All, T2 Commit },
        [
            Same("T1 commits, T2 commits; runs 1 1; T2 T1"),
            Same("T2 waits at All, T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
            Same("T1 commits, T2 commits; runs 1 1; T2 T1"),
            Same("T2 waits at All, T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
        ],
    ),
    Case::new(
        "G1c",
        "Circular information flow: two see each what the other has written.",
        script! { T1 Put(X, 11), T2 Put(Y, 22), T1 Get(Y), T2 Get(X), T1 Commit, T2 Commit },
        [
            Same("T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2"),
            Same("T1 waits at Get(Y), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2"),
            Same("T1 commits, T2 commits; runs 1 1; no order"),
            Same("T1 waits at Get(Y), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2"),
        ],
    )
    .wrong_if(|history| history.has_seen(T1, (Y, 22)) && history.has_seen(T2, (X, 11))),
    Case::new(
        "OTV",
        "A transaction that was seen vanishes: of two that wrote both rows, a reader sees one in the first row and the other in the second.",
        script! { T1 Put(X, 11), T1 Put(Y, 19), T2 Put(X, 12), T1 Commit, T3 Get(X), T2 Put(Y, 18), T3 Get(Y), T2 Commit, T3 Get(Y), T3 Get(X), T3 Commit },
        [
            Same("T1 commits, T2 commits, T3 commits; runs 1 1 1; T1 T3 T2"),
            Same(
                "T2 waits at Put(X, 12), T1 commits, T3 waits at Get(X), T2 commits, T3 commits; runs 1 1 1, 2 waits; T1 T2 T3",
            ),
            Same("T1 commits, T2 runs again, T2 commits, T3 commits; runs 1 2 1, 1 lost; T1 T3 T2"),
            Same(
                "T2 waits at Put(X, 12), T1 commits, T3 waits at Get(X), T2 commits, T3 commits; runs 1 1 1, 2 waits; T1 T2 T3",
            ),
        ],
    ),
    Case::new(
        "PMP",
        "Phantom: the same transaction searches twice, and the second time finds a row that was put in meanwhile.",
        script! { T1 Multiples(30), T2 Insert(Z, 30), T2 Commit, T1 Multiples(3), T1 Commit },
        [
            Same("T2 commits, T1 commits; runs 1 1; T1 T2"),
            Same("T2 waits at Insert(Z, 30), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
            Same("T2 commits, T1 commits; runs 1 1; T1 T2"),
            Same("T2 waits at Insert(Z, 30), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
        ],
    ),
    Case::new(
        "PMP-write",
        "Rows are taken out for a value that they do not have any more.",
        script! { T1 AddAll(10), T2 All, T2 Delete(20), T1 Commit, T2 All, T2 Commit },
        [
            Same("T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2"),
            Same("T2 waits at All, T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
            Same("T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2"),
            Same("T2 waits at All, T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
        ],
    ),
    Case::new(
        "PMP-existing",
        "The same, by a transaction that had looked at the rows before.",
        script! { T2 All, T1 AddAll(10), T2 All, T1 Commit, T2 Delete(20), T2 All, T2 Commit },
        [
            Same("T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2"),
            Same(
                "T1 waits at AddAll(10), T1 runs again, T1 waits at AddAll(10), T2 commits, T1 commits; runs 2 1, 3 waits, 1 deadlocks; T2 T1",
            ),
            Same("T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2"),
            Same(
                "T1 waits at AddAll(10), T1 runs again, T1 waits at AddAll(10), T2 commits, T1 commits; runs 2 1, 3 waits, 1 deadlocks; T2 T1",
            ),
        ],
    ),
    Case::new(
        "P4",
        "Lost update: two read a value and replace it, the second without having seen what the first has made of it.",
        script! { T1 Get(X), T2 Get(X), T1 Put(X, 11), T2 Put(X, 12), T1 Commit, T2 Commit },
        [
            Same("T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2"),
            Same(
                "T1 waits at Put(X, 11), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
            Same("T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2"),
            Same(
                "T1 waits at Put(X, 11), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
        ],
    ),
    Case::new(
        "G-single",
        "Read skew: of two rows, one is read as it was before another's commit, one as it was after.",
        script! { T1 Get(X), T2 Get(X), T2 Get(Y), T2 Put(X, 12), T2 Put(Y, 18), T2 Commit, T1 Get(Y), T1 Commit },
        [
            Same("T2 commits, T1 commits; runs 1 1; T1 T2"),
            Same("T2 waits at Put(X, 12), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
            Same("T2 commits, T1 commits; runs 1 1; T1 T2"),
            Same("T2 waits at Put(X, 12), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
        ],
    ),
    Case::new(
        "G-single-dependencies",
        "Read skew between two searches.",
        script! { T1 Multiples(5), T2 Change(10, 12), T2 Commit, T1 Multiples(3), T1 Commit },
        [
            Same("T2 commits, T1 commits; runs 1 1; T1 T2"),
            Same("T2 waits at Change(10, 12), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
            Same("T2 commits, T1 commits; runs 1 1; T1 T2"),
            Same("T2 waits at Change(10, 12), T1 commits, T2 commits; runs 1 1, 1 waits; T1 T2"),
        ],
    ),
    Case::new(
        "G-single-write-1",
        "Read skew between a row and a search, and what was found is taken out.",
        script! { T1 Get(X), T2 All, T2 Put(X, 12), T2 Put(Y, 18), T2 Commit, T1 Delete(20), T1 Get(Y), T1 Commit },
        [
            Same("T2 commits, T1 runs again, T1 commits; runs 2 1, 1 lost; T2 T1"),
            Same(
                "T2 waits at Put(X, 12), T2 runs again, T2 waits at All, T1 commits, T2 commits; runs 1 2, 3 waits, 1 deadlocks; T1 T2",
            ),
            Same("T2 commits, T1 runs again, T1 commits; runs 2 1, 1 lost; T2 T1"),
            Same(
                "T2 waits at Put(X, 12), T2 runs again, T2 waits at All, T1 commits, T2 commits; runs 1 2, 3 waits, 1 deadlocks; T1 T2",
            ),
        ],
    ),
    Case::new(
        "G-single-write-2",
        "The same against a transaction that gives up in the end: of that nothing may stay.",
        script! { T1 Get(X), T2 All, T2 Put(X, 12), T1 Delete(20), T2 Put(Y, 18), T1 Abort, T2 Commit },
        [
            Same("T1 aborts, T2 commits; runs 1 1; T2"),
            Same("T2 waits at Put(X, 12), T1 aborts, T2 runs again, T2 commits; runs 1 2, 2 waits, 1 deadlocks; T2"),
            Same("T1 aborts, T2 commits; runs 1 1; T2"),
            Same("T2 waits at Put(X, 12), T1 aborts, T2 runs again, T2 commits; runs 1 2, 2 waits, 1 deadlocks; T2"),
        ],
    ),
    Case::new(
        "G2-item",
        "Write skew: two read the same two rows, and each replaces another one of them.",
        script! { T1 Get(X), T1 Get(Y), T2 Get(X), T2 Get(Y), T1 Put(X, 11), T2 Put(Y, 21), T1 Commit, T2 Commit },
        [
            Same("T1 commits, T2 runs again, T2 commits; runs 1 2, 1 lost; T1 T2"),
            Same(
                "T1 waits at Put(X, 11), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
            Same("T1 commits, T2 commits; runs 1 1; no order"),
            Same(
                "T1 waits at Put(X, 11), T1 commits, T2 runs again, T2 commits; runs 1 2, 1 waits, 1 deadlocks; T1 T2",
            ),
        ],
    ),
    Case::new(
        "G2",
        "Write skew by search: each puts in a row that the other's search would have found.",
        script! { T1 Multiples(3), T2 Multiples(3), T1 Insert(Z, 30), T2 Insert(W, 42), T1 Commit, T2 Commit },
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
        "G2-two-edges",
        "A reader sees a commit, and then one commits that has to come before it but was not seen.",
        script! { T1 All, T2 Add(Y, 5), T2 Commit, T3 All, T3 Commit, T1 Put(X, 0), T1 Commit },
        [
            Same("T2 commits, T3 commits, T1 runs again, T1 commits; runs 2 1 1, 1 lost; T2 T3 T1"),
            Most(
                "T2 waits at Add(Y, 5), T3 waits at All, T3 runs again, T3 waits at All, T1 commits, T2 commits, T3 commits; runs 1 1 2, 4 waits, 1 deadlocks; T1 T2 T3",
                Kind::Variables,
                "T2 waits at Add(Y, 5), T3 waits at All, T1 waits at Put(X, 0), T2 runs again, T2 waits at Add(Y, 5), T3 commits, T1 commits, T2 commits; runs 1 2 1, 4 waits, 1 deadlocks; T3 T1 T2",
            ),
            Same("T2 commits, T3 commits, T1 commits; runs 1 1 1; no order"),
            Most(
                "T2 waits at Add(Y, 5), T3 waits at All, T3 runs again, T3 waits at All, T1 commits, T2 commits, T3 commits; runs 1 1 2, 4 waits, 1 deadlocks; T1 T2 T3",
                Kind::Variables,
                "T2 waits at Add(Y, 5), T3 waits at All, T1 waits at Put(X, 0), T2 runs again, T2 waits at Add(Y, 5), T3 commits, T1 commits, T2 commits; runs 1 2 1, 4 waits, 1 deadlocks; T3 T1 T2",
            ),
        ],
    ),
];
