//! A subscriber of `tracing` that notes the events of `tvar`, and then does what the test wants.

use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// While `tracing` knows one subscriber alone, an event whose first thread has none is off for all threads. There is always this one.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));

/// Runs at every event, or at every question whether one is wanted.
pub(crate) type Step = Box<dyn Fn() + Send + Sync>;

/// Notes events as `LEVEL message field=value ...`, and the versions of commits apart.
#[derive(Clone)]
pub(crate) struct Notes {
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
    pub(crate) versions: Arc<Mutex<Vec<u64>>>,
    least: Level,
    on_event: Arc<Step>,
    on_question: Arc<Step>,
}

impl Notes {
    pub(crate) fn new(least: Level) -> Notes {
        LazyLock::force(&ANOTHER);
        let nothing = || Arc::new(Box::new(|| {}) as Step);
        Notes { lines: Arc::default(), versions: Arc::default(), least, on_event: nothing(), on_question: nothing() }
    }

    pub(crate) fn at_events(self, f: impl Fn() + Send + Sync + 'static) -> Notes {
        Notes { on_event: Arc::new(Box::new(f)), ..self }
    }

    pub(crate) fn at_questions(self, f: impl Fn() + Send + Sync + 'static) -> Notes {
        Notes { on_question: Arc::new(Box::new(f)), ..self }
    }

    /// What was noted, without places; forgets it.
    pub(crate) fn take(&self) -> Vec<String> {
        let lines = std::mem::take(&mut *self.lines.lock().unwrap());
        lines.into_iter().map(|line| line.split(" at=").next().unwrap().to_string()).collect()
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
    at: String,
    version: Option<u64>,
}

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "version" => self.version = Some(value),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "at" => self.at = format!("{value:?}"),
            name => self.fields += &format!(" {name}={value:?}"),
        }
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.target() != "tvar" {
            return false;
        }
        (self.on_question)();
        *metadata.level() <= self.least
    }

    fn register_callsite(&self, _: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        // Asked for each event.
        tracing::subscriber::Interest::sometimes()
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let Line { message, fields, at, version } = line;
        self.versions.lock().unwrap().extend(version);
        self.lines.lock().unwrap().push(format!("{} {message}{fields} at={at}", event.metadata().level()));
        (self.on_event)();
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        unreachable!("there are no spans")
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
