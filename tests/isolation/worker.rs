//! A transaction on a thread of its own, which makes a step when it is told to.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use tvar::hooks::{self, Point};
use tvar::{TryError, TxOptions};

use crate::program::{Op, Seen, Who};
use crate::rows::{Inside, Rows};

/// What a transaction is told.
pub(crate) enum Order {
    Make(Op),
    /// To go on from where it has stopped.
    Go,
}

/// What it tells.
#[derive(Debug)]
pub(crate) enum Event {
    /// The closure runs, for the so many-th time, and waits for an order.
    Began(u64),
    /// A step has shown this.
    Saw(Op, Seen),
    /// The step is made; it waits for an order.
    Done,
    /// It has stopped there until it is told to go on.
    At(Point),
    /// It has passed this point.
    Passed(Point),
    /// It sleeps.
    Parked,
    Committed,
    Aborted,
}

pub(crate) struct Worker {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Begins a transaction. It stops after each of its swaps, and the first time that it comes to `halt`.
    pub(crate) fn start(
        who: Who,
        options: TxOptions,
        rows: Rows,
        halt: Option<Point>,
        events: Sender<(Who, Event)>,
    ) -> Self {
        let (orders, next) = channel();
        let thread = thread::spawn(move || {
            let tell = move |event| _ = events.send((who, event));
            run(&options, &rows, halt, Rc::new(next), tell);
        });
        Worker { orders, thread }
    }

    pub(crate) fn tell(&self, order: Order) {
        self.orders.send(order).expect("it waits for an order");
    }

    pub(crate) fn join(self) {
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic));
    }
}

fn run(
    options: &TxOptions,
    rows: &Rows,
    halt: Option<Point>,
    orders: Rc<Receiver<Order>>,
    tell: impl Fn(Event) + Clone + 'static,
) {
    // Where to stop: once on its way, and in the commit of the step at hand.
    let (halt, stop) = (Cell::new(halt), Rc::new(Cell::new(None)));
    let hook = hooks::on_this_thread({
        let (orders, stop, tell) = (orders.clone(), stop.clone(), tell.clone());
        move |point| {
            tell(Event::Passed(point));
            let [halts, stops] = [&halt, &*stop].map(|at| at.get() == Some(point) && at.take().is_some());
            if halts || stops || matches!(point, Point::Decided | Point::Swapped) {
                tell(Event::At(point));
                match next(&orders) {
                    Order::Go => {}
                    Order::Make(op) => panic!("{op:?} before it may go on from {point:?}"),
                }
            }
            if point == Point::Park {
                tell(Event::Parked);
            }
        }
    });
    let result = options.try_run(|tx| {
        stop.set(None);
        tell(Event::Began(tx.attempt()));
        loop {
            let op = match next(&orders) {
                Order::Make(op) => op,
                Order::Go => panic!("has not stopped"),
            };
            match op {
                Op::Commit => return Ok(()),
                Op::CommitTo(point) => {
                    stop.set(Some(point));
                    return Ok(());
                }
                Op::Abort => return tx.abort(()),
                _ => {}
            }
            let seen = op.run(&mut Inside(rows, tx))?;
            if let Op::Until(row, value) = op {
                let ready = seen == [(row, value)];
                tell(Event::Saw(op, seen));
                tx.check(ready)?;
            } else {
                tell(Event::Saw(op, seen));
            }
            tell(Event::Done);
        }
    });
    drop(hook);
    tell(match result {
        Ok(()) => Event::Committed,
        Err(TryError::Aborted(())) => Event::Aborted,
        Err(TryError::Failed(error)) => panic!("no limit was set: {error}"),
    });
}

fn next(orders: &Receiver<Order>) -> Order {
    orders.recv().unwrap_or_else(|_| resume_unwind(Box::new("the test has ended")))
}
