//! Makes a failing program smaller, as long as it still fails.

use crate::program::{Block, Program, Step, Stmt};

/// The smallest program found by cutting statements and by putting parts in the place of the whole.
pub(crate) fn shrink(program: Program, fails: impl Fn(&Program) -> bool) -> Program {
    let mut smallest = program;
    while let Some(smaller) = smaller(&smallest).find(&fails) {
        smallest = smaller;
    }
    smallest
}

fn smaller(program: &Program) -> impl Iterator<Item = Program> + use<> {
    cuts(&program.0, step_variants).into_iter().map(Program)
}

/// Long stretches cut out first, then single items, then items replaced by smaller ones.
fn cuts<T: Clone>(items: &[T], variants: impl Fn(&T) -> Vec<Vec<T>>) -> Vec<Vec<T>> {
    let splice = |from: usize, to: usize, with: &[T]| [&items[..from], with, &items[to..]].concat();
    let mut found = Vec::new();
    let mut stretch = items.len();
    while stretch > 0 {
        for from in (0..items.len()).step_by(stretch) {
            found.push(splice(from, items.len().min(from + stretch), &[]));
        }
        stretch /= 2;
    }
    for (at, item) in items.iter().enumerate() {
        let variants = variants(item);
        found.extend(variants.iter().map(|with| splice(at, at + 1, with)));
    }
    found
}

fn step_variants(step: &Step) -> Vec<Vec<Step>> {
    match step {
        Step::Atomically(body) => bodies(body, Step::Atomically),
        _ => Vec::new(),
    }
}

fn stmt_variants(stmt: &Stmt) -> Vec<Vec<Stmt>> {
    match stmt {
        Stmt::Hold(name, body) => {
            let whole = [body.clone(), [vec![Stmt::Read(*name)], body.clone()].concat()];
            [whole.to_vec(), bodies(body, |body| Stmt::Hold(*name, body))].concat()
        }
        Stmt::Nested(body) => [vec![body.clone()], bodies(body, Stmt::Nested)].concat(),
        Stmt::OrElse(one, other) => halves(one, other, Stmt::OrElse),
        Stmt::If(name, one, other) => halves(one, other, |one, other| Stmt::If(*name, one, other)),
        _ => Vec::new(),
    }
}

fn bodies<T>(body: &Block, whole: impl Fn(Block) -> T) -> Vec<Vec<T>> {
    let smaller = cuts(body, stmt_variants).into_iter();
    smaller.map(|body| vec![whole(body)]).collect()
}

fn halves(one: &Block, other: &Block, whole: impl Fn(Block, Block) -> Stmt) -> Vec<Vec<Stmt>> {
    let either = vec![one.clone(), other.clone()];
    let first = bodies(one, |one| whole(one, other.clone()));
    let second = bodies(other, |other| whole(one.clone(), other));
    [either, first, second].concat()
}
