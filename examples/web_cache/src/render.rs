//! What takes so long that it is cached: a page with a seal that is hard to find and easy to check.

/// From 1 to the number of pages of the site.
pub(crate) type PageId = u32;

/// A rendered page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) id: PageId,
    /// Which rendering of this page it is. No two have the same number.
    pub(crate) generation: u64,
    /// Which version of the text it shows: one more with each edit.
    pub(crate) revision: u64,
    pub(crate) seal: u64,
}

impl Page {
    /// Looks for a seal; twice as long for each further bit of `effort`, on average.
    pub(crate) fn render(id: PageId, generation: u64, revision: u64, effort: u32) -> Page {
        let mut page = Page { id, generation, revision, seal: 0 };
        while !page.is_sealed(effort) {
            page.seal += 1;
        }
        page
    }

    pub(crate) fn is_sealed(&self, effort: u32) -> bool {
        let mut hash = u64::from(self.id) << 32 ^ self.generation;
        for part in [self.revision, self.seal] {
            hash = mix(hash ^ part);
        }
        hash.trailing_zeros() >= effort
    }

    pub(crate) fn html(&self) -> String {
        let Page { id, generation, revision, seal } = self;
        format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Page {id}</title>\n\
             <h1>Page {id}</h1>\n<p>Revision {revision}, rendered as number {generation}, sealed with {seal}.</p>\n\
             <p><a href=\"/\">Statistics</a></p></html>\n"
        )
    }
}

/// The last steps of splitmix64.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_sealed_for_itself_alone() {
        let page = Page::render(7, 3, 2, 12);
        assert!(page.is_sealed(12));
        for other in [
            Page { id: 8, ..page.clone() },
            Page { generation: 4, ..page.clone() },
            Page { revision: 1, ..page.clone() },
        ] {
            assert!(!other.is_sealed(12), "{other:?}");
            assert_ne!(other.html(), page.html());
        }
        assert_eq!(page, Page::render(7, 3, 2, 12));
    }
}
