//! Numbers as people read them.

/// A number with three digits, or all those before the point.
pub fn figure(number: f64) -> String {
    match number.abs() {
        size if size < 9.995 => format!("{number:.2}"),
        size if size < 99.95 => format!("{number:.1}"),
        size if size < 9_999.5 => format!("{number:.0}"),
        size if size < 999_500.0 => format!("{:.1}k", number / 1e3),
        size if size < 999.5e6 => format!("{:.1}M", number / 1e6),
        size if size < 1e12 => format!("{:.1}G", number / 1e9),
        _ => format!("{number:.1e}"),
    }
}

/// A number of things per second.
pub fn rate(number: f64) -> String {
    match number {
        number if number < 10_000.0 => figure(number),
        number if number < 9.995e6 => format!("{:.0}k", number / 1e3),
        number => figure(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_about_three_digits() {
        let figures = [0.0, 1.234, 12.34, 123.4, 1_234.0, 12_340.0, 1.234e6, 1.5e9].map(figure);
        assert_eq!(figures, ["0.00", "1.23", "12.3", "123", "1234", "12.3k", "1.2M", "1.5G"]);
    }
}
