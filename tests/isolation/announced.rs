//! The same cases with announced commits (§4.2): their reads and writes are validated in another place, and nothing else may be different.

use crate::cases;
use crate::rows::Kind;
use crate::setting::Setting;

/// §2.2, §4.2. A commit that has touched a map is not announced, and takes the way of others.
#[test]
fn announced_commits_are_isolated_alike() {
    for case in cases().filter(|case| !case.stops_by_itself()) {
        for (setting, line) in case.settings() {
            let setting = Setting { announced: true, ..setting };
            let history = case.run(setting);
            assert_eq!(history.line(), line, "{}, {setting}", case.name);
            let at_least = if setting.kind == Kind::Variables { history.stats.commits } else { 0 };
            assert!(history.stats.announced >= at_least, "{}, {setting}: {}", case.name, history.stats);
        }
    }
}
