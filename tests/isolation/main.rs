//! Isolation, case by case (§1.4, §2.2, §2.5, §3.1, §5.3): each anomaly that the literature names is tried as one exact interleaving, under both
//! isolation levels, with and without locks, on variables and on maps. A case says what happens, attempts included; and whatever
//! happens must be what the level promises ([`history`]). The guide's table is made from the same runs.
//!
//! `TVAR_WRITE_GUIDE=1 cargo test --test isolation the_table` writes that table anew.

mod announced;
mod beyond;
mod case;
mod guide;
mod halts;
mod hermitage;
mod history;
mod program;
mod rows;
mod scheduler;
mod setting;
mod worker;

use beyond::BEYOND;
use case::Case;
use hermitage::HERMITAGE;

fn cases() -> impl Iterator<Item = &'static Case> {
    HERMITAGE.iter().chain(BEYOND)
}

/// A test for each case, and one that fails if a case has none.
macro_rules! case_tests {
    ($($test:ident = $name:literal;)*) => {
        $(
            #[test]
            fn $test() {
                cases().find(|case| case.name == $name).expect("there is such a case").check();
            }
        )*

        #[test]
        fn every_case_is_tested_once() {
            let names: Vec<_> = cases().map(|case| case.name).collect();
            assert_eq!(names, [$($name),*]);
            assert_eq!(HERMITAGE.len(), 16);
        }
    };
}

case_tests! {
    g0 = "G0";
    g1a = "G1a";
    g1b = "G1b";
    g1c = "G1c";
    otv = "OTV";
    pmp = "PMP";
    pmp_write = "PMP-write";
    pmp_existing = "PMP-existing";
    p4 = "P4";
    g_single = "G-single";
    g_single_dependencies = "G-single-dependencies";
    g_single_write_1 = "G-single-write-1";
    g_single_write_2 = "G-single-write-2";
    g2_item = "G2-item";
    g2 = "G2";
    g2_two_edges = "G2-two-edges";
    g1a_both_write = "G1a, both write";
    g1b_both_write = "G1b, both write";
    pmp_both_write = "PMP, both write";
    g_single_both_write = "G-single, both write";
    p4_validated = "P4, validated";
    g2_item_validated = "G2-item, validated";
    g2_item_absent_rows = "G2-item, absent rows";
    g2_item_ensured = "G2-item, ensured";
    g2_item_locked = "G2-item, locked";
    g2_counted = "G2, counted";
    g2_range = "G2, range";
    disjoint_ranges = "disjoint ranges";
    long_fork = "long fork";
    long_fork_both_write = "long fork, both write";
    stale_read = "stale read";
    stale_read_both_write = "stale read, both write";
    unseen_again = "unseen again";
    causal_reversal = "causal reversal";
    causal_reversal_both_write = "causal reversal, both write";
    doomed_attempt = "doomed attempt";
    doomed_at_a_lock = "doomed at a lock";
    moved_by_a_lock = "moved by a lock";
    missed_wake_up = "missed wake-up";
}
