//! Large transactions: cost per access, validation, and a long writer beside a short one.

mod beside;
mod sizes;
mod validation;

use crate::progress::Progress;
use crate::section::Section;

/// How many steps [`measure`] takes.
pub const STEPS: u64 = 4;

/// All tables.
pub fn measure(quick: bool, progress: &Progress) -> Vec<Section> {
    let step = |what: &str, section: &dyn Fn() -> Section| {
        progress.now(&format!("large transactions: {what}"));
        let section = section();
        progress.step();
        section
    };
    vec![
        step("reads", &|| sizes::section(sizes::Access::Read, quick)),
        step("writes", &|| sizes::section(sizes::Access::Write, quick)),
        step("validation", &|| validation::section(quick)),
        step("a long writer beside a short one", &|| beside::section(quick)),
    ]
}
