//! Money: whole cents in an `i64`, read from and shown as text with two decimal places.

use std::fmt;
use std::str::FromStr;

/// An amount of money that is not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Amount(i64);

impl Amount {
    pub(crate) const fn from_cents(cents: u32) -> Self {
        Self(cents as i64)
    }

    pub(crate) const fn cents(self) -> i64 {
        self.0
    }
}

/// Why a text is no amount. The `Display` form ends up in the report of bad lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AmountError {
    Missing,
    Negative,
    NotANumber,
    TooManyDecimals,
    TooLarge,
}

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the amount is missing",
            Self::Negative => "the amount is negative",
            Self::NotANumber => "the amount is not a number like 12 or 12.50",
            Self::TooManyDecimals => "the amount has more than two decimal places",
            Self::TooLarge => "the amount is too large",
        })
    }
}

impl std::error::Error for AmountError {}

impl FromStr for Amount {
    type Err = AmountError;

    /// Reads `12`, `12.5`, `12.50` and, as files with semicolons like to have it, `12,50`.
    ///
    /// Thousands separators are refused, not guessed at: `1,000` is one or a thousand, depending
    /// on who wrote it.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AmountError::Missing);
        }
        let (negative, digits) = match text.strip_prefix(['-', '\u{2212}']) {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, decimals) = digits.split_once(['.', ',']).unwrap_or((digits, "00"));
        let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(decimals) {
            return Err(AmountError::NotANumber);
        }
        if negative {
            return Err(AmountError::Negative);
        }
        if decimals.len() > 2 {
            return Err(AmountError::TooManyDecimals);
        }
        // Only digits are left, so too large is all that can be wrong from here on.
        let too_large = AmountError::TooLarge;
        let whole: i64 = whole.parse().map_err(|_| too_large)?;
        let hundredths: i64 = decimals.parse().map_err(|_| too_large)?;
        let hundredths = if decimals.len() == 1 { hundredths * 10 } else { hundredths };
        let cents = whole.checked_mul(100).and_then(|c| c.checked_add(hundredths));
        cents.map(Self).ok_or(too_large)
    }
}

/// Shows cents, of one account or of many together, as `1234.05`.
pub(crate) struct Cents(pub(crate) i128);

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", cents / 100, cents % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_numbers_and_both_decimal_marks() {
        for (text, cents) in [
            ("12", 1200),
            ("12.5", 1250),
            ("12.05", 1205),
            ("12,50", 1250),
            (" 0.01 ", 1),
            ("0", 0),
            ("92233720368547758.07", i64::MAX),
        ] {
            assert_eq!(text.parse::<Amount>().map(Amount::cents), Ok(cents), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        use AmountError::*;
        for (text, error) in [
            ("", Missing),
            ("  ", Missing),
            ("-5", Negative),
            ("-x", NotANumber),
            ("ten", NotANumber),
            ("1e5", NotANumber),
            (".50", NotANumber),
            ("5.", NotANumber),
            ("1,000.00", NotANumber),
            ("1,000", TooManyDecimals),
            ("1.005", TooManyDecimals),
            ("92233720368547758.08", TooLarge),
            ("99999999999999999999999", TooLarge),
        ] {
            assert_eq!(text.parse::<Amount>(), Err(error), "{text}");
        }
    }

    #[test]
    fn shows_two_places() {
        assert_eq!(Cents(123_405).to_string(), "1234.05");
        assert_eq!(Cents(-5).to_string(), "-0.05");
    }
}
