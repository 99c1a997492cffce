//! Lists that use up their input. What `arbitrary` makes of bytes for a `Vec` ends at every other element.

use std::ops::Deref;

use arbitrary::{Arbitrary, Result, Unstructured};

/// Up to fifteen.
#[derive(Debug)]
pub struct List<T>(Vec<T>);

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for List<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut list = Vec::new();
        for _ in 0..u.int_in_range(0..=15)? {
            if u.is_empty() {
                break;
            }
            list.push(u.arbitrary()?);
        }
        Ok(List(list))
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

/// As many as there are bytes for.
#[derive(Debug)]
pub struct Program<T>(Vec<T>);

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Program<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut steps = Vec::new();
        while !u.is_empty() {
            steps.push(u.arbitrary()?);
        }
        Ok(Program(steps))
    }
}

impl<T> Deref for Program<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}
