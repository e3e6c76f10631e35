//! What was measured, as a section of a page that other measurements write to as well: each keeps to what stands between its own two marks.

const BEGIN: &str = "<!-- begin: bench objects -->";
const END: &str = "<!-- end: bench objects -->";
const TITLE: &str =
    "# Performance\n\nFigures that a command has measured and written here; each section names it. They are not edited by hand.\n";

/// The page with this section in the place of the one before, or at its end.
pub(crate) fn with_section(page: Option<&str>, section: &str) -> String {
    let page = page.map_or_else(|| TITLE.to_owned(), ToOwned::to_owned);
    let section = format!("{BEGIN}\n{}\n{END}\n", section.trim_end());
    let parts = page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    match parts {
        Some((before, after)) => format!("{before}{section}{}", after.trim_start_matches('\n')),
        None => format!("{}\n\n{section}", page.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let first = with_section(None, "## Objects\n1");
        assert_eq!(first, format!("{TITLE}\n{BEGIN}\n## Objects\n1\n{END}\n"));
        let others = format!("{first}\n## Of others\n");
        let second = with_section(Some(&others), "## Objects\n2");
        assert_eq!(second, format!("{TITLE}\n{BEGIN}\n## Objects\n2\n{END}\n## Of others\n"));
    }
}
